//! The numbers that the two tiers name things by.

use std::fmt;

/// The version of the link protocol that this build speaks. A link accepts this one and the one before.
pub const LINK_VERSION: u32 = 2;

/// Whether this build can speak with an end that names `version`.
pub fn speaks(version: u32) -> bool {
    version != 0 && (version == LINK_VERSION || version + 1 == LINK_VERSION)
}

/// Whether an end that was refused for these reasons should say the other version next time. What is said has not changed since
/// version 1.
pub fn is_refused_version(reasons: &str) -> bool {
    reasons.contains("speaks link version")
}

/// Longest idempotency key, in bytes.
pub const KEY_BYTES: usize = 64;

/// How many unanswered publishes of one gateway a topic remembers the offsets of (rule L5).
pub const WINDOW: usize = 4096;

/// A topic's bounds on the link and in the core, in bytes.
pub const TOPIC_BYTES: std::ops::RangeInclusive<usize> = 1..=1024;

/// Longest pattern of topics, in bytes.
pub const PATTERN_BYTES: usize = 1024;

/// An event's bounds on the link and in the core, in bytes.
pub const EVENT_BYTES: std::ops::RangeInclusive<usize> = 1..=255;

/// One life of a process: random at its start, never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u64);

/// One life of a topic's message counter: random when the topic is created, never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

/// One subscription of one gateway: the slot of its topic there, and a generation that is new with each
/// `Subscribe` (rule L3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subscription {
    /// The gateway's index of the topic.
    pub slot: u32,
    /// Which of this slot's subscriptions.
    pub generation: u32,
}

impl Subscription {
    /// As it travels: generation in the upper half.
    pub fn to_wire(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// From how it travels.
    pub fn from_wire(number: u64) -> Self {
        Self { slot: number as u32, generation: (number >> 32) as u32 }
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.slot, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_survives_the_wire() {
        for (slot, generation) in [(0, 1), (7, u32::MAX), (u32::MAX, 0), (u32::MAX, u32::MAX)] {
            let number = Subscription { slot, generation };
            assert_eq!(Subscription::from_wire(number.to_wire()), number);
        }
    }

    #[test]
    fn only_this_link_version_and_the_one_before_are_spoken() {
        assert!(speaks(LINK_VERSION));
        assert!(!speaks(LINK_VERSION + 1));
        assert!(!speaks(0));
    }
}
