// Where messages are lost, the application is told, and events go on.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Cluster, eventually } from "../../../tests/clients/harness.mjs";
import { Listener, VERSIONS, disconnectAll, socket } from "./client.mjs";
import { Door } from "./door.mjs";

let cluster;
const doors = [];
before(async () => (cluster = await Cluster.start({ config: '[[topics]]\npattern = "*"\nhistory_messages = 5\n' })));
after(async () => {
  disconnectAll();
  await Promise.all(doors.map((door) => door.end()));
  await cluster?.stop();
});

for (const version of VERSIONS) {
  test(`phoenix ${version}: a position older than the history`, async () => {
    const topic = `topics:old-${version}`;
    const door = await Door.to(cluster.gateways[0]);
    doors.push(door);
    const listener = await Listener.join(socket(door, version), topic);
    const { channel } = await Listener.join(socket(cluster.gateways[1], version), topic);
    const say = (n) => channel.publish("event", { n });
    await say(1);
    await listener.sees([[{ n: 1 }, 1]]);

    // Five missed messages are just those that the history holds.
    door.close();
    for (let n = 2; n <= 6; n++) await say(n);
    door.open();
    await listener.sees([1, 2, 3, 4, 5, 6].map((n) => [{ n }, n]));
    assert.deepEqual(listener.lost, []);

    // One more, and the first of them is gone.
    door.close();
    for (let n = 7; n <= 12; n++) await say(n);
    door.open();
    await listener.joined(3);
    const { epoch } = channel.position;
    const told = [{ from: { epoch, offset: 6 }, position: { epoch, offset: 12 }, oldest: 8 }];
    assert.deepEqual(listener.lost, told);
    assert.deepEqual(listener.channel.position, { epoch, offset: 12 });
    await say(13);
    await listener.sees([1, 2, 3, 4, 5, 6, 13].map((n) => [{ n }, n]));

    // The new position is as good as any.
    door.cut();
    await listener.joined(4);
    await say(14);
    await listener.sees([1, 2, 3, 4, 5, 6, 13, 14].map((n) => [{ n }, n]));
    assert.deepEqual(listener.lost, told);
  });
}

test("a topic server that comes back has forgotten, and says so", { timeout: 90_000 }, async (t) => {
  const topic = "topics:owner-restart";
  const listeners = [];
  for (const version of VERSIONS) listeners.push([version, await Listener.join(socket(cluster.gateways[0], version), topic)]);
  const { channel } = await Listener.join(socket(cluster.gateways[1]), topic);
  await channel.publish("event", { n: 1 });
  for (const [, listener] of listeners) await listener.sees([[{ n: 1 }, 1]]);
  // The publisher has its reply, and perhaps not its own event yet.
  const before = listeners[0][1].channel.position;

  const owner = cluster.topicServers.get(await cluster.owner(topic));
  await owner.kill();
  const waiting = channel.publish("event", { n: 2 }); // tries until the owner is back
  await owner.start();
  const { offset } = await waiting;
  for (const [, listener] of listeners) await eventually("the loss", () => listener.lost.length > 0);
  await channel.publish("event", { n: 3 });

  for (const [version, listener] of listeners) {
    await t.test(`phoenix ${version}`, async () => {
      assert.equal(listener.lost.length, 1);
      const [{ from, position }] = listener.lost;
      assert.deepEqual(from, before);
      assert.notEqual(position.epoch, before.epoch);
      // What was published before its gateway was subscribed again belongs to the new life, and is read from it.
      assert.equal(position.offset, 0);
      await listener.sees([[{ n: 1 }, 1], [{ n: 2 }, offset], [{ n: 3 }, offset + 1]]);
      assert.deepEqual(listener.channel.position, { epoch: position.epoch, offset: offset + 1 });
      assert.equal(listener.joins.length, 1, "no rejoin was needed");
    });
  }
});

test("a position of a life that is over, after a reconnect", { timeout: 90_000 }, async () => {
  const topic = "topics:other-life";
  const door = await Door.to(cluster.gateways[0]);
  doors.push(door);
  const listener = await Listener.join(socket(door), topic);
  await listener.channel.publish("event", { n: 1 });
  await listener.sees([[{ n: 1 }, 1]]);
  const from = listener.channel.position;
  door.close();
  const owner = cluster.topicServers.get(await cluster.owner(topic));
  await owner.kill();
  await owner.start();
  door.open();
  await listener.joined(2);
  assert.equal(listener.lost.length, 1);
  assert.deepEqual(listener.lost[0].from, from);
  assert.notEqual(listener.channel.position.epoch, from.epoch);
  assert.equal(listener.channel.position.offset, 0);
});

test("a stored position that is nonsense is a loss, not an endless join", async () => {
  const listener = await Listener.join(socket(cluster.gateways[0]), "topics:nonsense", { position: { epoch: "?", offset: -1 } });
  assert.equal(listener.lost.length, 1);
  const { epoch } = listener.channel.position;
  assert.deepEqual(listener.lost[0].position, { epoch, offset: 0 });
});
