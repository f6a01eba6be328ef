// What the tests run against: a real redis-server, which is the reference, and gateways with a Redis front.
//
// Both look alike from here: some addresses, of which the second and the third are other ways to the same channels, and
// which of their processes a test may end and start again. REDIS_TESTS_ON names the servers, both by default; a
// `host:port` in place of `redis` takes a server that somebody else runs, for the tests that end none.

import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { Cluster, freePorts } from "../clients/harness.mjs";

const START_MS = 20_000;

const running = new Set();
const folders = new Set();
process.on("exit", () => {
  running.forEach((child) => child.kill("SIGKILL"));
  folders.forEach((folder) => rmSync(folder, { recursive: true, force: true }));
});

/** One redis-server, as a gateway looks in the harness. */
class RedisServer {
  #child = null;
  #ended = null;
  #folder;
  address = "";

  get pid() {
    return this.#child?.pid;
  }

  /** Resolves once it serves. A second start listens where the first did. */
  async start() {
    if (!this.address) {
      this.address = `127.0.0.1:${(await freePorts(1))[0]}`;
      this.#folder = await mkdtemp(join(tmpdir(), "campanile-redis-"));
      folders.add(this.#folder);
    }
    // One database, because pub/sub knows none and a gateway has one.
    const words = {
      bind: "127.0.0.1",
      port: this.address.split(":")[1],
      databases: "1",
      save: "",
      appendonly: "no",
      dir: this.#folder,
    };
    const args = Object.entries(words).flatMap(([name, value]) => [`--${name}`, value]);
    const child = spawn(process.env.REDIS_SERVER || "redis-server", args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    running.add(child);
    const lines = [];
    this.#ended = new Promise((end) => {
      child.once("error", (error) => end(error.message));
      child.once("close", (code, signal) => end(signal ?? code));
    }).finally(() => running.delete(child));
    let timer;
    const serving = new Promise((found, fail) => {
      timer = setTimeout(() => fail(new Error(`redis-server did not serve in time\n${lines.join("\n")}`)), START_MS);
      for (const input of [child.stdout, child.stderr]) {
        createInterface({ input }).on("line", (line) => {
          lines.push(line);
          if (line.includes("Ready to accept connections")) found();
        });
      }
      this.#ended.then((how) => fail(new Error(`redis-server ended at its start with ${how}\n${lines.join("\n")}`)));
    });
    await serving.finally(() => clearTimeout(timer));
  }

  /** Ends it at once, as a crash would. */
  async kill() {
    this.#child?.kill("SIGKILL");
    await this.#ended;
    this.#child = null;
  }
}

/** redis-server: every address is the same one. */
class Redis {
  name = "redis-server";
  #server = new RedisServer();

  static async start() {
    const redis = new Redis();
    await redis.#server.start();
    return redis;
  }

  address() {
    return this.#server.address;
  }

  /** The process at address `index`. */
  process() {
    return this.#server;
  }

  stop() {
    return this.#server.kill();
  }
}

/** A redis-server that somebody else runs. */
class Foreign {
  constructor(at) {
    this.name = at;
  }

  address() {
    return this.name;
  }

  process() {
    throw new Error(`${this.name} is not ours to end`);
  }

  async stop() {}
}

/** Gateways with a Redis front and two topic servers. */
class Campanile {
  name = "campanile";

  static async start({ gateways = 2, config = "" } = {}) {
    const campanile = new Campanile();
    campanile.cluster = await Cluster.start({ gateways, config, redis: true });
    return campanile;
  }

  /** The Redis address of gateway `index`; there are as many addresses as anybody asks for. */
  address(index) {
    return this.process(index).redisAddress;
  }

  process(index) {
    const { gateways } = this.cluster;
    return gateways[index % gateways.length];
  }

  stop() {
    return this.cluster.stop();
  }
}

/** The servers to test: a name and how to start it, the reference first. */
export const SERVERS = (process.env.REDIS_TESTS_ON || "redis,campanile").split(",").map((name) => {
  if (name === "redis") return { name: "redis-server", start: () => Redis.start() };
  if (name === "campanile") return { name, start: (options) => Campanile.start(options) };
  return { name, start: async () => new Foreign(name) };
});

/** The reference, whatever else is tested. */
export const REFERENCE = { name: "redis-server", start: () => Redis.start() };
