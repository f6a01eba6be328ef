#!/usr/bin/env node
// redis-server, one process, without snapshots and append-only file, because nothing is kept in it.

import { free, options, ready } from "../common.mjs";
import { redisServer } from "./server.mjs";

const { port, core } = options("usage: bench/peers/redis/start.mjs [--port P] [--core N]: redis-server");
await free(port);
ready(await redisServer(core, port, `127.0.0.1:${port}`));
