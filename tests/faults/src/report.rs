//! What the scenarios found: one row per figure, as a table and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

/// One figure of one situation, and whether it is what it must be.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) situation: String,
    pub(crate) figure: String,
    pub(crate) value: String,
    pub(crate) must: String,
    /// None: measured for the reader, and nothing is claimed.
    pub(crate) held: Option<bool>,
}

/// The rows of one scenario.
#[derive(Debug)]
pub(crate) struct Rows {
    situation: String,
    rows: Vec<Row>,
}

impl Rows {
    pub(crate) fn new(situation: &str) -> Self {
        Self { situation: situation.to_owned(), rows: Vec::new() }
    }

    /// A figure with what must hold of it.
    pub(crate) fn must(&mut self, figure: &str, value: impl ToString, must: &str, held: bool) {
        self.add(figure, value.to_string(), must, Some(held));
    }

    /// A figure without a claim.
    pub(crate) fn tell(&mut self, figure: &str, value: impl ToString) {
        self.add(figure, value.to_string(), "", None);
    }

    /// A duration that must not be longer than `most`; none was never reached.
    pub(crate) fn at_most(&mut self, figure: &str, value: Option<Duration>, most: Duration) {
        let shown = value.map_or_else(|| "never".to_owned(), in_words);
        self.must(
            figure,
            shown,
            &format!("at most {}", in_words(most)),
            value.is_some_and(|value| value <= most),
        );
    }

    fn add(&mut self, figure: &str, value: String, must: &str, held: Option<bool>) {
        let situation = self.situation.clone();
        self.rows.push(Row { situation, figure: figure.to_owned(), value, must: must.to_owned(), held });
    }

    pub(crate) fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}

/// `1.52 s`, `340 ms`, `0.4 ms`.
pub(crate) fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match () {
        () if seconds >= 1.0 => format!("{seconds:.2} s"),
        () if seconds >= 0.01 => format!("{:.0} ms", seconds * 1e3),
        () => format!("{:.1} ms", seconds * 1e3),
    }
}

/// The rows below each other in columns.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = ["situation", "figure", "measured", "must hold", "held"].map(str::to_owned);
    let held = |held: Option<bool>| match held {
        None => "",
        Some(true) => "yes",
        Some(false) => "NO",
    };
    let mut lines = vec![head];
    for row in rows {
        let Row { situation, figure, value, must, held: it_did } = row.clone();
        lines.push([situation, figure, value, must, held(it_did).to_owned()]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3, 4].map(width);
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text += "\n";
    }
    text
}

/// The rows as JSON.
pub(crate) fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let Row { situation, figure, value, must, held } = row;
        json!({"situation": situation, "figure": figure, "measured": value, "must": must, "held": held})
    };
    Value::Array(rows.iter().map(row).collect())
}

/// What [`json()`] made.
pub(crate) fn from_json(value: &Value) -> Vec<Row> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let row = |row: &Value| Row {
        situation: text(row, "situation"),
        figure: text(row, "figure"),
        value: text(row, "measured"),
        must: text(row, "must"),
        held: row["held"].as_bool(),
    };
    value.as_array().into_iter().flatten().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_hold_stands_out_and_json_comes_back_as_it_was() {
        let mut rows = Rows::new("kill9");
        rows.must("violations", 1, "0", false);
        rows.tell("errors", 7);
        rows.at_most("back after", Some(Duration::from_millis(340)), Duration::from_secs(2));
        rows.at_most("never", None, Duration::from_secs(2));
        let rows = rows.into_rows();
        let text = table(&rows);
        assert!(text.lines().nth(1).unwrap().ends_with("  NO"), "{text}");
        assert!(text.contains("340 ms") && text.contains("at most 2.00 s"), "{text}");
        assert_eq!(
            rows.iter().map(|row| row.held).collect::<Vec<_>>(),
            [Some(false), None, Some(true), Some(false)]
        );
        assert_eq!(table(&from_json(&json(&rows))), text);
    }
}
