//! Channels, patterns, sharded channels: who gets what, and who is counted.

use crate::harness::redis::command;
use crate::harness::{Cluster, DEADLINE, equal, eventually};

#[tokio::test]
async fn who_is_subscribed_both_ways_gets_both_messages() {
    let cluster = Cluster::start(2, 2).await;
    let mut client = cluster.redis(0).await;
    let mut publisher = cluster.redis(1).await;
    for (line, reply) in
        [("SUBSCRIBE news.1", "*[$subscribe $news.1 :1]"), ("PSUBSCRIBE news.*", "*[$psubscribe $news.* :2]")]
    {
        assert_eq!(client.ask(line).await, reply);
    }
    assert_eq!(publisher.ask("PUBLISH news.1 a").await, ":2");
    client.expect("*[$message $news.1 $a]").await;
    client.expect("*[$pmessage $news.* $news.1 $a]").await;
    assert_eq!(publisher.ask("PUBLISH news.2 b").await, ":1");
    client.expect("*[$pmessage $news.* $news.2 $b]").await;
    assert_eq!(publisher.ask("SPUBLISH news.1 c").await, ":0");
    client.say("PUNSUBSCRIBE").await;
    client.expect("*[$punsubscribe $news.* :1]").await;
    assert_eq!(publisher.ask("PUBLISH news.1 d").await, ":1");
    client.expect("*[$message $news.1 $d]").await;
    client.expect_silence().await;
}

#[tokio::test]
async fn the_sharded_space_is_a_world_of_its_own() {
    let cluster = Cluster::start(2, 2).await;
    let (mut plain, mut sharded) = (cluster.redis(0).await, cluster.redis(0).await);
    let mut publisher = cluster.redis(1).await;
    plain.ask("SUBSCRIBE news").await;
    assert_eq!(sharded.ask("SSUBSCRIBE news").await, "*[$ssubscribe $news :1]");
    assert_eq!(publisher.ask("PUBLISH news a").await, ":1");
    assert_eq!(publisher.ask("SPUBLISH news b").await, ":1");
    plain.expect("*[$message $news $a]").await;
    sharded.expect("*[$smessage $news $b]").await;
    assert_eq!(publisher.ask("PUBSUB SHARDNUMSUB news").await, "*[$news :1]");
    assert_eq!(publisher.ask("PUBSUB SHARDCHANNELS").await, "*[$news]");
    plain.expect_silence().await;
    sharded.expect_silence().await;
}

/// Socket.IO's `fetchSockets` waits for exactly as many answers.
#[tokio::test]
async fn counts_are_those_of_the_whole_cluster_at_once() {
    let cluster = Cluster::start(3, 2).await;
    let mut publisher = cluster.redis(0).await;
    let mut clients = Vec::new();
    for gateway in 0..3 {
        for _ in 0..2 {
            let mut client = cluster.redis(gateway).await;
            client.ask("SUBSCRIBE a").await;
            clients.push(client);
            let count = clients.len();
            assert_eq!(publisher.ask("PUBLISH a x").await, format!(":{count}"));
            assert_eq!(publisher.ask("PUBSUB NUMSUB a b").await, format!("*[$a :{count} $b :0]"));
        }
    }
    for client in &mut clients {
        client.say("UNSUBSCRIBE a").await;
        // What came before.
        while client.value().await.starts_with("*[$message") {}
    }
    assert_eq!(publisher.ask("PUBLISH a x").await, ":0");
    assert_eq!(publisher.ask("PUBSUB CHANNELS").await, "*[]");
}

#[tokio::test]
async fn a_connection_that_ends_is_counted_no_more() {
    let cluster = Cluster::start(2, 1).await;
    let mut publisher = cluster.redis(0).await;
    let mut client = cluster.redis(1).await;
    client.ask("SUBSCRIBE a").await;
    client.ask("PSUBSCRIBE b*").await;
    assert_eq!(cluster.gateways[1].metrics.redis_subscriptions.get(), 2);
    drop(client);
    let counts = async || {
        let counts = (publisher.ask("PUBSUB NUMSUB a").await, publisher.ask("PUBSUB NUMPAT").await);
        equal(counts, ("*[$a :0]".to_owned(), ":0".to_owned()))
    };
    eventually("nobody is counted", DEADLINE, counts).await;
    assert_eq!(cluster.gateways[1].metrics.redis_subscriptions.get(), 0);
}

#[tokio::test]
async fn ten_thousand_subscriptions_on_one_connection() {
    const COUNT: usize = 10_000;
    let cluster = Cluster::start(2, 2).await;
    let mut client = cluster.redis(0).await;
    let names: Vec<String> = (0..COUNT).map(|number| format!("channel-{number}")).collect();
    // Half of them with one command, half with a pipeline of commands.
    let (together, each) = names.split_at(COUNT / 2);
    let mut bytes = vec![&b"SUBSCRIBE"[..]];
    bytes.extend(together.iter().map(String::as_bytes));
    let mut bytes = command(&bytes);
    each.iter().for_each(|name| bytes.extend(command(&[b"SUBSCRIBE", name.as_bytes()])));
    client.send(&bytes).await;
    for (number, name) in names.iter().enumerate() {
        client.expect(&format!("*[$subscribe ${name} :{}]", number + 1)).await;
    }
    assert_eq!(cluster.gateways[0].metrics.redis_subscriptions.get(), COUNT as i64);
    let mut publisher = cluster.redis(1).await;
    let publishes: Vec<u8> =
        names.iter().flat_map(|name| command(&[b"PUBLISH", name.as_bytes(), b"x"])).collect();
    publisher.send(&publishes).await;
    for _ in &names {
        publisher.expect(":1").await;
    }
    let mut got = Vec::new();
    for _ in &names {
        got.push(client.value().await);
    }
    let mut wanted: Vec<_> = names.iter().map(|name| format!("*[$message ${name} $x]")).collect();
    got.sort();
    wanted.sort();
    assert!(got == wanted, "each once");
    client.say("UNSUBSCRIBE").await;
    for (number, name) in names.iter().enumerate() {
        client.expect(&format!("*[$unsubscribe ${name} :{}]", COUNT - 1 - number)).await;
    }
}
