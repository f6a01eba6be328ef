//! A Redis connection's session: commands in, the rules, and their effects carried out on the hub and the client.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use campanile_process::token_bucket::{Rate, TokenBucket};
use campanile_proto::{Encoding, Message};
use campanile_ring_config::TopicRules;

use crate::client::accept::Clients;
use crate::client::close::Ending;
use crate::client::direct::WriteEvent;
use crate::client::outbox::{ChannelId, Item, Outbox};
use crate::client::session::Front;
use crate::client::wire::Wire;
use crate::hub::publish::{Origin, Post, Room};
use crate::hub::reason::Reason;
use crate::hub::{Hub, Joined, JoinedPattern};
use crate::metrics::Metrics;
use crate::phoenix::publish::is_payload;
use crate::redis::codec;
use crate::redis::command::Kind;
use crate::redis::connection::{Around, Connection, Effect, Outcome};
use crate::redis::decode::{Command, Fault};
use crate::redis::info::Facts;
use crate::redis::reply::Version;

/// The event of a message whose publisher gave none.
const EVENT: Bytes = Bytes::from_static(b"message");

/// A payload of up to so many bytes is copied: a slice would keep all that was read with it until the owner has answered.
const COPY_TO: usize = 8 * 1024;

/// Replies are queued in pieces of about so many bytes.
const REPLIES: usize = 16 * 1024;

/// What all Redis sessions of a gateway share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Who listens to what.
    pub(crate) hub: Arc<Hub>,
    /// Which channels may be used; replaced when the config file changes.
    pub(crate) rules: Arc<ArcSwap<TopicRules>>,
    /// The gateway's numbers.
    pub(crate) metrics: Arc<Metrics>,
    /// The connections of this front.
    pub(crate) clients: Arc<Clients>,
    /// How often a session may publish; `None` for no bound.
    pub(crate) publishes: Option<Rate>,
    /// Subscriptions that a connection may have.
    pub(crate) subscriptions: usize,
    /// Bytes that wait for a client, at most.
    pub(crate) outbox: usize,
    /// What `INFO` and `CONFIG` say, but for what changes.
    pub(crate) facts: Facts,
    /// When the front began.
    pub(crate) start: Instant,
    /// The number of the last connection.
    pub(crate) last_id: AtomicU64,
}

/// A subscription's place in the hub.
#[derive(Debug)]
enum Place {
    Topic(Joined),
    Pattern(JoinedPattern),
}

/// One client's session.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    around: Surroundings,
    outbox: Outbox,
    version: Version,
    places: HashMap<u32, Place>,
    /// Replies that have not been queued yet, because more may follow at once.
    replies: Vec<u8>,
    /// Messages of subscriptions whose replies wait for others.
    held: VecDeque<Item>,
    held_bytes: usize,
    /// What the rules say, kept for the next command.
    outcome: Outcome,
    /// What publishes have met, of which the client's pace has not been told yet.
    room: Room,
}

#[derive(Debug)]
struct Surroundings {
    shared: Arc<Shared>,
    bucket: TokenBucket,
}

impl Around for Surroundings {
    fn is_open(&self, name: &[u8]) -> bool {
        self.shared.rules.load().is_open(name)
    }

    fn may_publish(&mut self) -> bool {
        self.shared.publishes.is_none_or(|rate| self.bucket.take(rate, Instant::now()).is_ok())
    }

    fn facts(&self) -> Facts {
        let uptime = self.shared.start.elapsed().as_secs();
        Facts { uptime, connections: self.shared.clients.len(), ..self.shared.facts }
    }
}

impl Session {
    /// A session without subscriptions.
    pub(crate) fn new(shared: Arc<Shared>, outbox: Outbox) -> Self {
        let id = shared.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        Self {
            connection: Connection::new(id, shared.subscriptions),
            around: Surroundings { shared, bucket: TokenBucket::default() },
            outbox,
            version: Version::default(),
            places: HashMap::new(),
            replies: Vec::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            outcome: Outcome::default(),
            room: Room::Ample,
        }
    }

    /// Runs rules, and what they say.
    fn run(
        &mut self,
        rules: impl FnOnce(&mut Connection, &mut Surroundings, &mut Outcome),
        wire: Option<&mut Wire>,
    ) -> Option<Ending> {
        let mut outcome = std::mem::take(&mut self.outcome);
        rules(&mut self.connection, &mut self.around, &mut outcome);
        if !outcome.effects.is_empty() {
            // Answers to what follows come behind the replies so far.
            self.queue_replies();
        }
        for effect in outcome.effects.drain(..) {
            self.carry_out(effect);
        }
        match wire {
            Some(wire) => wire.copy(&outcome.reply),
            None => self.replies.extend_from_slice(&outcome.reply),
        }
        if self.replies.len() > REPLIES || outcome.end.is_some() {
            self.queue_replies();
        }
        outcome.reply.clear();
        let end = outcome.end.take();
        if outcome.reply.capacity() <= REPLIES {
            self.outcome = outcome;
        }
        end
    }

    /// The same for an item whose turn has come: its replies are written in its place, and what has waited for them goes
    /// on.
    fn run_here(
        &mut self,
        rules: impl FnOnce(&mut Connection, &mut Outcome),
        wire: &mut Wire,
    ) -> Result<(), Ending> {
        let before = wire.len();
        if let Some(end) = self.run(|connection, _, out| rules(connection, out), Some(wire)) {
            return Err(end);
        }
        if wire.len() > before {
            self.write_held(wire);
        }
        let mut goes_on = true;
        while goes_on {
            let rules = |connection: &mut Connection, around: &mut Surroundings, out: &mut Outcome| {
                goes_on = connection.go_on(around, out);
            };
            if let Some(end) = self.run(rules, None) {
                self.outbox.end(end);
            }
        }
        Ok(())
    }

    fn queue_replies(&mut self) {
        if !self.replies.is_empty() {
            self.outbox.push(Item::Frame(Bytes::copy_from_slice(&self.replies)));
            self.replies.clear();
            self.replies.shrink_to(REPLIES);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        let shared = &self.around.shared;
        match effect {
            Effect::Join { number, kind, topic, tag } => {
                let channel = ChannelId(number);
                let place = if kind == Kind::Pattern {
                    let joined = shared.hub.join_pattern(&topic, channel, &self.outbox, codec::codec(), tag);
                    joined.map(Place::Pattern)
                } else {
                    let joined = shared.hub.join_counted(&topic, channel, &self.outbox, codec::codec(), tag);
                    joined.map(Place::Topic)
                };
                if let Some(place) = place {
                    self.places.insert(number, place);
                    shared.metrics.redis_subscriptions.inc();
                }
            }
            Effect::Leave { number, told } => {
                if let Some(place) = self.places.remove(&number) {
                    leave(shared, &place, told.then_some(&self.outbox));
                }
            }
            Effect::Publish { token, topic, payload } => {
                let payload =
                    if payload.len() > COPY_TO { payload } else { Bytes::copy_from_slice(&payload) };
                let encoding = if is_payload(&payload) { Encoding::Json } else { Encoding::Binary };
                let message = Message { encoding, event: EVENT, payload };
                let origin = Origin { outbox: self.outbox.clone(), token };
                let met = shared.hub.publish_to(&topic, Post { message, key: None, origin });
                self.room = self.room.max(met);
            }
            Effect::Ask { token, query } => shared.hub.ask(query, &self.outbox, token),
            Effect::Turn { token } => self.outbox.push(Item::Turn(token)),
            Effect::Speak(version) => {
                self.version = version;
                self.outbox.write_events_as(codec::write_event(version));
            }
            Effect::Refused(reason) => shared.metrics.publish_refused(reason),
            Effect::NotJoined(reason) => shared.metrics.join_refused(reason),
        }
    }

    /// Keeps a message until the reply to its subscription is written; no more of them than the outbox would.
    fn hold(&mut self, item: Item) -> Result<(), Ending> {
        self.held_bytes += item.cost();
        self.held.push_back(item);
        if self.held_bytes > self.around.shared.outbox { Err(Ending::Slow) } else { Ok(()) }
    }

    fn write_held(&mut self, wire: &mut Wire) {
        if self.held.is_empty() {
            return;
        }
        self.held_bytes = 0;
        for item in std::mem::take(&mut self.held) {
            match item {
                Item::Event { ref tag, .. } if self.connection.holds(tag) => {
                    self.held_bytes += item.cost();
                    self.held.push_back(item);
                }
                item => self.write_event(item, wire),
            }
        }
    }

    fn write_event(&self, item: Item, wire: &mut Wire) {
        let write = codec::write_event(self.version);
        match item {
            Item::Event { tag, encoding, body } => write(&tag, encoding, &body, wire),
            Item::Droppable { tag, event, .. } => write(&tag, event.encoding, &event.body, wire),
            _ => {}
        }
    }
}

impl Front for Session {
    type Received = Result<Command, Fault>;

    fn receive(&mut self, received: Self::Received) -> Result<(), Ending> {
        let rules = |connection: &mut Connection, around: &mut Surroundings, out: &mut Outcome| {
            connection.receive(received, around, out);
        };
        if let Some(end) = self.run(rules, None) {
            // Behind all that is queued; nothing more is received.
            self.outbox.end(end);
        }
        Ok(())
    }

    fn may_receive(&self) -> bool {
        self.connection.may_receive()
    }

    fn caught_up(&mut self) {
        self.queue_replies();
    }

    fn may_be_passed(&self) -> bool {
        !self.connection.may_hold()
    }

    fn direct(&self) -> Option<WriteEvent> {
        Some(codec::write_event(self.version))
    }

    fn item(&mut self, item: Item, wire: &mut Wire) -> Result<(), Ending> {
        match item {
            Item::Event { ref tag, .. } if self.connection.holds(tag) => self.hold(item)?,
            Item::Event { .. } | Item::Droppable { .. } => self.write_event(item, wire),
            Item::Frame(bytes) => wire.shared(&[], &bytes),
            Item::Answer { token, result } => {
                if result == Err(Reason::Overloaded) {
                    self.room = Room::None;
                }
                let result = result.map(|accepted| accepted.receivers.into());
                self.run_here(|connection, out| connection.answered(token, result, out), wire)?;
            }
            Item::Told { token, result } => {
                let result = result.map(|told| *told);
                self.run_here(|connection, out| connection.told(token, result, out), wire)?;
            }
            Item::Joined { channel, .. } | Item::PatternJoined { channel } => {
                self.run_here(|connection, out| connection.joined(channel.0, out), wire)?;
            }
            // Clients subscribe anew by themselves when they come back. An error in the middle of the replies of one command
            // would put many of them out of step.
            Item::JoinFailed { reason, .. } => {
                self.around.shared.metrics.join_refused(reason);
                return Err(Ending::Unreachable);
            }
            Item::Step { channel } => {
                if let Some(Place::Topic(joined)) = self.places.get(&channel.0) {
                    self.around.shared.hub.step(joined);
                }
            }
            // There is no message that would say so, and a closed connection says it to every client.
            Item::Lost { channel, .. } | Item::Dropped { channel, .. } | Item::PatternLost { channel } => {
                if self.places.contains_key(&channel.0) {
                    return Err(Ending::Lost);
                }
            }
            Item::Left { .. } => self.run_here(Connection::left, wire)?,
            Item::Turn(token) => self.run_here(|connection, out| connection.turn(token, out), wire)?,
        }
        Ok(())
    }

    fn room(&mut self) -> Room {
        std::mem::take(&mut self.room)
    }

    fn ended(&mut self) {
        for place in std::mem::take(&mut self.places).into_values() {
            leave(&self.around.shared, &place, None);
        }
    }
}

/// Ends a subscription. A client that is given is told when nobody counts it any more.
fn leave(shared: &Shared, place: &Place, told: Option<&Outbox>) {
    match (place, told) {
        (Place::Topic(joined), Some(client)) => shared.hub.leave_told(joined, client),
        (Place::Topic(joined), None) => shared.hub.leave(joined),
        (Place::Pattern(joined), Some(client)) => shared.hub.leave_pattern_told(joined, client),
        (Place::Pattern(joined), None) => shared.hub.leave_pattern(joined),
    }
    shared.metrics.redis_subscriptions.dec();
}
