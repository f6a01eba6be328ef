//! How long to wait before the next attempt: twice as long each time, spread by chance so that many who failed
//! together do not come back together.

use std::time::Duration;

/// The shortest wait, so that no setting makes a loop hot.
const SHORTEST: Duration = Duration::from_millis(1);

/// The waits between attempts. Randomness comes in from outside.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    step: Duration,
}

impl Backoff {
    /// The first step is `first`, each later one twice the one before, and none is longer than `most`. Both are at
    /// least 1 ms, and `most` is at least `first`.
    pub fn new(first: Duration, most: Duration) -> Backoff {
        let first = first.max(SHORTEST);
        Backoff { first, most: most.max(first), step: first }
    }

    /// The next wait: between half of the step (`random` 0) and all of it (`random` 1); never zero.
    pub fn next(&mut self, random: f64) -> Duration {
        // Not a number counts as 1: the longest wait is the harmless one.
        let random = if random.is_nan() { 1.0 } else { random.clamp(0.0, 1.0) };
        let step = self.step;
        self.step = step.saturating_mul(2).min(self.most);
        let half = step / 2;
        (half + (step - half).mul_f64(random)).max(SHORTEST)
    }

    /// The attempt worked: the next wait is a first one again.
    pub fn reset(&mut self) {
        self.step = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn doubles_up_to_the_most_and_starts_again() {
        let mut backoff = Backoff::new(ms(100), ms(500));
        let waits: Vec<Duration> = (0..5).map(|_| backoff.next(1.0)).collect();
        assert_eq!(waits, [ms(100), ms(200), ms(400), ms(500), ms(500)]);
        backoff.reset();
        assert_eq!(backoff.next(1.0), ms(100));
    }

    #[test]
    fn is_spread_between_half_and_all() {
        let wait = |random| Backoff::new(ms(100), ms(500)).next(random);
        assert_eq!(wait(0.0), ms(50));
        assert_eq!(wait(0.5), ms(75));
        for (odd, same) in [(-1.0, 0.0), (2.0, 1.0), (f64::NAN, 1.0), (f64::INFINITY, 1.0)] {
            assert_eq!(wait(odd), wait(same), "{odd}");
        }
    }

    #[test]
    fn is_never_zero_and_never_overflows() {
        let mut none = Backoff::new(Duration::ZERO, Duration::ZERO);
        let mut all = Backoff::new(Duration::MAX, Duration::MAX);
        for _ in 0..100 {
            assert!(none.next(0.0) >= ms(1));
            assert!(all.next(0.5) > ms(1));
        }
    }
}
