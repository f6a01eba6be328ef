//! Members at other addresses, and members that end: who hands over, and who does not.

use serde_json::json;

use crate::harness::traffic::settled;
use crate::harness::{Cluster, DEADLINE, Traffic, equal, eventually};

const TOPICS: usize = 40;

fn owned(cluster: &Cluster, server: usize, traffic: &Traffic) -> u64 {
    let (ring, server) = (cluster.ring(), &cluster.topic_servers[server]);
    traffic.topics().iter().filter(|topic| server.owns(&ring, topic)).count() as u64
}

/// H7: the name is the same, the process is not.
#[tokio::test]
async fn a_name_that_gets_another_address_hands_everything_to_the_process_there() {
    let mut cluster = Cluster::start(2, 2).await;
    let second = cluster.add_topic_server("ts-a").await;
    let mut traffic = Traffic::start(&cluster, TOPICS).await;
    traffic.goes_on().await;
    let before = owned(&cluster, 0, &traffic);
    assert!(before > 0);
    cluster.edit_ring(&[second, 1]);
    traffic.goes_on().await;
    settled(&cluster, traffic.topics()).await;
    assert_eq!(cluster.topic_servers[0].metrics.topics_moved.get(), before);
    assert_eq!(cluster.topic_servers[second].metrics.topics_taken.get(), before);
    assert_eq!(cluster.topic_servers[1].metrics.topics_taken.get(), 0);
    // And back: the first process is alive.
    cluster.edit_ring(&[0, 1]);
    traffic.goes_on().await;
    settled(&cluster, traffic.topics()).await;
    assert_eq!(cluster.topic_servers[0].metrics.topics_taken.get(), before);
    traffic.end_lossless(&cluster).await;
}

/// H7: the ring says another address, behind which there is the same process.
#[tokio::test]
async fn a_server_that_is_reached_at_its_new_address_keeps_what_it_has() {
    let mut cluster = Cluster::start(2, 2).await;
    let mut traffic = Traffic::start(&cluster, TOPICS).await;
    traffic.goes_on().await;
    cluster.topic_servers[0].in_ring = format!("localhost:{}", cluster.topic_servers[0].address.port());
    cluster.edit_ring(&[0, 1]);
    traffic.goes_on().await;
    settled(&cluster, traffic.topics()).await;
    traffic.goes_on().await;
    traffic.end_lossless(&cluster).await;
    for server in &cluster.topic_servers {
        assert_eq!((server.metrics.topics_moved.get(), server.metrics.topics_taken.get()), (0, 0));
    }
    // It knows itself under this address from its start, too, and serves what is its own.
    let topic = cluster.topic_of(0, "late");
    cluster.restart_topic_server(0).await;
    let mut client = cluster.client(1).await;
    client.join(&topic).await;
    client.publish(&topic, "event", json!({})).await;
    // A server at whose link nobody waits is drained at once: nothing is left to be handed over to itself.
    cluster.topic_servers[0].node.drain();
    cluster.topic_servers[0].node.ended().await;
}

#[tokio::test]
async fn a_former_member_hands_everything_over_before_it_ends() {
    let mut cluster = Cluster::start(2, 2).await;
    let mut traffic = Traffic::start(&cluster, TOPICS).await;
    traffic.goes_on().await;
    let before = owned(&cluster, 0, &traffic);
    cluster.edit_ring(&[1]);
    // A signal that comes before the server has read the edit is one to a member.
    let read = async || {
        let metrics = &cluster.topic_servers[0].metrics;
        if metrics.handoffs_open.get() > 0 || metrics.topics_moved.get() > 0 { Ok(()) } else { Err(()) }
    };
    eventually("it has read the edit", DEADLINE, read).await;
    cluster.topic_servers[0].node.drain();
    cluster.topic_servers[0].node.ended().await;
    assert_eq!(cluster.topic_servers[0].metrics.topics_moved.get(), before);
    cluster.kill_topic_server(0).await;
    traffic.goes_on().await;
    settled(&cluster, traffic.topics()).await;
    traffic.end_lossless(&cluster).await;
    assert_eq!(cluster.topic_servers[1].metrics.topics_taken.get(), before);
    for gateway in &cluster.gateways {
        let links = async || equal(gateway.metrics.links.get(), 1);
        eventually("one link is left, and counted", DEADLINE, links).await;
    }
}

/// The ring has not changed: its topics wait for it.
#[tokio::test]
async fn a_member_that_ends_hands_nothing_over() {
    let mut cluster = Cluster::start(2, 2).await;
    let mut client = cluster.client(0).await;
    for number in 0..TOPICS {
        client.join(&format!("room:{number}")).await;
    }
    cluster.topic_servers[0].node.drain();
    cluster.topic_servers[0].node.ended().await;
    cluster.kill_topic_server(0).await;
    for server in &cluster.topic_servers {
        assert_eq!((server.metrics.topics_moved.get(), server.metrics.topics_taken.get()), (0, 0));
    }
    let own = (0..TOPICS)
        .filter(|number| cluster.topic_servers[1].owns(&cluster.ring(), &format!("room:{number}")));
    let own = own.count() as i64;
    let kept = async || equal(cluster.topic_servers[1].metrics.subscriptions.get(), own);
    eventually("the other has what it had", DEADLINE, kept).await;
}
