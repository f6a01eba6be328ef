// `publish`: retries under one key, and what it says in the end.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { PublishError, resumable } from "../index.js";
import { Cluster, eventually } from "../../../tests/clients/harness.mjs";
import { Listener, VERSIONS, disconnectAll, socket } from "./client.mjs";
import { Door } from "./door.mjs";

let cluster;
const doors = [];
before(async () => (cluster = await Cluster.start()));
after(async () => {
  disconnectAll();
  await Promise.all(doors.map((door) => door.end()));
  await cluster?.stop();
});

async function door() {
  const door = await Door.to(cluster.gateways[0]);
  doors.push(door);
  return door;
}

for (const version of VERSIONS) {
  test(`phoenix ${version}: answers that got lost with the connection`, async () => {
    const topic = `topics:answers-${version}`;
    const way = await door();
    const publisher = await Listener.join(socket(way, version), topic);
    const watcher = await Listener.join(socket(cluster.gateways[1], version), topic);
    way.swallowAnswers();
    const first = publisher.channel.publish("event", { n: 1 });
    const second = publisher.channel.publish("event", { n: 2 }, { key: "mine" });
    await watcher.sees([[{ n: 1 }, 1], [{ n: 2 }, 2]]);
    way.close();
    const third = publisher.channel.publish("event", { n: 3 }); // waits for the next join
    way.open();
    assert.equal((await first).offset, 1);
    assert.deepEqual(await second, { offset: 2, key: "mine" });
    assert.equal((await third).offset, 3);
    const all = [1, 2, 3].map((n) => [{ n }, n]);
    await watcher.sees(all);
    await publisher.sees(all);
  });
}

test("without a key, a lost answer is unknown at once", async () => {
  const way = await door();
  const { channel } = await Listener.join(socket(way), "topics:keyless");
  const watcher = await Listener.join(socket(cluster.gateways[1]), "topics:keyless");
  way.swallowAnswers();
  const ends = [channel.publish("event", { n: 1 }, { key: null }), channel.publish("bytes", new Uint8Array([2]).buffer)];
  const errors = Promise.all(ends.map((end) => end.then(assert.fail, (error) => error)));
  await watcher.sees([[{ n: 1 }, 1], [[2], null]]);
  way.cut();
  for (const error of await errors) {
    assert.ok(error instanceof PublishError);
    assert.deepEqual([error.reason, error.outcome, error.key], ["connection lost", "unknown", null]);
  }
});

test("the same key again counts once, and with another message is refused", async () => {
  const { channel } = await Listener.join(socket(cluster.gateways[0]), "topics:keys");
  const watcher = await Listener.join(socket(cluster.gateways[1]), "topics:keys");
  assert.deepEqual(await channel.publish("event", { n: 1 }, { key: "k" }), { offset: 1, key: "k" });
  assert.deepEqual(await channel.publish("event", { n: 1 }, { key: "k" }), { offset: 1, key: "k" });
  await assert.rejects(channel.publish("event", { n: 2 }, { key: "k" }), { outcome: "not_published", key: "k" });
  await channel.publish("event", { n: 3 });
  await watcher.sees([[{ n: 1 }, 1], [{ n: 3 }, 2]]);
});

test("a refusal for good is told at once", async () => {
  const { channel } = await Listener.join(socket(cluster.gateways[0]), "topics:refused");
  const refused = { name: "PublishError", reason: "reserved event", outcome: "not_published" };
  await assert.rejects(channel.publish("phx_close", {}), refused);
});

test("before the first join, as phoenix.js says it", async () => {
  const channel = resumable(socket(cluster.gateways[0]), "topics:unjoined");
  await assert.rejects(channel.publish("event", {}), /before joining/);
});

test("it gives up, and knows whether anything was sent", async () => {
  const way = await door();
  const { channel } = await Listener.join(socket(way), "topics:give-up");
  const watcher = await Listener.join(socket(cluster.gateways[1]), "topics:give-up");
  way.swallowAnswers();
  const unknown = channel.publish("event", { n: 1 }, { giveUpMs: 400 }).then(assert.fail, (error) => error);
  await watcher.sees([[{ n: 1 }, 1]]);
  assert.equal((await unknown).outcome, "unknown");
  way.close();
  await eventually("the client has noticed", () => channel.state !== "joined");
  await assert.rejects(channel.publish("event", { n: 2 }, { giveUpMs: 200 }), { outcome: "not_published" });
  // Under the same key, the first may be tried again.
  way.open();
  await eventually("joined again", () => channel.state === "joined");
  assert.equal((await channel.publish("event", { n: 1 }, { key: (await unknown).key })).offset, 1);
});

test("a channel that is left ends its publishes", async () => {
  const way = await door();
  const { channel } = await Listener.join(socket(way), "topics:left");
  way.close();
  await eventually("the client has noticed", () => channel.state !== "joined");
  const end = channel.publish("event", {}).then(assert.fail, (error) => error);
  channel.leave();
  assert.deepEqual({ ...(await end) }.reason, "channel left");
  assert.equal((await end).outcome, "not_published");
});

test("while the owner is away, it tries on", { timeout: 60_000 }, async () => {
  const topic = "topics:owner-away";
  const { channel } = await Listener.join(socket(cluster.gateways[0]), topic);
  const owner = cluster.topicServers.get(await cluster.owner(topic));
  await owner.kill();
  let ended = false;
  const publish = channel.publish("event", { n: 1 }).finally(() => (ended = true));
  let refused = 0;
  channel.onMessage = ((hook) => (event, payload, ...rest) => {
    if (event === "phx_reply" && payload.status === "error") refused += 1;
    return hook(event, payload, ...rest);
  })(channel.onMessage);
  await eventually("the gateway's deadline", () => refused > 0);
  assert.equal(ended, false);
  await owner.start();
  assert.equal((await publish).offset, 1);
});
