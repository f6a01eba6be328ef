//! A leave, or a join in a channel's place, while publishes are unanswered: their replies come before the close.

use campanile_proto::{FromTopicServer, Subscription};
use serde_json::{Value, json};

use crate::harness::fake_topic_server::{EPOCH, FakeLink, FakeTopicServer};
use crate::harness::{Client, Cluster};

/// A client that has joined, and the owner's end of the link, by hand.
async fn joined() -> (Cluster, FakeLink, Client, Subscription) {
    let mut fake = FakeTopicServer::listen().await;
    let cluster = Cluster::around(&fake, |_| {}).await;
    let mut link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    cluster.all_linked().await;
    let mut client = cluster.client(0).await;
    client.send(r#"["1","1","t","phx_join",{}]"#).await;
    let subscription = link.subscribed().await;
    client.expect(reply("1", "1")).await;
    (cluster, link, client, subscription)
}

fn reply(join_ref: &str, reference: &str) -> Value {
    json!([join_ref, reference, "t", "phx_reply", {"status": "ok", "response": {}}])
}

/// Answers the publish that comes next, and delivers it.
async fn accept(link: &mut FakeLink, subscription: Subscription, offset: u64) {
    let publish = link.publish().await;
    let (slot, number) = (publish.slot, publish.number);
    link.send(vec![
        FromTopicServer::Published { slot, number, epoch: EPOCH, offset, receivers: 0 },
        FromTopicServer::Deliver { subscription, offset, message: publish.message },
    ])
    .await;
}

#[tokio::test]
async fn a_leave_waits_for_the_answers_to_publishes() {
    let (_cluster, mut link, mut client, subscription) = joined().await;
    client.feed(r#"["1","2","t","publish",["event",{"n":1}]]"#).await;
    client.feed(r#"["1","3","t","publish",["event",{"n":2}]]"#).await;
    client.send(r#"["1","4","t","phx_leave",{}]"#).await;
    client.expect_silence().await;
    accept(&mut link, subscription, 1).await;
    client.expect(reply("1", "2")).await;
    client.expect(json!(["1", null, "t", "event", {"n": 1}])).await;
    client.expect_silence().await;
    accept(&mut link, subscription, 2).await;
    client.expect(reply("1", "3")).await;
    // Its second event may still come: it is a member until the leave is answered.
    let next = client.json().await;
    if next[3] == "event" {
        client.expect(reply("1", "4")).await;
    } else {
        assert_eq!(next, reply("1", "4"));
    }
    client.expect(json!(["1", "1", "t", "phx_close", {}])).await;
    client.expect_silence().await;
}

#[tokio::test]
async fn a_join_in_its_place_waits_for_the_answers_to_publishes() {
    let (_cluster, mut link, mut client, subscription) = joined().await;
    client.feed(r#"["1","2","t","publish",["event",{"n":1}]]"#).await;
    client.send(r#"["5","5","t","phx_join",{}]"#).await;
    client.expect_silence().await;
    accept(&mut link, subscription, 1).await;
    client.expect(reply("1", "2")).await;
    let mut rest = Vec::new();
    while rest.last() != Some(&json!(["1", "1", "t", "phx_close", {}])) {
        rest.push(client.json().await);
    }
    assert_eq!(rest[rest.len() - 2], reply("5", "5"), "{rest:?}");
    client.expect_silence().await;
}

#[tokio::test]
async fn what_comes_behind_a_waiting_leave_comes_after_it() {
    let (_cluster, mut link, mut client, subscription) = joined().await;
    client.feed(r#"["1","2","t","publish",["event",{"n":1}]]"#).await;
    client.feed(r#"["1","3","t","phx_leave",{}]"#).await;
    client.send(r#"["1","4","t","publish",["event",{"n":2}]]"#).await;
    accept(&mut link, subscription, 1).await;
    let mut frames = Vec::new();
    while frames.last().is_none_or(|frame: &Value| frame[1] != "4") {
        frames.push(client.json().await);
    }
    let refs: Vec<_> =
        frames.iter().filter(|frame| frame[3] != "event").map(|frame| frame[1].clone()).collect();
    assert_eq!(refs, ["2", "3", "1", "4"], "{frames:?}");
    assert_eq!(frames.last().unwrap()[4]["response"]["reason"], "unmatched topic");
}
