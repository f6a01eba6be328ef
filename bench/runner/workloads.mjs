// What is measured: workloads, the figures that are read from the generator's report, and the tables they stand in.

/**
 * Systems that bench/run starts itself, in the order of the columns. `folder` and `args`: how, where that is not the script
 * of its name. Those of a `group` have workloads of their own.
 */
export const SYSTEMS = [
  { name: "campanile", title: "Campanile, 2 gateways + 2 topic servers", protocol: "phoenix" },
  { name: "floor", title: "floor: one `send` per delivery", protocol: "floor" },
  { name: "nats", title: "NATS over WebSocket, 2 nodes", protocol: "nats" },
  { name: "socketio-redis", title: "Socket.IO + Redis adapter, 2 nodes", protocol: "socketio" },
  { name: "redis", title: "redis-server, one process", protocol: "redis", group: "redis" },
  {
    name: "campanile-redis",
    title: "Campanile's Redis front, 2 gateways + 2 topic servers",
    protocol: "redis",
    group: "redis",
    folder: "campanile",
    args: ["--redis"],
  },
];

const deliveries = {
  key: "deliveries_per_second",
  title: "deliveries/s",
  better: "more",
  of: ({ report }) => report.results.deliveries_per_second,
};
const cpu = {
  key: "cpu_us",
  title: "server CPU per delivery, µs",
  better: "less",
  of: ({ report }) => report.results.server_cpu_per_delivery_us,
};
const last = (quantile, label) => ({
  key: `last_${quantile}_ms`,
  title: `last subscriber ${label}, ms`,
  better: "less",
  of: ({ report }) => report.latency.last[`${quantile}_us`] / 1000,
});
const growth = (key, title, role) => ({
  key,
  title,
  better: "less",
  of: ({ report, roles }) => {
    const grown = report.processes.filter(({ pid }) => role === undefined || roles.get(pid)?.startsWith(role));
    if (grown.length === 0) return undefined;
    return (
      grown.reduce((sum, { rss_before_bytes: before, rss_after_bytes: after }) => sum + after - before, 0) /
      report.results.connections
    );
  },
});

/**
 * The workloads of all systems. `fresh`: on processes that have done nothing before. `with`: a second load at the same time, whose
 * report is `beside`; it is measured without the first one before, on the same processes, and that report is `alone`.
 * `not` and `only` name systems; a `group`'s workloads are for its systems and no others.
 */
const OF_ALL = [
  {
    name: "fanout-1000",
    title: "one topic, 1,000 subscribers, 16 publishes in flight",
    table: "throughput",
    args: ["fanout", "--subscribers", "1000", "--in-flight", "16"],
    figures: [deliveries],
  },
  {
    name: "fanout-100",
    title: "one topic, 100 subscribers, 1 publish in flight",
    table: "throughput",
    args: ["fanout", "--subscribers", "100", "--in-flight", "1"],
    figures: [deliveries],
  },
  {
    name: "rooms",
    title: "200 rooms of 10, one publisher each, 1 in flight",
    table: "throughput",
    args: ["rooms", "--rooms", "200", "--members", "10", "--in-flight", "1"],
    figures: [deliveries],
  },
  {
    name: "fanout-rate",
    title: "1,000 subscribers, 10 publishes/s",
    table: "steady",
    args: ["fanout", "--subscribers", "1000", "--rate", "10", "--busy-poll"],
    seconds: 10,
    figures: [cpu, last("p50", "p50"), last("p99", "p99")],
  },
  {
    name: "rooms-rate",
    title: "200 rooms of 10, 500 publishes/s in all",
    table: "steady",
    args: ["rooms", "--rooms", "200", "--members", "10", "--rate", "500", "--busy-poll"],
    figures: [cpu, last("p50", "p50"), last("p99", "p99")],
  },
  {
    name: "pipe",
    title: "one publisher, 100 subscribers, 8 publishes in flight",
    table: "pipe",
    args: ["pipe", "--subscribers", "100", "--in-flight", "8", "--payload-bytes", "1024", "--payload-bytes", "65536"],
    figures: [0, 1].map((part) => ({
      key: `part_${part}_mb_per_second`,
      title: `${["1 KiB", "64 KiB"][part]}: MB/s delivered`,
      better: "more",
      of: ({ report }) => report.parts[part].results.bytes_per_second / 1e6,
    })),
  },
  {
    name: "connect",
    title: "connect, join, close; 32 at a time",
    table: "connections",
    args: ["connect", "--in-flight", "32"],
    noWarmUp: true,
    not: ["floor"],
    figures: [
      {
        key: "cpu_us",
        title: "server CPU each, µs",
        better: "less",
        of: ({ report }) => report.results.server_cpu_per_join_us,
      },
      {
        key: "joined_per_second",
        title: "per second",
        better: "more",
        of: ({ report }) => report.results.joined_per_second,
      },
    ],
  },
  {
    name: "storm",
    title: "5,000 connections/s that join and close, beside 200 rooms of 10 at 500 publishes/s",
    table: "connections",
    args: ["connect", "--rate", "5000"],
    quick: ["connect", "--rate", "200"],
    noWarmUp: true,
    seconds: 30,
    with: ["rooms", "--rooms", "200", "--members", "10", "--rate", "500", "--topic-prefix", "topics:beside"],
    only: ["campanile"],
    figures: [
      {
        key: "joined_per_second",
        title: "joined/s",
        better: "more",
        of: ({ report }) => report.results.joined_per_second,
      },
      {
        key: "join_p99_ms",
        title: "to the join's reply p99, ms",
        better: "less",
        of: ({ report }) => report.latency.join.p99_us / 1000,
      },
      ...[
        ["alone", "before"],
        ["beside", "meanwhile"],
      ].flatMap(([which, when]) =>
        ["p50", "p99"].map((quantile) => ({
          key: `${which}_${quantile}_ms`,
          title: `rooms ${when}: last subscriber ${quantile}, ms`,
          better: "less",
          of: (run) => run[which].latency.last[`${quantile}_us`] / 1000,
        })),
      ),
    ],
  },
  {
    name: "idle",
    title: "8,000 idle connections, each joined to a topic of its own",
    table: "connections",
    args: ["idle", "--connections", "8000", "--topics", "8000"],
    quick: ["idle", "--connections", "500", "--topics", "500"],
    noWarmUp: true,
    seconds: 20,
    fresh: true,
    not: ["floor"],
    figures: [
      growth("rss_bytes", "RSS of all processes each, bytes"),
      growth("gateway_rss_bytes", "of which gateways, bytes", "gateway"),
      growth("topic_server_rss_bytes", "of which topic servers: per topic and gateway, bytes", "topic-server"),
      {
        key: "cpu_us",
        title: "server CPU per second and connection, µs",
        better: "less",
        of: ({ report }) => report.results.cpu_us_per_second_and_connection,
      },
    ],
  },
];

/** The same over the Redis protocol. */
const OF_REDIS = ["fanout-1000", "fanout-100", "rooms", "fanout-rate", "rooms-rate"].map((name) => {
  const workload = OF_ALL.find((one) => one.name === name);
  const figures = workload.figures.includes(deliveries) ? [deliveries, cpu] : workload.figures;
  return { ...workload, name: `redis-${name}`, table: "redis", group: "redis", figures };
});

/** All workloads. */
export const WORKLOADS = [...OF_ALL, ...OF_REDIS];

/** Whether a workload is for a system. */
export function suits(workload, system) {
  if (workload.group !== system.group) return false;
  return !workload.not?.includes(system.name) && (workload.only?.includes(system.name) ?? true);
}

/** The generator's arguments: what to do, and for how long. */
export function generatorArguments(workload, { seconds, quick }) {
  const args = (quick && workload.quick) || workload.args;
  const lasts = String(quick ? 1 : (workload.seconds ?? seconds));
  const time = (own) => [
    ...own,
    "--seconds",
    lasts,
    ...(workload.noWarmUp && own === args ? [] : ["--warm-up", quick ? "0.3" : "2"]),
  ];
  return { main: time(args), beside: workload.with && time(workload.with) };
}
