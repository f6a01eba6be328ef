//! How many of a topic's listeners count as receivers, and how far the owner knows. Topics without such listeners have nothing of
//! this.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::hub::effect::Leaving;

/// One topic's count.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    /// Listeners that count: those that are live, and those that wait for the owner to count them.
    listeners: u32,
    /// Grows with each change.
    change: u32,
    /// The last change that the owner has confirmed.
    confirmed: u32,
    /// The change that the last `Subscribe` told.
    subscribed: u32,
    told: Arc<Told>,
    /// Those who have left, each with the change that says so.
    pub(crate) leaving: Vec<(u32, Leaving)>,
}

/// What is told next, read when it leaves: many changes are told at once, and none behind what depends on it.
#[derive(Debug, Default)]
pub struct Told {
    /// The change in the upper half, the listeners in the lower.
    newest: AtomicU64,
    /// It lies in an outbox.
    is_queued: AtomicBool,
}

impl Counting {
    /// One more. Returns the change that the owner must confirm before it is live.
    pub(crate) fn add(&mut self) -> u32 {
        self.set(self.listeners.saturating_add(1));
        self.change
    }

    /// One less.
    pub(crate) fn remove(&mut self) {
        self.set(self.listeners.saturating_sub(1));
    }

    fn set(&mut self, listeners: u32) {
        self.listeners = listeners;
        self.change = self.change.wrapping_add(1);
        let newest = u64::from(self.change) << 32 | u64::from(listeners);
        self.told.newest.store(newest, Ordering::Release);
    }

    /// What to queue for the owner, unless it lies in the queue already, or went with the subscription.
    pub(crate) fn tell(&self) -> Option<Arc<Told>> {
        if self.subscribed == self.change {
            return None;
        }
        let was_queued = self.told.is_queued.swap(true, Ordering::AcqRel);
        (!was_queued).then(|| Arc::clone(&self.told))
    }

    /// A `Subscribe` tells the count. What lies in a queue of an older subscription is of no use any more.
    pub(crate) fn subscribe(&mut self) -> u32 {
        self.subscribed = self.change;
        let newest = AtomicU64::new(self.told.newest.load(Ordering::Acquire));
        self.told = Arc::new(Told { newest, is_queued: AtomicBool::new(false) });
        self.listeners
    }

    /// The owner has confirmed the subscription.
    pub(crate) fn subscribed(&mut self) {
        self.confirmed = self.subscribed;
    }

    /// The owner has confirmed a change.
    pub(crate) fn counted(&mut self, change: u32) {
        self.confirmed = change;
    }

    /// The last change.
    pub(crate) fn change(&self) -> u32 {
        self.change
    }

    /// Those who count no more, or whose time is up.
    pub(crate) fn take_left(&mut self, now: Instant) -> Vec<Leaving> {
        if self.leaving.is_empty() {
            return Vec::new();
        }
        let leaving = std::mem::take(&mut self.leaving);
        let (left, waiting): (Vec<_>, Vec<_>) =
            leaving.into_iter().partition(|(change, own)| self.covers(*change) || own.deadline <= now);
        self.leaving = waiting;
        left.into_iter().map(|(_, leaving)| leaving).collect()
    }

    /// When the time of the first who has left is up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.leaving.iter().map(|(_, leaving)| leaving.deadline).min()
    }

    /// Whether the owner counts what it was told with this change. Changes are confirmed in order.
    pub(crate) fn covers(&self, change: u32) -> bool {
        self.confirmed.wrapping_sub(change) <= u32::MAX / 2
    }
}

impl Told {
    /// It leaves the queue: listeners, and the change.
    pub fn leave(&self) -> (u32, u32) {
        // Before it is read: what changes now is queued anew.
        self.is_queued.store(false, Ordering::Release);
        let newest = self.newest.load(Ordering::Acquire);
        (newest as u32, (newest >> 32) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_changes_are_told_at_once_and_as_they_are_when_they_leave() {
        let mut counting = Counting::default();
        let first = counting.add();
        let told = counting.tell().expect("not queued yet");
        let second = counting.add();
        counting.remove();
        let third = counting.add();
        assert!(counting.tell().is_none(), "it lies there already");
        let (listeners, change) = told.leave();
        assert_eq!((listeners, change), (2, third));
        assert!(!counting.covers(first));
        counting.counted(change);
        assert!(counting.covers(first) && counting.covers(second) && counting.covers(third));
        let fourth = counting.add();
        assert!(!counting.covers(fourth));
        assert!(counting.tell().is_some());
    }

    #[test]
    fn a_subscription_tells_the_count_and_confirms_it() {
        let mut counting = Counting::default();
        let first = counting.add();
        let old = counting.tell().expect("not queued yet");
        assert_eq!(counting.subscribe(), 1);
        let second = counting.add();
        let new = counting.tell().expect("the older one is of no use");
        assert!(!Arc::ptr_eq(&old, &new));
        counting.subscribed();
        assert!(counting.covers(first) && !counting.covers(second));
        assert_eq!(new.leave(), (2, second));
    }

    #[test]
    fn changes_may_begin_anew() {
        let mut counting = Counting { change: u32::MAX - 1, confirmed: u32::MAX - 1, ..Counting::default() };
        let changes = [counting.add(), counting.add(), counting.add()];
        assert_eq!(changes, [u32::MAX, 0, 1]);
        counting.counted(0);
        assert_eq!(changes.map(|change| counting.covers(change)), [true, true, false]);
    }
}
