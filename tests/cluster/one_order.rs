//! One order per topic, the same for everybody.

use serde_json::{Value, json};

use crate::harness::{Client, Cluster};

const MESSAGES: u64 = 1000;

/// Sends publishes without waiting for their answers.
async fn publish_all(client: &mut Client, topic: &str, who: &str, count: u64) {
    for number in 0..count {
        let frame =
            json!([null, format!("{who}{number}"), topic, "publish", ["event", {"who": who, "n": number}]]);
        client.feed(frame.to_string()).await;
        if number % 16 == 15 {
            client.flush().await;
        }
    }
    client.flush().await;
}

/// The payloads of the next so many events; replies must be ok.
async fn events(client: &mut Client, count: u64) -> Vec<Value> {
    let mut events = Vec::new();
    while (events.len() as u64) < count {
        let mut frame = client.json().await;
        if frame[3] == "event" {
            events.push(frame[4].take());
        } else {
            assert_eq!(frame[4]["status"], "ok", "{frame}");
        }
    }
    events
}

#[tokio::test]
async fn d12_publishes_of_one_client_keep_their_order_everywhere() {
    let cluster = Cluster::start(3, 3).await;
    let topic = cluster.topic_of(0, "room");
    let mut clients = Vec::new();
    for gateway in 0..3 {
        let mut client = cluster.client(gateway).await;
        client.join(&topic).await;
        clients.push(client);
    }
    publish_all(&mut clients[0], &topic, "a", MESSAGES).await;
    let wanted: Vec<_> = (0..MESSAGES).map(|number| json!({"who": "a", "n": number})).collect();
    for client in &mut clients {
        assert_eq!(events(client, MESSAGES).await, wanted);
    }
}

#[tokio::test]
async fn two_publishers_on_two_gateways_are_seen_in_one_order() {
    let cluster = Cluster::start(3, 3).await;
    let topic = cluster.topic_of(2, "room");
    let mut clients = Vec::new();
    for index in 0..6 {
        let mut client = cluster.client(index % 3).await;
        client.join(&topic).await;
        clients.push(client);
    }
    let (mut one, mut two) = (cluster.client(0).await, cluster.client(1).await);
    one.join(&topic).await;
    two.join(&topic).await;
    let both = async {
        tokio::join!(
            publish_all(&mut one, &topic, "a", MESSAGES / 2),
            publish_all(&mut two, &topic, "b", MESSAGES / 2)
        )
    };
    let read = async {
        let mut all = Vec::new();
        for client in &mut clients {
            all.push(events(client, MESSAGES).await);
        }
        all
    };
    let ((), all) = tokio::join!(
        async {
            both.await;
        },
        read
    );
    for seen in &all {
        assert_eq!(seen, &all[0]);
    }
    for who in ["a", "b"] {
        let own = all[0].iter().filter(|event| event["who"] == who);
        let numbers: Vec<_> = own.map(|event| event["n"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..MESSAGES / 2).collect::<Vec<_>>());
    }
    assert_eq!(events(&mut one, MESSAGES).await, all[0]);
    assert_eq!(events(&mut two, MESSAGES).await, all[0]);
    for gateway in &cluster.gateways {
        assert_eq!((gateway.metrics.jumps.get(), gateway.metrics.repeated.get()), (0, 0));
    }
}
