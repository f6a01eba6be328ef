//! The rings that this gateway held before the newest one. A topic server that starts now has not seen them, and
//! topics may still lie where they say (rule R2). Times come in as arguments.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_ring_config::Ring;

/// A ring is told of for so long after the edit that replaced it.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// Most rings that are told of.
const MOST: usize = 8;

/// Rings that were in force, oldest first, each with the time of its end.
#[derive(Debug, Default)]
pub(crate) struct PastRings(VecDeque<(Instant, Arc<Ring>)>);

impl PastRings {
    /// A ring is replaced.
    pub(crate) fn push(&mut self, ring: Arc<Ring>, now: Instant) {
        self.forget(now);
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((now, ring));
    }

    /// The texts of those that ended a short while ago, oldest first.
    pub(crate) fn texts(&mut self, now: Instant) -> Vec<String> {
        self.forget(now);
        self.0.iter().map(|(_, ring)| ring.to_toml()).collect()
    }

    fn forget(&mut self, now: Instant) {
        while self.0.front().is_some_and(|(ended, _)| now.saturating_duration_since(*ended) > TOLD_FOR) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use campanile_ring_config::Member;

    use super::*;

    fn ring(version: u64) -> Arc<Ring> {
        Arc::new(Ring::new(version, 1, vec![Member::new("a", "127.0.0.1:1", 1)]).expect("a ring"))
    }

    fn versions(past: &mut PastRings, now: Instant) -> Vec<u64> {
        let version = |text: String| Ring::parse("past", &text).expect("its own text").version();
        past.texts(now).into_iter().map(version).collect()
    }

    #[test]
    fn a_ring_is_told_of_for_a_minute_after_its_end() {
        let now = Instant::now();
        let mut past = PastRings::default();
        assert!(past.texts(now).is_empty());
        past.push(ring(1), now);
        past.push(ring(2), now + TOLD_FOR / 2);
        assert_eq!(versions(&mut past, now + TOLD_FOR), [1, 2]);
        assert_eq!(versions(&mut past, now + TOLD_FOR + Duration::from_millis(1)), [2]);
        assert!(versions(&mut past, now + 2 * TOLD_FOR).is_empty());
    }

    #[test]
    fn no_more_than_eight_are_told_of() {
        let now = Instant::now();
        let mut past = PastRings::default();
        (1..=10).for_each(|version| past.push(ring(version), now));
        assert_eq!(versions(&mut past, now), [3, 4, 5, 6, 7, 8, 9, 10]);
    }
}
