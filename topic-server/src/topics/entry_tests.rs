use std::time::Duration;

use super::*;
use crate::gateways::outbox::Ending;
use crate::topics::testing::{A, message, number, outbox, publish};

fn request(number: u64, size: usize, deadline: Instant) -> Request {
    let publish = Publish { message: message(&"x".repeat(size)), ..publish("topic", number) };
    Request::Publish { gateway: A, publish: Box::new(publish), deadline }
}

fn awaiting(slot: u32, generation: u32) -> Awaiting {
    Awaiting { subscription: number(slot, generation), listeners: 0, change: None }
}

/// H2: requests and bytes are bounded; what leaves makes room.
#[test]
fn what_waits_is_bounded_in_number_and_bytes() {
    let (link, now) = (outbox(), Instant::now());
    let mut waiting = Waiting::default();
    assert!(waiting.park(&link, request(1, PARKED_BYTES + 1, now)), "the first, whatever its size");
    assert!(!waiting.park(&link, request(2, 1, now + Duration::from_secs(1))));
    assert_eq!(waiting.expire(now).len(), 1);
    for number in 0..PARKED as u64 {
        assert!(waiting.park(&link, request(number, 1, now)));
    }
    assert!(
        !waiting.park(&link, request(0, 1, now)) && !waiting.park(&link, Request::Subscribe(awaiting(1, 1)))
    );
    assert_eq!(waiting.take().len(), PARKED);
    assert!(waiting.park(&link, request(1, PARKED_BYTES - 100, now)), "all bytes are free again");
}

/// L3: a subscription that waits is replaced and ended by its number and link.
#[test]
fn a_subscription_that_waits_goes_by_its_newest_number() {
    let [link, other] = [(); 2].map(|()| outbox());
    let mut waiting = Waiting::default();
    waiting.park(&link, Request::Subscribe(awaiting(1, 1)));
    assert_eq!(waiting.replace(&other, awaiting(1, 2)), None);
    assert_eq!(waiting.replace(&link, awaiting(1, 2)), Some(number(1, 1)));
    assert!(!waiting.unsubscribe(&link, number(1, 1)) && !waiting.unsubscribe(&other, number(1, 2)));
    assert!(waiting.has(&link, number(1, 2)));
    assert!(waiting.unsubscribe(&link, number(1, 2)) && waiting.parked.is_empty());
}

/// L2, L5: what is late comes back to be refused, what its link left is dropped, and the others keep their order.
#[test]
fn the_late_come_back_and_the_ended_are_dropped() {
    let ([link, gone], now) = ([(); 2].map(|()| outbox()), Instant::now());
    let later = now + Duration::from_secs(1);
    let mut waiting = Waiting::default();
    for (link, number, deadline) in
        [(&link, 1, later), (&gone, 2, now), (&link, 3, now), (&gone, 4, later), (&link, 5, later)]
    {
        waiting.park(link, request(number, 1, deadline));
    }
    gone.end(Ending::Gone);
    let numbers = |parked: &mut dyn Iterator<Item = &Parked>| {
        let number = |parked: &Parked| match &parked.request {
            Request::Publish { publish, .. } => publish.number,
            Request::Subscribe(_) => 0,
        };
        parked.map(number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&mut waiting.expire(now).iter()), [3]);
    assert_eq!(numbers(&mut waiting.parked.iter()), [1, 5]);
}
