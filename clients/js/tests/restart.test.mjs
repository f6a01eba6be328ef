// A gateway dies and comes back while messages are published as fast as possible.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Cluster, eventually } from "../../../tests/clients/harness.mjs";
import { Listener, VERSIONS, disconnectAll, socket } from "./client.mjs";

const IN_FLIGHT = 32;
const KEYED = 1_000; // per kill: a topic remembers 10,000 keys at a time
const KILLS = 3;

let cluster;
// The history holds what comes while a gateway starts, however fast the machine is.
const config = '[[topics]]\npattern = "*"\nhistory_messages = 1000000\nhistory_bytes = 100000000\n';
before(async () => (cluster = await Cluster.start({ config })));
after(async () => {
  disconnectAll();
  await cluster?.stop();
});

/** Publishes 1, 2, 3, … in `by`'s name while `goes()`, up to `limit()`; `acknowledged` gets [offset, payload] of each. */
async function load(channel, by, options, acknowledged, goes, limit) {
  let n = 0;
  const lane = async () => {
    while (goes()) {
      if (n >= limit()) {
        await new Promise((wake) => setTimeout(wake, 5));
        continue;
      }
      const payload = { by, n: ++n };
      const { offset } = await channel.publish("event", payload, options);
      acknowledged.push([offset, payload]);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

for (const how of ["kill", "stop"]) {
  test(`${how}: every acknowledged message once, in one order`, { timeout: 120_000 }, () => through(how));
}

async function through(how) {
  const topic = `topics:restart-${how}`;
  const [dies, stays] = cluster.gateways;
  const listeners = await Promise.all([
    ...VERSIONS.map((version) => Listener.join(socket(dies, version), topic)),
    Listener.join(socket(stays), topic),
  ]);
  const here = await Listener.join(socket(dies), topic);
  const there = await Listener.join(socket(stays), topic);

  const acknowledged = [];
  const ofHere = () => acknowledged.filter(([, { by }]) => by === "here").length;
  let kills = 0;
  const goes = () => kills < KILLS;
  const loads = Promise.all([
    load(here.channel, "here", {}, acknowledged, goes, () => (kills + 1) * KEYED),
    load(there.channel, "there", { key: null }, acknowledged, goes, () => Infinity),
  ]);
  for (; kills < KILLS; kills++) {
    await eventually("messages before the kill", () => ofHere() > kills * KEYED + 100);
    await dies[how]();
    const during = acknowledged.length + 100;
    await eventually("messages while it is away", () => acknowledged.length > during);
    await dies.start();
    await Promise.all(listeners.map((listener) => listener.joined(listener === listeners.at(-1) ? 1 : kills + 2)));
  }
  await loads;

  const end = await there.channel.publish("event", { by: "end" });
  const all = [...listeners, here, there];
  for (const { seen } of all) await eventually("the last message", () => seen.at(-1)?.[0].by === "end");
  const first = listeners[0].seen;
  assert.deepEqual(first.map(([, offset]) => offset), Array.from({ length: end.offset }, (_, index) => index + 1));
  for (const [offset, payload] of acknowledged) assert.deepEqual(first[offset - 1], [payload, offset]);
  assert.equal(new Set(first.map(([{ by, n }]) => `${by} ${n}`)).size, first.length, "no message twice");
  assert.equal(acknowledged.length, first.length - 1, "and none that nobody acknowledged");
  for (const { seen, lost } of all) {
    assert.deepEqual(lost, []);
    assert.deepEqual(seen, first);
  }
}
