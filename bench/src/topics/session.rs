//! One link while it is used: what waits to be sent, and what everything that comes means.

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use campanile_proto::link::BATCH_BYTES;
use campanile_proto::message::Publish;
use campanile_proto::wire::{decode_topic_server_item, gateway_item_cost};
use campanile_proto::{Encoding, FromGateway, FromTopicServer, Message, Refusal, Subscription};

use crate::faults::FaultKind;
use crate::frame::EVENT;
use crate::latency::Latency;
use crate::pacer::Pacer;
use crate::topics::board::Board;
use crate::topics::body::{Body, digits};
use crate::topics::link::Link;

/// The generation of all subscriptions: none is ever made anew.
const GENERATION: u32 = 1;

/// A link, and the run's state on it.
pub(super) struct Session {
    link: Link,
    queue: Vec<FromGateway>,
    queued_bytes: usize,
    /// The other end has not ended the half that is written to.
    takes_more: bool,
    /// What the names of all topics begin with.
    names: Bytes,
    body: Body,
    time_left: Duration,
    pub(super) board: Board,
    pub(super) subscribed: u32,
    pub(super) window: Window,
}

/// What is measured: publishes that started from here on, and all deliveries since.
pub(super) struct Window {
    from: Option<Instant>,
    pub(super) delivered: u64,
    pub(super) answer: Latency,
    pub(super) delivery: Latency,
}

/// Why the link ended.
#[derive(Debug)]
pub(super) struct Ended(pub(super) String);

impl Session {
    /// `time_left` is what every publish says of its publisher's patience.
    pub(super) fn new(
        mut link: Link,
        topics: usize,
        names: String,
        body: Body,
        time_left: Duration,
    ) -> Result<Self, Ended> {
        let first = std::mem::take(&mut link.first);
        let window =
            Window { from: None, delivered: 0, answer: Latency::default(), delivery: Latency::default() };
        let mut session = Self {
            link,
            queue: Vec::new(),
            queued_bytes: 0,
            takes_more: true,
            names: names.into(),
            body,
            time_left,
            board: Board::new(topics),
            subscribed: 0,
            window,
        };
        first.into_iter().try_for_each(|item| session.receive(item, Instant::now()))?;
        Ok(session)
    }

    /// Whether the batch that waits has room for more.
    pub(super) fn has_room(&self) -> bool {
        self.queued_bytes < BATCH_BYTES
    }

    pub(super) fn subscribe(&mut self, topic: u32) {
        let subscription = Subscription { slot: topic, generation: GENERATION };
        let topic = self.name(topic);
        self.push(FromGateway::Subscribe { subscription, topic, listeners: 0 });
    }

    /// `started` is what the latency counts from.
    pub(super) fn publish(&mut self, topic: u32, started: Instant) {
        let numbers = self.board.publish(topic, started);
        let message = Message {
            encoding: Encoding::Json,
            event: Bytes::from_static(EVENT.as_bytes()),
            payload: self.body.payload(topic, numbers.number),
        };
        let publish = Publish {
            slot: topic,
            topic: self.name(topic),
            number: numbers.number.into(),
            settled_below: numbers.settled_below.into(),
            time_left: self.time_left,
            resend_epoch: None,
            message,
            key: None,
        };
        self.push(FromGateway::Publish(publish));
    }

    /// Does what can be done next: sends what waits, or takes what came; returns at `wake` at the latest, if the system
    /// lets it. An error is the end of the link.
    pub(super) async fn turn(&mut self, pacer: &mut Pacer, wake: Instant) -> Result<(), Ended> {
        let Link { batches, stream, .. } = &mut self.link;
        // Each can be dropped half-way without loss: room that is not used stays, `message` keeps a partly read batch in
        // the stream, and a timer is set anew.
        let batch = tokio::select! {
            biased;
            room = async { batches.reserve().await.is_ok() }, if !self.queue.is_empty() && self.takes_more => {
                // The other half says why, in words.
                self.takes_more = room;
                return if room { self.send() } else { Ok(()) };
            }
            batch = stream.message() => batch,
            waited = pacer.wait_until(wake) => {
                return waited.map_err(|error| Ended(format!("the timer failed: {error}")));
            }
        };
        let batch = batch.map_err(|status| Ended(format!("the link broke: {}", status.message())))?;
        let batch = batch.ok_or_else(|| Ended("the topic server ended the link".into()))?;
        let now = Instant::now();
        for item in batch.items {
            let item = decode_topic_server_item(item)
                .map_err(|error| Ended(format!("the topic server broke the protocol: {error}")))?;
            self.receive(item, now)?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Ended> {
        self.queued_bytes = 0;
        let batch = self.link.batch(std::mem::take(&mut self.queue));
        self.link.batches.try_send(batch).map_err(|_| Ended("the link broke".into()))
    }

    /// From now on it counts.
    pub(super) fn begin(&mut self) {
        self.window.from = Some(Instant::now());
    }

    fn receive(&mut self, item: FromTopicServer, now: Instant) -> Result<(), Ended> {
        let counted = |started: &Instant| self.window.from.is_some_and(|from| *started >= from);
        match item {
            FromTopicServer::Deliver { subscription, offset, message } => {
                let topic = self.own(subscription);
                let payload = self.body.read(&message.payload).filter(|_| message.event == EVENT.as_bytes());
                let Some(started) = self.board.delivered(topic, offset, payload) else { return Ok(()) };
                self.window.delivered += u64::from(self.window.from.is_some());
                if counted(&started) {
                    self.window.delivery.record(now.saturating_duration_since(started));
                }
            }
            FromTopicServer::Published { slot, number, offset, .. } => {
                let started = self.board.answered(slot, number, Ok(offset));
                if let Some(started) = started.filter(counted) {
                    self.window.answer.record(now.saturating_duration_since(started));
                }
            }
            FromTopicServer::PublishRefused { slot, number, reason } => {
                self.board.answered(slot, number, Err(format!("{reason:?}")));
            }
            FromTopicServer::Subscribed { subscription, offset, .. } => {
                // One after the other, in the order in which they were asked for.
                if self.own(subscription) != self.subscribed || offset != 0 {
                    self.board
                        .fault(FaultKind::Strange, || format!("{subscription:?} begins at offset {offset}"));
                }
                self.subscribed += 1;
            }
            FromTopicServer::SubscribeRefused { reason, .. } => {
                let advice = match reason {
                    Refusal::NotOwner => ": give the topic server a ring with this one member",
                    Refusal::Overloaded => ": see its --max-topics",
                    _ => "",
                };
                return Err(Ended(format!("a subscription was refused: {reason:?}{advice}")));
            }
            FromTopicServer::Moved { subscription, .. } => {
                let topic = subscription.slot;
                return Err(Ended(format!("topic {topic} moved: was the ring edited meanwhile?")));
            }
            FromTopicServer::Draining => return Err(Ended("the topic server is ending".into())),
            FromTopicServer::Ping(id) => self.push(FromGateway::Pong(id)),
            FromTopicServer::Missed { subscription, .. } => {
                self.board
                    .fault(FaultKind::Strange, || format!("{subscription:?}: a read that nobody asked for"));
            }
            FromTopicServer::Counted { .. }
            | FromTopicServer::PatternStands { .. }
            | FromTopicServer::Match(_)
            | FromTopicServer::PatternsMoved { .. }
            | FromTopicServer::PatternsLost
            | FromTopicServer::QueryAnswer(_) => {
                self.board.fault(FaultKind::Strange, || "listeners are counted that nobody named".into());
            }
            // That they came is what counts; the generator needs no ring.
            FromTopicServer::Pong(_) | FromTopicServer::Welcome(_) | FromTopicServer::Rings(_) => {}
        }
        Ok(())
    }

    /// The topic of a subscription; one that there is not if its generation is another.
    fn own(&self, subscription: Subscription) -> u32 {
        if subscription.generation == GENERATION { subscription.slot } else { u32::MAX }
    }

    fn push(&mut self, item: FromGateway) {
        self.queued_bytes += gateway_item_cost(&item);
        self.queue.push(item);
    }

    fn name(&self, topic: u32) -> Bytes {
        let number = digits::<8>(topic);
        let mut name = BytesMut::with_capacity(self.names.len() + number.len());
        name.put_slice(&self.names);
        name.put_slice(&number);
        name.freeze()
    }
}
