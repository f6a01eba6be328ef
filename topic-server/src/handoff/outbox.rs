//! The queue to another topic server. Its rule for full lies with who gives: no topic is frozen while more than
//! [`UNSENT`] bytes wait here, so that a topic stands still for its own transfer and not for those of others (H1).

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use campanile_proto::handoff::{FromPeer, PeerBatch, encode_peer_item, peer_item_cost};
use campanile_proto::link::BATCH_BYTES;
use parking_lot::Mutex;

/// Bytes that may wait for one topic server before another topic is frozen for it.
pub const UNSENT: usize = 4 << 20;

/// The queue to another topic server. Cloning names the same queue.
#[derive(Clone, Debug, Default)]
pub struct PeerOutbox(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<FromPeer>,
    bytes: usize,
    ended: bool,
    waker: Option<Waker>,
    /// Woken when the link ends, so that its reader ends too.
    on_end: Option<Waker>,
}

impl PeerOutbox {
    /// Queues an item; dropped if the link has ended.
    pub fn push(&self, item: FromPeer) {
        let mut inner = self.0.lock();
        if inner.ended {
            return;
        }
        inner.bytes += peer_item_cost(&item);
        inner.queue.push_back(item);
        if let Some(waker) = inner.waker.take() {
            drop(inner);
            waker.wake();
        }
    }

    /// Whether another topic may be frozen for this server.
    pub fn has_room(&self) -> bool {
        let inner = self.0.lock();
        !inner.ended && inner.bytes < UNSENT
    }

    /// Ends the link. What has not been sent comes back.
    pub fn end(&self) -> Vec<FromPeer> {
        let mut inner = self.0.lock();
        inner.ended = true;
        inner.bytes = 0;
        for waker in [inner.waker.take(), inner.on_end.take()].into_iter().flatten() {
            waker.wake();
        }
        std::mem::take(&mut inner.queue).into()
    }

    /// Ends the link; what has not been sent stays for [`PeerOutbox::end`].
    pub fn close(&self) {
        let mut inner = self.0.lock();
        inner.ended = true;
        for waker in [inner.waker.take(), inner.on_end.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    /// Resolves when the link ends. One waiter only: the link's reader.
    pub fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.0.lock();
        if inner.ended {
            return Poll::Ready(());
        }
        inner.on_end = Some(context.waker().clone());
        Poll::Pending
    }

    /// The next batch, or `None` once the link has ended.
    pub fn poll_batch(&self, context: &mut Context<'_>, ring_version: u64) -> Poll<Option<PeerBatch>> {
        let mut inner = self.0.lock();
        if inner.ended {
            return Poll::Ready(None);
        }
        let mut items = Vec::new();
        let mut size = 0;
        while let Some(item) = inner.queue.front() {
            let cost = peer_item_cost(item);
            if size > 0 && size + cost > BATCH_BYTES {
                break;
            }
            size += cost;
            inner.bytes -= cost;
            items.extend(inner.queue.pop_front().map(encode_peer_item));
        }
        if items.is_empty() {
            inner.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Some(PeerBatch { ring_version, items }))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn what_was_not_sent_comes_back_at_the_end() {
        let outbox = PeerOutbox::default();
        outbox.push(FromPeer::Ping(1));
        let batch = poll_fn(|context| outbox.poll_batch(context, 3)).await.expect("a batch");
        assert_eq!((batch.ring_version, batch.items.len()), (3, 1));
        outbox.push(FromPeer::Ping(2));
        outbox.close();
        outbox.push(FromPeer::Ping(3));
        assert!(poll_fn(|context| outbox.poll_batch(context, 3)).await.is_none());
        assert_eq!(outbox.end(), [FromPeer::Ping(2)]);
    }
}
