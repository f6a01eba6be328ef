//! A ring edit moves topics while clients stay joined.

use std::collections::HashMap;

use serde_json::json;

use crate::harness::traffic::settled;
use crate::harness::{Client, Cluster, DEADLINE, Traffic, equal, eventually};

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

#[tokio::test]
async fn a_member_that_is_added_takes_its_topics_and_one_that_is_removed_gives_them_back() {
    let mut cluster = Cluster::start(2, 2).await;
    let (mut clients, join_refs) = joined(&cluster).await;
    let topics: Vec<_> = (0..40).map(|number| format!("room:{number}")).collect();
    all_topics_work(&mut clients, &join_refs, 0).await;
    let standby = cluster.add_topic_server("ts-c").await;
    assert_eq!(cluster.topic_servers[standby].metrics.subscriptions.get(), 0);

    cluster.edit_ring(&[0, 1, 2]);
    settled(&cluster, &topics).await;
    assert!(cluster.topic_servers[2].metrics.subscriptions.get() > 0, "the new member owns nothing");
    all_topics_work(&mut clients, &join_refs, 1).await;

    cluster.edit_ring(&[1, 2]);
    settled(&cluster, &topics).await;
    assert_eq!(cluster.topic_servers[0].metrics.subscriptions.get(), 0);
    all_topics_work(&mut clients, &join_refs, 2).await;

    cluster.edit_ring(&[0, 1]);
    settled(&cluster, &topics).await;
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
async fn publishes_during_an_edit_are_all_acknowledged_and_arrive_once_and_in_order() {
    for positions in [true, false] {
        let mut cluster = Cluster::start(2, 2).await;
        cluster.add_topic_server("ts-c").await;
        let topics = (0..40).map(|number| format!("room:{number}")).collect();
        let mut traffic = Traffic::start_on(&cluster, topics, positions).await;
        for members in [&[0, 1, 2][..], &[0, 2], &[1, 2], &[0, 1]] {
            traffic.goes_on().await;
            cluster.edit_ring(members);
            traffic.goes_on().await;
            settled(&cluster, traffic.topics()).await;
        }
        traffic.goes_on().await;
        traffic.end_lossless(&cluster).await;
    }
}
