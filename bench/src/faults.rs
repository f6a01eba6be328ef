//! What went wrong, counted by kind, with the first examples in words.

use std::fmt;

/// How many different examples are kept; all faults are counted.
const EXAMPLES: usize = 20;

/// The kinds of fault. Any of them makes the exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A subscriber never saw a publish that was not refused.
    Missing,
    /// A subscriber saw a publish twice.
    Doubled,
    /// A subscriber saw a publish after a later one.
    Reordered,
    /// A frame that this channel may not receive: damaged, another topic's, never published.
    Strange,
    /// A publish that was refused as "not published" was delivered.
    RefusedButDelivered,
    /// A publish had no reply within the deadline.
    Unanswered,
    /// The server closed a connection or a channel, or the connection broke.
    Closed,
    /// A connection could not be opened, or its join was refused.
    NotOpened,
    /// An offset has one message for one subscriber and another for another.
    Conflicting,
    /// A publish has another offset than its reply says, or one that was given out before it was sent.
    WrongOffset,
    /// `recovered: true`, and something was lost.
    FalseRecovery,
    /// A subscriber was sent back to an offset before its own.
    WentBack,
    /// A subscriber was left in an old epoch without notice.
    NotTold,
    /// A subscriber could not come back before the deadline.
    NotBack,
    /// With `--lossless`: a subscriber was told of a loss.
    ToldLoss,
}

impl FaultKind {
    /// Every kind, in the order they are shown.
    pub const ALL: [Self; 15] = [
        Self::Missing,
        Self::Doubled,
        Self::Reordered,
        Self::Strange,
        Self::RefusedButDelivered,
        Self::Unanswered,
        Self::Closed,
        Self::NotOpened,
        Self::Conflicting,
        Self::WrongOffset,
        Self::FalseRecovery,
        Self::WentBack,
        Self::NotTold,
        Self::NotBack,
        Self::ToldLoss,
    ];

    /// The key in `--json`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Doubled => "doubled",
            Self::Reordered => "reordered",
            Self::Strange => "strange",
            Self::RefusedButDelivered => "refused_but_delivered",
            Self::Unanswered => "unanswered",
            Self::Closed => "closed",
            Self::NotOpened => "not_opened",
            Self::Conflicting => "conflicting",
            Self::WrongOffset => "wrong_offset",
            Self::FalseRecovery => "false_recovery",
            Self::WentBack => "went_back",
            Self::NotTold => "not_told",
            Self::NotBack => "not_back",
            Self::ToldLoss => "told_loss",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "deliveries missing",
            Self::Doubled => "deliveries doubled",
            Self::Reordered => "deliveries out of order",
            Self::Strange => "frames that must not come",
            Self::RefusedButDelivered => "publishes refused but delivered",
            Self::Unanswered => "publishes without a reply",
            Self::Closed => "connections or channels lost",
            Self::NotOpened => "connections not opened",
            Self::Conflicting => "offsets with two messages",
            Self::WrongOffset => "publishes with a wrong offset",
            Self::FalseRecovery => "recovered: true, but not true",
            Self::WentBack => "subscribers sent back",
            Self::NotTold => "subscribers left in an old epoch",
            Self::NotBack => "subscribers that did not come back",
            Self::ToldLoss => "losses that were told",
        })
    }
}

/// All faults of a run: exact counts, at most 20 different examples.
#[derive(Debug, Default)]
pub struct Faults {
    counts: [u64; FaultKind::ALL.len()],
    /// The words, and how often exactly these.
    examples: Vec<(String, u64)>,
}

impl Faults {
    /// Counts `count` faults of a kind; `example` is asked for words only while there is room for them.
    pub(crate) fn add(&mut self, kind: FaultKind, count: u64, example: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        self.counts[kind as usize] += count;
        if self.examples.len() == EXAMPLES {
            return;
        }
        let words = example();
        match self.examples.iter_mut().find(|(known, _)| *known == words) {
            Some((_, times)) => *times += 1,
            None => self.examples.push((words, 1)),
        }
    }

    /// How many of this kind.
    pub fn count(&self, kind: FaultKind) -> u64 {
        self.counts[kind as usize]
    }

    /// How many of all kinds.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The first faults in words, with the ids of topic, subscriber and messages.
    pub fn examples(&self) -> Vec<String> {
        let shown = |(words, times): &(String, u64)| match times {
            1 => words.clone(),
            times => format!("{words} ({times} times)"),
        };
        self.examples.iter().map(shown).collect()
    }

    /// Whether there may be faults that no example shows.
    pub(crate) fn more_than_shown(&self) -> bool {
        self.examples.len() == EXAMPLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_few_are_kept() {
        let mut faults = Faults::default();
        for number in 0..100 {
            faults.add(FaultKind::Doubled, 2, || format!("fault {number}"));
        }
        faults.add(FaultKind::Missing, 0, || unreachable!("nothing to tell"));
        assert_eq!((faults.total(), faults.count(FaultKind::Doubled)), (200, 200));
        assert_eq!(faults.examples().len(), EXAMPLES);
        assert!(faults.more_than_shown());
        let mut same = Faults::default();
        (0..88).for_each(|_| same.add(FaultKind::NotOpened, 1, || "no answer".into()));
        assert_eq!(same.examples(), ["no answer (88 times)"]);
        assert!(FaultKind::ALL.iter().enumerate().all(|(index, kind)| *kind as usize == index));
    }
}
