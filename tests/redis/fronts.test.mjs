// Topics are shared between fronts: phoenix.js and Redis clients on one cluster hear each other.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { WebSocket } from "ws";

import { Cluster, eventually } from "../clients/harness.mjs";
import { CLIENTS } from "./clients.mjs";

const { Socket } = createRequire(import.meta.url)("phoenix");

// The V1 serializer, as phoenix.js had it up to 1.3 and as its users set it since.
const V1 = {
  vsn: "1.0.0",
  encode: (message, callback) => callback(JSON.stringify(message)),
  decode: (text, callback) => callback(JSON.parse(text)),
};

let cluster;
const ends = [];
before(async () => (cluster = await Cluster.start({ redis: true })));
after(async () => {
  await Promise.all(ends.map((end) => end()));
  await cluster?.stop();
});

/** A channel of phoenix.js and all that came on it. */
async function joined(gateway, topic, options = {}) {
  const socket = new Socket(`ws://${gateway.address}/socket`, { transport: WebSocket, ...options });
  ends.push(() => socket.disconnect());
  socket.connect();
  const channel = socket.channel(topic, {});
  const events = [];
  channel.onMessage = (event, payload) => {
    if (!/^(phx_|chan_reply_)/.test(event)) events.push([event, payload]);
    return payload;
  };
  const answer = (push) =>
    new Promise((done) => ["ok", "error", "timeout"].forEach((status) => push.receive(status, () => done(status))));
  assert.equal(await answer(channel.join()), "ok");
  return { events, publish: async (...words) => assert.equal(await answer(channel.push(...words)), "ok") };
}

test("phoenix.js and a Redis client on one topic", { timeout: 60_000 }, async () => {
  const topic = "topics:matrix";
  const [here, there] = cluster.gateways;
  const kind = CLIENTS.find(({ name }) => name.startsWith("ioredis 5"));
  const [redis, other] = await Promise.all([here, there].map((gateway) => kind.open(gateway.redisAddress)));
  ends.push(() => redis.close(), () => other.close());
  await redis.subscribe(topic);
  await other.psubscribe("topics:*");
  const two = await joined(there, topic);
  const one = await joined(here, topic, V1);

  await two.publish("publish", ["event", { message: "red pill or blue pill?" }]);
  await one.publish("publish", ["answer", { pill: "red", "häß": "→ ✓" }]);
  await two.publish("pixels", Uint8Array.from([0, 255, 13, 10]).buffer);
  const payloads = [
    '{"message":"red pill or blue pill?"}',
    Buffer.from('{"pill":"red","häß":"→ ✓"}').toString("latin1"),
    "\x00\xff\r\n",
  ];
  await redis.receivedExactly(payloads.map((payload) => ["message", topic, payload]));
  await other.receivedExactly(payloads.map((payload) => ["pmessage", topic, payload, "topics:*"]));

  // Subscribers of every front count, and the publisher's order is everybody's.
  const published = ['{"from": "redis", "n": [1, 2.5, null]}', "no JSON", "[1]", "\x00\xff"];
  for (const payload of published) await redis.publish(topic, payload);
  const binary = published.slice(1);
  const events = [["event", { message: "red pill or blue pill?" }], ["answer", { pill: "red", "häß": "→ ✓" }]];
  const object = ["message", { from: "redis", n: [1, 2.5, null] }];
  const bytes = (text) => Buffer.from(text, "latin1");
  const buffer = (text) => Uint8Array.from(bytes(text)).buffer;
  const base64 = (text) => ({ data: bytes(text).toString("base64") });
  const all = (encode) => [
    ...events,
    ["pixels", encode("\x00\xff\r\n")],
    object,
    ...binary.map((payload) => ["message", encode(payload)]),
  ];
  for (const [channel, encode] of [[two, buffer], [one, base64]]) {
    const expected = all(encode);
    await eventually("every event", () => channel.events.length >= expected.length);
    assert.deepEqual(channel.events, expected);
  }
  await redis.receivedExactly(published.map((payload) => ["message", topic, payload]));
});
