//! A topic server from which this one takes topics: the link that this one opened, what it asked there, and what it
//! said of what came.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_proto::Incarnation;
use campanile_proto::handoff::FromPeer;

use crate::handoff::outbox::PeerOutbox;
use crate::topics::moving::Arrived;
use crate::topics::portable::Arriving;

/// Without a link for so long, a server counts as out of reach (H4).
pub const UNSEEN_AFTER: Duration = Duration::from_secs(5);

/// One giver.
#[derive(Debug)]
pub(super) struct Giver {
    pub(super) link: Option<Up>,
    /// The last moment with a link, or the first at which there should have been one.
    last_seen: Instant,
    /// What is known of what it knows of rings (R2).
    pub(super) knowledge: Knowledge,
    /// Whose numbers the outcomes are.
    pub(super) of: Option<Incarnation>,
    /// What became of what came, until the giver has certainly heard of it (H3).
    outcomes: BTreeMap<u64, Arrived>,
}

/// What is known of what a giver knows of rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// It has not said anything, or has just started itself.
    Unknown,
    /// Nobody listens at its place.
    Nobody,
    /// It has said all that it knows.
    Said,
}

/// An open link.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) number: u64,
    pub(super) outbox: PeerOutbox,
    /// What was asked on it, under the newest ring.
    claimed: BTreeSet<Bytes>,
    pub(super) claimed_all: u64,
    pub(super) arriving: Option<Arriving>,
}

impl Giver {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            link: None,
            last_seen: now,
            knowledge: Knowledge::Unknown,
            of: None,
            outcomes: BTreeMap::new(),
        }
    }

    /// A link is up. What was said before is said again, first: it may not have arrived.
    pub(super) fn set_up(&mut self, number: u64, outbox: PeerOutbox, incarnation: Incarnation) {
        if self.of != Some(incarnation) {
            self.outcomes.clear();
            self.of = Some(incarnation);
        }
        for (number, outcome) in &self.outcomes {
            outbox.push(said(*number, *outcome));
        }
        let (claimed, claimed_all, arriving) = (BTreeSet::new(), 0, None);
        self.link = Some(Up { number, outbox, claimed, claimed_all, arriving });
    }

    pub(super) fn set_down(&mut self, number: u64, now: Instant) {
        if self.link.take_if(|up| up.number == number).is_some() {
            self.last_seen = now;
        }
    }

    /// The link of this number, if it is the newest.
    pub(super) fn up(&mut self, number: u64) -> Option<&mut Up> {
        self.link.as_mut().filter(|up| up.number == number)
    }

    /// What became of a state that came before.
    pub(super) fn outcome(&self, number: u64) -> Option<Arrived> {
        self.outcomes.get(&number).copied()
    }

    /// Says what became of a state, now and on every link to come.
    pub(super) fn say(&mut self, number: u64, outcome: Arrived) {
        self.outcomes.insert(number, outcome);
        if let Some(up) = &self.link {
            up.outbox.push(said(number, outcome));
        }
    }

    /// It waits for nothing any more: it has heard everything.
    pub(super) fn has_heard_all(&mut self) {
        self.outcomes.clear();
    }

    /// The newest ring is another: what was asked under the one before has to be asked again.
    pub(super) fn ask_anew(&mut self) {
        if let Some(up) = &mut self.link {
            up.claimed.clear();
        }
    }

    /// Whether there was no link for too long.
    pub(super) fn is_unseen(&self, now: Instant) -> bool {
        self.link.is_none() && now.duration_since(self.last_seen) >= UNSEEN_AFTER
    }
}

impl Up {
    /// It has said what it had to say of a topic, which may be asked for again.
    pub(super) fn has_answered(&mut self, topic: &[u8]) {
        self.claimed.remove(topic);
    }

    /// Asks for a topic, once per ring.
    pub(super) fn claim(&mut self, topic: &[u8], ring_version: u64) {
        if !self.claimed.contains(topic) {
            let topic = Bytes::copy_from_slice(topic);
            self.claimed.insert(topic.clone());
            self.outbox.push(FromPeer::Claim { topic, ring_version });
        }
    }
}

fn said(number: u64, outcome: Arrived) -> FromPeer {
    match outcome {
        Arrived::Taken => FromPeer::Taken(number),
        Arrived::Disclaimed => FromPeer::Disclaimed(number),
    }
}
