//! A ring edit moves topics while clients stay joined.

use std::collections::HashMap;

use serde_json::json;

use crate::harness::{Client, Cluster, DEADLINE, equal, eventually};

/// 40 topics, each with a subscriber on both gateways.
async fn joined(cluster: &Cluster) -> (Vec<Client>, Vec<HashMap<String, String>>) {
    let (mut clients, mut join_refs) = (Vec::new(), Vec::new());
    for gateway in 0..2 {
        let mut client = cluster.client(gateway).await;
        let mut refs = HashMap::new();
        for number in 0..40 {
            let topic = format!("room:{number}");
            refs.insert(topic.clone(), client.join(&topic).await);
        }
        clients.push(client);
        join_refs.push(refs);
    }
    (clients, join_refs)
}

/// A publish to each topic from the first client reaches both, once.
async fn all_topics_work(clients: &mut [Client], join_refs: &[HashMap<String, String>], round: u64) {
    for number in 0..40 {
        let topic = format!("room:{number}");
        clients[0].publish(&topic, "event", json!({"round": round})).await;
        for (client, join_refs) in clients.iter_mut().zip(join_refs) {
            client.expect_event(&join_refs[&topic], &topic, "event", json!({"round": round})).await;
        }
    }
    for client in clients {
        client.expect_silence().await;
    }
}

/// The subscriptions lie where the ring says, on both gateways' behalf.
async fn settled(cluster: &Cluster, topics: u64) {
    let ring = cluster.ring();
    for server in &cluster.topic_servers {
        let owned = (0..topics)
            .filter(|number| ring.owner(format!("room:{number}").as_bytes()).name() == server.name);
        let wanted = 2 * owned.count() as i64;
        let subscriptions = async || equal(server.metrics.subscriptions.get(), wanted);
        eventually("topics are with their owner", DEADLINE, subscriptions).await;
    }
}

#[tokio::test]
async fn a_member_that_is_added_takes_its_topics_and_one_that_is_removed_gives_them_back() {
    let mut cluster = Cluster::start(2, 2).await;
    let (mut clients, join_refs) = joined(&cluster).await;
    all_topics_work(&mut clients, &join_refs, 0).await;
    let standby = cluster.add_topic_server("ts-c").await;
    assert_eq!(cluster.topic_servers[standby].metrics.subscriptions.get(), 0);

    cluster.edit_ring(&[0, 1, 2]);
    settled(&cluster, 40).await;
    assert!(cluster.topic_servers[2].metrics.subscriptions.get() > 0, "the new member owns nothing");
    all_topics_work(&mut clients, &join_refs, 1).await;

    cluster.edit_ring(&[1, 2]);
    settled(&cluster, 40).await;
    assert_eq!(cluster.topic_servers[0].metrics.subscriptions.get(), 0);
    all_topics_work(&mut clients, &join_refs, 2).await;

    cluster.edit_ring(&[0, 1]);
    settled(&cluster, 40).await;
    all_topics_work(&mut clients, &join_refs, 3).await;
    // Nobody had to come back.
    for gateway in &cluster.gateways {
        assert_eq!(gateway.metrics.sessions.get(), 1);
        assert_eq!(gateway.metrics.ring_version.get(), 4);
    }
}

#[tokio::test]
async fn links_to_a_former_member_end_when_nobody_uses_them() {
    let cluster = Cluster::start(1, 2).await;
    let mut client = cluster.client(0).await;
    for number in 0..20 {
        client.join(&format!("room:{number}")).await;
    }
    cluster.edit_ring(&[1]);
    let links = async || equal(cluster.topic_servers[0].metrics.links.get(), 0);
    eventually("the former member is let go", DEADLINE, links).await;
    assert_eq!(cluster.gateways[0].metrics.links.get(), 1);
    for number in 0..20 {
        client.publish(&format!("room:{number}"), "event", json!({})).await;
    }
}

#[tokio::test]
async fn publishes_during_an_edit_are_answered_and_arrive_once_at_most_and_in_order() {
    let mut cluster = Cluster::start(2, 2).await;
    cluster.add_topic_server("ts-c").await;
    let mut publisher = cluster.client(0).await;
    let mut subscriber = cluster.client(1).await;
    for number in 0..10 {
        publisher.join(&format!("room:{number}")).await;
        subscriber.join(&format!("room:{number}")).await;
    }
    // Without handoff of a topic's state a publish may fail while its topic moves; then it may be tried again.
    for round in 0..30_u64 {
        for number in 0..10 {
            let topic = format!("room:{number}");
            let reference = publisher.ask_to_publish(&topic, "event", json!({"n": round})).await;
            let reply = publisher.reply(&reference).await;
            assert!(reply["status"] == "ok" || reply["response"]["retry"] == true, "{reply}");
        }
        match round {
            10 => cluster.edit_ring(&[0, 1, 2]),
            20 => cluster.edit_ring(&[0, 2]),
            _ => {}
        }
    }
    settled(&cluster, 10).await;
    for number in 0..10 {
        publisher.publish(&format!("room:{number}"), "event", json!({"n": 30})).await;
    }
    let mut seen: HashMap<String, Vec<u64>> = HashMap::new();
    while seen.values().filter(|numbers| numbers.last() == Some(&30)).count() < 10 {
        let frame = subscriber.json().await;
        assert_eq!(frame[3], "event", "{frame}");
        seen.entry(frame[2].to_string()).or_default().push(frame[4]["n"].as_u64().unwrap());
    }
    for (topic, numbers) in seen {
        assert!(numbers.is_sorted_by(|one, two| one < two), "{topic}: {numbers:?}");
        assert!((0..=10).all(|number| numbers.contains(&number)), "{topic}: {numbers:?}");
    }
    subscriber.expect_silence().await;
}
