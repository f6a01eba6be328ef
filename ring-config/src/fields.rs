//! Reads the keys of one TOML table: each of a known name, of the right type, with its place.

use campanile_process::settings::nearest;
use toml_edit::{Item, Table, Value};

use crate::check::{Findings, Found};

/// One table whose keys are read one by one; every fault goes to the findings.
pub(crate) struct Fields<'a> {
    table: &'a Table,
    /// Where the table starts, for keys that are missing.
    at: Option<usize>,
    findings: &'a mut Findings,
}

impl<'a> Fields<'a> {
    /// Starts to read a table that may hold the keys `known` and no others.
    pub(crate) fn of(table: &'a Table, known: &[&str], findings: &'a mut Findings) -> Self {
        let at = table.span().map(|span| span.start);
        for (key, item) in table {
            if known.contains(&key) {
                continue;
            }
            let place = place_of_key(table, key).or_else(|| place_of(item)).or(at);
            match nearest(key, known.iter().copied()) {
                Some(near) => findings.add(place, format!("unknown key {key:?}; did you mean {near:?}?")),
                None => findings.add(place, format!("unknown key {key:?}; known are {}", known.join(", "))),
            }
        }
        Self { table, at, findings }
    }

    /// A number; `default` stands for a key that is missing, and without it that is a fault.
    pub(crate) fn integer(&mut self, key: &str, default: Option<i64>) -> Option<Found<i64>> {
        self.read(key, "a whole number", default, Value::as_integer)
    }

    /// A text that must not be missing.
    pub(crate) fn string(&mut self, key: &str) -> Option<Found<String>> {
        self.read(key, "a text in quotes", None, |value| value.as_str().map(str::to_owned))
    }

    /// A text that may be missing. Nothing at all if it is no text.
    pub(crate) fn string_if_given(&mut self, key: &str) -> Option<Option<Found<String>>> {
        if self.table.get(key).is_none() { Some(None) } else { self.string(key).map(Some) }
    }

    /// A fault at this place.
    pub(crate) fn fault(&mut self, at: Option<usize>, text: String) {
        self.findings.add(at, text);
    }

    fn read<T>(
        &mut self,
        key: &str,
        kind: &str,
        default: Option<T>,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Option<Found<T>> {
        let Some(item) = self.table.get(key) else {
            if default.is_none() {
                self.findings.add(self.at, format!("{key} is missing"));
            }
            return default.map(|value| Found { value, at: self.at });
        };
        let at = place_of(item).or_else(|| place_of_key(self.table, key)).or(self.at);
        let value = item.as_value().and_then(convert);
        if value.is_none() {
            self.findings.add(at, format!("{key} must be {kind}, not {}", kind_of(item)));
        }
        value.map(|value| Found { value, at })
    }
}

/// Where an item starts.
pub(crate) fn place_of(item: &Item) -> Option<usize> {
    item.span().map(|span| span.start)
}

/// Where a key of a table stands.
pub(crate) fn place_of_key(table: &Table, key: &str) -> Option<usize> {
    table.key(key).and_then(|key| key.span()).map(|span| span.start)
}

/// The type of an item in words.
pub(crate) fn kind_of(item: &Item) -> &'static str {
    match item {
        Item::Value(Value::Integer(_)) => "a whole number",
        Item::Value(Value::Float(_)) => "a number with a fraction",
        Item::Value(Value::String(_)) => "a text",
        Item::Value(Value::Boolean(_)) => "true or false",
        Item::Value(Value::Datetime(_)) => "a date",
        Item::Value(Value::Array(_)) => "a list",
        Item::Value(Value::InlineTable(_)) | Item::Table(_) => "a table",
        Item::ArrayOfTables(_) => "a list of tables",
        Item::None => "nothing",
    }
}
