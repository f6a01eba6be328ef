//! A process that is short of memory refuses what is new, says so, and goes on with what it has.

use serde_json::json;

use crate::harness::http::exchange;
use crate::harness::{Client, Cluster};

async fn upgrade(cluster: &Cluster) -> u16 {
    let address = cluster.gateways[0].address;
    let request = format!(
        "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    exchange(address, &request).await.status
}

async fn join(client: &mut Client, topic: &str) -> serde_json::Value {
    let reference = client.ask_to_join(topic).await;
    client.reply(&reference).await
}

async fn publish(client: &mut Client, topic: &str) -> serde_json::Value {
    let reference = client.ask_to_publish(topic, "event", json!({})).await;
    client.reply(&reference).await
}

#[tokio::test]
async fn a_gateway_short_of_memory_turns_new_work_away_and_serves_on() {
    let cluster = Cluster::start(2, 1).await;
    let (mut inside, mut elsewhere) = (cluster.client(0).await, cluster.client(1).await);
    let mut second = cluster.client(0).await;
    let join_ref = inside.join("room").await;
    elsewhere.join("room").await;
    let gateway = &cluster.gateways[0];
    assert!((gateway.ready)().ready);
    gateway.memory.set(true);
    let readiness = (gateway.ready)();
    assert!(!readiness.ready && readiness.body.contains(r#""memory_short":true"#), "{}", readiness.body);
    assert_eq!(upgrade(&cluster).await, 503);
    assert_eq!(gateway.metrics.connections_refused.get_or_create(&[("reason", "memory")]).get(), 1);
    let overloaded = json!({"status": "error", "response": {"reason": "overloaded"}});
    assert_eq!(join(&mut inside, "new").await, overloaded);
    assert_eq!(join(&mut second, "room").await["status"], "ok", "the gateway has this topic already");
    let refused = json!({"reason": "overloaded", "outcome": "not_published", "retry": true});
    assert_eq!(publish(&mut inside, "room").await["response"], refused);
    assert_eq!(cluster.topic_servers[0].metrics.subscriptions.get(), 2, "nobody heard of the other topic");
    // What others publish still comes.
    assert_eq!(publish(&mut elsewhere, "room").await["status"], "ok");
    inside.expect_event(&join_ref, "room", "event", json!({})).await;
    gateway.memory.set(false);
    assert!((gateway.ready)().ready);
    assert_eq!(join(&mut inside, "new").await["status"], "ok");
    assert_eq!(publish(&mut inside, "room").await["status"], "ok");
    assert_eq!(upgrade(&cluster).await, 101);
}

#[tokio::test]
async fn a_topic_server_short_of_memory_keeps_its_topics_and_takes_no_more() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.client(0).await;
    client.join("room").await;
    let server = &cluster.topic_servers[0];
    server.memory.set(true);
    assert_eq!(join(&mut client, "new").await["response"], json!({"reason": "overloaded"}));
    let refused = json!({"reason": "overloaded", "outcome": "not_published", "retry": true});
    assert_eq!(publish(&mut client, "room").await["response"], refused);
    assert_eq!(server.metrics.subscribes_refused.get_or_create(&[("reason", "overloaded")]).get(), 1);
    assert_eq!(server.metrics.publishes_refused.get_or_create(&[("reason", "overloaded")]).get(), 1);
    server.memory.set(false);
    assert_eq!(publish(&mut client, "room").await["status"], "ok");
    assert_eq!(join(&mut client, "new").await["status"], "ok");
}
