//! The check of one subscriber's sequence numbers: no gap, no repeat, no other order. Pure.

/// A set of numbers kept as sorted, separate, inclusive ranges.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds `first..=last`; cheap when it lies behind everything that is there already.
    pub(crate) fn insert(&mut self, first: u64, last: u64) {
        let start = self.0.partition_point(|&(_, end)| end.saturating_add(1) < first);
        let end = self.0.partition_point(|&(begin, _)| begin <= last.saturating_add(1));
        let merged = self.0[start..end]
            .iter()
            .fold((first, last), |(low, high), &(begin, end)| (low.min(begin), high.max(end)));
        self.0.splice(start..end, [merged]);
    }

    /// Takes one number out; false if it was not there.
    pub(crate) fn remove(&mut self, number: u64) -> bool {
        let at = self.0.partition_point(|&(_, end)| end < number);
        match self.0.get(at).copied() {
            Some((first, last)) if first <= number => {
                let left = (first < number).then(|| (first, number - 1));
                let right = (number < last).then(|| (number + 1, last));
                self.0.splice(at..=at, left.into_iter().chain(right));
                true
            }
            _ => false,
        }
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        let at = self.0.partition_point(|&(_, end)| end < number);
        self.0.get(at).is_some_and(|&(first, _)| first <= number)
    }

    /// What is in `self` and not in `other`.
    pub(crate) fn without(&self, other: &Ranges) -> Ranges {
        let mut rest = Vec::new();
        for &(first, last) in &self.0 {
            let mut from = first;
            let start = other.0.partition_point(|&(_, end)| end < first);
            for &(cut_first, cut_last) in other.0[start..].iter().take_while(|cut| cut.0 <= last) {
                if from < cut_first {
                    rest.push((from, cut_first - 1));
                }
                from = cut_last + 1;
            }
            if from <= last {
                rest.push((from, last));
            }
        }
        Ranges(rest)
    }

    /// How many numbers are in the set.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|&(first, last)| last - first + 1).sum()
    }

    /// The ranges, ascending, both ends included.
    pub(crate) fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }
}

/// What one received sequence number means for its subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next one.
    InOrder,
    /// New, but numbers before it have not come: they are missing for now.
    Skipped,
    /// One that was missing, after a later one: the order is broken.
    Late,
    /// Seen before.
    Doubled,
}

/// What one subscriber has seen of one topic. Numbers begin at 1.
#[derive(Debug)]
pub(crate) struct Tracker {
    next: u64,
    missing: Ranges,
}

impl Default for Tracker {
    fn default() -> Self {
        Self { next: 1, missing: Ranges::default() }
    }
}

impl Tracker {
    /// Takes note of a received number.
    pub(crate) fn observe(&mut self, number: u64) -> Verdict {
        if number == self.next {
            self.next += 1;
            Verdict::InOrder
        } else if number > self.next {
            self.missing.insert(self.next, number - 1);
            self.next = number + 1;
            Verdict::Skipped
        } else if self.missing.remove(number) {
            Verdict::Late
        } else {
            Verdict::Doubled
        }
    }

    /// Whether this number has been received.
    pub(crate) fn has_seen(&self, number: u64) -> bool {
        number < self.next && !self.missing.contains(number)
    }

    /// How many gaps are remembered: bounds this tracker's memory through [`Tracker::forgive`].
    pub(crate) fn gaps(&self) -> usize {
        self.missing.ranges().len()
    }

    /// Forgets gaps that are explained, for example by refused publishes.
    pub(crate) fn forgive(&mut self, excused: &Ranges) {
        self.missing = self.missing.without(excused);
    }

    /// What never came, of `1..=last`, less what is excused.
    pub(crate) fn finish(&self, last: u64, excused: &Ranges) -> Ranges {
        let mut missing = self.missing.clone();
        if self.next <= last {
            missing.insert(self.next, last);
        }
        missing.without(excused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracked(numbers: &[u64]) -> (Tracker, Vec<Verdict>) {
        let mut tracker = Tracker::default();
        let verdicts = numbers.iter().map(|&number| tracker.observe(number)).collect();
        (tracker, verdicts)
    }

    #[test]
    fn in_order_is_clean() {
        let (tracker, verdicts) = tracked(&[1, 2, 3]);
        assert!(verdicts.iter().all(|&verdict| verdict == Verdict::InOrder));
        assert_eq!(tracker.finish(3, &Ranges::default()).total(), 0);
    }

    #[test]
    fn a_gap_stays_missing() {
        let (tracker, verdicts) = tracked(&[1, 4, 5]);
        assert_eq!(verdicts, [Verdict::InOrder, Verdict::Skipped, Verdict::InOrder]);
        assert_eq!(tracker.finish(5, &Ranges::default()).ranges(), [(2, 3)]);
        assert!(tracker.has_seen(4) && !tracker.has_seen(2) && !tracker.has_seen(6));
    }

    #[test]
    fn the_end_that_never_came_is_missing() {
        let (tracker, _) = tracked(&[1, 2]);
        assert_eq!(tracker.finish(4, &Ranges::default()).ranges(), [(3, 4)]);
        let (nothing, _) = tracked(&[]);
        assert_eq!(nothing.finish(2, &Ranges::default()).ranges(), [(1, 2)]);
    }

    #[test]
    fn late_and_doubled_are_told_apart() {
        let (tracker, verdicts) = tracked(&[1, 3, 2, 2, 3, 1]);
        use Verdict::{Doubled, InOrder, Late, Skipped};
        assert_eq!(verdicts, [InOrder, Skipped, Late, Doubled, Doubled, Doubled]);
        assert_eq!(tracker.finish(3, &Ranges::default()).total(), 0);
    }

    #[test]
    fn what_was_refused_is_excused() {
        let (mut tracker, _) = tracked(&[1, 4, 8]);
        let mut refused = Ranges::default();
        refused.insert(2, 3);
        refused.insert(6, 6);
        assert_eq!(tracker.finish(9, &refused).ranges(), [(5, 5), (7, 7), (9, 9)]);
        assert_eq!(tracker.gaps(), 2);
        tracker.forgive(&refused);
        assert_eq!(tracker.finish(8, &Ranges::default()).ranges(), [(5, 5), (7, 7)]);
    }

    /// The ranges against a plain set of numbers, over every pair of small operations.
    #[test]
    fn ranges_agree_with_a_plain_set() {
        for seed in 0u64..2_000 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut random = move |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            let mut ranges = Ranges::default();
            let mut other = Ranges::default();
            let mut plain = std::collections::BTreeSet::new();
            let mut plain_other = std::collections::BTreeSet::new();
            for _ in 0..12 {
                let first = random(30);
                let last = first + random(4);
                match random(3) {
                    0 => {
                        ranges.insert(first, last);
                        plain.extend(first..=last);
                    }
                    1 => {
                        other.insert(first, last);
                        plain_other.extend(first..=last);
                    }
                    _ => assert_eq!(ranges.remove(first), plain.remove(&first)),
                }
            }
            let flat = |ranges: &Ranges| {
                ranges.ranges().iter().flat_map(|&(first, last)| first..=last).collect::<Vec<_>>()
            };
            assert_eq!(flat(&ranges), plain.iter().copied().collect::<Vec<_>>(), "seed {seed}");
            assert!(ranges.ranges().windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "seed {seed}");
            let difference = plain.difference(&plain_other).copied().collect::<Vec<_>>();
            assert_eq!(flat(&ranges.without(&other)), difference, "seed {seed}");
            assert!((0..40).all(|number| ranges.contains(number) == plain.contains(&number)), "seed {seed}");
            assert_eq!(ranges.total(), plain.len() as u64);
        }
    }
}
