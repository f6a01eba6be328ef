//! Replies that wait: for the owners of topics, or for the replies of commands before theirs.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::client::outbox::Tag;
use crate::hub::Told;
use crate::hub::reason::Reason;
use crate::redis::command::Kind;
use crate::redis::reply::Version;

/// So many publishes of one connection may be without an answer; what comes behind waits in its socket.
const PUBLISHES: usize = 256;

/// And so many bytes of them; one of any size may be.
const PUBLISHED_BYTES: usize = 1 << 20;

/// So many commands may wait otherwise, and so many bytes of their replies.
const REPLIES: usize = 256;
const REPLIED_BYTES: usize = 1 << 20;

/// What commands wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// For nothing.
    Free,
    /// Publishes are with their owners. What touches no subscription may be done meanwhile.
    Publishing,
    /// Subscriptions are with their owners. Further ones may follow them.
    Subscribing,
    /// One command that nothing may overtake.
    Alone,
}

/// A command's reply.
#[derive(Debug)]
pub(crate) enum Slot {
    /// It is there.
    Ready(Vec<u8>),
    /// That of a publish of so many bytes: how many got it.
    Publish { bytes: usize, answer: Option<Result<u64, Reason>> },
    /// Those of a command that subscribes.
    Subscribe(Subscribing),
    /// Those of a command that ends so many subscriptions, which owners still count.
    Unsubscribe { replies: Vec<u8>, left: usize },
    /// That of a question to topic servers.
    Ask { question: Question, told: Option<Result<Told, Reason>> },
    /// All that was queued before this command goes out first.
    Turn { then: Then, is_over: bool },
}

/// A command that subscribes.
#[derive(Debug)]
pub(crate) struct Subscribing {
    pub(crate) kind: Kind,
    /// Each name, and whether it is new to this connection.
    pub(crate) names: Vec<(Bytes, bool)>,
    /// The first of the subscriptions' numbers, and behind the last.
    pub(crate) numbers: std::ops::Range<u32>,
    /// Subscriptions that are not there yet.
    pub(crate) left: usize,
    /// What stands in front of their messages.
    pub(crate) tags: Vec<Arc<Tag>>,
}

/// What was asked, as its answer needs it.
#[derive(Debug)]
pub(crate) enum Question {
    /// Which channels there are.
    Channels,
    /// How many listen to these; no number was asked for what is longer than a channel may be.
    Listeners(Vec<(Bytes, bool)>),
    /// How many patterns there are.
    Patterns,
}

/// What is done at a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The version of the protocol changes, and the reply says so.
    Hello(Version),
    /// The connection is as new.
    Reset,
}

/// The replies that wait, in the order of their commands.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    slots: VecDeque<Slot>,
    /// The first slot's number.
    first: u32,
    phase: Option<Phase>,
    publishes: usize,
    published: usize,
    replied: usize,
}

impl Slot {
    fn is_ready(&self) -> bool {
        match self {
            Self::Ready(_) => true,
            Self::Publish { answer, .. } => answer.is_some(),
            Self::Subscribe(subscribing) => subscribing.left == 0,
            Self::Unsubscribe { left, .. } => *left == 0,
            Self::Ask { told, .. } => told.is_some(),
            Self::Turn { is_over, .. } => *is_over,
        }
    }
}

impl Pending {
    /// What commands wait for.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.unwrap_or(Phase::Free)
    }

    /// Whether one more publish may go to its owner.
    pub(crate) fn takes_publish(&self) -> bool {
        self.publishes < PUBLISHES
            && self.published < PUBLISHED_BYTES
            && self.slots.len() < PUBLISHES + REPLIES
    }

    /// Whether one more command may be done beside those that wait.
    pub(crate) fn takes_more(&self) -> bool {
        self.slots.len() < REPLIES && self.replied < REPLIED_BYTES
    }

    /// Puts a reply behind the others. Returns its number.
    pub(crate) fn push(&mut self, slot: Slot) -> u32 {
        match &slot {
            Slot::Ready(reply) => self.replied += reply.len(),
            Slot::Publish { bytes, .. } => {
                self.published += bytes;
                self.publishes += 1;
                self.phase = Some(Phase::Publishing);
            }
            Slot::Subscribe(_) => self.phase = Some(Phase::Subscribing),
            Slot::Unsubscribe { .. } | Slot::Ask { .. } | Slot::Turn { .. } => {
                self.phase = Some(Phase::Alone)
            }
        }
        self.slots.push_back(slot);
        self.first.wrapping_add(self.slots.len() as u32 - 1)
    }

    /// The reply of this number, while it waits.
    pub(crate) fn get(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.get_mut(number.wrapping_sub(self.first) as usize)
    }

    /// The command that waits for the subscription of this number.
    pub(crate) fn subscribing(&mut self, number: u32) -> Option<&mut Subscribing> {
        self.slots.iter_mut().find_map(|slot| match slot {
            Slot::Subscribe(subscribing) if subscribing.numbers.contains(&number) => Some(subscribing),
            _ => None,
        })
    }

    /// How many subscriptions the command has still to see the end of that ends some.
    pub(crate) fn unsubscribing(&mut self) -> Option<&mut usize> {
        self.slots.iter_mut().find_map(|slot| match slot {
            Slot::Unsubscribe { left, .. } => Some(left),
            _ => None,
        })
    }

    /// The first reply, if it is there.
    pub(crate) fn pop(&mut self) -> Option<Slot> {
        self.slots.front().filter(|slot| slot.is_ready())?;
        let slot = self.slots.pop_front()?;
        self.first = self.first.wrapping_add(1);
        match &slot {
            Slot::Ready(reply) => self.replied -= reply.len(),
            Slot::Publish { bytes, .. } => {
                self.published -= bytes;
                self.publishes -= 1;
            }
            _ => {}
        }
        if self.slots.is_empty() {
            self.phase = None;
            // A pipeline is over.
            self.slots = VecDeque::new();
        }
        Some(slot)
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}
