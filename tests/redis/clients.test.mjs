// Real clients, unchanged: subscribe, publish, pattern, sharded, bytes; and all of it again after what they speak to has ended.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { eventually } from "../clients/harness.mjs";
import { CLIENTS } from "./clients.mjs";
import { Raw } from "./resp.mjs";
import { SERVERS } from "./servers.mjs";

const every = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));

/** What can end under a client: what it is, how it ends and comes back, and where alone it is there. */
const ENDINGS = [
  ["a crash", again("kill", (server) => server.process(0))],
  ["a gateway's orderly end", again("stop", (server) => server.process(0)), "campanile"],
  ["the crash of an owner", again("kill", (server) => server.cluster.topicServers.get("ts-a")), "campanile"],
];

function again(end, which) {
  return async (server) => {
    await which(server)[end]();
    await which(server).start();
  };
}

for (const { name, start } of SERVERS) {
  describe(name, () => {
    let server;
    let clients = [];
    const open = async (kind, index) => {
      const client = await kind.open(server.address(index));
      clients.push(client);
      return client;
    };
    before(async () => (server = await start()));
    after(async () => {
      await Promise.all(clients.map((client) => client.close()));
      await server?.stop();
    });

    for (const [number, kind] of CLIENTS.entries()) {
      test(kind.name, { timeout: 60_000 }, async () => {
        const channel = `talk-${number}.news`;
        const here = await open(kind, 0);
        const there = await open(kind, 1);
        await here.subscribe(channel);
        assert.equal(await there.publish(channel, "hello"), 1);
        await there.subscribe(channel);
        assert.equal(await here.publish(channel, every), 2);
        await here.receivedExactly([["message", channel, "hello"], ["message", channel, every]]);
        await there.receivedExactly([["message", channel, every]]);

        // Both ways subscribed gets both, the exact one first; sharded channels are apart.
        const pattern = `talk-${number}.*`;
        await there.psubscribe(pattern);
        await here.ssubscribe(channel);
        assert.equal(await here.publish(channel, "both"), 3);
        assert.equal(await there.spublish(channel, every), 1);
        assert.equal(await here.publish(`talk-${number}.other`, ""), 1);
        await there.receivedExactly([
          ["message", channel, "both"],
          ["pmessage", channel, "both", pattern],
          ["pmessage", `talk-${number}.other`, "", pattern],
        ]);
        await eventually("the sharded message", () => here.received.length >= 2);
        // Two connections' messages on two topics have no order among them.
        assert.deepEqual(here.received.splice(0).sort(), [["message", channel, "both"], ["smessage", channel, every]]);

        const strange = kind.anyName ? every : `häß-${number} → ✓`;
        await here.subscribe(strange);
        assert.equal(await there.publish(kind.anyName ? strange : Buffer.from(strange).toString("latin1"), "x"), 1);
        const came = kind.anyName ? strange : Buffer.from(strange).toString("latin1");
        await here.receivedExactly([["message", came, "x"]]);
        await here.unsubscribe(strange);
        await here.unsubscribe(channel);
        assert.equal(await there.publish(channel, "one left, and a pattern"), 2);
        await there.unsubscribe(channel);
        assert.equal(await here.publish(channel, "a pattern"), 1);
        assert.equal(await there.publish(strange, "nobody"), 0);
        await there.receivedExactly([
          ["message", channel, "one left, and a pattern"],
          ["pmessage", channel, "one left, and a pattern", pattern],
          ["pmessage", channel, "a pattern", pattern],
        ]);
        assert.deepEqual(here.received, []);
      });
    }

    for (const [number, [how, end]] of ENDINGS.filter(([, , only]) => !only || only === name).entries()) {
      test(`after ${how}`, { timeout: 120_000 }, async (t) => {
        const topic = (kind, which) => `end-${number}-${kind}.${which}`;
        const subscribed = await Promise.all(
          CLIENTS.map(async (kind, index) => {
            const client = await open(kind, 0);
            await client.subscribe(topic(index, "a"));
            await client.psubscribe(topic(index, "*"));
            await client.ssubscribe(topic(index, "b"));
            return client;
          }),
        );
        await end(server);
        const publisher = await Raw.connect(server.address(1));
        for (const [index, kind] of CLIENTS.entries()) {
          await t.test(`${kind.name} subscribes again by itself`, async () => {
            const client = subscribed[index];
            const counts = async () => [
              await publisher.ask(["PUBLISH", topic(index, "a"), "is anybody there?"]),
              await publisher.ask(["SPUBLISH", topic(index, "b"), "is anybody there?"]),
            ];
            // A pattern counts with one owner before the reply to it is there, which waits for all of them.
            const kinds = () => new Set(client.received.map(([kind]) => kind)).size;
            await eventually(`${client.name} is back`, async () => String(await counts()) === "2,1" && kinds() === 3, 30_000);
            assert.equal(await publisher.ask(["PUBLISH", topic(index, "a"), "again"]), 2);
            assert.equal(await publisher.ask(["SPUBLISH", topic(index, "b"), "again"]), 1);
            const again = () => client.received.filter(([, , payload]) => payload === "again");
            await eventually(`${client.name}: messages`, () => again().length >= 3);
            assert.deepEqual(again().sort(), [
              ["message", topic(index, "a"), "again"],
              ["pmessage", topic(index, "a"), "again", topic(index, "*")],
              ["smessage", topic(index, "b"), "again"],
            ]);
            assert.equal(await client.publish(topic(index, "a"), "and back"), 2);
          });
        }
        publisher.close();
        clients = clients.filter((client) => !subscribed.includes(client));
        await Promise.all(subscribed.map((client) => client.close()));
      });
    }
  });
}
