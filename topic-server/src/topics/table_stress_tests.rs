//! Many links at once, at two tables between which the topics go to and fro.

use std::collections::{BTreeMap, HashMap};

use campanile_proto::handoff::Piece;

use super::*;
use crate::topics::moving::Arrived;
use crate::topics::portable::Arriving;
use crate::topics::testing::{place, ring};

/// `ts-a` and `ts-b`, and how often all topics went from one to the other.
struct Pair {
    tables: [Table; 2],
    version: Mutex<u64>,
    topics: Vec<String>,
}

const NAMES: [&str; 2] = ["ts-a", "ts-b"];

impl Pair {
    fn new() -> Self {
        let tables = NAMES.map(|name| {
            let at = Some(place(name).address);
            let ownership = Ownership::elsewhere(name.to_owned(), ring(1, &["ts-a"]), at);
            let limits = Limits { topics: 1000, history: 1 << 20 };
            Table::new(Arc::new(ownership), Arc::default(), Arc::default(), limits)
        });
        let topics = (0..3).map(|number| format!("topics:{number}")).collect();
        Self { tables, version: Mutex::new(1), topics }
    }

    /// Every topic goes to the other table, the way a handoff does it: who takes knows of the ring first, and lets
    /// requests wait. Some of them are taken back on the way, and given again.
    fn swap(&self, random: &mut fastrand::Rng, now: Instant) {
        let mut version = self.version.lock();
        let (giver, taker) =
            (usize::from((*version).is_multiple_of(2)), usize::from(!(*version).is_multiple_of(2)));
        *version += 1;
        let ring = ring(*version, &[NAMES[taker]]);
        let (giver_place, taker_place) = (place(NAMES[giver]), place(NAMES[taker]));
        let (giver, taker) = (&self.tables[giver], &self.tables[taker]);
        taker.adopt(Arc::clone(&ring), now);
        for entry in giver.adopt(ring, now).expect("a newer ring") {
            let mut number = 1;
            while random.u32(..3) == 0 && giver.give(&entry, &taker_place, B, number, now).is_some() {
                assert!(giver.take_back(&entry, number, false, now));
                number += 1;
            }
            // A sweep may have been faster.
            let Some(pieces) = giver.give(&entry, &taker_place, B, number, now) else { continue };
            assert_eq!(taker.arrive(arriving(pieces), now), Arrived::Taken);
            giver.given_away(&entry, number, now);
        }
        taker.ownership.learn([], [(giver_place, *version)], now);
        taker.look_after_waited(false, now);
    }
}

fn arriving(pieces: Vec<Piece>) -> Arriving {
    let mut pieces = pieces.into_iter();
    let mut arriving = pieces.next().and_then(Arriving::begin).expect("a first piece");
    assert!(pieces.all(|piece| arriving.go_on(piece)));
    arriving
}

/// One gateway of the stress, with a link to each table: what it has heard, checked as it comes.
struct Gateway {
    incarnation: Incarnation,
    links: [Outbox; 2],
    random: fastrand::Rng,
    /// Where it looks for each topic, by slot, which is the topic's index.
    at: Vec<usize>,
    /// By slot: the table, the number, and the entry there.
    subscribed: HashMap<u32, (usize, Subscription, Arc<Entry>)>,
    /// Of the last delivery, by table and number.
    positions: HashMap<(usize, Subscription), (Epoch, u64)>,
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
            links: [outbox(), outbox()],
            random: fastrand::Rng::with_seed(number),
            at: vec![0; 3],
            subscribed: HashMap::new(),
            positions: HashMap::new(),
            generation: 0,
            number: 0,
            unanswered: HashMap::new(),
            published: BTreeMap::new(),
            delivered: BTreeMap::new(),
        }
    }

    fn subscribe(&mut self, pair: &Pair, slot: u32, now: Instant) {
        self.generation += 1;
        let at = self.at[slot as usize];
        let subscription = number(slot, self.generation);
        let topic = pair.topics[slot as usize].as_bytes();
        if let Some(held) = pair.tables[at].subscribe(&self.links[at], subscription, topic, now) {
            self.subscribed.insert(slot, (at, subscription, held.entry));
        }
    }

    fn publish(&mut self, pair: &Pair, slot: u32, now: Instant) {
        self.number += 1;
        self.unanswered.insert(self.number, slot);
        let publish = Publish {
            slot,
            settled_below: self.number,
            message: message(&format!("{} {}", self.incarnation, self.number)),
            ..publish(&pair.topics[slot as usize], self.number)
        };
        let at = self.at[slot as usize];
        pair.tables[at].publish(&self.links[at], self.incarnation, publish, Duration::ZERO, now);
    }

    fn step(&mut self, pair: &Pair, now: Instant) {
        let slot = self.random.u32(..pair.topics.len() as u32);
        match self.random.u32(..1000) {
            0..300 => self.subscribe(pair, slot, now),
            300..500 => {
                if let Some((at, subscription, entry)) = self.subscribed.remove(&slot) {
                    pair.tables[at].unsubscribe(&entry, &self.links[at], subscription, now);
                }
            }
            500..970 => self.publish(pair, slot, now),
            970..990 => pair.tables.iter().for_each(|table| table.sweep(now + LONG)),
            _ => pair.swap(&mut self.random, now),
        }
        self.hear();
    }

    fn hear(&mut self) {
        for at in 0..2 {
            for item in drain(&self.links[at].clone()) {
                self.take(at, item);
            }
        }
    }

    fn take(&mut self, at: usize, item: FromTopicServer) {
        match item {
            FromTopicServer::Subscribed { subscription, epoch, offset } => {
                self.positions.insert((at, subscription), (epoch, offset));
            }
            FromTopicServer::Deliver { subscription, offset, message } => {
                let position = self.positions.get_mut(&(at, subscription));
                let (epoch, last) = position.expect("Subscribed comes first, and Moved last");
                assert_eq!(offset, *last + 1, "a gap or a repeat");
                *last = offset;
                let payload = String::from_utf8_lossy(&message.payload).into_owned();
                self.delivered.insert((subscription.slot, epoch.0, offset), payload);
            }
            FromTopicServer::Moved { subscription, offset, .. } => {
                let position = self.positions.remove(&(at, subscription));
                assert_eq!(position.map(|(_, last)| last), Some(offset), "Moved names the last offset");
                self.at[subscription.slot as usize] = 1 - at;
            }
            FromTopicServer::Published { slot, number, epoch, offset, .. } => {
                assert_eq!(self.unanswered.remove(&number), Some(slot), "answered once");
                let payload = format!("{} {number}", self.incarnation);
                self.published.insert((slot, epoch.0, offset), payload);
            }
            FromTopicServer::PublishRefused { slot, number, reason } => {
                assert!(self.unanswered.remove(&number).is_some(), "answered once");
                match reason {
                    Refusal::NotOwner => self.at[slot as usize] = 1 - at,
                    // It waited at one table while a later one, sent after that table's `Moved`, ran at the other: a real
                    // gateway sends it again first (H9).
                    reason => assert_eq!(reason, Refusal::StaleNumber),
                }
            }
            FromTopicServer::SubscribeRefused { subscription, reason } => {
                assert_eq!(reason, Refusal::NotOwner);
                self.at[subscription.slot as usize] = 1 - at;
            }
            item => panic!("{item:?}"),
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
fn eight_links_at_once_see_every_topic_in_order_and_lose_nothing_while_topics_move() {
    const STEPS: usize = 4000;
    let (pair, now) = (Pair::new(), Instant::now());
    let mut gateways: Vec<Gateway> = (0..8).map(Gateway::new).collect();
    all_at_once(&mut gateways, |gateway| {
        for _ in 0..STEPS {
            gateway.step(&pair, now);
        }
    });
    // From here on everybody listens at the one that holds the topics, and the last messages reach all.
    let holder = usize::from((*pair.version.lock()).is_multiple_of(2));
    for gateway in &mut gateways {
        gateway.hear();
        gateway.at = vec![holder; 3];
        for slot in 0..pair.topics.len() as u32 {
            gateway.subscribe(&pair, slot, now);
        }
    }
    all_at_once(&mut gateways, |gateway| {
        for _ in 0..50 {
            for slot in 0..pair.topics.len() as u32 {
                gateway.publish(&pair, slot, now);
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
        for (slot, (at, subscription, _)) in &gateway.subscribed {
            let (epoch, last) = gateway.positions[&(*at, *subscription)];
            let newest = published.range((*slot, epoch.0, 0)..=(*slot, epoch.0, u64::MAX)).next_back();
            assert_eq!(newest.map(|((.., offset), _)| *offset), Some(last), "everybody has everything");
        }
    }
    assert!(published.len() > 1000 && delivered > 1000);
    let [here, elsewhere] = [&pair.tables[holder], &pair.tables[1 - holder]];
    assert!(here.metrics.topics_taken.get() > 10 && elsewhere.metrics.topics_moved.get() > 10);
    assert_eq!((here.len(), elsewhere.len()), (pair.topics.len(), 0));
    assert_eq!(here.metrics.subscriptions.get(), 8 * pair.topics.len() as i64);
    assert_eq!(elsewhere.metrics.subscriptions.get(), 0);
    let kept: usize = here.all().iter().map(|entry| entry.inner.lock().topic.history_bytes()).sum();
    assert_eq!((kept, 0), (here.history_bytes(), elsewhere.history_bytes()));
}
