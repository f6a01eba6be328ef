// Sockets of each version of phoenix.js as its users have them, with resumable channels that keep a record.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

import { WebSocket } from "ws";

import { resumable } from "../index.js";
import { eventually } from "../../../tests/clients/harness.mjs";

const require = createRequire(import.meta.url);

export const VERSIONS = ["1.5.14", "1.6.16", "1.7.21", "1.8.12", "1.8.16"];
const NEWEST = VERSIONS.at(-1);

const sockets = new Set();

/** A connected socket. `at` is a gateway or a door. It comes back soon, since tests have no time. */
export function socket(at, version = NEWEST) {
  const { Socket } = require(`phoenix${version === NEWEST ? "" : `-${version}`}`);
  const socket = new Socket(`ws://${at.address}/socket`, { transport: WebSocket, reconnectAfterMs: () => 20 });
  socket.connect();
  sockets.add(socket);
  return socket;
}

export function disconnectAll() {
  for (const socket of sockets) socket.disconnect();
  sockets.clear();
}

/** A resumable channel and all that it received: `seen` has [payload, offset], bytes as an array. */
export class Listener {
  seen = [];
  lost = [];
  joins = []; // the response to each

  constructor(socket, topic, options = {}) {
    this.channel = resumable(socket, topic, { ...options, onLost: (lost) => this.lost.push(lost) });
    this.channel.on("event", (payload, offset) => this.seen.push([payload, offset]));
    this.channel.on("bytes", (payload) => this.seen.push([Array.from(new Uint8Array(payload)), null]));
  }

  static async join(socket, topic, options) {
    const listener = new Listener(socket, topic, options);
    listener.channel.join().receive("ok", (response) => listener.joins.push(response));
    await listener.joined(1);
    return listener;
  }

  /** Resolves once it was joined `count` times, the first time included, and is. */
  async joined(count) {
    await eventually(`join ${count}`, () => this.joins.length >= count && this.channel.state === "joined");
    return this.joins[count - 1];
  }

  /** It has seen exactly this, once it has seen as many. */
  async sees(expected) {
    await eventually(`${expected.length} events`, () => this.seen.length >= expected.length);
    assert.deepEqual(this.seen, expected);
  }
}
