// Runs `campanile bench` and reads its report.

import { launch } from "./systems.mjs";

/** The generator's whole command line for a system; without a protocol where the workload has one of its own. */
export function commandLine({ bin, core }, args, system, protocol) {
  const pin = core === "any" ? [] : ["taskset", "-c", core];
  const servers = [
    ...system.urls.flatMap((url) => ["--url", url]),
    ...system.pids.flatMap((pid) => ["--pid", String(pid)]),
  ];
  const spoken = protocol ? ["--protocol", protocol] : [];
  return [...pin, bin, "bench", ...args, ...spoken, ...servers, "--json"];
}

/** The report as JSON, also of a run that found faults; what went wrong where there is none. */
export async function measure(line) {
  const child = await launch(line[0], line.slice(1), ["ignore", "pipe", "pipe"]);
  return new Promise((resolve) => {
    let [out, err] = ["", ""];
    child.stdout.on("data", (data) => (out += data));
    child.stderr.on("data", (data) => (err += data));
    child.on("error", (error) => resolve({ failure: error.message }));
    child.on("close", () => {
      try {
        resolve({ report: JSON.parse(out) });
      } catch {
        resolve({ failure: err.trim() || "the generator said nothing" });
      }
    });
  });
}

/** Why a report's figures do not count, if so. */
export function fault(report) {
  if (report.ended_early) return "ended early";
  const parts = report.parts ?? [report];
  const examples = parts.flatMap((part) => part.faults.examples);
  return report.ok ? undefined : `faults: ${examples.slice(0, 3).join("; ") || "see the report"}`;
}

/** Whether the generator was at its limit, so that a figure may be its own. */
export function saturated(report) {
  return (report.parts ?? [report]).some(({ generator }) => generator.cpu_percent >= 90 && !generator.busy_poll);
}
