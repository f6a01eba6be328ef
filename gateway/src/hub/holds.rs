//! Messages for patterns that come from a topic's new owner before the old one has said its last word (rule H8): they wait, so that
//! a listener gets each topic's messages in order. Bounded in bytes and time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_proto::reach::{Behind, Match};
use campanile_proto::{Epoch, Incarnation};

/// Bytes that may wait.
const HELD_BYTES: usize = 8 << 20;

/// How long they may.
const HELD_FOR: Duration = Duration::from_secs(5);

/// How long a last word is remembered: the new owner's first word comes later, or never.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// What one process says of a topic.
#[derive(Debug)]
pub(crate) enum Said {
    /// A message.
    Match(Box<Match>),
    /// Its last word, at this position.
    Moved(Epoch, u64),
}

/// What waits, and what need not.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// By topic and process: the last words that were heard.
    moved: BTreeMap<(Bytes, Incarnation), (Epoch, u64, Instant)>,
    /// By topic and process: what that process has said too early.
    held: BTreeMap<(Bytes, Incarnation), Held>,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    behind: Behind,
    since: Instant,
    said: Vec<Said>,
}

/// More waited than may, or for too long: nobody can say in which order it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder;

impl Holds {
    /// A process has said something of a topic. What is in order now comes out. `is_linked` says whether a process may still
    /// be heard.
    pub(crate) fn take(
        &mut self,
        source: Incarnation,
        topic: Bytes,
        said: Said,
        is_linked: impl Fn(Incarnation) -> bool,
        now: Instant,
        out: &mut Vec<Match>,
    ) -> Result<(), OutOfOrder> {
        self.run(source, topic, said, &is_linked, now, out);
        if self.bytes > HELD_BYTES {
            self.held.clear();
            self.bytes = 0;
            return Err(OutOfOrder);
        }
        Ok(())
    }

    fn run(
        &mut self,
        source: Incarnation,
        topic: Bytes,
        said: Said,
        is_linked: &dyn Fn(Incarnation) -> bool,
        now: Instant,
        out: &mut Vec<Match>,
    ) {
        let key = (topic, source);
        if let Some(held) = self.held.get_mut(&key) {
            self.bytes += cost(&said);
            return held.said.push(detached(said));
        }
        match said {
            Said::Match(mut found) => {
                let behind = found.behind.take();
                let waits = |behind: &Behind| {
                    behind.incarnation != source
                        && !self.has_moved(&key.0, behind)
                        && is_linked(behind.incarnation)
                };
                match behind.filter(waits) {
                    Some(behind) => {
                        let said = detached(Said::Match(found));
                        let key = (Bytes::copy_from_slice(&key.0), source);
                        self.bytes += cost(&said);
                        self.held.insert(key, Held { behind, since: now, said: vec![said] });
                    }
                    None => out.push(*found),
                }
            }
            Said::Moved(epoch, offset) => {
                let topic = key.0.clone();
                // Detached: a slice would keep the batch that it came in.
                self.moved.insert((Bytes::copy_from_slice(&key.0), source), (epoch, offset, now));
                self.release(
                    |(own, _), held| *own == topic && held.behind.incarnation == source,
                    is_linked,
                    now,
                    out,
                );
            }
        }
    }

    /// Whoever waits for no good reason any more is let go, in order.
    fn release(
        &mut self,
        is_it: impl Fn(&(Bytes, Incarnation), &Held) -> bool,
        is_linked: &dyn Fn(Incarnation) -> bool,
        now: Instant,
        out: &mut Vec<Match>,
    ) {
        let found = self.held.iter().filter(|(key, held)| is_it(key, held));
        let keys: Vec<_> = found.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(held) = self.held.remove(&key) else { continue };
            for said in held.said {
                self.bytes -= cost(&said);
                self.run(key.1, key.0.clone(), said, is_linked, now, out);
            }
        }
    }

    /// A process is heard no more.
    pub(crate) fn end(
        &mut self,
        process: Incarnation,
        is_linked: impl Fn(Incarnation) -> bool,
        now: Instant,
        out: &mut Vec<Match>,
    ) {
        self.release(|_, held| held.behind.incarnation == process, &is_linked, now, out);
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) -> Result<(), OutOfOrder> {
        self.moved.retain(|_, (_, _, heard)| now.saturating_duration_since(*heard) < REMEMBERED_FOR);
        let is_late = |held: &Held| now.saturating_duration_since(held.since) >= HELD_FOR;
        if self.held.values().any(is_late) {
            self.held.clear();
            self.bytes = 0;
            return Err(OutOfOrder);
        }
        Ok(())
    }

    fn has_moved(&self, topic: &Bytes, behind: &Behind) -> bool {
        let heard = self.moved.get(&(topic.clone(), behind.incarnation));
        heard.is_some_and(|(epoch, offset, _)| *epoch == behind.epoch && *offset >= behind.offset)
    }
}

/// What waits must not keep the batch that it came in.
fn detached(said: Said) -> Said {
    match said {
        Said::Match(mut found) => {
            found.topic = Bytes::copy_from_slice(&found.topic);
            found.message = found.message.detached();
            Said::Match(found)
        }
        moved @ Said::Moved(..) => moved,
    }
}

fn cost(said: &Said) -> usize {
    match said {
        Said::Match(found) => campanile_proto::wire::ITEM_OVERHEAD + found.topic.len() + found.message.len(),
        Said::Moved(..) => campanile_proto::wire::ITEM_OVERHEAD,
    }
}

#[cfg(test)]
mod tests {
    use campanile_proto::{Encoding, Message};

    use super::*;

    const A: Incarnation = Incarnation(0xa);
    const B: Incarnation = Incarnation(0xb);
    const C: Incarnation = Incarnation(0xc);
    const EPOCH: Epoch = Epoch(7);

    struct World {
        holds: Holds,
        now: Instant,
        linked: Vec<Incarnation>,
    }

    impl World {
        fn new() -> Self {
            Self { holds: Holds::default(), now: Instant::now(), linked: vec![A, B, C] }
        }

        fn take(&mut self, source: Incarnation, said: Said) -> Vec<u64> {
            let mut out = Vec::new();
            let linked = self.linked.clone();
            let is_linked = |process| linked.contains(&process);
            let topic = Bytes::from_static(b"t");
            let taken = self.holds.take(source, topic, said, is_linked, self.now, &mut out);
            assert_eq!(taken, Ok(()));
            out.iter().map(|found| found.offset).collect()
        }

        fn message(
            &mut self,
            source: Incarnation,
            offset: u64,
            behind: Option<(Incarnation, u64)>,
        ) -> Vec<u64> {
            let behind = behind.map(|(incarnation, offset)| Behind { incarnation, epoch: EPOCH, offset });
            self.take(source, Said::Match(Box::new(found(offset, behind))))
        }

        fn moved(&mut self, source: Incarnation, offset: u64) -> Vec<u64> {
            self.take(source, Said::Moved(EPOCH, offset))
        }
    }

    fn found(offset: u64, behind: Option<Behind>) -> Match {
        let (event, payload) = (Bytes::from_static(b"e"), Bytes::from(vec![0; 1 << 10]));
        let message = Message { encoding: Encoding::Binary, event, payload };
        let topic = Bytes::from_static(b"t");
        Match { subscription: None, topic, patterns: vec![1], epoch: EPOCH, offset, message, behind }
    }

    #[test]
    fn the_new_owner_waits_for_the_last_word_of_the_old_one() {
        let mut world = World::new();
        assert_eq!(world.message(A, 1, None), [1]);
        assert!(world.message(B, 4, Some((A, 3))).is_empty());
        assert!(world.message(B, 5, None).is_empty(), "it is behind the first");
        assert_eq!(world.message(A, 2, None), [2]);
        assert_eq!(world.message(A, 3, None), [3]);
        assert_eq!(world.moved(A, 3), [4, 5]);
        assert_eq!(world.message(B, 6, None), [6]);
    }

    #[test]
    fn a_last_word_that_came_first_holds_nobody_up() {
        let mut world = World::new();
        assert!(world.moved(A, 3).is_empty());
        assert_eq!(world.message(B, 4, Some((A, 3))), [4]);
    }

    #[test]
    fn a_last_word_of_an_earlier_move_does_not_count() {
        let mut world = World::new();
        world.moved(A, 3);
        assert_eq!(world.message(B, 4, Some((A, 3))), [4]);
        world.moved(B, 4);
        assert_eq!(world.message(A, 5, Some((B, 4))), [5]);
        // It moves to B again: the word of the first move is too old.
        assert!(world.message(B, 7, Some((A, 6))).is_empty());
        assert_eq!(world.message(A, 6, None), [6]);
        assert_eq!(world.moved(A, 6), [7]);
    }

    #[test]
    fn a_chain_comes_in_order() {
        let mut world = World::new();
        assert!(world.message(C, 5, Some((B, 4))).is_empty());
        assert!(world.message(B, 4, Some((A, 3))).is_empty());
        assert!(world.moved(B, 4).is_empty(), "it is behind B's own");
        assert_eq!(world.moved(A, 3), [4, 5]);
    }

    #[test]
    fn nobody_waits_for_who_is_not_heard_any_more() {
        let mut world = World::new();
        world.message(B, 4, Some((A, 3)));
        let mut out = Vec::new();
        world.holds.end(A, |_| true, world.now, &mut out);
        assert_eq!(out.len(), 1);
        world.linked = vec![B];
        assert_eq!(world.message(B, 9, Some((A, 3))), [9]);
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_time() {
        let mut world = World::new();
        world.message(B, 4, Some((A, 3)));
        assert_eq!(world.holds.tick(world.now + HELD_FOR - Duration::from_millis(1)), Ok(()));
        assert_eq!(world.holds.tick(world.now + HELD_FOR), Err(OutOfOrder));
        assert_eq!(world.message(B, 5, None), [5], "nothing is held any more");
        world.message(B, 6, Some((A, 9)));
        let mut out = Vec::new();
        let mut many = || {
            let said = Said::Match(Box::new(found(7, None)));
            world.holds.take(B, Bytes::from_static(b"t"), said, |_| true, world.now, &mut out)
        };
        let taken = (0..HELD_BYTES >> 10).find_map(|_| many().err());
        assert_eq!(taken, Some(OutOfOrder));
        assert!(out.is_empty() && world.holds.bytes == 0);
    }
}
