//! How connections end: nothing is ever missing before the end.

use std::time::Duration;

use crate::harness::redis::{RedisClient, command};
use crate::harness::{Cluster, DEADLINE, equal, eventually};

fn ended(cluster: &Cluster, reason: &'static str) -> u64 {
    cluster.gateways[0].metrics.sessions_ended.get_or_create(&[("reason", reason)]).get()
}

/// So many connections have ended so, and their clients know already.
async fn have_ended(cluster: &Cluster, reason: &'static str, count: u64) {
    eventually("the ends are counted", DEADLINE, async || equal(ended(cluster, reason), count)).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_nobody_waits_for_it() {
    let change = |settings: &mut campanile_gateway::Settings| {
        settings.redis.outbox = 64 * 1024;
        settings.client.send_buffer = 4096;
    };
    let cluster = Cluster::start_with(1, 1, change, |_| {}).await;
    let mut slow = RedisClient::open(cluster.gateways[0].redis, Some(4096)).await;
    slow.ask("SUBSCRIBE a").await;
    let mut quick = cluster.redis(0).await;
    quick.ask("SUBSCRIBE a").await;
    let mut publisher = cluster.redis(0).await;
    let mut number = 0;
    while ended(&cluster, "slow") == 0 {
        let payload = format!("{number} {}", "x".repeat(8192));
        publisher.send(&command(&[b"PUBLISH", b"a", payload.as_bytes()])).await;
        publisher.value().await;
        quick.expect(&format!("*[$message $a ${payload}]")).await;
        number += 1;
        assert!(number < 10_000, "never cut");
    }
    let count = async || {
        publisher.send(&command(&[b"PUBLISH", b"a", b"."])).await;
        equal(publisher.value().await, ":1".to_owned())
    };
    eventually("it is counted no more", DEADLINE, count).await;
}

#[tokio::test]
async fn a_drain_closes_when_what_is_queued_has_been_written() {
    let mut cluster = Cluster::start(1, 1).await;
    let mut client = cluster.redis(0).await;
    client.ask("SUBSCRIBE a").await;
    let mut publisher = cluster.redis(0).await;
    let publishes: Vec<u8> =
        (0..100).flat_map(|number| command(&[b"PUBLISH", b"a", format!("{number}").as_bytes()])).collect();
    publisher.send(&publishes).await;
    for _ in 0..100 {
        publisher.expect(":1").await;
    }
    cluster.gateways[0].node.drain();
    for number in 0..100 {
        client.expect(&format!("*[$message $a ${number}]")).await;
    }
    client.expect_end().await;
    publisher.expect_end().await;
    cluster.gateways[0].node.ended().await;
    have_ended(&cluster, "drain", 2).await;
}

#[tokio::test]
async fn a_new_epoch_closes_who_may_have_missed_something() {
    let mut cluster = Cluster::start(1, 2).await;
    let (lost, kept) = (cluster.topic_of(0, "a"), cluster.topic_of(1, "b"));
    let mut client = cluster.redis(0).await;
    client.ask(&format!("SUBSCRIBE {lost}")).await;
    let mut other = cluster.redis(0).await;
    other.ask(&format!("SUBSCRIBE {kept}")).await;
    let mut publisher = cluster.redis(0).await;
    assert_eq!(publisher.ask(&format!("PUBLISH {lost} 1")).await, ":1");
    client.expect(&format!("*[$message ${lost} $1]")).await;
    cluster.restart_topic_server(0).await;
    client.expect_end().await;
    have_ended(&cluster, "lost", 1).await;
    assert_eq!(publisher.ask(&format!("PUBLISH {kept} 2")).await, ":1");
    other.expect(&format!("*[$message ${kept} $2]")).await;
    other.expect_silence().await;
    // It comes back, and goes on.
    let mut client = cluster.redis(0).await;
    assert_eq!(client.ask(&format!("SUBSCRIBE {lost}")).await, format!("*[$subscribe ${lost} :1]"));
}

#[tokio::test]
async fn an_owner_that_is_away_fails_publishes_and_closes_who_subscribes() {
    let change =
        |settings: &mut campanile_gateway::Settings| settings.owner_deadline = Duration::from_secs(2);
    let mut cluster = Cluster::start_with(1, 2, change, |_| {}).await;
    let (away, here) = (cluster.topic_of(0, "a"), cluster.topic_of(1, "b"));
    cluster.kill_topic_server(0).await;
    let mut client = cluster.redis(0).await;
    client.ask("HELLO 3").await;
    let reply = client.ask(&format!("PUBLISH {away} 1")).await;
    let known = [
        "-ERR owner unreachable, outcome: not_published, retry: true",
        // Its end had not shown yet.
        "-ERR no answer from owner, outcome: unknown, retry: true",
    ];
    assert!(known.contains(&reply.as_str()), "{reply}");
    assert_eq!(client.ask(&format!("PUBLISH {here} 1")).await, ":0");
    client.say(&format!("SUBSCRIBE {here} {away}")).await;
    let mut publisher = cluster.redis(0).await;
    let is_counted = async || equal(publisher.ask(&format!("PUBLISH {here} 2")).await, ":1".to_owned());
    eventually("the owner that is there counts it", DEADLINE, is_counted).await;
    // A message would come before the reply to its subscription: neither comes.
    client.expect_end().await;
    have_ended(&cluster, "unreachable", 1).await;
}
