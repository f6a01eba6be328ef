//! What clients do, and how they take what they are told.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use bytes::Bytes;
use campanile_gateway::client::outbox::{Found, Item, Outbox, Resumed};
use campanile_gateway::hub::publish::{Origin, Post};
use campanile_gateway::hub::reason::Published;
use campanile_gateway::hub::state::Start;
use campanile_proto::{Encoding, Message};

use crate::checker::{Answer, Waiting};
use crate::client::{Channel, Session, Token, Wanted};
use crate::lines::post_of;
use crate::world::{Event, Woken, World};

/// Bytes that a client's outbox holds.
const OUTBOX: usize = 4 << 20;

impl World {
    pub(crate) fn act(&mut self, client: usize) {
        if self.rest {
            return;
        }
        let wait = self.random.u64(20_000..380_000);
        self.after(wait, Event::Act(client));
        if self.clients[client].session.is_none() {
            if self.calm || self.clients[client].away_until <= self.now {
                self.connect(client);
            }
            return;
        }
        if !self.calm && self.clients[client].wants.len() < 2 {
            self.want_another(client);
        }
        self.join_what_is_wanted(client);
        if self.calm {
            return self.publish_again(client);
        }
        let restless = if self.plan.flighty { self.random.u32(40..100) } else { 0 };
        match self.random.u32(..100).max(restless) {
            0..55 => {
                // Now and then several at once.
                let count = if self.random.u32(..6) == 0 { self.random.u32(2..12) } else { 1 };
                self.publish(client, count);
            }
            60..70 => self.publish_again(client),
            70..78 => self.want_another(client),
            78..86 => self.want_one_less(client),
            86..91 => {
                self.lose_session(client);
                if self.random.u32(..3) == 0 {
                    self.clients[client].away_until = self.now + self.random.u64(500_000..4_000_000);
                }
            }
            _ => {}
        }
        self.after_clients_gateway(client);
    }

    fn after_clients_gateway(&mut self, client: usize) {
        if let Some(gateway) = self.clients[client].session.as_ref().map(|session| session.gateway) {
            self.after_gateway(gateway);
        }
    }

    fn connect(&mut self, client: usize) {
        let gateways = 0..self.gateways.len();
        let alive: Vec<usize> = gateways.filter(|&gateway| self.gateways[gateway].is_some()).collect();
        let Some(&gateway) = self.random.choice(&alive) else { return };
        let own = &mut self.clients[client];
        own.sessions += 1;
        let number = own.sessions;
        let pace = if self.random.u32(..5) == 0 {
            self.random.u64(2_000..90_000)
        } else {
            self.random.u64(50..3_000)
        };
        own.session = Some(Session {
            number,
            gateway,
            outbox: Outbox::new(OUTBOX),
            channels: Default::default(),
            tokens: Default::default(),
            next_channel: 0,
            next_token: 0,
            pace,
        });
        self.say(|| format!("client {client} connects to Gateway({gateway})"));
        self.read(client, number);
    }

    fn want_another(&mut self, client: usize) {
        // Some are wanted by many.
        let topic = self.random.usize(..self.plan.topics).min(self.random.usize(..self.plan.topics));
        if self.clients[client].wants.len() < 3 && self.plan.births[topic] * 1_000 <= self.now {
            self.clients[client].wants.entry(topic).or_default();
        }
    }

    /// Clients learn of a topic.
    pub(crate) fn be_born(&mut self, topic: usize) {
        for _ in 0..4 {
            let client = self.random.usize(..self.clients.len());
            let wait = self.random.u64(..500_000);
            self.after(wait, Event::Learn(client, topic));
        }
    }

    pub(crate) fn learn(&mut self, client: usize, topic: usize) {
        if !self.calm {
            self.clients[client].wants.entry(topic).or_default();
            if self.clients[client].session.is_none() {
                self.connect(client);
            }
            self.join_what_is_wanted(client);
        }
    }

    /// A client has much to say at once.
    pub(crate) fn burst(&mut self, client: usize) {
        if !self.calm {
            let count = self.random.u32(2..9);
            self.publish(client, count);
            self.after_clients_gateway(client);
        }
    }

    fn want_one_less(&mut self, client: usize) {
        let topics: Vec<usize> = self.clients[client].wants.keys().copied().collect();
        let Some(&topic) = self.random.choice(&topics) else { return };
        let now = self.instant();
        let own = &mut self.clients[client];
        let wanted = own.wants.get_mut(&topic);
        // Half of them come back with their position.
        let channel = wanted.and_then(|wanted| wanted.channel.take());
        if self.random.bool() {
            own.wants.remove(&topic);
        }
        let Some(session) = &mut own.session else { return };
        if let Some(channel) = channel
            && let Some(left) = session.channels.remove(&channel)
        {
            self.checker.forget(Waiting::Join(client, (session.number as u32) << 16 | channel));
            let gateway = session.gateway;
            if let Some(gateway) = &mut self.gateways[gateway] {
                gateway.leave(left.joined, now);
            }
        }
    }

    fn join_what_is_wanted(&mut self, client: usize) {
        let own = &self.clients[client];
        let is_missing = |wanted: &Wanted| wanted.channel.is_none() && wanted.not_before <= self.now;
        let missing: Vec<usize> =
            own.wants.iter().filter(|(_, wanted)| is_missing(wanted)).map(|(topic, _)| *topic).collect();
        for topic in missing {
            self.join(client, topic);
        }
        self.after_clients_gateway(client);
    }

    fn join(&mut self, client: usize, topic: usize) {
        let now = self.instant();
        let forgets = self.random.u32(..12) == 0;
        let own = &mut self.clients[client];
        let (Some(session), Some(wanted)) = (&mut own.session, own.wants.get_mut(&topic)) else { return };
        let Some(gateway) = &mut self.gateways[session.gateway] else { return };
        if forgets {
            wanted.position = None;
        }
        session.next_channel += 1;
        let channel = session.next_channel;
        let start = wanted.position.map_or(Start::Live, |(epoch, offset)| Start::After(epoch, offset));
        let asked = wanted.position;
        wanted.channel = Some(channel);
        self.checker.joins(client, (session.number as u32) << 16 | channel);
        let joined = gateway.join(&self.names[topic], channel, &session.outbox, start, now);
        session.channels.insert(channel, Channel { topic, joined, asked, at: None });
        self.say(|| format!("client {client} joins {topic} as {channel} after {asked:?}"));
    }

    fn publish(&mut self, client: usize, count: u32) {
        let Some(session) = &self.clients[client].session else { return };
        let joined = session.channels.values().filter(|channel| channel.at.is_some());
        let topics: Vec<usize> = joined.map(|channel| channel.topic).collect();
        let Some(&topic) = self.random.choice(&topics) else { return };
        for _ in 0..count {
            let keyed = self.random.u32(..3) == 0;
            let post = self.checker.post(topic, keyed);
            self.send(client, topic, post, keyed);
        }
    }

    /// What was answered `unknown` counts once if it is published again with its key.
    fn publish_again(&mut self, client: usize) {
        let own = &mut self.clients[client];
        let Some(session) = &own.session else { return };
        let listens = |topic: usize| {
            session.channels.values().any(|channel| channel.topic == topic && channel.at.is_some())
        };
        if let Some(index) = own.doubtful.iter().position(|(topic, _)| listens(*topic)) {
            let (topic, post) = own.doubtful.swap_remove(index);
            self.send(client, topic, post, true);
        }
        self.after_clients_gateway(client);
    }

    fn send(&mut self, client: usize, topic: usize, post: usize, keyed: bool) {
        let now = self.instant();
        let Some(session) = &mut self.clients[client].session else { return };
        let Some(gateway) = &mut self.gateways[session.gateway] else { return };
        let attempt = self.checker.attempt(post, (client as u64) << 32 | session.number);
        session.next_token += 1;
        let token = session.next_token;
        session.tokens.insert(token, Token { topic, post, attempt, keyed });
        let mut payload = (post as u64).to_be_bytes().to_vec();
        payload.resize(8 + if self.plan.large { post % 23_000 } else { post % 90 }, b'.');
        let message =
            Message { encoding: Encoding::Binary, event: Bytes::from_static(b"e"), payload: payload.into() };
        let key = keyed.then(|| format!("key-{post}").into());
        let post = Post { message, key, origin: Origin { outbox: session.outbox.clone(), token } };
        let life = gateway.life;
        // Known before anything can come of it: what is queued leaves later.
        if let Some(number) = gateway.publish(&self.names[topic], post, now) {
            self.numbers.insert((life, number), attempt);
        }
        self.say(|| format!("client {client} publishes attempt {attempt} to {topic} (key: {keyed})"));
    }

    /// A client goes away, or its gateway does.
    pub(crate) fn lose_session(&mut self, client: usize) {
        let now = self.instant();
        let own = &mut self.clients[client];
        let Some(session) = own.session.take() else { return };
        session.outbox.close();
        own.wants.values_mut().for_each(|wanted| wanted.channel = None);
        for (channel, left) in session.channels {
            self.checker.forget(Waiting::Join(client, (session.number as u32) << 16 | channel));
            if let Some(gateway) = &mut self.gateways[session.gateway] {
                gateway.leave(left.joined, now);
            }
        }
        for token in session.tokens.values() {
            self.checker.forget(Waiting::Attempt(token.attempt));
            if token.keyed {
                own.doubtful.push((token.topic, token.post));
            }
        }
        self.say(|| format!("client {client} is gone"));
        self.after_gateway(session.gateway);
    }

    pub(crate) fn plan_read(&mut self, client: usize, number: u64) {
        let Some(session) = &self.clients[client].session else { return };
        if session.number == number {
            let wait = self.random.u64(..session.pace);
            self.after(wait, Event::Read(client, number));
        }
    }

    /// A client takes what lies in its outbox.
    pub(crate) fn read(&mut self, client: usize, number: u64) {
        let waker = self.bell(Woken::Client(client, number));
        loop {
            let Some(session) = self.clients[client].session.as_ref().filter(|own| own.number == number)
            else {
                return;
            };
            let mut items = VecDeque::new();
            match session.outbox.poll_take(&mut Context::from_waker(&waker), &mut items, true) {
                Poll::Ready(Found::Items) => {
                    for item in items {
                        self.take(client, item);
                    }
                }
                // Nobody writes past a session here: there are no sockets.
                Poll::Ready(Found::Rest(_)) => {}
                Poll::Ready(Found::End(_)) => return self.lose_session(client),
                Poll::Pending => break,
            }
        }
        self.after_clients_gateway(client);
    }

    fn take(&mut self, client: usize, item: Item) {
        let own = &mut self.clients[client];
        let Some(session) = &mut own.session else { return };
        match item {
            Item::Joined { channel, epoch, offset, resumed } => {
                let number = (session.number as u32) << 16 | channel.0;
                let Some(own_channel) = session.channels.get_mut(&channel.0) else { return };
                own_channel.at = Some((epoch, offset));
                let (topic, asked) = (own_channel.topic, own_channel.asked);
                if let Some(wanted) = own.wants.get_mut(&topic) {
                    wanted.position = Some((epoch, offset));
                }
                let resumed = resumed.map(|Resumed { recovered, .. }| recovered);
                self.checker.joined(client, number, topic, (epoch, offset), asked.zip(resumed));
                self.say(|| {
                    format!("client {client} listens to {topic} after {epoch} {offset}, {resumed:?}")
                });
                self.mix(epoch.0 ^ offset ^ 3);
            }
            Item::JoinFailed { channel, reason } => {
                let number = (session.number as u32) << 16 | channel.0;
                let Some(failed) = session.channels.remove(&channel.0) else { return };
                if let Some(wanted) = own.wants.get_mut(&failed.topic) {
                    wanted.channel = None;
                    wanted.not_before = self.now + 100_000;
                }
                self.checker.join_failed(client, number, failed.topic);
                self.say(|| format!("client {client} cannot listen to {}: {reason:?}", failed.topic));
            }
            Item::Event { tag, body, .. } => self.take_event(client, tag.text(), &body),
            Item::Step { channel } => {
                if let Some(channel) = session.channels.get(&channel.0)
                    && let Some(gateway) = &mut self.gateways[session.gateway]
                {
                    gateway.step(channel.joined);
                }
            }
            Item::Lost { channel, epoch, offset } => {
                let Some(channel) = session.channels.get_mut(&channel.0) else { return };
                let topic = channel.topic;
                let Some(before) = channel.at.replace((epoch, offset)) else { return };
                if let Some(wanted) = own.wants.get_mut(&topic) {
                    wanted.position = Some((epoch, offset));
                }
                self.checker.lost(client, topic, before, (epoch, offset));
                self.say(|| format!("client {client} lost of {topic}: {before:?} to {epoch} {offset}"));
                self.mix(epoch.0 ^ offset ^ 4);
            }
            Item::Answer { token, result } => {
                let Some(token) = session.tokens.remove(&token) else {
                    return self.checker.answered_twice(client, token);
                };
                let answer = match result {
                    Ok(accepted) => Answer::Position(accepted.epoch, accepted.offset),
                    Err(reason) if reason.outcome() == Published::Not => Answer::Not,
                    Err(_) => Answer::Unknown,
                };
                if answer == Answer::Unknown && token.keyed {
                    own.doubtful.push((token.topic, token.post));
                }
                self.checker.answered(token.attempt, answer);
                self.say(|| format!("client {client}: attempt {} is answered {result:?}", token.attempt));
                self.mix(token.attempt as u64 ^ 5 << 40);
            }
            // No topic here lets go of messages, and nobody has patterns or asks.
            Item::Frame(_)
            | Item::Turn(_)
            | Item::PatternJoined { .. }
            | Item::PatternLost { .. }
            | Item::Left { .. }
            | Item::Told { .. }
            | Item::Droppable { .. }
            | Item::Dropped { .. } => {}
        }
    }

    fn take_event(&mut self, client: usize, tag: &[u8], body: &[u8]) {
        let own = &mut self.clients[client];
        let Some(session) = &mut own.session else { return };
        let number = u32::from_be_bytes(tag.first_chunk().copied().unwrap_or_default());
        let Some(channel) = session.channels.get_mut(&number) else { return };
        let (offset, payload) = body.split_at(8);
        let offset = u64::from_be_bytes(offset.first_chunk().copied().unwrap_or_default());
        let (topic, post) = (channel.topic, post_of(payload));
        let Some(before) =
            channel.at.replace((channel.at.map_or(campanile_proto::Epoch(0), |at| at.0), offset))
        else {
            return self.checker.event_before_join(client, topic);
        };
        if let Some(wanted) = own.wants.get_mut(&topic) {
            wanted.position = Some((before.0, offset));
        }
        self.delivered += 1;
        // A publisher's reply comes before its own event.
        let unanswered = session.tokens.values().any(|token| token.post == post);
        self.checker.event(client, topic, before, offset, post, unanswered);
        self.mix(before.0.0 ^ offset ^ 6);
    }

    /// When everything has healed: once more to every topic, to see that it works.
    pub(crate) fn last_words(&mut self) {
        for topic in 0..self.plan.topics {
            let mut clients = 0..self.clients.len();
            if let Some(client) = clients.find(|&client| self.clients[client].listens_at(topic).is_some()) {
                let post = self.checker.post(topic, false);
                self.send(client, topic, post, false);
                self.after_clients_gateway(client);
            }
        }
    }
}
