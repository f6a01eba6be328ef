//! The queue to one gateway, bounded in bytes. The link's response stream drains it into batches.
//!
//! Rule for full: the link is cut. The gateway opens a new one and subscribes again; its neighbours, and the
//! publishers, do not notice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use campanile_proto::FromTopicServer;
use campanile_proto::link::{BATCH_BYTES, TopicServerBatch};
use campanile_proto::message::Place;
use campanile_proto::wire::{encode_topic_server_item, topic_server_item_cost};
use parking_lot::Mutex;

/// Why a link ends, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The gateway closed it, or the network broke it.
    Gone,
    /// The gateway opened a newer link (L2).
    Replaced,
    /// The gateway read too slowly and the outbox was full.
    Overflow,
    /// The gateway's working task did not answer a ping in time (L1).
    Silent,
    /// The gateway broke the protocol.
    BadMessage,
    /// This server is ending.
    Drained,
}

impl Ending {
    /// A word for labels and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Replaced => "replaced",
            Self::Overflow => "overflow",
            Self::Silent => "silent",
            Self::BadMessage => "bad_message",
            Self::Drained => "drained",
        }
    }
}

/// The queue to one gateway. Cloning names the same queue; two are equal if they are the same.
#[derive(Clone, Debug)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    started: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<FromTopicServer>,
    bytes: usize,
    /// Set once; what is queued is still sent, unless the ending is an overflow.
    ending: Option<Ending>,
    waker: Option<Waker>,
    /// Woken when the link ends, so that its reader ends too.
    on_end: Option<Waker>,
    /// The topic servers that the gateway has a link to, as it said last.
    sees: Option<Arc<[Place]>>,
}

impl PartialEq for Outbox {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Outbox {
    /// An empty queue of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, started: Instant::now(), inner: Mutex::default() }))
    }

    /// Queues an item. Once the link is ending, items are dropped: what it set up ends with it.
    pub fn push(&self, item: FromTopicServer) {
        let cost = topic_server_item_cost(&item);
        let mut inner = self.0.inner.lock();
        if inner.ending.is_some() {
            return;
        }
        // An empty outbox takes any one message.
        if inner.bytes + cost > self.0.limit && !inner.queue.is_empty() {
            inner.end(Ending::Overflow);
            return;
        }
        inner.bytes += cost;
        inner.queue.push_back(item);
        if inner.queue.len() == 1
            && let Some(waker) = inner.waker.take()
        {
            drop(inner);
            waker.wake();
        }
    }

    /// Ends the link, after what is queued. The first ending stands.
    pub fn end(&self, ending: Ending) {
        self.0.inner.lock().end(ending);
    }

    /// The gateway has said to which topic servers it has a link, or had one within the last 5 s (H4).
    pub fn set_sees(&self, places: Vec<Place>) {
        self.0.inner.lock().sees = Some(places.into());
    }

    /// Whether the gateway may have a link to this topic server. Who has not said anything may.
    pub fn sees(&self, place: &Place) -> bool {
        self.0.inner.lock().sees.as_ref().is_none_or(|places| places.contains(place))
    }

    /// Why the link ends, if it does.
    pub fn ending(&self) -> Option<Ending> {
        self.0.inner.lock().ending
    }

    /// Whether everything queued has been taken by the stream.
    pub fn is_empty(&self) -> bool {
        self.0.inner.lock().queue.is_empty()
    }

    /// Resolves when the link ends. One waiter only: the link's reader.
    pub fn poll_ended(&self, context: &mut Context<'_>) -> Poll<Ending> {
        let mut inner = self.0.inner.lock();
        match inner.ending {
            Some(ending) => Poll::Ready(ending),
            None => {
                inner.on_end = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The next batch, or `None` after the last one of a link that ended.
    pub fn poll_batch(&self, context: &mut Context<'_>, ring_version: u64) -> Poll<Option<TopicServerBatch>> {
        let mut inner = self.0.inner.lock();
        if inner.queue.is_empty() {
            return match inner.ending {
                Some(_) => Poll::Ready(None),
                None => {
                    inner.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        }
        let mut items = Vec::with_capacity(inner.queue.len().min(1024));
        let mut size = 0;
        while let Some(item) = inner.queue.front() {
            let cost = topic_server_item_cost(item);
            if !items.is_empty() && size + cost > BATCH_BYTES {
                break;
            }
            size += cost;
            inner.bytes -= cost;
            if let Some(item) = inner.queue.pop_front() {
                items.push(encode_topic_server_item(item));
            }
        }
        drop(inner);
        let age_us = u64::try_from(self.0.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Poll::Ready(Some(TopicServerBatch { ring_version, age_us, items }))
    }
}

impl Inner {
    fn end(&mut self, ending: Ending) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(ending);
        if ending == Ending::Overflow {
            self.queue = VecDeque::new();
            self.bytes = 0;
        }
        for waker in [self.waker.take(), self.on_end.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use campanile_proto::{Encoding, Message, Subscription};

    use super::*;

    fn deliver(offset: u64, size: usize) -> FromTopicServer {
        let message = Message {
            encoding: Encoding::Json,
            event: Bytes::from_static(b"e"),
            payload: Bytes::from(vec![b'x'; size]),
        };
        FromTopicServer::Deliver { subscription: Subscription { slot: 0, generation: 1 }, offset, message }
    }

    async fn batch(outbox: &Outbox) -> Option<TopicServerBatch> {
        poll_fn(|context| outbox.poll_batch(context, 1)).await
    }

    #[tokio::test]
    async fn one_batch_takes_what_lies_there_up_to_its_size() {
        let outbox = Outbox::new(8 << 20);
        for offset in 1..=10 {
            outbox.push(deliver(offset, 100 * 1024));
        }
        let counts = [2, 2, 2, 2, 2];
        for count in counts {
            assert_eq!(batch(&outbox).await.map(|batch| batch.items.len()), Some(count));
        }
        assert!(outbox.is_empty());
    }

    #[tokio::test]
    async fn an_item_larger_than_a_batch_travels_alone() {
        let outbox = Outbox::new(1 << 20);
        outbox.push(deliver(1, BATCH_BYTES * 2));
        outbox.push(deliver(2, 10));
        assert_eq!(batch(&outbox).await.map(|batch| batch.items.len()), Some(1));
        assert_eq!(batch(&outbox).await.map(|batch| batch.items.len()), Some(1));
    }

    #[tokio::test]
    async fn an_empty_outbox_takes_any_one_message_and_a_full_one_cuts_the_link() {
        let outbox = Outbox::new(1024);
        outbox.push(deliver(1, 4096));
        assert_eq!(outbox.ending(), None);
        outbox.push(deliver(2, 1));
        assert_eq!(outbox.ending(), Some(Ending::Overflow));
        assert!(batch(&outbox).await.is_none(), "nothing follows a cut, so that the gateway sees no gap");
    }

    #[tokio::test]
    async fn an_orderly_end_sends_what_is_queued_first() {
        let outbox = Outbox::new(1 << 20);
        outbox.push(deliver(1, 1));
        outbox.end(Ending::Drained);
        outbox.push(deliver(2, 1));
        assert_eq!(batch(&outbox).await.map(|batch| batch.items.len()), Some(1));
        assert!(batch(&outbox).await.is_none());
    }

    #[tokio::test]
    async fn a_waiting_stream_wakes_for_the_first_item() {
        let outbox = Outbox::new(1 << 20);
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { batch(&outbox).await }
        });
        tokio::task::yield_now().await;
        outbox.push(deliver(1, 1));
        let batch = waiting.await.expect("no panic").expect("an item");
        assert_eq!(batch.items.len(), 1);
    }
}
