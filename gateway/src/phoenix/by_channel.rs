//! A map by channel for sessions, most of which have one or two: it holds what it needs and no more, where a hash map
//! would hold places for four and a seed.

use crate::client::outbox::ChannelId;

/// So many entries are made room for one by one.
const FEW: usize = 4;

/// Values by channel, in the order of the channels' numbers. A session gives them in ascending order, so that adding is
/// cheap.
#[derive(Debug)]
pub(crate) struct ByChannel<T> {
    entries: Vec<(ChannelId, T)>,
}

impl<T> Default for ByChannel<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> ByChannel<T> {
    /// Puts a value there. Returns the one that it replaces.
    pub(crate) fn insert(&mut self, channel: ChannelId, value: T) -> Option<T> {
        match self.find(channel) {
            Ok(index) => self.entries.get_mut(index).map(|(_, old)| std::mem::replace(old, value)),
            Err(index) => {
                if self.entries.len() < FEW {
                    self.entries.reserve_exact(1);
                }
                self.entries.insert(index, (channel, value));
                None
            }
        }
    }

    pub(crate) fn get(&self, channel: ChannelId) -> Option<&T> {
        let index = self.find(channel).ok()?;
        self.entries.get(index).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, channel: ChannelId) -> Option<&mut T> {
        let index = self.find(channel).ok()?;
        self.entries.get_mut(index).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, channel: ChannelId) -> Option<T> {
        let index = self.find(channel).ok()?;
        let (_, value) = self.entries.remove(index);
        if self.entries.is_empty() {
            self.entries = Vec::new();
        }
        Some(value)
    }

    /// All channels, in ascending order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = ChannelId> {
        self.entries.iter().map(|(channel, _)| *channel)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes all values out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.entries).into_iter().map(|(_, value)| value)
    }

    fn find(&self, channel: ChannelId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&channel, |(channel, _)| *channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_map() {
        let mut map = ByChannel::default();
        for channel in [5, 1, 9, 3, 7, 2] {
            assert_eq!(map.insert(ChannelId(channel), channel), None);
        }
        assert_eq!(map.insert(ChannelId(9), 90), Some(9));
        assert_eq!((map.get(ChannelId(9)), map.get(ChannelId(4)), map.len()), (Some(&90), None, 6));
        *map.get_mut(ChannelId(1)).unwrap() = 10;
        assert_eq!((map.remove(ChannelId(1)), map.remove(ChannelId(1))), (Some(10), None));
        assert_eq!(map.drain().collect::<Vec<_>>(), [2, 3, 5, 7, 90]);
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn takes_no_more_room_than_one_needs() {
        let mut map = ByChannel::default();
        map.insert(ChannelId(1), 0_u64);
        assert_eq!(map.entries.capacity(), 1);
        map.remove(ChannelId(1));
        assert_eq!(map.entries.capacity(), 0);
    }
}
