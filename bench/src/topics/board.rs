//! What every topic has been sent, and what may come next: the check of `topics`. Pure: time comes in as an argument.
//!
//! Sixteen bytes per topic, so that the generator does not feel the number of topics as much as the server does.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::faults::{FaultKind, Faults};

/// One topic. This link is its only publisher, so its numbers and its offsets count the same messages.
#[derive(Debug, Default, Clone, Copy)]
struct Topic {
    /// Publishes sent: the number of the last one.
    sent: u32,
    /// Of those, answered.
    answered: u32,
    /// The last offset that an answer named.
    given: u32,
    /// The last offset that was delivered.
    offset: u32,
}

/// A publish that was not both answered and delivered yet.
#[derive(Debug, Clone, Copy)]
struct Flight {
    started: Instant,
    /// The offset that its answer named.
    offset: Option<u64>,
}

/// All topics of a run, and what is in flight.
#[derive(Debug)]
pub(super) struct Board {
    topics: Vec<Topic>,
    /// By topic and number.
    flights: HashMap<(u32, u32), Flight>,
    pub(super) faults: Faults,
    /// Why publishes were refused, which is no fault.
    pub(super) refusals: BTreeMap<String, u64>,
}

/// What a publish has to say beside its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) number: u32,
    /// Every lower number has been answered.
    pub(super) settled_below: u32,
}

impl Board {
    pub(super) fn new(topics: usize) -> Self {
        Self {
            topics: vec![Topic::default(); topics],
            flights: HashMap::new(),
            faults: Faults::default(),
            refusals: BTreeMap::new(),
        }
    }

    /// Publishes in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// The next publish of a topic. `started` is what its latency counts from.
    pub(super) fn publish(&mut self, topic: u32, started: Instant) -> Numbers {
        let own = &mut self.topics[topic as usize];
        own.sent += 1;
        self.flights.insert((topic, own.sent), Flight { started, offset: None });
        Numbers { number: own.sent, settled_below: own.answered + 1 }
    }

    /// The answer to a publish: its offset, or why it was refused. Gives when the publish started, if this is the first.
    pub(super) fn answered(
        &mut self,
        topic: u32,
        number: u64,
        answer: Result<u64, String>,
    ) -> Option<Instant> {
        let key = (topic, u32::try_from(number).unwrap_or(u32::MAX));
        let Some(flight) = self.flights.get_mut(&key) else {
            self.fault(FaultKind::Strange, || format!("topic {topic}: an answer to publish {number}"));
            return None;
        };
        if flight.offset.is_some() {
            self.fault(FaultKind::Doubled, || format!("topic {topic}: publish {number} was answered twice"));
            return None;
        }
        let started = flight.started;
        let own = &mut self.topics[topic as usize];
        let expected = own.answered + 1;
        own.answered = expected.max(key.1);
        match answer {
            Ok(offset) => {
                flight.offset = Some(offset);
                let last = std::mem::replace(&mut own.given, u32::try_from(offset).unwrap_or(u32::MAX));
                if offset != u64::from(last) + 1 {
                    self.faults.add(FaultKind::WrongOffset, 1, || {
                        format!("topic {topic}: publish {number} was answered offset {offset} after {last}")
                    });
                }
            }
            Err(reason) => {
                self.flights.remove(&key);
                *self.refusals.entry(reason).or_default() += 1;
            }
        }
        if key.1 != expected {
            self.fault(FaultKind::Reordered, || {
                format!("topic {topic}: publish {number} was answered in place of {expected}")
            });
        }
        Some(started)
    }

    /// A delivery under a topic's subscription; `payload` is the topic and number in it, if it is undamaged. Gives when
    /// the publish started, if it is delivered for the first time.
    pub(super) fn delivered(
        &mut self,
        topic: u32,
        offset: u64,
        payload: Option<(u32, u32)>,
    ) -> Option<Instant> {
        let Some(own) = self.topics.get_mut(topic as usize) else {
            self.fault(FaultKind::Strange, || format!("a delivery to topic {topic}, which does not exist"));
            return None;
        };
        let Some((_, number)) = payload.filter(|(named, _)| *named == topic) else {
            self.fault(FaultKind::Strange, || format!("topic {topic}: offset {offset} is damaged"));
            return None;
        };
        let last = std::mem::replace(&mut own.offset, u32::try_from(offset).unwrap_or(u32::MAX));
        let was_sent = (1..=own.sent).contains(&number);
        let Some(flight) = self.flights.remove(&(topic, number)) else {
            let kind = if was_sent { FaultKind::Doubled } else { FaultKind::Strange };
            self.fault(kind, || {
                format!("topic {topic}: publish {number} came once more, as offset {offset}")
            });
            return None;
        };
        if offset <= u64::from(last) {
            self.fault(FaultKind::Reordered, || {
                format!("topic {topic}: offset {offset} came after offset {last}")
            });
        }
        if flight.offset != Some(offset) {
            self.fault(FaultKind::WrongOffset, || {
                format!(
                    "topic {topic}: publish {number} was answered {:?} and came as offset {offset}",
                    flight.offset
                )
            });
        }
        Some(flight.started)
    }

    /// Nothing more comes: what is in flight was never answered, or never delivered.
    pub(super) fn give_up(&mut self, waited: Duration) {
        let mut left: Vec<_> = self.flights.drain().collect();
        left.sort_by_key(|(key, _)| *key);
        for ((topic, number), flight) in left {
            if flight.offset.is_some() {
                self.faults.add(FaultKind::Missing, 1, || {
                    format!("topic {topic}: publish {number} was answered and never came")
                });
            } else {
                self.faults.add(FaultKind::Unanswered, 1, || {
                    format!("topic {topic}: publish {number} had no answer within {waited:?}")
                });
            }
        }
    }

    /// Counts something that must not be.
    pub(super) fn fault(&mut self, kind: FaultKind, words: impl FnOnce() -> String) {
        self.faults.add(kind, 1, words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(board: &Board) -> Vec<FaultKind> {
        FaultKind::ALL.into_iter().filter(|&kind| board.faults.count(kind) > 0).collect()
    }

    /// Two publishes of topic 1 under way.
    fn two() -> (Board, Instant) {
        let (mut board, now) = (Board::new(2), Instant::now());
        assert_eq!(board.publish(1, now), Numbers { number: 1, settled_below: 1 });
        assert_eq!(board.publish(1, now), Numbers { number: 2, settled_below: 1 });
        (board, now)
    }

    #[test]
    fn answered_and_delivered_in_order_is_well() {
        let (mut board, now) = two();
        for number in 1..=2 {
            assert_eq!(board.answered(1, u64::from(number), Ok(u64::from(number))), Some(now));
            assert_eq!(board.delivered(1, u64::from(number), Some((1, number))), Some(now));
        }
        assert_eq!(board.publish(1, now), Numbers { number: 3, settled_below: 3 });
        assert_eq!((board.in_flight(), board.faults.total()), (1, 0));
    }

    #[test]
    fn a_refused_publish_has_no_offset() {
        let (mut board, _) = two();
        board.answered(1, 1, Err("overloaded".into()));
        board.answered(1, 2, Ok(1));
        board.delivered(1, 1, Some((1, 2)));
        assert_eq!((board.faults.total(), board.refusals["overloaded"]), (0, 1));
    }

    #[test]
    fn every_way_to_be_wrong_has_its_kind() {
        type Wrong = (FaultKind, fn(&mut Board));
        let wrong: [Wrong; 8] = [
            (FaultKind::Strange, |board| _ = board.answered(0, 1, Ok(1))),
            (FaultKind::Reordered, |board| _ = board.answered(1, 2, Ok(1))),
            (FaultKind::Doubled, |board| {
                board.answered(1, 1, Ok(1));
                board.answered(1, 1, Ok(1));
            }),
            (FaultKind::Reordered, |board| {
                board.answered(1, 1, Ok(1));
                board.answered(1, 2, Ok(2));
                board.delivered(1, 2, Some((1, 2)));
                board.delivered(1, 1, Some((1, 1)));
            }),
            (FaultKind::Strange, |board| _ = board.delivered(1, 1, None)),
            (FaultKind::Strange, |board| _ = board.delivered(0, 1, Some((1, 1)))),
            (FaultKind::WrongOffset, |board| _ = board.delivered(1, 1, Some((1, 1)))),
            (FaultKind::Doubled, |board| {
                board.answered(1, 1, Ok(1));
                board.delivered(1, 1, Some((1, 1)));
                board.delivered(1, 1, Some((1, 1)));
            }),
        ];
        for (index, (kind, act)) in wrong.into_iter().enumerate() {
            let mut board = two().0;
            act(&mut board);
            assert_eq!(kinds(&board), [kind], "case {index}");
        }
        let mut board = two().0;
        board.answered(1, 1, Ok(2));
        board.delivered(1, 2, Some((1, 1)));
        assert_eq!(kinds(&board), [FaultKind::WrongOffset], "an offset that nobody gets");
    }

    #[test]
    fn what_never_comes_is_missing_or_unanswered() {
        let (mut board, _) = two();
        board.answered(1, 1, Ok(1));
        board.give_up(Duration::from_secs(1));
        assert_eq!(kinds(&board), [FaultKind::Missing, FaultKind::Unanswered]);
        assert_eq!(board.in_flight(), 0);
    }
}
