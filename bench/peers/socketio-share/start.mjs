#!/usr/bin/env node
// Three Socket.IO servers and what is between them: redis-server, or a cluster's Redis front.

import { free, listening, options, ready, server } from "../common.mjs";
import { CLUSTER, cluster } from "../campanile/cluster.mjs";
import { redisServer } from "../redis/server.mjs";
import { here, packages, versions } from "../socketio-redis/packages.mjs";

const given = options(
  "usage: bench/peers/socketio-share/start.mjs --on redis|campanile-redis [--mode sharded|classic] [--port P] [--core N] [--bin FILE]: three Socket.IO servers",
  { ...CLUSTER, on: { type: "string", default: "redis" }, mode: { type: "string", default: "sharded" } },
);
const { port, core, mode } = given;
packages();

const own = [port, port + 1, port + 2];
await free(...own);
const between = port + own.length;
let fronts = [`127.0.0.1:${between}`];
let version;
if (given.on === "redis") {
  await free(between);
  version = await redisServer(core, between);
} else {
  ({ version, fronts } = await cluster({ ...given, port: between, redis: true, urls: false }));
}
const env = { ...process.env, NODE_ENV: "production" };
for (const [index, at] of own.entries()) {
  const args = ["share-server.mjs", String(at), fronts[index % fronts.length], mode];
  server(core, `socketio-${index}`, `127.0.0.1:${at}`, process.execPath, args, { cwd: here, env });
}
await Promise.all(own.map(listening));
ready(`${versions()}, ${version}`);
