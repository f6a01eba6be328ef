//! The promises, and what is said of one that broke.

use std::fmt;

/// A promise of the design, by its number in the simulation's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// At most one accepting holder of a topic at any time, but for rule H4.
    OneHolder,
    /// A server creates no topic that its ring gives to another.
    NoStrangeTopic,
    /// Every acknowledged publish is there exactly once, at one offset for all; one that is said not to have
    /// happened never is.
    ExactlyOnce,
    /// A client's offsets have no gap and no repeat unless it was told.
    NoSilentGap,
    /// `recovered: true` only if true, and nobody is told of a loss that was none.
    HonestResume,
    /// A planned move loses nothing, begins no epoch, and stalls no topic for long.
    PlannedMove,
    /// Every join and publish is answered in time, and nothing is left over at the end.
    Answered,
    /// What one session publishes to one topic gets its offsets in the order in which it was sent.
    OneOrder,
    /// No process goes back to an older ring.
    RingsGrow,
    /// A rule panicked.
    Panic,
}

/// What broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub invariant: Invariant,
    /// When, in simulated microseconds.
    pub at: u64,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} at {}.{:06} s: {}",
            self.invariant,
            self.at / 1_000_000,
            self.at % 1_000_000,
            self.text
        )
    }
}
