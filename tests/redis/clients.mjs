// The real clients, each as its users run it, behind a few words that all of them have; and a record of what they received.
//
// Bytes are written as latin1 here, so that each of them is one character.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { eventually } from "../clients/harness.mjs";

const require = createRequire(import.meta.url);
const here = dirname(fileURLToPath(import.meta.url));
const PYTHON = resolve(process.env.REDIS_PYTHON || join(here, "../../target/redis-python/bin/python"));

const bytes = (text) => Buffer.from(text, "latin1");
const text = (bytes) => bytes.toString("latin1");

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** A client that may subscribe, and publishes through a second connection as each library asks for. */
class Client {
  /** `[kind, channel, payload]` or, of a pattern, `[kind, channel, payload, pattern]`. */
  received = [];

  constructor(name, address) {
    this.name = `${name} at ${address}`;
    [this.host, this.port] = [address.split(":")[0], Number(address.split(":")[1])];
  }

  /** Until all of `expected` have come, and then they are all there is. Empties the record. */
  async receivedExactly(expected) {
    await eventually(`${this.name}: ${expected.length} messages`, () => this.received.length >= expected.length).catch((error) => {
      throw new Error(`${error.message}; received: ${JSON.stringify(this.received)}`);
    });
    assert.deepEqual(this.received.splice(0), expected, this.name);
  }
}

class IoRedis extends Client {
  async open(version, options) {
    const { Redis } = require(`ioredis-${version}`);
    const create = () => {
      const redis = new Redis({ host: this.host, port: this.port, ...options });
      redis.on("error", () => {});
      return redis;
    };
    this.subscriber = create();
    this.publisher = create();
    const note = (kind, channel, payload, ...rest) => this.received.push([kind, text(channel), text(payload), ...rest]);
    this.subscriber.on("messageBuffer", (channel, payload) => note("message", channel, payload));
    this.subscriber.on("smessageBuffer", (channel, payload) => note("smessage", channel, payload));
    this.subscriber.on("pmessageBuffer", (pattern, channel, payload) => note("pmessage", channel, payload, text(pattern)));
    await Promise.all([this.subscriber.ping(), this.publisher.ping()]);
    return this;
  }

  publish(channel, payload) {
    return this.publisher.publish(bytes(channel), bytes(payload));
  }

  spublish(channel, payload) {
    return this.publisher.spublish(bytes(channel), bytes(payload));
  }

  async subscribe(channel) {
    await this.subscriber.subscribe(bytes(channel));
  }

  async psubscribe(pattern) {
    await this.subscriber.psubscribe(bytes(pattern));
  }

  async ssubscribe(channel) {
    await this.subscriber.ssubscribe(bytes(channel));
  }

  async unsubscribe(channel) {
    await this.subscriber.unsubscribe(bytes(channel));
  }

  async close() {
    this.subscriber.disconnect();
    this.publisher.disconnect();
  }
}

class NodeRedis extends Client {
  async open(version, options) {
    const { createClient } = require(`redis-${version}`);
    const create = () => createClient({ socket: { host: this.host, port: this.port }, ...options }).on("error", () => {});
    this.subscriber = create();
    this.publisher = create();
    await Promise.all([this.subscriber.connect(), this.publisher.connect()]);
    return this;
  }

  #note(kind, pattern) {
    return (payload, channel) =>
      this.received.push([kind, text(channel), text(payload), ...(pattern === undefined ? [] : [pattern])]);
  }

  publish(channel, payload) {
    return this.publisher.publish(bytes(channel), bytes(payload));
  }

  spublish(channel, payload) {
    return this.publisher.sPublish(bytes(channel), bytes(payload));
  }

  // It takes names of channels as text alone.
  async subscribe(channel) {
    await this.subscriber.subscribe(channel, this.#note("message"), true);
  }

  async psubscribe(pattern) {
    await this.subscriber.pSubscribe(pattern, this.#note("pmessage", pattern), true);
  }

  async ssubscribe(channel) {
    await this.subscriber.sSubscribe(channel, this.#note("smessage"), true);
  }

  async unsubscribe(channel) {
    await this.subscriber.unsubscribe(channel);
  }

  async close() {
    for (const client of [this.subscriber, this.publisher]) (client.destroy ?? client.disconnect).call(client);
  }
}

class RedisPy extends Client {
  #child;
  #answers = new Map();
  #confirmed = [];
  #numbers = 0;

  async open(protocol) {
    assert.ok(existsSync(PYTHON), `${PYTHON} is missing: scripts/test redis makes it, or set REDIS_PYTHON`);
    const script = join(here, "redis_py.py");
    this.#child = spawn(PYTHON, [script, this.host, this.port, String(protocol)], { stdio: ["pipe", "pipe", "inherit"] });
    running.add(this.#child);
    this.ended = new Promise((end) => this.#child.once("close", end)).finally(() => running.delete(this.#child));
    createInterface({ input: this.#child.stdout }).on("line", (line) => this.#heard(JSON.parse(line)));
    return this;
  }

  #heard({ number, value, error, lost, type, channel, data, pattern }) {
    if (number !== undefined) {
      const { done, fail } = this.#answers.get(number);
      this.#answers.delete(number);
      return error === undefined ? done(value) : fail(new Error(error));
    }
    if (lost !== undefined) return;
    if (type.endsWith("message")) this.received.push([type, channel, data, ...(pattern === null ? [] : [pattern])]);
    else this.#confirmed.push(`${type} ${channel}`);
  }

  #say(what, ...words) {
    const number = (this.#numbers += 1);
    const answer = new Promise((done, fail) => this.#answers.set(number, { done, fail }));
    this.#child.stdin.write(`${JSON.stringify({ number, do: what, words })}\n`);
    return answer;
  }

  publish(channel, payload) {
    return this.#say("publish", channel, payload);
  }

  spublish(channel, payload) {
    return this.#say("spublish", channel, payload);
  }

  async #confirm(what, channel) {
    this.#confirmed = [];
    await this.#say(what, channel);
    await eventually(`${this.name}: ${what}`, () => this.#confirmed.includes(`${what} ${channel}`));
  }

  subscribe(channel) {
    return this.#confirm("subscribe", channel);
  }

  psubscribe(pattern) {
    return this.#confirm("psubscribe", pattern);
  }

  ssubscribe(channel) {
    return this.#confirm("ssubscribe", channel);
  }

  unsubscribe(channel) {
    return this.#confirm("unsubscribe", channel);
  }

  async close() {
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}

/** Every client: its name, how to open one at an address, and whether it takes names of any bytes. */
export const CLIENTS = [
  ...["5", "6"].map((version) => ({
    name: `ioredis ${require(`ioredis-${version}/package.json`).version}`,
    open: (address) => new IoRedis(`ioredis ${version}`, address).open(version, {}),
    anyName: true,
  })),
  ...[
    ["4", {}, ""],
    ["6", {}, ""],
    ["6", { RESP: 2 }, ", RESP2"],
    ["6", { RESP: 3 }, ", RESP3"],
  ].map(([version, options, note]) => ({
    name: `node-redis ${require(`redis-${version}/package.json`).version}${note}`,
    open: (address) => new NodeRedis(`node-redis ${version}${note}`, address).open(version, options),
    anyName: false,
  })),
  ...[2, 3].map((protocol) => ({
    name: `redis-py, RESP${protocol}`,
    open: (address) => new RedisPy(`redis-py, RESP${protocol}`, address).open(protocol),
    anyName: true,
  })),
];
