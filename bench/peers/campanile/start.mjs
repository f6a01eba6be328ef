#!/usr/bin/env node
// Campanile as it is compared: topic servers and gateways as processes of their own, default settings.

import { options, ready } from "../common.mjs";
import { CLUSTER, cluster } from "./cluster.mjs";

const given = options(
  "usage: bench/peers/campanile/start.mjs [--gateways N] [--topic-servers N] [--redis] [--port P] [--core N] [--bin FILE]: a cluster; --redis: with the addresses of its Redis fronts",
  { ...CLUSTER, redis: { type: "boolean", default: false } },
);
const { version } = await cluster(given);
ready(version);
