//! The config file of both roles: settings, and the rules of topics.

use std::sync::OnceLock;

use campanile_gateway::config as gateway;
use campanile_process::settings::{ConfigFile, Resolver, Setting, arguments};
use campanile_ring_config::TopicRules;
use campanile_ring_config::topics::{KEY, PATTERN_BYTES};
use campanile_topic_server::config as topic_server;
use clap::{ArgMatches, Command};

use crate::Verdict;
use crate::options::{check_gateway, check_topic_server};
use crate::ring_file::check_faults;

const SHOWN: &str = "campanile.toml";

/// All keys that the file may have.
const KEYS: [&[Setting]; 4] =
    [gateway::IDENTITY, gateway::LIMITS, topic_server::IDENTITY, topic_server::LIMITS];

/// A text of a config file.
pub(crate) fn run(data: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(data) else { return Verdict::Refused };
    let (file, unknown) = match ConfigFile::parse_leniently(SHOWN, text.to_owned(), &KEYS, &[KEY]) {
        Ok(read) => read,
        Err(faults) => {
            check_faults(&faults, SHOWN, text);
            return Verdict::Refused;
        }
    };
    let rules = TopicRules::from_config(&file);
    let mut is_good = unknown.is_empty();
    if !is_good {
        check_faults(&unknown, SHOWN, text);
    }
    match &rules {
        Ok(rules) => check_rules(rules),
        Err(faults) => {
            is_good = false;
            check_faults(faults, SHOWN, text);
        }
    }
    let resolve = |check: fn(Resolver<'_>) -> Result<(), _>, tables: [&'static [Setting]; 2]| {
        let checked = check(Resolver::new(nothing_given(), &tables, Some(&file)));
        checked.inspect_err(|faults| check_faults(faults, SHOWN, text)).is_ok()
    };
    is_good &= resolve(check_gateway, [gateway::IDENTITY, gateway::LIMITS]);
    is_good &= resolve(check_topic_server, [topic_server::IDENTITY, topic_server::LIMITS]);
    if is_good { Verdict::Accepted } else { Verdict::Refused }
}

/// Each rule is found by what it names, and the history of a topic is within its bounds.
fn check_rules(rules: &TopicRules) {
    for rule in rules.rules() {
        let pattern = rule.pattern();
        assert!(!pattern.is_empty() && pattern.len() <= PATTERN_BYTES + 1);
        let plain = pattern.strip_suffix('*').unwrap_or(pattern);
        assert!(rules.is_open(plain.as_bytes()) || plain.is_empty());
        let found = rules.find(plain.as_bytes()).expect("a topic that a pattern names");
        // Another may be meant only if it is a better match of the same name.
        assert!(found.pattern() == pattern || (found.pattern() == plain && pattern != plain), "{pattern:?}");
        let history = rules.history(plain.as_bytes());
        assert_eq!(history, found.history());
        assert!(
            history.messages <= 1_000_000 && history.bytes <= 1 << 30 && history.seconds <= 86_400,
            "{history:?}"
        );
    }
    assert!(!rules.rules().is_empty() || rules.is_open(b"anything"));
}

/// A command line without options.
fn nothing_given() -> &'static ArgMatches {
    static NOTHING: OnceLock<ArgMatches> = OnceLock::new();
    NOTHING.get_or_init(|| {
        let command = arguments(Command::new("nothing"), gateway::LIMITS);
        command.no_binary_name(true).get_matches_from([""; 0])
    })
}
