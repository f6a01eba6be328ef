// The workload `topics`: few and very many topics on one topic server, each on processes of its own, in turns.
//
// The generator speaks the link itself: no gateway has a part in it.

import { commandLine, fault, measure, saturated } from "./generator.mjs";
import { add, number, results, summary } from "./results.mjs";
import { start } from "./systems.mjs";
import { measuredOn, table } from "./tables.mjs";

/** How many topics, and the few that the many are compared with. */
export const TOPICS = [1_000, 1_000_000];

const FIGURES = [
  { key: "bytes_per_topic", title: "RSS per topic, before any publish, bytes" },
  { key: "publishes_per_second", title: "publishes/s" },
  { key: "server_cpu_per_publish_us", title: "server CPU per publish, µs" },
  { key: "server_cpu_per_topic_us", title: "server CPU per topic, to subscribe, µs" },
  { key: "p99_ms", title: "publish to delivery p99, ms" },
];

/** The generator's arguments, without the server. */
export function generatorArguments(topics, { seconds, quick }) {
  const time = quick ? ["--seconds", "1", "--warm-up", "0.3"] : ["--seconds", String(seconds), "--warm-up", "2"];
  return ["topics", "--topics", String(topics), "--name", "ts-0", "--in-flight", "16", ...time];
}

/** Of this many topics, what a report says. */
export function figuresOf({ results, latency }) {
  return { ...results, p99_ms: latency.delivery.p99_us / 1000 };
}

/** Runs it; gives results whose systems are the numbers of topics. */
export async function run(settings, about, say) {
  const counts = settings.quick ? [1_000, 10_000] : TOPICS;
  const all = results({ ...about, counts });
  for (let round = 1; round <= settings.rounds; round += 1) {
    const rates = [];
    for (const topics of counts) {
      const alone = ["--gateways", "0", "--topic-servers", "1", "--bin", settings.bin];
      const system = await start("campanile", [...settings.startArguments, ...alone]);
      try {
        const target = { ...system, urls: [system.links[0]] };
        const { report, failure } = await measure(commandLine(settings, generatorArguments(topics, settings), target));
        const wrong = failure ?? fault(report);
        if (wrong) {
          all.failures.push(`topics: ${topics}: ${wrong}`);
          say(`topics: ${topics}: DOES NOT COUNT: ${wrong}`);
          continue;
        }
        const found = figuresOf(report);
        for (const { key } of FIGURES) add(all, topics, "topics", key, found[key], saturated(report));
        rates.push(found.publishes_per_second);
        say(
          `topics: ${topics}: ${FIGURES.filter(({ key }) => Number.isFinite(found[key]))
            .map(({ key, title }) => `${number(found[key])} ${title}`)
            .join("; ")}`,
        );
      } finally {
        await system.stop();
      }
    }
    // Of the same round: what else the machine did is mostly the same.
    if (rates.length === counts.length) add(all, "ratio", "topics", "ratio", rates.at(-1) / rates[0], false);
  }
  return all;
}

/** The table. */
export function topicsTable({ topics: all }) {
  const shown = (found) =>
    found
      ? `${number(found.median)}${found.limited ? "†" : ""}${found.runs > 1 ? ` (${number(found.lowest)} to ${number(found.highest)})` : ""}`
      : "";
  // Few topics weigh less than what a process takes for itself.
  const few = all.counts[0];
  const rows = FIGURES.map(({ key, title }) => [
    title,
    ...all.counts.map((count) =>
      key === "bytes_per_topic" && count === few ? "" : shown(summary(all, count, "topics", key)),
    ),
  ]);
  const ratio = summary(all, "ratio", "topics", "ratio");
  if (ratio) rows.push(["publishes/s, share of those with few topics", "", shown(ratio)]);
  const limited = all.values.some(({ limited }) => limited);
  const note = limited
    ? "\n\n† The generator used over 90 % of its core in a run: the figure may be its limit, not the server's."
    : "";
  const head = ["figure", ...all.counts.map((count) => `${count.toLocaleString("en-US")} topics`)];
  return `${table(head, rows)}${note}\n\n${measuredOn(all)}`;
}

/** The generator's commands, as rows. */
export function topicsCommands({ topics: all }) {
  return all.counts.map((count) => [
    `${count.toLocaleString("en-US")} topics on one topic server`,
    `\`campanile bench ${generatorArguments(count, all).join(" ")}\``,
  ]);
}
