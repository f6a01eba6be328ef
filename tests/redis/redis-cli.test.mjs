// redis-cli in several terminals, as the README shows it; what it prints is compared as bytes.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, test } from "node:test";

import { eventually } from "../clients/harness.mjs";
import { SERVERS } from "./servers.mjs";

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** One redis-cli and all that it printed. */
class Terminal {
  printed = Buffer.alloc(0);
  said = "";

  constructor(address, ...words) {
    const [host, port] = address.split(":");
    this.child = spawn("redis-cli", ["-h", host, "-p", port, ...words], { stdio: ["pipe", "pipe", "pipe"] });
    running.add(this.child);
    this.child.stdout.on("data", (bytes) => (this.printed = Buffer.concat([this.printed, bytes])));
    this.child.stderr.on("data", (bytes) => (this.said += bytes));
    this.ended = new Promise((end) => this.child.once("close", end)).finally(() => running.delete(this.child));
  }

  get text() {
    return this.printed.toString("latin1");
  }

  async prints(...lines) {
    const expected = lines.map((line) => `${line}\n`).join("");
    await eventually(`redis-cli prints ${JSON.stringify(expected)}`, () => this.text.length >= expected.length);
    assert.equal(this.text, expected);
    this.printed = Buffer.alloc(0);
  }

  async end() {
    this.child.kill("SIGKILL");
    await this.ended;
  }
}

/** What one redis-cli prints that ends by itself. */
async function cli(address, words, input) {
  const terminal = new Terminal(address, ...words);
  terminal.child.stdin.end(input);
  const code = await terminal.ended;
  assert.equal(code, 0, `redis-cli ${words.join(" ")} ended with ${code}: ${terminal.said}`);
  return terminal.text.trimEnd();
}

for (const { name, start } of SERVERS) {
  describe(name, () => {
    let server;
    const terminals = [];
    const terminal = (index, ...words) => {
      const one = new Terminal(server.address(index), ...words);
      terminals.push(one);
      return one;
    };
    before(async () => (server = await start()));
    after(async () => {
      await Promise.all(terminals.map((one) => one.end()));
      await server?.stop();
    });

    for (const [version, words] of [["RESP2", []], ["RESP3", ["-3"]]]) {
      test(`${version}: SUBSCRIBE here, PUBLISH there`, { timeout: 60_000 }, async () => {
        const channel = `news-${version}`;
        const one = terminal(0, ...words, "SUBSCRIBE", channel);
        await one.prints("subscribe", channel, "1");
        assert.equal(await cli(server.address(1), [...words, "PUBLISH", channel, "hello"]), "1");
        await one.prints("message", channel, "hello");

        const two = terminal(1, ...words, "PSUBSCRIBE", `n*-${version}`);
        await two.prints("psubscribe", `n*-${version}`, "1");
        assert.equal(await cli(server.address(0), [...words, "-x", "PUBLISH", channel], Buffer.from([0, 255, 13, 10, 7])), "2");
        const odd = Buffer.from([0, 255, 13, 10, 7]).toString("latin1");
        await one.prints("message", channel, odd);
        await two.prints("pmessage", `n*-${version}`, channel, odd);

        // Several commands on one connection.
        const lines = ["PING", `PUBSUB NUMSUB ${channel}`, `PUBLISH ${channel} "two words"`, "NOPE", "ECHO after"];
        assert.deepEqual((await cli(server.address(1), words, lines.join("\n"))).split("\n"), [
          "PONG",
          channel,
          "1",
          "2",
          "ERR unknown command 'NOPE', with args beginning with: ",
          "",
          "after",
        ]);
        await one.prints("message", channel, "two words");
        await two.prints("pmessage", `n*-${version}`, channel, "two words");
        await Promise.all([one.end(), two.end()]);
      });
    }

    test("after a crash it says so, and the next one works", { timeout: 60_000 }, async () => {
      const one = terminal(0, "SUBSCRIBE", "crash");
      await one.prints("subscribe", "crash", "1");
      await server.process(0).kill();
      assert.equal(await one.ended, 1);
      assert.match(one.said, /Server closed the connection/);
      await server.process(0).start();
      const again = terminal(0, "SUBSCRIBE", "crash");
      await again.prints("subscribe", "crash", "1");
      await eventually("the one that died is no longer counted", async () => {
        return (await cli(server.address(1), ["PUBSUB", "NUMSUB", "crash"])) === "crash\n1";
      });
      assert.equal(await cli(server.address(1), ["PUBLISH", "crash", "hello"]), "1");
      await again.prints("message", "crash", "hello");
    });
  });
}
