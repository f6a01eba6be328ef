//! Publishes over a link that breaks (rule L5).

use campanile_proto::{FromGateway, FromTopicServer};
use serde_json::json;

use crate::harness::fake_topic_server::{EPOCH, FakeLink, FakeTopicServer};
use crate::harness::{Client, Cluster};

/// A client that has joined `room`, over a link that has been accepted by life 9 of the owner.
async fn joined(fake: &mut FakeTopicServer) -> (Cluster, FakeLink, Client, String) {
    let cluster = Cluster::around(fake, |_| {}).await;
    let mut link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    let mut client = cluster.client(0).await;
    let join_ref = client.ask_to_join("room").await;
    link.subscribed().await;
    assert_eq!(client.reply(&join_ref).await["status"], "ok");
    (cluster, link, client, join_ref)
}

#[tokio::test]
async fn an_unanswered_publish_is_sent_again_to_the_same_life_before_the_subscribe() {
    let mut fake = FakeTopicServer::listen().await;
    let (cluster, mut link, mut client, join_ref) = joined(&mut fake).await;
    let references = [
        client.ask_to_publish("room", "event", json!({"n": 1})).await,
        client.ask_to_publish("room", "event", json!({"n": 2})).await,
    ];
    let first = [link.publish().await, link.publish().await];
    drop(link);
    let mut link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    for (index, reference) in references.iter().enumerate() {
        let again = link.publish().await;
        assert_eq!((again.number, &again.message), (first[index].number, &first[index].message));
        assert_eq!(again.resend_epoch, Some(EPOCH));
        assert!(again.time_left < first[index].time_left);
        let (slot, number) = (again.slot, again.number);
        let offset = 1 + index as u64;
        link.send(vec![FromTopicServer::Published { slot, number, epoch: EPOCH, offset, receivers: 0 }])
            .await;
        assert_eq!(client.reply(reference).await["status"], "ok");
    }
    assert!(matches!(link.next().await, Some(FromGateway::Subscribe { .. })));
    drop(join_ref);
}

#[tokio::test]
async fn an_unanswered_publish_is_unknown_when_the_owner_lives_anew() {
    let mut fake = FakeTopicServer::listen().await;
    let (cluster, mut link, mut client, join_ref) = joined(&mut fake).await;
    let reference = client.ask_to_publish("room", "event", json!({"n": 1})).await;
    link.publish().await;
    drop(link);
    let mut link = fake.link().await;
    link.welcome(&cluster.ring(), 10).await;
    let response = json!({"reason": "no answer from owner", "outcome": "unknown", "retry": true});
    client
        .expect(json!([join_ref, reference, "room", "phx_reply", {"status": "error", "response": response}]))
        .await;
    // It is not sent again.
    assert!(matches!(link.next().await, Some(FromGateway::Subscribe { .. })));
}
