//! A join that waits for its owner holds back its own topic's later frames, and nothing else.

use std::time::Duration;

use campanile_proto::FromTopicServer;
use serde_json::json;

use crate::harness::fake_topic_server::{EPOCH, FakeLink, FakeTopicServer};
use crate::harness::{Client, Cluster};

/// A gateway whose only topic server answers when the test says so.
async fn slow_owner() -> (Cluster, FakeLink) {
    let mut fake = FakeTopicServer::listen().await;
    let cluster = Cluster::around(&fake, |_| {}).await;
    let link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    cluster.all_linked().await;
    (cluster, link)
}

fn ok() -> serde_json::Value {
    json!({"status": "ok", "response": {}})
}

fn overloaded(reference: &str, topic: &str) -> serde_json::Value {
    let response = json!({"reason": "overloaded", "outcome": "not_published", "retry": true});
    json!(["1", reference, topic, "phx_reply", {"status": "error", "response": response}])
}

#[tokio::test]
async fn heartbeats_and_other_topics_do_not_wait() {
    let (cluster, mut link) = slow_owner().await;
    let mut client = cluster.client(0).await;
    client.send(r#"["1","1","waits","phx_join",{}]"#).await;
    let Some(campanile_proto::FromGateway::Subscribe { subscription, .. }) = link.next().await else {
        panic!()
    };
    client.expect_silence().await;
    client.send(r#"["2","2","other","phx_join",{}]"#).await;
    link.subscribed().await;
    client.expect(json!(["2", "2", "other", "phx_reply", ok()])).await;
    client.send(r#"["3","3","unjoined","publish",["event",{}]]"#).await;
    assert_eq!(client.json().await[1], "3");
    link.send(vec![FromTopicServer::Subscribed { subscription, epoch: EPOCH, offset: 0 }]).await;
    client.expect(json!(["1", "1", "waits", "phx_reply", ok()])).await;
}

#[tokio::test]
async fn a_hundred_frames_wait_and_the_next_is_overloaded() {
    let (cluster, mut link) = slow_owner().await;
    let mut client = cluster.client(0).await;
    client.feed(r#"["1","1","waits","phx_join",{}]"#).await;
    for number in 0..101 {
        client.feed(json!(["1", format!("p{number}"), "waits", "publish", ["event", {}]]).to_string()).await;
    }
    client.flush().await;
    client.expect(overloaded("p100", "waits")).await;
    client.expect_silence().await;
    let _subscription = link.subscribed().await;
    client.expect(json!(["1", "1", "waits", "phx_reply", ok()])).await;
    for number in 0..100 {
        let publish = link.publish().await;
        let (slot, number_sent) = (publish.slot, publish.number);
        link.send(vec![FromTopicServer::Published {
            slot,
            number: number_sent,
            epoch: EPOCH,
            offset: number + 1,
            receivers: 0,
        }])
        .await;
        client.expect(json!(["1", format!("p{number}"), "waits", "phx_reply", ok()])).await;
    }
    client.expect_silence().await;
}

#[tokio::test]
async fn sixty_four_kibibytes_wait_and_more_is_overloaded() {
    let (cluster, mut link) = slow_owner().await;
    let mut client = cluster.client(0).await;
    client.send(r#"["1","1","waits","phx_join",{}]"#).await;
    let publish = |reference: &str, bytes: usize| {
        json!(["1", reference, "waits", "publish", ["event", {"x": "y".repeat(bytes)}]]).to_string()
    };
    client.send(publish("fits", 60 * 1024)).await;
    client.expect_silence().await;
    client.send(publish("too-much", 8 * 1024)).await;
    client.expect(overloaded("too-much", "waits")).await;
    link.subscribed().await;
    client.expect(json!(["1", "1", "waits", "phx_reply", ok()])).await;
    assert!(link.publish().await.message.payload.len() > 60 * 1024);
}

#[tokio::test]
async fn what_waited_for_a_join_that_fails_is_unmatched() {
    let mut fake = FakeTopicServer::listen().await;
    let change =
        |settings: &mut campanile_gateway::Settings| settings.owner_deadline = Duration::from_millis(400);
    let cluster = Cluster::around(&fake, change).await;
    let link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    cluster.all_linked().await;
    let mut client: Client = cluster.client(0).await;
    client.feed(r#"["1","1","waits","phx_join",{}]"#).await;
    client.feed(r#"["1","2","waits","publish",["event",{}]]"#).await;
    client.send(r#"["1","3","waits","phx_leave",{}]"#).await;
    let error = |reason: &str| json!({"status": "error", "response": {"reason": reason}});
    client.expect(json!(["1", "1", "waits", "phx_reply", error("owner unreachable")])).await;
    client.expect(json!([null, "2", "waits", "phx_reply", error("unmatched topic")])).await;
    client.expect(json!(["1", "3", "waits", "phx_reply", ok()])).await;
    client.expect_silence().await;
}

#[tokio::test]
async fn a_session_that_ends_while_its_join_waits_leaves_nothing_behind() {
    let (cluster, mut link) = slow_owner().await;
    let mut client = cluster.client(0).await;
    client.send(r#"["1","1","waits","phx_join",{}]"#).await;
    client.expect_silence().await;
    drop(client);
    let mine = link.subscribed().await;
    match link.next().await {
        Some(campanile_proto::FromGateway::Unsubscribe { subscription }) => assert_eq!(subscription, mine),
        other => panic!("no Unsubscribe but {other:?}"),
    }
}
