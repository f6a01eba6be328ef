//! What one member may hear next: offsets that grow by one, until it is told of a loss.

use std::time::Instant;

use crate::sequence::Ranges;

/// How many separate gaps are remembered before they are told.
const GAPS: usize = 256;

/// One member's place in the topic.
#[derive(Debug)]
pub(super) struct Stream {
    /// In words, such as `subscriber 7`.
    pub(super) name: String,
    /// The epoch's index and the last offset that it has, once it has joined.
    pub(super) at: Option<(usize, u64)>,
    /// Since when it is joined; none while it is away.
    pub(super) joined: Option<Instant>,
    /// The judge's clock at the last time at which it was told that it may lack something.
    pub(super) unbroken_since: u64,
    /// Joined with `recovered: true`, and nothing came since.
    just_recovered: bool,
    /// Offsets that were skipped without notice.
    gaps: Ranges,
}

/// What an offset means for its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Next,
    /// Offsets before it did not come; they are missing unless they come late.
    Skipped,
    /// The same, as the first event after `recovered: true`: that was not true.
    NotRecovered {
        missing: u64,
    },
    /// One that was skipped before.
    Late,
    Doubled,
    /// The member has not joined.
    Uninvited,
}

impl Stream {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            at: None,
            joined: None,
            unbroken_since: 0,
            just_recovered: false,
            gaps: Ranges::default(),
        }
    }

    /// Goes on where it was.
    pub(super) fn recovered(&mut self, now: Instant) {
        self.joined = Some(now);
        self.just_recovered = true;
    }

    /// Goes on somewhere else; gives the gaps of the time before, which nothing can fill any more.
    pub(super) fn broken(&mut self, at: (usize, u64), clock: u64) -> Ranges {
        self.at = Some(at);
        self.unbroken_since = clock;
        self.just_recovered = false;
        std::mem::take(&mut self.gaps)
    }

    /// Takes the next event's offset.
    pub(super) fn step(&mut self, offset: u64) -> Step {
        let Some((_, last)) = &mut self.at else {
            return Step::Uninvited;
        };
        let first = std::mem::take(&mut self.just_recovered);
        if offset <= *last {
            return if self.gaps.remove(offset) { Step::Late } else { Step::Doubled };
        }
        let skipped = offset - *last - 1;
        let from = *last + 1;
        *last = offset;
        match (skipped, first) {
            (0, _) => Step::Next,
            (missing, true) => Step::NotRecovered { missing },
            (_, false) => {
                self.gaps.insert(from, offset - 1);
                Step::Skipped
            }
        }
    }

    /// Gaps that were not filled.
    pub(super) fn gaps(&self) -> &Ranges {
        &self.gaps
    }

    /// The gaps, if they have become too many to remember.
    pub(super) fn too_many_gaps(&mut self) -> Option<Ranges> {
        (self.gaps.ranges().len() > GAPS).then(|| std::mem::take(&mut self.gaps))
    }

    /// Whether it has been joined since before `moment`, so that it needed no replay of what was sent then.
    pub(super) fn was_there(&self, moment: Instant) -> bool {
        self.joined.is_some_and(|joined| joined <= moment)
    }
}
