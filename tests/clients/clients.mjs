// The real JavaScript clients, each version as its users run it, and a record of everything they received.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

import { WebSocket } from "ws";

import { eventually } from "./harness.mjs";

const require = createRequire(import.meta.url);

export const VERSIONS = ["1.5.14", "1.6.16", "1.7.21", "1.8.12", "1.8.16"];

// The V1 serializer, as phoenix.js had it up to 1.3 and as its users set it since.
const V1 = {
  vsn: "1.0.0",
  encode: (message, callback) => callback(JSON.stringify(message)),
  decode: (text, callback) => callback(JSON.parse(text)),
};

/** One phoenix.js socket on one gateway. */
export class Client {
  opens = 0;
  closes = [];
  #socket;

  constructor(version, gateway, { vsn = 2 } = {}) {
    const { Socket } = require(`phoenix-${version}`);
    this.name = `phoenix ${version}${vsn === 1 ? " V1" : ""} on ${gateway.address}`;
    this.#socket = new Socket(`ws://${gateway.address}/socket`, { transport: WebSocket, ...(vsn === 1 ? V1 : {}) });
    this.#socket.onOpen(() => (this.opens += 1));
    this.#socket.onClose((event) => this.closes.push(event.code));
    this.#socket.connect();
  }

  /** Joins, or fails. */
  async join(topic, payload = {}) {
    const joined = this.channel(topic, payload);
    const reply = await answer(joined.channel.join());
    assert.equal(reply.status, "ok", `${this.name}: join of ${topic} was answered ${JSON.stringify(reply)}`);
    return joined;
  }

  /** A channel that is not joined yet. */
  channel(topic, payload = {}) {
    return new Joined(this, this.#socket.channel(topic, payload));
  }

  get isConnected() {
    return this.#socket.isConnected();
  }

  disconnect() {
    this.#socket.disconnect();
  }
}

/** One channel and all events that came in on it, in their order. */
export class Joined {
  events = []; // [event, payload]
  errors = 0;
  closed = 0;

  constructor(client, channel) {
    this.client = client;
    this.channel = channel;
    // phoenix.js's own hook for every message of a channel, control messages included.
    channel.onMessage = (event, payload) => {
      if (!/^(phx_|chan_reply_)/.test(event)) this.events.push([event, payload]);
      return payload;
    };
    channel.onError(() => (this.errors += 1));
    channel.onClose(() => (this.closed += 1));
  }

  get isJoined() {
    return this.client.isConnected && this.channel.state === "joined";
  }

  /** Publishes as users do; resolves with {status, response}. */
  publish(event, payload) {
    return this.push("publish", [event, payload]);
  }

  push(event, payload) {
    return answer(this.channel.push(event, payload));
  }

  async leave() {
    assert.equal((await answer(this.channel.leave())).status, "ok", `${this.client.name}: leave`);
  }
}

/** The answer to a push; "timeout" is phoenix.js's own after 10 s of silence. */
export function answer(push) {
  return new Promise((resolve) => {
    for (const status of ["ok", "error", "timeout"]) push.receive(status, (response) => resolve({ status, response }));
  });
}

let markers = 0;

/**
 * Proves that each of `channels`, all on one topic, received exactly `expected`, in that order: a marker is published
 * last, and what is before it is all there is, since a topic has one order for everybody. Empties the records.
 * Where channels differ, `expected` is a function from channel to its list.
 */
export async function receivedExactly(channels, expected) {
  const marker = { marker: ++markers };
  const reply = await channels[0].publish("marker", marker);
  assert.deepEqual(reply, { status: "ok", response: {} });
  for (const channel of channels) {
    const { client, events } = channel;
    const all = typeof expected === "function" ? expected(channel) : expected;
    await eventually(`${client.name}: marker ${marker.marker}`, () => events.at(-1)?.[1]?.marker === marker.marker);
    assert.deepEqual(events, [...all, ["marker", marker]], client.name);
    events.length = 0;
  }
}
