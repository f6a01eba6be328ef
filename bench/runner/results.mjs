// What all runs gave: values by system, workload and figure; median, lowest, highest.

/** A new, empty set of results. */
export function results(about) {
  return { ...about, versions: {}, values: [], failures: [] };
}

/** Adds one figure of one run. */
export function add(all, system, workload, figure, value, limited) {
  if (Number.isFinite(value)) all.values.push({ system, workload, figure, value, limited });
}

/** Median, lowest, highest and number of a figure's values; undefined if there are none. */
export function summary(all, system, workload, figure) {
  const found = all.values.filter((one) => one.system === system && one.workload === workload && one.figure === figure);
  if (found.length === 0) return undefined;
  const sorted = found.map(({ value }) => value).sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return {
    median,
    lowest: sorted[0],
    highest: sorted.at(-1),
    runs: sorted.length,
    limited: found.some(({ limited }) => limited),
  };
}

/** A number for people: as many digits as say something. */
export function number(value) {
  const size = Math.abs(value);
  const digits = size >= 100 || value === 0 ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
