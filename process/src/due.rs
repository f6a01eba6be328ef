//! Things that fall due, soonest first. One lock, no task: whoever owns the queue waits for it, or asks now and then.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A queue of things with the time at which each is due. Equal times keep their order.
#[derive(Debug)]
pub struct DueQueue<T> {
    inner: Mutex<Inner<T>>,
    /// Something is due sooner than all before.
    sooner: Notify,
}

#[derive(Debug)]
struct Inner<T> {
    heap: BinaryHeap<Due<T>>,
    count: u64,
}

#[derive(Debug)]
struct Due<T> {
    at: Instant,
    order: u64,
    thing: T,
}

impl<T> Default for DueQueue<T> {
    fn default() -> Self {
        Self { inner: Mutex::new(Inner { heap: BinaryHeap::new(), count: 0 }), sooner: Notify::new() }
    }
}

impl<T> DueQueue<T> {
    /// Puts a thing into the queue.
    pub fn push(&self, at: Instant, thing: T) {
        let mut inner = self.inner.lock();
        let order = inner.count;
        inner.count += 1;
        let is_soonest = inner.heap.peek().is_none_or(|soonest| at < soonest.at);
        inner.heap.push(Due { at, order, thing });
        drop(inner);
        if is_soonest {
            self.sooner.notify_one();
        }
    }

    /// Waits until something is due, or until `last`. For one task.
    pub async fn wait(&self, last: Instant) {
        loop {
            let soonest = self.inner.lock().heap.peek().map(|soonest| soonest.at);
            let at = soonest.map_or(last, |soonest| soonest.min(last));
            // A notice that comes between the look and the wait is kept.
            tokio::select! {
                () = tokio::time::sleep_until(at.into()) => return,
                () = self.sooner.notified() => {}
            }
        }
    }

    /// Takes the soonest thing, if it is due by `now`.
    pub fn pop(&self, now: Instant) -> Option<T> {
        let mut inner = self.inner.lock();
        if inner.heap.peek().is_none_or(|due| due.at > now) {
            return None;
        }
        inner.heap.pop().map(|due| due.thing)
    }

    /// How many things wait.
    pub fn len(&self) -> usize {
        self.inner.lock().heap.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Due<T> {
    /// The heap's greatest is the soonest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at).then(other.order.cmp(&self.order))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_soonest_comes_first_and_only_when_due() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let queue = DueQueue::default();
        queue.push(at(2), "b");
        queue.push(at(1), "a");
        queue.push(at(2), "c");
        assert_eq!(queue.pop(at(0)), None);
        assert_eq!(queue.pop(at(1)), Some("a"));
        assert_eq!(queue.pop(at(1)), None);
        assert_eq!(queue.pop(at(9)), Some("b"));
        assert_eq!(queue.pop(at(9)), Some("c"));
        assert!(queue.is_empty());
    }
}
