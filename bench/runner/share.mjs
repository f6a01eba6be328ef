// The workload `socketio-share`: three Socket.IO servers, and what part of the room messages that reach a server it has no
// member for. Once with redis-server between them and once with a cluster's Redis front, with either adapter.
//
// The servers count themselves; the generator checks that every member gets every message all the same.

import { commandLine, fault, measure, saturated } from "./generator.mjs";
import { add, number, results, summary } from "./results.mjs";
import { start } from "./systems.mjs";
import { measuredOn, table } from "./tables.mjs";
import { SYSTEMS } from "./workloads.mjs";

const MODES = ["sharded", "classic"];
/** Members in a row sit at two servers of three: each room has one server without a member. */
const MEMBERS = 2;
// The sharded adapter takes a name of 20 characters for a socket's own, and sends to it by way of all servers.
const NAMES = ["--topic-prefix", "topics:share:"];
const ROOMS = ["--rooms", "150", "--members", String(MEMBERS), "--rate", "300", ...NAMES];

const FIGURES = [
  { key: "received_per_message", title: "servers that receive a message" },
  { key: "share_percent", title: "of what a server receives, for a room without a member there, %" },
  { key: "cpu_us", title: "CPU of all processes per delivery, µs" },
];

const between = SYSTEMS.filter(({ group }) => group === "redis");
const column = (name, mode) => `${name} ${mode}`;

/** The generator's arguments, without the servers. */
export function generatorArguments({ seconds, quick }) {
  const time = quick ? ["--seconds", "1", "--warm-up", "0.3"] : ["--seconds", String(seconds), "--warm-up", "2"];
  return ["rooms", ...ROOMS, ...time];
}

/** What the servers' counts and the generator's report say together. */
export function figuresOf(counts, report) {
  const sum = (key) => counts.reduce((all, count) => all + count[key], 0);
  // Warm-up included, in both: the servers count from their start. Every message was delivered to each member, or the
  // run does not count.
  const messages = report.results.deliveries_checked / MEMBERS;
  return {
    share_percent: (100 * sum("without")) / sum("received"),
    received_per_message: sum("received") / messages,
    cpu_us: report.results.server_cpu_per_delivery_us,
  };
}

/** Runs it; gives results whose systems are what is between the servers, with the adapter's mode. */
export async function run(settings, about, say) {
  const asked = between.filter(({ name }) => settings.systems.some((system) => system.name === name));
  const all = results({ ...about, between: asked.map(({ name, title }) => ({ name, title })) });
  for (let round = 1; round <= settings.rounds; round += 1) {
    for (const mode of MODES) {
      for (const { name } of asked) {
        const own = column(name, mode);
        try {
          await once(settings, all, name, mode, own, say);
        } catch (error) {
          all.failures.push(`socketio-share: ${own}: ${error.message}`);
          say(`socketio-share: ${own}: left out: ${error.message}`);
        }
      }
    }
  }
  return all;
}

async function once(settings, all, name, mode, own, say) {
  const program = ["--on", name, "--mode", mode, "--bin", settings.bin];
  const system = await start("socketio-share", [...settings.startArguments, ...program]);
  try {
    all.versions[name] = system.version;
    const { report, failure } = await measure(commandLine(settings, generatorArguments(settings), system, "socketio"));
    const wrong = failure ?? fault(report);
    if (wrong) throw new Error(wrong);
    const counts = await Promise.all(
      system.urls.map(async (url) => (await fetch(`http://${url}/share`)).json()),
    );
    if (!counts.every(({ received }) => received > 0)) throw new Error("a server received nothing");
    const found = figuresOf(counts, report);
    for (const { key } of FIGURES) add(all, own, "socketio-share", key, found[key], saturated(report));
    const shown = FIGURES.filter(({ key }) => Number.isFinite(found[key]));
    say(`socketio-share: ${own}: ${shown.map(({ key, title }) => `${number(found[key])} ${title}`).join("; ")}`);
  } finally {
    await system.stop();
  }
}

/** The table: a row for each figure and mode, a column for each system. */
export function shareTable({ share: all }) {
  const shown = (found) =>
    found
      ? `${number(found.median)}${found.runs > 1 ? ` (${number(found.lowest)} to ${number(found.highest)})` : ""}`
      : "";
  const rows = MODES.flatMap((mode) =>
    FIGURES.map(({ key, title }) => [
      `${mode} adapter`,
      title,
      ...all.between.map(({ name }) => shown(summary(all, column(name, mode), "socketio-share", key))),
    ]).filter((row) => row.slice(2).some(Boolean)),
  );
  const head = ["three Socket.IO servers", "figure", ...all.between.map(({ title }) => title)];
  return `${table(head, rows)}\n\n${measuredOn(all)}`;
}

/** The generator's command, as a row. */
export function shareCommands({ share: all }) {
  return [
    ["150 rooms of 2 on three Socket.IO servers", `\`campanile bench ${generatorArguments(all).join(" ")} --protocol socketio\``],
  ];
}
