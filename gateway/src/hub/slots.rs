//! The gateway's numbers for its topics: small, reused, and told apart by a generation (rule L3). A delivery names
//! its slot, so that the hub finds the topic by index.

use std::sync::Arc;

/// Topics by their slots.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    /// The last generation used here, by this topic or the ones before.
    generation: u32,
    topic: Option<Arc<T>>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// Makes a topic for a free slot, given the slot and its last generation.
    pub(crate) fn insert(&mut self, make: impl FnOnce(u32, u32) -> Arc<T>) -> Arc<T> {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, topic: None });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[number as usize];
        let topic = make(number, slot.generation);
        slot.topic = Some(Arc::clone(&topic));
        topic
    }

    /// The topic of a slot.
    pub(crate) fn get(&self, number: u32) -> Option<&Arc<T>> {
        self.slots.get(number as usize)?.topic.as_ref()
    }

    /// Frees a slot, whose last topic got up to this generation.
    pub(crate) fn remove(&mut self, number: u32, generation: u32) {
        if let Some(slot) = self.slots.get_mut(number as usize)
            && slot.topic.take().is_some()
        {
            slot.generation = generation;
            self.free.push(number);
        }
    }

    /// How many topics there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// All topics.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.slots.iter().filter_map(|slot| slot.topic.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_slot_goes_on_counting_generations() {
        let mut slots = Slots::default();
        let insert = |slots: &mut Slots<(u32, u32)>| *slots.insert(|slot, last| Arc::new((slot, last)));
        assert_eq!(insert(&mut slots), (0, 0));
        assert_eq!(insert(&mut slots), (1, 0));
        slots.remove(0, 7);
        slots.remove(0, 9);
        assert_eq!(slots.len(), 1);
        assert!(slots.get(0).is_none());
        assert_eq!(insert(&mut slots), (0, 7));
        assert_eq!(slots.len(), 2);
        assert!(slots.get(2).is_none());
    }
}
