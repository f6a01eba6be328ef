// websocat.md is true: every line of it is typed, and what it says is printed, in that order.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { Cluster, eventually } from "../../tests/clients/harness.mjs";
import { Terminal } from "./terminal.mjs";

let cluster;
before(async () => (cluster = await Cluster.start()));
after(() => cluster?.stop());

test("websocat.md", { timeout: 90_000 }, async () => {
  const page = await readFile(new URL("../websocat.md", import.meta.url), "utf8");
  const blocks = Array.from(page.matchAll(/```json (type|printed) (\w+)(.*)\n([^]*?)```/g), ([, what, who, when, lines]) => {
    return { what, who, when: when.trim(), lines: lines.trim().split("\n") };
  });
  assert.equal(blocks.length, page.split("```json").length - 1, "every block says what it is");

  const terminals = new Map();
  const open = async (who) => terminals.set(who, await Terminal.open(cluster.gateways[who === "one" ? 0 : 1]));
  const moments = {
    "": () => {},
    "after terminal one has ended": () => terminals.get("one").close(),
    "after the owner was killed and started again": async () => {
      const owner = cluster.topicServers.get(await cluster.owner("topics:matrix"));
      await owner.kill();
      await owner.start();
    },
  };
  const epochs = new Map(); // of the page → of this run
  const translate = (line) => [...epochs].reduce((line, [theirs, ours]) => line.replaceAll(theirs, ours), line);
  const body = (frame) => frame[4].response ?? frame[4];

  for (const { what, who, when, lines } of blocks) {
    if (!terminals.has(who)) await open(who);
    const terminal = terminals.get(who);
    await moments[when]();
    for (const line of lines) {
      if (what === "type") {
        await terminal.say(JSON.parse(translate(line)));
        continue;
      }
      await eventually(`${who} prints ${line}`, () => terminal.printed.length > 0);
      const [printed, expected] = [terminal.printed.shift(), JSON.parse(line)];
      const { epoch } = body(expected);
      if (epoch && !epochs.has(epoch)) epochs.set(epoch, body(printed).epoch);
      assert.deepEqual(printed, JSON.parse(translate(line)), who);
    }
  }
  const rest = [...terminals].map(([who, { printed }]) => [who, printed]);
  // The plain channel saw the last message, too, and is not told of the loss.
  const last = ["1", null, "topics:matrix", "event", { message: "he is the one" }];
  await eventually("terminal two", () => terminals.get("two").printed.length > 0);
  assert.deepEqual(rest, [["one", []], ["two", [last]], ["again", []]]);
  assert.equal(new Set(epochs.values()).size, 2);
  for (const terminal of terminals.values()) await terminal.close();
});
