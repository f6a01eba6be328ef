// What the start scripts have in common: options, pinned processes, waiting until a port answers, and the end.
//
// A start script prints one line for each process, `server PID ROLE URL` (`-` where it serves no clients), where there
// are links `link ADDRESS` for each that takes them, one line `version …`, and `ready`. It ends its processes, each by its id, on SIGTERM, SIGINT, when one of them ends, or, with
// `--tied`, at the end of its stdin: with the program that started it, however that ends.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

const STARTING_MS = 15_000;
const ENDING_MS = 15_000;

const children = [];
let folder;
let ending;

/** `--port`, `--core` and options of the script's own; `--help` prints `about` and ends. */
export function options(about, own = {}) {
  const common = {
    port: { type: "string", default: "7500" },
    core: { type: "string", default: "0" },
    tied: { type: "boolean" },
    help: { type: "boolean" },
  };
  const { values } = parseArgs({ options: { ...common, ...own } });
  if (values.help) {
    console.log(`${about}

  --port P   the first of some ports in a row (default 7500)
  --core N   the processor core of all its processes, or "any" (default 0)
  --tied     end at the end of stdin`);
    process.exit(0);
  }
  if (values.tied) process.stdin.on("end", () => end(0)).resume();
  return { ...values, port: Number(values.port) };
}

/** A folder that is there until the end. */
export function scratch() {
  folder ??= mkdtempSync(join(tmpdir(), "campanile-bench-"));
  return folder;
}

/** Whether a program answers; otherwise says how to get it and ends. */
export function need(program, argument, how) {
  const asked = spawnSync(program, [argument], { encoding: "utf8" });
  if (asked.error || asked.status !== 0) {
    console.error(`missing: ${program}\n  get it: ${how}`);
    process.exit(3);
  }
  return (asked.stdout + asked.stderr).trim();
}

/** Starts a pinned process and tells of it. What it prints goes to stderr. */
export function server(core, role, url, program, args, more = {}) {
  if (core !== "any" && children.length === 0)
    need("taskset", "--version", "apt-get install util-linux, or pin nothing: --core any");
  const pinned = core === "any" ? [program, ...args] : ["taskset", "-c", core, program, ...args];
  const child = spawn(pinned[0], pinned.slice(1), { stdio: ["ignore", 2, 2], ...more });
  children.push(child);
  child.on("error", (error) => fail(`${role}: ${error.message}`));
  child.on("exit", (code, signal) => ending ?? fail(`${role} ended by itself: ${signal ?? code}`));
  if (child.pid) console.log(`server ${child.pid} ${role} ${url ?? "-"}`);
  return child;
}

/** Until `asked()` is true, or the starting time is over. */
export async function until(what, asked) {
  const end = Date.now() + STARTING_MS;
  while (!(await asked())) {
    if (Date.now() > end) return fail(`${what}: not within ${STARTING_MS / 1000} s`);
    await pause(50);
  }
}

/** Whether something listens there. */
function taken(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => (socket.destroy(), resolve(true))).on("error", () => resolve(false));
  });
}

/** Until something listens there. */
export function listening(port) {
  return until(`port ${port}`, () => taken(port));
}

/** Fails unless these ports are free: a server that somebody else runs must not be taken for ours. */
export async function free(...ports) {
  for (const port of ports) {
    if (await taken(port)) await fail(`port ${port} is taken: choose others with --port`);
  }
}

/** Tells that all is up, and waits for the end. */
export function ready(version) {
  console.log(`version ${version}`);
  console.log("ready");
}

async function fail(what) {
  console.error(what);
  await end(1);
}

/** Ends every process by its id: asks, then makes it. */
function end(code) {
  ending ??= (async () => {
    const gone = children.map((child) =>
      child.pid === undefined || child.exitCode !== null || child.signalCode !== null
        ? undefined
        : new Promise((resolve) => child.on("exit", resolve)),
    );
    children.forEach((child, index) => gone[index] && child.kill("SIGTERM"));
    const late = setTimeout(() => children.forEach((child) => child.exitCode ?? child.kill("SIGKILL")), ENDING_MS);
    await Promise.all(gone);
    clearTimeout(late);
    if (folder) rmSync(folder, { recursive: true, force: true });
    process.exit(code);
  })();
  return ending;
}

process.on("SIGTERM", () => end(0));
process.on("SIGINT", () => end(0));
