// Real clients, unchanged: subscribe, publish, pattern, sharded, bytes; and all of it again after a gateway's crash.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { eventually } from "../clients/harness.mjs";
import { CLIENTS } from "./clients.mjs";
import { Raw } from "./resp.mjs";
import { SERVERS } from "./servers.mjs";

const every = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));

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

    test("after a crash", { timeout: 120_000 }, async (t) => {
      const subscribed = await Promise.all(
        CLIENTS.map(async (kind, number) => {
          const client = await open(kind, 0);
          await client.subscribe(`crash-${number}.a`);
          await client.psubscribe(`crash-${number}.*`);
          await client.ssubscribe(`crash-${number}.b`);
          return client;
        }),
      );
      const dying = server.process(0);
      await dying.kill();
      await dying.start();
      const publisher = await Raw.connect(server.address(1));
      for (const [number, kind] of CLIENTS.entries()) {
        await t.test(`${kind.name} subscribes again by itself`, async () => {
          const client = subscribed[number];
          const [channel, pattern] = [`crash-${number}.a`, `crash-${number}.*`];
          const counts = async () => [
            await publisher.ask(["PUBLISH", channel, "is anybody there?"]),
            await publisher.ask(["SPUBLISH", `crash-${number}.b`, "is anybody there?"]),
          ];
          await eventually(`${client.name} is back`, async () => String(await counts()) === "2,1", 30_000);
          assert.equal(await publisher.ask(["PUBLISH", channel, "again"]), 2);
          assert.equal(await publisher.ask(["SPUBLISH", `crash-${number}.b`, "again"]), 1);
          const again = () => client.received.filter(([, , payload]) => payload === "again");
          await eventually(`${client.name}: messages`, () => again().length >= 3);
          assert.deepEqual(again().sort(), [
            ["message", channel, "again"],
            ["pmessage", channel, "again", pattern],
            ["smessage", `crash-${number}.b`, "again"],
          ]);
          assert.equal(await client.publish(channel, "and back"), 2);
        });
      }
      publisher.close();
    });
  });
}
