//! Who is not let in, on either end of a link (rule L2).

use campanile_proto::message::Hello;
use campanile_proto::{FromTopicServer, LINK_VERSION};
use serde_json::json;

use crate::harness::fake_gateway::{FakeGateway, hello, subscribe};
use crate::harness::fake_topic_server::FakeTopicServer;
use crate::harness::{Cluster, DEADLINE, equal, eventually};

async fn refused(change: impl FnOnce(&mut Hello), reason: &'static str, words: &[&str]) {
    let cluster = Cluster::start(1, 1).await;
    let server = &cluster.topic_servers[0];
    let mut hello = hello(&cluster.ring(), &server.name, server.address, 1001);
    change(&mut hello);
    let Err(status) = FakeGateway::open(server.address, hello).await else { panic!("was let in") };
    for word in words {
        assert!(status.message().contains(word), "{word}: {status}");
    }
    assert_eq!(server.metrics.links_refused.get_or_create(&[("reason", reason)]).get(), 1);
    // The others do not notice.
    let mut client = cluster.client(0).await;
    client.join("room").await;
    client.publish("room", "event", json!({})).await;
    assert_eq!(server.metrics.links.get(), 1);
}

#[tokio::test]
async fn a_gateway_that_expects_another_member() {
    refused(|hello| hello.member = "ts-z".to_owned(), "other_member", &["ts-a", "ts-z"]).await;
}

#[tokio::test]
async fn a_gateway_with_another_ring_of_the_same_version() {
    refused(|hello| hello.ring_digest ^= 1, "ring_differs", &["version 1", "digest"]).await;
}

#[tokio::test]
async fn a_gateway_of_a_release_too_far_ahead() {
    let newer = (LINK_VERSION + 1).to_string();
    // By these words the gateway knows that it should say an older version.
    let words = [&newer[..], "speaks link version"];
    assert!(words.iter().any(|word| campanile_proto::ids::is_refused_version(word)));
    refused(|hello| hello.link_version = LINK_VERSION + 1, "link_version", &words).await;
}

#[tokio::test]
async fn a_gateway_of_no_link_version() {
    refused(|hello| hello.link_version = 0, "link_version", &["0"]).await;
}

/// Each in its own version: a gateway of the release before would refuse a newer one.
#[tokio::test]
async fn a_gateway_of_the_release_before_is_answered_in_its_version() {
    let cluster = Cluster::start(1, 1).await;
    let server = &cluster.topic_servers[0];
    for (incarnation, version) in [(1001, LINK_VERSION - 1), (1002, LINK_VERSION)] {
        let mut hello = hello(&cluster.ring(), &server.name, server.address, incarnation);
        hello.link_version = version;
        let link = FakeGateway::open(server.address, hello).await.unwrap();
        assert_eq!(link.version, version);
    }
}

#[tokio::test]
async fn another_ring_version_is_no_reason() {
    let cluster = Cluster::start(1, 1).await;
    let server = &cluster.topic_servers[0];
    for (incarnation, version) in [(1001, 2), (1002, 99)] {
        let mut hello = hello(&cluster.ring(), &server.name, server.address, incarnation);
        (hello.ring_version, hello.ring_digest) = (version, 42);
        let mut link = FakeGateway::open(server.address, hello).await.unwrap();
        link.send(vec![subscribe("room", 1)]).await;
        let first = link.next().await.unwrap();
        assert!(matches!(first, Some(FromTopicServer::Subscribed { .. })), "{first:?}");
    }
}

#[tokio::test]
async fn a_newer_link_of_the_same_gateway_ends_the_older_one_and_what_it_set_up() {
    let cluster = Cluster::start(0, 1).await;
    let server = &cluster.topic_servers[0];
    let mut hello = hello(&cluster.ring(), &server.name, server.address, 1001);
    let mut older = FakeGateway::open(server.address, hello.clone()).await.unwrap();
    older.send(vec![subscribe("room", 1)]).await;
    assert!(matches!(older.next().await.unwrap(), Some(FromTopicServer::Subscribed { .. })));
    hello.link_number = 2;
    let newer = FakeGateway::open(server.address, hello.clone()).await.unwrap();
    assert!(!matches!(older.next().await, Ok(Some(_))));
    assert_eq!(server.metrics.subscriptions.get(), 0);
    assert_eq!(server.metrics.links.get(), 1);
    hello.link_number = 1;
    assert!(FakeGateway::open(server.address, hello).await.is_err());
    drop(newer);
    let links = async || equal(server.metrics.links.get(), 0);
    eventually("its link is gone", DEADLINE, links).await;
}

/// What a gateway does with a topic server that says this Welcome.
async fn not_accepted(change: impl Fn(&mut campanile_proto::message::Welcome)) {
    let mut fake = FakeTopicServer::listen().await;
    let cluster = Cluster::around(&fake, |_| {}).await;
    for _ in 0..2 {
        let mut link = fake.link().await;
        let mut welcome = link.welcome_of(&cluster.ring(), 9);
        change(&mut welcome);
        link.send(vec![FromTopicServer::Welcome(welcome)]).await;
        // It hangs up, and tries again.
        assert_eq!(link.next().await, None);
    }
    assert_eq!(cluster.gateways[0].metrics.links.get(), 0);
    let body = (cluster.gateways[0].ready)().body;
    assert!(body.contains(r#""missing":["ts-a"]"#), "{body}");
    let link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    cluster.all_linked().await;
}

#[tokio::test]
async fn a_topic_server_of_another_name() {
    not_accepted(|welcome| welcome.member = "ts-z".to_owned()).await;
}

#[tokio::test]
async fn a_topic_server_with_another_ring_of_the_same_version() {
    not_accepted(|welcome| welcome.ring_digest ^= 1).await;
}

#[tokio::test]
async fn a_topic_server_of_a_release_too_far_ahead() {
    not_accepted(|welcome| welcome.link_version = LINK_VERSION + 1).await;
}
