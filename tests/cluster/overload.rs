//! Full queues: what is refused, and that nobody else waits for it.

use std::time::Duration;

use serde_json::json;

use crate::harness::fake_gateway::{FakeGateway, hello, subscribe};
use crate::harness::fake_topic_server::{EPOCH, FakeTopicServer};
use crate::harness::{Cluster, DEADLINE, equal, eventually};
use campanile_proto::{Encoding, FromGateway, FromTopicServer, Message};

#[tokio::test]
async fn publishes_for_an_owner_that_takes_nothing_are_refused_as_overloaded() {
    let mut fake = FakeTopicServer::listen().await;
    let change = |settings: &mut campanile_gateway::Settings| settings.owner_outbox = 64 * 1024;
    let cluster = Cluster::around(&fake, change).await;
    let mut link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    let mut client = cluster.client(0).await;
    let join_ref = client.ask_to_join("room").await;
    link.subscribed().await;
    client.reply(&join_ref).await;
    // From here on nobody reads the link.
    let payload = json!({"x": "y".repeat(16 * 1024)});
    for _ in 0..100 {
        client.ask_to_publish("room", "event", payload.clone()).await;
    }
    let response = json!({"reason": "overloaded", "outcome": "not_published", "retry": true});
    let frame = client.json().await;
    assert_eq!(frame[4], json!({"status": "error", "response": response}), "{frame}");
    // Another session is served as ever.
    cluster.client(0).await.expect_silence().await;
}

/// A topic server that delivers, and is behind with its answers.
#[tokio::test]
async fn publishes_over_a_link_that_lags_are_refused_until_it_does_no_more() {
    let mut fake = FakeTopicServer::listen().await;
    let cluster = Cluster::around(&fake, |_| {}).await;
    let mut link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    let mut client = cluster.client(0).await;
    let join_ref = client.ask_to_join("room").await;
    let subscription = link.subscribed().await;
    client.reply(&join_ref).await;
    let message = || Message {
        encoding: Encoding::Json,
        event: b"event".to_vec().into(),
        payload: b"{}".to_vec().into(),
    };
    // Nobody reads the link, so the gateway's questions wait, while deliveries come.
    let refused = || {
        let refused = &cluster.gateways[0].metrics.publishes_refused;
        refused.get_or_create(&[("reason", "overloaded")]).get()
    };
    let mut offset = 0;
    let lags = async || {
        offset += 1;
        link.send(vec![FromTopicServer::Deliver { subscription, offset, message: message() }]).await;
        client.ask_to_publish("room", "event", json!({})).await;
        if refused() > 0 { Ok(()) } else { Err("nothing is refused") }
    };
    eventually("publishes are refused", DEADLINE, lags).await;
    let response = json!({"reason": "overloaded", "outcome": "not_published", "retry": true});
    let refusal = json!({"status": "error", "response": response});
    let reply = loop {
        let frame = client.json().await;
        if frame[3] == "phx_reply" {
            break frame;
        }
    };
    assert_eq!(reply[4], refusal);
    // All that waited is answered, and so is what is asked from here on.
    let answers = tokio::spawn(async move {
        while let Some(item) = link.next().await {
            if let FromGateway::Publish(publish) = item {
                let (slot, number) = (publish.slot, publish.number);
                let epoch = EPOCH;
                link.send(vec![FromTopicServer::Published { slot, number, epoch, offset, receivers: 0 }])
                    .await;
            }
        }
    });
    let mut other = cluster.client(0).await;
    other.join("room").await;
    let goes_on = async || {
        let reference = other.ask_to_publish("room", "event", json!({})).await;
        let reply = other.reply(&reference).await;
        equal(reply["status"].as_str(), Some("ok")).map_err(|_| reply)
    };
    eventually("publishes are taken again", DEADLINE, goes_on).await;
    answers.abort();
}

#[tokio::test]
async fn a_topic_server_that_is_full_refuses_further_topics_only() {
    let short =
        |settings: &mut campanile_gateway::Settings| settings.owner_deadline = Duration::from_millis(500);
    let cluster = Cluster::start_with(1, 1, short, |settings| settings.max_topics = 1).await;
    let mut client = cluster.client(0).await;
    let join_ref = client.join("one").await;
    let reference = client.ask_to_join("two").await;
    assert_eq!(client.reply(&reference).await["status"], "error");
    client.publish("one", "event", json!({})).await;
    client.expect_event(&join_ref, "one", "event", json!({})).await;
    client.expect_silence().await;
}

#[tokio::test]
async fn a_gateway_that_takes_nothing_is_cut_and_nobody_waits_for_it() {
    let cluster = Cluster::start_with(1, 1, |_| {}, |settings| settings.link_outbox = 64 * 1024).await;
    let server = &cluster.topic_servers[0];
    let mut hello = hello(&cluster.ring(), &server.name, server.address, 1001);
    let mut link = FakeGateway::open(server.address, hello.clone()).await.unwrap();
    link.send(vec![subscribe("room", 1)]).await;
    link.next().await.unwrap();
    // From here on it reads nothing.
    let mut client = cluster.client(0).await;
    let join_ref = client.join("room").await;
    let payload = json!({"x": "y".repeat(30 * 1024)});
    let cut = || server.metrics.links_ended.get_or_create(&[("reason", "overflow")]).get();
    let mut published = 0;
    while cut() == 0 {
        client.publish("room", "event", payload.clone()).await;
        client.expect_event(&join_ref, "room", "event", payload.clone()).await;
        published += 1;
        assert!(published < 1000, "it is never cut");
    }
    let subscriptions = async || equal(server.metrics.subscriptions.get(), 1);
    eventually("what it had set up is gone", DEADLINE, subscriptions).await;
    hello.link_number = 2;
    let mut link = FakeGateway::open(server.address, hello).await.unwrap();
    link.send(vec![subscribe("room", 2)]).await;
    let first = link.next().await.unwrap();
    assert!(
        matches!(first, Some(FromTopicServer::Subscribed { offset, .. }) if offset == published),
        "{first:?}"
    );
}
