#!/usr/bin/env node
// Socket.IO with the Redis adapter: two nodes and one Redis.
//
// As their manuals recommend for production: NODE_ENV=production, WebSocket alone, no compression, the native add-on
// bufferutil; Redis without snapshots and append-only file, because nothing is kept in it.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { free, listening, need, options, ready, scratch, server } from "../common.mjs";

const { port, core } = options(
  "usage: bench/peers/socketio-redis/start.mjs [--port P] [--core N]: two Socket.IO nodes and Redis",
);
need("redis-server", "--version", "apt-get install redis-server");
const here = fileURLToPath(new URL(".", import.meta.url));
if (!existsSync(`${here}/node_modules/socket.io`)) {
  const installed = spawnSync("npm", ["ci", "--omit=dev"], { cwd: here, stdio: ["ignore", 2, 2] });
  if (installed.status !== 0) {
    console.error(`missing: npm's packages\n  get them: npm ci, in ${here}`);
    process.exit(3);
  }
}

const redis = port + 2;
await free(port, port + 1, redis);
server(core, "redis", undefined, "redis-server", [
  ...["--bind", "127.0.0.1", "--port", String(redis), "--save", "", "--appendonly", "no", "--dir", scratch()],
  ...["--logfile", `${scratch()}/redis.log`],
]);
await listening(redis);
const env = { ...process.env, NODE_ENV: "production" };
for (const own of [port, port + 1]) {
  server(
    core,
    `socketio-${own - port}`,
    `127.0.0.1:${own}`,
    process.execPath,
    ["server.mjs", String(own), String(redis)],
    { cwd: here, env },
  );
}
await Promise.all([listening(port), listening(port + 1)]);
const version = (name) => JSON.parse(readFileSync(`${here}/node_modules/${name}/package.json`, "utf8")).version;
const redisVersion = need("redis-server", "--version", "").match(/v=([\d.]+)/)?.[1];
ready(
  `Socket.IO ${version("socket.io")}, Redis adapter ${version("@socket.io/redis-adapter")}, Redis ${redisVersion}, Node.js ${process.versions.node}`,
);
