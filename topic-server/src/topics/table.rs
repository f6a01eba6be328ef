//! All topics of this server. The map finds a topic's entry; the rules run under the entry's own lock, and what
//! they decide is queued for the links before the lock is let go (rule L4). No map guard leaves this file.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use campanile_process::due::DueQueue;
use campanile_process::memory::Pressure;
use campanile_process::token_bucket::Rate;
use campanile_proto::link::PART_BYTES;
use campanile_proto::message::Publish;
use campanile_proto::names;
use campanile_proto::planted::{Fault, planted};
use campanile_proto::reach::Pattern;
use campanile_proto::{Epoch, FromTopicServer, Incarnation, Refusal, Subscription};
use campanile_ring_config::TopicRules;
use dashmap::DashMap;
use parking_lot::Mutex;

use crate::gateways::outbox::Outbox;
use crate::metrics::Metrics;
pub use crate::topics::entry::Entry;
use crate::topics::entry::{Awaiting, Inner, Key, Parked, Request, Stage};
use crate::topics::fanout;
use crate::topics::histories::Histories;
use crate::topics::history::Bounds;
use crate::topics::meeting::Late;
use crate::topics::ownership::{Ownership, Standing};
use crate::topics::patterns::Patterns;
use crate::topics::state::{Order, Outcome, Topic};

/// The topics of this server: those that it holds, those that somebody waits for, and copies of those given away.
#[derive(Debug)]
pub struct Table {
    entries: DashMap<Key, ()>,
    /// This process's life, to those who have to know from whom they hear.
    incarnation: OnceLock<Incarnation>,
    pub(super) ownership: Arc<Ownership>,
    pub(super) metrics: Arc<Metrics>,
    /// How much of which topic is kept.
    rules: Arc<ArcSwap<TopicRules>>,
    limits: Limits,
    /// How often each topic may be published to.
    publish_rate: Option<Rate>,
    /// While it is high, nothing new is taken.
    memory: Pressure,
    /// Topics that may be forgotten at some time; each stands here once at most.
    due: DueQueue<Arc<Entry>>,
    /// Bytes of all histories.
    history: AtomicUsize,
    /// Topics with a history, in the order in which they are asked to give it up; each stands here once at most.
    histories: Mutex<Histories>,
    /// Topics with listeners that count.
    pub(super) counted: Mutex<HashSet<Key>>,
    pub(super) patterns: Patterns,
    /// Topics that came here while gateways' patterns matched them.
    pub(super) introduced: Mutex<Vec<Arc<Entry>>>,
    /// Gateways that have patterns elsewhere and have not told of them here, each with the time until which they are awaited.
    pub(super) expected: Mutex<Vec<(Incarnation, Instant)>>,
    /// Gateways that did not come in time.
    pub(super) missed: Mutex<Vec<Late>>,
    /// Topics that somebody waits for; each stands here once at most.
    pub(super) waited: Mutex<Vec<Arc<Entry>>>,
    /// Something was added to those since anybody looked.
    news: AtomicBool,
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

/// So many topics with histories are looked through at a time.
const HISTORIES: usize = 1024;

/// A gateway whose publish was refused asks again well within this time.
const SHUNNED: Duration = Duration::from_secs(1);

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
        let patterns = Patterns::new(metrics.patterns.clone());
        Self {
            entries: DashMap::new(),
            incarnation: OnceLock::new(),
            ownership,
            metrics,
            rules,
            limits,
            publish_rate: None,
            memory: Pressure::default(),
            due: DueQueue::default(),
            history: AtomicUsize::new(0),
            histories: Mutex::default(),
            counted: Mutex::default(),
            patterns,
            introduced: Mutex::default(),
            expected: Mutex::default(),
            missed: Mutex::default(),
            waited: Mutex::default(),
            news: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    /// The same, with this rate of publishes per topic, and taking neither publishes nor further topics while memory is
    /// short.
    pub fn guarded(self, publish_rate: Option<Rate>, memory: Pressure) -> Self {
        Self { publish_rate, memory, ..self }
    }

    /// Says which process this is; the first word stands.
    pub fn be(&self, incarnation: Incarnation) {
        let _ = self.incarnation.set(incarnation);
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        *self.incarnation.get_or_init(|| Incarnation(fastrand::u64(1..)))
    }

    /// Subscribes a link to a topic and answers it, at once or when the topic is here.
    pub fn subscribe(
        &self,
        link: &Outbox,
        subscription: Subscription,
        topic: &[u8],
        now: Instant,
    ) -> Option<Held> {
        self.subscribe_counted(link, subscription, topic, 0, now)
    }

    /// The same, with so many listeners that count.
    pub fn subscribe_counted(
        &self,
        link: &Outbox,
        subscription: Subscription,
        topic: &[u8],
        listeners: u32,
        now: Instant,
    ) -> Option<Held> {
        let awaiting = Awaiting { subscription, listeners, change: None };
        let held = self.with(None, topic, link, now, |entry, inner, is_here| {
            inner.forgive(link);
            let replaced = if is_here {
                self.run_subscribe(entry, inner, link, awaiting)
            } else {
                let waiting = inner.waiting().ok_or(Refusal::Overloaded)?;
                let replaced = waiting.replace(link, awaiting);
                if replaced.is_none() && !waiting.park(link, Request::Subscribe(awaiting)) {
                    return Err(Refusal::Overloaded);
                }
                replaced
            };
            Ok(Held { entry: Arc::clone(entry), replaced })
        });
        match held.flatten() {
            Ok(held) => Some(held),
            Err(reason) => {
                self.refuse_subscribe(link, subscription, reason);
                None
            }
        }
    }

    fn run_subscribe(
        &self,
        entry: &Arc<Entry>,
        inner: &mut Inner,
        link: &Outbox,
        Awaiting { subscription, listeners, change }: Awaiting,
    ) -> Option<Subscription> {
        let replaced = inner.topic.subscribe(link.clone(), subscription);
        if replaced.is_none() {
            self.metrics.subscriptions.inc();
        }
        inner.topic.count(link, subscription, listeners);
        self.note_counted(entry, inner);
        let (epoch, offset) = (inner.topic.epoch(), inner.topic.offset());
        link.push(FromTopicServer::Subscribed { subscription, epoch, offset });
        if let Some(change) = change {
            link.push(FromTopicServer::Counted { subscription, change });
        }
        replaced
    }

    /// So many listeners of a subscription count from here on, if it still goes by this number.
    pub fn count(
        &self,
        entry: &Arc<Entry>,
        link: &Outbox,
        subscription: Subscription,
        (listeners, change): (u32, u32),
    ) {
        let mut inner = entry.inner.lock();
        if inner.waiting().is_some_and(|waiting| waiting.count(link, subscription, listeners, change)) {
            return;
        }
        if inner.is_held() && inner.topic.count(link, subscription, listeners) {
            self.note_counted(entry, &mut inner);
            link.push(FromTopicServer::Counted { subscription, change });
        }
    }

    /// A gateway has told of a pattern.
    pub fn set_pattern(&self, link: &Outbox, gateway: Incarnation, pattern: &Pattern) {
        self.patterns.set(link, gateway, pattern);
    }

    /// A gateway has told of all its patterns: it gets what it may have missed of topics that came here before it.
    pub fn patterns_told(&self, link: &Outbox, gateway: Incarnation, now: Instant) {
        if self.patterns.complete(link, gateway) {
            // Before it is answered: who waits for the answer gets nothing of before.
            self.meet(link, gateway, now);
            self.patterns.has_met(link);
        }
    }

    /// A link's patterns end with it.
    pub fn drop_patterns(&self, link: &Outbox) {
        self.patterns.remove(link);
    }

    /// Ends a subscription, if it still goes by this number.
    pub fn unsubscribe(&self, entry: &Arc<Entry>, link: &Outbox, subscription: Subscription, now: Instant) {
        let mut inner = entry.inner.lock();
        if inner.waiting().is_some_and(|waiting| waiting.unsubscribe(link, subscription)) {
            return;
        }
        if inner.topic.unsubscribe(link, subscription, now) {
            self.metrics.subscriptions.dec();
            self.note_counted(entry, &mut inner);
            self.forget_later(entry, &mut inner);
        }
    }

    /// Gives a publish its offset, answers it, and queues it for every subscribed gateway, in one step; at once or when
    /// the topic is here. `late` is the time that the publish spent on its way, beyond the link's best.
    pub fn publish(
        &self,
        link: &Outbox,
        gateway: Incarnation,
        publish: Publish,
        late: Duration,
        now: Instant,
    ) {
        self.publish_to(None, link, gateway, publish, late, now);
    }

    /// The same, of a link that probably means this entry.
    pub fn publish_to(
        &self,
        known: Option<&Arc<Entry>>,
        link: &Outbox,
        gateway: Incarnation,
        publish: Publish,
        late: Duration,
        now: Instant,
    ) {
        let (slot, number) = (publish.slot, publish.number);
        // One that comes again may have run before: its answer costs nothing.
        if self.memory.is_high() && publish.resend_epoch.is_none() {
            return self.refuse(link, slot, number, Refusal::Overloaded);
        }
        let deadline = now + publish.time_left.saturating_sub(late);
        let topic = publish.topic.clone();
        let answered = self.with(known, &topic, link, now, |entry, inner, is_here| {
            if inner.shuns(link, now) {
                return Err(Refusal::NotOwner);
            }
            if is_here {
                self.run_publish(entry, inner, link, gateway, &publish, deadline, now);
                return Ok(());
            }
            // Detached: a request that waits must not keep the batch that it came in.
            let message = publish.message.detached();
            let publish = Box::new(Publish { message, ..publish });
            let waiting = inner.waiting().ok_or(Refusal::Overloaded)?;
            if waiting.park(link, Request::Publish { gateway, publish, deadline }) {
                Ok(())
            } else {
                Err(Refusal::Overloaded)
            }
        });
        if let Err(reason) = answered.flatten() {
            self.refuse(link, slot, number, reason);
        }
        self.keep_history_bounded();
    }

    #[expect(clippy::too_many_arguments, reason = "a step under a lock that its two callers hold")]
    fn run_publish(
        &self,
        entry: &Arc<Entry>,
        inner: &mut Inner,
        link: &Outbox,
        gateway: Incarnation,
        publish: &Publish,
        deadline: Instant,
        now: Instant,
    ) {
        let Publish { slot, number, settled_below, resend_epoch, message, key, .. } = publish;
        let (slot, number) = (*slot, *number);
        let order = Order {
            gateway,
            number,
            settled_below: *settled_below,
            resend_epoch: *resend_epoch,
            deadline,
            key: key.as_deref(),
            rate: self.publish_rate,
        };
        let bounds = self.bounds(&entry.name);
        let before = inner.topic.history_bytes();
        self.look_at_patterns(entry, inner, now);
        let outcome = inner.topic.publish(&order, message, &bounds, now);
        self.account(before, inner.topic.history_bytes());
        self.note_history(entry, inner);
        let epoch = inner.topic.epoch();
        match outcome {
            Outcome::Sequenced(offset) => {
                // The answer first: a publisher's reply comes before its own event.
                let receivers = inner.topic.receivers();
                link.push(FromTopicServer::Published { slot, number, epoch, offset, receivers });
                let gateways = fanout::deliver(&mut inner.topic, &entry.name, offset, message);
                self.metrics.publishes_accepted.inc();
                self.metrics.deliveries.inc_by(gateways as u64);
            }
            Outcome::Repeated(offset) => {
                self.metrics.publishes_repeated.inc();
                let receivers = inner.topic.receivers();
                link.push(FromTopicServer::Published { slot, number, epoch, offset, receivers });
            }
            Outcome::Refused(reason) => self.refuse(link, slot, number, reason),
        }
        self.forget_later(entry, inner);
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
        if inner.is_held() && inner.topic.is_subscribed(link, subscription) {
            let found = inner.topic.read(epoch, from, PART_BYTES, &bounds, now);
            self.metrics.reads.inc();
            link.push(FromTopicServer::Missed { subscription, epoch, from, found });
        }
        self.account(before, inner.topic.history_bytes());
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
        self.stop_awaiting(now);
        while let Some(entry) = self.due.pop(now) {
            let mut inner = entry.inner.lock();
            inner.queued = false;
            // What is on its way to another server, or waited for, has its own end.
            if !inner.is_held() {
                continue;
            }
            match inner.topic.forget_at(self.retention(&entry.name)) {
                Some(at) if at <= now => self.remove(&entry, &mut inner),
                _ => self.forget_later(&entry, &mut inner),
            }
        }
        self.look_through_histories();
    }

    /// Lets go of topics that are no longer in the table.
    fn look_through_histories(&self) {
        let mut left = self.histories.lock().start_look_through();
        while left > 0 {
            // Not under the queue's lock: a topic's lock is always taken first.
            let mut some = self.histories.lock().take(left.min(HISTORIES));
            some.retain(|entry| {
                let mut inner = entry.inner.lock();
                inner.in_histories = inner.topic.history_bytes() > 0;
                inner.in_histories
            });
            let mut histories = self.histories.lock();
            some.into_iter().for_each(|entry| histories.push(entry));
            left = left.saturating_sub(HISTORIES);
        }
    }

    /// Whether a link is subscribed to a topic under this number, or waits to be.
    pub fn is_subscribed(&self, entry: &Arc<Entry>, link: &Outbox, subscription: Subscription) -> bool {
        let mut inner = entry.inner.lock();
        inner.topic.is_subscribed(link, subscription)
            || inner.waiting().is_some_and(|waiting| waiting.has(link, subscription))
    }

    /// The newest ring's version.
    pub fn ring_version(&self) -> u64 {
        self.ownership.ring_version()
    }

    /// All topics that are here in some way, in order.
    pub fn names(&self) -> Vec<Box<[u8]>> {
        let mut names: Vec<_> = self.all().iter().map(|entry| Box::from(&entry.name[..])).collect();
        names.sort();
        names
    }

    /// How many topics somebody waits for.
    pub fn waiting(&self) -> usize {
        self.waited.lock().len()
    }

    /// How many topics stand in the queue of those with a history.
    pub fn histories(&self) -> usize {
        self.histories.lock().len()
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether somebody began to wait for a topic since this was asked before: its holder should be asked.
    pub fn take_news(&self) -> bool {
        // Read first: this is asked after every batch, and there is hardly ever any.
        self.news.load(Ordering::Relaxed) && self.news.swap(false, Ordering::AcqRel)
    }

    /// Runs a rule under the lock of a topic, with whether the topic is here; if it is not, the rule lets its request
    /// wait. Creates the topic if the newest ring gives it to this server. `known` is looked at before the table is.
    fn with<T>(
        &self,
        known: Option<&Arc<Entry>>,
        topic: &[u8],
        asker: &Outbox,
        now: Instant,
        rule: impl FnOnce(&Arc<Entry>, &mut Inner, bool) -> T,
    ) -> Result<T, Refusal> {
        let mut known = known.filter(|entry| entry.name[..] == *topic);
        loop {
            let found;
            let entry = match known.take() {
                Some(entry) => entry,
                None => {
                    found = self.find_or_create(topic, now)?;
                    &found
                }
            };
            let mut inner = entry.inner.lock();
            if inner.dead {
                continue;
            }
            let is_here = self.is_here(entry, &mut inner, asker, now)?;
            if self.is_draining() {
                return Err(Refusal::Draining);
            }
            if !is_here && !inner.listed {
                inner.listed = true;
                self.waited.lock().push(Arc::clone(entry));
                self.news.store(true, Ordering::Release);
            }
            return Ok(rule(entry, &mut inner, is_here));
        }
    }

    /// Whether the topic can be served now; opens it if nobody else can hold it. Under its lock: an edit of the ring may
    /// have come between the look-up and now.
    fn is_here(
        &self,
        entry: &Arc<Entry>,
        inner: &mut Inner,
        asker: &Outbox,
        now: Instant,
    ) -> Result<bool, Refusal> {
        if let Stage::Holding = inner.stage {
            return Ok(true);
        }
        if !self.ownership.owns(&entry.name) {
            if let Stage::Given(_) = inner.stage {
                inner.shun(asker);
            }
            self.turn_away(entry, inner);
            return Err(Refusal::NotOwner);
        }
        if self.may_open(inner, &entry.name, Some(asker)) {
            self.open(entry, inner, now);
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether a topic that is not here lies nowhere else, as far as anybody can know (H2, H4). `asker` is the link of a
    /// request that does not wait yet.
    pub(super) fn may_open(&self, inner: &Inner, topic: &[u8], asker: Option<&Outbox>) -> bool {
        let Stage::Unopened(waiting) = &inner.stage else { return false };
        match self.ownership.standing(topic) {
            Standing::Free => true,
            Standing::Foreign | Standing::Starting => false,
            Standing::Asked(holders) => holders.iter().all(|holder| {
                let out_of_reach = || {
                    let askers = waiting.parked.iter().map(|parked| &parked.link).chain(asker);
                    let mut blind = askers.filter(|link| !link.sees(holder) || planted(Fault::IgnoreSees));
                    self.ownership.is_unseen(holder) && blind.next().is_some()
                };
                waiting.excused.contains(holder) || out_of_reach()
            }),
        }
    }

    /// A topic's new life begins here; what waited for it is run, in order.
    pub(super) fn open(&self, entry: &Arc<Entry>, inner: &mut Inner, now: Instant) {
        if let Standing::Asked(holders) = self.ownership.standing(&entry.name)
            && let Stage::Unopened(waiting) = &inner.stage
            && !holders.iter().all(|holder| waiting.excused.contains(holder))
        {
            self.metrics.handoffs_forced.inc();
        }
        inner.topic = Topic::new(random_epoch(), self.ownership.ring_version(), now);
        self.introduce_expected(entry, inner, now);
        self.serve(entry, inner, now);
    }

    /// From here on the topic is held; what waited for it is run, in order.
    pub(super) fn serve(&self, entry: &Arc<Entry>, inner: &mut Inner, now: Instant) {
        let mut parked = inner.waiting().map(|waiting| waiting.take()).unwrap_or_default();
        if planted(Fault::ShuffleParked) {
            parked.make_contiguous().reverse();
        }
        inner.stage = Stage::Holding;
        inner.shun_until(now + SHUNNED);
        for Parked { link, request } in parked {
            // What a link that ended has not had answered is its gateway's to send again (L2).
            if link.ending().is_some() {
                continue;
            }
            match request {
                Request::Subscribe(awaiting) => {
                    self.run_subscribe(entry, inner, &link, awaiting);
                }
                Request::Publish { gateway, publish, deadline } => {
                    self.run_publish(entry, inner, &link, gateway, &publish, deadline, now);
                }
            }
        }
        self.note_history(entry, inner);
        self.forget_later(entry, inner);
    }

    /// Nobody will be served here: what waits is sent away, to ask elsewhere.
    pub(super) fn turn_away(&self, entry: &Arc<Entry>, inner: &mut Inner) {
        let parked = inner.waiting().map(|waiting| waiting.take()).unwrap_or_default();
        for parked in parked {
            self.refuse_parked(parked, Refusal::NotOwner);
        }
        if let Stage::Unopened(_) = inner.stage {
            self.remove(entry, inner);
        }
    }

    pub(super) fn refuse_parked(&self, parked: Parked, reason: Refusal) {
        match parked.request {
            Request::Subscribe(awaiting) => {
                self.refuse_subscribe(&parked.link, awaiting.subscription, reason);
            }
            Request::Publish { publish, .. } => {
                self.refuse(&parked.link, publish.slot, publish.number, reason);
            }
        }
    }

    fn find_or_create(&self, topic: &[u8], now: Instant) -> Result<Arc<Entry>, Refusal> {
        if let Some(found) = self.find(topic) {
            return Ok(found);
        }
        if !self.ownership.owns(topic) {
            return Err(Refusal::NotOwner);
        }
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        if self.entries.len() >= self.limits.topics || self.memory.is_high() {
            return Err(Refusal::Overloaded);
        }
        Ok(self.create(topic, now))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the wrapper: no guard leaves the function")]
    pub(super) fn find(&self, topic: &[u8]) -> Option<Arc<Entry>> {
        self.entries.get(topic).map(|found| Arc::clone(&found.key().0))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the wrapper: no guard leaves the function")]
    pub(super) fn create(&self, topic: &[u8], now: Instant) -> Arc<Entry> {
        let inner = Inner::new(Topic::new(Epoch(1), 0, now));
        let entry = Arc::new(Entry { name: topic.into(), inner: Mutex::new(inner) });
        // Another link may have been faster; then its entry stands and ours is dropped.
        let slot = self.entries.entry(Key(Arc::clone(&entry))).or_insert(());
        Arc::clone(&slot.key().0)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the wrapper: no guard leaves the function")]
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.iter().map(|found| Arc::clone(&found.key().0)).collect()
    }

    pub(super) fn remove(&self, entry: &Arc<Entry>, inner: &mut Inner) {
        inner.dead = true;
        self.note_counted(entry, inner);
        self.account(inner.topic.history_bytes(), 0);
        inner.topic.drop_history();
        if inner.in_histories {
            self.histories.lock().note_gone();
        }
        // Only this very entry: a look-up that found it dead waits for its name to be free again.
        self.entries.remove_if(&entry.name[..], |key, ()| Arc::ptr_eq(&key.0, entry));
    }

    pub(super) fn forget_later(&self, entry: &Arc<Entry>, inner: &mut Inner) {
        if !inner.queued
            && inner.is_held()
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

    pub(super) fn bounds(&self, topic: &[u8]) -> Bounds {
        // Of the name as people know it, whatever its space: they have written the rules.
        let rule = self.rules.load().history(names::shown(topic).1);
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

    pub(super) fn account(&self, before: usize, after: usize) {
        if after > before {
            self.history.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.history.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    pub(super) fn note_history(&self, entry: &Arc<Entry>, inner: &mut Inner) {
        inner.fresh = true;
        if !inner.in_histories && inner.topic.history_bytes() > 0 {
            inner.in_histories = true;
            self.histories.lock().push(Arc::clone(entry));
        }
    }

    /// Takes histories away until all together are within their bound: those first that nobody has published to
    /// since the last time that they were asked. Whoever comes too late for one is told so.
    fn keep_history_bounded(&self) {
        while self.history.load(Ordering::Relaxed) > self.limits.history {
            // Not under the queue's lock: a topic's lock is always taken first.
            let oldest = self.histories.lock().pop();
            let Some(entry) = oldest else { return };
            let mut inner = entry.inner.lock();
            let bytes = inner.topic.history_bytes();
            if std::mem::take(&mut inner.fresh) && bytes > 0 {
                self.histories.lock().push(Arc::clone(&entry));
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

    fn refuse_subscribe(&self, link: &Outbox, subscription: Subscription, reason: Refusal) {
        self.metrics.subscribe_refused(reason);
        link.push(FromTopicServer::SubscribeRefused { subscription, reason });
    }

    pub(super) fn refuse(&self, link: &Outbox, slot: u32, number: u64, reason: Refusal) {
        self.metrics.refused(reason);
        link.push(FromTopicServer::PublishRefused { slot, number, reason });
    }
}

pub(super) fn random_epoch() -> Epoch {
    Epoch(fastrand::u64(1..))
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
