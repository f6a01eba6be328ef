use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::Duration;

use bytes::Bytes;
use campanile_proto::wire::decode_gateway_item;
use campanile_proto::{Encoding, Epoch, Message, Subscription};

use super::*;
use crate::client::outbox as client;
use crate::hub::publish::{Budget, Origin, Pending, Post};
use crate::hub::reason::Reason;

const OWNER: Incarnation = Incarnation(0xa);

/// Stands for the Hello: the queue does not care what a link's own items are.
const HELLO: FromGateway = FromGateway::Ping(0);

fn number(generation: u32) -> Subscription {
    Subscription { slot: 1, generation }
}

fn subscribe(generation: u32) -> Request {
    Request::Subscribe(number(generation), Bytes::from_static(b"topic"), 0)
}

fn pending(number: u64, size: usize, time_left: Duration) -> Arc<Pending> {
    let message = Message {
        encoding: Encoding::Binary,
        event: Bytes::from_static(b"e"),
        payload: Bytes::from(vec![b'x'; size]),
    };
    let origin = Origin { outbox: client::Outbox::new(1024), token: 0 };
    let post = Post { message, key: None, origin };
    let (topic, deadline) = (Bytes::from_static(b"topic"), Instant::now() + time_left);
    Pending::queue(1, topic, number, deadline, post, &Arc::new(Budget::new(usize::MAX / 2))).expect("room")
}

fn publish(pending: &Arc<Pending>) -> Request {
    Request::Publish {
        pending: Arc::clone(pending),
        sending: pending.send_anew(),
        settled_below: 1,
        resend_epoch: Some(Epoch(7)),
    }
}

const AMPLE: Duration = Duration::from_secs(3600);

/// An outbox with link 1, whose Hello has left.
fn linked() -> Outbox {
    let outbox = Outbox::default();
    outbox.open(1, HELLO);
    outbox.welcome(1, OWNER);
    assert_eq!(batch(&outbox, 1), Some(vec![HELLO]));
    outbox
}

/// The next batch if there is one.
fn batch(outbox: &Outbox, link: u64) -> Option<Vec<FromGateway>> {
    match outbox.poll_batch(&mut Context::from_waker(Waker::noop()), link, 9) {
        Poll::Ready(Some(batch)) => {
            assert_eq!(batch.ring_version, 9);
            let decoded = batch.items.into_iter().map(decode_gateway_item);
            Some(decoded.map(|item| item.expect("what we encode can be decoded")).collect())
        }
        Poll::Ready(None) => panic!("link {link} has ended"),
        Poll::Pending => None,
    }
}

fn has_ended(outbox: &Outbox, link: u64) -> bool {
    let poll = outbox.poll_batch(&mut Context::from_waker(Waker::noop()), link, 9);
    matches!(poll, Poll::Ready(None))
}

#[test]
fn the_hello_comes_first_and_drops_what_was_queued_before() {
    let outbox = linked();
    outbox.request(1, subscribe(1));
    outbox.open(2, HELLO);
    outbox.welcome(2, OWNER);
    outbox.request(2, subscribe(2));
    let expected =
        FromGateway::Subscribe { subscription: number(2), topic: Bytes::from_static(b"topic"), listeners: 0 };
    assert!(has_ended(&outbox, 1));
    assert_eq!(batch(&outbox, 2), Some(vec![HELLO, expected]));
    assert_eq!(batch(&outbox, 2), None);
}

#[test]
fn requests_for_another_link_are_dropped() {
    let outbox = Outbox::default();
    outbox.request(1, subscribe(1));
    outbox.open(2, HELLO);
    for link in [0, 1, 3] {
        outbox.request(link, subscribe(1));
        outbox.own(link, FromGateway::Pong(1));
    }
    assert_eq!(batch(&outbox, 2), Some(vec![HELLO]));
    outbox.close(1);
    assert_eq!(batch(&outbox, 2), None, "closing another link ends nothing");
    outbox.close(2);
    assert!(has_ended(&outbox, 2));
    outbox.request(2, subscribe(1));
    assert!(has_ended(&outbox, 2));
}

#[test]
fn requests_leave_in_order_as_what_they_are() {
    let outbox = linked();
    let pending = pending(5, 1, AMPLE);
    outbox.request(1, publish(&pending));
    outbox.request(1, subscribe(1));
    outbox.request(1, Request::Read(number(1), Epoch(3), 17));
    outbox.request(1, Request::Unsubscribe(number(1)));
    outbox.own(1, FromGateway::Pong(4));
    let items = batch(&outbox, 1).expect("a batch");
    let FromGateway::Publish(publish) = &items[0] else { panic!("{items:?}") };
    assert_eq!((publish.number, publish.settled_below, publish.resend_epoch), (5, 1, Some(Epoch(7))));
    assert!(publish.time_left <= AMPLE && publish.time_left > AMPLE - Duration::from_secs(60));
    assert_eq!(publish.message, pending.message);
    let topic = Bytes::from_static(b"topic");
    let rest = [
        FromGateway::Subscribe { subscription: number(1), topic, listeners: 0 },
        FromGateway::Read { subscription: number(1), epoch: Epoch(3), from: 17 },
        FromGateway::Unsubscribe { subscription: number(1) },
        FromGateway::Pong(4),
    ];
    assert_eq!(items[1..], rest);
    assert_eq!(pending.handed_to(), Some(OWNER));
}

#[test]
fn a_batch_is_bounded_and_a_larger_item_travels_alone() {
    let outbox = linked();
    for (number, size) in [(1, 100_000), (2, 100_000), (3, 100_000), (4, 3 * BATCH_BYTES), (5, 1)] {
        outbox.request(1, publish(&pending(number, size, AMPLE)));
    }
    let counts: Vec<usize> = std::iter::from_fn(|| batch(&outbox, 1)).map(|items| items.len()).collect();
    assert_eq!(counts, [2, 1, 1, 1]);
}

#[test]
fn a_publish_that_was_given_up_or_is_out_of_time_never_leaves() {
    let outbox = linked();
    let [given_up, late, stale, good] = [AMPLE, Duration::ZERO, AMPLE, AMPLE].map(|time| pending(1, 1, time));
    for pending in [&given_up, &late, &stale, &good] {
        outbox.request(1, publish(pending));
    }
    assert_eq!(given_up.give_up(), Reason::OwnerUnreachable);
    stale.send_anew();
    assert_eq!(batch(&outbox, 1).map(|items| items.len()), Some(1));
    assert_eq!(good.handed_to(), Some(OWNER));
    for pending in [&given_up, &late, &stale] {
        assert_eq!(pending.handed_to(), None, "it never left");
    }
    assert_eq!(late.give_up(), Reason::OwnerUnreachable);
    assert_eq!(good.give_up(), Reason::Unanswered);
}

#[test]
fn no_publish_leaves_before_the_owner_has_said_who_it_is() {
    let outbox = Outbox::default();
    outbox.open(1, HELLO);
    let pending = pending(1, 1, AMPLE);
    outbox.request(1, publish(&pending));
    outbox.welcome(9, OWNER);
    assert_eq!(batch(&outbox, 1), Some(vec![HELLO]));
    assert_eq!(pending.handed_to(), None);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_stream_is_woken_for_the_first_item_and_for_the_end() {
    let outbox = linked();
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut context = Context::from_waker(&waker);
    let rings = || bell.0.load(Ordering::Relaxed);
    assert!(outbox.poll_batch(&mut context, 1, 9).is_pending());
    outbox.request(1, subscribe(1));
    outbox.request(1, subscribe(2));
    assert_eq!(rings(), 1);
    // What it finds may all have been given up: then it waits again, and must be woken again.
    let _ = batch(&outbox, 1);
    let given_up = pending(1, 1, AMPLE);
    outbox.request(1, publish(&given_up));
    given_up.give_up();
    assert!(outbox.poll_batch(&mut context, 1, 9).is_pending());
    outbox.request(1, subscribe(3));
    assert_eq!(rings(), 2);
    let _ = batch(&outbox, 1);
    assert!(outbox.poll_batch(&mut context, 1, 9).is_pending());
    outbox.open(2, HELLO);
    assert_eq!(rings(), 3, "the old link's stream learns of its end");
    assert!(outbox.poll_batch(&mut context, 1, 9).is_ready());
}

#[test]
fn a_probe_rides_behind_a_batch_and_is_none_by_itself() {
    let outbox = linked();
    outbox.probe(1, 5);
    assert_eq!(batch(&outbox, 1), None);
    assert_eq!(outbox.left_probe(1), None);
    outbox.request(1, subscribe(1));
    let items = batch(&outbox, 1).expect("a batch");
    assert_eq!(items.last(), Some(&FromGateway::Ping(5)));
    assert_eq!(items.len(), 2);
    assert_eq!(outbox.left_probe(1).map(|(ping, _)| ping), Some(5));
    assert_eq!(outbox.left_probe(1), None, "told once");
    outbox.probe(1, 6);
    outbox.open(2, HELLO);
    outbox.welcome(2, OWNER);
    assert_eq!(batch(&outbox, 2), Some(vec![HELLO]), "it went with its link");
}
