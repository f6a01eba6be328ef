//! A Phoenix session: frames in, the channel rules, and their effects carried out on the hub and the client.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use campanile_process::token_bucket::{Rate, TokenBucket};
use campanile_proto::{self as proto, Epoch};
use campanile_ring_config::TopicRules;
use campanile_ring_config::topics::{OnLoss, Overflow};
use slab::Slab;
use tokio_tungstenite::tungstenite::Message;

use crate::client::close::Ending;
use crate::client::direct::WriteEvent;
use crate::client::outbox::{ChannelId, Item, Outbox, Resumed};
use crate::client::session::Front;
use crate::client::wire::{Opcode, Wire};
use crate::hub::publish::{Origin, Post, Room};
use crate::hub::reason::{Published, Reason};
use crate::hub::{Hub, Joined};
use crate::metrics::Metrics;
use crate::phoenix::by_channel::ByChannel;
use crate::phoenix::channel::{Channels, Effect, Limits, Response};
use crate::phoenix::codec;
use crate::phoenix::frame::{Frame, Ref, Version, read_binary, read_text, write_frame, write_reply};

/// What all Phoenix sessions of a gateway share.
#[derive(Debug)]
pub struct Shared {
    /// Who listens to what.
    pub hub: Arc<Hub>,
    /// Which topics may be joined; replaced when the config file changes.
    pub rules: Arc<ArcSwap<TopicRules>>,
    /// The gateway's numbers.
    pub metrics: Arc<Metrics>,
    /// What a session may have.
    pub limits: Limits,
    /// How often a session may publish; `None` for no bound.
    pub publishes: Option<Rate>,
}

/// One client's session.
#[derive(Debug)]
pub(crate) struct Session {
    version: Version,
    shared: Arc<Shared>,
    outbox: Outbox,
    channels: Channels,
    /// The channels' places in the hub.
    places: ByChannel<Joined>,
    /// Publishes without an answer: by token, the channel and the ref of the frame.
    publishes: Slab<(ChannelId, Ref)>,
    bucket: TokenBucket,
    /// What publishes have met, of which the client's pace has not been told yet.
    room: Room,
}

/// Where replies go: behind everything that is queued for the client, or, for what answers a queued item, into the
/// item's own place.
enum Replies<'a> {
    Behind,
    Here(&'a mut Wire),
}

impl Session {
    /// A session without channels.
    pub(crate) fn new(version: Version, shared: Arc<Shared>, outbox: Outbox) -> Self {
        let channels = Channels::new(shared.limits);
        let bucket = TokenBucket::default();
        Self {
            version,
            shared,
            outbox,
            channels,
            places: ByChannel::default(),
            publishes: Slab::new(),
            bucket,
            room: Room::Ample,
        }
    }

    fn take(&mut self, frame: Frame) {
        let mut effects = Vec::new();
        let rules = self.shared.rules.load();
        self.channels.receive(frame, |topic| rules.is_open(topic.as_bytes()), &mut effects);
        drop(rules);
        self.carry_out(effects, Replies::Behind);
    }

    /// What waited for a channel's join, or for its answers, may go on.
    fn resume(&mut self, channel: ChannelId) {
        let mut effects = Vec::new();
        let rules = self.shared.rules.load();
        self.channels.resume(channel, |topic| rules.is_open(topic.as_bytes()), &mut effects);
        drop(rules);
        self.carry_out(effects, Replies::Behind);
    }

    fn carry_out(&mut self, effects: Vec<Effect>, mut replies: Replies<'_>) {
        for effect in effects {
            match effect {
                Effect::Reply { join_ref, reference, topic, response } => {
                    self.count(response, &replies);
                    let (ok, json) = render(response);
                    let frame = write_reply(self.version, &join_ref, &reference, &topic, ok, json.as_bytes());
                    self.reply(frame, &mut replies);
                }
                Effect::Closed { join_ref, topic } => {
                    let frame = write_frame(self.version, &join_ref, &join_ref, &topic, "phx_close", b"{}");
                    self.reply(frame, &mut replies);
                }
                Effect::Failed { join_ref, topic } => {
                    let payload = br#"{"reason":"messages were missed"}"#;
                    let frame = write_frame(self.version, &join_ref, &join_ref, &topic, "phx_error", payload);
                    self.reply(frame, &mut replies);
                }
                Effect::Join { channel, topic, join_ref, wanted } => {
                    let tag = match self.shared.rules.load().overflow(topic.as_bytes()) {
                        Overflow::Close => codec::tag(&join_ref),
                        Overflow::DropOldest => codec::droppable_tag(&join_ref),
                    };
                    let codec = codec::codec(self.version, wanted.positions);
                    let place = self.shared.hub.join(
                        topic.as_bytes(),
                        channel,
                        &self.outbox,
                        codec,
                        tag,
                        wanted.start,
                    );
                    if let Some(place) = place {
                        self.places.insert(channel, place);
                        self.shared.metrics.channels.inc();
                    }
                }
                Effect::Position { join_ref, topic, epoch, offset } => {
                    let payload = format!(r#"{{"epoch":"{epoch}","offset":{offset},"recovered":false}}"#);
                    let frame = write_frame(
                        self.version,
                        &join_ref,
                        &Ref::Null,
                        &topic,
                        "position",
                        payload.as_bytes(),
                    );
                    self.reply(frame, &mut replies);
                }
                Effect::Leave { channel } => self.leave(channel),
                Effect::Publish { channel, reference, message, key } => {
                    self.publish(channel, reference, message, key);
                }
            }
        }
    }

    fn publish(&mut self, channel: ChannelId, reference: Ref, message: proto::Message, key: Option<Bytes>) {
        let is_within = |rate| self.bucket.take(rate, Instant::now()).is_ok();
        if !self.shared.publishes.is_none_or(is_within) {
            let mut effects = Vec::new();
            self.channels.answered(channel, reference, Err(Reason::RateLimited), &mut effects);
            self.carry_out(effects, Replies::Behind);
            // What waited for the answer may go on.
            return self.resume(channel);
        }
        if let Some(place) = self.places.get(channel) {
            let token = self.publishes.insert((channel, reference)) as u32;
            let origin = Origin { outbox: self.outbox.clone(), token };
            let met = self.shared.hub.publish(place, Post { message, key, origin });
            self.room = self.room.max(met);
        }
    }

    fn reply(&self, frame: Vec<u8>, replies: &mut Replies<'_>) {
        match replies {
            Replies::Behind => self.outbox.push(Item::Frame(Bytes::from(frame))),
            Replies::Here(wire) => wire.frame(Opcode::Text, &[&frame]),
        }
    }

    fn leave(&mut self, channel: ChannelId) {
        if let Some(place) = self.places.remove(channel) {
            self.shared.hub.leave(&place);
            self.shared.metrics.channels.dec();
        }
    }

    fn count(&self, response: Response, replies: &Replies<'_>) {
        match response {
            Response::Ok | Response::Joined(..) | Response::Offset(_) => {}
            Response::Error(reason) => self.shared.metrics.join_refused(reason),
            // What comes in the place of a queued item is the hub's answer, which has been counted there.
            Response::PublishError(reason) => {
                if matches!(replies, Replies::Behind) {
                    self.shared.metrics.publish_refused(reason);
                }
            }
        }
    }
}

impl Front for Session {
    type Received = Message;

    fn receive(&mut self, message: Message) -> Result<(), Ending> {
        let frame = match (message, self.version) {
            (Message::Text(text), version) => read_text(version, &Bytes::from(text)),
            // Version 1 has no binary frames of its own: it is JSON whatever the opcode.
            (Message::Binary(bytes), Version::V1) => read_text(Version::V1, &bytes),
            (Message::Binary(bytes), Version::V2) => read_binary(&bytes),
            _ => return Ok(()),
        };
        self.take(frame.map_err(|_| Ending::Malformed)?);
        Ok(())
    }

    fn direct(&self) -> Option<WriteEvent> {
        Some(match self.version {
            Version::V1 => {
                |tag, encoding, body, wire| codec::write_event(Version::V1, tag, encoding, body, wire)
            }
            Version::V2 => {
                |tag, encoding, body, wire| codec::write_event(Version::V2, tag, encoding, body, wire)
            }
        })
    }

    fn item(&mut self, item: Item, wire: &mut Wire) -> Result<(), Ending> {
        match item {
            Item::Event { tag, encoding, body } => {
                codec::write_event(self.version, &tag, encoding, &body, wire);
            }
            Item::Droppable { tag, event, .. } => {
                codec::write_event(self.version, &tag, event.encoding, &event.body, wire);
            }
            Item::Frame(bytes) => wire.frame_shared(Opcode::Text, &[], &bytes),
            Item::Joined { channel, epoch, offset, resumed } => {
                let mut effects = Vec::new();
                self.channels.joined(channel, (epoch, offset), resumed, &mut effects);
                self.carry_out(effects, Replies::Here(wire));
                self.resume(channel);
            }
            Item::Step { channel } => {
                if let Some(place) = self.places.get(channel) {
                    self.shared.hub.step(place);
                }
            }
            Item::Lost { channel, epoch, offset } | Item::Dropped { channel, epoch, offset } => {
                let mut effects = Vec::new();
                let rules = self.shared.rules.load();
                let rejoin = |topic: &str| rules.on_loss(topic.as_bytes()) == OnLoss::Rejoin;
                let held = self.channels.lost(channel, (epoch, offset), rejoin, &mut effects);
                drop(rules);
                self.carry_out(effects, Replies::Here(wire));
                for frame in held {
                    self.take(frame);
                }
            }
            Item::JoinFailed { channel, reason } => {
                let mut effects = Vec::new();
                let held = self.channels.join_failed(channel, reason, &mut effects);
                self.leave(channel);
                self.carry_out(effects, Replies::Here(wire));
                for frame in held {
                    self.take(frame);
                }
            }
            // A Phoenix session asks for none of these.
            Item::PatternJoined { .. } | Item::PatternLost { .. } | Item::Left { .. } | Item::Told { .. } => {
            }
            Item::Answer { token, result } => {
                let Some((channel, reference)) = self.publishes.try_remove(token as usize) else {
                    return Ok(());
                };
                if result == Err(Reason::Overloaded) {
                    self.room = Room::None;
                }
                let mut effects = Vec::new();
                self.channels.answered(
                    channel,
                    reference,
                    result.map(|accepted| accepted.offset),
                    &mut effects,
                );
                self.carry_out(effects, Replies::Here(wire));
                self.resume(channel);
            }
            // Of other fronts.
            Item::Turn(_) => {}
        }
        Ok(())
    }

    fn room(&mut self) -> Room {
        std::mem::take(&mut self.room)
    }

    fn ended(&mut self) {
        for place in self.places.drain() {
            self.shared.hub.leave(&place);
            self.shared.metrics.channels.dec();
        }
    }
}

/// Whether a response is ok, and its JSON.
fn render(response: Response) -> (bool, String) {
    match response {
        Response::Ok => (true, "{}".to_owned()),
        Response::Joined(epoch, offset, resumed) => (true, render_joined(epoch, offset, resumed)),
        Response::Offset(offset) => (true, format!(r#"{{"offset":{offset}}}"#)),
        Response::Error(reason) => (false, format!(r#"{{"reason":"{}"}}"#, reason.text())),
        Response::PublishError(reason) => (false, render_publish_error(reason)),
    }
}

fn render_joined(epoch: Epoch, offset: u64, resumed: Option<Resumed>) -> String {
    let mut json = format!(r#"{{"epoch":"{epoch}","offset":{offset}"#);
    if let Some(Resumed { recovered, oldest }) = resumed {
        json.push_str(&format!(r#","recovered":{recovered}"#));
        if let Some(oldest) = oldest {
            json.push_str(&format!(r#","oldest":{oldest}"#));
        }
    }
    json.push('}');
    json
}

fn render_publish_error(reason: Reason) -> String {
    let outcome = match reason.outcome() {
        Published::Not => "not_published",
        Published::Unknown => "unknown",
    };
    format!(r#"{{"reason":"{}","outcome":"{outcome}","retry":{}}}"#, reason.text(), reason.retry())
}
