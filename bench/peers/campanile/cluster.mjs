// A cluster of processes with default settings, for the start scripts of which it is a part.

import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { free, need, scratch, server, until } from "../common.mjs";

/** What options a script needs that starts one. */
export const CLUSTER = {
  gateways: { type: "string", default: "2" },
  "topic-servers": { type: "string", default: "2" },
  bin: { type: "string", default: "target/release/campanile" },
};

/**
 * Starts it at `port` and above: topic servers and gateways, all connected. `redis`: the gateways have a Redis front.
 * `urls`: whether clients of the measurement connect to it, and not something else that is started.
 */
export async function cluster({ port, core, redis = false, urls = true, ...given }) {
  const bin = resolve(given.bin);
  const version = need(bin, "--version", "cargo build --release, or name the program with --bin");
  const address = (index) => `127.0.0.1:${port + index}`;
  const numbers = (count) => Array.from({ length: Number(count) }, (_, index) => index);

  // Clients at the first ports, then links, then admin ports, then Redis clients.
  const gateways = numbers(given.gateways).map((index) => ({ name: `gw-${index}`, at: index }));
  const owners = numbers(given["topic-servers"]).map((index) => ({ name: `ts-${index}`, at: gateways.length + index }));
  const all = gateways.length + owners.length;
  await free(...numbers(2 * all + (redis ? gateways.length : 0)).map((index) => port + index));
  const members = owners.map(
    ({ name, at }) => `[[topic_server]]\nname = "${name}"\naddress = "${address(at)}"\nweight = 1\n`,
  );
  const ring = join(scratch(), "ring.toml");
  writeFileSync(ring, ["version = 1\nvirtual_nodes = 512\n", ...members].join("\n"));

  const common = ({ at }) => ["--ring", ring, "--admin", address(all + at), "--log", "warn"];
  // In its own folder, so that no ring.toml or campanile.toml that lies about is taken.
  const start = (role, url, args) => server(core, role, url, bin, args, { cwd: scratch() });
  for (const owner of owners) {
    start(`topic-server:${address(all + owner.at)}`, undefined, [
      "topic-server",
      "--name",
      owner.name,
      ...common(owner),
    ]);
    console.log(`link ${address(owner.at)}`);
  }
  const fronts = gateways.map(({ at }) => address(2 * all + at));
  for (const gateway of gateways) {
    const listen = address(gateway.at);
    const front = fronts[gateway.at];
    const url = redis ? front : listen;
    start(`gateway:${address(all + gateway.at)}`, urls ? url : undefined, [
      "gateway",
      "--listen",
      listen,
      ...(redis ? ["--redis", front] : []),
      "--name",
      gateway.name,
      ...common(gateway),
    ]);
  }
  // A gateway is ready with one link; here it must have all of them. Topic servers miss nobody.
  const isReady = async ({ at }) => {
    const answer = await fetch(`http://${address(all + at)}/readyz`).catch(() => undefined);
    return answer?.ok && ((await answer.json()).missing ?? []).length === 0;
  };
  await until("cluster", async () => (await Promise.all([...owners, ...gateways].map(isReady))).every(Boolean));
  return { version, fronts };
}
