//! The queue to one client, bounded in bytes.
//!
//! Rule for full: the client is closed with 1013 and can come back; what was queued is dropped, so that nothing
//! after a gap is ever sent. A slow client never slows its publisher or its neighbours.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use campanile_proto::{Encoding, Epoch};
use parking_lot::Mutex;

use crate::client::close::Ending;
use crate::hub::reason::Reason;

/// What a queued item costs beside its bytes.
const ITEM_OVERHEAD: usize = 64;

/// A queue of so many places is kept for the next items; a busy client would otherwise allocate one per wake.
const KEEP_ITEMS: usize = 16;

/// What a front calls one of its session's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub u32);

/// Something for a session, in the order in which it is to take effect.
#[derive(Clone, Debug)]
pub enum Item {
    /// A topic's message, encoded once for all who use the same codec.
    Event {
        /// What the front put into its listener: its own part of every frame.
        tag: Arc<Tag>,
        /// How the message was published.
        encoding: Encoding,
        /// What the codec made of it.
        body: Bytes,
    },
    /// A channel's listener is live: events follow after this position.
    Joined {
        /// The front's channel.
        channel: ChannelId,
        /// The topic's epoch.
        epoch: Epoch,
        /// The offset after which events follow.
        offset: u64,
        /// What became of the position that the channel came back with, if it had one.
        resumed: Option<Resumed>,
    },
    /// A step of what a channel missed ends here: say so to the hub, and the next one comes.
    Step {
        /// The front's channel.
        channel: ChannelId,
    },
    /// A channel has missed messages that nobody can give it any more: events follow after this position.
    Lost {
        /// The front's channel.
        channel: ChannelId,
        /// The topic's epoch.
        epoch: Epoch,
        /// The offset after which events follow.
        offset: u64,
    },
    /// A channel's listener will not become live.
    JoinFailed {
        /// The front's channel.
        channel: ChannelId,
        /// Why.
        reason: Reason,
    },
    /// What became of a publish.
    Answer {
        /// What the front called the publish.
        token: u32,
        /// The message's position, or why there is none.
        result: Result<(Epoch, u64), Reason>,
    },
    /// A frame of the front itself, ready to be sent as text.
    Frame(Bytes),
}

/// What became of a position that a channel came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Everything behind it follows.
    pub recovered: bool,
    /// Otherwise, the oldest offset that is still kept.
    pub oldest: Option<u64>,
}

/// A front's own part of every frame to one channel, in the two forms that it may need.
#[derive(Debug, PartialEq, Eq)]
pub struct Tag {
    /// For text frames.
    pub text: Box<[u8]>,
    /// For binary frames.
    pub binary: Box<[u8]>,
}

impl Item {
    fn cost(&self) -> usize {
        ITEM_OVERHEAD
            + match self {
                Self::Event { tag, body, .. } => tag.text.len() + body.len(),
                Self::Frame(bytes) => bytes.len(),
                _ => 0,
            }
    }
}

/// The queue to one client. Cloning names the same queue.
#[derive(Clone, Debug)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Item>,
    bytes: usize,
    /// Bytes that the session has taken and is still writing.
    taken: usize,
    ending: Option<Ending>,
    /// The session is gone: nothing is kept any more.
    closed: bool,
    waker: Option<Waker>,
}

/// What a session finds when it looks into its outbox.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Items, moved into the queue that was given.
    Items,
    /// No item is left, and the session is to end.
    End(Ending),
}

impl Outbox {
    /// An empty queue of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, inner: Mutex::default() }))
    }

    /// Queues an item. Once the session is ending, items are dropped.
    pub fn push(&self, item: Item) {
        let cost = item.cost();
        let mut inner = self.0.inner.lock();
        if inner.ending.is_some() || inner.closed {
            return;
        }
        let waker = if inner.bytes + inner.taken + cost > self.0.limit && !inner.queue.is_empty() {
            inner.queue = VecDeque::new();
            inner.bytes = 0;
            inner.ending = Some(Ending::Slow);
            inner.waker.take()
        } else {
            // An empty outbox takes any one message.
            inner.bytes += cost;
            inner.queue.push_back(item);
            // A session that has something to do already need not be woken again.
            if inner.queue.len() == 1 { inner.waker.take() } else { None }
        };
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
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
    /// until the next call, which says that they have been written.
    pub fn poll_take(&self, context: &mut Context<'_>, into: &mut VecDeque<Item>) -> Poll<Found> {
        debug_assert!(into.is_empty(), "items would be lost");
        let mut inner = self.0.inner.lock();
        inner.taken = 0;
        if !inner.queue.is_empty() {
            inner.taken = inner.bytes;
            inner.bytes = 0;
            std::mem::swap(&mut inner.queue, into);
            return Poll::Ready(Found::Items);
        }
        if let Some(ending) = inner.ending {
            return Poll::Ready(Found::End(ending));
        }
        if inner.queue.capacity() > KEEP_ITEMS {
            // What a burst has left behind.
            inner.queue = VecDeque::new();
        }
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

    /// Resolves when the queue was full: for a session whose client takes nothing, and which therefore takes nothing
    /// from here.
    pub fn poll_full(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.0.inner.lock();
        if inner.ending == Some(Ending::Slow) {
            return Poll::Ready(());
        }
        inner.wake_by(context);
        Poll::Pending
    }

    /// Says that nobody will take anything any more.
    pub fn close(&self) {
        let mut inner = self.0.inner.lock();
        inner.closed = true;
        inner.queue = VecDeque::new();
        inner.bytes = 0;
        inner.waker = None;
    }
}

impl Inner {
    fn wake_by(&mut self, context: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn frame(size: usize) -> Item {
        Item::Frame(Bytes::from(vec![b'x'; size]))
    }

    fn take(outbox: &Outbox) -> (Poll<Found>, usize) {
        let mut items = VecDeque::new();
        let found = outbox.poll_take(&mut Context::from_waker(Waker::noop()), &mut items);
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
