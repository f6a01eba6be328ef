// Medians, tables, the page's regions and the plots, without measuring anything.

import assert from "node:assert/strict";
import { test } from "node:test";

import { commandLine, fault, saturated } from "../generator.mjs";
import { growthPlot, growthTable, metric } from "../growth.mjs";
import { missing, needed, rewrite } from "../page.mjs";
import { bars } from "../plots.mjs";
import { add, number, results, summary } from "../results.mjs";
import { figuresOf as shareFiguresOf, shareCommands, shareTable } from "../share.mjs";
import { parseRunning, reader } from "../systems.mjs";
import { commands, figures, machine } from "../tables.mjs";
import { figuresOf, topicsCommands, topicsTable } from "../topics.mjs";
import { SYSTEMS, WORKLOADS, generatorArguments, suits } from "../workloads.mjs";

function some() {
  const all = results({
    machine: { processor: "one" },
    commit: "abc",
    date: "2026-01-02",
    runs: 3,
    seconds: 5,
    quick: false,
  });
  for (const value of [30, 10, 20]) add(all, "campanile", "rooms", "deliveries_per_second", value * 1000, value === 30);
  add(all, "nats", "rooms", "deliveries_per_second", 5, false);
  return all;
}

test("the median is the middle one, or between the two in the middle", () => {
  const all = some();
  const found = summary(all, "campanile", "rooms", "deliveries_per_second");
  assert.deepEqual(found, { median: 20000, lowest: 10000, highest: 30000, runs: 3, limited: true });
  add(all, "campanile", "rooms", "deliveries_per_second", 40000, false);
  assert.equal(summary(all, "campanile", "rooms", "deliveries_per_second").median, 25000);
  assert.equal(summary(all, "floor", "rooms", "deliveries_per_second"), undefined);
  add(all, "floor", "rooms", "deliveries_per_second", undefined, false);
  assert.equal(summary(all, "floor", "rooms", "deliveries_per_second"), undefined);
});

test("numbers for people", () => {
  assert.deepEqual([0, 1.234, 12.34, 1234567.8, -25928].map(number), ["0", "1.23", "12.3", "1,234,568", "-25,928"]);
});

test("a table has the systems that were measured, and says when", () => {
  const text = figures(some(), "throughput", SYSTEMS);
  const [head, , row] = text.split("\n");
  assert.match(head, /Campanile.*NATS/);
  assert.doesNotMatch(head, /floor/);
  assert.match(row, /20,000† \(10,000 to 30,000\) \| 5.00 \|$/);
  assert.match(text, /† The generator/);
  assert.match(text, /commit `abc`; median of 3 interleaved runs/);
  assert.equal(figures(some(), "pipe", SYSTEMS), "");
  assert.match(commands(some()), /campanile bench rooms .*--seconds 5 --warm-up 2`/);
  assert.match(machine({ ...some(), versions: { nats: "NATS 9" } }, SYSTEMS), /NATS 9/);
});

test("only the marked regions change", () => {
  const page = "a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb\n<!-- bench:y --><!-- /bench:y -->c\n";
  assert.deepEqual(missing(page, ["x", "y", "z"]), ["z"]);
  assert.deepEqual(missing(`${page}<!-- bench:x -->`, ["x"]), ["x"], "twice");
  assert.deepEqual(missing("<!-- /bench:x --><!-- bench:x -->", ["x"]), ["x"], "backwards");
  const twice = rewrite(rewrite(page, { x: "one $& two" }), { x: "new $1", y: "y" });
  assert.equal(twice, "a\n<!-- bench:x -->\nnew $1\n<!-- /bench:x -->\nb\n<!-- bench:y -->\ny\n<!-- /bench:y -->c\n");
  assert.deepEqual(missing(needed(["x", "z"]), ["x", "z"]), []);
});

test("plots are well-formed and show every value", () => {
  const svg = bars("a < b", [
    {
      title: "t & u",
      bars: [
        { label: "one", value: 10 },
        { label: "two", value: 20 },
      ],
    },
  ]);
  assert.match(svg, /a &#60; b/);
  assert.match(svg, /t &#38; u/);
  const widths = [...svg.matchAll(/height="14" fill/g)].length;
  assert.equal(widths, 2);
  assert.equal((svg.match(/<text/g) ?? []).length, (svg.match(/<\/text>/g) ?? []).length);
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
});

test("growth counts messages per publish beside a broadcast", () => {
  const growth = [2, 16].flatMap((gateways) =>
    [1, 2].map((holders) => ({ gateways, holders, publishes: 50, messages: 50 * holders })),
  );
  const table = growthTable({ ...some(), growth });
  assert.match(table, /\| 16 \| 1.00 \| 2.00 \| 15 \|/);
  assert.doesNotMatch(growthPlot({ growth }), /NaN|undefined/);
  const exposition = '# TYPE x counter\nx_total{name="a"} 3\nx_total{name="b"} 4\nx_total_more 9\n# EOF\n';
  assert.equal(metric(exposition, "x_total"), 7);
});

test("topics are told beside few topics, and as a share of their rate", () => {
  const all = { ...results({ date: "2026-01-02", commit: "abc", runs: 2, seconds: 5, quick: false }), counts: [10, 1000] };
  for (const [topics, rate, bytes] of [
    [10, 200, 99_999],
    [1000, 100, 431],
  ]) {
    const report = {
      results: { publishes_per_second: rate, bytes_per_topic: bytes },
      latency: { delivery: { p99_us: 2500 } },
    };
    const found = figuresOf(report);
    assert.deepEqual([found.p99_ms, found.publishes_per_second], [2.5, rate]);
    for (const key of Object.keys(found)) add(all, topics, "topics", key, found[key], topics === 10);
  }
  for (const ratio of [0.4, 0.6]) add(all, "ratio", "topics", "ratio", ratio, false);
  const text = topicsTable({ topics: all });
  assert.match(text, /\| figure \| 10 topics \| 1,000 topics \|/);
  assert.match(text, /\| publishes\/s \| 200† \| 100 \|/);
  assert.match(text, /bytes \|  \| 431 \|/);
  assert.match(text, /few topics \|  \| 0.50 \(0.40 to 0.60\) \|/);
  const rows = topicsCommands({ topics: all });
  assert.match(commands(some(), rows), /campanile bench topics --topics 1000 .*--seconds 5 --warm-up 2`/);
});

test("the share of messages without a member is of all servers together", () => {
  const report = { results: { deliveries_checked: 200, server_cpu_per_delivery_us: 7 } };
  const counts = [
    { received: 100, without: 0 },
    { received: 60, without: 10 },
    { received: 40, without: 40 },
  ];
  const found = shareFiguresOf(counts, report);
  assert.deepEqual(found, { share_percent: 25, received_per_message: 2, cpu_us: 7 });
  const all = { ...results({ date: "2026-01-02", commit: "abc", runs: 1, seconds: 5, quick: false }) };
  all.between = [{ name: "redis", title: "Redis" }];
  for (const key of Object.keys(found)) add(all, "redis sharded", "socketio-share", key, found[key], false);
  const text = shareTable({ share: all });
  assert.match(text, /\| three Socket.IO servers \| figure \| Redis \|/);
  assert.match(text, /\| sharded adapter \| of what a server receives.* \| 25.0 \|/);
  assert.doesNotMatch(text, /classic/);
  assert.match(commands(some(), shareCommands({ share: all })), /--topic-prefix topics:share: --seconds 5 .*--protocol socketio`/);
});

test("what a start script says", () => {
  const { system, take } = reader();
  for (const line of [
    "server 7 redis -",
    "server 8 node-0 127.0.0.1:1",
    "link 127.0.0.1:2",
    "version Redis 7, Node 20",
    "ready",
  ])
    take(line);
  assert.deepEqual(system.links, ["127.0.0.1:2"]);
  assert.deepEqual(
    [system.pids, system.urls, system.version, system.ready],
    [[7, 8], ["127.0.0.1:1"], "Redis 7, Node 20", true],
  );
  assert.equal(system.roles.get(7), "redis");
  const other = parseRunning("Phoenix 1.7=phoenix,ws://h:1,pid:5");
  assert.deepEqual(
    [other.title, other.protocol, other.started.urls, other.started.pids],
    ["Phoenix 1.7", "phoenix", ["ws://h:1"], [5]],
  );
  for (const bad of ["phoenix", "=phoenix,h:1", "X=phoenix", "X=phoenix,h:1,pid:x"])
    assert.throws(() => parseRunning(bad), /expected/);
});

test("a run with faults does not count", () => {
  const good = { ok: true, ended_early: false, faults: { examples: [] }, generator: { cpu_percent: 50 } };
  const bad = { ...good, ok: false, faults: { examples: ["one is missing"] }, generator: { cpu_percent: 95 } };
  assert.equal(fault(good), undefined);
  assert.match(fault(bad), /one is missing/);
  assert.match(fault({ ...good, ok: false, parts: [good, bad] }), /one is missing/);
  assert.match(fault({ ...good, ended_early: true }), /early/);
  assert.deepEqual([good, bad, { ...good, parts: [good, bad] }].map(saturated), [false, true, true]);
  const polled = { ...bad, generator: { cpu_percent: 100, busy_poll: true } };
  assert.equal(saturated(polled), false, "it never sleeps: its share says nothing");
});

test("every workload says what it is and can be asked for", () => {
  for (const workload of WORKLOADS) {
    assert.ok(workload.figures.length > 0 && SYSTEMS.some((system) => suits(workload, system)), workload.name);
    const { main, beside } = generatorArguments(workload, { seconds: 5, quick: false });
    assert.equal(main.includes("--warm-up"), !workload.noWarmUp);
    assert.equal(Boolean(beside), Boolean(workload.with));
    assert.equal(main.filter((word) => word === "--seconds").length, 1);
  }
  // Systems that speak Redis are measured among themselves.
  const redis = SYSTEMS.filter(({ protocol }) => protocol === "redis");
  for (const workload of WORKLOADS)
    assert.equal(redis.some((system) => suits(workload, system)), workload.name.startsWith("redis-"), workload.name);
  assert.ok(suits(WORKLOADS.at(-1), parseRunning("Mine=redis,h:1")));
  const line = commandLine({ bin: "b", core: "1" }, ["idle"], { urls: ["h:1", "h:2"], pids: [3] }, "nats");
  assert.equal(line.join(" "), "taskset -c 1 b bench idle --protocol nats --url h:1 --url h:2 --pid 3 --json");
  const alone = commandLine({ bin: "b", core: "any" }, ["topics"], { urls: ["h:1"], pids: [] });
  assert.equal(alone.join(" "), "b bench topics --url h:1 --json");
});
