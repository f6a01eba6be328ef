//! One topic: what was published, what is in flight, what is excused from the check.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::frame::{Payload, PublishReply};
use crate::sequence::Ranges;

/// A topic with one publisher; its members are counted, not named.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) payload: Payload,
    state: RefCell<State>,
    /// Told when a publish has left the flight.
    pub(crate) progress: Notify,
}

#[derive(Debug)]
struct State {
    /// Subscribers, the publisher included, whose connections stand.
    members: usize,
    /// The sequence number of the first publish in `flight`.
    first: u64,
    flight: VecDeque<Publish>,
    /// How many of `flight` are not done: one that lost a delivery does not hold up those behind it.
    open: usize,
    /// Refused or unanswered: a subscriber may lack these.
    excused: Ranges,
    /// Refused as "not published": nobody may see these.
    refused: Ranges,
    /// Given up, or left behind by the publisher, without a reply: one that comes all the same is no second
    /// fault.
    unanswered: Ranges,
}

/// A publish in flight: until every member has it and the reply has come.
#[derive(Debug, Clone, Copy)]
struct Publish {
    /// What its latency counts from: in an open loop the scheduled time.
    started: Instant,
    sent: Instant,
    measured: bool,
    waiting_for: usize,
    delivered: bool,
    replied: bool,
}

/// A latency to record: since when, and whether this publish is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Since {
    pub(crate) started: Instant,
    pub(crate) measured: bool,
}

/// What one delivery did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Delivered {
    /// Unless the publish had left the flight.
    pub(crate) since: Option<Since>,
    /// Whether this was the last member to have it.
    pub(crate) last: bool,
    /// Whether the publish had been refused.
    pub(crate) refused: bool,
}

/// What a reply did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Replied {
    /// An `ok`, the first reply to a publish in flight.
    Ok(Since),
    /// An error reply; `delivered` if somebody had it already although it says "not published".
    Refused { reason: String, delivered: bool },
    /// A reply that nobody waits for any more; that was told before.
    TooLate,
    /// A reply to nothing that waits for one.
    Unasked,
}

impl Topic {
    pub(crate) fn new(name: String, number: usize, members: usize, payload_bytes: usize) -> Self {
        let state = State {
            members,
            first: 1,
            flight: VecDeque::new(),
            open: 0,
            excused: Ranges::default(),
            refused: Ranges::default(),
            unanswered: Ranges::default(),
        };
        Self {
            name,
            payload: Payload::new(number, payload_bytes),
            state: RefCell::new(state),
            progress: Notify::new(),
        }
    }

    /// Takes the next sequence number.
    pub(crate) fn publish(&self, started: Instant, sent: Instant, measured: bool) -> u64 {
        let mut state = self.state.borrow_mut();
        let waiting_for = state.members;
        state.open += 1;
        let (delivered, replied) = (false, false);
        state.flight.push_back(Publish { started, sent, measured, waiting_for, delivered, replied });
        state.last()
    }

    /// The last sequence number taken, 0 before the first.
    pub(crate) fn last(&self) -> u64 {
        self.state.borrow().last()
    }

    /// How many publishes are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.state.borrow().open
    }

    /// What a subscriber may lack.
    pub(crate) fn with_excused<T>(&self, use_it: impl FnOnce(&Ranges) -> T) -> T {
        use_it(&self.state.borrow().excused)
    }

    /// One member has received this number for the first time. `None`: it was never published.
    pub(crate) fn delivered(&self, sequence: u64) -> Option<Delivered> {
        let mut state = self.state.borrow_mut();
        if sequence == 0 || sequence > state.last() {
            return None;
        }
        let refused = state.refused.contains(sequence);
        let Some(publish) = state.publish_mut(sequence) else {
            return Some(Delivered { since: None, last: false, refused });
        };
        publish.delivered = true;
        // After an error reply nothing is waited for, whoever still gets it.
        let last = publish.waiting_for == 1;
        publish.waiting_for = publish.waiting_for.saturating_sub(1);
        let since = Since { started: publish.started, measured: publish.measured };
        if last && publish.replied {
            state.open -= 1;
            self.settle(&mut state);
        }
        Some(Delivered { since: Some(since), last, refused })
    }

    /// The reply to this publish has come.
    pub(crate) fn replied(&self, sequence: u64, reply: PublishReply) -> Replied {
        let mut state = self.state.borrow_mut();
        if sequence == 0 || sequence > state.last() {
            return Replied::Unasked;
        }
        if state.unanswered.remove(sequence) {
            return Replied::TooLate;
        }
        let Some(publish) = state.publish_mut(sequence) else {
            return Replied::Unasked;
        };
        if publish.replied {
            return Replied::Unasked;
        }
        publish.replied = true;
        let replied = match reply {
            PublishReply::Ok => Replied::Ok(Since { started: publish.started, measured: publish.measured }),
            PublishReply::Refused { reason, unknown } => {
                publish.waiting_for = 0;
                let delivered = publish.delivered && !unknown;
                state.excused.insert(sequence, sequence);
                if !unknown {
                    state.refused.insert(sequence, sequence);
                }
                Replied::Refused { reason, delivered }
            }
        };
        if state.publish_mut(sequence).is_some_and(|publish| publish.done()) {
            state.open -= 1;
            self.settle(&mut state);
        }
        replied
    }

    /// A member is gone: nothing waits for it any more.
    pub(crate) fn member_left(&self, has_seen: impl Fn(u64) -> bool) {
        let mut state = self.state.borrow_mut();
        state.members = state.members.saturating_sub(1);
        let State { first, flight, open, .. } = &mut *state;
        for (publish, sequence) in flight.iter_mut().zip(*first..) {
            if !has_seen(sequence) && !publish.done() {
                publish.waiting_for = publish.waiting_for.saturating_sub(1);
                *open -= usize::from(publish.done());
            }
        }
        self.settle(&mut state);
    }

    /// The publisher is gone: replies cannot come any more, and what it sent last may or may not have happened.
    pub(crate) fn publisher_left(&self) {
        let mut state = self.state.borrow_mut();
        let State { first, flight, open, excused, unanswered, .. } = &mut *state;
        for (publish, sequence) in flight.iter_mut().zip(*first..) {
            if !publish.replied {
                (publish.replied, publish.waiting_for) = (true, 0);
                *open -= 1;
                excused.insert(sequence, sequence);
                unanswered.insert(sequence, sequence);
            }
        }
        self.settle(&mut state);
    }

    /// Gives up the publishes that are older than the deadline, so that a lost one does not end the load; what
    /// their subscribers lack shows in the check. Gives the numbers that had no reply.
    pub(crate) fn give_up(&self, now: Instant, deadline: Duration) -> Vec<u64> {
        let mut state = self.state.borrow_mut();
        let mut unanswered = Vec::new();
        while let Some(publish) = state.flight.front().copied()
            && now.saturating_duration_since(publish.sent) >= deadline
        {
            let sequence = state.first;
            if !publish.replied {
                unanswered.push(sequence);
                state.excused.insert(sequence, sequence);
                state.unanswered.insert(sequence, sequence);
            }
            state.open -= usize::from(!publish.done());
            state.flight.pop_front();
            state.first += 1;
        }
        self.settle(&mut state);
        unanswered
    }

    /// Takes what is done off the front of the flight, and tells the publisher that there may be room.
    fn settle(&self, state: &mut State) {
        while state.flight.front().is_some_and(Publish::done) {
            state.flight.pop_front();
            state.first += 1;
        }
        self.progress.notify_one();
    }
}

impl Publish {
    fn done(&self) -> bool {
        self.waiting_for == 0 && self.replied
    }
}

impl State {
    fn last(&self) -> u64 {
        self.first + self.flight.len() as u64 - 1
    }

    fn publish_mut(&mut self, sequence: u64) -> Option<&mut Publish> {
        let index = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.flight.get_mut(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(members: usize) -> Topic {
        Topic::new("t".into(), 1, members, 128)
    }

    fn refused(unknown: bool) -> PublishReply {
        PublishReply::Refused { reason: "overloaded".into(), unknown }
    }

    #[test]
    fn in_flight_until_all_have_it_and_the_reply_came() {
        let topic = topic(2);
        let now = Instant::now();
        assert_eq!((topic.publish(now, now, true), topic.publish(now, now, true)), (1, 2));
        assert!(!topic.delivered(1).unwrap().last);
        assert!(topic.delivered(1).unwrap().last);
        assert_eq!(topic.in_flight(), 2);
        assert!(matches!(topic.replied(1, PublishReply::Ok), Replied::Ok(_)));
        assert_eq!(topic.in_flight(), 1);
        assert_eq!(topic.replied(1, PublishReply::Ok), Replied::Unasked);
        assert_eq!(topic.delivered(3), None);
        assert_eq!(topic.replied(3, PublishReply::Ok), Replied::Unasked);
    }

    #[test]
    fn one_that_lost_a_delivery_does_not_hold_up_the_others() {
        let topic = topic(1);
        let now = Instant::now();
        for sequence in 1..=3 {
            topic.publish(now, now, true);
            topic.replied(sequence, PublishReply::Ok);
        }
        topic.delivered(2);
        topic.delivered(3);
        assert_eq!(topic.in_flight(), 1);
        assert!(topic.give_up(now, Duration::ZERO).is_empty());
        assert_eq!((topic.in_flight(), topic.last()), (0, 3));
    }

    #[test]
    fn a_reply_after_the_deadline_is_told_from_one_too_many() {
        let topic = topic(1);
        let now = Instant::now();
        topic.publish(now, now, true);
        assert_eq!(topic.give_up(now, Duration::ZERO), [1]);
        assert_eq!(topic.replied(1, PublishReply::Ok), Replied::TooLate);
        assert_eq!(topic.replied(1, PublishReply::Ok), Replied::Unasked);
    }

    #[test]
    fn nothing_waits_for_the_replies_of_a_publisher_that_left() {
        let topic = topic(2);
        let now = Instant::now();
        topic.publish(now, now, true);
        topic.publish(now, now, true);
        topic.replied(2, PublishReply::Ok);
        topic.publisher_left();
        assert_eq!(topic.in_flight(), 1);
        assert!(topic.with_excused(|excused| excused.contains(1) && !excused.contains(2)));
        topic.member_left(|_| false);
        topic.delivered(2);
        assert_eq!(topic.in_flight(), 0);
    }

    #[test]
    fn a_refused_publish_leaves_the_flight_and_is_excused() {
        let topic = topic(2);
        topic.publish(Instant::now(), Instant::now(), true);
        topic.publish(Instant::now(), Instant::now(), true);
        let reason = "overloaded".to_owned();
        assert_eq!(
            topic.replied(1, refused(false)),
            Replied::Refused { reason: reason.clone(), delivered: false }
        );
        assert!(topic.delivered(1).unwrap().refused);
        topic.delivered(2);
        assert_eq!(topic.replied(2, refused(false)), Replied::Refused { reason, delivered: true });
        assert_eq!(topic.in_flight(), 0);
        assert!(topic.with_excused(|excused| excused.contains(1) && excused.contains(2)));
    }

    #[test]
    fn an_unknown_outcome_may_be_delivered_or_not() {
        let topic = topic(2);
        topic.publish(Instant::now(), Instant::now(), true);
        topic.delivered(1);
        assert!(matches!(topic.replied(1, refused(true)), Replied::Refused { delivered: false, .. }));
        assert!(!topic.delivered(1).unwrap().refused);
    }

    #[test]
    fn nobody_waits_for_a_member_that_left_or_a_publish_that_is_too_old() {
        let topic = topic(2);
        let now = Instant::now();
        topic.publish(now, now, true);
        topic.replied(1, PublishReply::Ok);
        topic.delivered(1);
        topic.member_left(|_| false);
        assert_eq!(topic.in_flight(), 0);
        topic.publish(now, now, true);
        topic.publish(now, now + Duration::from_secs(5), true);
        assert_eq!(topic.give_up(now + Duration::from_secs(3), Duration::from_secs(3)), [2]);
        assert_eq!(topic.in_flight(), 1);
        assert_eq!(topic.last(), 3);
    }
}
