#!/usr/bin/env node
// Socket.IO with the Redis adapter: two nodes and one Redis.
//
// As their manuals recommend for production: NODE_ENV=production, WebSocket alone, no compression, the native add-on
// bufferutil; Redis without snapshots and append-only file, because nothing is kept in it.

import { free, listening, need, options, ready, server } from "../common.mjs";
import { redisServer } from "../redis/server.mjs";
import { here, packages, versions } from "./packages.mjs";

const { port, core } = options(
  "usage: bench/peers/socketio-redis/start.mjs [--port P] [--core N]: two Socket.IO nodes and Redis",
);
need("redis-server", "--version", "apt-get install redis-server");
packages();

const redis = port + 2;
await free(port, port + 1, redis);
const redisVersion = await redisServer(core, redis);
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
ready(`${versions()}, ${redisVersion}`);
