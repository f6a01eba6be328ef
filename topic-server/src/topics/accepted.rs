//! Which of a gateway's publishes were accepted, and under which offsets. While nobody else publishes, numbers and offsets
//! grow together: such neighbours are one run, and a topic with one publisher has one run, which lies in place.

use std::collections::VecDeque;

/// Numbers and their offsets, in the order of the numbers.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    /// The first run; empty if there are none.
    first: Run,
    /// Those behind it, if there were ever any.
    #[expect(clippy::box_collection, reason = "one word in a topic that has none")]
    more: Option<Box<VecDeque<Run>>>,
    len: u32,
}

/// So many numbers in a row, with so many offsets in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    number: u64,
    offset: u64,
    len: u32,
}

impl Accepted {
    /// How many numbers are remembered.
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// The offset of a number.
    pub(super) fn get(&self, number: u64) -> Option<u64> {
        if let Some(offset) = self.first.get(number) {
            return Some(offset);
        }
        let more = self.more.as_ref()?;
        let index = more.partition_point(|run| run.number <= number).checked_sub(1)?;
        more[index].get(number)
    }

    /// Remembers a number above all others.
    pub(super) fn push(&mut self, number: u64, offset: u64) {
        self.len += 1;
        let last = self.more.as_mut().and_then(|more| more.back_mut()).unwrap_or(&mut self.first);
        let run = Run { number, offset, len: 1 };
        if last.len == 0 {
            *last = run;
        } else if last.end() == Some((number, offset)) {
            last.len += 1;
        } else {
            self.more.get_or_insert_default().push_back(run);
        }
    }

    /// Forgets all lower numbers.
    pub(super) fn settle(&mut self, below: u64) {
        while self.first.len > 0 && self.first.number < below {
            let settled = (below - self.first.number).min(self.first.len.into());
            // Both are at most the run's length.
            self.len -= settled as u32;
            self.first.len -= settled as u32;
            self.first.number += settled;
            self.first.offset += settled;
            if self.first.len == 0 {
                self.first = self.more.as_mut().and_then(|more| more.pop_front()).unwrap_or_default();
            }
        }
    }

    /// All numbers with their offsets.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        let runs = std::iter::once(&self.first).chain(self.more.iter().flat_map(|more| more.iter()));
        runs.flat_map(|run| (0..u64::from(run.len)).map(|index| (run.number + index, run.offset + index)))
    }
}

impl FromIterator<(u64, u64)> for Accepted {
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(pairs: I) -> Self {
        let mut accepted = Self::default();
        pairs.into_iter().for_each(|(number, offset)| accepted.push(number, offset));
        accepted
    }
}

impl Run {
    fn get(&self, number: u64) -> Option<u64> {
        let index = number.checked_sub(self.number)?;
        (index < self.len.into()).then(|| self.offset + index)
    }

    /// The number and the offset behind it.
    fn end(&self) -> Option<(u64, u64)> {
        let len = self.len.into();
        Some((self.number.checked_add(len)?, self.offset.checked_add(len)?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn one_publisher_has_one_run() {
        let mut accepted: Accepted = (1..=4_000).map(|number| (number, number + 7)).collect();
        assert_eq!((accepted.len(), accepted.get(1), accepted.get(4_000)), (4_000, Some(8), Some(4_007)));
        accepted.settle(3_000);
        assert_eq!((accepted.len(), accepted.get(2_999), accepted.get(3_000)), (1_001, None, Some(3_007)));
        accepted.settle(9_000);
        accepted.push(9_001, 5);
        assert_eq!(accepted.iter().collect::<Vec<_>>(), [(9_001, 5)]);
        assert!(accepted.more.is_none());
    }

    #[test]
    fn whatever_comes_it_is_a_map() {
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..200 {
            let (mut accepted, mut map) = (Accepted::default(), BTreeMap::new());
            let (mut number, mut offset) = (0, 0);
            for _ in 0..100 {
                number += random.u64(1..3);
                // Offsets of repeated keys may go back.
                offset = if random.u8(..8) == 0 { random.u64(1..9) } else { offset + random.u64(1..3) };
                accepted.push(number, offset);
                map.insert(number, offset);
                if random.bool() {
                    let below = number.saturating_sub(random.u64(..12));
                    accepted.settle(below);
                    map.retain(|number, _| *number >= below);
                }
                assert_eq!(accepted.len(), map.len());
                assert_eq!(accepted.iter().collect::<BTreeMap<_, _>>(), map);
                let probe = number.saturating_sub(random.u64(..12));
                assert_eq!(accepted.get(probe), map.get(&probe).copied());
            }
        }
    }
}
