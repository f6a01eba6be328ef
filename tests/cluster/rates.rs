//! How often may be published: per session at the gateway, per topic at its owner.

use std::time::Duration;

use campanile_process::token_bucket::Rate;
use serde_json::{Value, json};

use crate::harness::{Client, Cluster, DEADLINE, equal, eventually};

/// Three, and then none for longer than any test.
const THREE: fn() -> Option<Rate> = || Some(Rate::every(Duration::from_secs(3600), 3));

fn limited() -> Value {
    json!({"status": "error", "response": {"reason": "rate limited", "outcome": "not_published", "retry": true}})
}

fn ok() -> Value {
    json!({"status": "ok", "response": {}})
}

/// Publishes and returns the reply.
async fn publish(client: &mut Client, topic: &str) -> Value {
    let reference = client.ask_to_publish(topic, "event", json!({})).await;
    client.reply(&reference).await
}

#[tokio::test]
async fn a_session_beyond_its_rate_is_told_so_and_the_others_go_on() {
    let cluster = Cluster::start_with(1, 1, |settings| settings.session_publishes = THREE(), |_| {}).await;
    let (mut busy, mut calm) = (cluster.client(0).await, cluster.client(0).await);
    for topic in ["one", "two"] {
        busy.join(topic).await;
        calm.join(topic).await;
    }
    let replies = [
        publish(&mut busy, "one").await,
        publish(&mut busy, "two").await,
        publish(&mut busy, "one").await,
        publish(&mut busy, "one").await,
        publish(&mut busy, "two").await,
    ];
    assert_eq!(replies, [ok(), ok(), ok(), limited(), limited()]);
    assert_eq!(publish(&mut calm, "one").await, ok());
    let server = &cluster.topic_servers[0].metrics;
    let accepted = async || equal(server.publishes_accepted.get(), 4);
    eventually("the owner has heard of these alone", DEADLINE, accepted).await;
    let refused = &cluster.gateways[0].metrics.publishes_refused;
    assert_eq!(refused.get_or_create(&[("reason", "rate limited")]).get(), 2);
}

/// A leave waits for the replies to the publishes before it, those that are refused at once included.
#[tokio::test]
async fn what_waits_for_a_refused_publish_goes_on() {
    let cluster = Cluster::start_with(1, 1, |settings| settings.session_publishes = THREE(), |_| {}).await;
    let mut client = cluster.client(0).await;
    client.join("other").await;
    for _ in 0..3 {
        assert_eq!(publish(&mut client, "other").await, ok());
    }
    // All in one packet: what comes behind the join waits for it, and the leave for the publishes, too.
    client.feed(r#"["1","1","room","phx_join",{}]"#).await;
    client.feed(r#"["1","2","room","publish",["event",{}]]"#).await;
    client.feed(r#"["1","3","room","publish",["event",{}]]"#).await;
    client.feed(r#"["1","4","room","phx_leave",{}]"#).await;
    client.flush().await;
    for (reference, wanted) in [("1", ok()), ("2", limited()), ("3", limited()), ("4", ok())] {
        assert_eq!(client.reply(reference).await, wanted, "{reference}");
    }
}

#[tokio::test]
async fn a_topic_beyond_its_rate_is_refused_to_all_and_other_topics_are_not() {
    let cluster = Cluster::start_with(2, 1, |_| {}, |settings| settings.topic_publishes = THREE()).await;
    let (mut one, mut two) = (cluster.client(0).await, cluster.client(1).await);
    for client in [&mut one, &mut two] {
        client.join("busy").await;
        client.join("calm").await;
    }
    let keyed = async |client: &mut Client| {
        let reference = client.next_ref();
        let frame = json!([null, reference, "busy", "publish", ["event", {}, {"key": "k"}]]);
        client.send(frame.to_string()).await;
        client.reply(&reference).await
    };
    assert_eq!(keyed(&mut one).await, ok());
    assert_eq!(publish(&mut one, "busy").await, ok());
    assert_eq!(keyed(&mut two).await, ok(), "answered before: it takes nothing");
    assert_eq!(publish(&mut two, "busy").await, ok());
    assert_eq!(publish(&mut one, "busy").await, limited());
    assert_eq!(publish(&mut two, "busy").await, limited());
    assert_eq!(keyed(&mut two).await, ok(), "answered before: it is answered again");
    assert_eq!(publish(&mut two, "calm").await, ok());
    let server = &cluster.topic_servers[0].metrics;
    assert_eq!(server.publishes_refused.get_or_create(&[("reason", "rate_limited")]).get(), 2);
    let accepted = async || equal(server.publishes_accepted.get(), 4);
    eventually("those that passed are counted", DEADLINE, accepted).await;
}
