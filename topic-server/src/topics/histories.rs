//! The queue of topics with a history, in the order in which they are asked to give it up.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

use crate::topics::entry::Entry;

/// So many topics are looked at together before the first of them is asked.
const AHEAD: usize = 16;

/// The queue; each topic stands in it once at most.
#[derive(Debug, Default)]
pub(super) struct Histories {
    queue: VecDeque<Arc<Entry>>,
    /// So many at the front have been looked at.
    looked_at: usize,
    /// So many have been given up by the table since they were looked through last.
    gone: usize,
}

impl Histories {
    /// Puts a topic at the end.
    pub(super) fn push(&mut self, entry: Arc<Entry>) {
        self.queue.push_back(entry);
    }

    /// Takes the first topic. What lies in memory that was not read for long comes sooner if some are asked for together.
    pub(super) fn pop(&mut self) -> Option<Arc<Entry>> {
        if self.looked_at == 0 {
            self.looked_at = AHEAD.min(self.queue.len());
            let next = self.queue.iter().take(self.looked_at);
            // Or the compiler sees that nobody wants to know.
            black_box(next.map(|entry| entry.name().len()).sum::<usize>());
        }
        self.looked_at = self.looked_at.saturating_sub(1);
        self.queue.pop_front()
    }

    /// How many stand in it.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The table has given up one that stands here.
    pub(super) fn note_gone(&mut self) {
        self.gone += 1;
    }

    /// How many are to be looked through now: all, if most of them may be gone. They would stay until all histories together are
    /// too large, which may never be.
    pub(super) fn start_look_through(&mut self) -> usize {
        if self.gone * 2 <= self.queue.len() {
            return 0;
        }
        self.gone = 0;
        self.queue.len()
    }

    /// Takes so many from the front; those that stay are to be put in again.
    pub(super) fn take(&mut self, count: usize) -> Vec<Arc<Entry>> {
        self.looked_at = 0;
        let taken = self.queue.drain(..count.min(self.queue.len())).collect();
        self.queue.shrink_to(self.queue.len() * 2);
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::topics::testing::lone_table;

    #[test]
    fn all_come_in_the_order_in_which_they_were_put_in() {
        let (table, now) = (lone_table(), Instant::now());
        let names: Vec<_> = (0..3 * AHEAD).map(|number| format!("topics:{number}")).collect();
        let mut histories = Histories::default();
        assert!(histories.pop().is_none());
        let mut waiting = VecDeque::new();
        for (index, name) in names.iter().enumerate() {
            histories.push(table.create(name.as_bytes(), now));
            waiting.push_back(name);
            if index % 3 == 0 {
                assert_eq!(
                    histories.pop().as_ref().map(|entry| entry.name()),
                    waiting.pop_front().map(|name| name.as_bytes())
                );
            }
        }
        while let Some(name) = waiting.pop_front() {
            assert_eq!(histories.pop().as_ref().map(|entry| entry.name()), Some(name.as_bytes()));
        }
        assert!(histories.pop().is_none());
    }
}
