//! How long a batch was under way, without comparing clocks (rule L7).
//!
//! Each batch names its age: the time since its sender opened the link, by the sender's clock. The receiver
//! knows the time since it saw the opening, by its own. The smallest difference between the two ever seen is
//! the link at its best; what a batch took beyond that, it spent waiting: in a socket, or in a stopped process.
//!
//! Two clocks drift apart, by some ten seconds in a week. So the best grows by a little all the time, or the batches of an
//! old link would all seem late.

use std::time::Duration;

/// The receiver's view of one link.
#[derive(Debug, Default)]
pub struct Transit {
    /// Smallest (own clock - age) seen, in microseconds, with what drift may have added to it; and when that was. `None`
    /// before the first batch.
    best: Option<(i64, i64)>,
}

/// Clocks drift apart by less than one part in so many: far more than quartzes do.
const DRIFT: i64 = 5_000;

impl Transit {
    /// Time that a batch of this age spent waiting on its way, when it arrives `since_start` after the receiver
    /// began to count. The first batch counts as punctual.
    pub fn lateness(&mut self, since_start: Duration, age_us: u64) -> Duration {
        let now = i64::try_from(since_start.as_micros()).unwrap_or(i64::MAX);
        let age = i64::try_from(age_us).unwrap_or(i64::MAX);
        let difference = now.saturating_sub(age);
        let drifted = |(best, at): (i64, i64)| best.saturating_add(now.saturating_sub(at).max(0) / DRIFT);
        let known = self.best.map(drifted);
        let best = known.map_or(difference, |best| best.min(difference));
        if known.is_none_or(|known| difference <= known) {
            self.best = Some((best, now));
        }
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
        assert_eq!(transit.lateness(ms(9_000), 2_000_000), ms(7_000) - ms(8_000) / DRIFT as u32);
        assert_eq!(transit.lateness(ms(9_001), 9_001_000), ms(0));
    }

    #[test]
    fn a_slow_start_is_corrected_by_a_faster_batch() {
        let mut transit = Transit::default();
        assert_eq!(transit.lateness(ms(500), 0), ms(0));
        assert_eq!(transit.lateness(ms(600), 600_000), ms(0));
        let allowed_for_drift = ms(500) / DRIFT as u32;
        assert_eq!(transit.lateness(ms(1_100), 1_000_000), ms(100) - allowed_for_drift);
    }

    /// 20 ppm for a month, a batch each second: some 50 s in sum.
    #[test]
    fn clocks_that_drift_apart_make_nothing_late() {
        let mut transit = Transit::default();
        let second = |second: u64| Duration::from_micros(second * 1_000_020);
        for at in 0..30 * 24 * 3600 {
            assert!(transit.lateness(second(at), at * 1_000_000) < ms(1));
        }
        let at = 30 * 24 * 3600;
        let late = transit.lateness(second(at) + ms(5_000), at * 1_000_000);
        assert!(late > ms(4_990), "{late:?}");
    }

    #[test]
    fn nonsense_neither_overflows_nor_goes_negative() {
        let mut transit = Transit::default();
        assert_eq!(transit.lateness(ms(5), u64::MAX), ms(0));
        let _ = transit.lateness(Duration::MAX, 0);
        let _ = transit.lateness(ms(0), u64::MAX);
    }
}
