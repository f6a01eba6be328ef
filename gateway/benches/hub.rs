//! A delivery of a topic server, through the hub into the outboxes of all who listen.

#![expect(clippy::expect_used, reason = "a bench ends at what it did not expect")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use campanile_gateway::client::direct::Touched;
use campanile_gateway::client::outbox::{ChannelId, Found, Item, Outbox};
use campanile_gateway::hub::Hub;
use campanile_gateway::hub::state::Start;
use campanile_gateway::phoenix::codec::{codec, tag};
use campanile_gateway::phoenix::frame::{Ref, Version};
use campanile_gateway::upstream::Links;
use campanile_measure::{Work, data, run};
use campanile_proto::{Encoding, Epoch, FromTopicServer, Message, Subscription};
use campanile_ring_config::Ring;

const TOPIC: &[u8] = b"room:271828";

/// Messages that wait for a busy session when it looks into its outbox.
const PER_TURN: u64 = 16;

fn main() -> ExitCode {
    run(&[("fan-out to 1 client", || fan_out(1)), ("fan-out to 100 clients", || fan_out(100))])
}

/// One message to so many clients of version 2. Sessions take what is theirs after every [`PER_TURN`] messages.
fn fan_out(clients: u32) -> Work {
    let (links, views) = Links::unconnected(Arc::new(Ring::example_resized(1).expect("a ring")));
    let hub = Hub::new(Arc::new(links), Arc::default(), Duration::from_secs(5));
    let outboxes: Vec<_> = (0..clients).map(|_| Outbox::new(1 << 20)).collect();
    for outbox in &outboxes {
        let tag = tag(&Ref::Text("5".into()));
        hub.join(TOPIC, ChannelId(1), outbox, codec(Version::V2, false), tag, Start::Live);
    }
    // The hub's first subscription.
    let subscription = Subscription { slot: 0, generation: 1 };
    let link = views[0];
    // Stays empty: these clients are busy, and nobody writes past their sessions.
    let mut touched = Touched::default();
    let subscribed = FromTopicServer::Subscribed { subscription, epoch: Epoch(7), offset: 0 };
    hub.receive(link, subscribed, &mut touched);
    let mut taken = VecDeque::new();
    for outbox in &outboxes {
        take(outbox, &mut taken);
        assert!(matches!(taken.pop_front(), Some(Item::Joined { .. })), "every client listens");
    }
    let message = Message {
        encoding: Encoding::Json,
        event: Bytes::from_static(b"message"),
        payload: data::payload(128).into(),
    };
    let mut offset = 0;
    Box::new(move || {
        offset += 1;
        let message = black_box(&message).clone();
        hub.receive(link, FromTopicServer::Deliver { subscription, offset, message }, &mut touched);
        if offset % PER_TURN == 0 {
            for outbox in &outboxes {
                take(outbox, &mut taken);
                assert_eq!(taken.len() as u64, PER_TURN, "nothing is lost");
                black_box(&mut taken).clear();
            }
        }
    })
}

fn take(outbox: &Outbox, into: &mut VecDeque<Item>) {
    let found = outbox.poll_take(&mut Context::from_waker(Waker::noop()), into, true);
    assert_eq!(found, Poll::Ready(Found::Items));
}
