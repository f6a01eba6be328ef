//! When the next publish, connection or heartbeat is due.

use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior};

use crate::arguments::Pace;

/// How often a connection says that it lives, as phoenix.js does; a gateway closes after 60 s of silence.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(30);

/// When one publisher publishes.
#[derive(Debug)]
pub(crate) enum Schedule {
    /// Whenever fewer than this many are in flight.
    InFlight(usize),
    /// At `start + sent * every`, in seconds; multiplied anew each time, so that no rounding adds up.
    Every { start: Instant, every: f64, sent: u64 },
}

impl Schedule {
    /// The schedule of publisher `number` of `publishers`: open loops take turns.
    pub(crate) fn new(pace: Pace, number: usize, publishers: usize, start: Instant) -> Self {
        match pace {
            Pace::InFlight(count) => Self::InFlight(count),
            Pace::Rate(rate) => Self::Every {
                start: start + Duration::from_secs_f64(number as f64 / rate),
                every: publishers as f64 / rate,
                sent: 0,
            },
        }
    }

    /// When the next one is due in an open loop.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self {
            Self::InFlight(_) => None,
            Self::Every { start, every, sent } => {
                Some(*start + Duration::from_secs_f64(*sent as f64 * every))
            }
        }
    }

    /// Takes the next publish if it is time for it: the time that its latency counts from.
    pub(crate) fn take(&mut self, in_flight: usize, now: Instant, end: Instant) -> Option<Instant> {
        let started = match self {
            Self::InFlight(limit) => (in_flight < *limit).then_some(now),
            Self::Every { .. } => self.due().filter(|&due| due <= now),
        };
        let started = started.filter(|&started| started < end)?;
        if let Self::Every { sent, .. } = self {
            *sent += 1;
        }
        Some(started)
    }

    /// Whether nothing more is due before the end.
    pub(crate) fn over(&self, now: Instant, end: Instant) -> bool {
        self.due().unwrap_or(now) >= end
    }
}

/// A timer for heartbeats; connection `number` of `total` beats at its own time.
pub(crate) fn heartbeats(number: usize, total: usize, every: Duration) -> Interval {
    let share = every.mul_f64((number + 1) as f64 / total.max(1) as f64);
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + share, every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_loop_keeps_its_number_in_flight() {
        let now = Instant::now();
        let end = now + Duration::from_secs(1);
        let mut schedule = Schedule::new(Pace::InFlight(2), 0, 1, now);
        assert_eq!(schedule.take(1, now, end), Some(now));
        assert_eq!(schedule.take(2, now, end), None);
        assert_eq!(schedule.take(0, end, end), None);
        assert!(!schedule.over(now, end) && schedule.over(end, end));
    }

    #[test]
    fn a_rate_that_is_no_whole_number_of_nanoseconds_is_kept() {
        let start = Instant::now();
        let end = start + Duration::from_secs(3);
        let mut schedule = Schedule::new(Pace::Rate(300.0), 0, 1, start);
        assert_eq!(std::iter::from_fn(|| schedule.take(0, end, end)).count(), 900);
    }

    #[test]
    fn open_loop_counts_from_the_schedule_however_late() {
        let start = Instant::now();
        let end = start + Duration::from_millis(100);
        let mut schedule = Schedule::new(Pace::Rate(50.0), 1, 2, start);
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(schedule.take(0, at(19), end), None);
        // Far too late: still each at its own time, up to the end and not past it.
        assert_eq!(schedule.take(9, at(500), end), Some(at(20)));
        assert_eq!(schedule.take(9, at(500), end), Some(at(60)));
        assert!(schedule.over(at(500), end));
        assert_eq!(schedule.take(9, at(500), end), None);
    }
}
