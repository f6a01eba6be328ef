//! Whom a publish reaches: the answer counts the listeners of all gateways, as far as they have been answered.

use crate::harness::{Cluster, DEADLINE, eventually};

#[tokio::test]
async fn who_was_answered_is_counted_by_every_publish_afterwards_from_anywhere() {
    let cluster = Cluster::start(2, 2).await;
    let mut clients = [cluster.redis(0).await, cluster.redis(0).await];
    let mut other = cluster.redis(1).await;
    for round in 0..20 {
        let topic = format!("topic:{round}");
        let subscribed = format!("*[$subscribe ${topic} :1]");
        let gone = format!("*[$unsubscribe ${topic} :0]");
        // First the subscription itself, then a listener more, then one less and none, published elsewhere each time.
        for (client, command, answer, receivers) in [
            (0, "SUBSCRIBE", &subscribed, 1),
            (1, "SUBSCRIBE", &subscribed, 2),
            (0, "UNSUBSCRIBE", &gone, 1),
            (1, "UNSUBSCRIBE", &gone, 0),
        ] {
            assert_eq!(clients[client].ask(&format!("{command} {topic}")).await, *answer);
            assert_eq!(other.ask(&format!("PUBLISH {topic} x")).await, format!(":{receivers}"));
            let numsub = other.ask(&format!("PUBSUB NUMSUB {topic}")).await;
            assert_eq!(numsub, format!("*[${topic} :{receivers}]"));
            // Whoever was counted gets it.
            for (index, listener) in clients.iter_mut().enumerate() {
                let listens = if command == "SUBSCRIBE" { index <= client } else { index > client };
                if listens {
                    listener.expect(&format!("*[$message ${topic} $x]")).await;
                }
            }
        }
    }
    for mut client in clients {
        client.expect_silence().await;
    }
}

#[tokio::test]
async fn listeners_that_do_not_count_are_not_counted() {
    let cluster = Cluster::start(2, 1).await;
    let mut phoenix = cluster.client(0).await;
    phoenix.join("room:1").await;
    let (mut one, mut other) = (cluster.redis(0).await, cluster.redis(1).await);
    assert_eq!(other.ask("PUBLISH room:1 x").await, ":0");
    assert_eq!(one.ask("SUBSCRIBE room:1").await, "*[$subscribe $room:1 :1]");
    assert_eq!(other.ask("PUBLISH room:1 x").await, ":1");
}

#[tokio::test]
async fn who_vanishes_with_its_gateway_counts_no_more() {
    let mut cluster = Cluster::start(2, 2).await;
    let (mut one, mut other) = (cluster.redis(0).await, cluster.redis(1).await);
    assert_eq!(one.ask("SUBSCRIBE news").await, "*[$subscribe $news :1]");
    assert_eq!(one.ask("PSUBSCRIBE n*").await, "*[$psubscribe $n* :2]");
    assert_eq!(other.ask("PUBLISH news x").await, ":2");
    cluster.restart_gateway(0).await;
    let other = tokio::sync::Mutex::new(other);
    let receivers = async || {
        let answer = other.lock().await.ask("PUBLISH news x").await;
        if answer == ":0" { Ok(()) } else { Err(answer) }
    };
    eventually("nobody is counted", DEADLINE, receivers).await;
}
