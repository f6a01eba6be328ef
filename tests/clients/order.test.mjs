// One client's publishes keep their order for everybody, and none is lost or doubled.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Client, VERSIONS, receivedExactly } from "./clients.mjs";
import { Cluster } from "./harness.mjs";

const MESSAGES = 1_000;

let cluster;
let clients;

before(async () => {
  cluster = await Cluster.start();
  clients = VERSIONS.flatMap((version) => cluster.gateways.map((gateway) => new Client(version, gateway)));
});
after(async () => {
  for (const client of clients ?? []) client.disconnect();
  await cluster?.stop();
});

for (const [index, version] of VERSIONS.entries()) {
  test(`${MESSAGES} publishes by phoenix ${version}`, { timeout: 60_000 }, async () => {
    const channels = await Promise.all(clients.map((client) => client.join(`topics:order-${version}`)));
    const publisher = channels[2 * index + (index % 2)];
    const numbers = Array.from({ length: MESSAGES }, (_, n) => n);
    const replies = await Promise.all(numbers.map((n) => publisher.publish("event", { n })));
    assert.ok(replies.every(({ status }) => status === "ok"));
    await receivedExactly([publisher, ...channels.filter((channel) => channel !== publisher)], numbers.map((n) => ["event", { n }]));
    await Promise.all(channels.map((channel) => channel.leave()));
  });
}
