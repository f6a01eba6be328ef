// Starts a system through its script in bench/peers, and ends it; or takes one that somebody has running.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** What runs now, to be ended with this program. */
export const running = new Set();

let ending = false;

/** Ends all that runs; nothing is started any more. */
export async function endAll() {
  ending = true;
  const gone = [...running].map((child) => new Promise((resolve) => child.on("exit", resolve)));
  running.forEach((child) => child.kill("SIGTERM"));
  await Promise.all(gone);
}

/** Starts a process, unless all is ending: then whoever asks waits for the end. */
export async function launch(program, args, stdio) {
  if (ending) await new Promise(() => {});
  const child = spawn(program, args, { stdio });
  running.add(child);
  child.on("close", () => running.delete(child)).on("error", () => running.delete(child));
  return child;
}

/** Reads a start script's lines: processes with their roles, URLs, addresses of links, version. */
export function reader() {
  const system = { urls: [], links: [], pids: [], roles: new Map(), version: "", ready: false };
  const take = (line) => {
    const [word, ...rest] = line.split(" ");
    if (word === "server") {
      const [pid, role, url] = rest;
      system.pids.push(Number(pid));
      system.roles.set(Number(pid), role);
      if (url !== "-") system.urls.push(url);
    } else if (word === "link") {
      system.links.push(rest[0]);
    } else if (word === "version") {
      system.version = rest.join(" ");
    } else if (word === "ready") {
      system.ready = true;
    }
  };
  return { system, take };
}

/** Starts `bench/peers/NAME/start.mjs`; fulfilled when it is ready. */
export async function start(name, args) {
  const child = await launch(`bench/peers/${name}/start.mjs`, [...args, "--tied"], ["pipe", "pipe", "pipe"]);
  const exited = new Promise((resolve) => {
    child.on("exit", (code) => resolve(code));
    child.on("error", (error) => resolve(error.message));
  });
  const said = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    said.push(line);
    if (said.length > 20) said.shift();
  });
  const { system, take } = reader();
  const ready = new Promise((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      take(line);
      if (system.ready) resolve();
    });
  });
  const early = await Promise.race([ready, exited.then((code) => ({ code }))]);
  if (early) throw new Error(`${name} did not start (${early.code}):\n${said.join("\n")}`);
  const stop = async () => {
    child.kill("SIGTERM");
    await exited;
  };
  return { ...system, stop };
}

/** Reads `--running 'TITLE=PROTOCOL,URL,…,pid:N,…'`: a system that somebody has running. */
export function parseRunning(text) {
  const [title, rest] = [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)];
  const [protocol, ...parts] = rest.split(",");
  const pids = parts.filter((part) => part.startsWith("pid:")).map((part) => Number(part.slice(4)));
  const urls = parts.filter((part) => !part.startsWith("pid:"));
  if (!text.includes("=") || !title || urls.length === 0 || pids.some((pid) => !(pid > 0))) {
    throw new Error(`--running ${text}: expected TITLE=PROTOCOL,URL,…,pid:N,…`);
  }
  const system = { urls, pids, roles: new Map(), version: title, stop: async () => {} };
  return { name: title, title, protocol, group: protocol === "redis" ? "redis" : undefined, started: system };
}
