//! A publish on its way to the owner: from the moment the hub takes it until its publisher has an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use campanile_proto::{Epoch, Incarnation, Message};

use crate::client::outbox::{Item, Outbox};
use crate::hub::reason::Reason;

/// Not handed to a link yet.
const QUEUED: u64 = 0;

/// Given up before it was handed to a link: it never leaves this process.
const GIVEN_UP: u64 = u64::MAX;

/// Who wants to know what became of a publish.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Where the answer goes.
    pub outbox: Outbox,
    /// What the front calls the publish.
    pub token: u32,
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
    origin: Origin,
    budget: Arc<Budget>,
    cost: usize,
    /// `QUEUED`, `GIVEN_UP`, or the incarnation of the topic server that it was handed to.
    handed: AtomicU64,
    /// The epoch under which it was handed over first; 0 if that was not known.
    epoch: AtomicU64,
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
        Self {
            limit,
            used: AtomicUsize::new(0),
        }
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
        message: Message,
        origin: Origin,
        budget: &Arc<Budget>,
    ) -> Result<Arc<Self>, Origin> {
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
            origin,
            budget: Arc::clone(budget),
            cost,
            handed: AtomicU64::new(QUEUED),
            epoch: AtomicU64::new(0),
        }))
    }

    /// Bytes that it takes in a batch.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// The link's writer takes it: from here on it may have happened. `false` if it was given up before.
    pub fn hand_to(&self, owner: Incarnation) -> bool {
        match self
            .handed
            .compare_exchange(QUEUED, owner.0, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => {
                self.budget.give_back(self.cost);
                true
            }
            Err(GIVEN_UP) => false,
            // A re-send.
            Err(_) => true,
        }
    }

    /// The process that it was handed to, if it was.
    pub fn handed_to(&self) -> Option<Incarnation> {
        match self.handed.load(Ordering::Acquire) {
            QUEUED | GIVEN_UP => None,
            owner => Some(Incarnation(owner)),
        }
    }

    /// The owner has said that it did not run it: it waits again, as if it had never left. The budget is not asked
    /// again, since the publish was admitted once.
    pub fn take_back(&self) {
        if self.handed_to().is_some() {
            self.budget.used.fetch_add(self.cost, Ordering::Relaxed);
            self.handed.store(QUEUED, Ordering::Release);
        }
    }

    /// Notes the epoch of the first sending; a later one changes nothing.
    pub fn note_epoch(&self, epoch: Option<Epoch>) {
        if let Some(epoch) = epoch {
            let _ = self
                .epoch
                .compare_exchange(0, epoch.0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The epoch of the first sending.
    pub fn epoch(&self) -> Option<Epoch> {
        match self.epoch.load(Ordering::Relaxed) {
            0 => None,
            epoch => Some(Epoch(epoch)),
        }
    }

    /// Stops waiting for an answer: it never left, or nobody knows what became of it.
    pub fn give_up(&self) -> Reason {
        match self
            .handed
            .compare_exchange(QUEUED, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => {
                self.budget.give_back(self.cost);
                Reason::OwnerUnreachable
            }
            Err(GIVEN_UP) => Reason::OwnerUnreachable,
            Err(_) => Reason::Unanswered,
        }
    }

    /// Tells the publisher.
    pub fn answer(&self, result: Result<(Epoch, u64), Reason>) {
        self.origin.answer(result);
    }
}

impl Origin {
    /// Tells the publisher.
    pub fn answer(&self, result: Result<(Epoch, u64), Reason>) {
        self.outbox.push(Item::Answer {
            token: self.token,
            result,
        });
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if *self.handed.get_mut() == QUEUED {
            self.budget.give_back(self.cost);
        }
    }
}
