//! The rules of one Phoenix session: a frame of the client or an answer of the hub in, effects out, in order. The
//! arms follow the rules of a Phoenix socket (docs/protocol.md, "Rules of a session"); no socket, no hub, no clock.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use campanile_proto::ids::EVENT_BYTES;
use campanile_proto::{Encoding, Epoch, Message};

use crate::client::outbox::{ChannelId, Resumed};
use crate::hub::reason::Reason;
use crate::phoenix::by_channel::ByChannel;
use crate::phoenix::frame::{Frame, Name, Payload, Ref};
use crate::phoenix::position::{self, Wanted};
use crate::phoenix::publish;

/// Frames of one topic that may wait for its join, and their bytes.
const HELD_FRAMES: usize = 100;
const HELD_BYTES: usize = 64 * 1024;

/// Longest topic that the front takes, in bytes: a binary frame has one byte for its length.
const TOPIC_BYTES: usize = 255;

/// What a rule leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A `phx_reply`.
    Reply {
        /// Its join_ref.
        join_ref: Ref,
        /// Its ref.
        reference: Ref,
        /// Its topic.
        topic: Name,
        /// What it says.
        response: Response,
    },
    /// A `phx_close` of a channel that was joined with this join_ref.
    Closed {
        /// The join_ref of its join, in both slots.
        join_ref: Ref,
        /// Its topic.
        topic: Name,
    },
    /// A `phx_error` of a channel that was joined with this join_ref: its client joins anew.
    Failed {
        /// The join_ref of its join, in both slots.
        join_ref: Ref,
        /// Its topic.
        topic: Name,
    },
    /// Listen for this channel.
    Join {
        /// The channel.
        channel: ChannelId,
        /// Its topic.
        topic: Box<str>,
        /// What its events carry.
        join_ref: Ref,
        /// What it asks for.
        wanted: Wanted,
    },
    /// Listen no more for this channel.
    Leave {
        /// The channel.
        channel: ChannelId,
    },
    /// Publish, and tell [`Channels::answered`] of the answer.
    Publish {
        /// The channel.
        channel: ChannelId,
        /// The frame's ref.
        reference: Ref,
        /// What to publish.
        message: Message,
        /// Published with this key before, it counts once.
        key: Option<Bytes>,
    },
    /// The event `position`: this channel has missed messages that nobody can give it any more.
    Position {
        /// The channel's join_ref.
        join_ref: Ref,
        /// Its topic.
        topic: Name,
        /// The topic's epoch.
        epoch: Epoch,
        /// Events follow after this offset.
        offset: u64,
    },
}

/// What a reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// `ok`, with an empty object.
    Ok,
    /// `ok`, with the position after which events follow.
    Joined(Epoch, u64, Option<Resumed>),
    /// `ok`, with the offset of the message.
    Offset(u64),
    /// `error`, with a reason alone.
    Error(Reason),
    /// `error`, with a reason, whether it may have happened, and whether to retry.
    PublishError(Reason),
}

/// What a session may have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Channels at a time.
    pub channels: usize,
}

/// The channels of one session.
#[derive(Debug)]
pub struct Channels {
    limits: Limits,
    by_topic: HashMap<Box<str>, ChannelId>,
    channels: ByChannel<Box<Channel>>,
    next: u32,
}

#[derive(Debug)]
struct Channel {
    topic: Box<str>,
    /// Exactly what the join had.
    stored: Ref,
    /// What replies and events carry: the join's ref where it had no join_ref.
    effective: Ref,
    joining: Option<Joining>,
    /// Its replies and events carry positions.
    positions: bool,
    /// Publishes without an answer. A leave waits for them, or their replies would come behind the close.
    unanswered: usize,
    held: VecDeque<Frame>,
    held_bytes: usize,
}

#[derive(Debug)]
struct Joining {
    reference: Ref,
    /// The join_ref of the channel that this join replaced.
    replaced: Option<Ref>,
}

impl Channels {
    /// No channels.
    pub fn new(limits: Limits) -> Self {
        Self { limits, by_topic: HashMap::new(), channels: ByChannel::default(), next: 0 }
    }

    /// A frame of the client. `is_open` says whether the config lets a topic be joined.
    pub fn receive(&mut self, frame: Frame, is_open: impl Fn(&str) -> bool, effects: &mut Vec<Effect>) {
        if frame.topic.text() == Some("phoenix") && frame.event.text() == Some("heartbeat") {
            return effects.push(reply(Ref::Null, frame, Response::Ok));
        }
        let id = frame.topic.text().and_then(|topic| self.by_topic.get(topic)).copied();
        match id.and_then(|id| Some((id, self.channels.get_mut(id)?))) {
            Some((_, channel)) if channel.must_hold(&frame) => channel.hold(frame, effects),
            Some((id, _)) => self.on_channel(id, frame, is_open, effects),
            None => self.without_channel(frame, is_open, effects),
        }
    }

    /// The hub: a channel listens. Frames that waited for it come next.
    pub fn joined(
        &mut self,
        id: ChannelId,
        (epoch, offset): (Epoch, u64),
        resumed: Option<Resumed>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(channel) = self.channels.get_mut(id) else {
            return;
        };
        let Some(Joining { reference, replaced }) = channel.joining.take() else {
            return;
        };
        let topic = channel.topic();
        let response =
            if channel.positions { Response::Joined(epoch, offset, resumed) } else { Response::Ok };
        let join_ref = channel.stored.clone();
        effects.push(Effect::Reply { join_ref, reference, topic: topic.clone(), response });
        if let Some(join_ref) = replaced {
            effects.push(Effect::Closed { join_ref, topic });
        }
    }

    /// The hub: a channel will not listen. Returns the frames that waited, for [`Channels::receive`].
    pub fn join_failed(
        &mut self,
        id: ChannelId,
        reason: Reason,
        effects: &mut Vec<Effect>,
    ) -> VecDeque<Frame> {
        let Some(channel) = self.remove(id) else {
            return VecDeque::new();
        };
        let topic = channel.topic();
        if let Some(Joining { reference, replaced }) = channel.joining {
            let response = Response::Error(reason);
            let join_ref = channel.stored;
            effects.push(Effect::Reply { join_ref, reference, topic: topic.clone(), response });
            if let Some(join_ref) = replaced {
                effects.push(Effect::Closed { join_ref, topic });
            }
        }
        channel.held
    }

    /// The hub: what became of a publish of this channel.
    pub fn answered(
        &mut self,
        id: ChannelId,
        reference: Ref,
        result: Result<u64, Reason>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(channel) = self.channels.get_mut(id) else {
            return;
        };
        channel.unanswered = channel.unanswered.saturating_sub(1);
        let ok = |offset| {
            if channel.positions { Response::Offset(offset) } else { Response::Ok }
        };
        let response = result.map_or_else(Response::PublishError, ok);
        let join_ref = channel.effective.clone();
        effects.push(Effect::Reply { join_ref, reference, topic: channel.topic(), response });
    }

    /// The hub: this channel has missed messages that nobody can give it any more. A channel with positions is told
    /// where it stands; a plain one is sent to join anew if `rejoin` says so. Returns the frames that waited for it
    /// then, for [`Channels::receive`].
    pub fn lost(
        &mut self,
        id: ChannelId,
        (epoch, offset): (Epoch, u64),
        rejoin: impl FnOnce(&str) -> bool,
        effects: &mut Vec<Effect>,
    ) -> VecDeque<Frame> {
        let Some(channel) = self.channels.get(id) else {
            return VecDeque::new();
        };
        let topic = channel.topic();
        if channel.positions {
            let join_ref = channel.effective.clone();
            effects.push(Effect::Position { join_ref, topic, epoch, offset });
        } else if channel.joining.is_none()
            && rejoin(&channel.topic)
            && let Some(channel) = self.remove(id)
        {
            effects.push(Effect::Leave { channel: id });
            effects.push(Effect::Failed { join_ref: channel.stored, topic });
            return channel.held;
        }
        VecDeque::new()
    }

    /// Runs the frames that waited for a join or for answers, as far as they need not wait any longer.
    pub fn resume(&mut self, id: ChannelId, is_open: impl Fn(&str) -> bool, effects: &mut Vec<Effect>) {
        while let Some(channel) = self.channels.get_mut(id)
            && channel.joining.is_none()
            && channel.held.front().is_some_and(|frame| !channel.must_wait(frame))
            && let Some(frame) = channel.held.pop_front()
        {
            channel.held_bytes -= frame.size();
            let mut rest = std::mem::take(&mut channel.held);
            self.on_channel(id, frame, &is_open, effects);
            match self.channels.get_mut(id) {
                Some(channel) => channel.held = rest,
                // Left, or replaced by a join: what waited belongs to the topic, not to the channel.
                None => {
                    while let Some(frame) = rest.pop_front() {
                        self.receive(frame, &is_open, effects);
                    }
                }
            }
        }
    }

    /// The ids of all channels.
    pub fn ids(&self) -> impl Iterator<Item = ChannelId> + '_ {
        self.channels.keys()
    }

    fn on_channel(
        &mut self,
        id: ChannelId,
        frame: Frame,
        is_open: impl Fn(&str) -> bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(channel) = self.channels.get_mut(id) else {
            return;
        };
        match frame.event.text() {
            // A second join replaces the first: its reply comes before the close of the old channel.
            Some("phx_join") => {
                let replaced = channel.stored.clone();
                let topic = channel.topic();
                self.remove(id);
                effects.push(Effect::Leave { channel: id });
                if topic.text().is_some_and(is_open) {
                    self.join(frame, Some(replaced), effects);
                } else {
                    effects.push(reply(Ref::Null, frame, Response::Error(Reason::UnmatchedTopic)));
                    effects.push(Effect::Closed { join_ref: replaced, topic });
                }
            }
            // Of an older channel: no reply.
            _ if !channel.is_meant_by(&frame) => {}
            Some("phx_leave") => {
                let topic = channel.topic();
                let (join_ref, effective) = (channel.stored.clone(), channel.effective.clone());
                self.remove(id);
                effects.push(Effect::Leave { channel: id });
                effects.push(reply(effective, frame, Response::Ok));
                effects.push(Effect::Closed { join_ref, topic });
            }
            _ => match to_publish(&frame) {
                Ok((message, key)) => {
                    channel.unanswered += 1;
                    effects.push(Effect::Publish { channel: id, reference: frame.reference, message, key });
                }
                Err(reason) => {
                    let join_ref = channel.effective.clone();
                    effects.push(reply(join_ref, frame, Response::PublishError(reason)));
                }
            },
        }
    }

    fn without_channel(&mut self, frame: Frame, is_open: impl Fn(&str) -> bool, effects: &mut Vec<Effect>) {
        match frame.event.text() {
            Some("phx_join") if frame.topic.text().is_some_and(|topic| is_topic(topic) && is_open(topic)) => {
                self.join(frame, None, effects);
            }
            Some("phx_leave") => {
                let join_ref = frame.join_ref.clone();
                effects.push(reply(join_ref, frame, Response::Ok));
            }
            _ => effects.push(reply(Ref::Null, frame, Response::Error(Reason::UnmatchedTopic))),
        }
    }

    fn join(&mut self, frame: Frame, replaced: Option<Ref>, effects: &mut Vec<Effect>) {
        let Some(topic) = frame.topic.text().map(Box::<str>::from) else {
            return;
        };
        if self.channels.len() >= self.limits.channels {
            let join_ref = frame.join_ref.clone();
            return effects.push(reply(join_ref, frame, Response::Error(Reason::TooManyChannels)));
        }
        let id = ChannelId(self.next);
        self.next = self.next.wrapping_add(1);
        let wanted = match &frame.payload {
            Payload::Json(payload) => position::read(payload),
            Payload::Binary(_) => Wanted::PLAIN,
        };
        let stored = frame.join_ref;
        let effective = if stored == Ref::Null { frame.reference.clone() } else { stored.clone() };
        let channel = Channel {
            topic: topic.clone(),
            stored,
            effective: effective.clone(),
            joining: Some(Joining { reference: frame.reference, replaced }),
            positions: wanted.positions,
            unanswered: 0,
            held: VecDeque::new(),
            held_bytes: 0,
        };
        self.by_topic.insert(topic.clone(), id);
        self.channels.insert(id, Box::new(channel));
        effects.push(Effect::Join { channel: id, topic, join_ref: effective, wanted });
    }

    fn remove(&mut self, id: ChannelId) -> Option<Box<Channel>> {
        let channel = self.channels.remove(id)?;
        if self.by_topic.get(&channel.topic) == Some(&id) {
            self.by_topic.remove(&channel.topic);
        }
        Some(channel)
    }
}

impl Channel {
    fn topic(&self) -> Name {
        Name::Text(self.topic.clone())
    }

    /// Null means the channel as it is; so does its own join_ref. In a binary frame all refs are text, and an empty
    /// one is not null.
    fn is_meant_by(&self, frame: &Frame) -> bool {
        match (&frame.payload, &frame.join_ref) {
            (Payload::Json(_), Ref::Null) => true,
            (Payload::Binary(_), Ref::Text(text)) if text.is_empty() => {
                self.stored == Ref::Text(Box::default())
            }
            (Payload::Binary(_), join_ref) => self.stored.binary() == join_ref.binary(),
            (Payload::Json(_), join_ref) => self.stored == *join_ref,
        }
    }

    /// Behind a join, everything of its topic waits; and nothing overtakes what waits already.
    fn must_hold(&self, frame: &Frame) -> bool {
        self.joining.is_some() || !self.held.is_empty() || self.must_wait(frame)
    }

    /// What ends the channel waits for the answers to its publishes.
    fn must_wait(&self, frame: &Frame) -> bool {
        self.unanswered > 0 && matches!(frame.event.text(), Some("phx_leave" | "phx_join"))
    }

    fn hold(&mut self, frame: Frame, effects: &mut Vec<Effect>) {
        let size = frame.size();
        if self.held.len() >= HELD_FRAMES || self.held_bytes + size > HELD_BYTES {
            let overloaded = Reason::Overloaded;
            let (join_ref, response) = match frame.event.text() {
                Some("phx_join") => (frame.join_ref.clone(), Response::Error(overloaded)),
                Some("phx_leave") => (self.effective.clone(), Response::Error(overloaded)),
                _ => (self.effective.clone(), Response::PublishError(overloaded)),
            };
            return effects.push(reply(join_ref, frame, response));
        }
        self.held_bytes += size;
        self.held.push_back(frame);
    }
}

fn reply(join_ref: Ref, frame: Frame, response: Response) -> Effect {
    Effect::Reply { join_ref, reference: frame.reference, topic: frame.topic, response }
}

/// A name that the front takes as a topic.
fn is_topic(topic: &str) -> bool {
    (1..=TOPIC_BYTES).contains(&topic.len()) && topic != "phoenix" && !topic.chars().any(char::is_control)
}

/// What a frame on a joined channel publishes, if its event is one that publishes.
fn to_publish(frame: &Frame) -> Result<(Message, Option<Bytes>), Reason> {
    match (&frame.payload, frame.event.text()) {
        // Bytes are published under their own event's name.
        (Payload::Binary(bytes), Some(event)) => {
            check_event(event)?;
            let event = Bytes::copy_from_slice(event.as_bytes());
            Ok((Message { encoding: Encoding::Binary, event, payload: bytes.clone() }, None))
        }
        (Payload::Json(payload), Some("publish")) => {
            let publish::Publish { event, payload, key } = publish::read(payload)?;
            check_event(&event)?;
            Ok((Message { encoding: Encoding::Json, event: Bytes::from(event), payload }, key))
        }
        _ => Err(Reason::UnknownEvent),
    }
}

fn check_event(event: &str) -> Result<(), Reason> {
    if !EVENT_BYTES.contains(&event.len()) {
        Err(Reason::InvalidEvent)
    } else if event.starts_with("phx_") || event.starts_with("presence_") || event == "position" {
        // Clients take these for the protocol's own: a forged phx_close would make them leave for good.
        Err(Reason::ReservedEvent)
    } else {
        Ok(())
    }
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
