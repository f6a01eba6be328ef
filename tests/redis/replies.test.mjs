// The same bytes to redis-server and to gateways: every reply and every push compared, byte by byte.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { eventually } from "../clients/harness.mjs";
import { differences, run } from "./compare.mjs";
import { Raw } from "./resp.mjs";
import { REFERENCE, SERVERS } from "./servers.mjs";
import commands from "./scripts/commands.mjs";
import framing from "./scripts/framing.mjs";
import subscribing from "./scripts/subscribing.mjs";

const only = process.env.REDIS_SCRIPT;
const SCRIPTS = [...commands, ...framing, ...subscribing].filter(({ name }) => !only || name.includes(only));

/** A script begins where nobody is subscribed to anything. */
async function quiet(server) {
  for (const index of [0, 1]) {
    const raw = await Raw.connect(server.address(index));
    await eventually(`nobody is subscribed any more at ${server.name}`, async () => {
      const left = await Promise.all([raw.ask("PUBSUB CHANNELS")]);
      left.push(await raw.ask("PUBSUB SHARDCHANNELS"), await raw.ask("PUBSUB NUMPAT"));
      return JSON.stringify(left) === "[[],[],0]";
    });
    raw.close();
  }
}

let reference;
before(async () => (reference = await REFERENCE.start()));
after(() => reference?.stop());

for (const { name, start } of SERVERS) {
  // The reference against itself: a script that does not repeat its own answers would prove nothing.
  describe(`${name} answers as redis-server does`, () => {
    let server;
    before(async () => (server = await start()));
    after(() => server?.stop());
    for (const script of SCRIPTS) {
      for (const version of script.protocols) {
        test(`RESP${version}: ${script.name}`, { timeout: 60_000 }, async () => {
          const expected = await run(script, version, reference);
          const got = await run(script, version, server, expected);
          assert.deepEqual(
            differences(script, expected, got).map((text) => `\n${text}\n`).join(""),
            "",
            `${script.name} in RESP${version}`,
          );
          await Promise.all([quiet(reference), quiet(server)]);
        });
      }
    }
  });
}
