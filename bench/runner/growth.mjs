// The workload `growth`: how many messages a publish makes on the links, with more and more gateways.
//
// The count is the topic servers' own (`deliveries` over `publishes_accepted`), so it does not depend on the machine.
// One message more goes from the publisher's gateway to the owner, whatever the number of gateways.

import { fault, commandLine, measure } from "./generator.mjs";
import { number } from "./results.mjs";
import { start } from "./systems.mjs";
import { table } from "./tables.mjs";
import { lines } from "./plots.mjs";

/** Gateways, and how many of them hold subscribers of each topic. */
export const GATEWAYS = [2, 4, 8, 12, 16];
export const HOLDERS = [1, 2, 4, 8];

/** The sum of a metric over all label sets. */
export function metric(exposition, name) {
  const values = exposition
    .split("\n")
    .map((line) => line.match(/^(\w+)(?:\{.*\})? (\S+)$/))
    .filter((match) => match?.[1] === name);
  return values.reduce((sum, match) => sum + Number(match[2]), 0);
}

async function counted(system) {
  const admins = [...system.roles.values()]
    .filter((role) => role.startsWith("topic-server:"))
    .map((role) => role.slice("topic-server:".length));
  const pages = await Promise.all(admins.map(async (admin) => (await fetch(`http://${admin}/metrics`)).text()));
  const sum = (name) => pages.reduce((sum, page) => sum + metric(page, name), 0);
  return {
    publishes: sum("campanile_topic_server_publishes_accepted_total"),
    messages: sum("campanile_topic_server_deliveries_total"),
  };
}

/** Runs it; gives `[{gateways, holders, publishes, messages}]`. */
export async function run(settings, startArguments, say) {
  const found = [];
  const [sizes, held] = settings.quick
    ? [
        [2, 4],
        [1, 2],
      ]
    : [GATEWAYS, HOLDERS];
  for (const gateways of sizes) {
    const system = await start("campanile", [...startArguments, "--gateways", String(gateways)]);
    try {
      for (const holders of held.filter((holders) => holders <= gateways)) {
        // One room's members sit at gateways in a row, so each at another one.
        const args = [
          "rooms",
          "--rooms",
          "32",
          "--members",
          String(holders),
          "--in-flight",
          "1",
          "--seconds",
          "1",
          "--warm-up",
          "0",
        ];
        const before = await counted(system);
        const { report, failure } = await measure(commandLine(settings, args, system, "phoenix"));
        const wrong = failure ?? fault(report);
        if (wrong) throw new Error(`growth, ${gateways} gateways: ${wrong}`);
        const after = await counted(system);
        const one = {
          gateways,
          holders,
          publishes: after.publishes - before.publishes,
          messages: after.messages - before.messages,
        };
        say(
          `growth: ${gateways} gateways, ${holders} with subscribers: ${number(one.messages / one.publishes)} messages per publish`,
        );
        found.push(one);
      }
    } finally {
      await system.stop();
    }
  }
  return found;
}

/** The table, beside what a broadcast to all other gateways would need. */
export function growthTable(all) {
  const held = [...new Set(all.growth.map(({ holders }) => holders))];
  const rows = [...new Set(all.growth.map(({ gateways }) => gateways))].map((gateways) => [
    gateways,
    ...held.map((holders) => {
      const one = all.growth.find((one) => one.gateways === gateways && one.holders === holders);
      return one ? (one.messages / one.publishes).toFixed(2) : "";
    }),
    gateways - 1,
  ]);
  const head = ["gateways", ...held.map((holders) => `${holders} with subscribers`), "all-to-all broadcast"];
  return `${table(head, rows)}\n\nCounted, not timed, on ${all.date}, commit \`${all.commit}\`.`;
}

/** The same as a plot. */
export function growthPlot(all) {
  const sizes = [...new Set(all.growth.map(({ gateways }) => gateways))];
  const held = [...new Set(all.growth.map(({ holders }) => holders))];
  const series = held.map((holders) => ({
    label: `Campanile, ${holders} with subscribers`,
    points: all.growth
      .filter((one) => one.holders === holders)
      .map(({ gateways, messages, publishes }) => [gateways, messages / publishes]),
  }));
  series.push({
    label: "all-to-all broadcast",
    points: sizes.map((gateways) => [gateways, gateways - 1]),
    dashed: true,
  });
  return lines("Link messages per publish", "gateways", "messages", series);
}
