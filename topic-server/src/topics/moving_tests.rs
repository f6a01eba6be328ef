use std::time::Duration;

use campanile_proto::handoff::{Head, Piece};
use campanile_proto::{Epoch, FromTopicServer};

use super::*;
use crate::gateways::outbox::Outbox;
use crate::topics::Ownership;
use crate::topics::table::Limits;
use crate::topics::testing::{A, B, drain, number, outbox, place, publish, ring, words};

/// A table of `ts-a`, which owns everything, under version 5.
fn table() -> Table {
    let ownership = Arc::new(Ownership::new("ts-a".to_owned(), ring(5, &["ts-a"])));
    let limits = Limits { topics: 100, history: 1 << 20 };
    Table::new(ownership, Arc::default(), Arc::default(), limits)
}

fn arriving(epoch: u64, offset: u64, opened_under: u64) -> Arriving {
    let head = Head { epoch: Epoch(epoch), offset, opened_under, renewed_from: None, matching: Vec::new() };
    let piece = Piece {
        number: 1,
        topic: bytes::Bytes::from_static(b"topic"),
        head: Some(head),
        history: Vec::new(),
        keys: Vec::new(),
        windows: Vec::new(),
        last: true,
    };
    Arriving::begin(piece).expect("a first piece")
}

/// A table with a topic of this position, and a subscriber who has heard of it.
fn with_topic(epoch: u64, offset: u64, opened_under: u64, now: Instant) -> (Table, Outbox) {
    let (table, link) = (table(), outbox());
    assert_eq!(table.arrive(arriving(epoch, offset, opened_under), now), Arrived::Taken);
    table.subscribe(&link, number(1, 1), b"topic", now);
    drain(&link);
    (table, link)
}

fn position(table: &Table) -> (u64, u64) {
    let inner = table.find(b"topic").expect("it is here");
    let inner = inner.inner.lock();
    (inner.topic.epoch().0, inner.topic.offset())
}

/// H5: state of the own epoch and no higher offset is ignored, and whoever sends it may forget it.
#[test]
fn the_same_state_again_changes_nothing() {
    let now = Instant::now();
    let (table, link) = with_topic(7, 10, 3, now);
    for offset in [3, 9, 10] {
        assert_eq!(table.arrive(arriving(7, offset, 3), now), Arrived::Taken);
        assert_eq!(position(&table), (7, 10));
    }
    assert_eq!(words(&link), [""; 0], "nobody is told anything");
}

/// H5: of two lives the one that was opened under the newer ring stays.
#[test]
fn of_two_lives_the_one_of_the_newer_ring_stays() {
    let now = Instant::now();
    let (table, link) = with_topic(7, 10, 3, now);
    for opened_under in [2, 3] {
        assert_eq!(table.arrive(arriving(8, 20, opened_under), now), Arrived::Taken);
        assert_eq!(position(&table), (7, 10));
    }
    assert_eq!(words(&link), [""; 0]);
    assert_eq!(table.arrive(arriving(8, 2, 4), now), Arrived::Taken);
    assert_eq!(position(&table), (8, 2));
    assert_eq!(words(&link), ["moved 10"], "the loser's gateways come again, and find the new epoch");
    assert_eq!(table.metrics.subscriptions.get(), 0);
}

/// H5: a topic that has given out no offset gives way.
#[test]
fn a_topic_without_messages_gives_way() {
    let now = Instant::now();
    let (table, link) = with_topic(7, 0, 5, now);
    assert_eq!(table.arrive(arriving(8, 20, 2), now), Arrived::Taken);
    assert_eq!(position(&table), (8, 20));
    assert_eq!(words(&link), ["moved 0"]);
}

/// H6: what the newest ring gives to another is not opened.
#[test]
fn state_of_a_topic_of_others_is_disclaimed() {
    let (table, now) = (table(), Instant::now());
    table.adopt(ring(6, &["ts-b"]), now);
    assert_eq!(table.arrive(arriving(7, 10, 3), now), Arrived::Disclaimed);
    assert!(table.is_empty());
}

/// H3: only the giving of this number can be confirmed or taken back, once.
#[test]
fn a_giving_is_confirmed_or_taken_back_by_its_number() {
    let now = Instant::now();
    let (table, link) = with_topic(7, 10, 3, now);
    let entry = table.find(b"topic").expect("it is here");
    table.adopt(ring(6, &["ts-b"]), now);
    assert!(table.give(&entry, &place("ts-b"), B, 4, now).is_some());
    assert!(table.give(&entry, &place("ts-b"), B, 5, now).is_none(), "it is given already");
    assert!(table.give_again(&entry, 3, now).is_none());
    assert!(table.give_again(&entry, 4, now).is_some());
    table.given_away(&entry, 3, now);
    assert!(!table.take_back(&entry, 3, false, now));
    assert!(table.take_back(&entry, 4, false, now));
    assert!(!table.take_back(&entry, 4, true, now));
    assert!(table.give_again(&entry, 4, now).is_none());
    table.given_away(&entry, 4, now);
    assert_eq!(position(&table), (7, 10));
    assert_eq!(words(&link), ["moved 10"]);
}

/// H3: a copy that goes on without its taker is a new life: it counts on, and a re-send of the old one is unknown.
#[test]
fn a_renewed_topic_counts_on_and_knows_nothing_of_the_old_life() {
    let now = Instant::now();
    let (table, link) = with_topic(7, 10, 3, now);
    let entry = table.find(b"topic").expect("it is here");
    table.publish(&link, A, publish("topic", 1), Duration::ZERO, now);
    table.adopt(ring(6, &["ts-b"]), now);
    table.give(&entry, &place("ts-b"), B, 4, now);
    assert!(table.take_back(&entry, 4, true, now));
    assert_eq!(table.history_bytes(), 0);
    drain(&link);
    let again = campanile_proto::message::Publish { resend_epoch: Some(Epoch(7)), ..publish("topic", 1) };
    table.publish(&link, A, again, Duration::ZERO, now);
    table.publish(&link, A, publish("topic", 2), Duration::ZERO, now);
    let told = drain(&link);
    assert!(matches!(
        told[..],
        [
            FromTopicServer::PublishRefused { reason: Refusal::UnknownOutcome, .. },
            FromTopicServer::Published { epoch, offset: 12, .. },
        ] if epoch != Epoch(7)
    ));
}

/// H3: the copy of whoever is gone does not replace the same life that went on elsewhere and came here.
#[test]
fn a_renewed_copy_of_the_life_that_is_here_is_ignored() {
    let now = Instant::now();
    let (table, _) = with_topic(7, 20, 3, now);
    let head = Head {
        epoch: Epoch(9),
        offset: 10,
        opened_under: 5,
        renewed_from: Some(Epoch(7)),
        matching: Vec::new(),
    };
    let copy = Piece {
        number: 1,
        topic: bytes::Bytes::from_static(b"topic"),
        head: Some(head),
        history: Vec::new(),
        keys: Vec::new(),
        windows: Vec::new(),
        last: true,
    };
    let copy = Arriving::begin(copy).expect("a first piece");
    assert_eq!(table.arrive(copy, now), Arrived::Taken);
    assert_eq!(position(&table), (7, 20));
}

/// H8: for 10 s after a handoff what was published is kept for gateways that are still on their way, even where nothing
/// is kept otherwise; then no longer.
#[test]
fn gateways_that_are_on_their_way_miss_nothing_where_history_is_off() {
    let (table, link, now) = (table(), outbox(), Instant::now());
    table.arrive(arriving(7, 10, 3), now);
    table.publish(&link, A, publish("topic", 1), Duration::ZERO, now);
    let entry = table.find(b"topic").expect("it is here");
    let off = crate::topics::history::Bounds { messages: 0, bytes: 0, age: Duration::ZERO };
    let read = |at| entry.inner.lock().topic.read(Epoch(7), 10, 1 << 20, &off, at);
    let there = campanile_proto::Found::Messages(vec![crate::topics::testing::message("1")]);
    assert_eq!(read(now + SETTLING_TIME - Duration::from_millis(1)), there);
    assert_eq!(read(now + SETTLING_TIME), campanile_proto::Found::Gone { oldest: None });
}

/// L5, H9: a publish that was refused because its topic had just left comes again, with its number. Should the topic be
/// back by then, later ones of the same link must not have run before it: they are refused until the gateway subscribes
/// anew, or a second is over.
#[test]
fn what_follows_a_refused_publish_is_refused_until_its_gateway_comes_again() {
    let now = Instant::now();
    let (table, link) = with_topic(7, 10, 3, now);
    let publish_at = |number, now| table.publish(&link, A, publish("topic", number), Duration::ZERO, now);
    let leave_and_come_back = |version, number| {
        let left = table.adopt(ring(version, &["ts-b"]), now).expect("a newer ring");
        assert!(table.give(&left[0], &place("ts-b"), B, version, now).is_some());
        publish_at(number, now);
        assert!(table.take_back(&left[0], version, false, now));
    };
    leave_and_come_back(6, 1);
    publish_at(2, now);
    assert_eq!(words(&link), ["moved 10", "publish refused NotOwner", "publish refused NotOwner"]);
    table.subscribe(&link, number(1, 2), b"topic", now);
    publish_at(1, now);
    publish_at(2, now);
    let told = ["subscribed 10", "published 11", "deliver 11", "published 12", "deliver 12"];
    assert_eq!(words(&link), told, "in order");
    leave_and_come_back(7, 3);
    let later = now + Duration::from_secs(1);
    publish_at(3, later);
    assert_eq!(words(&link), ["moved 12", "publish refused NotOwner", "published 13"]);
}
