//! What `campanile bench floor-server` is told: `+` and a topic subscribes, `?` asks whether it lives, anything else
//! is a payload for the topic's subscribers.
//!
//! A publish has no acknowledgement of its own: the publisher is a subscriber too, and its own event is the answer.
//! So there is one `send` per delivery and nothing else.

use super::unanswered::{Question, Unanswered};
use crate::frame::{Incoming, Payload, PublishReply, shortened};

pub(crate) const HEARTBEAT: &str = "?";
/// How a frame that subscribes begins, and the whole answer to it.
pub(crate) const SUBSCRIBE: &str = "+";

/// One topic on one connection.
#[derive(Debug)]
pub(crate) struct Channel {
    topic: String,
    unanswered: Unanswered,
}

impl Channel {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), unanswered: Unanswered::default() }
    }

    pub(super) fn join(&self) -> String {
        format!("{SUBSCRIBE}{}", self.topic)
    }

    pub(super) fn publish(&self, sequence: u64, payload: &str) -> String {
        self.unanswered.asked(Question::Publish(sequence));
        payload.to_owned()
    }

    pub(super) fn read(&self, payload: &Payload, frame: &[u8], mut heard: impl FnMut(Incoming)) {
        if let Some(sequence) = payload.sequence(frame) {
            heard(Incoming::Delivery(sequence));
            if self.unanswered.answered_publish(sequence) {
                heard(Incoming::Published(sequence, PublishReply::Ok));
            }
        } else if frame == SUBSCRIBE.as_bytes() {
            heard(Incoming::Joined(Ok(())));
        } else if frame == HEARTBEAT.as_bytes() {
            heard(Incoming::Heartbeat);
        } else {
            heard(Incoming::Strange(shortened(frame)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_publishers_own_event_is_the_answer_once() {
        let (publisher, other) = (Channel::new("t"), Channel::new("t"));
        let payload = Payload::new(3, 80);
        let heard = |channel: &Channel, frame: &str| {
            let mut all = Vec::new();
            channel.read(&payload, frame.as_bytes(), |incoming| all.push(incoming));
            all
        };
        assert_eq!(publisher.join(), "+t");
        assert_eq!(heard(&publisher, "+"), [Incoming::Joined(Ok(()))]);
        assert_eq!(heard(&publisher, "?"), [Incoming::Heartbeat]);
        let frame = publisher.publish(1, &payload.text(1));
        let answer = Incoming::Published(1, PublishReply::Ok);
        assert_eq!(heard(&publisher, &frame), [Incoming::Delivery(1), answer]);
        assert_eq!(heard(&publisher, &frame), [Incoming::Delivery(1)]);
        assert_eq!(heard(&other, &frame), [Incoming::Delivery(1)]);
        assert!(matches!(heard(&other, &frame[1..])[..], [Incoming::Strange(_)]));
    }
}
