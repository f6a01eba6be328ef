//! Many subscribers over two gateways, no message lost.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::Cluster;

#[tokio::test]
async fn a_thousand_subscribers_over_two_gateways_miss_nothing() {
    const MESSAGES: u64 = 20;
    let cluster = Cluster::start(2, 2).await;
    let topic = cluster.topic_of(0, "room");
    let mut clients = Vec::new();
    for round in 0..20 {
        let join = (0..50).map(|index| {
            let (cluster, topic) = (&cluster, &topic);
            async move {
                let mut client = cluster.client((round + index) % 2).await;
                let join_ref = client.join(topic).await;
                (client, join_ref)
            }
        });
        clients.extend(join_all(join).await);
    }
    assert_eq!(clients.len(), 1000);
    let mut publisher = cluster.client(0).await;
    publisher.join(&topic).await;
    for number in 0..MESSAGES {
        publisher.publish(&topic, "event", json!({"n": number})).await;
    }
    for (client, join_ref) in &mut clients {
        for number in 0..MESSAGES {
            client.expect_event(join_ref, &topic, "event", json!({"n": number})).await;
        }
    }
    assert_eq!(cluster.topic_servers[0].metrics.deliveries.get(), 2 * MESSAGES);
    let out: u64 = cluster.gateways.iter().map(|gateway| gateway.metrics.deliveries_out.get()).sum();
    assert_eq!(out, 1001 * MESSAGES);
}
