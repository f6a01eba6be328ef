//! All topics of this server. The map finds a topic's entry; the rules run under the entry's own lock, and what
//! they decide is queued for the links before the lock is let go (rule L4). No map guard leaves this file.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use campanile_process::due::DueQueue;
use campanile_proto::link::PART_BYTES;
use campanile_proto::message::Publish;
use campanile_proto::{Epoch, FromTopicServer, Incarnation, Refusal, Subscription};
use campanile_ring_config::{Ring, TopicRules};
use dashmap::DashMap;
use parking_lot::Mutex;

use crate::gateways::outbox::Outbox;
use crate::metrics::Metrics;
use crate::topics::fanout;
use crate::topics::history::Bounds;
use crate::topics::ownership::Ownership;
use crate::topics::state::{Order, Outcome, Topic};

/// The topics that this server holds.
#[derive(Debug)]
pub struct Table {
    entries: DashMap<Key, ()>,
    ownership: Arc<Ownership>,
    metrics: Arc<Metrics>,
    /// How much of which topic is kept.
    rules: Arc<ArcSwap<TopicRules>>,
    limits: Limits,
    /// Topics that may be forgotten at some time; each stands here once at most.
    due: DueQueue<Arc<Entry>>,
    /// Bytes of all histories.
    history: AtomicUsize,
    /// Topics with a history, in the order in which they are asked to give it up; each stands here once at most.
    histories: Mutex<VecDeque<Arc<Entry>>>,
    draining: AtomicBool,
}

/// What a server may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Topics at a time.
    pub topics: usize,
    /// Bytes of all histories.
    pub history: usize,
}

/// How long a topic's counter outlives its last subscriber and its last publish where there is no history whose age
/// says so.
const RETENTION: Duration = Duration::from_secs(120);

/// One topic of the table.
#[derive(Debug)]
pub struct Entry {
    name: Box<[u8]>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    topic: Topic<Outbox>,
    /// No longer in the table: whoever finds it so looks up again.
    dead: bool,
    /// Stands in the table's queue of topics to forget.
    queued: bool,
    /// Stands in the table's queue of histories.
    in_histories: bool,
    /// Has been published to since that queue came by last.
    fresh: bool,
}

/// An entry, found by its name.
#[derive(Clone, Debug)]
struct Key(Arc<Entry>);

/// What a `Subscribe` set up; its link must end it.
#[derive(Debug)]
pub struct Held {
    /// The topic.
    pub entry: Arc<Entry>,
    /// The number that it replaced on the same link.
    pub replaced: Option<Subscription>,
}

impl Table {
    /// An empty table.
    pub fn new(
        ownership: Arc<Ownership>,
        metrics: Arc<Metrics>,
        rules: Arc<ArcSwap<TopicRules>>,
        limits: Limits,
    ) -> Self {
        Self {
            entries: DashMap::new(),
            ownership,
            metrics,
            rules,
            limits,
            due: DueQueue::default(),
            history: AtomicUsize::new(0),
            histories: Mutex::default(),
            draining: AtomicBool::new(false),
        }
    }

    /// Subscribes a link to a topic and answers it.
    pub fn subscribe(
        &self,
        link: &Outbox,
        subscription: Subscription,
        topic: &[u8],
        now: Instant,
    ) -> Option<Held> {
        let held = self.with(topic, now, |entry, inner| {
            let replaced = inner.topic.subscribe(link.clone(), subscription);
            link.push(FromTopicServer::Subscribed {
                subscription,
                epoch: inner.topic.epoch(),
                offset: inner.topic.offset(),
            });
            Held { entry: Arc::clone(entry), replaced }
        });
        match held {
            Ok(held) => {
                if held.replaced.is_none() {
                    self.metrics.subscriptions.inc();
                }
                Some(held)
            }
            Err(reason) => {
                link.push(FromTopicServer::SubscribeRefused { subscription, reason });
                None
            }
        }
    }

    /// Ends a subscription, if it still goes by this number.
    pub fn unsubscribe(&self, entry: &Arc<Entry>, link: &Outbox, subscription: Subscription, now: Instant) {
        let mut inner = entry.inner.lock();
        if inner.topic.unsubscribe(link, subscription, now) {
            self.metrics.subscriptions.dec();
            self.forget_later(entry, &mut inner);
        }
    }

    /// Gives a publish its offset, answers it, and queues it for every subscribed gateway, in one step.
    /// `late` is the time that the publish spent on its way, beyond the link's best.
    pub fn publish(
        &self,
        link: &Outbox,
        gateway: Incarnation,
        publish: Publish,
        late: Duration,
        now: Instant,
    ) {
        let Publish { slot, topic, number, settled_below, time_left, resend_epoch, message, key } = publish;
        let deadline = now + time_left.saturating_sub(late);
        let order = Order { gateway, number, settled_below, resend_epoch, deadline, key: key.as_deref() };
        let bounds = self.bounds(&topic);
        let answered = self.with(&topic, now, |entry, inner| {
            let before = inner.topic.history_bytes();
            let outcome = inner.topic.publish(&order, &message, &bounds, now);
            self.account(before, inner.topic.history_bytes());
            self.note_history(entry, inner);
            let epoch = inner.topic.epoch();
            match outcome {
                Outcome::Sequenced(offset) => {
                    // The answer first: a publisher's reply comes before its own event.
                    link.push(FromTopicServer::Published { slot, number, epoch, offset });
                    let gateways = fanout::deliver(&inner.topic, offset, &message);
                    self.metrics.publishes_accepted.inc();
                    self.metrics.deliveries.inc_by(gateways as u64);
                }
                Outcome::Repeated(offset) => {
                    self.metrics.publishes_repeated.inc();
                    link.push(FromTopicServer::Published { slot, number, epoch, offset });
                }
                Outcome::Refused(reason) => self.refuse(link, slot, number, reason),
            }
            self.forget_later(entry, inner);
        });
        if let Err(reason) = answered {
            self.refuse(link, slot, number, reason);
        }
        self.keep_history_bounded();
    }

    /// Answers a read of one subscription, in order with its deliveries (rule L6).
    pub fn read(
        &self,
        entry: &Arc<Entry>,
        link: &Outbox,
        subscription: Subscription,
        epoch: Epoch,
        from: u64,
        now: Instant,
    ) {
        let bounds = self.bounds(&entry.name);
        let mut inner = entry.inner.lock();
        let before = inner.topic.history_bytes();
        if !inner.dead && inner.topic.is_subscribed(link, subscription) {
            let found = inner.topic.read(epoch, from, PART_BYTES, &bounds, now);
            self.metrics.reads.inc();
            link.push(FromTopicServer::Missed { subscription, epoch, from, found });
        }
        self.account(before, inner.topic.history_bytes());
    }

    /// Makes this the newest ring, and gives up every topic that it gives to another server.
    pub fn adopt(&self, ring: Arc<Ring>) {
        self.ownership.adopt(ring);
        for entry in self.all() {
            if !self.ownership.owns(&entry.name) {
                let mut inner = entry.inner.lock();
                if !inner.dead {
                    self.give_up(&entry, &mut inner);
                }
            }
        }
    }

    /// Refuses everything new from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether everything new is refused.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Forgets the topics whose retention is over.
    pub fn sweep(&self, now: Instant) {
        while let Some(entry) = self.due.pop(now) {
            let mut inner = entry.inner.lock();
            inner.queued = false;
            if inner.dead {
                continue;
            }
            match inner.topic.forget_at(self.retention(&entry.name)) {
                Some(at) if at <= now => self.remove(&entry, &mut inner),
                _ => self.forget_later(&entry, &mut inner),
            }
        }
    }

    /// The newest ring's version.
    pub fn ring_version(&self) -> u64 {
        self.ownership.ring_version()
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Runs a rule under the lock of a topic that this server may serve; creates the topic if need be.
    fn with<T>(
        &self,
        topic: &[u8],
        now: Instant,
        rule: impl FnOnce(&Arc<Entry>, &mut Inner) -> T,
    ) -> Result<T, Refusal> {
        loop {
            let entry = self.find_or_create(topic, now)?;
            let mut inner = entry.inner.lock();
            if inner.dead {
                continue;
            }
            // Under the lock: an edit of the ring may have come between the look-up and now.
            if !self.ownership.owns(topic) {
                self.give_up(&entry, &mut inner);
                return Err(Refusal::NotOwner);
            }
            if self.is_draining() {
                return Err(Refusal::Draining);
            }
            return Ok(rule(&entry, &mut inner));
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the wrapper: no guard leaves the function")]
    fn find_or_create(&self, topic: &[u8], now: Instant) -> Result<Arc<Entry>, Refusal> {
        if let Some(found) = self.entries.get(topic) {
            return Ok(Arc::clone(&found.key().0));
        }
        if !self.ownership.owns(topic) {
            return Err(Refusal::NotOwner);
        }
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        if self.entries.len() >= self.limits.topics {
            return Err(Refusal::Overloaded);
        }
        let inner = Inner {
            topic: Topic::new(random_epoch(), now),
            dead: false,
            queued: false,
            in_histories: false,
            fresh: false,
        };
        let entry = Arc::new(Entry { name: topic.into(), inner: Mutex::new(inner) });
        // Another link may have been faster; then its entry stands and ours is dropped.
        let slot = self.entries.entry(Key(Arc::clone(&entry))).or_insert(());
        Ok(Arc::clone(&slot.key().0))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the wrapper: no guard leaves the function")]
    fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.iter().map(|found| Arc::clone(&found.key().0)).collect()
    }

    /// The topic ends here: its gateways are told, in order behind their deliveries (H8).
    fn give_up(&self, entry: &Arc<Entry>, inner: &mut Inner) {
        fanout::moved(&inner.topic);
        let subscriptions = inner.topic.subscribers().len() as i64;
        self.metrics.subscriptions.dec_by(subscriptions);
        self.metrics.topics_moved.inc();
        self.remove(entry, inner);
        inner.topic = Topic::new(inner.topic.epoch(), Instant::now());
    }

    fn remove(&self, entry: &Arc<Entry>, inner: &mut Inner) {
        inner.dead = true;
        self.account(inner.topic.history_bytes(), 0);
        inner.topic.drop_history();
        // Only this very entry: a look-up that found it dead waits for its name to be free again.
        self.entries.remove_if(&entry.name[..], |key, ()| Arc::ptr_eq(&key.0, entry));
    }

    fn forget_later(&self, entry: &Arc<Entry>, inner: &mut Inner) {
        if !inner.queued
            && !inner.dead
            && let Some(at) = inner.topic.forget_at(self.retention(&entry.name))
        {
            inner.queued = true;
            self.due.push(at, Arc::clone(entry));
        }
    }

    /// Bytes of all histories.
    pub fn history_bytes(&self) -> usize {
        self.history.load(Ordering::Relaxed)
    }

    fn bounds(&self, topic: &[u8]) -> Bounds {
        let rule = self.rules.load().history(topic);
        let to_usize = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Bounds {
            messages: to_usize(rule.messages),
            bytes: to_usize(rule.bytes),
            age: Duration::from_secs(rule.seconds),
        }
    }

    fn retention(&self, topic: &[u8]) -> Duration {
        let bounds = self.bounds(topic);
        if bounds.keep_something() { bounds.age } else { RETENTION }
    }

    fn account(&self, before: usize, after: usize) {
        if after > before {
            self.history.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.history.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    fn note_history(&self, entry: &Arc<Entry>, inner: &mut Inner) {
        inner.fresh = true;
        if !inner.in_histories && inner.topic.history_bytes() > 0 {
            inner.in_histories = true;
            self.histories.lock().push_back(Arc::clone(entry));
        }
    }

    /// Takes histories away until all together are within their bound: those first that nobody has published to
    /// since the last time that they were asked. Whoever comes too late for one is told so.
    fn keep_history_bounded(&self) {
        while self.history.load(Ordering::Relaxed) > self.limits.history {
            // Not under the queue's lock: a topic's lock is always taken first.
            let oldest = self.histories.lock().pop_front();
            let Some(entry) = oldest else { return };
            let mut inner = entry.inner.lock();
            let bytes = inner.topic.history_bytes();
            if std::mem::take(&mut inner.fresh) && bytes > 0 {
                self.histories.lock().push_back(Arc::clone(&entry));
                continue;
            }
            inner.in_histories = false;
            if bytes > 0 {
                inner.topic.drop_history();
                self.account(bytes, 0);
                self.metrics.histories_evicted.inc();
            }
        }
    }

    fn refuse(&self, link: &Outbox, slot: u32, number: u64, reason: Refusal) {
        self.metrics.refused(reason);
        link.push(FromTopicServer::PublishRefused { slot, number, reason });
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0.name
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As the borrowed slice hashes, or look-ups by name would miss.
        self.0.name.hash(state);
    }
}

fn random_epoch() -> Epoch {
    Epoch(fastrand::u64(1..))
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
