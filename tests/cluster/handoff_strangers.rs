//! H10: somebody comes to a topic server's port who has no business there. Nothing happens to any topic.

use bytes::Bytes;
use campanile_proto::Epoch;
use campanile_proto::handoff::{FromPeer, Head, PeerBatch, Piece};
use campanile_proto::message::Rings;
use campanile_ring_config::{Member, Ring};
use serde_json::json;
use tonic::Code;

use crate::harness::fake_peer::{FakePeer, hello};
use crate::harness::{Client, Cluster};

/// Two servers, and a client on a topic of the first.
struct Scene {
    cluster: Cluster,
    client: Client,
    topic: String,
    join_ref: String,
    published: u64,
    links: u64,
}

impl Scene {
    async fn new() -> Self {
        let cluster = Cluster::start(1, 2).await;
        let topic = cluster.topic_of(0, "room");
        let mut client = cluster.client(0).await;
        let (_, join_ref) = client.join_with(&topic, json!({"positions": true})).await;
        let mut scene = Self { cluster, client, topic, join_ref, published: 0, links: 0 };
        scene.nothing_happened().await;
        scene
    }

    /// The topic is where it was, and goes on.
    async fn nothing_happened(&mut self) {
        self.published += 1;
        let number = self.published;
        let payload = json!(["event", {"n": number}]);
        let reference = self.client.push(&self.join_ref, &self.topic, "publish", payload).await;
        assert_eq!(self.client.reply(&reference).await["response"], json!({"offset": number}));
        self.client.expect(json!([self.join_ref, number, self.topic, "event", {"n": number}])).await;
        self.client.expect_silence().await;
        let metrics = &self.cluster.topic_servers[0].metrics;
        assert_eq!((metrics.topics_moved.get(), metrics.topics_taken.get()), (0, 0));
        assert_eq!((metrics.handoffs_open.get(), metrics.subscriptions.get()), (0, 1));
        assert_eq!((metrics.publishes_accepted.get(), metrics.ring_version.get()), (number, 1));
    }

    /// A link of somebody who says that it is this one.
    async fn link(&mut self, name: &str, address: &str) -> FakePeer {
        let to = &self.cluster.topic_servers[0];
        let mut hello = hello(&self.cluster.ring(), (name, address), (&to.name, to.address));
        self.links += 1;
        hello.link_number = self.links;
        FakePeer::open(to.address, hello).await.unwrap()
    }

    fn claim(&self, ring_version: u64) -> FromPeer {
        FromPeer::Claim { topic: Bytes::from(self.topic.clone()), ring_version }
    }

    fn refused(&self, reason: &'static str) -> u64 {
        self.cluster.topic_servers[0].metrics.links_refused.get_or_create(&[("reason", reason)]).get()
    }
}

#[tokio::test]
async fn a_hello_to_another_server_or_under_another_ring_of_the_same_version_is_refused() {
    let mut scene = Scene::new().await;
    let (ring, address) = (scene.cluster.ring(), scene.cluster.topic_servers[0].address);
    let from = ("ts-b", &*scene.cluster.topic_servers[1].in_ring);

    let other_member = hello(&ring, from, ("ts-b", address));
    let refused = FakePeer::open(address, other_member).await.err().expect("refused");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("ts-a"), "{refused}");
    assert_eq!(scene.refused("other_member"), 1);

    let members = ring.members().iter().map(|member| Member::new(member.name(), member.address(), 7));
    let other_ring = Ring::new(ring.version(), ring.virtual_nodes(), members.collect()).unwrap();
    let refused = FakePeer::open(address, hello(&other_ring, from, ("ts-a", address))).await;
    let refused = refused.err().expect("refused");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(scene.refused("ring_differs"), 1);

    let mut foreign = hello(&ring, from, ("ts-a", address));
    foreign.link_version += 100;
    assert_eq!(
        FakePeer::open(address, foreign).await.err().expect("refused").code(),
        Code::FailedPrecondition
    );
    assert_eq!(scene.refused("link_version"), 1);
    scene.nothing_happened().await;
}

#[tokio::test]
async fn a_link_that_begins_with_anything_but_a_hello_is_refused() {
    let mut scene = Scene::new().await;
    let address = scene.cluster.topic_servers[0].address;
    for first in [vec![], vec![FromPeer::Ping(1)], vec![scene.claim(1)], vec![FromPeer::ClaimAll(9)]] {
        let refused = FakePeer::dial(address, first).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    scene.nothing_happened().await;
}

#[tokio::test]
async fn a_claim_of_what_is_another_ones_own_is_not_answered() {
    let mut scene = Scene::new().await;
    let member = scene.cluster.topic_servers[1].in_ring.clone();
    // A member that is not the topic's owner, the owner's name elsewhere, and nobody that any ring knows.
    for (name, address) in [("ts-b", &*member), ("ts-a", "127.0.0.1:1"), ("ts-x", "127.0.0.1:1"), ("", "")] {
        let mut link = scene.link(name, address).await;
        // Under this ring, an older one, and one that nobody has.
        for version in [1, 0, 99, u64::MAX] {
            link.send(vec![scene.claim(version), FromPeer::ClaimAll(version)]).await;
        }
        let answers = link.answers().await;
        let is_harmless = |item: &FromPeer| matches!(item, FromPeer::AllGiven(1));
        assert!(answers.iter().all(is_harmless), "{name} at {address}: {answers:?}");
        scene.nothing_happened().await;
    }
}

#[tokio::test]
async fn what_only_a_giver_may_say_is_nothing_when_others_say_it() {
    let mut scene = Scene::new().await;
    let member = scene.cluster.topic_servers[1].in_ring.clone();
    let mut link = scene.link("ts-b", &member).await;
    let topic = Bytes::from(scene.topic.clone());
    let piece = Piece {
        number: 1,
        topic: topic.clone(),
        head: Some(Head {
            epoch: Epoch(5),
            offset: 1_000,
            opened_under: 99,
            renewed_from: None,
            matching: Vec::new(),
        }),
        history: Vec::new(),
        keys: Vec::new(),
        windows: Vec::new(),
        last: true,
    };
    link.send(vec![
        FromPeer::State(piece),
        FromPeer::Nothing { topic, ring_version: 99 },
        FromPeer::AllGiven(99),
        FromPeer::Taken(1),
        FromPeer::Disclaimed(1),
        FromPeer::Rings(Rings {
            newest: "nonsense".into(),
            previous: vec!["= 7".into()],
            clean: Vec::new(),
            starting: false,
        }),
    ])
    .await;
    let answers = link.answers().await;
    assert!(answers.iter().all(|item| matches!(item, FromPeer::AllGiven(1))), "{answers:?}");
    scene.nothing_happened().await;
}

#[tokio::test]
async fn garbage_ends_the_link_and_nothing_else() {
    let mut scene = Scene::new().await;
    let member = scene.cluster.topic_servers[1].in_ring.clone();
    let mut link = scene.link("ts-b", &member).await;
    let mut empty = PeerBatch { ring_version: 1, items: Vec::new() };
    link.send_raw(empty.clone()).await;
    link.answers().await;
    empty.items.push(Default::default());
    link.send_raw(empty).await;
    while link.next().await.is_some() {}
    // The next link of the same process is taken.
    let mut link = scene.link("ts-b", &member).await;
    link.answers().await;
    scene.nothing_happened().await;
}
