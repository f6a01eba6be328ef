//! The queue to one client, bounded in bytes.
//!
//! Rule for full: queued events that may be dropped give way, the oldest first (`drop_oldest`). If that does not
//! help, the client is closed with 1013 and can come back; what was queued is dropped, so that nothing after a gap is
//! ever sent untold. A slow client never slows its publisher or its neighbours.
//!
//! Events are written into an idle client's socket by whoever queued them ([`Touched`]): the session's task would only
//! be woken to do the same. It has the socket to itself whenever it has something to write.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use crate::client::close::Ending;
use crate::client::direct::{Line, Touched, WriteEvent};
use crate::client::drop_oldest::DropOldest;
use crate::client::idle;
pub use crate::client::item::{ChannelId, Item, Placed, Resumed, Tag};
use crate::client::wire::Wire;

/// A queue of so many places is kept for the next items; a busy client would otherwise allocate one per wake.
const KEEP_ITEMS: usize = 16;

/// So many bytes are written past a session at once; what is left is for the session.
const DIRECT_HIGH: usize = 64 * 1024;

/// So many bytes are taken at once of a queue with events that may be dropped: what the session has taken cannot be
/// dropped any more, and the newest are to be what is left.
const TAKE_HIGH: usize = 64 * 1024;

/// The queue to one client. Cloning names the same queue.
#[derive(Clone, Debug)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    /// When the client's last bytes came, by [`idle::now`].
    heard: AtomicU64,
    /// Events that gave way.
    dropped: Counter,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Item>,
    bytes: usize,
    /// Only since the queue was full.
    drop_oldest: Option<Box<DropOldest>>,
    /// Bytes that the session has taken and is still writing.
    taken: usize,
    ending: Option<Ending>,
    /// The session is gone: nothing is kept any more.
    closed: bool,
    waker: Option<Waker>,
    /// Into the client's socket, past the session.
    line: Option<Line>,
    /// The session waits and has nothing to write: an event may go straight into the socket.
    direct: bool,
    /// What the socket did not take of such an event. The session writes it before anything else.
    rest: Option<Box<Wire>>,
}

/// What a session finds when it looks into its outbox.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Items, moved into the queue that was given.
    Items,
    /// What was begun to be written past the session: it goes into the empty wire.
    Rest(Box<Wire>),
    /// No item is left, and the session is to end.
    End(Ending),
}

impl Outbox {
    /// An empty queue of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self::counting(limit, Counter::default())
    }

    /// The same; events that give way are counted in `dropped`.
    pub(crate) fn counting(limit: usize, dropped: Counter) -> Self {
        let heard = AtomicU64::new(idle::now());
        Self(Arc::new(Shared { limit, heard, dropped, inner: Mutex::default() }))
    }

    /// Lets events into the client's socket when the session has nothing to write.
    pub(crate) fn connect(&self, line: Line) {
        self.0.inner.lock().line = Some(line);
    }

    /// From here on events are written so.
    pub(crate) fn write_events_as(&self, event: WriteEvent) {
        if let Some(line) = &mut self.0.inner.lock().line {
            line.event = event;
        }
    }

    /// Queues an item. Once the session is ending, items are dropped.
    pub fn push(&self, item: Item) {
        let waker = {
            let mut inner = self.0.inner.lock();
            // A session that has something to do already need not be woken again: its waker has been taken.
            if inner.queue(item, &self.0) { inner.waker.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Queues an event. A session that has nothing else to do is not woken: `touched` keeps it, and writes.
    pub fn push_event(&self, item: Item, touched: &mut Touched) {
        let waker = {
            let mut inner = self.0.inner.lock();
            if !inner.queue(item, &self.0) {
                None
            } else if inner.direct && inner.ending.is_none() {
                if inner.queue.len() == 1 {
                    touched.add(self);
                }
                None
            } else {
                inner.waker.take()
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Writes the queued events into the client's socket, if the session still has nothing to write; otherwise, and if
    /// anything is left, wakes it. `wire` is empty, and is so afterwards.
    pub(crate) fn write_direct(&self, wire: &mut Wire) {
        let waker = {
            let mut inner = self.0.inner.lock();
            if inner.direct && inner.write_events(wire) { None } else { inner.waker.take() }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Keeps others out of the socket until [`Outbox::poll_take`] finds nothing to do. What they have begun goes in front of
    /// what the session writes: onto its empty wire; one on which something waits has been claimed before.
    pub(crate) fn claim(&self, wire: &mut Wire) {
        if !wire.is_empty() {
            return;
        }
        let mut inner = self.0.inner.lock();
        inner.direct = false;
        if let Some(rest) = inner.rest.take() {
            *wire = *rest;
        }
    }

    /// Bytes came from the client.
    pub(crate) fn heard(&self) {
        self.0.heard.store(idle::now(), Ordering::Relaxed);
    }

    /// How long the client has been silent, at this time of [`idle::now`].
    pub(crate) fn silent(&self, now: u64) -> Duration {
        Duration::from_millis(now.saturating_sub(self.0.heard.load(Ordering::Relaxed)))
    }

    /// Ends the session after what is queued. The first ending stands.
    pub fn end(&self, ending: Ending) {
        let waker = {
            let mut inner = self.0.inner.lock();
            if inner.ending.is_some() {
                return;
            }
            inner.ending = Some(ending);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes all items, in exchange for an empty queue, so that a busy session allocates none. They count as queued
    /// until the next call, which says that they have been written. When there is nothing to do and the session's
    /// `wire` is empty, others may write into the socket until it is woken.
    pub fn poll_take(
        &self,
        context: &mut Context<'_>,
        into: &mut VecDeque<Item>,
        wire_is_empty: bool,
    ) -> Poll<Found> {
        debug_assert!(into.is_empty(), "items would be lost");
        let mut inner = self.0.inner.lock();
        inner.taken = 0;
        inner.direct = false;
        if let Some(rest) = inner.rest.take() {
            return Poll::Ready(Found::Rest(rest));
        }
        if !inner.queue.is_empty() {
            inner.take(into);
            return Poll::Ready(Found::Items);
        }
        if let Some(ending) = inner.ending {
            return Poll::Ready(Found::End(ending));
        }
        // One queue is enough while nothing happens, and none that a burst has made long.
        if inner.queue.capacity() == 0 {
            std::mem::swap(&mut inner.queue, into);
        }
        if into.capacity() > 0 {
            *into = VecDeque::new();
        }
        if inner.queue.capacity() > KEEP_ITEMS {
            inner.queue = VecDeque::new();
        }
        inner.direct = wire_is_empty && inner.line.is_some();
        inner.wake_by(context);
        Poll::Pending
    }

    /// Gives the memory of an empty queue back, when there has been nothing to do for a while.
    pub fn shrink(&self) {
        let mut inner = self.0.inner.lock();
        if inner.queue.is_empty() {
            inner.queue = VecDeque::new();
        }
    }

    /// Resolves when the session must end whatever is queued: for one whose client takes nothing, and which therefore
    /// takes nothing from here.
    pub fn poll_end(&self, context: &mut Context<'_>) -> Poll<Ending> {
        let mut inner = self.0.inner.lock();
        if let Some(ending @ (Ending::Slow | Ending::Idle)) = inner.ending {
            return Poll::Ready(ending);
        }
        inner.wake_by(context);
        Poll::Pending
    }

    /// Says that nobody will take anything any more, and that nobody but the session may write.
    pub fn close(&self) {
        let line = {
            let mut inner = self.0.inner.lock();
            inner.closed = true;
            inner.direct = false;
            inner.clear();
            inner.waker = None;
            inner.line.take()
        };
        if let Some(line) = line {
            line.let_go();
        }
    }
}

impl Inner {
    /// Queues an item, or ends the session if it is full. False if nothing has changed.
    fn queue(&mut self, item: Item, shared: &Shared) -> bool {
        if self.ending.is_some() || self.closed {
            return false;
        }
        let cost = item.cost();
        let rest = self.rest.as_ref().map_or(0, |rest| rest.len());
        // An empty outbox takes any one message.
        if self.bytes + self.taken + rest + cost > shared.limit
            && !self.queue.is_empty()
            && !self.make_room(self.taken + rest + cost, shared)
        {
            self.clear();
            self.ending = Some(Ending::Slow);
        } else {
            self.bytes += cost;
            self.queue.push_back(item);
        }
        true
    }

    /// Drops events until so many bytes can be had beside the queue, or nothing but their marks is left in it. False if
    /// that cannot be.
    #[cold]
    fn make_room(&mut self, beside: usize, shared: &Shared) -> bool {
        let drop_oldest = self.drop_oldest.get_or_insert_default();
        while self.bytes + beside > shared.limit && drop_oldest.marks() < self.queue.len() {
            let Some(freed) = drop_oldest.drop_one(&mut self.queue) else {
                return false;
            };
            self.bytes -= freed;
            shared.dropped.inc();
        }
        true
    }

    /// Moves items into an empty queue: all of them, or the oldest of many if some may be dropped.
    fn take(&mut self, into: &mut VecDeque<Item>) {
        let may_drop = |item: &Item| matches!(item, Item::Droppable { .. });
        if self.drop_oldest.is_some() || (self.bytes > TAKE_HIGH && self.queue.iter().any(may_drop)) {
            let drop_oldest = self.drop_oldest.get_or_insert_default();
            self.taken = drop_oldest.take(&mut self.queue, into, TAKE_HIGH);
            self.bytes -= self.taken;
            if self.queue.is_empty() {
                self.drop_oldest = None;
            }
        } else {
            self.taken = std::mem::take(&mut self.bytes);
            std::mem::swap(&mut self.queue, into);
        }
    }

    fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.bytes = 0;
        self.drop_oldest = None;
    }

    /// Whether all that was queued was events, and the socket took them.
    fn write_events(&mut self, wire: &mut Wire) -> bool {
        let Some(line) = &self.line else {
            return false;
        };
        let before = self.queue.len();
        while wire.len() < DIRECT_HIGH
            && let Some(Item::Event { .. } | Item::Droppable { .. }) = self.queue.front()
            && let Some(item) = self.queue.pop_front()
        {
            self.bytes -= item.cost();
            match item {
                Item::Event { tag, encoding, body } => (line.event)(&tag, encoding, &body, wire),
                Item::Droppable { tag, event, .. } => (line.event)(&tag, event.encoding, &event.body, wire),
                _ => {}
            }
        }
        if let Some(drop_oldest) = &mut self.drop_oldest {
            drop_oldest.others_taken(before - self.queue.len());
        }
        if line.write(wire) {
            return self.queue.is_empty();
        }
        self.direct = false;
        self.rest = Some(Box::new(std::mem::take(wire)));
        false
    }

    fn wake_by(&mut self, context: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;

    use super::*;

    fn frame(size: usize) -> Item {
        Item::Frame(Bytes::from(vec![b'x'; size]))
    }

    fn take(outbox: &Outbox) -> (Poll<Found>, usize) {
        let mut items = VecDeque::new();
        let found = outbox.poll_take(&mut Context::from_waker(Waker::noop()), &mut items, true);
        (found, items.len())
    }

    #[test]
    fn items_come_out_in_order_and_at_once() {
        let outbox = Outbox::new(1024);
        assert_eq!(take(&outbox), (Poll::Pending, 0));
        outbox.push(frame(1));
        outbox.push(frame(2));
        assert_eq!(take(&outbox), (Poll::Ready(Found::Items), 2));
        assert_eq!(take(&outbox), (Poll::Pending, 0));
    }

    #[test]
    fn an_empty_outbox_takes_any_one_message() {
        let outbox = Outbox::new(100);
        outbox.push(frame(5000));
        assert_eq!(take(&outbox), (Poll::Ready(Found::Items), 1));
        outbox.push(frame(5000));
        assert_eq!(take(&outbox), (Poll::Ready(Found::Items), 1));
    }

    #[test]
    fn a_full_outbox_ends_the_session_and_sends_nothing_after_the_gap() {
        let outbox = Outbox::new(1000);
        for _ in 0..20 {
            outbox.push(frame(100));
        }
        assert_eq!(take(&outbox), (Poll::Ready(Found::End(Ending::Slow)), 0));
    }

    #[test]
    fn what_is_being_written_counts_until_it_is_written() {
        let outbox = Outbox::new(1000);
        for _ in 0..4 {
            outbox.push(frame(100));
        }
        assert_eq!(take(&outbox), (Poll::Ready(Found::Items), 4));
        for _ in 0..4 {
            outbox.push(frame(100));
        }
        assert_eq!(take(&outbox), (Poll::Ready(Found::End(Ending::Slow)), 0));
    }

    #[test]
    fn an_ending_comes_after_what_is_queued_and_the_first_stands() {
        let outbox = Outbox::new(1000);
        outbox.push(frame(1));
        outbox.end(Ending::Drain);
        outbox.end(Ending::Idle);
        outbox.push(frame(1));
        assert_eq!(take(&outbox), (Poll::Ready(Found::Items), 1));
        assert_eq!(take(&outbox), (Poll::Ready(Found::End(Ending::Drain)), 0));
    }

    #[test]
    fn a_closed_outbox_keeps_nothing() {
        let outbox = Outbox::new(1000);
        outbox.push(frame(1));
        outbox.close();
        outbox.push(frame(1));
        assert_eq!(take(&outbox), (Poll::Pending, 0));
    }
}
