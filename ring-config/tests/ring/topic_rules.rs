//! The `[[topics]]` tables: faults with lines, and which rule a topic gets.

use campanile_process::settings::{ConfigFile, Faults};
use campanile_ring_config::TopicRules;
use campanile_ring_config::topics::{History, KEY, OnLoss, Overflow, Rule};
use proptest::collection::btree_set;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn rules(text: &str) -> Result<TopicRules, Faults> {
    let config = ConfigFile::parse("campanile.toml", text.to_owned(), &[], &[KEY]).unwrap();
    TopicRules::from_config(&config)
}

fn with_patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> TopicRules {
    let tables = patterns.into_iter().map(|pattern| format!("[[topics]]\npattern = \"{pattern}\"\n"));
    rules(&tables.collect::<String>()).unwrap()
}

#[test]
fn without_a_table_every_topic_is_open() {
    for rules in [TopicRules::default(), rules("").unwrap(), rules("topics = []").unwrap()] {
        assert!(rules.is_open(b"anything"));
        assert_eq!(rules.find(b"anything"), None);
        assert!(rules.rules().is_empty());
    }
}

#[test]
fn exact_beats_prefix_and_longer_beats_shorter() {
    let rules = with_patterns(["room:*", "room:vip:*", "room:vip:1", "chat"]);
    let found = |topic: &str| rules.find(topic.as_bytes()).map(Rule::pattern);
    assert_eq!(found("room:vip:1"), Some("room:vip:1"));
    assert_eq!(found("room:vip:12"), Some("room:vip:*"));
    assert_eq!(found("room:vip:"), Some("room:vip:*"));
    assert_eq!(found("room:vip"), Some("room:*"));
    assert_eq!(found("room:"), Some("room:*"));
    assert_eq!(found("room"), None);
    assert_eq!(found("chat"), Some("chat"));
    assert_eq!(found("chats"), None);
    assert!(rules.is_open(b"room:\xff"));
    assert!(!rules.is_open(b"\xff"));
    assert!(!rules.is_open(b"phoenix"));
    assert!(with_patterns(["*"]).is_open(b"\xff"));
    let order: Vec<&str> = rules.rules().iter().map(Rule::pattern).collect();
    assert_eq!(order, ["room:*", "room:vip:*", "room:vip:1", "chat"]);
}

#[test]
fn each_fault_names_its_line() {
    for (table, says) in [
        ("", "1: pattern is missing"),
        ("pattern = 1", "2: pattern must be a text in quotes, not a whole number"),
        ("pattern = \"\"", "2: pattern is empty; \"*\" matches every topic"),
        ("pattern = \"a*b\"", "2: pattern \"a*b\" has a '*' that is not its last character"),
        ("pattern = \"a**\"", "2: pattern \"a**\" has a '*' that is not its last character"),
        ("pattern = \"a\\nb\"", "2: pattern \"a\\nb\" has a control character"),
        ("patern = \"a\"\npattern = \"b\"", "2: unknown key \"patern\"; did you mean \"pattern\"?"),
        ("pattern = \"a\"\n[[topics]]\npattern = \"a\"", "4: pattern \"a\" stands twice (first in line 2)"),
        ("pattern = \"*\"\n[[topics]]\npattern = \"*\"", "4: pattern \"*\" stands twice (first in line 2)"),
    ] {
        let faults = rules(&format!("[[topics]]\n{table}\n")).unwrap_err();
        assert_eq!(faults.to_string(), format!("campanile.toml:{says}"));
    }
    let long = rules(&format!("[[topics]]\npattern = \"{}*\"", "x".repeat(1_025))).unwrap_err().to_string();
    assert_eq!(long, "campanile.toml:2: pattern is 1025 bytes long; at most 1024 are allowed");
    let other = rules("[topics]\npattern = \"a\"").unwrap_err().to_string();
    assert_eq!(other, "campanile.toml:1: rules of topics are written as [[topics]] tables, not as a table");
}

#[test]
fn a_topic_and_its_prefix_are_two_patterns() {
    assert_eq!(with_patterns(["a", "a*"]).rules().len(), 2);
}

#[test]
fn all_faults_at_once() {
    let faults =
        rules("[[topics]]\npattern = \"\"\nx = 1\n[[topics]]\n[[topics]]\npattern = \"a*a\"\n").unwrap_err();
    assert_eq!(faults.0.len(), 4, "{faults}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::with_cases(500)
    })]

    /// The rule in its plainest form: try them all.
    #[test]
    fn finds_what_trying_all_finds(patterns in btree_set("[ab]{0,4}\\*|[ab]{1,4}", 1..12), topic in "[abc]{1,5}") {
        let rules = with_patterns(patterns.iter().map(String::as_str));
        let matching = patterns.iter().filter(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => topic.starts_with(prefix),
            None => **pattern == topic,
        });
        let best = matching.max_by_key(|pattern| (!pattern.ends_with('*'), pattern.len()));
        prop_assert_eq!(rules.find(topic.as_bytes()).map(Rule::pattern), best.map(String::as_str));
        prop_assert_eq!(rules.is_open(topic.as_bytes()), best.is_some());
    }
}

#[test]
fn a_rule_says_how_much_of_a_topic_is_kept() {
    let rules = rules(
        "[[topics]]\npattern = \"a*\"\nhistory_messages = 5\nhistory_bytes = 0\nhistory_seconds = 7\n\
         [[topics]]\npattern = \"b*\"\n",
    )
    .unwrap();
    let history = rules.history(b"a1");
    assert_eq!((history.messages, history.bytes, history.seconds), (5, 0, 7));
    assert_eq!(rules.history(b"b1"), History::default());
    assert_eq!(rules.history(b"c1"), History::default());
    assert_eq!(TopicRules::default().history(b"a1"), History::default());
}

#[test]
fn a_rule_says_what_a_loss_means_to_plain_channels() {
    let rules = rules(
        "[[topics]]\npattern = \"a*\"\non_loss = \"rejoin\"\n[[topics]]\npattern = \"b*\"\non_loss = \"ignore\"\n\
         [[topics]]\npattern = \"c*\"\n",
    )
    .unwrap();
    assert_eq!(rules.on_loss(b"a"), OnLoss::Rejoin);
    assert_eq!(rules.on_loss(b"b"), OnLoss::Ignore);
    assert_eq!(rules.on_loss(b"c"), OnLoss::Ignore);
}

#[test]
fn a_rule_says_what_gives_way_in_a_full_queue() {
    let rules = rules(
        "[[topics]]\npattern = \"a*\"\noverflow = \"drop-oldest\"\n[[topics]]\npattern = \"b*\"\n\
         overflow = \"close\"\n[[topics]]\npattern = \"c*\"\n",
    )
    .unwrap();
    assert_eq!(rules.overflow(b"a"), Overflow::DropOldest);
    for topic in ["b", "c", "d"] {
        assert_eq!(rules.overflow(topic.as_bytes()), Overflow::Close, "{topic}");
    }
    assert_eq!(TopicRules::default().overflow(b"a"), Overflow::Close);
}

#[test]
fn every_value_out_of_bounds_is_a_fault_with_its_line() {
    let text = "[[topics]]\npattern = \"a\"\nhistory_messages = -1\nhistory_bytes = \"1\"\nhistory_seconds = 86401\n\
                on_loss = \"panic\"\noverflow = \"drop\"\n";
    let faults = rules(text).unwrap_err().to_string();
    let keys = ["history_messages", "history_bytes", "history_seconds", "on_loss", "overflow"];
    for (line, key) in (3..).zip(keys) {
        assert!(faults.contains(&format!(":{line}: {key}")), "{key} in {faults}");
    }
}
