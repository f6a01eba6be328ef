//! What all tasks of a run count together. One thread: cells, no locks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Instant;

use tokio::sync::Notify;

use crate::faults::{FaultKind, Faults};
use crate::latency::Latency;

/// The counters and the clock of one run.
#[derive(Debug)]
pub(crate) struct Shared {
    /// When the measurement begins and ends; a stop moves the end forward.
    pub(crate) begin: Instant,
    pub(crate) end: Cell<Instant>,
    /// Between the two readings of the processes' CPU: what is counted in the same window.
    pub(crate) measuring: Cell<bool>,
    pub(crate) publishes: Cell<u64>,
    pub(crate) deliveries: Cell<u64>,
    /// Over the whole run.
    pub(crate) all_deliveries: Cell<u64>,
    pub(crate) publishers_at_work: Cell<usize>,
    /// From publish to one subscriber, to the last subscriber, to the reply; and from schedule to sending.
    pub(crate) delivery_latency: RefCell<Latency>,
    pub(crate) last_latency: RefCell<Latency>,
    pub(crate) reply_latency: RefCell<Latency>,
    pub(crate) lateness: RefCell<Latency>,
    pub(crate) refusals: RefCell<BTreeMap<String, u64>>,
    pub(crate) faults: RefCell<Faults>,
    /// Tells the publishers that the end was moved.
    pub(crate) end_moved: Notify,
    /// Tells all tasks to close their connections.
    pub(crate) closing: Notify,
}

impl Shared {
    pub(crate) fn new(begin: Instant, end: Instant, publishers: usize) -> Self {
        Self {
            begin,
            end: Cell::new(end),
            measuring: Cell::new(false),
            publishes: Cell::new(0),
            deliveries: Cell::new(0),
            all_deliveries: Cell::new(0),
            publishers_at_work: Cell::new(publishers),
            delivery_latency: RefCell::default(),
            last_latency: RefCell::default(),
            reply_latency: RefCell::default(),
            lateness: RefCell::default(),
            refusals: RefCell::default(),
            faults: RefCell::default(),
            end_moved: Notify::new(),
            closing: Notify::new(),
        }
    }

    /// Counts faults of a kind.
    pub(crate) fn fault(&self, kind: FaultKind, count: u64, example: impl FnOnce() -> String) {
        self.faults.borrow_mut().add(kind, count, example);
    }

    /// Ends the publishing now.
    pub(crate) fn stop_publishing(&self) {
        self.end.set(self.end.get().min(Instant::now()));
        self.end_moved.notify_waiters();
    }
}
