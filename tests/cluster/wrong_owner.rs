//! A topic server serves no topic that its ring gives to another (decision 8).

use campanile_proto::{FromTopicServer, Refusal};

use crate::harness::fake_gateway::{FakeGateway, hello, publish, subscribe};
use crate::harness::{Cluster, DEADLINE};

#[tokio::test]
async fn topics_of_others_are_refused_and_not_created() {
    let cluster = Cluster::start(0, 2).await;
    let (own, other) = (cluster.topic_of(0, "room"), cluster.topic_of(1, "room"));
    let server = &cluster.topic_servers[0];
    let hello = hello(&cluster.ring(), &server.name, server.address, 1001);
    let mut link = FakeGateway::open(server.address, hello).await.unwrap();
    link.send(vec![subscribe(&other, 1), publish(&other, 1, DEADLINE), publish(&own, 1, DEADLINE)]).await;
    let answers = [link.next().await.unwrap(), link.next().await.unwrap(), link.next().await.unwrap()];
    assert!(
        matches!(answers[0], Some(FromTopicServer::SubscribeRefused { reason: Refusal::NotOwner, .. })),
        "{answers:?}"
    );
    assert!(
        matches!(answers[1], Some(FromTopicServer::PublishRefused { reason: Refusal::NotOwner, .. })),
        "{answers:?}"
    );
    assert!(matches!(answers[2], Some(FromTopicServer::Published { .. })), "{answers:?}");
    assert_eq!(server.metrics.subscriptions.get(), 0);
}

#[tokio::test]
async fn a_standby_owns_nothing() {
    let mut cluster = Cluster::start(0, 1).await;
    let standby = cluster.add_topic_server("ts-z").await;
    let server = &cluster.topic_servers[standby];
    let hello = hello(&cluster.ring(), &server.name, server.address, 1001);
    let mut link = FakeGateway::open(server.address, hello).await.unwrap();
    link.send(vec![subscribe("room", 1)]).await;
    let answer = link.next().await.unwrap();
    assert!(
        matches!(answer, Some(FromTopicServer::SubscribeRefused { reason: Refusal::NotOwner, .. })),
        "{answer:?}"
    );
}
