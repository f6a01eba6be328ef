//! What gateways and other topic servers say, run by a real topic server that has no sockets: one gateway's link, a member
//! that gives topics, a member that takes them, and time that passes.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use campanile_proto::codec;
use campanile_proto::handoff::{PeerBatch, PeerHello, decode_peer_item};
use campanile_proto::link::GatewayBatch;
use campanile_proto::message::{FromGateway, FromTopicServer, Place};
use campanile_proto::wire::{decode_gateway_item, decode_topic_server_item};
use campanile_proto::{Incarnation, LINK_VERSION};
use campanile_ring_config::{Ring, TopicRules};
use campanile_topic_server::Metrics;
use campanile_topic_server::gateways::outbox::Outbox;
use campanile_topic_server::gateways::requests::Requests;
use campanile_topic_server::handoff::{Handoff, PeerOutbox};
use campanile_topic_server::topics::table::Limits;
use campanile_topic_server::topics::{Ownership, Table};

use crate::Verdict;
use crate::input::Input;

/// Longer stories show nothing more, and take their time.
const STEPS: usize = 64;

/// The number of the only link of each kind.
const LINK: u64 = 1;

/// A topic server of the example ring, and those who speak with it.
pub(crate) struct Server {
    pub(crate) ownership: Arc<Ownership>,
    pub(crate) handoff: Handoff,
    table: Arc<Table>,
}

/// A topic server that has just started.
pub(crate) fn server(ring: &Arc<Ring>, now: Instant) -> Server {
    let ownership = Arc::new(Ownership::new("ts-a".into(), Arc::clone(ring)));
    let metrics = Arc::new(Metrics::default());
    let rules = Arc::new(ArcSwap::from_pointee(TopicRules::default()));
    let limits = Limits { topics: 1_000, history: 1 << 20 };
    let table = Arc::new(Table::new(Arc::clone(&ownership), Arc::clone(&metrics), rules, limits));
    let handoff = Handoff::new(Incarnation(1), Arc::clone(&table), Arc::clone(&ownership), metrics, now);
    Server { ownership, handoff, table }
}

/// Batches of whoever the byte before them says, one after the other.
pub(crate) fn run(data: &[u8]) -> Verdict {
    let ring = Arc::new(Ring::example());
    let mut now = Instant::now();
    let server = server(&ring, now);
    let outbox = Outbox::new(1 << 20);
    let mut requests = Requests::new(Incarnation(7), outbox.clone(), Arc::clone(&server.table));
    let (giver, taker) = (Incarnation(8), Incarnation(9));
    let place = |name: &str, address: &str| Place { name: name.into(), address: address.into() };
    let (own, other) = (place("ts-a", "127.0.0.1:5001"), place("ts-b", "127.0.0.1:5002"));
    server.handoff.dialed(&other, LINK, PeerOutbox::default(), giver, now);
    let hello = PeerHello {
        link_version: LINK_VERSION,
        from: other.clone(),
        incarnation: taker,
        link_number: LINK,
        to: own,
        ring_version: ring.version(),
        ring_digest: ring.digest(),
    };
    server.handoff.accepted(&hello, PeerOutbox::default(), now);
    let (mut published, mut answered, mut said) = (0, 0, 0);
    let mut input = Input::new(data);
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        match input.byte() % 4 {
            0 => {
                let Ok(batch) = codec::decode::<GatewayBatch>(input.piece()) else { continue };
                for item in batch.items.into_iter().map_while(|item| decode_gateway_item(item).ok()) {
                    published += usize::from(matches!(item, FromGateway::Publish(_)));
                    said += 1;
                    if requests.run(item, Duration::ZERO, now).is_err() {
                        break;
                    }
                }
            }
            1 => {
                now += Duration::from_millis(100 * u64::from(input.byte()));
                server.handoff.tick(now);
                server.table.sweep(now);
            }
            whose => {
                let Ok(batch) = codec::decode::<PeerBatch>(input.piece()) else { continue };
                for item in batch.items.into_iter().map_while(|item| decode_peer_item(item).ok()) {
                    said += 1;
                    if whose == 2 {
                        server.handoff.from_giver(&other, LINK, item, now);
                    } else {
                        server.handoff.from_taker(taker, LINK, item, now);
                    }
                }
                server.handoff.settle(now);
            }
        }
        answered += read(&outbox);
        assert!(answered <= published, "{answered} answers to {published} publishes");
    }
    requests.undo(now);
    server.handoff.undialed(&other, LINK, now);
    server.handoff.ended(taker, LINK, now);
    if said > 0 { Verdict::Accepted } else { Verdict::Refused }
}

/// Takes what is queued for the gateway, which is within the bounds of the link, and counts the answers to publishes.
fn read(outbox: &Outbox) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut answers = 0;
    while let Poll::Ready(Some(batch)) = outbox.poll_batch(&mut context, 1) {
        for item in batch.items {
            let item = decode_topic_server_item(item).expect("what a topic server says can be read");
            let is_answer =
                matches!(item, FromTopicServer::Published { .. } | FromTopicServer::PublishRefused { .. });
            answers += usize::from(is_answer);
        }
    }
    answers
}
