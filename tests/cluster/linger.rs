//! A topic stays subscribed for 1 s after its last listener has left.

use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

use crate::harness::fake_topic_server::{EPOCH, FakeTopicServer};
use crate::harness::{Cluster, DEADLINE, equal, eventually};
use campanile_proto::{FromGateway, FromTopicServer};

#[tokio::test]
async fn after_it_the_topic_server_forgets_the_subscription() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.client(0).await;
    let join_ref = client.join("room").await;
    let start = Instant::now();
    let reference = client.push(&join_ref, "room", "phx_leave", json!({})).await;
    client.reply(&reference).await;
    let subscriptions = async || equal(cluster.topic_servers[0].metrics.subscriptions.get(), 0);
    eventually("the subscription ends", DEADLINE, subscriptions).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
    let topics = async || equal(cluster.gateways[0].metrics.topics.get(), 0);
    eventually("the gateway forgets the topic", DEADLINE, topics).await;
}

#[tokio::test]
async fn a_flap_costs_nothing_on_the_link() {
    let mut fake = FakeTopicServer::listen().await;
    let cluster = Cluster::around(&fake, |_| {}).await;
    let mut link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    let mut client = cluster.client(0).await;
    let first = client.ask_to_join("room").await;
    let subscription = link.subscribed().await;
    client.reply(&first).await;
    let mut join_ref = first;
    for _ in 0..5 {
        let reference = client.push(&join_ref, "room", "phx_leave", json!({})).await;
        client.reply(&reference).await;
        assert_eq!(client.json().await[3], "phx_close");
        // From a hub that is subscribed already.
        join_ref = client.join("room").await;
    }
    link.send(vec![deliver(subscription, 1)]).await;
    client.expect_event(&join_ref, "room", "event", json!({})).await;
    let reference = client.push(&join_ref, "room", "phx_leave", json!({})).await;
    client.reply(&reference).await;
    // Nothing was said on the link until now.
    let next = link.next().await;
    assert_eq!(next, Some(FromGateway::Unsubscribe { subscription }));
    assert_eq!(client.json().await[3], "phx_close");
    let again = client.ask_to_join("room").await;
    match link.next().await {
        Some(FromGateway::Subscribe { subscription: new, .. }) => {
            assert_ne!(new, subscription);
            // What was still on its way for the old number is nobody's.
            link.send(vec![
                deliver(subscription, 2),
                FromTopicServer::Subscribed { subscription: new, epoch: EPOCH, offset: 2 },
                deliver(new, 3),
            ])
            .await;
        }
        other => panic!("no Subscribe but {other:?}"),
    }
    client.reply(&again).await;
    client.expect_event(&again, "room", "event", json!({})).await;
    client.expect_silence().await;
    assert_eq!(cluster.gateways[0].metrics.stale.get(), 1);
}

fn deliver(subscription: campanile_proto::Subscription, offset: u64) -> FromTopicServer {
    let message = campanile_proto::Message {
        encoding: campanile_proto::Encoding::Json,
        event: "event".into(),
        payload: "{}".into(),
    };
    FromTopicServer::Deliver { subscription, offset, message }
}
