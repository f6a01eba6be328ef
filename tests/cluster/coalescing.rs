//! What joins cost the topic servers: many at once one request, refused ones none.

use serde_json::json;

use crate::harness::fake_topic_server::FakeTopicServer;
use crate::harness::{Cluster, DEADLINE, equal, eventually};

#[tokio::test]
async fn joins_to_one_topic_are_one_request_to_its_owner() {
    let mut fake = FakeTopicServer::listen().await;
    let cluster = Cluster::around(&fake, |_| {}).await;
    let mut link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = cluster.client(0).await;
        let join_ref = client.ask_to_join("room").await;
        // The gateway has read the join when it answers what comes behind it.
        client.expect_silence().await;
        clients.push((client, join_ref));
    }
    link.subscribed().await;
    for (client, join_ref) in &mut clients {
        assert_eq!(client.reply(join_ref).await, json!({"status": "ok", "response": {}}));
    }
    // And those that come later need none.
    let mut late = cluster.client(0).await;
    late.join("room").await;
    late.ask_to_publish("room", "event", json!({})).await;
    // Whatever else the gateway had asked for would come before this.
    assert_eq!(link.publish().await.topic, "room");
}

#[tokio::test]
async fn refused_joins_cost_their_owner_nothing_and_leave_nothing_behind() {
    let mut fake = FakeTopicServer::listen().await;
    let cluster = Cluster::around(&fake, |settings| settings.session.channels = 1).await;
    cluster.set_rules("[[topics]]\npattern = \"open:*\"\n");
    let mut link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    let mut client = cluster.client(0).await;
    let join_ref = client.ask_to_join("open:a").await;
    link.subscribed().await;
    client.reply(&join_ref).await;
    for number in 0..1000 {
        for (topic, reason) in [("closed", "unmatched topic"), ("open", "too many channels joined")] {
            let reference = client.ask_to_join(&format!("{topic}:{number}")).await;
            assert_eq!(client.reply(&reference).await["response"], json!({"reason": reason}));
        }
    }
    client.ask_to_publish("open:a", "event", json!({})).await;
    assert_eq!(link.publish().await.topic, "open:a", "the owner has heard of no other topic");
    let metrics = &cluster.gateways[0].metrics;
    assert_eq!(metrics.channels.get(), 1);
    let topics = async || equal(metrics.topics.get(), 1);
    eventually("the gateway holds the one topic", DEADLINE, topics).await;
    for reason in ["unmatched topic", "too many channels joined"] {
        assert_eq!(metrics.joins_refused.get_or_create(&[("reason", reason)]).get(), 1000);
    }
}
