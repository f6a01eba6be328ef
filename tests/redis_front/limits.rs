//! Bounds of the front, and what happens at them.

use campanile_process::token_bucket::Rate;

use crate::harness::redis::command;
use crate::harness::{Cluster, DEADLINE, equal, eventually};

#[tokio::test]
async fn a_bulk_of_512_mb_is_refused_by_its_header() {
    let cluster = Cluster::start(1, 1).await;
    let mut other = cluster.redis(0).await;
    for header in ["$536870912", "$1048577", "$99999999999999999999", "$-2"] {
        let mut client = cluster.redis(0).await;
        client.send(format!("PING\r\n*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n{header}\r\n").as_bytes()).await;
        client.expect("+PONG").await;
        client.expect("-ERR Protocol error: invalid bulk length").await;
        client.expect_end().await;
    }
    let ended = || cluster.gateways[0].metrics.sessions_ended.get_or_create(&[("reason", "malformed")]).get();
    eventually("the ends are counted", DEADLINE, async || equal(ended(), 4)).await;
    assert_eq!(other.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn beyond_the_connections_of_a_gateway_clients_are_told() {
    let cluster =
        Cluster::start_with(1, 1, |settings| settings.admission.connections = Some(2), |_| {}).await;
    // Those of both fronts count together.
    let _phoenix = cluster.client(0).await;
    let mut first = cluster.redis(0).await;
    assert_eq!(first.ask("PING").await, "+PONG");
    let mut second = cluster.redis(0).await;
    second.expect("-ERR max number of clients reached").await;
    second.expect_end().await;
    drop(first);
    let again = async || {
        let mut client = cluster.redis(0).await;
        equal(client.ask("PING").await, "+PONG".to_owned())
    };
    eventually("the place is free again", DEADLINE, again).await;
    let refused = &cluster.gateways[0].metrics.connections_refused;
    assert!(refused.get_or_create(&[("reason", "full")]).get() >= 1);
}

#[tokio::test]
async fn short_of_memory_a_gateway_takes_no_new_connections_and_no_publishes() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.redis(0).await;
    client.ask("SUBSCRIBE a").await;
    let mut publisher = cluster.redis(0).await;
    assert_eq!(publisher.ask("PUBLISH a 1").await, ":1");
    client.expect("*[$message $a $1]").await;
    cluster.gateways[0].memory.set(true);
    let mut refused = cluster.redis(0).await;
    refused.expect("-ERR this gateway is short of memory").await;
    let overloaded = "-ERR overloaded, outcome: not_published, retry: true";
    assert_eq!(publisher.ask("PUBLISH a 2").await, overloaded);
    cluster.gateways[0].memory.set(false);
    assert_eq!(publisher.ask("PUBLISH a 3").await, ":1");
    client.expect("*[$message $a $3]").await;
}

#[tokio::test]
async fn subscriptions_and_publishes_have_their_bounds() {
    let change = |settings: &mut campanile_gateway::Settings| {
        settings.redis.subscriptions = 3;
        settings.session_publishes = Some(Rate::new(1, 2));
    };
    let cluster = Cluster::start_with(1, 1, change, |_| {}).await;
    cluster.set_rules("[[topics]]\npattern = \"open:*\"\n");
    let mut client = cluster.redis(0).await;
    client.ask("HELLO 3").await;
    assert_eq!(client.ask("SUBSCRIBE open:a").await, ">[$subscribe $open:a :1]");
    assert_eq!(client.ask("SUBSCRIBE open:b open:c open:d").await, "-ERR too many subscriptions");
    assert_eq!(client.ask("PSUBSCRIBE *").await, ">[$psubscribe $* :2]");
    let closed = "-NOPERM unmatched topic: no [[topics]] pattern of this gateway matches the channel";
    assert_eq!(client.ask("SUBSCRIBE closed").await, closed);
    assert_eq!(client.ask("PUBLISH closed x").await, closed);
    for _ in 0..2 {
        assert_eq!(client.ask("SPUBLISH open:a x").await, ":0");
    }
    let limited = "-ERR rate limited, outcome: not_published, retry: true";
    assert_eq!(client.ask("PUBLISH open:a x").await, limited);
    let mut long = b"x".repeat(1025);
    client.send(&command(&[b"SUBSCRIBE", &long])).await;
    // Closed is what is looked at behind its length.
    client.expect("-ERR channel name is too long").await;
    long.truncate(1024);
    client.send(&command(&[b"SUBSCRIBE", &long])).await;
    client.expect(closed).await;
}
