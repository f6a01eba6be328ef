use campanile_process::settings::ConfigFile;
use campanile_proto::message::Place;
use campanile_proto::names::Space;
use campanile_ring_config::topics::KEY;
use campanile_ring_config::{Member, Ring};

use super::*;
use crate::gateways::outbox::Ending;
use crate::topics::testing::{A, B, drain, message, number, outbox, publish, words};

/// Longer than any topic outlives its last use.
const LONG: Duration = Duration::from_secs(1000);

/// A table of `ts-a` in the example ring.
fn table() -> Table {
    table_of(Limits { topics: 1000, history: 1 << 20 })
}

fn table_of(limits: Limits) -> Table {
    table_with(TopicRules::default(), limits)
}

fn table_with(rules: TopicRules, limits: Limits) -> Table {
    let ownership = Arc::new(Ownership::new("ts-a".to_owned(), Arc::new(Ring::example())));
    Table::new(ownership, Arc::default(), Arc::new(ArcSwap::from_pointee(rules)), limits)
}

/// The example ring without `ts-a`.
fn ring_without_us(version: u64) -> Arc<Ring> {
    let members = vec![Member::new("ts-b", "127.0.0.1:5002", 1)];
    Arc::new(Ring::new(version, 512, members).expect("a ring"))
}

fn ts_b() -> Place {
    Place { name: "ts-b".to_owned(), address: "127.0.0.1:5002".to_owned() }
}

fn ring_with_us(version: u64) -> Arc<Ring> {
    let members = Ring::example().members().to_vec();
    Arc::new(Ring::new(version, 512, members).expect("a ring"))
}

/// The first topics that the example ring gives to this member.
fn topics_of(member: &str, count: usize) -> Vec<String> {
    let ring = Ring::example();
    let topics = (0..).map(|number| format!("topics:{number}"));
    topics.filter(|topic| ring.owner(topic.as_bytes()).name() == member).take(count).collect()
}

/// People write rules for the names that they see: a sharded topic's name has a byte more, and so may a plain one's.
#[test]
fn rules_of_history_are_for_shown_names_of_every_space() {
    let config = "[[topics]]\npattern = \"room:*\"\nhistory_seconds = 7\n";
    let file = ConfigFile::parse("test.toml", config.to_owned(), &[], &[KEY]).expect("a config");
    let rules = TopicRules::from_config(&file).expect("rules");
    let table = table_with(rules, Limits { topics: 10, history: 1 << 20 });
    let seconds = |space, shown| {
        let topic = names::topic(space, shown).expect("short enough");
        table.bounds(&topic).age.as_secs()
    };
    for space in [Space::Plain, Space::Sharded] {
        assert_eq!(seconds(space, b"room:1"), 7, "{space:?}");
        assert_ne!(seconds(space, b"\xffroom:1"), 7, "{space:?}");
    }
}

#[test]
fn subscribed_comes_before_deliveries_and_published_before_the_own_one() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topic = &topics_of("ts-a", 1)[0];
    table.publish(&link, A, publish(topic, 1), Duration::ZERO, now);
    table.subscribe(&link, number(5, 1), topic.as_bytes(), now);
    table.publish(&link, A, publish(topic, 2), Duration::ZERO, now);
    table.publish(&link, A, publish(topic, 3), Duration::ZERO, now);
    assert_eq!(
        words(&link),
        ["published 1", "subscribed 1", "published 2", "deliver 2", "published 3", "deliver 3"]
    );
}

#[test]
fn one_delivery_for_each_gateway_and_none_for_the_others() {
    let (table, now) = (table(), Instant::now());
    let topics = topics_of("ts-a", 2);
    let [publisher, subscriber, twice, elsewhere] = [(); 4].map(|()| outbox());
    table.subscribe(&subscriber, number(1, 1), topics[0].as_bytes(), now);
    table.subscribe(&twice, number(1, 1), topics[0].as_bytes(), now);
    table.subscribe(&twice, number(1, 2), topics[0].as_bytes(), now);
    table.subscribe(&elsewhere, number(1, 1), topics[1].as_bytes(), now);
    table.publish(&publisher, A, publish(&topics[0], 1), Duration::ZERO, now);
    assert_eq!(words(&publisher), ["published 1"]);
    assert_eq!(words(&subscriber), ["subscribed 0", "deliver 1"]);
    assert_eq!(words(&twice), ["subscribed 0", "subscribed 0", "deliver 1"]);
    assert_eq!(words(&elsewhere), ["subscribed 0"]);
    assert_eq!(table.metrics.deliveries.get(), 2);
    assert_eq!(table.metrics.subscriptions.get(), 3);
}

#[test]
fn a_delivery_names_the_newest_number_and_carries_the_message_as_it_came() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topic = &topics_of("ts-a", 1)[0];
    table.subscribe(&link, number(3, 1), topic.as_bytes(), now);
    let held = table.subscribe(&link, number(3, 2), topic.as_bytes(), now);
    assert_eq!(held.and_then(|held| held.replaced), Some(number(3, 1)));
    table.publish(&outbox(), A, publish(topic, 17), Duration::ZERO, now);
    let expected = FromTopicServer::Deliver { subscription: number(3, 2), offset: 1, message: message("17") };
    assert_eq!(drain(&link).last(), Some(&expected));
}

#[test]
fn topics_of_other_servers_are_refused_and_not_made() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    for topic in topics_of("ts-b", 3) {
        assert!(table.subscribe(&link, number(1, 1), topic.as_bytes(), now).is_none());
        table.publish(&link, A, publish(&topic, 1), Duration::ZERO, now);
    }
    let refused = ["subscribe refused NotOwner", "publish refused NotOwner"];
    assert_eq!(words(&link), refused.repeat(3));
    assert!(table.is_empty());
}

#[test]
fn a_standby_owns_nothing() {
    let ownership = Arc::new(Ownership::new("ts-new".to_owned(), Arc::new(Ring::example())));
    let limits = Limits { topics: 10, history: 0 };
    let table = Table::new(ownership, Arc::default(), Arc::default(), limits);
    let (link, now) = (outbox(), Instant::now());
    for topic in topics_of("ts-a", 1).iter().chain(&topics_of("ts-b", 1)) {
        table.publish(&link, A, publish(topic, 1), Duration::ZERO, now);
    }
    assert_eq!(words(&link), ["publish refused NotOwner"; 2]);
}

/// H1: under a newer ring a holder goes on as if nothing was, and new topics of others are not made.
#[test]
fn a_ring_that_names_another_server_leaves_the_topic_here_until_it_is_given() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topics = topics_of("ts-a", 2);
    table.subscribe(&link, number(1, 1), topics[0].as_bytes(), now);
    let foreign = table.adopt(ring_without_us(2), now).expect("a newer ring");
    assert_eq!(foreign.iter().map(|entry| entry.name()).collect::<Vec<_>>(), [topics[0].as_bytes()]);
    table.publish(&link, A, publish(&topics[0], 1), Duration::ZERO, now);
    table.publish(&link, A, publish(&topics[1], 1), Duration::ZERO, now);
    let all = ["subscribed 0", "published 1", "deliver 1", "publish refused NotOwner"];
    assert_eq!(words(&link), all);
    assert!(table.adopt(ring_without_us(2), now).is_none(), "no newer ring");
}

/// H1, H8: `Moved` is the last message of a subscription, with the last offset, and whoever comes later is refused, in
/// order.
#[test]
fn a_topic_that_is_given_away_is_served_to_nobody() {
    let (table, now) = (table(), Instant::now());
    let [one, two, publisher] = [(); 3].map(|()| outbox());
    let topic = &topics_of("ts-a", 1)[0];
    let held = table.subscribe(&one, number(1, 1), topic.as_bytes(), now).expect("held");
    table.subscribe(&two, number(1, 1), topic.as_bytes(), now);
    table.publish(&publisher, A, publish(topic, 1), Duration::ZERO, now);
    table.adopt(ring_without_us(2), now);
    table.publish(&publisher, A, publish(topic, 2), Duration::ZERO, now);
    assert!(table.give(&held.entry, &ts_b(), B, 1, now).is_some());
    table.publish(&publisher, A, publish(topic, 3), Duration::ZERO, now);
    table.subscribe(&two, number(1, 2), topic.as_bytes(), now);
    table.read(&held.entry, &one, number(1, 1), Epoch(1), 0, now);
    let to = FromTopicServer::Moved { subscription: number(1, 1), offset: 2, to: Some(B) };
    assert_eq!(drain(&one).last(), Some(&to));
    let refused = "subscribe refused NotOwner";
    assert_eq!(words(&two), ["subscribed 0", "deliver 1", "deliver 2", "moved 2", refused]);
    assert_eq!(words(&publisher), ["published 1", "published 2", "publish refused NotOwner"]);
    assert_eq!(table.metrics.subscriptions.get(), 0);
    // The link's own undoing comes late, and finds nothing.
    table.unsubscribe(&held.entry, &one, number(1, 1), now);
    assert_eq!(table.metrics.subscriptions.get(), 0);
    table.given_away(&held.entry, 1, now);
    assert_eq!((table.len(), table.history_bytes()), (0, 0));
}

#[test]
fn a_ring_that_leaves_the_topic_here_changes_nothing() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topic = &topics_of("ts-a", 1)[0];
    table.subscribe(&link, number(1, 1), topic.as_bytes(), now);
    table.adopt(ring_with_us(2), now);
    table.publish(&link, A, publish(topic, 1), Duration::ZERO, now);
    assert_eq!(words(&link), ["subscribed 0", "published 1", "deliver 1"]);
}

/// L4: between the new ring and the walk over all topics a topic may still be found.
#[test]
fn the_ring_is_asked_under_the_topics_lock() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topic = &topics_of("ts-a", 1)[0];
    table.ownership.set_starting(true);
    table.publish(&link, A, publish(topic, 1), Duration::ZERO, now);
    assert_eq!((words(&link).len(), table.len()), (0, 1), "it waits");
    table.ownership.adopt(ring_without_us(2), now);
    table.publish(&link, A, publish(topic, 2), Duration::ZERO, now);
    let refused = |number, reason| FromTopicServer::PublishRefused { slot: 5, number, reason };
    assert_eq!(drain(&link)[0], refused(1, Refusal::NotOwner), "in order");
    assert!(table.is_empty());
}

/// H6: an edit that is taken back before anybody has claimed the topic changes nothing.
#[test]
fn a_topic_that_nobody_has_claimed_goes_on_when_it_comes_back() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topic = &topics_of("ts-a", 1)[0];
    let epoch = |link: &Outbox| match drain(link).last() {
        Some(FromTopicServer::Published { epoch, .. }) => *epoch,
        item => panic!("{item:?}"),
    };
    table.publish(&link, A, publish(topic, 1), Duration::ZERO, now);
    let first = epoch(&link);
    table.adopt(ring_without_us(2), now);
    let foreign = table.adopt(ring_with_us(3), now).expect("a newer ring");
    assert!(foreign.is_empty());
    let entry = table.find(topic.as_bytes()).expect("it is here");
    assert!(table.give(&entry, &ts_b(), B, 1, now).is_none(), "a late claim gets nothing");
    table.publish(&link, A, publish(topic, 2), Duration::ZERO, now);
    assert_eq!(epoch(&link), first);
}

/// L2: what a link set up ends with it, and only that.
#[test]
fn a_link_that_ends_takes_its_own_subscriptions_with_it() {
    let (table, now) = (table(), Instant::now());
    let [old, new] = [(); 2].map(|()| outbox());
    let topic = &topics_of("ts-a", 1)[0];
    let held = table.subscribe(&old, number(1, 1), topic.as_bytes(), now).expect("held");
    table.subscribe(&new, number(1, 1), topic.as_bytes(), now);
    old.end(Ending::Gone);
    table.unsubscribe(&held.entry, &old, number(1, 1), now);
    table.unsubscribe(&held.entry, &old, number(1, 1), now);
    assert_eq!(table.metrics.subscriptions.get(), 1);
    table.publish(&outbox(), A, publish(topic, 1), Duration::ZERO, now);
    assert_eq!(words(&new), ["subscribed 0", "deliver 1"]);
}

/// L3: an `Unsubscribe` that was overtaken by a new `Subscribe` undoes nothing.
#[test]
fn a_late_unsubscribe_of_an_older_number_changes_nothing() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topic = &topics_of("ts-a", 1)[0];
    let held = table.subscribe(&link, number(1, 1), topic.as_bytes(), now).expect("held");
    table.subscribe(&link, number(1, 2), topic.as_bytes(), now);
    table.unsubscribe(&held.entry, &link, number(1, 1), now);
    table.publish(&link, A, publish(topic, 1), Duration::ZERO, now);
    assert_eq!(words(&link).last().map(String::as_str), Some("deliver 1"));
}

#[test]
fn a_resend_is_answered_again_and_delivered_once() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topic = &topics_of("ts-a", 1)[0];
    table.subscribe(&link, number(1, 1), topic.as_bytes(), now);
    table.publish(&link, A, publish(topic, 1), Duration::ZERO, now);
    table.publish(&outbox(), A, publish(topic, 1), Duration::ZERO, now);
    table.publish(&link, B, publish(topic, 1), Duration::ZERO, now);
    assert_eq!(words(&link), ["subscribed 0", "published 1", "deliver 1", "published 2", "deliver 2"]);
}

/// L7: what a publish has left of its time is counted from when it could have been here.
#[test]
fn a_publish_that_was_under_way_for_too_long_does_not_run() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topic = &topics_of("ts-a", 1)[0];
    let almost = Duration::from_millis(4999);
    table.publish(&link, A, publish(topic, 1), almost, now);
    table.publish(&link, A, publish(topic, 2), Duration::from_secs(5), now);
    table.publish(&link, A, publish(topic, 3), LONG, now);
    assert_eq!(words(&link), ["published 1", "publish refused Expired", "publish refused Expired"]);
}

#[test]
fn a_topic_is_forgotten_after_its_retention_and_not_while_it_is_of_use() {
    let (table, link, start) = (table(), outbox(), Instant::now());
    let topics = topics_of("ts-a", 3);
    let held = table.subscribe(&link, number(1, 1), topics[0].as_bytes(), start);
    table.publish(&link, A, publish(&topics[1], 1), Duration::ZERO, start);
    assert_eq!(table.len(), 2);
    let retention = table.retention(topics[1].as_bytes());
    table.sweep(start + retention - Duration::from_millis(1));
    assert_eq!(table.len(), 2);
    table.sweep(start + retention);
    assert_eq!(table.len(), 1, "the subscribed one stays");
    let later = start + LONG;
    table.sweep(later);
    assert_eq!(table.len(), 1);
    let entry = held.expect("held").entry;
    table.unsubscribe(&entry, &link, number(1, 1), later);
    table.sweep(later + retention - Duration::from_millis(1));
    assert_eq!(table.len(), 1, "its epoch outlives its last subscriber");
    table.sweep(later + retention);
    assert!(table.is_empty());
    assert_eq!(table.history_bytes(), 0);
}

#[test]
fn a_topic_that_is_used_again_is_kept_again() {
    let (table, link, start) = (table(), outbox(), Instant::now());
    let topic = &topics_of("ts-a", 1)[0];
    let retention = table.retention(topic.as_bytes());
    table.publish(&link, A, publish(topic, 1), Duration::ZERO, start);
    let half = start + retention / 2;
    table.publish(&link, A, publish(topic, 2), Duration::ZERO, half);
    table.sweep(start + retention);
    assert_eq!(table.len(), 1);
    table.publish(&link, A, publish(topic, 3), Duration::ZERO, start + retention);
    assert_eq!(words(&link), ["published 1", "published 2", "published 3"]);
    table.sweep(start + retention * 2);
    assert!(table.is_empty());
}

#[test]
fn a_server_that_is_ending_takes_nothing_new() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topics = topics_of("ts-a", 2);
    table.subscribe(&link, number(1, 1), topics[0].as_bytes(), now);
    table.drain();
    for topic in &topics {
        table.publish(&link, A, publish(topic, 1), Duration::ZERO, now);
        table.subscribe(&link, number(2, 1), topic.as_bytes(), now);
    }
    let refused = ["publish refused Draining", "subscribe refused Draining"];
    assert_eq!(words(&link)[1..], refused.repeat(2));
    assert_eq!(table.len(), 1);
}

#[test]
fn a_full_server_refuses_new_topics_and_serves_those_it_has() {
    let limits = Limits { topics: 2, history: 1 << 20 };
    let (table, link, now) = (table_of(limits), outbox(), Instant::now());
    let topics = topics_of("ts-a", 3);
    for topic in &topics {
        table.publish(&link, A, publish(topic, 1), Duration::ZERO, now);
    }
    table.subscribe(&link, number(1, 1), topics[2].as_bytes(), now);
    table.publish(&link, A, publish(&topics[0], 2), Duration::ZERO, now);
    assert_eq!(
        words(&link),
        [
            "published 1",
            "published 1",
            "publish refused Overloaded",
            "subscribe refused Overloaded",
            "published 2"
        ]
    );
    table.sweep(now + LONG);
    table.publish(&link, A, publish(&topics[2], 2), Duration::ZERO, now + LONG);
    assert_eq!(words(&link), ["published 1"], "a forgotten topic makes room");
}

/// L6: the answer to a read is ordered with the deliveries.
#[test]
fn a_read_is_answered_in_order_with_the_deliveries() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topic = &topics_of("ts-a", 1)[0];
    for number in 1..=3 {
        table.publish(&outbox(), A, publish(topic, number), Duration::ZERO, now);
    }
    let held = table.subscribe(&link, number(1, 1), topic.as_bytes(), now).expect("held");
    let epoch = held.entry.inner.lock().topic.epoch();
    table.publish(&outbox(), A, publish(topic, 4), Duration::ZERO, now);
    table.read(&held.entry, &link, number(1, 1), epoch, 1, now);
    table.publish(&outbox(), A, publish(topic, 5), Duration::ZERO, now);
    table.read(&held.entry, &link, number(1, 1), Epoch(epoch.0 ^ 1), 1, now);
    table.read(&held.entry, &link, number(1, 1), epoch, 6, now);
    table.read(&held.entry, &link, number(1, 1), epoch, u64::MAX, now);
    table.read(&held.entry, &link, number(1, 9), epoch, 1, now);
    assert_eq!(
        words(&link),
        [
            "subscribed 3".to_owned(),
            "deliver 4".to_owned(),
            "missed 3 behind 1".to_owned(),
            "deliver 5".to_owned(),
            "gone at 1".to_owned(),
            "gone at 6".to_owned(),
            format!("gone at {}", u64::MAX),
        ],
        "and nothing for a number that is over"
    );
}

#[test]
fn all_histories_together_are_bounded_and_accounted_for() {
    let limits = Limits { topics: 1000, history: 10_000 };
    let (table, link, now) = (table_of(limits), outbox(), Instant::now());
    let topics = topics_of("ts-a", 20);
    let mut random = fastrand::Rng::with_seed(1);
    for number in 1..2000 {
        let topic = &topics[random.usize(..topics.len())];
        table.publish(&link, A, publish(topic, number), Duration::ZERO, now);
        assert!(table.history_bytes() <= limits.history, "{}", table.history_bytes());
    }
    let kept: usize = table.all().iter().map(|entry| entry.inner.lock().topic.history_bytes()).sum();
    assert_eq!(kept, table.history_bytes());
    assert!(kept > 0 && table.metrics.histories_evicted.get() > 0);
}

/// What is forgotten must not stay there until all histories together are too large.
#[test]
fn forgotten_topics_leave_the_queue_of_histories_and_the_others_keep_their_order() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topics = topics_of("ts-a", 90);
    let said =
        |topic: &String, number, now| table.publish(&link, A, publish(topic, number), Duration::ZERO, now);
    topics.iter().for_each(|topic| said(topic, 1, now));
    assert_eq!(table.histories(), 90);
    let later = now + RETENTION / 2;
    // Every other one of the first sixty lives on: half are too few to look for.
    topics[..60].iter().step_by(2).for_each(|topic| said(topic, 2, later));
    topics[60..75].iter().for_each(|topic| said(topic, 2, later));
    table.sweep(now + RETENTION);
    assert_eq!((table.len(), table.histories()), (45, 90));
    said(&topics[75], 3, later);
    table.sweep(later + RETENTION);
    assert_eq!((table.len(), table.histories(), table.history_bytes()), (0, 0, 0));

    topics[..30].iter().for_each(|topic| said(topic, 1, now));
    topics[..10].iter().for_each(|topic| said(topic, 2, later));
    table.sweep(now + RETENTION);
    let order = table.histories.lock().take(90);
    let order: Vec<_> = order.iter().map(|entry| entry.name()).collect();
    assert_eq!(order, topics[..10].iter().map(String::as_bytes).collect::<Vec<_>>());
}

#[path = "table_stress_tests.rs"]
mod stress;

#[test]
fn while_memory_is_short_nothing_new_is_taken_and_what_is_here_goes_on() {
    let memory = Pressure::default();
    let table = table().guarded(None, memory.clone());
    let (link, now) = (outbox(), Instant::now());
    let topics = topics_of("ts-a", 2);
    table.subscribe(&link, number(1, 1), topics[0].as_bytes(), now);
    table.publish(&link, A, publish(&topics[0], 1), Duration::ZERO, now);
    assert_eq!(words(&link), ["subscribed 0", "published 1", "deliver 1"]);
    memory.set(true);
    let other = outbox();
    table.publish(&link, A, publish(&topics[0], 2), Duration::ZERO, now);
    table.subscribe(&other, number(1, 1), topics[0].as_bytes(), now);
    assert!(table.subscribe(&other, number(2, 1), topics[1].as_bytes(), now).is_none());
    // One that comes again has been accepted before.
    let again = Publish { resend_epoch: Some(epoch_of(&table, &topics[0])), ..publish(&topics[0], 1) };
    table.publish(&link, A, again, Duration::ZERO, now);
    assert_eq!(words(&link), ["publish refused Overloaded", "published 1"]);
    assert_eq!(words(&other), ["subscribed 1", "subscribe refused Overloaded"]);
    assert_eq!(table.len(), 1, "nothing is kept of what was refused");
    let label = [("reason", "overloaded")];
    assert_eq!(table.metrics.publishes_refused.get_or_create(&label).get(), 1);
    assert_eq!(table.metrics.subscribes_refused.get_or_create(&label).get(), 1);
    memory.set(false);
    table.publish(&link, A, publish(&topics[0], 3), Duration::ZERO, now);
    assert!(table.subscribe(&other, number(2, 2), topics[1].as_bytes(), now).is_some());
    assert_eq!(words(&link), ["published 2", "deliver 2"]);
}

fn epoch_of(table: &Table, topic: &str) -> Epoch {
    table.find(topic.as_bytes()).expect("the topic").inner.lock().topic.epoch()
}

#[test]
fn each_topic_has_its_own_rate() {
    let rate = Rate::new(1, 2);
    let table = table().guarded(Some(rate), Pressure::default());
    let (link, now) = (outbox(), Instant::now());
    let topics = topics_of("ts-a", 2);
    for number in 1..=3 {
        table.publish(&link, A, publish(&topics[0], number), Duration::ZERO, now);
    }
    table.publish(&link, A, publish(&topics[1], 1), Duration::ZERO, now);
    assert_eq!(words(&link), ["published 1", "published 2", "publish refused RateLimited", "published 1"]);
}
