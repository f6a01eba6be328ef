//! Whether a link lags: pure rules. A probe is a ping that takes the way of a publish and of its delivery, through the
//! queues of both ends; what it takes longer than at best, whatever is published now will wait, too. It rides behind a
//! publish, and its answer behind that publish's, so that it costs no wake: who publishes nothing need not know.
//!
//! While it waits for more than 50 ms, clients that send more than a turn's worth at once are read more slowly, so that
//! TCP holds them back and the queues stay short: long ones are read from memory that no cache holds. While it waits for
//! more than 250 ms, this gateway takes no publishes for that topic server: both queues are bounded in bytes, and the one
//! at the other end is full when the link is cut. A link on which nothing comes at all does not lag, it is down or about
//! to be; that has deadlines of its own.

use std::time::{Duration, Instant};

use crate::hub::publish::Room;

/// A link that is so much slower than at its best is slow.
const SLOW: Duration = Duration::from_millis(50);

/// It ends to be slow when it is no slower than this.
const EASY: Duration = Duration::from_millis(25);

/// A link that is so much slower than at its best begins to lag.
const HIGH: Duration = Duration::from_millis(250);

/// It ends to lag when it is no slower than this, so that it does not come and go with every batch.
const LOW: Duration = Duration::from_millis(125);

/// The time between two probes, while there is something to measure.
const EVERY: Duration = Duration::from_millis(50);

/// Without a sign of life for so long, nothing is known of the link's lag.
const FORGET: Duration = Duration::from_secs(1);

/// When a probe should leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// While the link lags or is slow, there may be no publish that it could ride behind.
    Now,
    WithTheNextBatch,
}

/// The lag of one link, from its opening to its end.
#[derive(Debug)]
pub(crate) struct Lag {
    /// The probe that is under way: its number, and when it left.
    open: Option<(u64, Instant)>,
    /// A probe waits for a batch to ride behind.
    waits: bool,
    /// When the last probe left.
    probed: Option<Instant>,
    /// The shortest way of a probe. A first one that had to wait is corrected by the next.
    best: Option<Duration>,
    /// When something came last.
    heard: Instant,
    lags: bool,
    slow: bool,
}

impl Lag {
    /// Of a link that is opened now.
    pub(crate) fn new(now: Instant) -> Self {
        Self { open: None, waits: false, probed: None, best: None, heard: now, lags: false, slow: false }
    }

    /// The room for publishes that go this way, as far as is known.
    pub(crate) fn room(&self) -> Room {
        match (self.lags, self.slow) {
            (true, _) => Room::None,
            (false, true) => Room::Scarce,
            (false, false) => Room::Ample,
        }
    }

    /// A batch has come and has been worked off; with the answers to pings up to this one, if any was in it.
    pub(crate) fn heard(&mut self, answer: Option<u64>, now: Instant) {
        self.heard = now;
        let Some((number, left)) = self.open else { return };
        let took = now.saturating_duration_since(left);
        let answered = answer.is_some_and(|answer| answer >= number);
        if answered {
            self.open = None;
            self.best = Some(self.best.map_or(took, |best| best.min(took)));
        }
        let late = took.saturating_sub(self.best.unwrap_or_default());
        if late > HIGH {
            self.lags = true;
        } else if answered && late <= LOW {
            self.lags = false;
        }
        if late > SLOW {
            self.slow = true;
        } else if answered && late <= EASY {
            self.slow = false;
        }
    }

    /// Time passes. Who is silent is not known to lag.
    pub(crate) fn tick(&mut self, now: Instant) {
        if now.saturating_duration_since(self.heard) > FORGET {
            (self.lags, self.slow) = (false, false);
        }
    }

    /// Whether a probe should leave, after a batch with messages or without, and when. One at a time; while the link is
    /// slow or lags, the next at once. The caller lets it leave, and says by [`left`](Self::left) when it did.
    pub(crate) fn wants_probe(&mut self, messages: bool, now: Instant) -> Option<When> {
        if self.open.is_some() {
            return None;
        }
        if self.lags || self.slow {
            return Some(When::Now);
        }
        let due = self.probed.is_none_or(|probed| now.saturating_duration_since(probed) >= EVERY);
        if self.waits || !messages || !due {
            return None;
        }
        self.waits = true;
        Some(When::WithTheNextBatch)
    }

    /// The probe of this number has left.
    pub(crate) fn left(&mut self, number: u64, at: Instant) {
        (self.open, self.waits, self.probed) = (Some((number, at)), false, Some(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link on a clock of milliseconds.
    struct Link {
        lag: Lag,
        start: Instant,
    }

    impl Link {
        fn new() -> Self {
            let start = Instant::now();
            Self { lag: Lag::new(start), start }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn probe(&mut self, number: u64, ms: u64) {
            self.lag.left(number, self.at(ms));
        }

        fn wants_probe(&mut self, messages: bool, ms: u64) -> Option<When> {
            let now = self.at(ms);
            self.lag.wants_probe(messages, now)
        }

        /// A batch comes; whether the link lags then.
        fn heard(&mut self, answer: Option<u64>, ms: u64) -> bool {
            self.lag.heard(answer, self.at(ms));
            self.lag.room() == Room::None
        }
    }

    #[test]
    fn a_link_lags_above_one_mark_and_no_more_below_the_other() {
        let mut link = Link::new();
        link.probe(1, 0);
        assert!(!link.heard(Some(1), 10), "its best: 10 ms");
        link.probe(2, 1_000);
        assert!(!link.heard(Some(2), 1_260), "250 ms more is not too much");
        link.probe(3, 2_000);
        assert!(link.heard(Some(3), 2_261));
        link.probe(4, 3_000);
        assert!(link.heard(Some(4), 3_136), "between the marks it stays as it is");
        link.probe(5, 4_000);
        assert!(!link.heard(Some(5), 4_135));
    }

    #[test]
    fn a_link_is_slow_before_it_lags() {
        let mut link = Link::new();
        let mut after = |number: u64, ms: u64| {
            link.probe(number, number * 1_000);
            link.heard(Some(number), number * 1_000 + ms);
            link.lag.room()
        };
        assert_eq!(after(1, 10), Room::Ample, "its best");
        assert_eq!(after(2, 60), Room::Ample);
        assert_eq!(after(3, 61), Room::Scarce);
        assert_eq!(after(4, 36), Room::Scarce, "between the marks it stays as it is");
        assert_eq!(after(5, 261), Room::None);
        assert_eq!(after(6, 135), Room::Scarce);
        assert_eq!(after(7, 35), Room::Ample);
    }

    #[test]
    fn a_probe_that_does_not_come_back_among_other_batches_shows_the_lag() {
        let mut link = Link::new();
        link.probe(1, 0);
        assert!(!link.heard(None, 250));
        assert!(link.heard(None, 251));
        assert!(link.heard(Some(0), 300), "not its answer");
        // The first probe's own wait is no measure of the link at its best.
        assert!(!link.heard(Some(1), 400));
        link.probe(2, 400);
        assert!(!link.heard(Some(2), 401));
        link.probe(3, 500);
        assert!(link.heard(None, 752));
        assert!(link.heard(Some(4), 800), "its answer was there, too, and came late");
        link.probe(5, 800);
        assert!(!link.heard(Some(5), 801));
    }

    #[test]
    fn a_far_topic_server_does_not_lag() {
        let mut link = Link::new();
        link.probe(1, 0);
        assert!(!link.heard(Some(1), 200));
        link.probe(2, 1_000);
        assert!(!link.heard(Some(2), 1_400));
    }

    #[test]
    fn silence_is_no_lag() {
        let mut link = Link::new();
        link.probe(1, 0);
        link.lag.tick(link.at(5_000));
        assert!(link.lag.room() != Room::None, "nothing came at all");
        assert!(link.heard(None, 6_000));
        link.lag.tick(link.at(7_000));
        assert!(link.lag.room() == Room::None);
        link.lag.tick(link.at(7_001));
        assert!(link.lag.room() != Room::None);
    }

    #[test]
    fn probes_are_few_and_none_without_messages_but_in_lag() {
        let mut link = Link::new();
        assert_eq!(link.wants_probe(false, 0), None);
        assert_eq!(link.wants_probe(true, 0), Some(When::WithTheNextBatch));
        assert_eq!(link.wants_probe(true, 500), None, "it waits for a batch");
        link.probe(1, 500);
        assert_eq!(link.wants_probe(true, 1_000), None, "one at a time");
        link.heard(Some(1), 505);
        assert_eq!(link.wants_probe(true, 549), None);
        assert_eq!(link.wants_probe(false, 550), None);
        assert_eq!(link.wants_probe(true, 550), Some(When::WithTheNextBatch));
        link.probe(2, 550);
        link.heard(Some(2), 900);
        assert_eq!(link.wants_probe(false, 900), Some(When::Now), "to see its end");
    }
}
