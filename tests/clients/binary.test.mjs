// Bytes as payload: V2 clients get the bytes, V1 clients their base64.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Client, VERSIONS, receivedExactly } from "./clients.mjs";
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

const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);

for (const version of VERSIONS) {
  test(`phoenix ${version}`, { timeout: 60_000 }, async () => {
    const topic = `topics:binary-${version}`;
    const here = await client(version, 0).join(topic);
    const there = await client(version, 1).join(topic);
    const old = await client(version, 1, { vsn: 1 }).join(topic);
    for (const bytes of [every, new Uint8Array(0)]) {
      // A binary push publishes under its own event name, and is acknowledged with text.
      assert.deepEqual(await here.push("pixels", bytes.buffer), { status: "ok", response: {} });
    }
    await here.publish("event", { after: "bytes" });
    const text = ["event", { after: "bytes" }];
    const base64 = ["pixels", { data: Buffer.from(every).toString("base64") }];
    await receivedExactly([here, there, old], (channel) =>
      channel === old
        ? [base64, ["pixels", { data: "" }], text]
        : [["pixels", every.buffer], ["pixels", new ArrayBuffer(0)], text],
    );
  });
}
