//! Runs every committed input of every target, with any toolchain; `scripts/fuzz` looks for more of them.
//!
//! The folders of `fuzz/corpus` are the targets, and the targets of `fuzz/` are those of the list. Each has inputs that
//! are accepted and inputs that are refused, or it would test only one half of its decoder. `record` writes well-formed
//! inputs for what no person writes by hand.
#![expect(clippy::expect_used, reason = "a test fails by a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use campanile_fuzzing::{TARGETS, Verdict};
use campanile_proto::handoff::{
    FromPeer, Head, Introduced, KnownKey, Past, PeerBatch, PeerHello, PeerWelcome, Piece, SentWindow,
    encode_peer_item,
};
use campanile_proto::link::{GatewayBatch, TopicServerBatch};
use campanile_proto::message::{
    Encoding, Found, FromGateway, FromTopicServer, Hello, Message, Place, Publish, Refusal, Rings, Welcome,
};
use campanile_proto::names::Space;
use campanile_proto::reach::{Behind, Match, Pattern, Query, QueryAnswer};
use campanile_proto::wire::{encode_gateway_item, encode_topic_server_item};
use campanile_proto::{Epoch, Incarnation, Subscription};
use campanile_ring_config::Ring;
use prost::Message as _;

/// All inputs together take no more than this: they are committed.
const MOST_FILES: usize = 600;
const MOST_BYTES: usize = 250 << 10;

fn fuzz() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz"))
}

/// The inputs of each target, by name.
fn corpora() -> BTreeMap<String, Vec<(PathBuf, Vec<u8>)>> {
    let mut corpora = BTreeMap::new();
    for folder in fs::read_dir(fuzz().join("corpus")).expect("fuzz/corpus") {
        let folder = folder.expect("a folder").path();
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let mut inputs: Vec<_> = fs::read_dir(&folder)
            .expect("a folder of inputs")
            .map(|file| file.expect("an input").path())
            .map(|file| (file.clone(), fs::read(&file).expect("an input")))
            .collect();
        inputs.sort();
        corpora.insert(name, inputs);
    }
    corpora
}

#[test]
fn every_input_keeps_the_promises_of_its_target() {
    let corpora = corpora();
    for target in TARGETS {
        let (mut accepted, mut refused) = (0, 0);
        let inputs = corpora.get(target.name).map_or(&[][..], Vec::as_slice);
        for (file, input) in inputs {
            let run = std::panic::catch_unwind(|| (target.run)(input));
            match run {
                Ok(Verdict::Accepted) => accepted += 1,
                Ok(Verdict::Refused) => refused += 1,
                Err(_) => panic!("{} breaks what {} promises (see above)", file.display(), target.name),
            }
        }
        assert!(accepted > 0 && refused > 0, "{}: {accepted} accepted, {refused} refused", target.name);
    }
}

#[test]
fn the_targets_of_the_fuzzer_are_those_of_the_list() {
    let mut names: Vec<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    names.sort();
    assert_eq!(corpora().into_keys().collect::<Vec<_>>(), names, "folders of fuzz/corpus");
    let mut files: Vec<_> = fs::read_dir(fuzz().join("fuzz_targets"))
        .expect("fuzz/fuzz_targets")
        .map(|file| file.expect("a target").path())
        .collect();
    files.sort();
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("fuzz/Cargo.toml");
    assert_eq!(manifest.matches("[[bin]]").count(), names.len(), "targets in fuzz/Cargo.toml");
    assert_eq!(files.len(), names.len(), "{files:?}");
    for (file, name) in files.iter().zip(&names) {
        let text = fs::read_to_string(file).expect("a target");
        assert!(text.contains(&format!("target!({name})")), "{} runs another target", file.display());
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}

#[test]
fn the_corpora_stay_small() {
    let corpora = corpora();
    let inputs = || corpora.values().flatten();
    let (files, bytes) = (inputs().count(), inputs().map(|(_, input)| input.len()).sum::<usize>());
    assert!(
        files <= MOST_FILES && bytes <= MOST_BYTES,
        "{files} files, {bytes} bytes; see scripts/fuzz --help"
    );
}

/// Writes well-formed inputs of the link's messages: every variant, alone and together.
#[test]
#[ignore = "writes into fuzz/corpus; run it when messages change"]
fn record() {
    let gateway = |items: Vec<FromGateway>| {
        let items = items.into_iter().map(encode_gateway_item).collect();
        GatewayBatch { ring_version: 3, age_us: 1_000, items }.encode_to_vec()
    };
    write("from_gateway", from_gateway(), gateway);
    let topic_server = |items: Vec<FromTopicServer>| {
        let items = items.into_iter().map(encode_topic_server_item).collect();
        TopicServerBatch { ring_version: 3, age_us: 1_000, items }.encode_to_vec()
    };
    write("from_topic_server", from_topic_server(), topic_server);
    let peer = |items: Vec<FromPeer>| {
        let items = items.into_iter().map(encode_peer_item).collect();
        PeerBatch { ring_version: 3, items }.encode_to_vec()
    };
    write("handoff", from_peer(), peer);
    let newer = Ring::new(5, 16, Ring::example().members().to_vec()).expect("a ring");
    let told = |newest: String| {
        FromPeer::Rings(Rings {
            newest,
            previous: vec![Ring::example().to_toml(), newer.to_toml()],
            clean: vec![(place(), 4)],
            starting: false,
        })
    };
    write("offers", vec![told(newer.to_toml()), told(Ring::example_text().into()), told("?".into())], peer);
}

/// Each item for itself, and all of them together.
fn write<T: Clone>(target: &str, items: Vec<T>, batch: impl Fn(Vec<T>) -> Vec<u8>) {
    let folder = fuzz().join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    for (number, item) in items.iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:02}")), batch(vec![item.clone()])).expect("an input");
    }
    fs::write(folder.join("seed-all"), batch(items)).expect("an input");
}

fn place() -> Place {
    Place { name: "ts-a".into(), address: "127.0.0.1:5001".into() }
}

fn rings() -> Rings {
    Rings {
        newest: "version = 2".into(),
        previous: vec!["version = 1".into()],
        clean: vec![(place(), 2)],
        starting: true,
    }
}

fn message() -> Message {
    Message {
        encoding: Encoding::Json,
        event: Bytes::from_static(b"event"),
        payload: Bytes::from_static(b"{\"a\":1}"),
    }
}

fn from_gateway() -> Vec<FromGateway> {
    let subscription = Subscription { slot: 3, generation: 4 };
    vec![
        FromGateway::Hello(Hello {
            link_version: 1,
            gateway: "gw-1".into(),
            incarnation: Incarnation(7),
            link_number: 1,
            member: "ts-a".into(),
            address: "127.0.0.1:5001".into(),
            ring_version: 3,
            ring_digest: 99,
            previous_rings: vec!["version = 1".into()],
        }),
        FromGateway::Subscribe { subscription, topic: Bytes::from_static(b"room:1"), listeners: 2 },
        FromGateway::Count { subscription, listeners: 3, change: 2 },
        FromGateway::Pattern(Pattern {
            number: 1,
            pattern: Bytes::from_static(b"room:*"),
            listeners: 2,
            change: 3,
        }),
        FromGateway::AllPatterns,
        FromGateway::Query(
            1,
            Query::Topics { pattern: Some(Bytes::from_static(b"r*")), space: Space::Plain },
        ),
        FromGateway::Query(2, Query::Listeners(vec![Bytes::from_static(b"room:1")])),
        FromGateway::Query(3, Query::Patterns),
        FromGateway::Unsubscribe { subscription },
        FromGateway::Publish(Publish {
            slot: 3,
            topic: Bytes::from_static(b"room:1"),
            number: 9,
            settled_below: 8,
            time_left: std::time::Duration::from_millis(4_900),
            resend_epoch: Some(Epoch(5)),
            message: message(),
            key: Some(Bytes::from_static(b"key")),
        }),
        FromGateway::Read { subscription, epoch: Epoch(5), from: 41 },
        FromGateway::Sees(vec![place()]),
        FromGateway::Ping(1),
        FromGateway::Pong(1),
    ]
}

fn from_topic_server() -> Vec<FromTopicServer> {
    let subscription = Subscription { slot: 3, generation: 4 };
    let epoch = Epoch(5);
    let missed = |found| FromTopicServer::Missed { subscription, epoch, from: 41, found };
    vec![
        FromTopicServer::Welcome(Welcome {
            link_version: 1,
            member: "ts-a".into(),
            incarnation: Incarnation(7),
            ring_version: 3,
            ring_digest: 99,
        }),
        FromTopicServer::Subscribed { subscription, epoch, offset: 41 },
        FromTopicServer::Deliver { subscription, offset: 42, message: message() },
        missed(Found::Messages(vec![message(), message()])),
        missed(Found::Gone { oldest: Some(20) }),
        FromTopicServer::Published { slot: 3, number: 9, epoch, offset: 42, receivers: 5 },
        FromTopicServer::Counted { subscription, change: 2 },
        FromTopicServer::PatternStands { number: 1, change: 3 },
        FromTopicServer::Match(Box::new(Match {
            subscription: Some(subscription),
            topic: Bytes::from_static(b"room:1"),
            patterns: vec![1, 2],
            epoch,
            offset: 43,
            message: message(),
            behind: Some(Behind { incarnation: Incarnation(8), epoch, offset: 42 }),
        })),
        FromTopicServer::PatternsMoved { topic: Bytes::from_static(b"room:1"), epoch, offset: 43 },
        FromTopicServer::PatternsLost,
        FromTopicServer::QueryAnswer(QueryAnswer {
            id: 2,
            names: vec![Bytes::from_static(b"room:1")],
            counts: vec![3],
            last: true,
            refused: false,
        }),
        FromTopicServer::PublishRefused { slot: 3, number: 9, reason: Refusal::KeyReused },
        FromTopicServer::SubscribeRefused { subscription, reason: Refusal::NotOwner },
        FromTopicServer::Draining,
        FromTopicServer::Moved { subscription, offset: 42, to: Some(Incarnation(8)) },
        FromTopicServer::Rings(rings()),
        FromTopicServer::Ping(1),
        FromTopicServer::Pong(1),
    ]
}

fn from_peer() -> Vec<FromPeer> {
    let topic = || Bytes::from_static(b"room:1");
    let piece = Piece {
        number: 1,
        topic: topic(),
        head: Some(Head {
            epoch: Epoch(5),
            offset: 42,
            opened_under: 2,
            renewed_from: Some(Epoch(4)),
            matching: vec![Introduced {
                gateway: Incarnation(7),
                behind: Behind { incarnation: Incarnation(8), epoch: Epoch(5), offset: 42 },
            }],
        }),
        history: vec![Past { message: message(), age_ms: 12 }],
        keys: vec![KnownKey { key: Bytes::from_static(b"key"), offset: 42, body: 1 << 100, left_ms: 90 }],
        windows: vec![SentWindow {
            gateway: Incarnation(7),
            last: 9,
            accepted: vec![(8, 41), (9, 42)],
            idle_ms: 1,
        }],
        last: true,
    };
    vec![
        FromPeer::Hello(PeerHello {
            link_version: 1,
            from: place(),
            incarnation: Incarnation(7),
            link_number: 1,
            to: place(),
            ring_version: 3,
            ring_digest: 99,
        }),
        FromPeer::Welcome(PeerWelcome {
            link_version: 1,
            name: "ts-a".into(),
            incarnation: Incarnation(7),
            ring_version: 3,
            ring_digest: 99,
        }),
        FromPeer::Rings(rings()),
        FromPeer::Sees(vec![place()]),
        FromPeer::PatternGateways(vec![Incarnation(7)]),
        FromPeer::Claim { topic: topic(), ring_version: 3 },
        FromPeer::ClaimAll(3),
        FromPeer::Taken(1),
        FromPeer::Disclaimed(1),
        FromPeer::State(piece),
        FromPeer::Nothing { topic: topic(), ring_version: 3 },
        FromPeer::AllGiven(3),
        FromPeer::Ping(1),
        FromPeer::Pong(1),
    ]
}
