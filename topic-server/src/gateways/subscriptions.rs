//! What one link is subscribed to, found by the gateway's small number of the topic: the slot that its publishes name, too.

use std::sync::Arc;

use campanile_proto::Subscription;

use crate::topics::Entry;

/// Places that a table begins with; their number is always a power of two.
const PLACES: usize = 16;

/// The newest subscription of each slot: open addressing, so that one look at memory that was not read for long is enough,
/// and so that few slots of many, as with many topic servers, take no more than their share.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// At most three quarters are taken. Each lies at its slot's own place, or behind it without a free one between.
    places: Box<[Option<Held>]>,
    len: usize,
}

#[derive(Debug)]
struct Held {
    subscription: Subscription,
    entry: Arc<Entry>,
}

impl Subscriptions {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The topic of the slot's newest subscription, whatever its generation.
    pub(super) fn at(&self, slot: u32) -> Option<&Arc<Entry>> {
        Some(&self.held(slot)?.entry)
    }

    /// The topic of a subscription.
    pub(super) fn get(&self, subscription: Subscription) -> Option<&Arc<Entry>> {
        let held = self.held(subscription.slot)?;
        (held.subscription == subscription).then_some(&held.entry)
    }

    /// Puts one in. The one that had the slot comes back: it is not found by its number any more.
    pub(super) fn insert(
        &mut self,
        subscription: Subscription,
        entry: Arc<Entry>,
    ) -> Option<(Subscription, Arc<Entry>)> {
        if (self.len + 1) * 4 > self.places.len() * 3 {
            self.resize((self.places.len() * 2).max(PLACES));
        }
        let index = self.find(subscription.slot);
        let old = self.places[index].replace(Held { subscription, entry });
        self.len += usize::from(old.is_none());
        old.map(|held| (held.subscription, held.entry))
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, subscription: Subscription) -> Option<Arc<Entry>> {
        self.get(subscription)?;
        let mut free = self.find(subscription.slot);
        let held = self.places[free].take()?;
        self.len -= 1;
        // Those behind it come forward, if its place is not before their own.
        let mask = self.places.len() - 1;
        let mut index = (free + 1) & mask;
        while let Some(other) = &self.places[index] {
            let from_own = index.wrapping_sub(self.own_place(other.subscription.slot)) & mask;
            if from_own >= index.wrapping_sub(free) & mask {
                self.places.swap(free, index);
                free = index;
            }
            index = (index + 1) & mask;
        }
        if self.len * 8 < self.places.len() && self.places.len() > PLACES {
            self.resize(self.places.len() / 2);
        }
        Some(held.entry)
    }

    /// Keeps only those.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Subscription, &Arc<Entry>) -> bool) {
        // Into as many places as there were: they come in the order of their places, and would be one heap in fewer.
        let places = self.places.len();
        let kept = |held: &Held| keep(held.subscription, &held.entry);
        let old: Vec<Held> = std::mem::take(&mut self.places).into_iter().flatten().filter(kept).collect();
        self.len = old.len();
        self.places = free(places);
        old.into_iter().for_each(|held| self.put(held));
    }

    /// Takes all out, in an order that is the same in every run of a simulation.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (Subscription, Arc<Entry>)> + use<> {
        self.len = 0;
        std::mem::take(&mut self.places).into_iter().flatten().map(|held| (held.subscription, held.entry))
    }

    fn held(&self, slot: u32) -> Option<&Held> {
        if self.places.is_empty() { None } else { self.places[self.find(slot)].as_ref() }
    }

    /// Where a slot is, or where it would be. There is always a free place.
    fn find(&self, slot: u32) -> usize {
        let mut index = self.own_place(slot);
        while self.places[index].as_ref().is_some_and(|held| held.subscription.slot != slot) {
            index = (index + 1) & (self.places.len() - 1);
        }
        index
    }

    /// Neighbours are spread as far as can be, so that gaps between slots make no heaps.
    fn own_place(&self, slot: u32) -> usize {
        // 2^32 over the golden ratio. The upper bits are the mixed ones; there are never more than 2^32 places.
        let mixed = u64::from(slot.wrapping_mul(0x9E37_79B1));
        ((mixed * self.places.len() as u64) >> 32) as usize
    }

    fn resize(&mut self, places: usize) {
        let old = std::mem::replace(&mut self.places, free(places));
        old.into_iter().flatten().for_each(|held| self.put(held));
    }

    /// Puts one in whose slot is not there, where there is room.
    fn put(&mut self, held: Held) {
        let index = self.find(held.subscription.slot);
        self.places[index] = Some(held);
    }
}

fn free(places: usize) -> Box<[Option<Held>]> {
    (0..places).map(|_| None).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use super::*;
    use crate::topics::testing::{lone_table, number, outbox};

    /// Entries of so many topics.
    fn entries(count: u32) -> Vec<Arc<Entry>> {
        let table = lone_table();
        let subscribe = |slot: u32| {
            let topic = format!("topics:{slot}");
            table.subscribe(&outbox(), number(slot, 1), topic.as_bytes(), Instant::now())
        };
        (0..count).filter_map(subscribe).map(|held| held.entry).collect()
    }

    #[test]
    fn one_is_found_by_its_number_and_by_its_slot_alone() {
        let (mut subscriptions, entries) = (Subscriptions::default(), entries(2));
        assert!(subscriptions.at(3).is_none() && subscriptions.remove(number(3, 1)).is_none());
        assert!(subscriptions.insert(number(3, 1), Arc::clone(&entries[0])).is_none());
        let old = subscriptions.insert(number(3, 2), Arc::clone(&entries[1]));
        assert!(old.is_some_and(|(own, entry)| own == number(3, 1) && Arc::ptr_eq(&entry, &entries[0])));
        for found in [subscriptions.at(3), subscriptions.get(number(3, 2))] {
            assert!(found.is_some_and(|found| Arc::ptr_eq(found, &entries[1])));
        }
        assert!(subscriptions.get(number(3, 1)).is_none() && subscriptions.remove(number(3, 1)).is_none());
        assert_eq!(subscriptions.len(), 1);
        assert_eq!(size_of::<Option<Held>>(), 16);
    }

    /// They come in the order of their places: put into a table that grows anew, each would pass all before it.
    #[test]
    fn looking_through_very_many_leaves_them_as_they_lie() {
        let (mut subscriptions, entries) = (Subscriptions::default(), entries(1));
        (0..100_000).for_each(|slot| _ = subscriptions.insert(number(slot, 1), Arc::clone(&entries[0])));
        let places = subscriptions.places.len();
        subscriptions.retain(|own, _| own.slot % 2 == 0);
        assert_eq!((subscriptions.places.len(), subscriptions.len()), (places, 50_000));
        assert!((0..100_000).all(|slot| subscriptions.at(slot).is_some() == (slot % 2 == 0)));
        subscriptions.retain(|_, _| false);
        assert!(subscriptions.at(0).is_none() && subscriptions.remove(number(0, 1)).is_none());
        assert!(subscriptions.insert(number(0, 1), Arc::clone(&entries[0])).is_none());
    }

    #[test]
    fn whatever_comes_it_is_a_map() {
        let (mut random, entries) = (fastrand::Rng::with_seed(7), entries(8));
        // Dense slots, every seventh, and any at all; and those whose own place is the last one.
        let slots: [fn(&mut fastrand::Rng) -> u32; 4] = [
            |random| random.u32(..300),
            |random| random.u32(..300) * 7,
            |random| random.u32(..),
            |random| 0x144C_BC89_u32.wrapping_mul(u32::MAX - random.u32(..9)),
        ];
        for slot in slots {
            let (mut subscriptions, mut map) = (Subscriptions::default(), BTreeMap::new());
            for round in 0..6_000 {
                let (slot, entry) = (slot(&mut random), random.choice(&entries).expect("some"));
                // First more come than go, then the other way round.
                if random.u32(..4) > u32::from(round > 3_000) * 2 {
                    let generation = random.u32(..3);
                    let old = subscriptions.insert(number(slot, generation), Arc::clone(entry));
                    let known = map.insert(slot, (generation, Arc::clone(entry)));
                    assert_eq!(old.map(|(own, _)| own.generation), known.map(|(generation, _)| generation));
                } else if let Some(&slot) = random.choice(map.keys().collect::<Vec<_>>()) {
                    let (generation, entry) = map.remove(&slot).expect("known");
                    let removed = subscriptions.remove(number(slot, generation));
                    assert!(removed.is_some_and(|removed| Arc::ptr_eq(&removed, &entry)));
                }
                if round % 1_000 == 0 {
                    subscriptions.retain(|own, _| own.slot % 5 != 0);
                    map.retain(|slot, _| slot % 5 != 0);
                }
                assert_eq!(subscriptions.len(), map.len());
                if round % 50 == 0 {
                    let found = |(slot, (generation, entry)): (&u32, &(u32, Arc<Entry>))| {
                        let found = subscriptions.get(number(*slot, *generation));
                        found.is_some_and(|found| Arc::ptr_eq(found, entry))
                    };
                    assert!(map.iter().all(found), "round {round}");
                }
            }
            let all: BTreeMap<_, _> = subscriptions.take().map(|(own, entry)| (own.slot, entry)).collect();
            assert_eq!(all.len(), map.len());
            assert_eq!(subscriptions.len(), 0);
        }
    }
}
