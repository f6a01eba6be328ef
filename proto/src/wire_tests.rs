use super::*;
use crate::names::Space;
use crate::reach::{Behind, Match, Pattern, Query, QueryAnswer};
use prost::Message as _;

fn json(payload: &'static [u8]) -> Message {
    Message {
        encoding: Encoding::Json,
        event: Bytes::from_static(b"event"),
        payload: Bytes::from_static(payload),
    }
}

fn matching(subscription: Option<Subscription>, behind: Option<Behind>) -> Match {
    Match {
        subscription,
        topic: Bytes::from_static(b"news"),
        patterns: vec![0, u32::MAX],
        epoch: Epoch(4),
        offset: 6,
        message: json(b"{}"),
        behind,
    }
}

fn from_gateway() -> Vec<FromGateway> {
    let subscription = Subscription { slot: 3, generation: 9 };
    vec![
        FromGateway::Hello(Hello {
            link_version: 1,
            gateway: "gw".into(),
            incarnation: Incarnation(5),
            link_number: 2,
            member: "ts-a".into(),
            address: "127.0.0.1:5001".into(),
            ring_version: 4,
            ring_digest: u64::MAX,
            previous_rings: vec!["version = 3".into()],
        }),
        FromGateway::Subscribe { subscription, topic: Bytes::from_static(b"topics:matrix"), listeners: 0 },
        FromGateway::Subscribe { subscription, topic: Bytes::from_static(b"\xffa"), listeners: u32::MAX },
        FromGateway::Count { subscription, listeners: 7, change: u32::MAX },
        FromGateway::Pattern(Pattern {
            number: 0,
            pattern: Bytes::from_static(b"n[^e]ws*"),
            listeners: 1,
            change: 2,
        }),
        FromGateway::Pattern(Pattern { number: u32::MAX, pattern: Bytes::new(), listeners: 0, change: 3 }),
        FromGateway::AllPatterns,
        FromGateway::Query(1, Query::Topics { pattern: None, space: Space::Sharded }),
        FromGateway::Query(2, Query::Topics { pattern: Some(Bytes::new()), space: Space::Plain }),
        FromGateway::Query(3, Query::Listeners(vec![Bytes::from_static(b"a"), Bytes::from_static(b"\xff")])),
        FromGateway::Query(u64::MAX, Query::Patterns),
        FromGateway::Unsubscribe { subscription },
        FromGateway::Sees(vec![Place { name: "ts-a".into(), address: "h:1".into() }]),
        FromGateway::Publish(Publish {
            slot: 1,
            topic: Bytes::from_static(b"\0\xff"),
            number: 8,
            settled_below: 7,
            time_left: Duration::from_millis(4_999),
            resend_epoch: Some(Epoch(1)),
            message: json(b"{}"),
            key: Some(Bytes::from_static(b"key")),
        }),
        FromGateway::Read { subscription, epoch: Epoch(4), from: u64::MAX },
        FromGateway::Ping(1),
        FromGateway::Pong(u64::MAX),
    ]
}

fn from_topic_server() -> Vec<FromTopicServer> {
    let subscription = Subscription { slot: u32::MAX, generation: u32::MAX };
    let mut all = vec![
        FromTopicServer::Welcome(Welcome {
            link_version: 1,
            member: "ts-b".into(),
            incarnation: Incarnation(u64::MAX),
            ring_version: 4,
            ring_digest: 6,
        }),
        FromTopicServer::Subscribed { subscription, epoch: Epoch(1), offset: 0 },
        FromTopicServer::Deliver { subscription, offset: 1, message: json(b"{\"a\":1}") },
        FromTopicServer::Published { slot: 1, number: 2, epoch: Epoch(3), offset: 4, receivers: 0 },
        FromTopicServer::Published { slot: 1, number: 2, epoch: Epoch(3), offset: 5, receivers: u32::MAX },
        FromTopicServer::Counted { subscription, change: 9 },
        FromTopicServer::PatternStands { number: 3, change: 4 },
        FromTopicServer::Match(Box::new(matching(None, None))),
        FromTopicServer::Match(Box::new(matching(
            Some(subscription),
            Some(Behind { incarnation: Incarnation(6), epoch: Epoch(7), offset: 0 }),
        ))),
        FromTopicServer::PatternsMoved { topic: Bytes::from_static(b"t"), epoch: Epoch(1), offset: 0 },
        FromTopicServer::PatternsLost,
        FromTopicServer::QueryAnswer(QueryAnswer {
            id: 5,
            names: vec![Bytes::from_static(b"a"), Bytes::new()],
            counts: vec![0, u32::MAX],
            last: true,
            refused: true,
        }),
        FromTopicServer::Moved { subscription, offset: 4, to: None },
        FromTopicServer::Moved { subscription, offset: 4, to: Some(Incarnation(8)) },
        FromTopicServer::Rings(Rings {
            newest: "version = 3".into(),
            previous: vec!["version = 2".into()],
            clean: vec![(Place { name: "ts-b".into(), address: "h:2".into() }, 2)],
            starting: true,
        }),
        FromTopicServer::Missed {
            subscription,
            epoch: Epoch(2),
            from: 7,
            found: Found::Messages(vec![json(b"{}"), json(b"")]),
        },
        FromTopicServer::Missed {
            subscription,
            epoch: Epoch(2),
            from: 7,
            found: Found::Gone { oldest: Some(9) },
        },
        FromTopicServer::Missed {
            subscription,
            epoch: Epoch(2),
            from: 7,
            found: Found::Gone { oldest: None },
        },
        FromTopicServer::Draining,
        FromTopicServer::Ping(0),
        FromTopicServer::Pong(0),
    ];
    for reason in [
        Refusal::NotOwner,
        Refusal::Expired,
        Refusal::Overloaded,
        Refusal::Draining,
        Refusal::UnknownOutcome,
        Refusal::StaleNumber,
        Refusal::KeyReused,
        Refusal::RateLimited,
    ] {
        all.push(FromTopicServer::PublishRefused { slot: 1, number: 2, reason });
        all.push(FromTopicServer::SubscribeRefused { subscription, reason });
    }
    all
}

fn gateway_batch() -> g::GatewayBatch {
    g::GatewayBatch {
        ring_version: 1,
        age_us: 17,
        items: from_gateway().into_iter().map(encode_gateway_item).collect(),
    }
}

fn topic_server_batch() -> g::TopicServerBatch {
    g::TopicServerBatch {
        ring_version: 1,
        age_us: 17,
        items: from_topic_server().into_iter().map(encode_topic_server_item).collect(),
    }
}

#[test]
fn everything_said_survives_the_wire() {
    let bytes = gateway_batch().encode_to_vec();
    let batch = g::GatewayBatch::decode(&bytes[..]).expect("own bytes");
    let said: Result<Vec<_>, _> = batch.items.into_iter().map(decode_gateway_item).collect();
    assert_eq!(said, Ok(from_gateway()));

    let bytes = topic_server_batch().encode_to_vec();
    let batch = g::TopicServerBatch::decode(&bytes[..]).expect("own bytes");
    let said: Result<Vec<_>, _> = batch.items.into_iter().map(decode_topic_server_item).collect();
    assert_eq!(said, Ok(from_topic_server()));
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let subscribe = |length| {
        decode_gateway_item(g::GatewayItem {
            item: Some(GatewayItem::Subscribe(g::Subscribe {
                listeners: 0,
                subscription: 1,
                topic: Bytes::from(vec![b'x'; length]),
            })),
        })
    };
    assert!(subscribe(0).is_err());
    assert!(subscribe(1).is_ok());
    assert!(subscribe(1024).is_ok());
    assert!(subscribe(1025).is_err());

    let deliver = |length, encoding| {
        decode_topic_server_item(g::TopicServerItem {
            item: Some(TopicServerItem::Deliver(g::Deliver {
                event: Bytes::from(vec![b'x'; length]),
                encoding,
                ..Default::default()
            })),
        })
    };
    assert!(deliver(0, 0).is_err());
    assert!(deliver(255, 1).is_ok());
    assert!(deliver(256, 1).is_err());
    assert!(deliver(1, 2).is_err());

    let hello = |rings| {
        let previous_rings = vec![String::new(); rings];
        let hello = g::Hello { incarnation: 1, previous_rings, ..Default::default() };
        decode_gateway_item(g::GatewayItem { item: Some(GatewayItem::Hello(hello)) })
    };
    assert!(hello(64).is_ok());
    assert!(hello(65).is_err());

    assert!(decode_gateway_item(g::GatewayItem { item: None }).is_err());
    assert!(decode_topic_server_item(g::TopicServerItem { item: None }).is_err());
    let welcome = TopicServerItem::Welcome(g::Welcome::default());
    assert!(decode_topic_server_item(g::TopicServerItem { item: Some(welcome) }).is_err());
    let refused = TopicServerItem::PublishRefused(g::PublishRefused::default());
    assert!(decode_topic_server_item(g::TopicServerItem { item: Some(refused) }).is_err());
}

/// A million generated and mutated inputs: an error or a message inside its bounds, never a panic.
#[test]
fn no_bytes_panic_the_link_decoder() {
    let mut random = fastrand::Rng::with_seed(0x00ca_3bad);
    let seeds = [gateway_batch().encode_to_vec(), topic_server_batch().encode_to_vec()];
    let mut accepted = 0_u32;
    for round in 0..1_000_000_u32 {
        let mut input: Vec<u8> = if round % 4 == 0 {
            (0..random.usize(0..64)).map(|_| random.u8(..)).collect()
        } else {
            // A stretch of a good batch, so that most of the input is meaningful.
            let seed = &seeds[random.usize(0..seeds.len())];
            let start = if random.bool() { 0 } else { random.usize(0..seed.len()) };
            seed[start..random.usize(start..=seed.len())].to_vec()
        };
        for _ in 0..random.usize(0..4) {
            if !input.is_empty() {
                let at = random.usize(0..input.len());
                input[at] = random.u8(..);
            }
        }
        if let Ok(batch) = g::GatewayBatch::decode(&input[..]) {
            for item in batch.items.into_iter().flat_map(decode_gateway_item) {
                accepted += 1;
                if let FromGateway::Publish(publish) = &item {
                    assert!(TOPIC_BYTES.contains(&publish.topic.len()));
                    assert!(EVENT_BYTES.contains(&publish.message.event.len()));
                }
            }
        }
        if let Ok(batch) = g::TopicServerBatch::decode(&input[..]) {
            accepted += batch.items.into_iter().flat_map(decode_topic_server_item).count() as u32;
        }
    }
    assert!(accepted > 10_000, "the inputs are too wild to test anything: {accepted} items accepted");
}
