//! What gives way in a full queue, in which order, and what is left in its place.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use campanile_proto::{Encoding, Epoch};
use prometheus_client::metrics::counter::Counter;

use super::*;
use crate::client::close::Ending;
use crate::client::direct::Touched;
use crate::client::item::{Placed, Tag};
use crate::client::outbox::{Found, Outbox};

const EPOCH: Epoch = Epoch(7);

/// An event of 100 bytes with all that it counts.
const EVENT: usize = 100;

fn droppable(channel: u32, offset: u64) -> Item {
    let body = Bytes::from(vec![b'x'; EVENT - 64]);
    let event = Arc::new(Placed { encoding: Encoding::Json, body, epoch: EPOCH, offset });
    Item::Droppable { tag: Tag::droppable(&[], &[]), channel: ChannelId(channel), event }
}

/// One of a topic that lets nothing go, of as many bytes.
fn ordinary() -> Item {
    let body = Bytes::from(vec![b'x'; EVENT - 64]);
    Item::Event { tag: Tag::new(&[], &[]), encoding: Encoding::Json, body }
}

fn shown(item: &Item) -> String {
    match item {
        Item::Droppable { channel, event, .. } => format!("{}:{}", channel.0, event.offset),
        Item::Dropped { channel, epoch: EPOCH, offset } => format!("{} after {offset}", channel.0),
        Item::Event { .. } => "ordinary".to_owned(),
        Item::Frame(_) => "frame".to_owned(),
        other => panic!("unexpected {other:?}"),
    }
}

fn take_once(outbox: &Outbox) -> Result<Vec<String>, Option<Ending>> {
    let mut items = VecDeque::new();
    match outbox.poll_take(&mut Context::from_waker(Waker::noop()), &mut items, false) {
        Poll::Ready(Found::Items) => Ok(items.iter().map(shown).collect()),
        Poll::Ready(Found::End(ending)) => Err(Some(ending)),
        Poll::Ready(Found::Rest(_)) => panic!("nobody writes past the session here"),
        Poll::Pending => Err(None),
    }
}

/// A queue of so many events of [`EVENT`] bytes, and what counts those that were dropped.
fn outbox_of(events: usize) -> (Outbox, Counter) {
    let dropped = Counter::default();
    (Outbox::counting(events * EVENT, dropped.clone()), dropped)
}

fn push_all(outbox: &Outbox, channel: u32, offsets: std::ops::RangeInclusive<u64>) {
    let mut touched = Touched::default();
    for offset in offsets {
        outbox.push_event(droppable(channel, offset), &mut touched);
    }
}

#[test]
fn the_oldest_give_way_behind_one_mark_that_counts_as_an_item() {
    let (outbox, dropped) = outbox_of(10);
    push_all(&outbox, 1, 1..=10);
    assert_eq!(dropped.get(), 0, "they fit exactly");
    push_all(&outbox, 1, 11..=11);
    // The mark takes 64 bytes, so two must go for one.
    assert_eq!(dropped.get(), 2);
    push_all(&outbox, 1, 12..=500);
    assert_eq!(dropped.get(), 491);
    let expected: Vec<_> = (492..=500).map(|offset| format!("1:{offset}")).collect();
    let taken = take_once(&outbox).unwrap();
    assert_eq!(taken[0], "1 after 491");
    assert_eq!(taken[1..], expected);
    assert_eq!(take_once(&outbox), Err(None));
    // What was dropped counts no more, nor does its mark.
    push_all(&outbox, 1, 501..=510);
    assert_eq!(dropped.get(), 491);
    push_all(&outbox, 1, 511..=511);
    assert_eq!(take_once(&outbox).unwrap()[..2], ["1 after 502", "1:503"]);
}

#[test]
fn only_events_of_such_topics_give_way_and_the_others_keep_their_order() {
    let (outbox, dropped) = outbox_of(6);
    let mut touched = Touched::default();
    for item in [ordinary(), droppable(1, 1), ordinary(), droppable(2, 5), droppable(1, 2), ordinary()] {
        outbox.push_event(item, &mut touched);
    }
    outbox.push(Item::Frame(Bytes::from_static(b"a reply is worth as much as an event")));
    assert_eq!(dropped.get(), 3, "three events for three bodies less than their marks");
    let expected = ["ordinary", "ordinary", "2 after 5", "1 after 2", "ordinary", "frame"];
    assert_eq!(take_once(&outbox).unwrap(), expected);
}

#[test]
fn when_nothing_is_left_that_may_be_dropped_the_client_is_closed() {
    let (outbox, dropped) = outbox_of(4);
    let mut touched = Touched::default();
    push_all(&outbox, 1, 1..=2);
    for _ in 0..4 {
        outbox.push_event(ordinary(), &mut touched);
    }
    assert_eq!(take_once(&outbox), Err(Some(Ending::Slow)));
    assert_eq!(dropped.get(), 2);

    let (outbox, _) = outbox_of(4);
    for _ in 0..4 {
        outbox.push_event(ordinary(), &mut touched);
    }
    outbox.push_event(droppable(1, 1), &mut touched);
    assert_eq!(take_once(&outbox), Err(Some(Ending::Slow)), "the new one is not what gives way");
}

#[test]
fn an_outbox_with_nothing_but_marks_takes_any_one_message() {
    let (outbox, dropped) = outbox_of(4);
    push_all(&outbox, 1, 1..=3);
    outbox.push(Item::Frame(Bytes::from(vec![b'x'; 5_000])));
    assert_eq!(dropped.get(), 3);
    assert_eq!(take_once(&outbox).unwrap(), ["1 after 3", "frame"]);
}

#[test]
fn what_the_session_has_taken_counts_and_is_not_dropped() {
    let (outbox, dropped) = outbox_of(4);
    push_all(&outbox, 1, 1..=3);
    assert_eq!(take_once(&outbox).unwrap().len(), 3);
    push_all(&outbox, 1, 4..=6);
    assert_eq!(dropped.get(), 2);
    assert_eq!(take_once(&outbox).unwrap(), ["1 after 5", "1:6"]);
}

/// Or a client that reads slowly would get old ones for long, and then only the last of the new.
#[test]
fn of_many_the_session_takes_a_part_and_the_rest_can_still_be_dropped() {
    let (outbox, dropped) = outbox_of(10_000);
    push_all(&outbox, 1, 1..=10_100);
    let before = dropped.get();
    let first = take_once(&outbox).unwrap();
    // The mark is one of them.
    assert_eq!(first.len(), (64 * 1024_usize - 64).div_ceil(EVENT) + 1);
    assert_eq!(first[..2], [format!("1 after {before}"), format!("1:{}", before + 1)]);
    push_all(&outbox, 1, 10_101..=20_000);
    let mut rest = Vec::new();
    while let Ok(items) = take_once(&outbox) {
        rest.extend(items);
    }
    let after = first.len() as u64 - 1 + dropped.get();
    assert_eq!(rest[0], format!("1 after {after}"));
    let expected: Vec<_> = (after + 1..=20_000).map(|offset| format!("1:{offset}")).collect();
    assert_eq!(rest[1..], expected);
}

#[test]
fn what_cannot_be_dropped_is_taken_at_once() {
    for (item, taken) in [(ordinary(), 10_000), (droppable(1, 1), (64 * 1024_usize).div_ceil(EVENT))] {
        let (outbox, _) = outbox_of(10_000);
        let mut touched = Touched::default();
        for _ in 0..10_000 {
            outbox.push_event(item.clone(), &mut touched);
        }
        assert_eq!(take_once(&outbox).unwrap().len(), taken);
    }
}

#[test]
fn marks_that_no_longer_count_are_a_quarter_of_the_queue_at_most() {
    let mut queue: VecDeque<_> = (0..1_000).map(|offset| droppable(offset as u32 % 3, offset)).collect();
    let mut drops = DropOldest::default();
    for _ in 0..1_000 {
        drops.drop_one(&mut queue).unwrap();
        let superseded =
            queue.iter().filter(|item| matches!(item, Item::Dropped { .. })).count() - 3.min(drops.marks);
        assert_eq!(drops.marks - drops.told.len(), superseded);
        assert!(superseded * 4 <= queue.len(), "{superseded} of {}", queue.len());
    }
    assert_eq!(drops.drop_one(&mut queue), None);
    drops.compact(&mut queue);
    let left: Vec<_> = queue.iter().map(shown).collect();
    assert_eq!(left, ["1 after 997", "2 after 998", "0 after 999"]);
}

/// Each channel gets its offsets in order; every gap is told, at its place, by one mark that names its end; what was
/// counted as dropped is what is missing; nothing ordinary is missing.
#[test]
fn no_gap_is_silent() {
    let (mut with_drops, mut ended) = (0, 0);
    for seed in 0..1_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut run = Run::new(rng.usize(1..40));
        let ordinary_in_16 = rng.u8(0..4);
        for _ in 0..rng.usize(0..400) {
            match rng.u8(0..16) {
                0 => run.take(),
                number if number <= ordinary_in_16 => run.ordinary(),
                _ => run.event(rng.u32(0..3)),
            }
        }
        // What was queued, and how it ended.
        run.take();
        run.take();
        with_drops += usize::from(run.missing > 0);
        ended += usize::from(run.ended);
        if !run.ended {
            assert_eq!(run.seen, run.sent, "seed {seed}");
            assert_eq!(
                (run.ordinary_seen, run.missing),
                (run.ordinary_sent, run.dropped.get()),
                "seed {seed}"
            );
        }
    }
    assert!(with_drops > 100 && ended > 100 && ended < 900, "{with_drops} with drops, {ended} ended");
}

/// A queue, what was put into it, and what came out.
struct Run {
    outbox: Outbox,
    dropped: Counter,
    sent: [u64; 3],
    ordinary_sent: u64,
    seen: [u64; 3],
    ordinary_seen: u64,
    missing: u64,
    ended: bool,
}

impl Run {
    fn new(limit: usize) -> Self {
        let (outbox, dropped) = outbox_of(limit);
        let (sent, seen) = ([0; 3], [0; 3]);
        Self { outbox, dropped, sent, ordinary_sent: 0, seen, ordinary_seen: 0, missing: 0, ended: false }
    }

    fn event(&mut self, channel: u32) {
        let sent = &mut self.sent[channel as usize];
        *sent += 1;
        self.outbox.push(droppable(channel, *sent));
    }

    fn ordinary(&mut self) {
        self.ordinary_sent += 1;
        self.outbox.push(ordinary());
    }

    fn take(&mut self) {
        let mut items = VecDeque::new();
        let found = self.outbox.poll_take(&mut Context::from_waker(Waker::noop()), &mut items, false);
        self.ended |= matches!(found, Poll::Ready(Found::End(_)));
        let mut told = [false; 3];
        for item in &items {
            match item {
                Item::Droppable { channel, event, .. } => {
                    let seen = &mut self.seen[channel.0 as usize];
                    assert_eq!(event.offset, *seen + 1, "channel {channel:?}");
                    *seen += 1;
                }
                Item::Dropped { channel, offset, .. } => {
                    let index = channel.0 as usize;
                    assert!(*offset > self.seen[index] && !told[index], "channel {channel:?}");
                    self.missing += offset - self.seen[index];
                    (self.seen[index], told[index]) = (*offset, true);
                }
                _ => self.ordinary_seen += 1,
            }
        }
    }
}
