//! One message per gateway that has subscribers, and nothing for anybody else.

use serde_json::json;

use crate::harness::fake_gateway::{FakeGateway, hello, publish, subscribe};
use crate::harness::{Cluster, DEADLINE, equal, eventually};
use campanile_proto::FromTopicServer;

/// Publishes as many messages, and what each node had to do with them.
const MESSAGES: u64 = 50;

#[tokio::test]
async fn a_message_goes_once_to_each_gateway_with_subscribers() {
    let cluster = Cluster::start(3, 3).await;
    let topic = cluster.topic_of(1, "room");
    let mut subscribers = Vec::new();
    // Ten on the first gateway, five on the second, none on the third, which has a client of another topic.
    for number in 0..15 {
        let mut client = cluster.client(usize::from(number >= 10)).await;
        let join_ref = client.join(&topic).await;
        subscribers.push((client, join_ref));
    }
    let elsewhere = cluster.topic_of(2, "elsewhere");
    let mut bystander = cluster.client(2).await;
    bystander.join(&elsewhere).await;
    let (mut publisher, join_ref) = subscribers.remove(0);
    for number in 0..MESSAGES {
        publisher.publish(&topic, "event", json!({"n": number})).await;
        publisher.expect_event(&join_ref, &topic, "event", json!({"n": number})).await;
    }
    for (client, join_ref) in &mut subscribers {
        for number in 0..MESSAGES {
            client.expect_event(join_ref, &topic, "event", json!({"n": number})).await;
        }
        client.expect_silence().await;
    }
    bystander.expect_silence().await;

    let at_gateways: Vec<_> =
        cluster.gateways.iter().map(|gateway| gateway.metrics.deliveries_in.get()).collect();
    assert_eq!(at_gateways, [MESSAGES, MESSAGES, 0]);
    let to_clients: Vec<_> =
        cluster.gateways.iter().map(|gateway| gateway.metrics.deliveries_out.get()).collect();
    assert_eq!(to_clients, [10 * MESSAGES, 5 * MESSAGES, 0]);
    let of = |count: fn(&campanile_topic_server::Metrics) -> u64| -> Vec<u64> {
        cluster.topic_servers.iter().map(|server| count(&server.metrics)).collect()
    };
    assert_eq!(of(|metrics| metrics.deliveries.get()), [0, 2 * MESSAGES, 0]);
    assert_eq!(of(|metrics| metrics.publishes_accepted.get()), [0, MESSAGES, 0]);
    let subscriptions: Vec<_> =
        cluster.topic_servers.iter().map(|server| server.metrics.subscriptions.get()).collect();
    assert_eq!(subscriptions, [0, 2, 1]);
}

#[tokio::test]
async fn the_link_itself_carries_it_once_and_nothing_for_others() {
    let cluster = Cluster::start(1, 1).await;
    let server = &cluster.topic_servers[0];
    let open = async |incarnation| {
        let hello = hello(&cluster.ring(), &server.name, server.address, incarnation);
        FakeGateway::open(server.address, hello).await.unwrap()
    };
    let (mut involved, mut uninvolved) = (open(1001).await, open(1002).await);
    involved.send(vec![subscribe("room", 1)]).await;
    uninvolved.send(vec![subscribe("other", 1)]).await;
    for link in [&mut involved, &mut uninvolved] {
        let first = link.next().await.unwrap();
        assert!(matches!(first, Some(FromTopicServer::Subscribed { offset: 0, .. })), "{first:?}");
    }
    let mut clients = vec![cluster.client(0).await, cluster.client(0).await, cluster.client(0).await];
    for client in &mut clients {
        client.join("room").await;
    }
    for _ in 0..MESSAGES {
        clients[0].publish("room", "event", json!({})).await;
    }
    for wanted in 1..=MESSAGES {
        let next = involved.next().await.unwrap();
        assert!(
            matches!(next, Some(FromTopicServer::Deliver { offset, .. }) if offset == wanted),
            "{next:?}"
        );
    }
    // The next thing on each link is the answer to something later.
    for link in [&mut involved, &mut uninvolved] {
        link.send(vec![publish("fence", 1, DEADLINE)]).await;
        let next = link.next().await.unwrap();
        assert!(matches!(next, Some(FromTopicServer::Published { .. })), "{next:?}");
    }
}

#[tokio::test]
async fn who_publishes_without_subscribers_elsewhere_costs_nobody_anything() {
    let cluster = Cluster::start(2, 1).await;
    let mut client = cluster.client(0).await;
    let join_ref = client.join("room").await;
    client.publish("room", "event", json!({})).await;
    client.expect_event(&join_ref, "room", "event", json!({})).await;
    assert_eq!(cluster.topic_servers[0].metrics.deliveries.get(), 1);
    assert_eq!(cluster.gateways[1].metrics.deliveries_in.get(), 0);
}

#[tokio::test]
async fn a_gateway_subscribes_once_however_many_clients_join() {
    let cluster = Cluster::start(1, 1).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = cluster.client(0).await;
        client.ask_to_join("room").await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.json().await[4]["status"], "ok");
    }
    assert_eq!(cluster.topic_servers[0].metrics.subscriptions.get(), 1);
    let channels = async || equal(cluster.gateways[0].metrics.channels.get(), 20);
    eventually("all channels are counted", DEADLINE, channels).await;
}
