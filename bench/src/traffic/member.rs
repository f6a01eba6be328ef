//! One subscriber of a topic: every frame it receives is checked and counted here.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use super::shared::Shared;
use super::topic::{Replied, Topic};
use crate::client::{Lost, Received};
use crate::faults::FaultKind;
use crate::frame::{Incoming, PublishReply};
use crate::protocol::Channel;
use crate::sequence::{Tracker, Verdict};

/// How many gaps a subscriber remembers before the excused ones are taken out.
const GAPS: usize = 1_024;

/// A subscriber; the publisher of a topic is one too.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) number: usize,
    /// Its gateway, as the user named it.
    pub(crate) gateway: String,
    pub(crate) channel: Channel,
    pub(crate) topic: Rc<Topic>,
    shared: Rc<Shared>,
    tracker: RefCell<Tracker>,
    /// Set once the connection or the channel is gone: what it lacks afterwards is one fault, not many.
    gone: Cell<bool>,
}

impl Member {
    pub(crate) fn new(
        number: usize,
        gateway: String,
        channel: Channel,
        topic: Rc<Topic>,
        shared: Rc<Shared>,
    ) -> Self {
        Self { number, gateway, channel, topic, shared, tracker: RefCell::default(), gone: Cell::new(false) }
    }

    /// Takes one frame. Gives what the server waits for, if anything.
    pub(crate) fn received(&self, received: &Received) -> Vec<String> {
        let mut answers = Vec::new();
        if matches!(received, Received::Binary(_)) && !self.channel.takes_binary() {
            self.strange(&format!("a binary frame of {} bytes", received.bytes().len()));
            return answers;
        }
        self.channel.read(&self.topic.payload, received.bytes(), |incoming| match incoming {
            Incoming::Delivery(sequence) => self.delivered(sequence),
            Incoming::Published(sequence, reply) => self.replied(sequence, reply),
            Incoming::Heartbeat => {}
            Incoming::Answer(answer) => answers.push(answer),
            Incoming::Joined(_) => self.strange("a second reply to the join"),
            Incoming::Ended(frame) => self.lost(&Lost(format!("channel ended by the server: {frame}"))),
            Incoming::Strange(frame) => self.strange(&frame),
        });
        answers
    }

    fn delivered(&self, sequence: u64) {
        let now = Instant::now();
        let shared = &self.shared;
        if shared.measuring.get() {
            shared.deliveries.set(shared.deliveries.get() + 1);
        }
        shared.all_deliveries.set(shared.all_deliveries.get() + 1);
        if self.gone.get() {
            return self.strange(&format!("publish {sequence} after the channel's end"));
        }
        if sequence == 0 || sequence > self.topic.last() {
            return self.strange(&format!("publish {sequence}, which was never made"));
        }
        let verdict = self.tracker.borrow_mut().observe(sequence);
        match verdict {
            Verdict::InOrder => {}
            Verdict::Skipped => self.bound_gaps(),
            Verdict::Late => shared.fault(FaultKind::Reordered, 1, || {
                format!("{}: publish {sequence} came after a later one", self.id())
            }),
            Verdict::Doubled => {
                return shared.fault(FaultKind::Doubled, 1, || {
                    format!("{}: publish {sequence} came twice", self.id())
                });
            }
        }
        let Some(delivered) = self.topic.delivered(sequence) else {
            return;
        };
        if delivered.refused {
            shared.fault(FaultKind::RefusedButDelivered, 1, || {
                format!("{}: publish {sequence} came although it was refused", self.id())
            });
        }
        if let Some(since) = delivered.since.filter(|since| since.measured) {
            let latency = now.saturating_duration_since(since.started);
            shared.delivery_latency.borrow_mut().record(latency);
            if delivered.last {
                shared.last_latency.borrow_mut().record(latency);
            }
        }
    }

    fn replied(&self, sequence: u64, reply: PublishReply) {
        match self.topic.replied(sequence, reply) {
            Replied::Ok(since) if since.measured => {
                let latency = since.started.elapsed();
                self.shared.reply_latency.borrow_mut().record(latency);
            }
            Replied::Ok(_) | Replied::TooLate => {}
            Replied::Refused { reason, delivered } => {
                *self.shared.refusals.borrow_mut().entry(reason).or_default() += 1;
                self.shared.fault(FaultKind::RefusedButDelivered, u64::from(delivered), || {
                    format!("topic {}: publish {sequence} was delivered and then refused", self.topic.name)
                });
            }
            Replied::Unasked => self.strange(&format!("a reply to publish {sequence} that waits for none")),
        }
    }

    fn bound_gaps(&self) {
        let mut tracker = self.tracker.borrow_mut();
        if tracker.gaps() >= GAPS {
            self.topic.with_excused(|excused| tracker.forgive(excused));
        }
    }

    fn strange(&self, what: &str) {
        self.shared.fault(FaultKind::Strange, 1, || format!("{}: {what}", self.id()));
    }

    /// The connection or the channel is gone; said once.
    pub(crate) fn lost(&self, lost: &Lost) {
        if self.gone.replace(true) {
            return;
        }
        self.shared.fault(FaultKind::Closed, 1, || format!("{}: {}", self.id(), lost.0));
        let tracker = self.tracker.borrow();
        self.topic.member_left(|sequence| tracker.has_seen(sequence));
    }

    /// Whether its connection or channel is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.get()
    }

    /// At the end: what never came.
    pub(crate) fn finish(&self) {
        if self.gone.get() {
            // The loss itself was told; nothing can be asked of the time after it.
            return;
        }
        let tracker = self.tracker.borrow();
        let missing = self.topic.with_excused(|excused| tracker.finish(self.topic.last(), excused));
        self.shared.fault(FaultKind::Missing, missing.total(), || {
            let shown: Vec<String> =
                missing.ranges().iter().take(5).map(|&range| range_text(range)).collect();
            let more = if missing.ranges().len() > shown.len() { " …" } else { "" };
            let last = self.topic.last();
            format!("{}: never came: {}{more} of {last}", self.id(), shown.join(", "))
        });
    }

    fn id(&self) -> String {
        format!("topic {}, connection {} at {}", self.topic.name, self.number, self.gateway)
    }
}

fn range_text((first, last): (u64, u64)) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}
