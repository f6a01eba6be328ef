// resume-by-hand.mjs prints what its comments promise.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Door } from "../../clients/js/tests/door.mjs";
import { Cluster, eventually } from "../../tests/clients/harness.mjs";
import { Terminal } from "./terminal.mjs";

let cluster;
let door;
let child;
before(async () => (cluster = await Cluster.start()));
after(async () => {
  child?.kill("SIGKILL");
  await door?.end();
  await cluster?.stop();
});

test("through lost connections and a lost topic server", { timeout: 90_000 }, async () => {
  const topic = "topics:by-hand";
  door = await Door.to(cluster.gateways[0]);
  const script = fileURLToPath(new URL("../resume-by-hand.mjs", import.meta.url));
  child = spawn(process.execPath, [script, `ws://${door.address}/socket`, topic], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  const prints = async (...expected) => {
    await eventually(expected.at(-1), () => lines.length >= expected.length);
    assert.deepEqual(lines.splice(0), expected);
  };

  await prints("joined after 0");
  const terminal = await Terminal.open(cluster.gateways[1]);
  await terminal.say(["1", "1", topic, "phx_join", {}]);
  let n = 0;
  const publish = () => terminal.say(["1", String(++n + 1), topic, "publish", ["event", { n }]]);
  await publish();
  await prints("1 { n: 1 }");

  door.close();
  await publish();
  await publish();
  await terminal.sayBytes("1", topic, "bytes", [4]); // not printed, but counted
  door.open();
  await prints("joined after 1", "2 { n: 2 }", "3 { n: 3 }");
  // The connection may break before the bytes have come. Then they come after the next join.
  await eventually("the bytes are counted", async () => {
    door.cut(cluster.gateways[1]);
    await eventually("the next join", () => lines.length > 0);
    return lines.shift() === "joined after 4";
  });

  const owner = cluster.topicServers.get(await cluster.owner(topic));
  await owner.kill();
  await owner.start();
  await prints("lost what came after 4 and up to 0");
  await publish();
  await prints("1 { n: 4 }");
  await terminal.close();
});
