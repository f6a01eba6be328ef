// Join, publish, replies, events both ways, leave and rejoin: each version on two gateways.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Client, VERSIONS, answer, receivedExactly } from "./clients.mjs";
import { Cluster } from "./harness.mjs";

let cluster;
let clients = [];

const client = (version, gateway, options) => {
  const one = new Client(version, cluster.gateways[gateway], options);
  clients.push(one);
  return one;
};

before(async () => (cluster = await Cluster.start()));
after(async () => {
  for (const one of clients) one.disconnect();
  await cluster?.stop();
});

for (const [version, vsn] of [...VERSIONS.map((version) => [version, 2]), ["1.5.14", 1], ["1.8.16", 1]]) {
  test(`phoenix ${version}, serializer V${vsn}`, { timeout: 60_000 }, async (t) => {
    const topic = `topics:talk-${version}-${vsn}`;
    const one = client(version, 0, { vsn });
    const two = client(version, 1, { vsn });
    let here;
    let there;

    await t.test("join", async () => {
      here = await one.join(topic);
      there = await two.join(topic);
    });

    await t.test("publish is acknowledged and reaches both gateways once, both ways", async () => {
      assert.deepEqual(await here.publish("event", { message: "red pill or blue pill?" }), { status: "ok", response: {} });
      assert.deepEqual(await there.publish("answer", { pill: "red", häß: "→ ✓", n: [1, 2.5, null] }), { status: "ok", response: {} });
      await receivedExactly([here, there], [
        ["event", { message: "red pill or blue pill?" }],
        ["answer", { pill: "red", häß: "→ ✓", n: [1, 2.5, null] }],
      ]);
    });

    await t.test("what cannot be published gets an error reply and touches nobody", async () => {
      const wrong = [
        ["publish", ["event", "no object"]],
        ["publish", ["event", null]],
        ["publish", ["phx_close", {}]],
        ["publish", ["phx_error", {}]],
        ["publish", ["event"]],
        ["publish", {}],
        ["something", {}],
      ];
      for (const [event, payload] of wrong) {
        const { status, response } = await here.push(event, payload);
        const what = JSON.stringify([event, payload]);
        assert.equal(status, "error", what);
        assert.equal(typeof response.reason, "string", what);
        assert.equal(response.outcome, "not_published", what);
        assert.equal(response.retry, false, what);
      }
      await receivedExactly([there, here], []);
      assert.deepEqual([here.errors, here.closed, there.errors, there.closed], [0, 0, 0, 0]);
    });

    await t.test("a join that is refused says so", async () => {
      const refused = one.channel(`topics:${"x".repeat(300)}`);
      assert.deepEqual(await answer(refused.channel.join()), { status: "error", response: { reason: "unmatched topic" } });
      refused.channel.leave();
    });

    await t.test("who left hears nothing more, and can come back", async () => {
      // A neighbour on the same gateway shows when that gateway is done with a message.
      const neighbour = await client(version, 0, { vsn }).join(topic);
      await here.leave();
      assert.equal(here.closed, 1);
      await receivedExactly([there, neighbour], []);
      await neighbour.leave();
      const again = await one.join(topic);
      await there.publish("event", { n: 1 });
      await again.publish("event", { n: 2 });
      await receivedExactly([again, there], [["event", { n: 1 }], ["event", { n: 2 }]]);
      assert.deepEqual(here.events, []);
      here = again;
    });

    // Over V1 the old channel's phx_close names no join_ref, and phoenix.js closes the new one with it.
    await t.test("a second channel on the topic takes the place of the first", { skip: vsn === 1 }, async () => {
      // phoenix.js sends phx_leave for the first and phx_join for the second back to back.
      const second = await one.join(topic);
      await there.publish("event", { n: 3 });
      await receivedExactly([second, there], [["event", { n: 3 }]]);
      assert.deepEqual(here.events, []);
    });

    await t.test("all of it on one connection each", () => {
      assert.deepEqual([one.opens, two.opens, one.closes, two.closes], [1, 1, [], []]);
    });
  });
}
