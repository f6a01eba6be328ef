// A channel that loses its connection gets what it missed, in every version of phoenix.js.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Cluster } from "../../../tests/clients/harness.mjs";
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

/** A listener behind a door, and a publisher that stays. */
async function two(version, topic, options) {
  const door = await Door.to(cluster.gateways[0]);
  doors.push(door);
  const listener = await Listener.join(socket(door, version), topic, options);
  const publisher = await Listener.join(socket(cluster.gateways[1], version), topic);
  const say = (n) => publisher.channel.publish("event", { n });
  return { door, listener, say, publisher: publisher.channel };
}

for (const version of VERSIONS) {
  test(`phoenix ${version}: nothing received yet`, async () => {
    const { door, listener, say } = await two(version, `topics:nothing-${version}`);
    assert.equal(listener.channel.position.offset, 0);
    door.close();
    await say(1);
    await say(2);
    door.open();
    await listener.sees([[{ n: 1 }, 1], [{ n: 2 }, 2]]);
    assert.equal((await listener.joined(2)).recovered, true);
    assert.deepEqual(listener.lost, []);
  });

  test(`phoenix ${version}: two resumes in a row, with nothing between them`, async () => {
    const { door, listener, say } = await two(version, `topics:twice-${version}`);
    await say(1);
    await listener.sees([[{ n: 1 }, 1]]);
    door.close();
    await say(2);
    door.open();
    await listener.joined(2);
    door.cut();
    await listener.joined(3);
    await say(3);
    await listener.sees([[{ n: 1 }, 1], [{ n: 2 }, 2], [{ n: 3 }, 3]]);
    assert.deepEqual(listener.lost, []);
    assert.deepEqual(listener.joins.map(({ recovered }) => recovered), [undefined, true, true]);
  });

  test(`phoenix ${version}: resume on another gateway`, async () => {
    const { door, listener, say } = await two(version, `topics:other-${version}`);
    await say(1);
    await listener.sees([[{ n: 1 }, 1]]);
    door.close();
    await say(2);
    door.cut(cluster.gateways[1]);
    door.open();
    await listener.joined(2);
    await say(3);
    await listener.sees([[{ n: 1 }, 1], [{ n: 2 }, 2], [{ n: 3 }, 3]]);
    assert.deepEqual(listener.lost, []);
  });

  test(`phoenix ${version}: events of bytes are counted`, async () => {
    const { door, listener, say, publisher } = await two(version, `topics:bytes-${version}`);
    const bytes = (...values) => publisher.publish("bytes", new Uint8Array(values).buffer);
    await say(1);
    assert.deepEqual(await bytes(2), { offset: 2, key: null });
    await bytes(3);
    await listener.sees([[{ n: 1 }, 1], [[2], null], [[3], null]]);
    assert.equal(listener.channel.position.offset, 3);
    door.close();
    await bytes(4);
    await say(5);
    await bytes(6);
    door.open();
    await listener.sees([[{ n: 1 }, 1], [[2], null], [[3], null], [[4], null], [{ n: 5 }, 5], [[6], null]]);
    assert.equal(listener.channel.position.offset, 6);
    assert.deepEqual(listener.lost, []);
  });
}

test("a stored position goes on in another page", async () => {
  const topic = "topics:stored";
  const { door, listener, say } = await two(undefined, topic);
  await say(1);
  await listener.sees([[{ n: 1 }, 1]]);
  const stored = JSON.stringify(listener.channel.position);
  door.close();
  await say(2);
  const later = await Listener.join(socket(cluster.gateways[1]), topic, { position: JSON.parse(stored) });
  await later.sees([[{ n: 2 }, 2]]);
  assert.deepEqual(later.lost, []);
});

test("the application keeps its join payload and its hooks", async () => {
  const asked = [];
  const door = await Door.to(cluster.gateways[0]);
  doors.push(door);
  const params = () => ({ token: asked.push("token") });
  const listener = new Listener(socket(door), "topics:hooks", { params });
  const { channel } = listener;
  const hooked = [];
  const resuming = channel.onMessage;
  channel.onMessage = (event, payload, ...rest) => {
    if (event === "event") hooked.push(payload.n);
    return resuming(event, payload, ...rest);
  };
  channel.join(9_000).receive("ok", (response) => listener.joins.push(response));
  await listener.joined(1);
  await channel.publish("event", { n: 1 });
  await listener.sees([[{ n: 1 }, 1]]);
  door.cut();
  await listener.joined(2);
  await channel.publish("event", { n: 2 });
  await listener.sees([[{ n: 1 }, 1], [{ n: 2 }, 2]]);
  assert.deepEqual(hooked, [1, 2]);
  assert.ok(asked.length >= 2, "params are asked at every join");
});
