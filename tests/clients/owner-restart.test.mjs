// A topic server dies and comes back while channels are joined: no client reconnects, each publish is answered
// meanwhile, and messages flow again.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Client, VERSIONS, receivedExactly } from "./clients.mjs";
import { Cluster, eventually } from "./harness.mjs";

const ANSWER_MS = 6_000; // 5 s for the owner, and some for the way

let cluster;
let lost; // per version: channels on both gateways, of a topic whose owner dies
let kept; // the same, of a topic whose owner lives
let dying;

before(async () => {
  cluster = await Cluster.start();
  const clients = VERSIONS.map((version) => cluster.gateways.map((gateway) => new Client(version, gateway)));
  const topics = new Map();
  for (let n = 0; topics.size < 2; n++) topics.set(await cluster.owner(`topics:owner-${n}`), `topics:owner-${n}`);
  dying = "ts-a";
  const join = (topic) => Promise.all(clients.flat().map((client) => client.join(topic)));
  lost = await join(topics.get(dying));
  kept = await join(topics.get("ts-b"));
});
after(async () => {
  for (const { client } of lost ?? []) client.disconnect();
  await cluster?.stop();
});

async function timed(promise) {
  const start = performance.now();
  return { ...(await promise), ms: performance.now() - start };
}

test("an owner goes and comes back", { timeout: 120_000 }, async (t) => {
  await receivedExactly(lost, []);
  await receivedExactly(kept, []);
  await cluster.topicServers.get(dying).kill();

  await t.test("publishes to its topics get an error reply in time", async () => {
    const replies = await Promise.all(lost.map((channel) => timed(channel.publish("event", { while: "down" }))));
    for (const { status, response, ms } of replies) {
      assert.equal(status, "error");
      assert.ok(["not_published", "unknown"].includes(response.outcome), JSON.stringify(response));
      assert.equal(response.retry, true, JSON.stringify(response));
      assert.ok(ms < ANSWER_MS, `answered after ${ms} ms`);
    }
  });

  await t.test("the other owner's topics do not notice", async () => {
    assert.equal((await kept[0].publish("event", { n: 1 })).status, "ok");
    await receivedExactly(kept, [["event", { n: 1 }]]);
  });

  await cluster.topicServers.get(dying).start();

  await t.test("publishes are acknowledged again, and none is met with silence", async () => {
    // Until every gateway has subscribed anew, a plain channel may miss an event (it is not told): so publish until
    // all have heard one from each gateway.
    const heard = (channel, from) => channel.events.some(([, payload]) => payload.from === from);
    const all = () => lost.every((channel) => heard(channel, 0) && heard(channel, 1));
    await eventually("every channel hears both gateways", async () => {
      const replies = await Promise.all([0, 1].map((from) => timed(lost[from].publish("event", { from }))));
      for (const { status, ms } of replies) assert.ok(status !== "timeout" && ms < ANSWER_MS, `${status} after ${ms} ms`);
      return all();
    }, 30_000);
    // What was acknowledged last may be on its way still: end with a marker that all have, then start from nothing.
    const end = await lost[0].publish("end", {});
    assert.equal(end.status, "ok");
    for (const channel of lost) await eventually("the end", () => channel.events.at(-1)[0] === "end");
    for (const channel of lost) channel.events.length = 0;
  });

  await t.test("and from then on each event arrives once, everywhere", async () => {
    const expected = [];
    for (const [n, channel] of lost.entries()) {
      assert.equal((await channel.publish("event", { n })).status, "ok");
      expected.push(["event", { n }]);
    }
    await receivedExactly(lost, expected);
    await receivedExactly(kept, []);
  });

  await t.test("no client reconnected, no channel was lost", () => {
    for (const { client, errors, closed } of [...lost, ...kept]) {
      assert.deepEqual([client.opens, client.closes, errors, closed], [1, [], 0, 0], client.name);
    }
  });
});
