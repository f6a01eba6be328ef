//! Nodes that die and come back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Cluster, DEADLINE, equal, eventually};

async fn subscribed(cluster: &Cluster, server: usize, count: i64) {
    let subscriptions = async || equal(cluster.topic_servers[server].metrics.subscriptions.get(), count);
    eventually("the topic server has its subscriptions", DEADLINE, subscriptions).await;
}

async fn publishes_reach(
    publisher: &mut Client,
    others: &mut [(Client, String)],
    topic: &str,
    payload: Value,
) {
    publisher.publish(topic, "event", payload.clone()).await;
    for (client, join_ref) in others {
        client.expect_event(join_ref, topic, "event", payload.clone()).await;
        client.expect_silence().await;
    }
}

#[tokio::test]
async fn d11_a_topic_server_that_comes_back_has_its_subscriptions_and_no_client_reconnects() {
    let mut cluster = Cluster::start(3, 3).await;
    let topic = cluster.topic_of(1, "room");
    let other = cluster.topic_of(0, "other");
    let mut clients = Vec::new();
    for gateway in 0..3 {
        let mut client = cluster.client(gateway).await;
        let join_ref = client.join(&topic).await;
        clients.push((client, join_ref));
    }
    let mut bystander = cluster.client(0).await;
    let bystander_ref = bystander.join(&other).await;
    let mut publisher = cluster.client(2).await;
    publisher.join(&topic).await;
    publishes_reach(&mut publisher, &mut clients, &topic, json!({"before": true})).await;

    for life in 0..3 {
        cluster.kill_topic_server(1).await;
        // The other topics do not notice.
        bystander.publish(&other, "event", json!({"life": life})).await;
        bystander.expect_event(&bystander_ref, &other, "event", json!({"life": life})).await;
        cluster.restart_topic_server(1).await;
        subscribed(&cluster, 1, 3).await;
        publishes_reach(&mut publisher, &mut clients, &topic, json!({"life": life})).await;
    }
    assert_eq!(cluster.topic_servers[1].metrics.deliveries.get(), 3);
    let sessions: i64 = cluster.gateways.iter().map(|gateway| gateway.metrics.sessions.get()).sum();
    assert_eq!(sessions, 5);
    for gateway in &cluster.gateways {
        assert_eq!(gateway.metrics.sessions_ended.get_or_create(&[("reason", "gone")]).get(), 0);
    }
}

#[tokio::test]
async fn many_topics_come_back_at_once() {
    let mut cluster = Cluster::start(1, 1).await;
    let mut clients = Vec::new();
    for number in 0..4 {
        let mut client = cluster.client(0).await;
        for topic in 0..100 {
            client.join(&format!("room:{number}:{topic}")).await;
        }
        clients.push(client);
    }
    cluster.kill_topic_server(0).await;
    cluster.restart_topic_server(0).await;
    subscribed(&cluster, 0, 400).await;
    for (number, client) in clients.iter_mut().enumerate() {
        for topic in 0..100 {
            let topic = format!("room:{number}:{topic}");
            client.publish(&topic, "event", json!({})).await;
            assert_eq!(client.json().await[2], topic);
        }
        client.expect_silence().await;
    }
}

#[tokio::test]
async fn a_topic_that_was_left_meanwhile_is_not_subscribed_again() {
    let change =
        |settings: &mut campanile_gateway::Settings| settings.owner_deadline = Duration::from_millis(500);
    let mut cluster = Cluster::start_with(1, 1, change, |_| {}).await;
    let mut client = cluster.client(0).await;
    let left = client.join("left").await;
    client.join("kept").await;
    cluster.kill_topic_server(0).await;
    let reference = client.push(&left, "left", "phx_leave", json!({})).await;
    assert_eq!(client.reply(&reference).await["status"], "ok");
    client.expect(json!([left, left, "left", "phx_close", {}])).await;
    let topics = async || equal(cluster.gateways[0].metrics.topics.get(), 1);
    eventually("the linger is over", DEADLINE, topics).await;
    cluster.restart_topic_server(0).await;
    subscribed(&cluster, 0, 1).await;
    client.publish("kept", "event", json!({})).await;
    assert_eq!(cluster.topic_servers[0].metrics.topics.get().max(1), 1);
}

#[tokio::test]
async fn a_join_and_a_publish_that_wait_for_a_topic_server_go_through_when_it_comes_back() {
    let mut cluster = Cluster::start(1, 1).await;
    let mut client = cluster.client(0).await;
    let old = client.join("old").await;
    cluster.kill_topic_server(0).await;
    let links = async || equal(cluster.gateways[0].metrics.links.get(), 0);
    eventually("the gateway knows", DEADLINE, links).await;
    let join = client.ask_to_join("new").await;
    let publish = client.ask_to_publish("old", "event", json!({"n": 1})).await;
    client.expect_silence().await;
    cluster.restart_topic_server(0).await;
    assert_eq!(client.reply(&join).await["status"], "ok");
    assert_eq!(client.reply(&publish).await["status"], "ok");
    client.expect_event(&old, "old", "event", json!({"n": 1})).await;
    client.expect_silence().await;
}

#[tokio::test]
async fn a_gateway_that_dies_takes_its_subscriptions_with_it() {
    let mut cluster = Cluster::start(2, 1).await;
    let (mut stays, mut goes) = (cluster.client(0).await, cluster.client(1).await);
    let join_ref = stays.join("room").await;
    goes.join("room").await;
    assert_eq!(cluster.topic_servers[0].metrics.subscriptions.get(), 2);
    cluster.gateways[1].node.kill().await;
    subscribed(&cluster, 0, 1).await;
    stays.publish("room", "event", json!({})).await;
    stays.expect_event(&join_ref, "room", "event", json!({})).await;
    cluster.restart_gateway(1).await;
    cluster.all_linked().await;
    let mut back = cluster.client(1).await;
    let back_ref = back.join("room").await;
    stays.publish("room", "event", json!({"back": true})).await;
    stays.expect_event(&join_ref, "room", "event", json!({"back": true})).await;
    back.expect_event(&back_ref, "room", "event", json!({"back": true})).await;
    back.expect_silence().await;
}

#[tokio::test]
async fn a_topic_server_that_drains_writes_what_it_has_acknowledged() {
    let mut cluster = Cluster::start(2, 1).await;
    let (mut one, mut two) = (cluster.client(0).await, cluster.client(1).await);
    one.join("room").await;
    let join_ref = two.join("room").await;
    for number in 0..100 {
        one.publish("room", "event", json!({"n": number})).await;
    }
    cluster.topic_servers[0].node.drain();
    for number in 0..100 {
        two.expect_event(&join_ref, "room", "event", json!({"n": number})).await;
    }
    cluster.topic_servers[0].node.ended().await;
    cluster.restart_topic_server(0).await;
    subscribed(&cluster, 0, 2).await;
    one.publish("room", "event", json!({"again": 1})).await;
    two.expect_event(&join_ref, "room", "event", json!({"again": 1})).await;
}

/// Publishes that are under way when a topic server is told to end: each is answered `ok`, or did not happen. None is
/// left in doubt, and what is `ok` has reached everybody.
#[tokio::test]
async fn a_topic_server_that_drains_leaves_no_publish_in_doubt() {
    const PUBLISHES: u64 = 2_000;
    let mut cluster =
        Cluster::start_with(2, 1, |gateway| gateway.owner_deadline = Duration::from_secs(1), |_| {}).await;
    let (mut publisher, mut subscriber) = (cluster.client(0).await, cluster.client(1).await);
    let publisher_ref = publisher.join("room").await;
    let join_ref = subscriber.join("room").await;
    let mut waiting = std::collections::HashMap::new();
    for number in 0..PUBLISHES {
        let reference = publisher.next_ref();
        let publish = json!([publisher_ref, reference, "room", "publish", ["event", {"n": number}]]);
        publisher.feed(publish.to_string()).await;
        waiting.insert(reference, number);
        if number == PUBLISHES / 2 {
            publisher.flush().await;
            cluster.topic_servers[0].node.drain();
        }
    }
    publisher.flush().await;
    let mut accepted = Vec::new();
    let mut refused = 0;
    while !waiting.is_empty() {
        let frame = publisher.json().await;
        if frame[3] == "event" {
            continue;
        }
        let number = waiting.remove(frame[1].as_str().unwrap()).expect("one answer each");
        match frame[4]["status"].as_str() {
            Some("ok") => accepted.push(number),
            _ => {
                assert_eq!(frame[4]["response"]["outcome"], "not_published", "{frame}");
                assert_eq!(frame[4]["response"]["retry"], true, "{frame}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "the drain came too late to meet anything");
    cluster.topic_servers[0].node.ended().await;
    for number in accepted {
        subscriber.expect_event(&join_ref, "room", "event", json!({"n": number})).await;
    }
    subscriber.expect_silence().await;
}

/// Also where its process lives on, as in `campanile dev`: nobody waits until the link counts as silent.
#[tokio::test]
async fn a_gateway_that_ends_takes_its_links_with_it() {
    let mut cluster = Cluster::start(2, 1).await;
    let mut client = cluster.client(0).await;
    client.join("room").await;
    drop(client);
    cluster.gateways[0].node.drain();
    cluster.gateways[0].node.ended().await;
    let links = async || equal(cluster.topic_servers[0].metrics.links.get(), 1);
    eventually("only the other gateway's link is left", Duration::from_secs(3), links).await;
    cluster.topic_servers[0].node.drain();
    cluster.topic_servers[0].node.ended().await;
}
