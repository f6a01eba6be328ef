//! How often something may happen: so many times per second in the long run, and so many at once. Time comes in as an
//! argument.

use std::time::{Duration, Instant};

const SECOND: u64 = 1_000_000_000;

/// What a bucket holds, and how fast it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds for one token.
    interval: u64,
    /// Nanoseconds for all of them.
    capacity: u64,
}

/// One bucket of tokens. It is kept as the time at which it will be full again, so that nothing has to fill it; a
/// default one is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenBucket {
    full_at: Option<Instant>,
}

impl Rate {
    /// So many tokens per second, 1 to 1,000,000,000, in a bucket of `burst`, at least 1. What is beyond these bounds
    /// counts as the bound.
    pub fn new(per_second: u64, burst: u64) -> Rate {
        Rate::every(Duration::from_nanos(SECOND / per_second.clamp(1, SECOND)), burst)
    }

    /// One token in each `interval`, at least 1 ns, in a bucket of `burst`, at least 1.
    pub fn every(interval: Duration, burst: u64) -> Rate {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        Rate { interval, capacity: interval.saturating_mul(burst.max(1)) }
    }
}

impl TokenBucket {
    /// Takes a token. A bucket that has always been used under one rate never gives more than the rate says.
    ///
    /// # Errors
    /// There is none, and nothing was taken: how long until there is one.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        let missing = full_at.duration_since(now) + Duration::from_nanos(rate.interval);
        match missing.checked_sub(Duration::from_nanos(rate.capacity)) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.full_at = Some(now + missing);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// How many of `tries` at this time get a token.
    fn taken(bucket: &mut TokenBucket, rate: Rate, now: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| bucket.take(rate, now).is_ok()).count()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (rate, start) = (Rate::new(10, 5), Instant::now());
        let mut bucket = TokenBucket::default();
        assert_eq!(taken(&mut bucket, rate, start, 100), 5);
        assert_eq!(bucket.take(rate, start), Err(ms(100)));
        assert_eq!(bucket.take(rate, start + ms(40)), Err(ms(60)));
        assert_eq!(taken(&mut bucket, rate, start + ms(100), 100), 1);
        assert_eq!(taken(&mut bucket, rate, start + ms(400), 100), 3);
    }

    #[test]
    fn what_is_not_used_piles_up_to_the_burst_and_no_further() {
        let (rate, start) = (Rate::new(10, 5), Instant::now());
        let mut bucket = TokenBucket::default();
        assert_eq!(taken(&mut bucket, rate, start, 5), 5);
        assert_eq!(taken(&mut bucket, rate, start + ms(3_600_000), 100), 5);
    }

    #[test]
    fn who_tries_without_pause_gets_the_rate_and_waiting_as_told_is_enough() {
        let (rate, start) = (Rate::new(3000, 1), Instant::now());
        let mut bucket = TokenBucket::default();
        let (mut now, mut count) = (start, 0);
        while now < start + ms(1000) {
            match bucket.take(rate, now) {
                Ok(()) => count += 1,
                Err(wait) => now += wait,
            }
        }
        assert_eq!(count, 3001, "the first at once, and 3000 in a second");
        let mut often = TokenBucket::default();
        let at = (0..100_000).filter(|tick| {
            let now = start + Duration::from_micros(10 * tick);
            often.take(rate, now).is_ok()
        });
        let at = at.count();
        assert!((2900..=3001).contains(&at), "{at}");
    }

    #[test]
    fn refusals_cost_nothing() {
        let (rate, start) = (Rate::new(10, 1), Instant::now());
        let mut bucket = TokenBucket::default();
        assert_eq!(taken(&mut bucket, rate, start, 1_000_000), 1);
        assert_eq!(taken(&mut bucket, rate, start + ms(100), 1), 1);
    }

    #[test]
    fn a_time_that_goes_backwards_gives_nothing_away() {
        let (rate, start) = (Rate::new(10, 2), Instant::now());
        let later = start + ms(10_000);
        let mut bucket = TokenBucket::default();
        assert_eq!(taken(&mut bucket, rate, later, 10), 2);
        assert_eq!(taken(&mut bucket, rate, start, 10), 0);
    }

    #[test]
    fn a_rate_may_be_slower_than_one_per_second() {
        let (rate, start) = (Rate::every(ms(3_600_000), 1), Instant::now());
        let mut bucket = TokenBucket::default();
        assert_eq!(taken(&mut bucket, rate, start + ms(1), 10), 1);
        assert_eq!(taken(&mut bucket, rate, start + ms(3_600_000), 10), 0);
        assert_eq!(taken(&mut bucket, rate, start + ms(3_600_001), 10), 1);
    }

    #[test]
    fn no_number_is_too_large_or_too_small() {
        let now = Instant::now();
        for (per_second, burst) in [(0, 0), (1, u64::MAX), (u64::MAX, u64::MAX), (u64::MAX, 0)] {
            let (rate, mut bucket) = (Rate::new(per_second, burst), TokenBucket::default());
            assert_eq!(bucket.take(rate, now), Ok(()), "{per_second} {burst}");
            assert_eq!(taken(&mut bucket, rate, now, 1) > 0, burst > 0, "{per_second} {burst}");
        }
        assert_eq!(size_of::<TokenBucket>(), 16);
    }
}
