//! The rule of a full queue for topics with `overflow = "drop-oldest"`: their queued events give way, the oldest first.
//! The place of a dropped event becomes a mark, an [`Item::Dropped`]; of several marks of a channel the last one
//! counts, at the place of the gap. Events that are left of a channel always lie behind its marks.
//!
//! A drop costs the same however long the queue is: nobody searches a place twice, and marks that no longer count stay
//! until they are a quarter of the queue.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::client::item::{ChannelId, Item};

/// What is known of one queue.
#[derive(Debug, Default)]
pub(crate) struct DropOldest {
    /// So many places at the front hold nothing more to drop.
    searched: usize,
    /// Places that hold a mark.
    marks: usize,
    /// Channels with a mark. The last of each counts as an item, the others count nothing.
    told: HashSet<ChannelId>,
}

impl DropOldest {
    /// Places of the queue that hold no item but a mark.
    pub(crate) fn marks(&self) -> usize {
        self.marks
    }

    /// Drops the oldest event that may be dropped; returns the bytes that are free now. `None` if there is none.
    pub(crate) fn drop_one(&mut self, queue: &mut VecDeque<Item>) -> Option<usize> {
        while let Some(item) = queue.get_mut(self.searched) {
            self.searched += 1;
            let Item::Droppable { channel, event, .. } = item else { continue };
            let channel = *channel;
            let mark = Item::Dropped { channel, epoch: event.epoch, offset: event.offset };
            let is_first = self.told.insert(channel);
            let freed = item.cost() - if is_first { mark.cost() } else { 0 };
            *item = mark;
            self.marks += 1;
            if (self.marks - self.told.len()) * 4 > queue.len() {
                self.compact(queue);
            }
            return Some(freed);
        }
        None
    }

    /// Moves the oldest items of a queue into an empty one, until `high` bytes are reached; returns what they count.
    pub(crate) fn take(
        &mut self,
        queue: &mut VecDeque<Item>,
        into: &mut VecDeque<Item>,
        high: usize,
    ) -> usize {
        self.compact(queue);
        let mut taken = 0;
        while taken < high
            && let Some(item) = queue.pop_front()
        {
            taken += item.cost();
            self.searched = self.searched.saturating_sub(1);
            if let Item::Dropped { channel, .. } = &item {
                self.marks -= 1;
                self.told.remove(channel);
            }
            into.push_back(item);
        }
        taken
    }

    /// Items other than marks have been taken from the front.
    pub(crate) fn others_taken(&mut self, items: usize) {
        self.searched = self.searched.saturating_sub(items);
    }

    /// Removes the marks that do not count.
    fn compact(&mut self, queue: &mut VecDeque<Item>) {
        if self.marks == self.told.len() {
            return;
        }
        let mark_of = |item: &Item| match item {
            Item::Dropped { channel, .. } => Some(*channel),
            _ => None,
        };
        let marks = queue.iter().take(self.searched).enumerate();
        let last: HashMap<ChannelId, usize> =
            marks.filter_map(|(index, item)| Some((mark_of(item)?, index))).collect();
        let mut places = 0..;
        queue.retain(|item| {
            let place = places.next();
            mark_of(item).is_none_or(|channel| last.get(&channel).copied() == place)
        });
        self.searched -= self.marks - self.told.len();
        self.marks = self.told.len();
    }
}

#[cfg(test)]
#[path = "drop_oldest_tests.rs"]
mod tests;
