//! The config file: TOML whose faults name their line, and whose unknown keys name the nearest known one.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use toml_edit::{Document, Item};

use super::{Fault, Faults, Kind, Setting};

/// The largest text file that is read, in bytes.
const MOST_BYTES: u64 = 16 << 20;

/// A config file that parsed. The values are checked when a
/// [`Resolver`](super::Resolver) asks for them.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    shown: String,
    document: Document<String>,
}

impl ConfigFile {
    /// Reads and parses the file at `path`; `keys` and `tables` as in [`ConfigFile::parse`].
    ///
    /// # Errors
    /// A file that cannot be read, is not UTF-8 or is larger than 16 MiB, and everything that `parse` refuses.
    pub fn read(
        path: &Path,
        keys: &[&'static [Setting]],
        tables: &[&'static str],
    ) -> Result<ConfigFile, Faults> {
        let shown = path.display().to_string();
        match read_text(path) {
            Ok(text) => ConfigFile::parse(&shown, text, keys, tables),
            Err(error) => Err(Fault::new(shown, format!("cannot be read: {error}")).into()),
        }
    }

    /// Parses `text`. Keys at the top level are names in `keys` with `_` for `-`; names in `tables` are let through
    /// unseen, for the caller. `path_shown` is how faults call the file.
    ///
    /// # Errors
    /// The first syntax error, or else every unknown key with the nearest known one.
    pub fn parse(
        path_shown: &str,
        text: String,
        keys: &[&'static [Setting]],
        tables: &[&'static str],
    ) -> Result<ConfigFile, Faults> {
        ConfigFile::parse_leniently(path_shown, text, keys, tables)
            .and_then(|(file, unknown)| unknown.or(file))
    }

    /// The same for who wants to look for more faults: unknown keys come beside the file.
    ///
    /// # Errors
    /// The first syntax error.
    pub fn parse_leniently(
        path_shown: &str,
        text: String,
        keys: &[&'static [Setting]],
        tables: &[&'static str],
    ) -> Result<(ConfigFile, Faults), Faults> {
        let document = match Document::parse(text.clone()) {
            Ok(document) => document,
            Err(error) => {
                let line = line_of(&text, error.span().map_or(text.len(), |span| span.start));
                return Err(Fault::new(format!("{path_shown}:{line}"), error.message()).into());
            }
        };
        let file = ConfigFile { shown: path_shown.to_owned(), document };
        let keys: Vec<String> = keys.iter().flat_map(|table| table.iter()).map(Setting::key).collect();
        let known = || keys.iter().map(String::as_str).chain(tables.iter().copied());
        let mut faults = Faults::default();
        for (key, _) in file.document.iter().filter(|(key, _)| known().all(|known| known != *key)) {
            let advice = match nearest(key, known()) {
                Some(near) => format!("did you mean {near}?"),
                None => "known are the options that --help lists, with _ for -".to_owned(),
            };
            faults.push(Fault::new(file.place(key), format!("unknown key; {advice}")));
        }
        Ok((file, faults))
    }

    /// The whole document with its spans, for the tables that were let through.
    pub fn document(&self) -> &Document<String> {
        &self.document
    }

    /// The line, from 1, on which `span` begins.
    pub fn line_of(&self, span: Range<usize>) -> usize {
        line_of(self.document.raw(), span.start)
    }

    /// How faults call this file.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// `campanile.toml:12: idle_seconds`
    pub(super) fn place(&self, key: &str) -> String {
        let span = self.document.get_key_value(key).and_then(|(key, item)| key.span().or(item.span()));
        let line = self.line_of(span.unwrap_or(0..0));
        format!("{}:{line}: {key}", self.shown)
    }

    /// The value of a setting as text, or what is wrong with its type; nothing if the file does not name it.
    pub(super) fn value(&self, setting: &Setting) -> Option<Result<String, String>> {
        let item = self.document.get(&setting.key())?;
        Some(match (item, setting.kind) {
            (Item::Value(toml_edit::Value::String(text)), kind) if !matches!(kind, Kind::Count { .. }) => {
                Ok(text.value().clone())
            }
            (Item::Value(toml_edit::Value::Integer(number)), kind) if is_number(kind) => {
                Ok(number.value().to_string())
            }
            (Item::Value(toml_edit::Value::Float(number)), Kind::Seconds { .. }) => {
                Ok(number.value().to_string())
            }
            (item, Kind::Count { .. } | Kind::Seconds { .. }) => {
                Err(format!("is {}; give a number without quotes, {}", type_of(item), setting.kind.bounds()))
            }
            (item, kind) => {
                let bounds = kind.bounds();
                let bounds = if bounds.is_empty() { bounds } else { format!(": {bounds}") };
                Err(format!("is {}; give a text in quotes{bounds}", type_of(item)))
            }
        })
    }
}

/// Reads a text file as a whole.
///
/// # Errors
/// What the system says; `InvalidData` if it is not UTF-8; `FileTooLarge` beyond 16 MiB.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than 16 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + newlines(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        io::Error::new(io::ErrorKind::InvalidData, format!("the file is not UTF-8 (line {line})"))
    })
}

/// The known word that `word` was most likely meant to be, if any is near enough.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The cost is the product of both lengths: nobody mistypes a word this long.
    if word.len() > 100 {
        return None;
    }
    let word = word.replace('-', "_").to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&word, &known.replace('-', "_").to_lowercase());
    let near =
        known.into_iter().map(|known| (distance(known), known)).min_by_key(|(distance, _)| *distance)?;
    let letters = near.1.chars().count().max(word.chars().count());
    (near.0 <= (letters / 3).max(1)).then_some(near.1)
}

/// The line, from 1, of the byte at `offset` in `text`; past the end, the last line.
pub fn line_of(text: &str, offset: usize) -> usize {
    1 + newlines(&text.as_bytes()[..offset.min(text.len())])
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// `an integer`
fn type_of(item: &Item) -> String {
    let name = item.type_name();
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Count { .. } | Kind::Bytes { .. } | Kind::Seconds { .. })
}

#[cfg(test)]
mod tests;
