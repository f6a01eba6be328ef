use std::collections::{BTreeMap, HashMap};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use campanile_proto::wire::decode_topic_server_item;
use campanile_proto::{Encoding, Found, Message};
use campanile_ring_config::Member;

use super::*;
use crate::gateways::outbox::Ending;

const A: Incarnation = Incarnation(0xa);
const B: Incarnation = Incarnation(0xb);

/// Longer than any topic outlives its last use.
const LONG: Duration = Duration::from_secs(1000);

/// A table of `ts-a` in the example ring.
fn table() -> Table {
    table_of(Limits { topics: 1000, history: 1 << 20 })
}

fn table_of(limits: Limits) -> Table {
    let ownership = Arc::new(Ownership::new("ts-a".to_owned(), Arc::new(Ring::example())));
    Table::new(ownership, Arc::default(), Arc::default(), limits)
}

/// The example ring without `ts-a`.
fn ring_without_us(version: u64) -> Arc<Ring> {
    let members = vec![Member::new("ts-b", "127.0.0.1:5002", 1)];
    Arc::new(Ring::new(version, 512, members).expect("a ring"))
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

fn number(slot: u32, generation: u32) -> Subscription {
    Subscription { slot, generation }
}

fn message(text: &str) -> Message {
    Message {
        encoding: Encoding::Json,
        event: Bytes::from_static(b"event"),
        payload: Bytes::copy_from_slice(text.as_bytes()),
    }
}

fn publish(topic: &str, number: u64) -> Publish {
    Publish {
        slot: 5,
        topic: Bytes::copy_from_slice(topic.as_bytes()),
        number,
        settled_below: 0,
        time_left: Duration::from_secs(5),
        resend_epoch: None,
        message: message(&number.to_string()),
        key: None,
    }
}

fn outbox() -> Outbox {
    Outbox::new(64 << 20)
}

/// Everything that lies in an outbox.
fn drain(outbox: &Outbox) -> Vec<FromTopicServer> {
    let mut items = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(batch)) = outbox.poll_batch(&mut context, 1) {
        let decoded = batch.items.into_iter().map(decode_topic_server_item);
        items.extend(decoded.map(|item| item.expect("what we encode can be decoded")));
    }
    items
}

/// What lies in an outbox, as words: `subscribed 0`, `deliver 1`, `published 1`, ….
fn words(outbox: &Outbox) -> Vec<String> {
    let word = |item| match item {
        FromTopicServer::Subscribed { offset, .. } => format!("subscribed {offset}"),
        FromTopicServer::Deliver { offset, .. } => format!("deliver {offset}"),
        FromTopicServer::Published { offset, .. } => format!("published {offset}"),
        FromTopicServer::Moved { offset, .. } => format!("moved {offset}"),
        FromTopicServer::PublishRefused { reason, .. } => format!("publish refused {reason:?}"),
        FromTopicServer::SubscribeRefused { reason, .. } => format!("subscribe refused {reason:?}"),
        FromTopicServer::Missed { from, found, .. } => match found {
            Found::Messages(messages) => format!("missed {} behind {from}", messages.len()),
            Found::Gone { .. } => format!("gone at {from}"),
        },
        item => panic!("{item:?} is not a topic's to say"),
    };
    drain(outbox).into_iter().map(word).collect()
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

/// H8: `Moved` is the last message of a subscription, with the last offset.
#[test]
fn a_ring_that_names_another_server_takes_the_topic_away() {
    let (table, now) = (table(), Instant::now());
    let [one, two, publisher] = [(); 3].map(|()| outbox());
    let topic = &topics_of("ts-a", 1)[0];
    let held = table.subscribe(&one, number(1, 1), topic.as_bytes(), now);
    table.subscribe(&two, number(1, 1), topic.as_bytes(), now);
    table.publish(&publisher, A, publish(topic, 1), Duration::ZERO, now);
    table.adopt(ring_without_us(2));
    table.publish(&publisher, A, publish(topic, 2), Duration::ZERO, now);
    table.subscribe(&two, number(1, 2), topic.as_bytes(), now);
    assert_eq!(words(&one), ["subscribed 0", "deliver 1", "moved 1"]);
    assert_eq!(words(&two), ["subscribed 0", "deliver 1", "moved 1", "subscribe refused NotOwner"]);
    assert_eq!(words(&publisher), ["published 1", "publish refused NotOwner"]);
    assert!(table.is_empty());
    assert_eq!(table.metrics.subscriptions.get(), 0);
    assert_eq!(table.history_bytes(), 0);
    // The link's own undoing comes late, and finds nothing.
    let held = held.expect("it was held");
    table.unsubscribe(&held.entry, &one, number(1, 1), now);
    assert_eq!(table.metrics.subscriptions.get(), 0);
}

#[test]
fn a_ring_that_leaves_the_topic_here_changes_nothing() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topic = &topics_of("ts-a", 1)[0];
    table.subscribe(&link, number(1, 1), topic.as_bytes(), now);
    table.adopt(ring_with_us(2));
    table.publish(&link, A, publish(topic, 1), Duration::ZERO, now);
    assert_eq!(words(&link), ["subscribed 0", "published 1", "deliver 1"]);
}

/// L4: between the new ring and the walk over all topics a topic may still be found, or even be made.
#[test]
fn the_ring_is_asked_under_the_topics_lock() {
    let (table, now) = (table(), Instant::now());
    let [link, publisher] = [(); 2].map(|()| outbox());
    let topic = &topics_of("ts-a", 1)[0];
    table.subscribe(&link, number(1, 1), topic.as_bytes(), now);
    table.ownership.adopt(ring_without_us(2));
    table.publish(&publisher, A, publish(topic, 1), Duration::ZERO, now);
    assert_eq!(words(&publisher), ["publish refused NotOwner"]);
    assert_eq!(words(&link), ["subscribed 0", "moved 0"]);
    assert!(table.is_empty());
}

#[test]
fn a_topic_that_comes_back_begins_a_new_epoch() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    let topic = &topics_of("ts-a", 1)[0];
    let epoch = |link: &Outbox| match drain(link).last() {
        Some(FromTopicServer::Published { epoch, offset: 1, .. }) => *epoch,
        item => panic!("{item:?}"),
    };
    table.publish(&link, A, publish(topic, 1), Duration::ZERO, now);
    let first = epoch(&link);
    table.adopt(ring_without_us(2));
    table.adopt(ring_with_us(3));
    table.publish(&link, A, publish(topic, 2), Duration::ZERO, now);
    assert_ne!(epoch(&link), first);
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

// Many links at once.

/// One gateway of the stress: what it has heard, checked as it comes.
struct Gateway {
    incarnation: Incarnation,
    link: Outbox,
    random: fastrand::Rng,
    /// By slot, which is the topic's index: the number, its entry, and the position of the last delivery.
    subscribed: HashMap<u32, (Subscription, Arc<Entry>)>,
    positions: HashMap<Subscription, (Epoch, u64)>,
    generation: u32,
    number: u64,
    /// Publishes without an answer, by number, with their topics.
    unanswered: HashMap<u64, u32>,
    /// By topic, epoch and offset: who published it.
    published: BTreeMap<(u32, u64, u64), String>,
    delivered: BTreeMap<(u32, u64, u64), String>,
}

impl Gateway {
    fn new(number: u64) -> Self {
        Self {
            incarnation: Incarnation(number + 1),
            link: outbox(),
            random: fastrand::Rng::with_seed(number),
            subscribed: HashMap::new(),
            positions: HashMap::new(),
            generation: 0,
            number: 0,
            unanswered: HashMap::new(),
            published: BTreeMap::new(),
            delivered: BTreeMap::new(),
        }
    }

    fn subscribe(&mut self, table: &Table, topics: &[String], slot: u32, now: Instant) {
        self.generation += 1;
        let subscription = number(slot, self.generation);
        let topic = topics[slot as usize].as_bytes();
        if let Some(held) = table.subscribe(&self.link, subscription, topic, now) {
            self.subscribed.insert(slot, (subscription, held.entry));
        }
    }

    fn publish(&mut self, table: &Table, topics: &[String], slot: u32, now: Instant) {
        self.number += 1;
        self.unanswered.insert(self.number, slot);
        let publish = Publish {
            slot,
            settled_below: self.number,
            message: message(&format!("{} {}", self.incarnation, self.number)),
            ..publish(&topics[slot as usize], self.number)
        };
        table.publish(&self.link, self.incarnation, publish, Duration::ZERO, now);
    }

    fn step(&mut self, table: &Table, topics: &[String], rings: &[Arc<Ring>; 2], now: Instant) {
        let slot = self.random.u32(..topics.len() as u32);
        match self.random.u32(..1000) {
            0..300 => self.subscribe(table, topics, slot, now),
            300..500 => {
                if let Some((subscription, entry)) = self.subscribed.remove(&slot) {
                    table.unsubscribe(&entry, &self.link, subscription, now);
                }
            }
            500..970 => self.publish(table, topics, slot, now),
            970..990 => table.sweep(now + LONG),
            which => table.adopt(Arc::clone(&rings[which as usize % 2])),
        }
        self.hear();
    }

    fn hear(&mut self) {
        for item in drain(&self.link) {
            match item {
                FromTopicServer::Subscribed { subscription, epoch, offset } => {
                    self.positions.insert(subscription, (epoch, offset));
                }
                FromTopicServer::Deliver { subscription, offset, message } => {
                    let position = self.positions.get_mut(&subscription);
                    let (epoch, last) = position.expect("Subscribed comes first, and Moved last");
                    assert_eq!(offset, *last + 1, "a gap or a repeat");
                    *last = offset;
                    let payload = String::from_utf8_lossy(&message.payload).into_owned();
                    self.delivered.insert((subscription.slot, epoch.0, offset), payload);
                }
                FromTopicServer::Moved { subscription, offset } => {
                    let position = self.positions.remove(&subscription);
                    assert_eq!(position.map(|(_, last)| last), Some(offset), "Moved names the last offset");
                }
                FromTopicServer::Published { slot, number, epoch, offset } => {
                    assert_eq!(self.unanswered.remove(&number), Some(slot), "answered once");
                    let payload = format!("{} {number}", self.incarnation);
                    self.published.insert((slot, epoch.0, offset), payload);
                }
                FromTopicServer::PublishRefused { number, reason, .. } => {
                    assert_eq!(reason, Refusal::NotOwner);
                    assert!(self.unanswered.remove(&number).is_some(), "answered once");
                }
                FromTopicServer::SubscribeRefused { reason, .. } => assert_eq!(reason, Refusal::NotOwner),
                item => panic!("{item:?}"),
            }
        }
    }
}

fn all_at_once(gateways: &mut [Gateway], work: impl Fn(&mut Gateway) + Sync) {
    std::thread::scope(|scope| {
        for gateway in gateways {
            let work = &work;
            scope.spawn(move || work(gateway));
        }
    });
}

#[test]
fn eight_links_at_once_see_every_topic_in_order_and_lose_nothing() {
    const STEPS: usize = 4000;
    let table = table();
    let topics = topics_of("ts-a", 3);
    let rings = [ring_with_us(2), ring_without_us(3)];
    let now = Instant::now();
    let mut gateways: Vec<Gateway> = (0..8).map(Gateway::new).collect();
    all_at_once(&mut gateways, |gateway| {
        for _ in 0..STEPS {
            gateway.step(&table, &topics, &rings, now);
        }
    });
    // From here on everybody listens, and the last messages reach all.
    table.adopt(Arc::clone(&rings[0]));
    for gateway in &mut gateways {
        for slot in 0..topics.len() as u32 {
            gateway.subscribe(&table, &topics, slot, now);
        }
    }
    all_at_once(&mut gateways, |gateway| {
        for _ in 0..50 {
            for slot in 0..topics.len() as u32 {
                gateway.publish(&table, &topics, slot, now);
            }
        }
    });
    gateways.iter_mut().for_each(Gateway::hear);
    let mut published = BTreeMap::new();
    for gateway in &gateways {
        assert!(gateway.unanswered.is_empty(), "every publish has an answer");
        for (position, payload) in &gateway.published {
            assert_eq!(published.insert(*position, payload), None, "an offset was given twice");
        }
    }
    let mut delivered = 0;
    for gateway in &gateways {
        for (position, payload) in &gateway.delivered {
            assert_eq!(published.get(position), Some(&payload), "delivered and never acknowledged");
            delivered += 1;
        }
        for (slot, (subscription, _)) in &gateway.subscribed {
            let (epoch, last) = gateway.positions[subscription];
            let newest = published.range((*slot, epoch.0, 0)..=(*slot, epoch.0, u64::MAX)).next_back();
            assert_eq!(newest.map(|((.., offset), _)| *offset), Some(last), "everybody has everything");
        }
    }
    assert!(published.len() > 1000 && delivered > 1000);
    assert_eq!(table.len(), topics.len());
    assert_eq!(table.metrics.subscriptions.get(), 8 * topics.len() as i64);
    let kept: usize = table.all().iter().map(|entry| entry.inner.lock().topic.history_bytes()).sum();
    assert_eq!(kept, table.history_bytes());
}
