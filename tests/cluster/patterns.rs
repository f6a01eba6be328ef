//! Patterns over several gateways and topic servers, in this process.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::harness::redis::RedisClient;
use crate::harness::{Cluster, DEADLINE, equal, eventually};

#[tokio::test]
async fn a_match_goes_once_to_each_gateway_with_patterns_and_to_no_other() {
    let cluster = Cluster::start(3, 2).await;
    let (mut both, mut pattern, mut publisher) =
        (cluster.redis(0).await, cluster.redis(1).await, cluster.redis(2).await);
    assert_eq!(both.ask("SUBSCRIBE news").await, "*[$subscribe $news :1]");
    assert_eq!(both.ask("PSUBSCRIBE n*").await, "*[$psubscribe $n* :2]");
    assert_eq!(both.ask("PSUBSCRIBE *s").await, "*[$psubscribe $*s :3]");
    assert_eq!(pattern.ask("PSUBSCRIBE ne?s").await, "*[$psubscribe $ne?s :1]");
    let gauges = |count: &[i64]| {
        let of_gateways = cluster.gateways.iter().map(|gateway| gateway.metrics.patterns.get());
        let of_servers = cluster.topic_servers.iter().map(|server| server.metrics.patterns.get());
        equal(of_gateways.chain(of_servers).collect(), count.to_vec())
    };
    eventually("each pattern is counted where it is", DEADLINE, async || gauges(&[2, 1, 0, 3, 3])).await;
    let deliveries =
        || cluster.topic_servers.iter().map(|server| server.metrics.deliveries.get()).sum::<u64>();
    let before = deliveries();
    for number in 0..50 {
        assert_eq!(publisher.ask(&format!("PUBLISH news {number}")).await, ":4");
        both.expect(&format!("*[$message $news ${number}]")).await;
        both.expect(&format!("*[$pmessage $n* $news ${number}]")).await;
        both.expect(&format!("*[$pmessage $*s $news ${number}]")).await;
        pattern.expect(&format!("*[$pmessage $ne?s $news ${number}]")).await;
    }
    assert_eq!(deliveries() - before, 100, "one message for each of two gateways");
    // A sharded channel of the same name is another topic, and no pattern sees it.
    assert_eq!(publisher.ask("SPUBLISH news x").await, ":0");
    both.expect_silence().await;
    drop((both, pattern));
    eventually("nobody counts patterns of those who have gone", DEADLINE, async || gauges(&[0, 0, 0, 0, 0]))
        .await;
}

#[tokio::test]
async fn a_pattern_that_comes_after_a_member_has_gone_does_not_wait_for_it() {
    let cluster = Cluster::start(1, 2).await;
    cluster.edit_ring(&[0]);
    let links = async || equal(cluster.gateways[0].metrics.links.get(), 1);
    eventually("the gateway has let the former member go", DEADLINE, links).await;
    let mut listener = cluster.redis(0).await;
    assert_eq!(listener.ask("PSUBSCRIBE n*").await, "*[$psubscribe $n* :1]");
    let mut publisher = cluster.redis(0).await;
    assert_eq!(publisher.ask("PUBLISH news hello").await, ":1");
    listener.expect("*[$pmessage $n* $news $hello]").await;
}

/// What a listener to `room:*` has got: the numbers of each topic, in order.
async fn take_all(client: &mut RedisClient, seen: &mut BTreeMap<String, Vec<u64>>, count: usize) {
    for _ in 0..count {
        let value = client.value().await;
        let inner = value.strip_prefix("*[$pmessage $room:* $").and_then(|rest| rest.strip_suffix(']'));
        let (topic, number) =
            inner.and_then(|inner| inner.split_once(" $")).unwrap_or_else(|| panic!("{value}"));
        seen.entry(topic.to_owned()).or_default().push(number.parse().unwrap());
    }
}

/// Publishes until it is accepted: what is refused as overloaded did not happen. Who is on its way to the topic's new owner
/// is not counted there yet, and gets it all the same.
async fn publish(client: &mut RedisClient, topic: &str, number: u64) {
    let end = Instant::now() + DEADLINE;
    loop {
        let answer = client.ask(&format!("PUBLISH {topic} {number}")).await;
        if answer.starts_with(':') {
            return;
        }
        assert!(answer.starts_with("-ERR overloaded, outcome: not_published"), "{topic} {number}: {answer}");
        assert!(Instant::now() < end, "{topic} {number} is refused for too long");
    }
}

#[tokio::test]
async fn topics_that_move_under_a_pattern_come_in_order_and_nothing_is_missing() {
    let mut cluster = Cluster::start(2, 2).await;
    cluster.add_topic_server("ts-c").await;
    let mut listeners = [cluster.redis(0).await, cluster.redis(1).await];
    for listener in &mut listeners {
        assert_eq!(listener.ask("PSUBSCRIBE room:*").await, "*[$psubscribe $room:* :1]");
    }
    let mut publishers = [cluster.redis(0).await, cluster.redis(1).await];
    let mut seen = [BTreeMap::new(), BTreeMap::new()];
    let mut published: BTreeMap<String, u64> = BTreeMap::new();
    for (edit, members) in
        [&[0, 1, 2][..], &[0, 2], &[1, 2], &[0, 1], &[2], &[0, 1, 2]].into_iter().enumerate()
    {
        cluster.edit_ring(members);
        let end = Instant::now() + Duration::from_millis(700);
        let mut round = 0;
        while Instant::now() < end {
            // Topics that are there for long, and one that begins now.
            let topics = (0..10).map(|topic| format!("room:{topic}")).chain([format!("room:{edit}:{round}")]);
            for (index, topic) in topics.enumerate() {
                let number = published.entry(topic.clone()).or_default();
                *number += 1;
                let publisher = &mut publishers[index % 2];
                publish(publisher, &topic, *number).await;
            }
            round += 1;
            for (listener, seen) in listeners.iter_mut().zip(&mut seen) {
                take_all(listener, seen, 11).await;
            }
        }
        assert!(round > 3, "{round} rounds");
    }
    for (listener, seen) in listeners.iter_mut().zip(&seen) {
        listener.expect_silence().await;
        for (topic, count) in &published {
            assert_eq!(seen[topic], (1..=*count).collect::<Vec<_>>(), "{topic}");
        }
    }
}

#[tokio::test]
async fn a_broken_link_ends_connections_with_patterns_and_no_others() {
    let mut cluster = Cluster::start(1, 2).await;
    let topic = cluster.topic_of(0, "stays");
    let (mut exact, mut pattern) = (cluster.redis(0).await, cluster.redis(0).await);
    exact.ask(&format!("SUBSCRIBE {topic}")).await;
    pattern.ask("PSUBSCRIBE stays*").await;
    cluster.kill_topic_server(1).await;
    pattern.expect_end().await;
    exact.expect_silence().await;
    // Nobody can say whom a pattern would not hear: it is refused while a member is away, at its deadline.
    let mut refused = cluster.redis(0).await;
    let before = Instant::now();
    refused.say("PSUBSCRIBE stays*").await;
    refused.expect_end().await;
    assert!(before.elapsed() >= Duration::from_secs(4), "{:?}", before.elapsed());
    // An edit that takes it out of the ring is enough.
    cluster.edit_ring(&[0]);
    let mut pattern = cluster.redis(0).await;
    assert_eq!(pattern.ask("PSUBSCRIBE stays*").await, "*[$psubscribe $stays* :1]");
    let mut publisher = cluster.redis(0).await;
    assert_eq!(publisher.ask(&format!("PUBLISH {topic} x")).await, ":2");
    pattern.expect(&format!("*[$pmessage $stays* ${topic} $x]")).await;
}

#[tokio::test]
async fn a_former_member_is_heard_until_it_has_given_everything_and_may_then_go() {
    let mut cluster = Cluster::start(1, 2).await;
    let mut pattern = cluster.redis(0).await;
    pattern.ask("PSUBSCRIBE *").await;
    cluster.edit_ring(&[0]);
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(cluster.gateways[0].metrics.links.get(), 2, "the link stays while there are patterns");
    cluster.topic_servers[1].node.drain();
    cluster.topic_servers[1].node.ended().await;
    let links = async || equal(cluster.gateways[0].metrics.links.get(), 1);
    eventually("the former member is gone", DEADLINE, links).await;
    pattern.expect_silence().await;
}
