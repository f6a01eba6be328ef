// The declarations fit the code, @types/phoenix and what users write; README's example runs as it stands.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import * as code from "../index.js";
import { Cluster } from "../../../tests/clients/harness.mjs";

const run = promisify(execFile);
const folder = join(dirname(fileURLToPath(import.meta.url)), "..");

let cluster;
before(async () => (cluster = await Cluster.start({ topicServers: 1, gateways: 1 })));
after(() => cluster?.stop());

test("the declarations", async () => {
  const tsc = join(folder, "node_modules/typescript/bin/tsc");
  const options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"];
  await run(process.execPath, [tsc, ...options, join(folder, "tests/types.ts")]).catch((error) => assert.fail(error.stdout));
  const declared = (await readFile(join(folder, "index.d.ts"), "utf8")).matchAll(/^export (?:class|function) (\w+)/gm);
  assert.deepEqual(Array.from(declared, ([, name]) => name).sort(), Object.keys(code).sort());
});

test("README's example", async () => {
  const readme = await readFile(join(folder, "README.md"), "utf8");
  const [, example] = readme.match(/```js\n([^]*?)```/);
  assert.ok(example.split("\n").length <= 21, "twenty lines");
  const here = example.replace("ws://127.0.0.1:4000/socket", `ws://${cluster.gateways[0].address}/socket`);
  assert.notEqual(here, example);
  const ends = `${here}\nsetTimeout(() => process.exit(), 300);`; // the example itself stays connected
  const { stdout, stderr } = await run(process.execPath, ["--input-type=module", "--eval", ends], { cwd: folder });
  assert.equal(stderr, "");
  assert.deepEqual(stdout.trim().split("\n").sort(), ["1 { message: 'follow the white rabbit' }", "published at 1"]);
});

test("the code stays small", async () => {
  const lines = (await readFile(join(folder, "index.js"), "utf8")).split("\n").length;
  assert.ok(lines < 200, `${lines} lines`);
});
