//! An owner that cannot be reached: an error at the deadline, never silence, and nobody else notices.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::harness::fake_topic_server::FakeTopicServer;
use crate::harness::{Cluster, DEADLINE, equal, eventually};

const OWNER_DEADLINE: Duration = Duration::from_secs(1);

fn short(settings: &mut campanile_gateway::Settings) {
    settings.owner_deadline = OWNER_DEADLINE;
}

async fn one_down() -> (Cluster, String, String) {
    let mut cluster = Cluster::start_with(1, 2, short, |_| {}).await;
    let (dead, alive) = (cluster.topic_of(0, "dead"), cluster.topic_of(1, "alive"));
    cluster.kill_topic_server(0).await;
    let links = async || equal(cluster.gateways[0].metrics.links.get(), 1);
    eventually("the gateway knows", DEADLINE, links).await;
    (cluster, dead, alive)
}

#[tokio::test]
async fn d10_a_join_gets_its_error_at_the_deadline_and_no_earlier() {
    let (cluster, dead, alive) = one_down().await;
    let mut client = cluster.client(0).await;
    let start = Instant::now();
    let reference = client.ask_to_join(&dead).await;
    client.join(&alive).await;
    assert!(start.elapsed() < OWNER_DEADLINE, "the other topic waited {:?}", start.elapsed());
    let error = json!({"status": "error", "response": {"reason": "owner unreachable"}});
    client.expect(json!([reference, reference, dead, "phx_reply", error])).await;
    let took = start.elapsed();
    assert!(took >= OWNER_DEADLINE && took < OWNER_DEADLINE * 5, "{took:?}");
    client.publish(&alive, "event", json!({})).await;
    // Not joined, so the next event is unmatched, and a next join is a new attempt.
    let reference = client.ask_to_publish(&dead, "event", json!({})).await;
    assert_eq!(client.reply(&reference).await["response"], json!({"reason": "unmatched topic"}));
}

#[tokio::test]
async fn a_publish_that_never_left_is_not_published() {
    let mut cluster = Cluster::start_with(1, 2, short, |_| {}).await;
    let dead = cluster.topic_of(0, "dead");
    let mut client = cluster.client(0).await;
    let join_ref = client.join(&dead).await;
    cluster.kill_topic_server(0).await;
    let links = async || equal(cluster.gateways[0].metrics.links.get(), 1);
    eventually("the gateway knows", DEADLINE, links).await;
    let start = Instant::now();
    let reference = client.ask_to_publish(&dead, "event", json!({"never": 1})).await;
    let response = json!({"reason": "owner unreachable", "outcome": "not_published", "retry": true});
    client
        .expect(json!([join_ref, reference, dead, "phx_reply", {"status": "error", "response": response}]))
        .await;
    let took = start.elapsed();
    assert!(took >= OWNER_DEADLINE && took < OWNER_DEADLINE * 5, "{took:?}");
    // It stays so: nobody ever gets it.
    cluster.restart_topic_server(0).await;
    let subscriptions = async || equal(cluster.topic_servers[0].metrics.subscriptions.get(), 1);
    eventually("it is subscribed again", DEADLINE, subscriptions).await;
    client.publish(&dead, "event", json!({"later": 1})).await;
    client.expect_event(&join_ref, &dead, "event", json!({"later": 1})).await;
    client.expect_silence().await;
}

#[tokio::test]
async fn a_publish_that_was_handed_over_and_is_unanswered_is_unknown() {
    let mut fake = FakeTopicServer::listen().await;
    let cluster = Cluster::around(&fake, short).await;
    let mut link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    let mut client = cluster.client(0).await;
    let join_ref = client.ask_to_join("room").await;
    link.subscribed().await;
    assert_eq!(client.reply(&join_ref).await["status"], "ok");
    let reference = client.ask_to_publish("room", "event", json!({})).await;
    let publish = link.publish().await;
    assert!(publish.time_left <= OWNER_DEADLINE && publish.time_left > Duration::ZERO, "{publish:?}");
    let response = json!({"reason": "no answer from owner", "outcome": "unknown", "retry": true});
    client
        .expect(json!([join_ref, reference, "room", "phx_reply", {"status": "error", "response": response}]))
        .await;
}

#[tokio::test]
async fn by_default_the_deadline_is_5_seconds() {
    assert_eq!(crate::harness::settings::gateway("x").owner_deadline, Duration::from_secs(5));
}

#[tokio::test]
async fn joins_before_any_link_wait_for_it() {
    let mut fake = FakeTopicServer::listen().await;
    let cluster = Cluster::around(&fake, |_| {}).await;
    let mut client = cluster.client(0).await;
    let join_ref = client.ask_to_join("room").await;
    client.expect_silence().await;
    let mut link = fake.link().await;
    link.welcome(&cluster.ring(), 9).await;
    link.subscribed().await;
    assert_eq!(client.reply(&join_ref).await["status"], "ok");
}
