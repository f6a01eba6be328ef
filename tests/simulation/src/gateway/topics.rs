//! The topics of a gateway: who listens, what is published, and what topic servers say of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_gateway::client::direct::Touched;
use campanile_gateway::client::outbox::{ChannelId, Outbox, Tag};
use campanile_gateway::hub::codec::Codec;
use campanile_gateway::hub::fanout::fan_out;
use campanile_gateway::hub::publish::{Accepted, Origin, Pending, Post};
use campanile_gateway::hub::reason::Reason;
use campanile_gateway::hub::state::{Delivery, Effect, Life, Listener, MemberId, Routes, Start, Topic};
use campanile_proto::{FromGateway, FromTopicServer, Message};

use super::Gateway;
use super::upstream::{Entry, Map, State};

/// How long joins and publishes wait for their owner.
const DEADLINE: Duration = Duration::from_secs(5);

/// How events look to simulated clients: offset and payload.
#[derive(Debug)]
pub(crate) struct Plain;

impl Codec for Plain {
    fn index(&self) -> usize {
        0
    }

    fn encode(&self, _: &[u8], message: &Message, offset: u64) -> Bytes {
        let mut bytes = Vec::with_capacity(8 + message.payload.len());
        bytes.extend_from_slice(&offset.to_be_bytes());
        bytes.extend_from_slice(&message.payload);
        bytes.into()
    }
}

#[derive(Debug)]
pub(super) struct Cell {
    pub(super) name: Bytes,
    pub(super) slot: u32,
    pub(super) topic: Topic,
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) cell: Option<u64>,
}

/// A channel's place at a topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined {
    pub(super) cell: u64,
    pub(super) listener: u64,
}

impl Gateway {
    pub(crate) fn settle(&mut self, now: Instant) {
        let cells: Vec<u64> = self.cells.keys().copied().collect();
        for cell in cells {
            self.run(cell, |topic, routes, effects| topic.settle(now, routes, effects));
        }
    }

    /// Wakes the topics that are due.
    pub(crate) fn tick(&mut self, now: Instant) {
        while let Some((at, cell)) = self.due.pop(now) {
            let life = self.run(cell, |topic, routes, effects| topic.wake(at, now, routes, effects));
            if life == Some(Life::Over)
                && let Some(over) = self.cells.remove(&cell)
            {
                self.names.remove(&over.name);
                self.slots[over.slot as usize] = Slot { generation: over.topic.generation(), cell: None };
            }
        }
    }

    pub(crate) fn join(
        &mut self,
        name: &Bytes,
        channel: u32,
        client: &Outbox,
        start: Start,
        now: Instant,
    ) -> Joined {
        let cell = self.find_or_create(name, now);
        self.listeners += 1;
        let id = self.listeners;
        let tag = Tag::new(&channel.to_be_bytes(), &[]);
        // Every other one counts as a receiver.
        let counts = id.is_multiple_of(2);
        let listener =
            Listener { id, channel: ChannelId(channel), client: client.clone(), codec: &Plain, tag, counts };
        let deadline = now + DEADLINE;
        self.run(cell, |topic, routes, effects| topic.join(listener, start, deadline, now, routes, effects));
        Joined { cell, listener: id }
    }

    pub(crate) fn leave(&mut self, joined: Joined, now: Instant) {
        self.run(joined.cell, |topic, _, effects| topic.leave(joined.listener, now, effects));
    }

    pub(crate) fn step(&mut self, joined: Joined) {
        self.run(joined.cell, |topic, _, effects| topic.step(joined.listener, effects));
    }

    /// Publishes. Returns the number under which it travels, if it does.
    pub(crate) fn publish(&mut self, name: &Bytes, post: Post, now: Instant) -> Option<u64> {
        let cell = self.find_or_create(name, now);
        let own = &self.cells[&cell];
        let overloaded = |origin: &Origin| origin.answer(Err(Reason::Overloaded));
        if !own.topic.takes_publish() {
            overloaded(&post.origin);
            return None;
        }
        self.numbers += 1;
        let number = self.numbers;
        let budget = &self.routes.upstreams[own.topic.member().0 as usize].budget;
        match Pending::queue(own.slot, name.clone(), number, now + DEADLINE, post, budget) {
            Ok(pending) => {
                self.run(cell, |topic, routes, effects| topic.publish(pending, now, routes, effects));
                Some(number)
            }
            Err(origin) => {
                overloaded(&origin);
                None
            }
        }
    }

    /// A topic server has said something about a topic.
    pub(crate) fn receive(&mut self, upstream: usize, item: FromTopicServer, now: Instant) {
        let member = MemberId(upstream as u32);
        let link = self.routes.view(member);
        match item {
            FromTopicServer::Deliver { subscription, offset, message } => {
                self.at(subscription.slot, |topic, name, _, effects| {
                    if topic.deliver(subscription, offset, &message, link, effects) == Delivery::FanOut
                        && let Some(position) = topic.position()
                    {
                        fan_out(name, topic.listeners(), &message, position, &mut Touched::default());
                    }
                });
            }
            FromTopicServer::Published { slot, number, epoch, offset, receivers } => {
                self.at(slot, |topic, _, routes, effects| {
                    topic.published(
                        number,
                        Accepted { epoch, offset, receivers },
                        link,
                        now,
                        routes,
                        effects,
                    );
                });
            }
            FromTopicServer::PublishRefused { slot, number, reason } => {
                self.at(slot, |topic, _, routes, effects| {
                    topic.publish_refused(number, reason, link, now, routes, effects);
                });
            }
            FromTopicServer::Subscribed { subscription, epoch, offset } => {
                self.at(subscription.slot, |topic, _, _, effects| {
                    topic.subscribed(subscription, epoch, offset, link, now, effects);
                });
            }
            FromTopicServer::Counted { subscription, change } => {
                self.at(subscription.slot, |topic, _, _, effects| {
                    topic.counted(subscription, change, link, now, effects);
                });
            }
            FromTopicServer::SubscribeRefused { subscription, reason } => {
                self.at(subscription.slot, |topic, _, routes, effects| {
                    topic.subscribe_refused(subscription, reason, link, now, routes, effects);
                });
            }
            FromTopicServer::Moved { subscription, to, .. } => {
                self.at(subscription.slot, |topic, _, routes, effects| {
                    topic.moved(subscription, to, link, now, routes, effects);
                });
            }
            FromTopicServer::Missed { subscription, epoch, from, found } => {
                self.at(subscription.slot, |topic, _, _, effects| {
                    topic.missed(subscription, epoch, from, found, link, effects);
                });
            }
            FromTopicServer::Ping(id) => self.routes.upstreams[upstream].own(FromGateway::Pong(id)),
            // Nobody here has patterns or asks.
            FromTopicServer::PatternStands { .. }
            | FromTopicServer::Match(_)
            | FromTopicServer::PatternsMoved { .. }
            | FromTopicServer::PatternsLost
            | FromTopicServer::QueryAnswer(_)
            | FromTopicServer::Welcome(_)
            | FromTopicServer::Draining
            | FromTopicServer::Rings(_)
            | FromTopicServer::Pong(_) => {}
        }
    }

    /// Topics that are still there.
    pub(crate) fn topics(&self) -> usize {
        self.cells.len()
    }

    /// How many listeners count, by topic.
    pub(crate) fn counting(&self) -> BTreeMap<Bytes, u32> {
        let count = |topic: &Topic| topic.listeners().iter().filter(|listener| listener.counts).count();
        self.cells.values().map(|cell| (cell.name.clone(), count(&cell.topic) as u32)).collect()
    }

    fn find_or_create(&mut self, name: &Bytes, now: Instant) -> u64 {
        if let Some(cell) = self.names.get(name) {
            return *cell;
        }
        let slot = self.slots.iter().position(|slot| slot.cell.is_none()).unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.next_cell += 1;
        let cell = self.next_cell;
        let member = self.routes.owner(name);
        let generation = self.slots[slot].generation;
        self.slots[slot].cell = Some(cell);
        let topic = Topic::new(name.clone(), slot as u32, generation, member, now);
        self.cells.insert(cell, Cell { name: name.clone(), slot: slot as u32, topic });
        self.names.insert(name.clone(), cell);
        cell
    }

    fn at(&mut self, slot: u32, rule: impl FnOnce(&mut Topic, &[u8], &Map, &mut Vec<Effect>)) {
        let Some(cell) = self.slots.get(slot as usize).and_then(|slot| slot.cell) else { return };
        let name = self.cells[&cell].name.clone();
        self.run(cell, |topic, routes, effects| rule(topic, &name, routes, effects));
    }

    /// Runs a rule and carries its effects out.
    fn run<T>(&mut self, cell: u64, rule: impl FnOnce(&mut Topic, &Map, &mut Vec<Effect>) -> T) -> Option<T> {
        let mut effects = Vec::new();
        let own = self.cells.get_mut(&cell)?;
        let result = rule(&mut own.topic, &self.routes, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send { member, link, request } => {
                    let upstream = &mut self.routes.upstreams[member.0 as usize];
                    if let State::Up { number, .. } = upstream.state
                        && number == link
                    {
                        upstream.queue.push_back(Entry::Request(request));
                    }
                }
                Effect::Tell(client, item) => client.push(item),
                Effect::Answer(pending, result) => pending.answer(result),
                Effect::Wake(at) => self.due.push(at, (at, cell)),
                Effect::Count(_) => {}
            }
        }
        Some(result)
    }
}
