// A gateway goes and comes back on its port: every version reconnects and joins again by itself.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Client, VERSIONS, receivedExactly } from "./clients.mjs";
import { Cluster, eventually } from "./harness.mjs";

let cluster;
let pairs = []; // per version: a channel on each gateway

before(async () => {
  cluster = await Cluster.start();
  for (const version of VERSIONS) {
    const [here, there] = await Promise.all(
      cluster.gateways.map((gateway) => new Client(version, gateway).join(`topics:restart-${version}`)),
    );
    pairs.push({ version, here, there });
  }
});
after(async () => {
  for (const { here, there } of pairs) for (const { client } of [here, there]) client.disconnect();
  await cluster?.stop();
});

for (const [how, end, closed] of [["an orderly end", "stop", 1012], ["a crash", "kill", 1006]]) {
  test(`after ${how}`, { timeout: 90_000 }, async (t) => {
    const [gateway] = cluster.gateways;
    const before = pairs.map(({ here }) => [here.client.opens, here.client.closes.length]);
    const code = await gateway[end]();
    if (end === "stop") assert.equal(code, 0, "exit code");
    await gateway.start();
    for (const [index, { version, here, there }] of pairs.entries()) {
      await t.test(`phoenix ${version}`, async () => {
        const [opens, closes] = before[index];
        await eventually(`${here.client.name} joined again`, () => here.client.opens > opens && here.isJoined, 30_000);
        await here.publish("event", { from: "here" });
        await there.publish("event", { from: "there" });
        await receivedExactly([here, there], [["event", { from: "here" }], ["event", { from: "there" }]]);
        assert.equal(here.client.closes[closes], closed, "close code");
        assert.deepEqual([there.client.opens, there.client.closes], [1, []], "the other gateway's client noticed nothing");
      });
    }
  });
}
