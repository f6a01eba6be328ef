//! Whole frames through the rules of one session, with a hub that answers when the input says so. What the rules lead to
//! is checked against a model: which channels there are, and who still waits for a reply.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use campanile_gateway::client::outbox::{ChannelId, Resumed};
use campanile_gateway::hub::reason::Reason;
use campanile_gateway::phoenix::channel::{Channels, Effect, Limits};
use campanile_gateway::phoenix::frame::{
    Frame, Name, Payload, Ref, Version, read_binary, read_text, write_frame, write_reply,
};
use campanile_proto::ids::{EVENT_BYTES, KEY_BYTES};
use campanile_proto::{Encoding, Epoch, Message};
use serde_json::value::RawValue;

use crate::Verdict;
use crate::frames::{AROUND, ESCAPED, check_json};
use crate::input::Input;

/// Frames behind a join that the rules keep, and no more.
const HELD: usize = 100;

/// Longer stories show nothing more, and take their time.
const STEPS: usize = 64;

/// Names that are worth meeting again.
const TOPICS: [&str; 4] = ["room:1", "room:2", "closed", "phoenix"];

struct Run {
    version: Version,
    channels: Channels,
    limits: Limits,
    effects: Vec<Effect>,
    /// The topics of the channels that the hub was told of, and not of their end.
    places: BTreeMap<ChannelId, Box<str>>,
    /// Joins that the hub has not answered, also of channels that have ended since.
    joins: Vec<ChannelId>,
    /// Publishes that the hub has not answered.
    publishes: Vec<(ChannelId, Ref)>,
    frames: usize,
    replies: usize,
    /// The largest reply that one frame may lead to.
    largest: usize,
}

/// The version and the limit, then what happens, one after the other.
pub(crate) fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let options = input.byte();
    let limits = Limits { channels: 1 + usize::from(options >> 1) % 3 };
    let mut run = Run {
        version: if options & 1 == 0 { Version::V2 } else { Version::V1 },
        channels: Channels::new(limits),
        limits,
        effects: Vec::new(),
        places: BTreeMap::new(),
        joins: Vec::new(),
        publishes: Vec::new(),
        frames: 0,
        replies: 0,
        largest: 0,
    };
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        run.step(&mut input);
    }
    run.settle();
    if run.frames > 0 { Verdict::Accepted } else { Verdict::Refused }
}

fn is_open(topic: &str) -> bool {
    topic != "closed"
}

impl Run {
    fn step(&mut self, input: &mut Input<'_>) {
        let (what, which) = (input.byte(), input.byte());
        match what % 8 {
            0 => self.text(input.piece()),
            1 => self.binary(input.piece()),
            2 => self.known(which, input.byte(), 1),
            // Enough of them to meet the bounds of what may wait.
            3 => self.known(which, input.byte(), HELD + 20),
            4 => self.answer_join(which, input.byte()),
            5 => self.answer_publish(which, input.byte()),
            6 => self.lose(which, input.byte() & 1 == 0),
            _ => self.resume_any(which),
        }
        let ids: BTreeSet<_> = self.channels.ids().collect();
        assert!(ids.iter().eq(self.places.keys()), "{ids:?} but the hub knows {:?}", self.places);
        assert!(ids.len() <= self.limits.channels);
    }

    fn text(&mut self, bytes: &[u8]) {
        if let Ok(frame) = read_text(self.version, &Bytes::copy_from_slice(bytes)) {
            self.receive(frame, bytes.len());
        }
    }

    fn binary(&mut self, bytes: &[u8]) {
        if self.version == Version::V2
            && let Ok(frame) = read_binary(&Bytes::copy_from_slice(bytes))
        {
            self.receive(frame, bytes.len());
        }
    }

    /// A frame as clients send it, of few topics and few join_refs, so that frames meet.
    fn known(&mut self, which: u8, form: u8, times: usize) {
        let topic = TOPICS[usize::from(which & 3)];
        let reference = match which >> 2 & 3 {
            0 => "null",
            1 => "\"1\"",
            2 => "1",
            _ => "\"2\"",
        };
        let (event, payload) = match form % 8 {
            0 => ("phx_join", "{}"),
            1 => ("phx_join", "{\"positions\":true}"),
            2 => ("phx_join", "{\"resume\":{\"epoch\":\"00000000000000ff\",\"offset\":3}}"),
            3 => ("phx_leave", "{}"),
            4 => ("publish", "[\"e\",{}]"),
            5 => ("publish", "[\"e\",{\"a\":1},{\"key\":\"k\"}]"),
            6 => ("heartbeat", "{}"),
            _ => ("unknown", "null"),
        };
        let text = match self.version {
            Version::V2 => format!("[{reference},{reference},\"{topic}\",\"{event}\",{payload}]"),
            Version::V1 => format!(
                "{{\"join_ref\":{reference},\"ref\":\"7\",\"topic\":\"{topic}\",\"event\":\"{event}\",\"payload\":{payload}}}"
            ),
        };
        let Ok(frame) = read_text(self.version, &Bytes::from(text)) else { panic!("a frame of ours") };
        for _ in 0..times {
            self.receive(frame.clone(), frame.size());
        }
    }

    fn receive(&mut self, frame: Frame, length: usize) {
        self.frames += 1;
        self.largest = self.largest.max(length);
        self.channels.receive(frame, is_open, &mut self.effects);
        // A join in place of another: leave, join. A leave: leave, reply, close. In all other cases one.
        assert!(self.effects.len() <= 3, "{:?} of one frame", self.effects);
        self.carry_out();
    }

    fn answer_join(&mut self, which: u8, how: u8) {
        if self.joins.is_empty() {
            return;
        }
        let id = self.joins.swap_remove(usize::from(which) % self.joins.len());
        let position = (Epoch(1 + u64::from(how)), u64::from(which));
        if how & 3 == 0 {
            let reason = Reason::ALL[usize::from(how >> 2) % Reason::ALL.len()];
            let held = self.channels.join_failed(id, reason, &mut self.effects);
            assert!(held.len() <= HELD);
            self.places.remove(&id);
            self.carry_out();
            self.again(held);
        } else {
            let resumed = (how & 4 != 0).then_some(Resumed { recovered: how & 8 != 0, oldest: Some(1) });
            self.channels.joined(id, position, resumed, &mut self.effects);
            self.carry_out();
            self.resume(id);
        }
    }

    fn answer_publish(&mut self, which: u8, how: u8) {
        if self.publishes.is_empty() {
            return;
        }
        let (id, reference) = self.publishes.swap_remove(usize::from(which) % self.publishes.len());
        let result = match how {
            0..200 => Ok(u64::from(how)),
            _ => Err(Reason::ALL[usize::from(how) % Reason::ALL.len()]),
        };
        self.channels.answered(id, reference, result, &mut self.effects);
        self.carry_out();
        self.resume(id);
    }

    fn lose(&mut self, which: u8, rejoin: bool) {
        let Some(&id) = self.places.keys().nth(usize::from(which) % self.limits.channels) else { return };
        let held = self.channels.lost(id, (Epoch(9), 4), |_| rejoin, &mut self.effects);
        assert!(held.len() <= HELD);
        self.carry_out();
        self.again(held);
    }

    fn resume_any(&mut self, which: u8) {
        // Of a channel that may be none.
        self.resume(ChannelId(u32::from(which)));
    }

    fn resume(&mut self, id: ChannelId) {
        self.channels.resume(id, is_open, &mut self.effects);
        assert!(self.effects.len() <= 3 * HELD);
        self.carry_out();
    }

    /// Frames that waited for a channel that is gone.
    fn again(&mut self, held: impl IntoIterator<Item = Frame>) {
        for frame in held {
            self.channels.receive(frame, is_open, &mut self.effects);
            self.carry_out();
        }
    }

    fn carry_out(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Reply { join_ref, reference, topic, .. } => {
                    self.replies += 1;
                    let reply = write_reply(self.version, &join_ref, &reference, &topic, true, b"{}");
                    self.check_written(&reply);
                }
                Effect::Closed { join_ref, topic } | Effect::Failed { join_ref, topic } => {
                    self.check_frame(&join_ref, &topic);
                }
                Effect::Position { join_ref, topic, .. } => self.check_frame(&join_ref, &topic),
                Effect::Join { channel, topic, .. } => {
                    assert!((1..=255).contains(&topic.len()), "{topic:?}");
                    assert!(&*topic != "phoenix" && is_open(&topic) && !topic.contains(char::is_control));
                    assert!(!self.places.values().any(|other| *other == topic), "{topic:?} is joined twice");
                    assert_eq!(self.places.insert(channel, topic), None, "{channel:?} is joined twice");
                    self.joins.push(channel);
                }
                Effect::Leave { channel } => {
                    assert!(self.places.remove(&channel).is_some(), "{channel:?} was not joined");
                }
                Effect::Publish { channel, reference, message, key } => {
                    assert!(self.places.contains_key(&channel), "{channel:?} is not joined");
                    assert!(!self.joins.contains(&channel), "{channel:?} waits for its join");
                    check_message(&message, key.as_deref());
                    self.publishes.push((channel, reference));
                }
            }
        }
        let answered = self.replies + self.publishes.len();
        assert!(answered <= self.frames, "{answered} answers to {} frames", self.frames);
    }

    fn check_frame(&self, join_ref: &Ref, topic: &Name) {
        self.check_written(&write_frame(self.version, join_ref, join_ref, topic, "phx_close", b"{}"));
    }

    fn check_written(&self, frame: &[u8]) {
        serde_json::from_slice::<&RawValue>(frame).expect("a frame is JSON");
        // Its parts may come from two frames: the join_ref from that of the join, the ref and topic from another.
        let most = AROUND + 2 * ESCAPED * self.largest;
        assert!(frame.len() <= most, "{} bytes, {} came", frame.len(), self.largest);
    }

    /// The hub answers everything. Then nobody waits any more, and every channel can be left at once.
    fn settle(&mut self) {
        // A frame that waited may be a join or a publish of its own, but each only once.
        for _ in 0..=2 * self.frames {
            if self.joins.is_empty() && self.publishes.is_empty() {
                break;
            }
            self.answer_join(0, 1);
            self.answer_publish(0, 0);
        }
        assert!(self.joins.is_empty() && self.publishes.is_empty(), "some wait for ever");
        for (id, topic) in self.places.clone() {
            let frame = Frame {
                join_ref: Ref::Null,
                reference: Ref::Null,
                topic: Name::Text(topic),
                event: Name::Text("phx_leave".into()),
                payload: Payload::Json(Bytes::from_static(b"{}")),
            };
            self.receive(frame, 0);
            assert!(!self.places.contains_key(&id), "a leave waits although there is nothing to wait for");
        }
        assert_eq!(self.channels.ids().count(), 0);
    }
}

/// What goes to the hub is within the bounds that the link will check.
fn check_message(message: &Message, key: Option<&[u8]>) {
    assert!(EVENT_BYTES.contains(&message.event.len()));
    let event = std::str::from_utf8(&message.event).expect("an event is UTF-8");
    assert!(!event.starts_with("phx_") && !event.starts_with("presence_") && event != "position");
    assert!(key.is_none_or(|key| (1..=KEY_BYTES).contains(&key.len())));
    if message.encoding == Encoding::Json {
        assert!(message.payload.starts_with(b"{"));
        check_json(&message.payload);
    }
}
