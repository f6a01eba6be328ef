#!/usr/bin/env node
// NATS, a cluster of two nodes, over WebSocket.
//
// Core NATS with its defaults: no JetStream, no TLS, no compression, no traces.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { free, listening, need, options, ready, scratch, server, until } from "../common.mjs";

const { port, core } = options("usage: bench/peers/nats/start.mjs [--port P] [--core N]: a NATS cluster of two nodes");
const version = need("nats-server", "--version", "apt-get install nats-server");

const nodes = [0, 1].map((index) => ({
  name: `nats-${index}`,
  websocket: port + index,
  client: port + 2 + index,
  cluster: port + 4 + index,
  monitor: port + 6 + index,
}));
await free(...nodes.flatMap(({ websocket, client, cluster, monitor }) => [websocket, client, cluster, monitor]));
for (const node of nodes) {
  const file = join(scratch(), `${node.name}.conf`);
  writeFileSync(
    file,
    `server_name: ${node.name}
listen: "127.0.0.1:${node.client}"
http: "127.0.0.1:${node.monitor}"
websocket { listen: "127.0.0.1:${node.websocket}", no_tls: true }
cluster {
  name: bench
  listen: "127.0.0.1:${node.cluster}"
  routes: [${nodes.map(({ cluster }) => `"nats://127.0.0.1:${cluster}"`).join(", ")}]
}
`,
  );
  server(core, node.name, `127.0.0.1:${node.websocket}`, "nats-server", [
    "--config",
    file,
    "--log",
    join(scratch(), `${node.name}.log`),
  ]);
}
await Promise.all(nodes.map(({ websocket }) => listening(websocket)));
const routed = async ({ monitor }) => {
  const answer = await fetch(`http://127.0.0.1:${monitor}/routez`).catch(() => undefined);
  return answer?.ok && (await answer.json()).num_routes > 0;
};
await until("the route between the nodes", async () => (await Promise.all(nodes.map(routed))).every(Boolean));
ready(version.replace(/^nats-server: v?/, "NATS "));
