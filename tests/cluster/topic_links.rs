//! What a topic server says on a link, by hand: numbers, offsets, re-sends and refusals (rules L2 to L5).

use std::time::Duration;

use campanile_proto::message::Publish;
use campanile_proto::{FromGateway, FromTopicServer, Refusal, Subscription};

use crate::harness::fake_gateway::{FakeGateway, hello, publish, subscribe};
use crate::harness::{Cluster, DEADLINE};

async fn linked() -> (Cluster, FakeGateway) {
    let cluster = Cluster::start(0, 1).await;
    let server = &cluster.topic_servers[0];
    let hello = hello(&cluster.ring(), &server.name, server.address, 1001);
    let link = FakeGateway::open(server.address, hello).await.unwrap();
    (cluster, link)
}

async fn next(link: &mut FakeGateway) -> FromTopicServer {
    link.next().await.unwrap().expect("the link is open")
}

#[tokio::test]
async fn the_answer_to_a_publish_comes_before_its_own_delivery() {
    let (_cluster, mut link) = linked().await;
    link.send(vec![subscribe("room", 1), publish("room", 1, DEADLINE)]).await;
    assert!(matches!(next(&mut link).await, FromTopicServer::Subscribed { offset: 0, .. }));
    assert!(matches!(
        next(&mut link).await,
        FromTopicServer::Published { slot: 3, number: 1, offset: 1, .. }
    ));
    assert!(matches!(next(&mut link).await, FromTopicServer::Deliver { offset: 1, .. }));
}

#[tokio::test]
async fn a_re_send_gets_its_first_answer_and_is_not_delivered_again() {
    let (cluster, mut link) = linked().await;
    link.send(vec![subscribe("room", 1), publish("room", 1, DEADLINE), publish("room", 2, DEADLINE)]).await;
    let mut first = Vec::new();
    for _ in 0..5 {
        first.push(next(&mut link).await);
    }
    let FromTopicServer::Published { epoch, .. } = first[1] else { panic!("{first:?}") };
    let FromGateway::Publish(again) = publish("room", 1, DEADLINE) else { unreachable!() };
    let again = Publish { resend_epoch: Some(epoch), ..again };
    link.send(vec![FromGateway::Publish(again.clone()), publish("room", 3, DEADLINE)]).await;
    assert_eq!(next(&mut link).await, first[1]);
    assert!(matches!(next(&mut link).await, FromTopicServer::Published { number: 3, offset: 3, .. }));
    assert!(matches!(next(&mut link).await, FromTopicServer::Deliver { offset: 3, .. }));
    assert_eq!(cluster.topic_servers[0].metrics.publishes_repeated.get(), 1);
    // Under another epoch nobody knows what became of it.
    let other = Publish { resend_epoch: Some(campanile_proto::Epoch(epoch.0 ^ 1)), number: 4, ..again };
    link.send(vec![FromGateway::Publish(other)]).await;
    let answer = next(&mut link).await;
    assert!(
        matches!(answer, FromTopicServer::PublishRefused { number: 4, reason: Refusal::UnknownOutcome, .. }),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_publish_whose_time_is_up_is_not_run() {
    let (cluster, mut link) = linked().await;
    link.send(vec![subscribe("room", 1), publish("room", 1, Duration::ZERO), publish("room", 2, DEADLINE)])
        .await;
    assert!(matches!(next(&mut link).await, FromTopicServer::Subscribed { .. }));
    let answer = next(&mut link).await;
    assert!(
        matches!(answer, FromTopicServer::PublishRefused { number: 1, reason: Refusal::Expired, .. }),
        "{answer:?}"
    );
    assert!(matches!(next(&mut link).await, FromTopicServer::Published { number: 2, offset: 1, .. }));
    assert_eq!(cluster.topic_servers[0].metrics.publishes_accepted.get(), 1);
}

#[tokio::test]
async fn an_unsubscribe_of_another_generation_is_ignored() {
    let (_cluster, mut link) = linked().await;
    link.send(vec![subscribe("room", 1), subscribe("room", 2)]).await;
    let unsubscribe =
        |generation| FromGateway::Unsubscribe { subscription: Subscription { slot: 5, generation } };
    link.send(vec![unsubscribe(1), publish("room", 1, DEADLINE)]).await;
    let wanted = Subscription { slot: 5, generation: 2 };
    loop {
        match next(&mut link).await {
            FromTopicServer::Deliver { subscription, .. } => break assert_eq!(subscription, wanted),
            FromTopicServer::Subscribed { .. } | FromTopicServer::Published { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    link.send(vec![unsubscribe(2), publish("room", 2, DEADLINE), publish("room", 3, DEADLINE)]).await;
    assert!(matches!(next(&mut link).await, FromTopicServer::Published { number: 2, .. }));
    assert!(matches!(next(&mut link).await, FromTopicServer::Published { number: 3, .. }));
}

#[tokio::test]
async fn an_epoch_and_its_counter_outlive_the_last_subscriber() {
    let (_cluster, mut link) = linked().await;
    link.send(vec![subscribe("room", 1)]).await;
    let FromTopicServer::Subscribed { epoch: first, .. } = next(&mut link).await else { panic!() };
    link.send(vec![publish("room", 1, DEADLINE)]).await;
    next(&mut link).await;
    next(&mut link).await;
    let unsubscribe = FromGateway::Unsubscribe { subscription: Subscription { slot: 5, generation: 1 } };
    link.send(vec![unsubscribe, subscribe("room", 2)]).await;
    let again = next(&mut link).await;
    assert!(
        matches!(again, FromTopicServer::Subscribed { epoch, offset: 1, .. } if epoch == first),
        "{again:?}"
    );
}
