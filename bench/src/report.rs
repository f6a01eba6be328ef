//! The report of a run: one value, shown as a table or as JSON, so that the two cannot differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::faults::{FaultKind, Faults};
use crate::latency::Summary;
use crate::process_stats::{Reading, Usage, total_cpu};

/// The generator is called the bottleneck above this share of its one CPU.
const SATURATED: f64 = 0.9;

/// How many of many rows the table shows.
const ROWS: usize = 5;

/// What a run found.
#[derive(Debug, Default)]
pub struct Report {
    workload: &'static str,
    description: String,
    settings: Vec<(&'static str, Value)>,
    figures: Vec<Figure>,
    latencies: Vec<(&'static str, &'static str, Summary)>,
    usage: Vec<Usage>,
    window: Duration,
    generator_share: f64,
    /// The generator never slept, so its share says nothing.
    busy_poll: bool,
    refusals: BTreeMap<String, u64>,
    counts: Vec<(&'static str, &'static str, BTreeMap<String, u64>)>,
    rows: Option<(&'static str, Vec<Row>)>,
    checked: &'static str,
    faults: Faults,
    notes: Vec<String>,
    ended_early: bool,
    parts: Vec<Report>,
}

/// One measured number.
#[derive(Debug)]
struct Figure {
    key: &'static str,
    label: &'static str,
    value: f64,
    unit: &'static str,
}

/// One of many things of the same kind, such as a topic.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) summary: Summary,
    /// All that the JSON says about it.
    pub(crate) value: Value,
}

impl Report {
    pub(crate) fn new(workload: &'static str, description: String) -> Self {
        Self { workload, description, ..Self::default() }
    }

    /// A setting to repeat in the JSON.
    pub(crate) fn setting(&mut self, key: &'static str, value: impl Into<Value>) {
        self.settings.push((key, value.into()));
    }

    /// A number: `key` in the JSON, `label` and `unit` in the table.
    pub(crate) fn figure(&mut self, key: &'static str, label: &'static str, value: f64, unit: &'static str) {
        self.figures.push(Figure { key, label, value, unit });
    }

    /// A row of the latency table.
    pub(crate) fn latency(&mut self, key: &'static str, label: &'static str, summary: Summary) {
        self.latencies.push((key, label, summary));
    }

    /// What processes and generator used between two readings; gives the servers' CPU time.
    pub(crate) fn usage(&mut self, before: &Reading, after: &Reading) -> Duration {
        self.usage = before.until(after);
        self.window = after.taken().duration_since(before.taken());
        self.generator_share = before.own_share_until(after);
        for usage in self.usage.iter().filter(|usage| usage.figures.is_none()) {
            self.notes.push(format!("process {} ended during the measurement: it is not counted", usage.pid));
        }
        total_cpu(&self.usage)
    }

    /// The generator polled its sockets without ever sleeping (`--busy-poll`).
    pub(crate) fn busy_polled(&mut self) {
        self.busy_poll = true;
        self.parts.iter_mut().for_each(Self::busy_polled);
    }

    /// All that the reader should know.
    fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        if self.generator_share >= SATURATED && !self.busy_poll {
            notes.push(format!(
                "the generator used {:.0} % of its one CPU: these figures may show its limit, not the server's; \
                 use a machine with more cores, or several `campanile bench` at once",
                self.generator_share * 100.0
            ));
        }
        notes
    }

    /// Something the reader should know.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Error replies to publishes by reason, which are no faults.
    pub(crate) fn refusals(&mut self, refusals: BTreeMap<String, u64>) {
        self.refusals = refusals;
    }

    /// Counts by reason, which are no faults: `key` in the JSON, `label` before each reason in the table.
    pub(crate) fn counts(&mut self, key: &'static str, label: &'static str, counts: BTreeMap<String, u64>) {
        self.counts.push((key, label, counts));
    }

    /// One row for each of many things: all in the JSON under `key`, those with the highest latency in the table.
    pub(crate) fn rows(&mut self, key: &'static str, rows: Vec<Row>) {
        self.rows = Some((key, rows));
    }

    /// The outcome of the check: what is claimed if there are no faults.
    pub(crate) fn checked(&mut self, claim: &'static str, faults: Faults) {
        self.checked = claim;
        self.faults = faults;
    }

    /// Adds one measurement of several, with figures and a check of its own.
    pub(crate) fn part(&mut self, part: Report) {
        self.parts.push(part);
    }

    /// The run was ended by a signal.
    pub(crate) fn ended_early(&mut self) {
        self.ended_early = true;
        self.notes.insert(0, "ended early by a signal: the report so far".into());
    }

    /// Whether no fault was found.
    pub fn ok(&self) -> bool {
        self.faults.total() == 0 && self.parts.iter().all(Self::ok)
    }

    /// The measurements of a run that has several.
    pub fn parts(&self) -> &[Report] {
        &self.parts
    }

    /// What went wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The number with this key, as in the JSON's `results`.
    pub fn result(&self, key: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.key == key).map(|figure| figure.value)
    }

    /// The report as one JSON object.
    pub fn json(&self) -> Value {
        let object =
            |pairs: &mut dyn Iterator<Item = (String, Value)>| Value::Object(pairs.collect::<Map<_, _>>());
        let latencies = &mut self.latencies.iter().map(|(key, _, summary)| {
            let Summary { count, p50, p99, p999, max } = summary;
            let value = json!({"count": count, "p50_us": p50, "p99_us": p99, "p999_us": p999, "max_us": max});
            ((*key).to_owned(), value)
        });
        let processes: Vec<Value> = self.usage.iter().map(|usage| process_json(usage, self.window)).collect();
        let faults =
            &mut FaultKind::ALL.iter().map(|&kind| (kind.key().to_owned(), self.faults.count(kind).into()));
        let mut report = json!({
            "workload": self.workload,
            "version": env!("CARGO_PKG_VERSION"),
            "settings": object(&mut self.settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone()))),
            "results": object(&mut self.figures.iter().map(|figure| (figure.key.to_owned(), plain(figure.value)))),
            "latency": object(latencies),
            "processes": processes,
            "generator": {"cpu_percent": self.generator_share * 100.0, "busy_poll": self.busy_poll},
            "refusals": self.refusals,
            "faults": {"total": self.faults.total(), "kinds": object(faults), "examples": self.faults.examples()},
            "notes": self.notes(),
            "ended_early": self.ended_early,
            "ok": self.ok(),
        });
        for (key, _, counts) in &self.counts {
            report[*key] = json!(counts);
        }
        if let Some((key, rows)) = &self.rows {
            report[*key] = rows.iter().map(|row| row.value.clone()).collect();
        }
        if !self.parts.is_empty() {
            report["parts"] = self.parts.iter().map(Self::json).collect();
        }
        report
    }

    /// The report as a table for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_table(&mut text);
        text
    }

    fn write_table(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "{}: {}\n", self.workload, self.description)?;
        if !self.parts.is_empty() {
            self.notes().iter().try_for_each(|note| writeln!(text, "  note: {note}\n"))?;
            for (number, part) in self.parts.iter().enumerate() {
                text.push_str(if number > 0 { "\n" } else { "" });
                part.write_table(text)?;
            }
            return Ok(());
        }
        for figure in &self.figures {
            writeln!(text, "  {:<34}{:>16} {}", figure.label, number(figure.value), figure.unit)?;
        }
        for (reason, count) in &self.refusals {
            writeln!(text, "  {:<34}{:>16}", format!("refused: {reason}"), number(*count as f64))?;
        }
        for (_, label, counts) in &self.counts {
            for (reason, count) in counts {
                writeln!(text, "  {:>16} × {label}: {reason}", number(*count as f64))?;
            }
        }
        let measured = self.latencies.iter().filter(|(_, _, summary)| summary.count > 0);
        for (index, (_, label, summary)) in measured.enumerate() {
            if index == 0 {
                writeln!(
                    text,
                    "\n  {:<24}{:>12}{:>12}{:>12}{:>12}",
                    "latency, ms", "p50", "p99", "p99.9", "max"
                )?;
            }
            write_latency(text, label, summary)?;
        }
        self.write_rows(text)?;
        self.write_processes(text)?;
        for note in self.notes() {
            writeln!(text, "\n  note: {note}")?;
        }
        if self.ok() {
            return writeln!(text, "\n  check: ok: {}", self.checked);
        }
        writeln!(text, "\n  check: FAILED")?;
        for kind in FaultKind::ALL.into_iter().filter(|&kind| self.faults.count(kind) > 0) {
            writeln!(text, "  {:<34}{:>16}", kind.to_string(), number(self.faults.count(kind) as f64))?;
        }
        for example in self.faults.examples() {
            writeln!(text, "    {example}")?;
        }
        if self.faults.more_than_shown() {
            writeln!(text, "    … (only the first examples are shown)")?;
        }
        Ok(())
    }

    /// Those with the highest latency.
    fn write_rows(&self, text: &mut String) -> std::fmt::Result {
        let Some((key, rows)) = &self.rows else {
            return Ok(());
        };
        let mut worst: Vec<&Row> = rows.iter().collect();
        worst.sort_by(|one, other| other.summary.max.total_cmp(&one.summary.max));
        worst.truncate(ROWS);
        writeln!(text, "\n  slowest of {} {key}, ms", rows.len())?;
        for row in worst {
            write_latency(text, &row.label, &row.summary)?;
        }
        Ok(())
    }

    fn write_processes(&self, text: &mut String) -> std::fmt::Result {
        let seconds = self.window.as_secs_f64().max(f64::EPSILON);
        writeln!(
            text,
            "\n  {:<24}{:>12}{:>12}{:>14}{:>14}",
            "process", "CPU s", "CPU %", "RSS MB before", "RSS MB after"
        )?;
        for usage in &self.usage {
            let Some(figures) = &usage.figures else { continue };
            let cpu = figures.cpu.as_secs_f64();
            let [before, after] = [figures.rss_before, figures.rss_after].map(|bytes| bytes as f64 / 1e6);
            writeln!(
                text,
                "  {:<24}{cpu:>12.2}{:>12.1}{before:>14.2}{after:>14.2}",
                format!("{} {}", figures.name, usage.pid),
                cpu / seconds * 100.0
            )?;
        }
        let share = self.generator_share;
        writeln!(text, "  {:<24}{:>12.2}{:>12.1}", "this generator", share * seconds, share * 100.0)
    }
}

fn write_latency(text: &mut String, label: &str, summary: &Summary) -> std::fmt::Result {
    let Summary { p50, p99, p999, max, .. } = summary;
    let [p50, p99, p999, max] = [p50, p99, p999, max].map(|micros| format!("{:.3}", micros / 1_000.0));
    writeln!(text, "  {label:<24}{p50:>12}{p99:>12}{p999:>12}{max:>12}")
}

fn process_json(usage: &Usage, window: Duration) -> Value {
    match &usage.figures {
        None => json!({"pid": usage.pid, "ended": true}),
        Some(figures) => json!({
            "pid": usage.pid,
            "name": figures.name,
            "cpu_seconds": figures.cpu.as_secs_f64(),
            "cpu_percent": figures.cpu.as_secs_f64() / window.as_secs_f64().max(f64::EPSILON) * 100.0,
            "rss_before_bytes": figures.rss_before,
            "rss_after_bytes": figures.rss_after,
        }),
    }
}

/// A number for programs: whole ones without a fraction.
fn plain(value: f64) -> Value {
    // Below 2^53 a whole number is exact in both forms.
    if value.fract() == 0.0 && value.abs() < 9e15 { (value as i64).into() } else { value.into() }
}

/// A number for people: digits in groups of three, decimals only where they say something.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => 0,
        size if size >= 1.0 => 2,
        _ => 4,
    };
    let plain = format!("{value:.decimals$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let shown = [0.0, 7.0, 999.0, 1_000.0, 1_234_567.8, -4_321.0, 2.345, 0.01234].map(number);
        assert_eq!(shown, ["0", "7", "999", "1,000", "1,234,568", "-4,321", "2.35", "0.0123"]);
    }

    #[test]
    fn a_generator_at_its_limit_says_so_unless_it_never_sleeps() {
        let mut part = Report { generator_share: SATURATED, ..Report::default() };
        assert!(part.table().contains("its one CPU"));
        part.busy_polled();
        assert!(!part.table().contains("its one CPU"));
        let mut whole = Report::default();
        whole.part(Report { generator_share: SATURATED, ..Report::default() });
        whole.busy_polled();
        assert_eq!(whole.json()["parts"][0]["notes"], json!([]));
    }

    #[test]
    fn the_fault_of_a_part_is_the_fault_of_the_whole() {
        let mut whole = Report::new("pipe", "two sizes".into());
        for missing in [0, 1] {
            let mut part = Report::new("pipe", format!("part {missing}"));
            let mut faults = Faults::default();
            faults.add(FaultKind::Missing, missing, || "one".into());
            part.checked("all came", faults);
            whole.part(part);
            assert_eq!(whole.ok(), missing == 0);
        }
        let json = whole.json();
        assert_eq!((json["ok"].as_bool(), json["parts"][0]["ok"].as_bool()), (Some(false), Some(true)));
        assert!(whole.table().contains("part 0") && whole.table().contains("check: FAILED"));
    }

    #[test]
    fn table_and_json_say_the_same() {
        let mut report = Report::new("fanout", "a description".into());
        report.figure("deliveries", "deliveries", 1_234.0, "");
        let mut faults = Faults::default();
        report.checked("all came", Faults::default());
        assert!(
            report.ok() && report.table().contains("check: ok: all came") && report.table().contains("1,234")
        );
        assert_eq!(report.json()["results"]["deliveries"], 1_234);
        faults.add(FaultKind::Missing, 3, || "subscriber 17 lacks 4 to 6".into());
        report.checked("all came", faults);
        assert!(!report.ok() && report.table().contains("subscriber 17 lacks 4 to 6"));
        assert_eq!(report.json()["faults"]["kinds"]["missing"], 3);
        assert_eq!(report.json()["ok"], false);
    }
}
