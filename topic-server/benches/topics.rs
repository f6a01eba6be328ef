//! A publish at its owner: found, ordered, kept, answered, and queued for every subscribed gateway.

#![expect(clippy::expect_used, reason = "a bench ends at what it did not expect")]

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_measure::{Work, data, run};
use campanile_proto::message::Publish;
use campanile_proto::{Encoding, Incarnation, Message, Subscription};
use campanile_ring_config::Ring;
use campanile_topic_server::gateways::outbox::Outbox;
use campanile_topic_server::topics::table::Limits;
use campanile_topic_server::topics::{Ownership, Table};

/// Live topics of the server; the published one is among them.
const TOPICS: usize = 1000;

/// Messages that wait for a busy link when it looks into its outbox.
const PER_BATCH: u64 = 16;

fn main() -> ExitCode {
    run(&[("publish to 1 gateway", || publish(1)), ("publish to 8 gateways", || publish(8))])
}

/// One message to so many gateways, the publisher's own among them. Links take their batches after every
/// [`PER_BATCH`] publishes. After 1,000 the default history is full, and each message puts the oldest out.
fn publish(gateways: u32) -> Work {
    let table = table();
    let now = Instant::now();
    let names = data::topics(TOPICS);
    let links: Vec<_> = (0..gateways).map(|_| Outbox::new(8 << 20)).collect();
    for (name, slot) in names.iter().zip(0..) {
        for link in &links {
            let held = table.subscribe(link, Subscription { slot, generation: 1 }, name.as_bytes(), now);
            assert!(held.is_some(), "the topic is ours");
        }
    }
    links.iter().for_each(drain);
    let name = Bytes::from(names[TOPICS / 2].clone().into_bytes());
    let message = Message {
        encoding: Encoding::Json,
        event: Bytes::from_static(b"message"),
        payload: data::payload(128).into(),
    };
    let mut number = 0;
    Box::new(move || {
        number += 1;
        let publish = Publish {
            slot: 5,
            topic: name.clone(),
            number,
            settled_below: number,
            time_left: Duration::from_secs(5),
            resend_epoch: None,
            message: black_box(&message).clone(),
            key: None,
        };
        table.publish(&links[0], Incarnation(0xa), publish, Duration::ZERO, now);
        if number % PER_BATCH == 0 {
            links.iter().for_each(drain);
        }
    })
}

/// The table of a ring's only member, with default limits.
fn table() -> Table {
    let ring = Ring::example_resized(1).expect("a ring");
    let name = ring.members()[0].name().to_owned();
    let ownership = Arc::new(Ownership::new(name, Arc::new(ring)));
    let limits = Limits { topics: usize::MAX, history: 256 << 20 };
    Table::new(ownership, Arc::default(), Arc::default(), limits)
}

fn drain(link: &Outbox) {
    let context = &mut Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(batch)) = link.poll_batch(context, 1) {
        black_box(batch);
    }
    assert_eq!(link.ending(), None, "nothing is lost");
}
