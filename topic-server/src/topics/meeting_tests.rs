use std::time::Duration;

use campanile_proto::Subscription;
use campanile_proto::names::Space;
use campanile_proto::reach::{Pattern, Query, QueryAnswer};

use super::*;
use crate::topics::Ownership;
use crate::topics::moving::Arrived;
use crate::topics::portable::Arriving;
use crate::topics::state::SETTLING_TIME;
use crate::topics::table::Limits;
use crate::topics::testing::{A, B, drain, lone_table, number, outbox, place, publish, ring};

/// Another gateway than A and B, which only publishes.
const PUBLISHER: Incarnation = Incarnation(0xf);

/// What a link was told, in short words.
fn told(link: &Outbox) -> Vec<String> {
    let exact = |subscription: Option<Subscription>| subscription.map_or("", |_| "+exact");
    let word = |item| match item {
        FromTopicServer::Published { offset, receivers, .. } => format!("published {offset} to {receivers}"),
        FromTopicServer::Deliver { offset, .. } => format!("deliver {offset}"),
        FromTopicServer::Match(found) => {
            let behind = found.behind.map_or(String::new(), |behind| format!(" behind {}", behind.offset));
            format!("match {} {:?}{}{behind}", found.offset, found.patterns, exact(found.subscription))
        }
        FromTopicServer::PatternsMoved { offset, .. } => format!("patterns moved {offset}"),
        item => format!("{item:?}").split([' ', '(']).next().unwrap_or_default().to_owned(),
    };
    drain(link).into_iter().map(word).collect()
}

fn set(
    table: &Table,
    link: &Outbox,
    gateway: Incarnation,
    number: u32,
    pattern: &'static str,
    listeners: u32,
) {
    let pattern = Pattern { number, pattern: pattern.into(), listeners, change: 1 };
    table.set_pattern(link, gateway, &pattern);
}

/// A gateway's link that has told of these patterns, with one listener each.
fn with_patterns(table: &Table, gateway: Incarnation, patterns: &[&'static str]) -> Outbox {
    let link = outbox();
    for (number, pattern) in (0..).zip(patterns) {
        set(table, &link, gateway, number, pattern, 1);
    }
    table.patterns_told(&link, gateway, Instant::now());
    assert_eq!(told(&link).len(), patterns.len(), "each stands");
    link
}

/// A gateway comes with this pattern, which has one listener. What it is told.
fn comes(table: &Table, gateway: Incarnation, pattern: &'static str, now: Instant) -> Vec<String> {
    let link = outbox();
    set(table, &link, gateway, 0, pattern, 1);
    table.patterns_told(&link, gateway, now);
    told(&link)
}

/// A table where A and B have been awaited for as long as anybody is, and what time it is then.
fn with_late_gateways() -> (Table, Outbox, Instant) {
    let (table, publisher, now) = (lone_table(), outbox(), Instant::now());
    publish_to(&table, &publisher, "news", 1);
    table.expect_gateways(&[A, B], now);
    table.sweep(now + SETTLING_TIME);
    (table, publisher, now + SETTLING_TIME)
}

fn publish_to(table: &Table, link: &Outbox, topic: &str, number: u64) {
    table.publish(link, PUBLISHER, publish(topic, number), Duration::ZERO, Instant::now());
}

#[test]
fn a_publish_is_answered_with_all_listeners_that_count() {
    let (table, now) = (lone_table(), Instant::now());
    let (one, two, publisher) = (outbox(), outbox(), outbox());
    table.subscribe_counted(&one, number(1, 1), b"news", 3, now);
    let held = table.subscribe_counted(&two, number(1, 1), b"news", 0, now).expect("it is here");
    publish_to(&table, &publisher, "news", 1);
    table.count(&held.entry, &two, number(1, 1), (4, 9));
    publish_to(&table, &publisher, "news", 2);
    table.count(&held.entry, &two, number(1, 2), (400, 10));
    publish_to(&table, &publisher, "news", 3);
    table.unsubscribe(&held.entry, &one, number(1, 1), now);
    publish_to(&table, &publisher, "news", 4);
    let answers = ["published 1 to 3", "published 2 to 7", "published 3 to 7", "published 4 to 4"];
    assert_eq!(told(&publisher), answers);
    assert_eq!(told(&two), ["Subscribed", "deliver 1", "Counted", "deliver 2", "deliver 3", "deliver 4"]);
}

#[test]
fn a_match_goes_once_to_each_gateway_and_says_what_matched() {
    let (table, now) = (lone_table(), Instant::now());
    let (one, two) = (with_patterns(&table, A, &["n*", "x", "*s"]), with_patterns(&table, B, &["?*"]));
    let (three, publisher) = (outbox(), outbox());
    table.subscribe_counted(&one, number(1, 1), b"news", 2, now);
    table.subscribe(&three, number(1, 1), b"news", now);
    told(&one);
    told(&three);
    publish_to(&table, &publisher, "news", 1);
    assert_eq!(told(&one), ["match 1 [0, 2]+exact"]);
    assert_eq!(told(&two), ["match 1 [0]"]);
    assert_eq!(told(&three), ["deliver 1"]);
    assert_eq!(told(&publisher), ["published 1 to 5"]);
}

#[test]
fn patterns_that_come_and_go_are_seen_by_topics_that_are_there() {
    let (table, publisher) = (lone_table(), outbox());
    publish_to(&table, &publisher, "news", 1);
    let one = with_patterns(&table, A, &["n*"]);
    publish_to(&table, &publisher, "news", 2);
    set(&table, &one, A, 0, "n*", 3);
    publish_to(&table, &publisher, "news", 3);
    set(&table, &one, A, 0, "n*", 0);
    publish_to(&table, &publisher, "news", 4);
    assert_eq!(told(&one), ["match 2 [0]", "PatternStands", "match 3 [0]", "PatternStands"]);
    set(&table, &one, A, 0, "n*", 1);
    table.drop_patterns(&one);
    publish_to(&table, &publisher, "news", 5);
    assert_eq!(told(&one), ["PatternStands"]);
    let counts = [0, 1, 3, 0, 0];
    let expected = (1..).zip(counts).map(|(offset, count)| format!("published {offset} to {count}"));
    assert_eq!(told(&publisher), expected.collect::<Vec<_>>());
}

/// A topic goes from one table to another.
struct Move {
    from: Table,
    to: Table,
    now: Instant,
}

impl Move {
    fn new() -> Self {
        let table = |name: &str| {
            let ownership = Ownership::new(name.to_owned(), ring(2, &["ts-a"]));
            ownership.learn_address(&place(name).address);
            let limits = Limits { topics: 100, history: 1 << 20 };
            Table::new(Arc::new(ownership), Arc::default(), Arc::default(), limits)
        };
        Self { from: table("ts-a"), to: table("ts-b"), now: Instant::now() }
    }

    fn go(&self) {
        let newest = ring(3, &["ts-b"]);
        self.from.adopt(Arc::clone(&newest), self.now);
        self.to.adopt(newest, self.now);
        let entry = self.from.find(b"news").expect("it is there");
        let pieces = self.from.give(&entry, &place("ts-b"), B, 1, self.now).expect("it is held");
        let mut pieces = pieces.into_iter();
        let mut arriving = Arriving::begin(pieces.next().expect("one")).expect("a first piece");
        assert!(pieces.all(|piece| arriving.go_on(piece)));
        assert_eq!(self.to.arrive(arriving, self.now), Arrived::Taken);
    }

    fn publish(&self, table: &Table, number: u64) {
        table.publish(&outbox(), PUBLISHER, publish("news", number), Duration::ZERO, self.now);
    }
}

#[test]
fn behind_a_move_a_gateway_that_is_there_already_hears_whom_it_has_to_wait_for() {
    let world = Move::new();
    let old = with_patterns(&world.from, A, &["n*"]);
    let new = with_patterns(&world.to, A, &["n*"]);
    world.publish(&world.from, 1);
    world.go();
    world.publish(&world.to, 2);
    world.publish(&world.to, 3);
    assert_eq!(told(&old), ["match 1 [0]", "patterns moved 1"]);
    assert_eq!(told(&new), ["match 2 [0] behind 1", "match 3 [0]"]);
}

#[test]
fn a_gateway_that_comes_later_gets_what_was_published_before_it_came() {
    let world = Move::new();
    with_patterns(&world.from, A, &["n*"]);
    world.publish(&world.from, 1);
    world.go();
    world.publish(&world.to, 2);
    world.publish(&world.to, 3);
    let new = outbox();
    set(&world.to, &new, A, 0, "n*", 1);
    world.publish(&world.to, 4);
    assert_eq!(told(&new), [""; 0], "it has not told of all");
    world.to.patterns_told(&new, A, world.now);
    world.publish(&world.to, 5);
    let expected = ["match 2 [0] behind 1", "match 3 [0]", "match 4 [0]", "PatternStands", "match 5 [0]"];
    assert_eq!(told(&new), expected);
}

#[test]
fn a_gateway_that_comes_too_late_is_told_of_its_loss_and_one_that_missed_nothing_is_not() {
    for (published, expected) in
        [(true, vec!["PatternsLost", "PatternStands"]), (false, vec!["PatternStands"])]
    {
        let world = Move::new();
        with_patterns(&world.from, A, &["n*"]);
        world.publish(&world.from, 1);
        world.go();
        if published {
            world.publish(&world.to, 2);
        }
        world.to.sweep(world.now + SETTLING_TIME);
        assert_eq!(comes(&world.to, A, "n*", world.now + SETTLING_TIME), expected);
    }
}

/// Who had no pattern for a moment gets nothing of that moment, however young the topic is here.
#[test]
fn a_pattern_that_comes_anew_gets_nothing_of_before() {
    let (table, publisher, now) = (lone_table(), outbox(), Instant::now());
    let link = with_patterns(&table, A, &["x"]);
    set(&table, &link, A, 0, "x", 0);
    table.expect_gateways(&[A], now);
    publish_to(&table, &publisher, "news", 1);
    set(&table, &link, A, 0, "*", 1);
    table.patterns_told(&link, A, now);
    publish_to(&table, &publisher, "news", 2);
    assert_eq!(told(&link), ["PatternStands", "PatternStands", "match 2 [0]"]);
    // The same where it was on its way, came, and had none that matched.
    let (table, link) = (lone_table(), outbox());
    table.expect_gateways(&[A], now);
    publish_to(&table, &publisher, "news", 1);
    set(&table, &link, A, 0, "x", 1);
    table.patterns_told(&link, A, now);
    set(&table, &link, A, 1, "n*", 1);
    table.patterns_told(&link, A, now);
    publish_to(&table, &publisher, "news", 2);
    assert_eq!(told(&link), ["PatternStands", "PatternStands", "match 2 [1]"]);
}

/// Nobody else has the topic: it begins here, while a gateway that has patterns elsewhere is on its way.
#[test]
fn a_topic_that_begins_keeps_what_gateways_on_their_way_may_want() {
    let (table, publisher, now) = (lone_table(), outbox(), Instant::now());
    table.expect_gateways(&[A, B], now);
    publish_to(&table, &publisher, "news", 1);
    let one = outbox();
    set(&table, &one, A, 4, "n*", 1);
    table.patterns_told(&one, A, now);
    publish_to(&table, &publisher, "news", 2);
    assert_eq!(told(&one), ["match 1 [4] behind 0", "PatternStands", "match 2 [4]"]);
    // Whoever comes too late is told, whatever it has missed.
    table.sweep(Instant::now() + SETTLING_TIME);
    assert_eq!(comes(&table, B, "x*", now + SETTLING_TIME), ["PatternsLost", "PatternStands"]);
    // Who is here is not expected, and what begins now is nothing that anybody missed.
    table.expect_gateways(&[A], now + SETTLING_TIME);
    assert!(table.expected.lock().is_empty());
}

/// A standby is told of all gateways, and owns nothing that anybody could miss; none of them has a link to it.
#[test]
fn whoever_did_not_come_where_nothing_was_published_has_missed_nothing() {
    let (table, publisher, later) = with_late_gateways();
    assert_eq!(comes(&table, A, "*", later), ["PatternStands"]);
    publish_to(&table, &publisher, "news", 2);
    let told = comes(&table, B, "x*", later);
    assert_eq!(told, ["PatternsLost", "PatternStands"], "it was not awaited any more");
}

/// An edit may be what gives gateways a reason to come: they get what is published until they are there.
#[test]
fn a_newer_ring_makes_late_gateways_awaited_again() {
    let (table, publisher, later) = with_late_gateways();
    assert!(table.adopt(ring(2, &["ts-a"]), later).is_some());
    publish_to(&table, &publisher, "news", 2);
    publish_to(&table, &publisher, "newer", 1);
    let mut told = comes(&table, A, "new*", later);
    told[..2].sort();
    assert_eq!(told, ["match 1 [0] behind 0", "match 2 [0] behind 1", "PatternStands"]);
    // Whoever does not come now has missed these.
    table.sweep(later + SETTLING_TIME);
    assert_eq!(comes(&table, B, "x*", later + SETTLING_TIME), ["PatternsLost", "PatternStands"]);
}

#[test]
fn queries_count_and_list_what_is_here() {
    let (table, link, now) = (lone_table(), outbox(), Instant::now());
    for (slot, topic) in (0..).zip([&b"news"[..], b"weather", b"\xffshard", b"\xfe\xff"]) {
        table.subscribe_counted(&link, number(slot, 1), topic, slot + 1, now);
    }
    let gone = table.subscribe_counted(&link, number(8, 1), b"gone", 1, now).expect("it is here");
    table.count(&gone.entry, &link, number(8, 1), (0, 1));
    table.subscribe(&link, number(9, 1), b"phoenix", now);
    with_patterns(&table, A, &["n*", "w*"]);
    with_patterns(&table, B, &["n*"]);
    drain(&link);
    let ask = |query| {
        table.query(&link, 7, query);
        match &drain(&link)[..] {
            [
                FromTopicServer::QueryAnswer(QueryAnswer {
                    id: 7,
                    names,
                    counts,
                    last: true,
                    refused: false,
                }),
            ] => (names.iter().map(|name| name.to_vec()).collect::<Vec<_>>(), counts.clone()),
            other => panic!("{other:?}"),
        }
    };
    let topics = |pattern: Option<&'static [u8]>, space| {
        ask(Query::Topics { pattern: pattern.map(Bytes::from_static), space }).0
    };
    assert_eq!(topics(None, Space::Plain), [&b"news"[..], b"weather", b"\xff"]);
    assert_eq!(topics(Some(b"n*"), Space::Plain), [b"news"]);
    assert_eq!(topics(None, Space::Sharded), [b"shard"]);
    let asked = [&b"weather"[..], b"nobody", b"gone", b"\xffshard"].map(Bytes::copy_from_slice);
    assert_eq!(ask(Query::Listeners(asked.to_vec())).1, [2, 0, 0, 3]);
    assert_eq!(ask(Query::Patterns).0, [&b"n*"[..], b"w*"]);
}

#[test]
fn a_long_answer_comes_in_parts_and_one_that_is_too_long_does_not_come() {
    let (table, link, now) = (lone_table(), outbox(), Instant::now());
    let subscribe = |from: u32, to: u32| {
        for slot in from..to {
            let topic = format!("{slot}{}", "x".repeat(1_000));
            table.subscribe_counted(&link, number(slot, 1), topic.as_bytes(), 1, now);
        }
        drain(&link);
        table.query(&link, 7, Query::Topics { pattern: None, space: Space::Plain });
        let answers = drain(&link).into_iter().map(|item| match item {
            FromTopicServer::QueryAnswer(answer) => answer,
            other => panic!("{other:?}"),
        });
        answers.collect::<Vec<_>>()
    };
    let parts = subscribe(0, 1_000);
    assert!(parts.len() > 5, "{} parts", parts.len());
    assert_eq!(parts.iter().map(|part| part.names.len()).sum::<usize>(), 1_000);
    assert_eq!(parts.iter().filter(|part| part.last).count(), 1);
    let refused = subscribe(1_000, 3_000);
    assert!(refused.len() == 1 && refused[0].refused && refused[0].names.is_empty());
}
