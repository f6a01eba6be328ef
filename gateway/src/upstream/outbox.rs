//! The queue to one topic server, drained by the link's request stream into batches.
//!
//! Rule for full: a publish that finds no room in the [`Budget`](crate::hub::publish::Budget) is refused before it
//! comes here. Subscriptions are not counted: there is one per topic at most. What is queued belongs to one link
//! and goes with it; the topics send it anew on the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use campanile_proto::link::{BATCH_BYTES, GatewayBatch};
use campanile_proto::message::Publish;
use campanile_proto::wire::{encode_gateway_item, gateway_item_cost};
use campanile_proto::{FromGateway, Incarnation};
use parking_lot::Mutex;

use crate::hub::state::Request;

/// The queue to one topic server. Cloning names the same queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// The link that the queue belongs to, while there is one.
    link: Option<Link>,
    queue: VecDeque<Entry>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    number: u64,
    /// Known once the topic server has said who it is.
    owner: Option<Incarnation>,
    opened: Instant,
    /// Nothing more is queued: the stream ends behind what there is.
    finishing: bool,
    probe: Probe,
}

/// A ping that rides behind requests, so that it wakes nobody who would sleep.
#[derive(Clone, Copy, Debug, Default)]
enum Probe {
    #[default]
    None,
    /// It has this number, and leaves with the next batch.
    Waits(u64),
    Left(u64, Instant),
}

#[derive(Debug)]
enum Entry {
    Own(FromGateway),
    Request(Request),
}

impl Outbox {
    /// Starts a link with its Hello. What was queued for an older one is dropped.
    pub(crate) fn open(&self, number: u64, hello: FromGateway) {
        let mut inner = self.0.lock();
        inner.link =
            Some(Link { number, owner: None, opened: Instant::now(), finishing: false, probe: Probe::None });
        inner.queue.clear();
        inner.queue.push_back(Entry::Own(hello));
        inner.wake();
    }

    /// The topic server has said who it is: requests may follow.
    pub(crate) fn welcome(&self, number: u64, owner: Incarnation) {
        if let Some(link) = &mut self.0.lock().link
            && link.number == number
        {
            link.owner = Some(owner);
        }
    }

    /// Ends a link behind what is queued.
    pub(crate) fn finish(&self, number: u64) {
        let mut inner = self.0.lock();
        if let Some(link) = inner.link.as_mut().filter(|link| link.number == number) {
            link.finishing = true;
            inner.wake();
        }
    }

    /// Ends whatever link there is.
    pub(crate) fn shut(&self) {
        let mut inner = self.0.lock();
        inner.link = None;
        inner.queue = VecDeque::new();
        inner.wake();
    }

    /// Ends a link.
    pub(crate) fn close(&self, number: u64) {
        let mut inner = self.0.lock();
        if inner.link.is_some_and(|link| link.number == number) {
            inner.link = None;
            inner.queue = VecDeque::new();
            inner.wake();
        }
    }

    /// Queues a request of a topic, if this link is still the link.
    pub(crate) fn request(&self, number: u64, request: Request) {
        self.push(number, Entry::Request(request));
    }

    /// Queues something of the link's own.
    pub(crate) fn own(&self, number: u64, item: FromGateway) {
        self.push(number, Entry::Own(item));
    }

    /// Lets a ping leave behind the next batch of this link, whenever there is one.
    pub(crate) fn probe(&self, number: u64, ping: u64) {
        if let Some(link) = self.0.lock().link.as_mut().filter(|link| link.number == number) {
            link.probe = Probe::Waits(ping);
        }
    }

    /// The probe that has left since the last call, and when.
    pub(crate) fn left_probe(&self, number: u64) -> Option<(u64, Instant)> {
        let mut inner = self.0.lock();
        let link = inner.link.as_mut().filter(|link| link.number == number)?;
        let Probe::Left(ping, at) = link.probe else { return None };
        link.probe = Probe::None;
        Some((ping, at))
    }

    fn push(&self, number: u64, entry: Entry) {
        let mut inner = self.0.lock();
        if inner.link.is_some_and(|link| link.number == number && !link.finishing) {
            inner.queue.push_back(entry);
            if inner.queue.len() == 1 {
                inner.wake();
            }
        }
    }

    /// The next batch of this link, or `None` once it has ended.
    pub(crate) fn poll_batch(
        &self,
        context: &mut Context<'_>,
        number: u64,
        ring_version: u64,
    ) -> Poll<Option<GatewayBatch>> {
        let mut inner = self.0.lock();
        let Some(link) = inner.link.filter(|link| link.number == number) else {
            return Poll::Ready(None);
        };
        let now = Instant::now();
        let mut items = Vec::with_capacity(inner.queue.len().min(1024));
        let mut size = 0;
        while size < BATCH_BYTES
            && let Some(entry) = inner.queue.pop_front()
        {
            let cost = entry.cost();
            if size > 0 && size + cost > BATCH_BYTES {
                inner.queue.push_front(entry);
                break;
            }
            if let Some(item) = entry.leave(&link, now) {
                size += cost;
                items.push(encode_gateway_item(item));
            }
        }
        if items.is_empty() {
            if link.finishing {
                return Poll::Ready(None);
            }
            inner.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        if let Some(own) = &mut inner.link
            && let Probe::Waits(ping) = own.probe
        {
            own.probe = Probe::Left(ping, now);
            items.push(encode_gateway_item(FromGateway::Ping(ping)));
        }
        drop(inner);
        let age_us = u64::try_from(now.duration_since(link.opened).as_micros()).unwrap_or(u64::MAX);
        Poll::Ready(Some(GatewayBatch { ring_version, age_us, items }))
    }
}

impl Inner {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Entry {
    fn cost(&self) -> usize {
        match self {
            Self::Own(item) => gateway_item_cost(item),
            Self::Request(Request::Say(item)) => gateway_item_cost(item),
            Self::Request(Request::Publish { pending, .. }) => pending.cost(),
            Self::Request(Request::Subscribe(_, topic, _)) => {
                campanile_proto::wire::ITEM_OVERHEAD + topic.len()
            }
            Self::Request(Request::Unsubscribe(_) | Request::Count(..) | Request::Read(..)) => {
                campanile_proto::wire::ITEM_OVERHEAD
            }
        }
    }

    /// What travels, or nothing: a publish whose time is up never leaves.
    fn leave(self, link: &Link, now: Instant) -> Option<FromGateway> {
        match self {
            Self::Own(item) => Some(item),
            Self::Request(Request::Say(item)) => Some(*item),
            Self::Request(Request::Subscribe(subscription, topic, listeners)) => {
                Some(FromGateway::Subscribe { subscription, topic, listeners })
            }
            Self::Request(Request::Count(subscription, told)) => {
                let (listeners, change) = told.leave();
                Some(FromGateway::Count { subscription, listeners, change })
            }
            Self::Request(Request::Read(subscription, epoch, from)) => {
                Some(FromGateway::Read { subscription, epoch, from })
            }
            Self::Request(Request::Unsubscribe(subscription)) => {
                Some(FromGateway::Unsubscribe { subscription })
            }
            Self::Request(Request::Publish { pending, sending, settled_below, resend_epoch }) => {
                let time_left = pending.deadline.saturating_duration_since(now);
                if time_left.as_millis() == 0
                    || !link.owner.is_some_and(|owner| pending.hand_to(owner, sending))
                {
                    return None;
                }
                Some(FromGateway::Publish(Publish {
                    slot: pending.slot,
                    topic: pending.topic.clone(),
                    number: pending.number,
                    settled_below,
                    time_left,
                    resend_epoch,
                    message: pending.message.clone(),
                    key: pending.key.clone(),
                }))
            }
        }
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
