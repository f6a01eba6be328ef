// `bench/run`: reads the options, measures in rounds, prints the tables, and writes them where that is asked for.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { commandLine, fault, measure, saturated } from "./generator.mjs";
import { growthPlot, growthTable, run as growth } from "./growth.mjs";
import { about } from "./machine.mjs";
import { missing, needed, rewrite } from "./page.mjs";
import { bars } from "./plots.mjs";
import { add, number, results } from "./results.mjs";
import { run as share, shareCommands, shareTable } from "./share.mjs";
import { endAll, parseRunning, start } from "./systems.mjs";
import { commands, figures, machine, rows } from "./tables.mjs";
import { run as topics, topicsCommands, topicsTable } from "./topics.mjs";
import { SYSTEMS, WORKLOADS, generatorArguments, suits } from "./workloads.mjs";

const PAGE = "docs/performance.md";
const TABLES = {
  throughput: "Deliveries per second",
  steady: "Under a steady load",
  connections: "Connections",
  pipe: "Large payloads",
  redis: "Redis pub/sub",
};
/** Workloads with a module of their own. */
const OTHERS = ["growth", "topics", "socketio-share"];
const NAMES = [...WORKLOADS.map(({ name }) => name), ...OTHERS];

const USAGE = `usage: bench/run [options] [WORKLOAD…]

Measures Campanile (2 gateways and 2 topic servers as four processes), the systems in bench/peers and the floor, servers on
one processor core and the generator on another, in interleaved rounds on new processes. Prints tables with the median of the
rounds. A run in which the generator found a fault does not count.

  WORKLOAD             ${NAMES.join(", ")} (default: all)
  --system NAME        ${SYSTEMS.map(({ name }) => name).join(", ")}; repeatable (default: all); none, for
                       those of --running alone
  --running T=P,URL,…  a system that somebody has running: title, protocol, URLs, and pid:N of each of its processes; repeatable
  --rounds N           rounds (default 3)
  --seconds S          length of each measurement, but for those that need longer (default 5)
  --quick              one short round, to see that everything works
  --write              rewrite the marked tables of ${PAGE} and the plots beside it
  --save FILE          keep the results
  --from FILE          take kept results instead of measuring
  --bin FILE           the program (default target/release/campanile, built if it is not there)
  --port P             the first of 40 ports in a row (default 7500)
  --core N             the servers' core (default 0), or any
  --generator-core N   the generator's core (default 1), or any`;

const say = (line) => process.stderr.write(`${line}\n`);

function fail(line, code = 2) {
  say(`bench/run: ${line}`);
  process.exit(code);
}

function settings() {
  const text = { type: "string" };
  const flag = { type: "boolean", default: false };
  const options = {
    system: { ...text, multiple: true },
    running: { ...text, multiple: true },
    rounds: { ...text, default: "3" },
    seconds: { ...text, default: "5" },
    port: { ...text, default: "7500" },
    core: { ...text, default: "0" },
    "generator-core": { ...text, default: "1" },
    ...{ quick: flag, write: flag, help: flag },
    ...{ save: text, from: text, bin: text },
  };
  let parsed;
  try {
    parsed = parseArgs({ options, allowPositionals: true });
  } catch (error) {
    fail(`${error.message}\n\n${USAGE}`);
  }
  const { values, positionals } = parsed;
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const unknown = [
    ...positionals.filter((name) => !NAMES.includes(name)),
    ...(values.system ?? []).filter((name) => name !== "none" && !SYSTEMS.some((system) => system.name === name)),
  ];
  if (unknown.length > 0) fail(`what is ${unknown.join(", ")}?\n\n${USAGE}`);
  for (const name of ["rounds", "seconds", "port"])
    if (!(Number(values[name]) > 0)) fail(`--${name} ${values[name]}: expected a number above 0`);
  if (values.quick && values.write) fail("--quick measures too little to --write it");
  let others = [];
  try {
    others = (values.running ?? []).map(parseRunning);
  } catch (error) {
    fail(error.message);
  }
  return {
    systems: [...SYSTEMS.filter(({ name }) => values.system?.includes(name) ?? true), ...others],
    workloads: WORKLOADS.filter(({ name }) => positionals.length === 0 || positionals.includes(name)),
    ...Object.fromEntries(OTHERS.map((name) => [name, positionals.length === 0 || positionals.includes(name)])),
    rounds: values.quick ? 1 : Number(values.rounds),
    seconds: Number(values.seconds),
    quick: values.quick,
    write: values.write,
    save: values.save,
    from: values.from,
    bin: values.bin ?? "target/release/campanile",
    build: values.bin === undefined,
    core: values["generator-core"],
    startArguments: ["--port", values.port, "--core", values.core],
  };
}

async function measureOne(own, system, started, workload, all) {
  const { main, beside } = generatorArguments(workload, own);
  const line = (args) => commandLine(own, args, started, system.protocol);
  const alone = beside && (await measure(line(beside)));
  const [one, other] = await Promise.all([measure(line(main)), beside && measure(line(beside))]);
  const failure = [one, alone, other]
    .filter(Boolean)
    .map(({ report, failure }) => failure ?? fault(report))
    .find(Boolean);
  if (failure) {
    all.failures.push(`${system.title}: ${workload.name}: ${failure}`);
    return say(`  ${workload.name}: DOES NOT COUNT: ${failure}`);
  }
  const limited = saturated(one.report);
  const shown = workload.figures.flatMap((figure) => {
    const value = figure.of({
      report: one.report,
      alone: alone?.report,
      beside: other?.report,
      roles: started.roles,
    });
    add(all, system.name, workload.name, figure.key, value, limited);
    return Number.isFinite(value) ? [`${number(value)} ${figure.title}`] : [];
  });
  say(`  ${workload.name}: ${shown.join("; ")}`);
}

/** One system in one round: on new processes, and those that want it on newer ones. */
async function measureSystem(own, system, all) {
  const workloads = own.workloads.filter((workload) => suits(workload, system));
  const worn = workloads.filter(({ fresh }) => !fresh);
  for (const together of [worn, ...workloads.filter(({ fresh }) => fresh).map((workload) => [workload])]) {
    if (together.length === 0) continue;
    const folder = system.folder ?? system.name;
    const program = ["campanile", "floor"].includes(folder) ? ["--bin", own.bin] : [];
    const args = [...own.startArguments, ...program, ...(system.args ?? [])];
    const started = system.started ?? (await start(folder, args));
    all.versions[system.name] = started.version;
    try {
      for (const workload of together) await measureOne(own, system, started, workload, all);
    } finally {
      await started.stop();
    }
  }
}

async function measureAll(own) {
  const all = results({
    ...about(),
    runs: own.rounds,
    seconds: own.seconds,
    quick: own.quick,
    systems: own.systems.map(({ name, title }) => ({ name, title })),
  });
  const out = new Set();
  for (let round = 1; round <= own.rounds; round += 1) {
    for (const system of own.systems.filter(
      (system) => !out.has(system) && own.workloads.some((workload) => suits(workload, system)),
    )) {
      say(`round ${round} of ${own.rounds}: ${system.title}`);
      try {
        await measureSystem(own, system, all);
      } catch (error) {
        out.add(system);
        all.failures.push(`${system.title}: ${error.message}`);
        say(`  left out: ${error.message}`);
      }
    }
  }
  if (own.topics) {
    all.topics = await topics(own, { ...about(), runs: own.rounds, seconds: own.seconds, quick: own.quick }, say);
    all.failures.push(...all.topics.failures);
  }
  if (own["socketio-share"]) {
    all.share = await share(own, { ...about(), runs: own.rounds, seconds: own.seconds, quick: own.quick }, say);
    all.failures.push(...all.share.failures);
    all.versions = { ...all.share.versions, ...all.versions };
  }
  if (own.growth) all.growth = await growth(own, [...own.startArguments, "--bin", own.bin], say);
  return all;
}

/** The page's regions and the plots that these results fill. */
function written(all) {
  const regions = {};
  const plots = {};
  for (const [name, title] of Object.entries(TABLES)) {
    const content = figures(all, name, all.systems);
    if (!content) continue;
    regions[name] = content;
    const groups = rows(all, name, all.systems).map(({ workload, figure, found }) => ({
      title: `${workload.title}: ${figure.title}${figure.better === "less" ? " (less is better)" : ""}`,
      bars: found.flatMap((one, index) => (one ? [{ label: all.systems[index].title, value: one.median }] : [])),
    }));
    plots[`docs/performance-${name}.svg`] = bars(title, groups);
  }
  if (all.topics?.values.length > 0) regions.topics = topicsTable(all);
  if (all.share?.values.length > 0) regions.share = shareTable(all);
  if (Object.keys(regions).length > 0)
    Object.assign(regions, {
      machine: machine(all, all.systems),
      commands: commands(all, [
        ...(regions.topics ? topicsCommands(all) : []),
        ...(regions.share ? shareCommands(all) : []),
      ]),
    });
  if (all.growth) {
    regions.growth = growthTable(all);
    plots["docs/performance-growth.svg"] = growthPlot(all);
  }
  return { regions, plots };
}

/** The regions that a run with these settings will want to write. */
function wanted(own) {
  const tables = Object.keys(TABLES).filter((name) => own.workloads.some(({ table }) => table === name));
  if (own.topics) tables.push("topics");
  if (own["socketio-share"]) tables.push("share");
  return [...tables, ...(tables.length > 0 ? ["machine", "commands"] : []), ...(own.growth ? ["growth"] : [])];
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, async () => {
    // Each ends what it started.
    await endAll();
    process.exit(130);
  });
}

const own = settings();
if (own.write && !own.from) {
  const lacking = missing(readFileSync(PAGE, "utf8"), wanted(own));
  if (lacking.length > 0)
    fail(`${PAGE} has no place for these tables; put these lines where they should stand:\n\n${needed(lacking)}`);
}
if (own.build && !own.from && !existsSync(own.bin)) {
  const built = spawnSync("cargo", ["build", "--release", "--locked"], { stdio: ["ignore", 2, 2] });
  if (built.status !== 0) fail("the program could not be built", 1);
}
const all = own.from ? JSON.parse(readFileSync(own.from, "utf8")) : await measureAll(own);
if (own.write && all.quick) fail("--quick measures too little to --write it");
if (own.save) writeFileSync(own.save, `${JSON.stringify(all, null, 2)}\n`);
const { regions, plots } = written(all);
for (const [name, content] of Object.entries(regions)) console.log(`## ${name}\n\n${content}\n`);
if (own.write) {
  const page = readFileSync(PAGE, "utf8");
  const lacking = missing(page, Object.keys(regions));
  if (lacking.length > 0)
    fail(`${PAGE} has no place for these tables; put these lines where they should stand:\n\n${needed(lacking)}`);
  writeFileSync(PAGE, rewrite(page, regions));
  for (const [file, content] of Object.entries(plots)) writeFileSync(file, content);
  say(`written: ${PAGE}, ${Object.keys(plots).join(", ")}`);
}
if (all.failures.length > 0) {
  say(`\n${all.failures.length} did not count:\n  ${all.failures.join("\n  ")}`);
  process.exitCode = 1;
}
