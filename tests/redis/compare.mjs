// Runs a script of scripts/ on one server and keeps what came, so that two servers can be compared byte by byte.

import { Raw, value } from "./resp.mjs";

const ANSWER_MS = 5_000;

const text = (bytes) => bytes.toString("latin1");

/**
 * What may differ between two servers that do the same, and is therefore made equal before the comparison: a reason, a
 * pattern over the bytes of one value (as latin1), and what it becomes.
 */
const NORMAL = [
  {
    why: "another program with another version answers HELLO",
    from: /(\$7\r\nversion\r\n)\$\d+\r\n[\d.]+\r\n/,
    to: "$1VERSION",
  },
  { why: "a connection's number is its own", from: /(\$2\r\nid\r\n):\d+\r\n/, to: "$1ID" },
];

/** The same for answers that a step says something `about`. */
const ABOUT = {
  // Redis says more than anybody needs. These lines are what clients look at before they are ready.
  info: (bytes) =>
    `${text(bytes)[0]} ${["redis_version:\\d+\\.\\d+\\.\\d+", "redis_mode:standalone", "loading:0", "role:master", "# Server", "# Replication"].map(
      (line) => (new RegExp(`(^|\\n)${line}\\r\\n`).test(text(bytes)) ? "there" : `no ${line}`),
    )}`,
  "info-server": (bytes) =>
    `${text(bytes)[0]} ${["redis_version:\\d+\\.\\d+\\.\\d+", "redis_mode:standalone", "# Server"].map((line) =>
      new RegExp(`(^|\\n)${line}\\r\\n`).test(text(bytes)) ? "there" : `no ${line}`,
    )}`,
  // The commands of a gateway are fewer.
  list: (bytes) => text(bytes)[0],
  number: (bytes) => text(bytes)[0],
};

function normal(step, bytes) {
  const about = step.about && ABOUT[step.about](bytes);
  return about ?? NORMAL.reduce((all, { from, to }) => all.replace(from, to), text(bytes));
}

/** CLIENT ID's answer is a number that only has to be one. */
const isClientId = ({ commands }) => commands?.length === 1 && /^client id$/i.test(commands[0]);

/** The values of one step on one connection, as text that can be compared. */
function shown(step, values) {
  const id = isClientId(step);
  const all = values.map((bytes) =>
    id && /^:\d+\r\n$/.test(text(bytes)) ? ":ID\r\n" : normal(step, bytes),
  );
  if (step.pushesLast) return [...all.filter((text) => text[0] !== ">"), ...all.filter((text) => text[0] === ">")];
  if (step.perChannel) {
    const channel = (bytes) => [value(bytes)].flat().at(-2) ?? "";
    const order = values.map((bytes, index) => [String(channel(bytes)), index]);
    return order.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0)).map(([, index]) => all[index]);
  }
  if (!step.unordered) return all;
  // Names in any order, each with its kind; the counts, which fall, in theirs.
  const parsed = values.map(value);
  const flat = parsed.map((one) => (Array.isArray(one) ? one.map((member) => JSON.stringify(member)) : [JSON.stringify(one)]));
  if (all.length === 1) return [`${all[0][0]} ${flat[0].sort().join(" ")}`];
  return [...flat.map((members) => members.slice(0, -1).join(" ")).sort(), ...flat.map((members) => members.at(-1))];
}

/** What a step writes, for people. */
export function written(step) {
  const what = step.bytes ? JSON.stringify(text(step.bytes)) : step.commands.map(words).join(" | ");
  return `${step.connection}: ${what.length > 300 ? `${what.slice(0, 300)}… (${what.length})` : what}`;
}

function words(one) {
  return typeof one === "string" ? one : JSON.stringify(one.map((word) => (Buffer.isBuffer(word) ? text(word) : word)));
}

/**
 * Runs `script` in protocol `version`. Gives for each step what came on each connection: name → list of texts.
 * `reference`: what another server gave; then as many values are awaited as it sent.
 */
export async function run(script, version, server, reference) {
  const connections = new Map();
  const open = async (name) => {
    if (connections.has(name)) return;
    const raw = await Raw.connect(server.address(name.charCodeAt(0) - "a".charCodeAt(0)));
    connections.set(name, raw);
    if (version === 3) await raw.ask("HELLO 3");
  };
  try {
    for (const { connection } of script.steps) await open(connection);
    const seen = [];
    for (const [index, step] of script.steps.entries()) seen.push(await one(step, connections, reference?.[index], server.name));
    return seen;
  } finally {
    for (const raw of connections.values()) raw.close();
  }
}

async function one(step, connections, expected, name) {
  const end = performance.now() + ANSWER_MS;
  for (;;) {
    const seen = await attempt(step, connections, expected, name);
    if (!step.settles || !expected || JSON.stringify(seen) === JSON.stringify(expected) || performance.now() > end) return seen;
  }
}

async function attempt(step, connections, expected, name) {
  const raw = connections.get(step.connection);
  if (step.bytes) raw.write(step.bytes);
  else raw.send(...step.commands);
  if (step.partial) return {};
  const seen = {};
  const closed = step.closes && !(await raw.until(() => false, ANSWER_MS)) && raw.closed;
  // The connection that spoke goes first: what it caused elsewhere is on its way when it has its answers.
  const others = [...connections.keys()].filter((other) => other !== step.connection);
  for (const other of [step.connection, ...others]) {
    const own = connections.get(other);
    const count = expected?.[other]?.count ?? 0;
    await own.until(() => own.values.length >= count, ANSWER_MS);
    const { taken } = own.closed ? { taken: own.values.splice(0) } : await own.barrier(ANSWER_MS);
    if (taken.length === 0 && other !== step.connection) continue;
    const differs = other === step.connection && step.differs && name === "redis-server";
    const values = differs ? [step.differs.campanile] : shown(step, taken);
    seen[other] = { count: taken.length, values: own.closed ? [...values, "(closed)"] : values };
  }
  if (step.closes && !closed) seen[step.connection].values.push("(NOT closed)");
  return seen;
}

/** What differs between two runs, for people; empty where nothing does. */
export function differences(script, expected, got) {
  const all = [];
  for (const [index, step] of script.steps.entries()) {
    for (const connection of new Set([...Object.keys(expected[index]), ...Object.keys(got[index])])) {
      const [theirs, ours] = [expected[index][connection], got[index][connection]].map((one) => one?.values ?? []);
      if (JSON.stringify(theirs) === JSON.stringify(ours)) continue;
      const at = theirs.findIndex((text, position) => text !== ours[position]);
      const which = at < 0 ? theirs.length : at;
      all.push(
        `step ${index + 1}, ${written(step)}\n  on ${connection}, value ${which + 1}\n` +
          `    expected ${cut(theirs[which])}\n    got      ${cut(ours[which])}`,
      );
    }
  }
  return all;
}

function cut(text) {
  if (text === undefined) return "nothing";
  return text.length > 400 ? `${JSON.stringify(text.slice(0, 400))}… (${text.length})` : JSON.stringify(text);
}
