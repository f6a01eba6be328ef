//! One broken promise, in words.

use crate::faults::{FaultKind, Faults};

/// How many offsets or ranges are written out.
const SHOWN: usize = 5;

/// What was broken: its kind, how often, and the ids of topic, member, message and offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) kind: FaultKind,
    pub(crate) count: u64,
    pub(crate) words: String,
}

impl Breach {
    pub(crate) fn one(kind: FaultKind, words: String) -> Self {
        Self { kind, count: 1, words }
    }

    /// Counts it among the faults of a run.
    pub(crate) fn tell(self, topic: &str, faults: &mut Faults) {
        faults.add(self.kind, self.count, || format!("topic {topic}: {}", self.words));
    }
}

/// Ranges as in `3, 7 to 9`, at most five of them.
pub(super) fn ranges_text(ranges: &[(u64, u64)]) -> String {
    let one = |&(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    };
    let shown: Vec<String> = ranges.iter().take(SHOWN).map(one).collect();
    let more = if ranges.len() > SHOWN { " …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
