// npm's packages of this folder, fetched at the first start.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const here = fileURLToPath(new URL(".", import.meta.url));

/** Fetches them unless they are there. */
export function packages() {
  if (existsSync(`${here}/node_modules/socket.io`)) return;
  const installed = spawnSync("npm", ["ci", "--omit=dev"], { cwd: here, stdio: ["ignore", 2, 2] });
  if (installed.status !== 0) {
    console.error(`missing: npm's packages\n  get them: npm ci, in ${here}`);
    process.exit(3);
  }
}

/** Their versions, in words. */
export function versions() {
  const version = (name) => JSON.parse(readFileSync(`${here}/node_modules/${name}/package.json`, "utf8")).version;
  return `Socket.IO ${version("socket.io")}, Redis adapter ${version("@socket.io/redis-adapter")}, Node.js ${process.versions.node}`;
}
