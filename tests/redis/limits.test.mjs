// Very many subscriptions on one connection, and commands that claim to be very long.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";

import { eventually } from "../clients/harness.mjs";
import { Raw, value } from "./resp.mjs";
import { SERVERS } from "./servers.mjs";

const MANY = 10_000;
const MIB = 1 << 20;
const HEADER_GROWS_BY_AT_MOST = 8 * MIB;

/** The most memory that a process has had, in bytes. */
async function peak(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return 1024 * Number(status.match(/VmHWM:\s+(\d+) kB/)[1]);
}

for (const { name, start } of SERVERS) {
  describe(name, () => {
    let server;
    const connections = [];
    const connect = async (index) => {
      const raw = await Raw.connect(server.address(index));
      connections.push(raw);
      return raw;
    };
    before(async () => (server = await start()));
    after(async () => {
      connections.forEach((raw) => raw.close());
      await server?.stop();
    });

    for (const [how, commands] of [
      ["one command", (names) => [["SUBSCRIBE", ...names]]],
      ["a pipeline", (names) => names.map((one) => ["SUBSCRIBE", one])],
    ]) {
      test(`${MANY} subscriptions on one connection, by ${how}`, { timeout: 60_000 }, async () => {
        const names = Array.from({ length: MANY }, (_, number) => `many-${how}-${number}`);
        const [one, other] = [await connect(0), await connect(1)];
        one.send(...commands(names));
        await one.until(() => one.values.length >= MANY, 30_000);
        const replies = one.values.splice(0).map(value);
        assert.deepEqual(replies, names.map((each, index) => ["subscribe", each, index + 1]));

        const some = names.filter((_, index) => index % 37 === 0);
        other.send(...some.map((each) => ["PUBLISH", each, `to ${each}`]));
        await other.until(() => other.values.length >= some.length);
        assert.deepEqual(other.values.splice(0).map(value), some.map(() => 1));
        await one.until(() => one.values.length >= some.length);
        // Names are topics of their own: among them there is no order.
        const came = one.values.splice(0).map(value).sort();
        assert.deepEqual(came, some.map((each) => ["message", each, `to ${each}`]).sort());

        one.send(["UNSUBSCRIBE", ...names]);
        await one.until(() => one.values.length >= MANY, 30_000);
        assert.deepEqual(one.values.splice(0).map(value), names.map((each, index) => ["unsubscribe", each, MANY - 1 - index]));
        assert.equal(await one.ask("PING"), "PONG");
        assert.equal(await other.ask(["PUBLISH", names[0], "nobody"]), 0);
        one.send(["SUBSCRIBE", ...names]);
        await one.until(() => one.values.length >= MANY, 30_000);
        one.close();
        await eventually("a connection that ends leaves nothing", async () => {
          return (await other.ask(["PUBSUB", "NUMSUB", ...names])).every((count, index) => index % 2 === 0 || count === 0);
        });
      });
    }

    // Redis takes 512 MB, a gateway 1 MiB.
    const longest = name === "campanile" ? MIB : 512 * MIB;
    for (const length of new Set([longest + 1, 512 * MIB + 1])) {
      test(`a header of ${length} bytes is refused before memory is taken`, { timeout: 60_000 }, async () => {
        const watcher = await connect(1);
        watcher.send("SUBSCRIBE x");
        await watcher.next();
        const before = await peak(server.process(0).pid);
        for (let round = 0; round < 20; round += 1) {
          const raw = await connect(0);
          raw.write(`*3\r\n$7\r\nPUBLISH\r\n$1\r\nx\r\n$${length}\r\n`);
          assert.equal((await raw.next()).toString(), "-ERR Protocol error: invalid bulk length\r\n");
          await raw.until(() => false);
          assert.ok(raw.closed, "the connection is closed");
        }
        const grown = (await peak(server.process(0).pid)) - before;
        assert.ok(grown < HEADER_GROWS_BY_AT_MOST, `its memory grew by ${grown} bytes`);
        assert.deepEqual((await watcher.barrier()).taken, []);
      });
    }

    if (name === "campanile") {
      test("a payload of 1 MiB goes through", { timeout: 60_000 }, async () => {
        const [one, other] = [await connect(0), await connect(1)];
        one.send("SUBSCRIBE longest");
        await one.next();
        const longest = Buffer.alloc(MIB, "longest");
        assert.equal(await other.ask(["PUBLISH", "longest", longest]), 1);
        const came = await one.next();
        assert.ok(came.includes(longest), `${came.length} bytes came`);
      });
    }
  });
}
