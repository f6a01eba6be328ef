//! A publish on its way to the owner: from the moment the hub takes it until its publisher has an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use campanile_proto::{Epoch, Incarnation, Message};
use parking_lot::Mutex;

use crate::client::outbox::{Item, Outbox};
use crate::hub::reason::Reason;

/// Who wants to know what became of a publish.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Where the answer goes.
    pub outbox: Outbox,
    /// What the front calls the publish.
    pub token: u32,
}

/// What a front wants published.
#[derive(Clone, Debug)]
pub struct Post {
    /// What subscribers get.
    pub message: Message,
    /// Idempotency key: published with it before, it counts once.
    pub key: Option<Bytes>,
    /// Who is to be told.
    pub origin: Origin,
}

/// What the owner made of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The topic's epoch.
    pub epoch: Epoch,
    /// The message's offset.
    pub offset: u64,
    /// Listeners that count, on all gateways, as the owner knew them.
    pub receivers: u32,
}

/// What room there is for a publish, and so what becomes of it and of who sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Room {
    /// Enough.
    #[default]
    Ample,
    /// The publish is taken, and who sends many at once is read more slowly.
    Scarce,
    /// The publish is refused.
    None,
}

impl Room {
    /// Of `room as u8`.
    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Ample,
            1 => Self::Scarce,
            _ => Self::None,
        }
    }
}

/// One publish.
#[derive(Debug)]
pub struct Pending {
    /// The topic's slot.
    pub slot: u32,
    /// The topic.
    pub topic: Bytes,
    /// Grows per topic.
    pub number: u64,
    /// When its publisher is told that there was no answer.
    pub deadline: Instant,
    /// What is published.
    pub message: Message,
    /// Published with this key before, it counts once.
    pub key: Option<Bytes>,
    origin: Origin,
    budget: Arc<Budget>,
    cost: usize,
    /// Its own lock: a link's writer changes it without the topic's.
    way: Mutex<Way>,
}

/// How far a publish has come.
#[derive(Debug)]
struct Way {
    state: State,
    /// The newest sending. Copies of older ones that still lie in an outbox never leave it.
    sending: u64,
    /// Copies that were handed over and not refused.
    copies: u32,
    /// The newest sending was handed over, and its answer is still to come on that link.
    awaited: bool,
    /// The epoch under which it was handed over first, if that was known.
    epoch: Option<Epoch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In no link's hands.
    Queued,
    /// Handed to a link of this topic server: it may have happened.
    Handed(Incarnation),
    /// Given up before it was handed to a link: it never leaves this process.
    GivenUp,
}

/// Bytes of publishes that wait for one topic server, bounded. Rule for full: the publish is refused as
/// overloaded, which has not happened then; an empty queue takes any one publish.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    /// Room for so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// Bytes that wait.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, cost: usize) -> bool {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                (used == 0 || used + cost <= self.limit).then_some(used + cost)
            })
            .is_ok()
    }

    fn give_back(&self, cost: usize) {
        self.used.fetch_sub(cost, Ordering::Relaxed);
    }
}

impl Pending {
    /// A publish that waits for its link, if the budget has room for it.
    pub fn queue(
        slot: u32,
        topic: Bytes,
        number: u64,
        deadline: Instant,
        post: Post,
        budget: &Arc<Budget>,
    ) -> Result<Arc<Self>, Origin> {
        let Post { message, key, origin } = post;
        let cost = topic.len() + message.len() + campanile_proto::wire::ITEM_OVERHEAD;
        if !budget.take(cost) {
            return Err(origin);
        }
        Ok(Arc::new(Self {
            slot,
            topic,
            number,
            deadline,
            message,
            key,
            origin,
            budget: Arc::clone(budget),
            cost,
            way: Mutex::new(Way { state: State::Queued, sending: 0, copies: 0, awaited: false, epoch: None }),
        }))
    }

    /// Bytes that it takes in a batch.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// A new sending: of older ones nothing leaves any more. Returns its number, for [`Pending::hand_to`].
    pub fn send_anew(&self) -> u64 {
        let mut way = self.way.lock();
        way.sending += 1;
        way.awaited = false;
        way.sending
    }

    /// What has not left a queue yet stays here; what was handed over is still answered.
    pub fn recall(&self) {
        self.way.lock().sending += 1;
    }

    /// Whether the answer to the newest sending is still to come: it was handed over, and not refused.
    pub fn is_awaited(&self) -> bool {
        self.way.lock().awaited
    }

    /// The topic went over to another process, which knows what became of the copies at the one before: from here on
    /// it may be handed to that one, as a re-send. `false` if it is not known under which epoch it was handed over:
    /// then nobody could tell a new life of the topic from the old one.
    pub fn pass_to(&self, successor: Incarnation) -> bool {
        let mut way = self.way.lock();
        let passes = matches!(way.state, State::Handed(_)) && way.epoch.is_some();
        if passes {
            way.state = State::Handed(successor);
        }
        passes
    }

    /// The link's writer takes a sending: from here on it may have happened. `false` if it must not leave: it was
    /// given up, a newer sending takes its place, or it is in the hands of another process.
    pub fn hand_to(&self, owner: Incarnation, sending: u64) -> bool {
        let mut way = self.way.lock();
        if way.sending != sending {
            return false;
        }
        match way.state {
            State::Queued => self.budget.give_back(self.cost),
            State::Handed(same) if same == owner => {}
            State::Handed(_) | State::GivenUp => return false,
        }
        way.state = State::Handed(owner);
        way.copies += 1;
        way.awaited = true;
        true
    }

    /// The process that it was handed to, if it was.
    pub fn handed_to(&self) -> Option<Incarnation> {
        match self.way.lock().state {
            State::Handed(owner) => Some(owner),
            State::Queued | State::GivenUp => None,
        }
    }

    /// Whether more than one copy of it is without an answer: then a refusal of one says nothing of the others.
    pub fn is_resent(&self) -> bool {
        self.way.lock().copies > 1
    }

    /// The owner has said of the newest sending that it did not run it. If that was the only copy, the publish waits
    /// again, as if it had never left; the budget is not asked again, since it was admitted once.
    pub fn take_back(&self) {
        let mut way = self.way.lock();
        way.awaited = false;
        way.sending += 1;
        self.forget_copy(&mut way);
    }

    /// The same of an older sending, whose answer has come late.
    pub fn take_back_older(&self) {
        self.forget_copy(&mut self.way.lock());
    }

    fn forget_copy(&self, way: &mut Way) {
        if matches!(way.state, State::Handed(_)) {
            way.copies = way.copies.saturating_sub(1);
            if way.copies == 0 {
                way.state = State::Queued;
                way.epoch = None;
                self.budget.used.fetch_add(self.cost, Ordering::Relaxed);
            }
        }
    }

    /// Notes the epoch of the first sending; a later one changes nothing.
    pub fn note_epoch(&self, epoch: Option<Epoch>) {
        let mut way = self.way.lock();
        way.epoch = way.epoch.or(epoch);
    }

    /// The epoch of the first sending.
    pub fn epoch(&self) -> Option<Epoch> {
        self.way.lock().epoch
    }

    /// Stops waiting for an answer: it never left, or nobody knows what became of it.
    pub fn give_up(&self) -> Reason {
        let mut way = self.way.lock();
        match way.state {
            State::Handed(_) => Reason::Unanswered,
            State::GivenUp => Reason::OwnerUnreachable,
            State::Queued => {
                way.state = State::GivenUp;
                self.budget.give_back(self.cost);
                Reason::OwnerUnreachable
            }
        }
    }

    /// Tells the publisher.
    pub fn answer(&self, result: Result<Accepted, Reason>) {
        self.origin.answer(result);
    }
}

impl Origin {
    /// Tells the publisher.
    pub fn answer(&self, result: Result<Accepted, Reason>) {
        self.outbox.push(Item::Answer { token: self.token, result });
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.way.get_mut().state == State::Queued {
            self.budget.give_back(self.cost);
        }
    }
}
