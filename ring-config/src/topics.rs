//! The rules of topics: the `[[topics]]` tables of `campanile.toml`, which gateways and topic servers read alike.
//!
//! A pattern is a topic, or a prefix and one final `*`. A topic that stands there exactly goes before prefixes,
//! a longer prefix before a shorter one. Without any table every topic is open; with tables, only topics that
//! a pattern matches.

use std::collections::HashMap;

use campanile_process::settings::{ConfigFile, Faults};
use toml_edit::{Item, Table};

use crate::check::Findings;
use crate::fields::{Fields, kind_of, place_of, place_of_key};

/// The key of the tables in the config file.
pub const KEY: &str = "topics";

/// Longest pattern in bytes, without its `*`: as long as a topic may be.
pub const PATTERN_BYTES: usize = 1_024;

/// Keys of one table.
const RULE_KEYS: [&str; 6] =
    ["pattern", "history_messages", "history_bytes", "history_seconds", "overflow", "on_loss"];

/// Most that a topic's history may have: messages, bytes, seconds.
const HISTORY_MOST: [u64; 3] = [1_000_000, 1 << 30, 86_400];

/// All rules of one config file; never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicRules {
    /// In the order of the file.
    rules: Vec<Rule>,
    /// Index of the rule of each topic that stands there exactly.
    exact: HashMap<Vec<u8>, usize>,
    /// Index of the rule of each prefix.
    prefixes: HashMap<Vec<u8>, usize>,
    /// The lengths of prefixes that there are, the longest first.
    lengths: Vec<usize>,
}

/// One `[[topics]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pattern: String,
    history: History,
    overflow: Overflow,
    on_loss: OnLoss,
}

/// What a full queue to a client means for the topic's events in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// None is ever left out: the client is closed, unless events of other topics give way. Written `"close"`.
    #[default]
    Close,
    /// They give way, the oldest first. Written `"drop-oldest"`.
    DropOldest,
}

/// What a plain channel gets, one without positions, when it has missed messages that nobody can give it any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLoss {
    /// Nothing: the loss is counted in the gateway's metrics. Written `"ignore"`.
    #[default]
    Ignore,
    /// A `phx_error`, so that its client joins anew. Written `"rejoin"`.
    Rejoin,
}

/// How much of a topic its owner keeps for clients that come back. A 0 in any of the three turns it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Messages.
    pub messages: u64,
    /// Bytes, with some overhead for each message.
    pub bytes: u64,
    /// Age in seconds.
    pub seconds: u64,
}

impl Default for History {
    /// What topics have that no rule speaks of.
    fn default() -> Self {
        Self { messages: 1_000, bytes: 1 << 20, seconds: 120 }
    }
}

impl TopicRules {
    /// Reads the tables of a config file that has let the key [`KEY`] through.
    ///
    /// # Errors
    /// All faults at once, each with its line.
    pub fn from_config(config: &ConfigFile) -> Result<Self, Faults> {
        let document = config.document();
        let mut findings = Findings::default();
        let rules = Self::read(document.as_table(), &mut findings);
        let faults = findings.into_faults(config.shown(), document.raw());
        faults.or(rules)
    }

    fn read(root: &Table, findings: &mut Findings) -> Self {
        let mut rules = Self::default();
        match root.get(KEY) {
            None => {}
            Some(Item::ArrayOfTables(tables)) => {
                let mut places = Vec::new();
                for table in tables {
                    rules.read_rule(table, &mut places, findings);
                }
            }
            Some(Item::Value(value)) if value.as_array().is_some_and(|array| array.is_empty()) => {}
            Some(other) => {
                let at = place_of_key(root, KEY).or_else(|| place_of(other));
                let says =
                    format!("rules of topics are written as [[{KEY}]] tables, not as {}", kind_of(other));
                findings.add(at, says);
            }
        }
        rules
    }

    /// Reads one table. `places` has the place of each rule's pattern.
    fn read_rule(&mut self, table: &Table, places: &mut Vec<Option<usize>>, findings: &mut Findings) {
        let mut fields = Fields::of(table, &RULE_KEYS, findings);
        let pattern = fields.string("pattern");
        let history = read_history(&mut fields);
        let words = [("close", Overflow::Close), ("drop-oldest", Overflow::DropOldest)];
        let overflow = read_word(&mut fields, "overflow", words);
        let words = [("ignore", OnLoss::Ignore), ("rejoin", OnLoss::Rejoin)];
        let on_loss = read_word(&mut fields, "on_loss", words);
        let (Some(history), Some(overflow), Some(on_loss)) = (history, overflow, on_loss) else {
            return;
        };
        let Some(found) = pattern else { return };
        let pattern = found.value;
        if let Some(fault) = fault_in_pattern(&pattern) {
            findings.add(found.at, fault);
            return;
        }
        let (map, key) = match pattern.strip_suffix('*') {
            Some(prefix) => (&mut self.prefixes, prefix),
            None => (&mut self.exact, pattern.as_str()),
        };
        if let Some(&first) = map.get(key.as_bytes()) {
            findings.add_repeated(found.at, format!("pattern {pattern:?} stands twice"), places[first]);
            return;
        }
        map.insert(key.as_bytes().to_vec(), self.rules.len());
        if pattern.ends_with('*') {
            // Kept in order, the longest first.
            let length = pattern.len() - 1;
            let at = self.lengths.partition_point(|other| *other > length);
            if self.lengths.get(at) != Some(&length) {
                self.lengths.insert(at, length);
            }
        }
        places.push(found.at);
        self.rules.push(Rule { pattern, history, overflow, on_loss });
    }

    /// The rule of `topic`: the one that names it exactly, else the one with the longest prefix of it. Does not
    /// allocate.
    pub fn find(&self, topic: &[u8]) -> Option<&Rule> {
        let exact = self.exact.get(topic);
        let by_prefix = || self.lengths.iter().find_map(|length| self.prefixes.get(topic.get(..*length)?));
        exact.or_else(by_prefix).map(|index| &self.rules[*index])
    }

    /// Whether clients may join `topic`: a rule matches it, or there are no rules.
    pub fn is_open(&self, topic: &[u8]) -> bool {
        self.rules.is_empty() || self.find(topic).is_some()
    }

    /// How much of `topic` is kept.
    pub fn history(&self, topic: &[u8]) -> History {
        self.find(topic).map_or_else(History::default, |rule| rule.history)
    }

    /// What a full queue to a client means for events of `topic` in it.
    pub fn overflow(&self, topic: &[u8]) -> Overflow {
        self.find(topic).map_or_else(Overflow::default, |rule| rule.overflow)
    }

    /// What plain channels of `topic` get when they have missed messages.
    pub fn on_loss(&self, topic: &[u8]) -> OnLoss {
        self.find(topic).map_or_else(OnLoss::default, |rule| rule.on_loss)
    }

    /// All rules in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// The history of one table, or nothing if any of its values is out of bounds.
fn read_history(fields: &mut Fields<'_>) -> Option<History> {
    let default = History::default();
    let mut read = |key, default: u64, most: u64| {
        let found = fields.integer(key, i64::try_from(default).ok())?;
        match u64::try_from(found.value) {
            Ok(value) if value <= most => Some(value),
            _ => {
                fields.fault(found.at, format!("{key} must be 0 to {most}, not {}", found.value));
                None
            }
        }
    };
    let [messages, bytes, seconds] = HISTORY_MOST;
    let messages = read("history_messages", default.messages, messages);
    let bytes = read("history_bytes", default.bytes, bytes);
    let seconds = read("history_seconds", default.seconds, seconds);
    Some(History { messages: messages?, bytes: bytes?, seconds: seconds? })
}

/// Which of two words stands there, the first one if none does. Nothing at all if it is another one.
fn read_word<T: Copy>(fields: &mut Fields<'_>, key: &str, words: [(&str, T); 2]) -> Option<T> {
    let Some(found) = fields.string_if_given(key)? else {
        return Some(words[0].1);
    };
    let meaning = words.iter().find(|(word, _)| *word == found.value).map(|(_, meaning)| *meaning);
    if meaning.is_none() {
        let [(first, _), (second, _)] = words;
        fields.fault(found.at, format!("{key} must be {first:?} or {second:?}, not {:?}", found.value));
    }
    meaning
}

impl Rule {
    /// How much of the topics that it speaks of is kept.
    pub fn history(&self) -> History {
        self.history
    }

    /// The pattern as it stands in the file.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
}

fn fault_in_pattern(pattern: &str) -> Option<String> {
    let plain = pattern.strip_suffix('*').unwrap_or(pattern);
    if pattern.is_empty() {
        Some("pattern is empty; \"*\" matches every topic".to_owned())
    } else if plain.contains('*') {
        Some(format!("pattern {pattern:?} has a '*' that is not its last character"))
    } else if plain.contains(char::is_control) {
        Some(format!("pattern {pattern:?} has a control character"))
    } else if plain.len() > PATTERN_BYTES {
        Some(format!("pattern is {} bytes long; at most {PATTERN_BYTES} are allowed", plain.len()))
    } else {
        None
    }
}
