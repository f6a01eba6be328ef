// Starts real processes of the binary: topic servers on a ring of their own, and gateways; and ends exactly those.
//
// It knows no client protocol and needs no package, so the browser tests use it as well.

import { execFile, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const BINARY = resolve(process.env.CAMPANILE || join(here, "../../target/debug/campanile"));
const START_MS = 20_000;
const LINES_KEPT = 60;

// Every process of ours that runs and every folder that we made. They end with this process, however it ends.
const running = new Set();
const folders = new Set();
process.on("exit", () => {
  running.forEach((child) => child.kill("SIGKILL"));
  folders.forEach((folder) => rmSync(folder, { recursive: true, force: true }));
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** Waits until `condition` gives a truthy value, and returns it; fails with `what` when it never does. */
export async function eventually(what, condition, milliseconds = 15_000) {
  const end = performance.now() + milliseconds;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`waited ${milliseconds} ms in vain: ${what}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}

/** One process: a gateway or a topic server. */
class Server {
  #role;
  #options;
  #child = null;
  #ended = null;
  #lines = [];

  /** `host:port`, as printed at the first start. */
  address = "";
  /** The same of a gateway's Redis front, if it was asked for. */
  redisAddress = "";

  constructor(role, options) {
    this.#role = role;
    this.#options = options;
  }

  /** The process's id while it runs. */
  get pid() {
    return this.#child?.pid;
  }

  /** Resolves once it listens. A second start listens where the first did. */
  async start() {
    const options = { ...this.#options };
    if (this.address) options.listen = this.address;
    if (this.redisAddress) options.redis = this.redisAddress;
    const words = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    // A setting of the person who runs the tests is none of the tests' settings.
    const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("CAMPANILE_"));
    const child = spawn(BINARY, [this.#role, ...words], { env: Object.fromEntries(kept), stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    running.add(child);
    this.#ended = new Promise((end) => {
      child.once("error", (error) => this.#keep(error.message));
      child.once("close", (code, signal) => {
        running.delete(child);
        end({ code, signal });
      });
    });
    createInterface({ input: child.stderr }).on("line", (line) => this.#keep(line));
    const listening = new Promise((found) => {
      const addresses = new Map();
      createInterface({ input: child.stdout }).on("line", (line) => {
        this.#keep(line);
        const match = line.match(/^listening (\S+) (\S+)$/);
        if (match) addresses.set(match[1], match[2]);
        if (addresses.has(this.#role) && (addresses.has("redis") || !options.redis)) found(addresses);
      });
    });
    let timer;
    const late = new Promise((_, fail) => (timer = setTimeout(() => fail(this.#failure("did not listen in time")), START_MS)));
    const died = this.#ended.then(({ code, signal }) => {
      throw this.#failure(`ended at its start with ${signal ?? code}`);
    });
    died.catch(() => {});
    const addresses = await Promise.race([listening, died, late]).finally(() => clearTimeout(timer));
    this.address = addresses.get(this.#role);
    this.redisAddress = addresses.get("redis") ?? "";
  }

  /** Asks it to drain; resolves with its exit code. */
  async stop() {
    return this.#end("SIGTERM");
  }

  /** Ends it at once, as a crash would. */
  async kill() {
    return this.#end("SIGKILL");
  }

  async #end(signal) {
    if (!this.#child) return null;
    this.#child.kill(signal);
    const { code } = await this.#ended;
    this.#child = null;
    return code;
  }

  #keep(line) {
    this.#lines.push(line);
    if (this.#lines.length > LINES_KEPT) this.#lines.shift();
  }

  #failure(what) {
    return new Error(`${BINARY} ${this.#role}: ${what}\n${this.#lines.join("\n")}`);
  }
}

/** Topic servers ts-a, ts-b, … and gateways, each a process, with a ring file in a folder of their own. */
export class Cluster {
  topicServers = new Map(); // name → Server
  gateways = [];
  #ring;

  /** `config`: the text of a config file for all of them; `redis`: whether the gateways have a Redis front. */
  static async start({ topicServers = 2, gateways = 2, config = "", redis = false } = {}) {
    const cluster = new Cluster();
    try {
      await cluster.#start(topicServers, gateways, config, redis);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async #start(topicServers, gateways, config, redis) {
    const folder = await mkdtemp(join(tmpdir(), "campanile-"));
    folders.add(folder);
    this.#ring = join(folder, "ring.toml");
    const names = Array.from({ length: topicServers }, (_, index) => `ts-${String.fromCharCode(97 + index)}`);
    const ports = await freePorts(names.length);
    const members = names.map((name, index) => `[[topic_server]]\nname = "${name}"\naddress = "127.0.0.1:${ports[index]}"\nweight = 1\n`);
    await writeFile(this.#ring, ["version = 1\nvirtual_nodes = 512\n", ...members].join("\n"));
    const both = { ring: this.#ring, config: join(folder, "campanile.toml") };
    await writeFile(both.config, config);
    for (const name of names) this.topicServers.set(name, new Server("topic-server", { name, ...both }));
    const listen = "127.0.0.1:0";
    const front = redis ? { redis: listen } : {};
    const drain = { "drain-seconds": 1 };
    for (let index = 0; index < gateways; index++) this.gateways.push(new Server("gateway", { listen, ...front, ...both, ...drain }));
    await Promise.all([...this.topicServers.values()].map((server) => server.start()));
    await Promise.all(this.gateways.map((gateway) => gateway.start()));
  }

  /** The name of the topic server that owns the topic, as the binary says. */
  async owner(topic) {
    const { stdout } = await promisify(execFile)(BINARY, ["ring", "owner", this.#ring, topic]);
    return stdout.trim();
  }

  async stop() {
    await Promise.all([...this.gateways, ...this.topicServers.values()].map((server) => server.kill()));
  }
}

/**
 * Ports that are free now and below those the system hands out by itself: between this moment and the start of a
 * topic server, no connection and no listener on port 0 can take one of them.
 */
export async function freePorts(count) {
  const range = await readFile("/proc/sys/net/ipv4/ip_local_port_range", "utf8").catch(() => "32768 60999");
  const above = Math.max(20_000, Number.parseInt(range, 10));
  const ports = new Set();
  while (ports.size < count) {
    const port = 10_000 + Math.floor(Math.random() * (above - 10_000));
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port) {
  return new Promise((answer) => {
    const server = createServer();
    server.once("error", () => answer(false));
    server.listen(port, "127.0.0.1", () => server.close(() => answer(true)));
  });
}
