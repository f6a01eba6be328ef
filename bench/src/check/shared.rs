//! What all tasks of a run count together. One thread: cells, no locks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use tokio::sync::watch;

use super::judge::Topic;
use crate::faults::{FaultKind, Faults};
use crate::frame::Payload;
use crate::latency::Latency;

/// How many different reasons are counted apart.
const REASONS: usize = 50;

/// How far the run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Joining,
    /// Publishers publish, and some subscribers come and go.
    Publishing,
    /// Nothing new; what is unanswered is asked for again, and everybody comes back.
    CatchingUp,
    Closing,
}

/// Counts by reason.
#[derive(Debug, Default)]
pub(super) struct Reasons(RefCell<BTreeMap<String, u64>>);

impl Reasons {
    pub(super) fn count(&self, reason: &str) {
        let mut reasons = self.0.borrow_mut();
        let known = reasons.contains_key(reason) || reasons.len() < REASONS;
        let reason = if known { reason } else { "other" };
        *reasons.entry(reason.to_owned()).or_default() += 1;
    }

    pub(super) fn take(&self) -> BTreeMap<String, u64> {
        self.0.take()
    }
}

/// A counter.
#[derive(Debug, Default)]
pub(super) struct Count(Cell<u64>);

impl Count {
    pub(super) fn up(&self) {
        self.0.set(self.0.get() + 1);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// One topic, its judge and its payloads.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) judge: RefCell<Topic>,
    pub(super) payload: Payload,
}

/// The counters and the phase of one run.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) topics: Vec<Subject>,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) faults: RefCell<Faults>,
    /// Whether a loss that is told is a fault, too.
    lossless: bool,
    /// Members that are joined now.
    pub(super) joined: Cell<usize>,
    /// Publishes without a final answer.
    pub(super) outstanding: Cell<usize>,
    pub(super) publishes: Count,
    pub(super) retries: Count,
    /// Publishes whose fate nobody will learn.
    pub(super) given_up: Count,
    pub(super) events: Count,
    pub(super) leaves: Count,
    pub(super) reconnects: Count,
    pub(super) recovered: Count,
    pub(super) not_recovered: Count,
    pub(super) notices: Count,
    pub(super) publish_errors: Reasons,
    pub(super) join_errors: Reasons,
    pub(super) losses: Reasons,
    /// From a publish's first sending to its `ok`.
    pub(super) waits: RefCell<Latency>,
}

impl Shared {
    pub(super) fn new(topics: Vec<Subject>, lossless: bool) -> Self {
        Self {
            topics,
            phase: watch::Sender::new(Phase::Joining),
            faults: RefCell::default(),
            lossless,
            joined: Cell::default(),
            outstanding: Cell::default(),
            publishes: Count::default(),
            retries: Count::default(),
            given_up: Count::default(),
            events: Count::default(),
            leaves: Count::default(),
            reconnects: Count::default(),
            recovered: Count::default(),
            not_recovered: Count::default(),
            notices: Count::default(),
            publish_errors: Reasons::default(),
            join_errors: Reasons::default(),
            losses: Reasons::default(),
            waits: RefCell::default(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(super) fn fault(&self, kind: FaultKind, words: impl FnOnce() -> String) {
        self.faults.borrow_mut().add(kind, 1, words);
    }

    /// A member was told that it may lack something.
    pub(super) fn told_of_loss(&self, words: impl FnOnce() -> String) {
        if self.lossless {
            self.fault(FaultKind::ToldLoss, words);
        }
    }
}
