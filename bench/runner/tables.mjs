// The results as Markdown tables.

import { number, summary } from "./results.mjs";
import { WORKLOADS, generatorArguments } from "./workloads.mjs";

const row = (cells) => `| ${cells.join(" | ")} |`;

/** A whole table. */
export function table(head, rows) {
  return [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");
}

function cell(found) {
  if (!found) return "";
  const spread = found.runs > 1 ? ` (${number(found.lowest)} to ${number(found.highest)})` : "";
  return `${number(found.median)}${found.limited ? "†" : ""}${spread}`;
}

/** The rows of one table: each a workload's figure with a summary for each system. */
export function rows(all, name, systems) {
  return WORKLOADS.filter((workload) => workload.table === name).flatMap((workload) =>
    workload.figures
      .map((figure) => ({
        workload,
        figure,
        found: systems.map((system) => summary(all, system.name, workload.name, figure.key)),
      }))
      .filter(({ found }) => found.some(Boolean)),
  );
}

/** One table of figures, systems as columns; empty if nothing of it was measured. */
export function figures(all, name, systems) {
  const measured = rows(all, name, systems);
  if (measured.length === 0) return "";
  const used = systems.filter((_, index) => measured.some(({ found }) => found[index]));
  const lines = measured.map(({ workload, figure, found }) => [
    workload.title,
    figure.title,
    ...found.filter((_, index) => used.includes(systems[index])).map(cell),
  ]);
  const limited = measured.some(({ found }) => found.some((one) => one?.limited));
  const note = limited
    ? "\n\n† The generator used over 90 % of its core in a run: the figure may be its limit, not the server's."
    : "";
  return `${table(["workload", "figure", ...used.map(({ title }) => title)], lines)}${note}\n\n${measuredOn(all)}`;
}

/** When, what and how often, below each table, so that tables of several days stay apart. */
export function measuredOn({ date, commit, runs }) {
  return `Measured on ${date}, commit \`${commit}\`; median of ${runs === 1 ? "1 run" : `${runs} interleaved runs (lowest to highest)`}.`;
}

/** Machine and versions. */
export function machine(all, systems) {
  const versions = systems
    .filter(({ name }) => all.versions[name])
    .map(({ title, name }) => [title, all.versions[name]]);
  return table(
    ["what", "value"],
    [...Object.entries(all.machine), ["commit", `\`${all.commit}\``], ["date", all.date], ...versions],
  );
}

/** The generator's commands; `more` are rows of workloads that have a module of their own. */
export function commands(all, more = []) {
  const lines = WORKLOADS.filter(({ name }) => all.values.some(({ workload }) => workload === name)).map((workload) => {
    const { main, beside } = generatorArguments(workload, all);
    const both = [main, beside].filter(Boolean).map((args) => `\`campanile bench ${args.join(" ")}\``);
    return [workload.title, both.join(" and ")];
  });
  lines.push(...more);
  return lines.length === 0 ? "" : table(["workload", "command"], lines);
}
