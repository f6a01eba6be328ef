//! Rings that a topic server hears of from others: what it then knows is bounded, and is what it tells on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_proto::codec;
use campanile_proto::handoff::{FromPeer, PeerBatch, decode_peer_item};
use campanile_proto::message::Rings;
use campanile_ring_config::{Offers, Ring};

use crate::Verdict;
use crate::ring_file::is_small;
use crate::topic_server::{Server, server};

/// Rings that a server keeps beside the one in force: earlier ones, and those that it has only heard of.
const MOST: usize = 32;

/// A batch of a topic server, of which only the rings count. They are told twice: the second time is nothing new.
pub(crate) fn run(data: &[u8]) -> Verdict {
    let Ok(batch) = codec::decode::<PeerBatch>(data) else { return Verdict::Refused };
    let rings = batch.items.into_iter().filter_map(|item| match decode_peer_item(item) {
        Ok(FromPeer::Rings(rings)) => Some(rings),
        _ => None,
    });
    let rings: Vec<_> = rings.filter(|rings| texts(rings).all(|text| is_small(text))).collect();
    if rings.is_empty() {
        return Verdict::Refused;
    }
    let ring = Arc::new(Ring::example());
    let now = Instant::now();
    let Server { handoff, ownership, .. } = server(&ring, now);
    let (offers, mut offered) = Offers::new();
    let mut newest = ring.version();
    for rings in &rings {
        if let Some(newer) = handoff.learn(rings, now) {
            assert!(newer.version() > ring.version());
            newest = newest.max(newer.version());
            offers.offer(newer);
        }
        // Whether to adopt one is another question: only to have heard of it changes nothing.
        assert_eq!(ownership.ring_version(), ring.version());
    }
    let told = handoff.offers();
    assert!(told.previous.len() <= MOST, "{} rings are told on", told.previous.len());
    for text in texts(&told) {
        Ring::parse("told", text).expect("what is told on is a ring");
    }
    for rings in &rings {
        handoff.learn_previous(&rings.previous, now + Duration::from_secs(1));
    }
    assert!(handoff.offers().previous.len() <= MOST);
    if newest > ring.version() {
        let best = poll(offered.next()).expect("a ring has been offered");
        assert_eq!(best.version(), newest, "the newest is kept of all that are offered");
    }
    Verdict::Accepted
}

fn texts(rings: &Rings) -> impl Iterator<Item = &String> {
    rings.previous.iter().chain([&rings.newest])
}

/// The value of a future that is ready.
fn poll<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}
