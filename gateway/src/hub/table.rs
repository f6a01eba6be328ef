//! All topics of this gateway: finds them by name for clients and by slot for links, runs their rules under their
//! own locks, and carries the effects out in the same step. No map guard leaves this file.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_process::due::DueQueue;
use campanile_process::memory::Pressure;
use campanile_proto::ids::PATTERN_BYTES;
use campanile_proto::{FromTopicServer, Message, Subscription};
use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};

use crate::client::direct::Touched;
use crate::client::outbox::{ChannelId, Item, Outbox, Tag};
use crate::hub::codec::Codec;
use crate::hub::everywhere::Everywhere;
use crate::hub::fanout::fan_out;
use crate::hub::publish::{Accepted, Origin, Pending, Post, Room};
use crate::hub::queries::Query;
use crate::hub::reason::Reason;
use crate::hub::slots::Slots;
use crate::hub::state::{
    Counted, Delivery, Effect, Leaving, Life, LinkView, Listener, MemberId, Routes as _, Start, Topic,
};
use crate::metrics::Metrics;
use crate::upstream::Links;

/// The gateway's topics.
#[derive(Debug)]
pub struct Hub {
    names: DashMap<Key, ()>,
    slots: RwLock<Slots<Cell>>,
    links: Arc<Links>,
    metrics: Arc<Metrics>,
    /// How long joins and publishes wait for their owner.
    deadline: Duration,
    /// While it is high, nothing new is taken.
    memory: Pressure,
    /// Topics to wake, each with the time that it asked for.
    due: DueQueue<(Instant, Arc<Cell>)>,
    /// Patterns and queries.
    everywhere: Everywhere,
    /// Numbers for publishes: they grow per topic because they grow for all, and are drawn under the topic's lock.
    publishes: AtomicU64,
    listeners: AtomicU64,
}

/// One topic of the hub.
#[derive(Debug)]
pub struct Cell {
    name: Bytes,
    slot: u32,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    topic: Topic,
    /// No longer in the hub: whoever finds it so looks up again.
    dead: bool,
}

#[derive(Debug)]
struct Key(Arc<Cell>);

/// A channel's place at a topic, from its join until its leave.
#[derive(Clone, Debug)]
pub struct Joined {
    cell: Arc<Cell>,
    listener: u64,
    channel: ChannelId,
}

/// A listener's place at a pattern.
#[derive(Clone, Copy, Debug)]
pub struct JoinedPattern {
    number: u32,
    listener: u64,
    channel: ChannelId,
}

impl Hub {
    /// A hub without topics.
    pub fn new(links: Arc<Links>, metrics: Arc<Metrics>, deadline: Duration) -> Self {
        let everywhere = Everywhere::new(metrics.patterns.clone());
        Self {
            names: DashMap::new(),
            slots: RwLock::default(),
            links,
            metrics,
            deadline,
            memory: Pressure::default(),
            due: DueQueue::default(),
            everywhere,
            publishes: AtomicU64::new(0),
            listeners: AtomicU64::new(0),
        }
    }

    /// The same, taking neither publishes nor topics that it does not have while memory is short.
    pub fn heeding(self, memory: Pressure) -> Self {
        Self { memory, ..self }
    }

    /// Listens to a topic. The channel is told through its client's outbox when it does, and gets every message
    /// that is acknowledged after that; or why it does not. `None` if it will not for want of memory: then nothing is
    /// kept of it.
    pub fn join(
        &self,
        topic: &[u8],
        channel: ChannelId,
        client: &Outbox,
        codec: &'static dyn Codec,
        tag: Arc<Tag>,
        start: Start,
    ) -> Option<Joined> {
        let counts = false;
        self.listen(topic, Listener { id: 0, channel, client: client.clone(), codec, tag, counts }, start)
    }

    /// The same for a listener that counts as a receiver: it is told that it listens when the owner counts it.
    pub fn join_counted(
        &self,
        topic: &[u8],
        channel: ChannelId,
        client: &Outbox,
        codec: &'static dyn Codec,
        tag: Arc<Tag>,
    ) -> Option<Joined> {
        let listener = Listener { id: 0, channel, client: client.clone(), codec, tag, counts: true };
        self.listen(topic, listener, Start::Live)
    }

    fn listen(&self, topic: &[u8], listener: Listener, start: Start) -> Option<Joined> {
        if self.memory.is_high() && !self.names.contains_key(topic) {
            let Listener { channel, client, .. } = listener;
            client.push(Item::JoinFailed { channel, reason: Reason::Overloaded });
            return None;
        }
        let now = Instant::now();
        let id = self.listeners.fetch_add(1, Ordering::Relaxed);
        let listener = Listener { id, ..listener };
        let channel = listener.channel;
        let deadline = now + self.deadline;
        let joined = self.run(topic, now, |cell, topic, effects| {
            topic.join(listener, start, deadline, now, &*self.links, effects);
            Joined { cell: Arc::clone(cell), listener: id, channel }
        });
        Some(joined)
    }

    /// Gives up a channel's place.
    pub fn leave(&self, joined: &Joined) {
        let mut inner = joined.cell.inner.lock();
        if !inner.dead {
            let mut effects = Vec::new();
            inner.topic.leave(joined.listener, Instant::now(), &mut effects);
            self.carry_out(&joined.cell, effects);
        }
    }

    /// The same for a listener that counts: its client is told ([`Item::Left`]) when the owner counts it no more, or at once
    /// if nobody does, and at the deadline at the latest.
    pub fn leave_told(&self, joined: &Joined, client: &Outbox) {
        let (id, channel) = (joined.listener, joined.channel);
        let mut inner = joined.cell.inner.lock();
        if inner.dead {
            return client.push(Item::Left { channel });
        }
        let now = Instant::now();
        let leaving = Leaving { id, client: client.clone(), channel, deadline: now + self.deadline };
        let mut effects = Vec::new();
        inner.topic.leave_told(leaving, now, &mut effects);
        self.carry_out(&joined.cell, effects);
    }

    /// Listens to all topics of the plain space whose shown names match a pattern of at most
    /// [`PATTERN_BYTES`]. The channel is told ([`Item::PatternJoined`]) when every topic
    /// server knows of it, and gets every message that is published from then on; or why it does not, at the deadline
    /// at the latest. `None` if it will not for want of memory, or because the pattern is longer: then nothing is kept of it.
    pub fn join_pattern(
        &self,
        pattern: &[u8],
        channel: ChannelId,
        client: &Outbox,
        codec: &'static dyn Codec,
        tag: Arc<Tag>,
    ) -> Option<JoinedPattern> {
        if self.memory.is_high() || pattern.len() > PATTERN_BYTES {
            client.push(Item::JoinFailed { channel, reason: Reason::Overloaded });
            return None;
        }
        let id = self.listeners.fetch_add(1, Ordering::Relaxed);
        let listener = Listener { id, channel, client: client.clone(), codec, tag, counts: true };
        let deadline = Instant::now() + self.deadline;
        let number = self.everywhere.join(pattern, listener, deadline, &self.links);
        Some(JoinedPattern { number, listener: id, channel })
    }

    /// Gives up a listener's place at a pattern.
    pub fn leave_pattern(&self, joined: &JoinedPattern) {
        self.everywhere.leave(joined.number, joined.listener, None, &self.links);
    }

    /// The same; its client is told ([`Item::Left`]) when no topic server counts it any more that can be reached, and at the
    /// deadline at the latest.
    pub fn leave_pattern_told(&self, joined: &JoinedPattern, client: &Outbox) {
        let JoinedPattern { number, listener: id, channel } = *joined;
        let deadline = Instant::now() + self.deadline;
        let leaving = Leaving { id, client: client.clone(), channel, deadline };
        self.everywhere.leave(number, id, Some(leaving), &self.links);
    }

    /// Asks all topic servers. The client is told exactly once ([`Item::Told`]), at the deadline at the latest.
    pub fn ask(&self, query: Query, client: &Outbox, token: u32) {
        let deadline = Instant::now() + self.deadline;
        self.everywhere.ask(query, (client.clone(), token), deadline, &self.links);
    }

    /// A client has taken a step of what its channel missed.
    pub fn step(&self, joined: &Joined) {
        let mut inner = joined.cell.inner.lock();
        if !inner.dead {
            let mut effects = Vec::new();
            inner.topic.step(joined.listener, &mut effects);
            self.carry_out(&joined.cell, effects);
        }
    }

    /// Publishes to a topic. The origin is answered in any case, at the deadline at the latest; if there is no
    /// room, as overloaded already.
    pub fn publish(&self, joined: &Joined, post: Post) -> Room {
        let now = Instant::now();
        self.run_in(&joined.cell, now, |cell, topic, effects| {
            self.publish_in(cell, topic, post, now, effects)
        })
    }

    /// The same for a topic that nobody need have joined.
    pub fn publish_to(&self, topic: &[u8], post: Post) -> Room {
        if self.memory.is_high() && !self.names.contains_key(topic) {
            return self.overloaded(&post.origin);
        }
        let now = Instant::now();
        self.run(topic, now, |cell, topic, effects| self.publish_in(cell, topic, post, now, effects))
    }

    fn publish_in(
        &self,
        cell: &Arc<Cell>,
        topic: &mut Topic,
        post: Post,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Room {
        let room = self.links.room(topic.member());
        if !topic.takes_publish() || self.memory.is_high() || room == Room::None {
            return self.overloaded(&post.origin);
        }
        let number = self.publishes.fetch_add(1, Ordering::Relaxed) + 1;
        let budget = self.links.budget(topic.member());
        let deadline = now + self.deadline;
        match Pending::queue(cell.slot, cell.name.clone(), number, deadline, post, &budget) {
            Ok(pending) => {
                topic.publish(pending, now, &*self.links, effects);
                room
            }
            Err(origin) => self.overloaded(&origin),
        }
    }

    fn overloaded(&self, origin: &Origin) -> Room {
        self.metrics.publish_refused(Reason::Overloaded);
        origin.answer(Err(Reason::Overloaded));
        Room::None
    }

    /// A topic server has said something about a topic. Messages are queued for all who listen; `touched` writes them.
    pub fn receive(&self, link: LinkView, item: FromTopicServer, touched: &mut Touched) {
        let now = Instant::now();
        match item {
            FromTopicServer::Deliver { subscription, offset, message } => {
                self.metrics.deliveries_in.inc();
                self.deliver(link, subscription, offset, &message, touched);
            }
            FromTopicServer::Match(found) => {
                self.metrics.deliveries_in.inc();
                if let Some(subscription) = found.subscription {
                    self.deliver(link, subscription, found.offset, &found.message, touched);
                }
                let given = self.everywhere.matched(found, link, touched, &self.links);
                self.metrics.deliveries_out.inc_by(given);
            }
            FromTopicServer::Published { slot, number, epoch, offset, receivers } => {
                let accepted = Accepted { epoch, offset, receivers };
                self.at(slot, |_, topic, effects| {
                    topic.published(number, accepted, link, now, &*self.links, effects);
                });
            }
            FromTopicServer::PublishRefused { slot, number, reason } => {
                self.at(slot, |_, topic, effects| {
                    topic.publish_refused(number, reason, link, now, &*self.links, effects);
                });
            }
            FromTopicServer::Subscribed { subscription, epoch, offset } => {
                self.at_subscription(subscription, |topic, effects| {
                    topic.subscribed(subscription, epoch, offset, link, now, effects);
                });
            }
            FromTopicServer::Counted { subscription, change } => {
                self.at_subscription(subscription, |topic, effects| {
                    topic.counted(subscription, change, link, now, effects);
                });
            }
            FromTopicServer::SubscribeRefused { subscription, reason } => {
                self.at_subscription(subscription, |topic, effects| {
                    topic.subscribe_refused(subscription, reason, link, now, &*self.links, effects);
                });
            }
            FromTopicServer::Moved { subscription, to, .. } => {
                self.at_subscription(subscription, |topic, effects| {
                    topic.moved(subscription, to, link, now, &*self.links, effects);
                });
            }
            FromTopicServer::Missed { subscription, epoch, from, found } => {
                self.at_subscription(subscription, |topic, effects| {
                    topic.missed(subscription, epoch, from, found, link, effects);
                });
            }
            FromTopicServer::PatternStands { number, change } => {
                self.everywhere.stands(number, change, link, &self.links);
            }
            FromTopicServer::PatternsMoved { topic, epoch, offset } => {
                let given = self.everywhere.moved(topic, (epoch, offset), link, touched, &self.links);
                self.metrics.deliveries_out.inc_by(given);
            }
            FromTopicServer::PatternsLost => self.everywhere.lost(&self.links),
            FromTopicServer::QueryAnswer(answer) => self.everywhere.answered(answer, link, &self.links),
            // The link's own affairs.
            FromTopicServer::Welcome(_)
            | FromTopicServer::Draining
            | FromTopicServer::Rings(_)
            | FromTopicServer::Ping(_)
            | FromTopicServer::Pong(_) => {}
        }
    }

    fn deliver(
        &self,
        link: LinkView,
        subscription: Subscription,
        offset: u64,
        message: &Message,
        touched: &mut Touched,
    ) {
        self.at(subscription.slot, |cell, topic, effects| {
            if topic.deliver(subscription, offset, message, link, effects) == Delivery::FanOut
                && let Some(position) = topic.position()
            {
                fan_out(&cell.name, topic.listeners(), message, position, touched);
                self.metrics.deliveries_out.inc_by(topic.listeners().len() as u64);
            }
        });
    }

    /// A topic server has named the ring of this version, which may be newer than this gateway's: call it before what came with
    /// it is received.
    pub(crate) fn heard_of_ring(&self, version: u64) {
        self.everywhere.heard_of_ring(version);
    }

    /// The links or the ring have changed: every topic goes where it belongs now.
    pub fn settle(&self) {
        self.everywhere.settle(&self.links);
        let now = Instant::now();
        let cells = self.slots.read().all();
        for cell in cells {
            let mut inner = cell.inner.lock();
            if !inner.dead {
                let mut effects = Vec::new();
                inner.topic.settle(now, &*self.links, &mut effects);
                self.carry_out(&cell, effects);
            }
        }
    }

    /// Whether the link to this member is of use: requests of a topic go there, or some topic waits for its
    /// subscription, and this member may be who held it (H4).
    pub fn uses(&self, member: MemberId) -> bool {
        if self.everywhere.uses(member) {
            return true;
        }
        let cells = self.slots.read().all();
        cells.iter().any(|cell| {
            let inner = cell.inner.lock();
            inner.topic.member() == member || inner.topic.is_waiting()
        })
    }

    /// Waits until a topic is due, or until `last`. For one task.
    pub(crate) async fn wait_for_due(&self, last: Instant) {
        self.due.wait(last).await;
    }

    /// Wakes the topics that are due.
    pub fn tick(&self, now: Instant) {
        self.everywhere.tick(now, &self.links);
        while let Some((at, cell)) = self.due.pop(now) {
            let mut inner = cell.inner.lock();
            if inner.dead {
                continue;
            }
            let mut effects = Vec::new();
            let life = inner.topic.wake(at, now, &*self.links, &mut effects);
            self.carry_out(&cell, effects);
            if life == Life::Over {
                inner.dead = true;
                self.names.remove_if(&cell.name[..], |key, ()| Arc::ptr_eq(&key.0, &cell));
                self.slots.write().remove(cell.slot, inner.topic.generation());
            }
        }
        self.metrics.topics.set(self.slots.read().len() as i64);
    }

    /// Runs a rule of the topic that a slot stands for, if it still does.
    fn at(&self, slot: u32, rule: impl FnOnce(&Arc<Cell>, &mut Topic, &mut Vec<Effect>)) {
        let found = self.slots.read().get(slot).cloned();
        let Some(cell) = found else {
            self.metrics.stale.inc();
            return;
        };
        let mut inner = cell.inner.lock();
        if !inner.dead {
            let mut effects = Vec::new();
            rule(&cell, &mut inner.topic, &mut effects);
            self.carry_out(&cell, effects);
        }
    }

    fn at_subscription(&self, subscription: Subscription, rule: impl FnOnce(&mut Topic, &mut Vec<Effect>)) {
        self.at(subscription.slot, |_, topic, effects| rule(topic, effects));
    }

    /// Runs a rule of the topic of this name; makes the topic if need be.
    fn run<T>(
        &self,
        name: &[u8],
        now: Instant,
        rule: impl FnOnce(&Arc<Cell>, &mut Topic, &mut Vec<Effect>) -> T,
    ) -> T {
        loop {
            let cell = self.find_or_create(name, now);
            let mut inner = cell.inner.lock();
            if inner.dead {
                continue;
            }
            let mut effects = Vec::new();
            let result = rule(&cell, &mut inner.topic, &mut effects);
            self.carry_out(&cell, effects);
            return result;
        }
    }

    /// The same for a cell at hand, which a joined channel keeps alive; found anew should it have died.
    fn run_in<T>(
        &self,
        cell: &Arc<Cell>,
        now: Instant,
        rule: impl FnOnce(&Arc<Cell>, &mut Topic, &mut Vec<Effect>) -> T,
    ) -> T {
        {
            let mut inner = cell.inner.lock();
            if !inner.dead {
                let mut effects = Vec::new();
                let result = rule(cell, &mut inner.topic, &mut effects);
                self.carry_out(cell, effects);
                return result;
            }
        }
        self.run(&cell.name, now, rule)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the wrapper: no guard leaves the function")]
    fn find_or_create(&self, name: &[u8], now: Instant) -> Arc<Cell> {
        if let Some(found) = self.names.get(name) {
            return Arc::clone(&found.key().0);
        }
        let member = self.links.owner(name);
        // Copied: a slice of the client's frame would keep the whole frame.
        let name = Bytes::copy_from_slice(name);
        let made = self.slots.write().insert(|slot, generation| {
            let topic = Topic::new(name.clone(), slot, generation, member, now);
            Arc::new(Cell { name, slot, inner: Mutex::new(Inner { topic, dead: false }) })
        });
        let kept = {
            let entry = self.names.entry(Key(Arc::clone(&made))).or_insert(());
            Arc::clone(&entry.key().0)
        };
        if !Arc::ptr_eq(&kept, &made) {
            // Another session was faster.
            let generation = made.inner.lock().topic.generation();
            self.slots.write().remove(made.slot, generation);
        }
        kept
    }

    /// Under the topic's lock, in order.
    fn carry_out(&self, cell: &Arc<Cell>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { member, link, request } => self.links.send(member, link, request),
                Effect::Tell(client, item) => client.push(item),
                Effect::Answer(pending, result) => {
                    self.metrics.answered(&result);
                    pending.answer(result);
                }
                Effect::Wake(at) => self.due.push(at, (at, Arc::clone(cell))),
                Effect::Count(counted) => self.count(counted),
            }
        }
    }

    fn count(&self, counted: Counted) {
        match counted {
            Counted::Missed(messages) => self.metrics.missed.inc_by(messages),
            Counted::Recovered => self.metrics.recovered.inc(),
            Counted::NewEpoch => self.metrics.new_epochs.inc(),
            Counted::Repeated => self.metrics.repeated.inc(),
            Counted::Stale => self.metrics.stale.inc(),
            Counted::Jump => self.metrics.jumps.inc(),
            Counted::Moved => self.metrics.moved.inc(),
        };
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
        self.0.name[..].hash(state);
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
