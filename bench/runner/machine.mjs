// What the figures were measured on.

import { spawnSync } from "node:child_process";
import { cpus, release, totalmem, type } from "node:os";

const git = (...args) => spawnSync("git", args, { encoding: "utf8" }).stdout?.trim() ?? "";

/** Machine, commit and date. */
export function about(now = new Date()) {
  const [cpu] = cpus();
  return {
    machine: {
      processor: `${cpu?.model.trim() ?? "unknown"}, ${cpus().length} cores`,
      memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
      system: `${type()} ${release().split(".").slice(0, 2).join(".")}, loopback, no TLS`,
    },
    commit:
      (git("rev-parse", "--short=7", "HEAD") || "unknown") +
      (git("status", "--porcelain", "--untracked-files=no") ? " with changes" : ""),
    date: now.toISOString().slice(0, 10),
  };
}
