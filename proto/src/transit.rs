//! How long a batch was under way, without comparing clocks (rule L7).
//!
//! Each batch names its age: the time since its sender opened the link, by the sender's clock. The receiver
//! knows the time since it saw the opening, by its own. The smallest difference between the two ever seen is
//! the link at its best; what a batch took beyond that, it spent waiting: in a socket, or in a stopped process.

use std::time::Duration;

/// The receiver's view of one link.
#[derive(Debug, Default)]
pub struct Transit {
    /// Smallest (own clock - age) seen, in microseconds. `None` before the first batch.
    best: Option<i64>,
}

impl Transit {
    /// Time that a batch of this age spent waiting on its way, when it arrives `since_start` after the receiver
    /// began to count. The first batch counts as punctual.
    pub fn lateness(&mut self, since_start: Duration, age_us: u64) -> Duration {
        let now = i64::try_from(since_start.as_micros()).unwrap_or(i64::MAX);
        let age = i64::try_from(age_us).unwrap_or(i64::MAX);
        let difference = now.saturating_sub(age);
        let best = self.best.map_or(difference, |best| best.min(difference));
        self.best = Some(best);
        Duration::from_micros(u64::try_from(difference.saturating_sub(best)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_batch_that_waited_is_late_by_its_wait() {
        let mut transit = Transit::default();
        assert_eq!(transit.lateness(ms(0), 0), ms(0));
        assert_eq!(transit.lateness(ms(1_000), 1_000_000), ms(0));
        assert_eq!(transit.lateness(ms(9_000), 2_000_000), ms(7_000));
        assert_eq!(transit.lateness(ms(9_001), 9_001_000), ms(0));
    }

    #[test]
    fn a_slow_start_is_corrected_by_a_faster_batch() {
        let mut transit = Transit::default();
        assert_eq!(transit.lateness(ms(500), 0), ms(0));
        assert_eq!(transit.lateness(ms(600), 600_000), ms(0));
        assert_eq!(transit.lateness(ms(1_100), 1_000_000), ms(100));
    }

    #[test]
    fn nonsense_neither_overflows_nor_goes_negative() {
        let mut transit = Transit::default();
        assert_eq!(transit.lateness(ms(5), u64::MAX), ms(0));
        let _ = transit.lateness(Duration::MAX, 0);
        let _ = transit.lateness(ms(0), u64::MAX);
    }
}
