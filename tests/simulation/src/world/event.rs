//! What happens next, and who wakes whom.

use std::sync::Arc;
use std::task::Wake;

use campanile_proto::Incarnation;
use parking_lot::Mutex;

use crate::network::{End, Line};
use crate::plan::Process;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Arrive(Line, End),
    Write(Line, End),
    TickGateway(usize, Incarnation),
    TickServer(usize, Incarnation),
    Read(usize, u64),
    Act(usize),
    Birth(usize),
    Learn(usize, usize),
    Burst(usize),
    Operation(usize),
    Reach(Process, u64),
    Healed(Process, Process),
    Look,
    Calm,
    LastWords,
    Rest,
    End,
}

/// Somebody has something to take from an outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Woken {
    Link(usize, Line),
    Peer(Line, End),
    Client(usize, u64),
}

#[derive(Debug)]
pub(super) struct Bell {
    pub(super) what: Woken,
    pub(super) list: Arc<Mutex<Vec<Woken>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.list.lock().push(self.what);
    }
}
