// redis-server as it is compared: one process that keeps nothing, as for pub/sub alone.

import { listening, need, scratch, server } from "../common.mjs";

/** Starts it at `port`; gives its version once it listens. `url`: what clients of the measurement connect to, if to it. */
export async function redisServer(core, port, url) {
  const version = need("redis-server", "--version", "apt-get install redis-server");
  server(core, "redis", url, "redis-server", [
    ...["--bind", "127.0.0.1", "--port", String(port), "--save", "", "--appendonly", "no", "--dir", scratch()],
    ...["--logfile", `${scratch()}/redis.log`],
  ]);
  await listening(port);
  return `Redis ${version.match(/v=([\d.]+)/)?.[1]}`;
}
