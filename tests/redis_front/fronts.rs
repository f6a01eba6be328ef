//! Topics that clients of both fronts share.

use serde_json::json;

use crate::harness::{Client, Cluster, Got};

#[tokio::test]
async fn a_phoenix_event_reaches_redis_as_its_payload() {
    let cluster = Cluster::start(2, 2).await;
    let mut redis = cluster.redis(0).await;
    redis.ask("SUBSCRIBE topics:a").await;
    redis.ask("PSUBSCRIBE topics:*").await;
    let mut phoenix = cluster.client(1).await;
    phoenix.join("topics:a").await;
    phoenix.publish("topics:a", "event", json!({"a": 1})).await;
    redis.expect(r#"*[$message $topics:a ${"a":1}]"#).await;
    redis.expect(r#"*[$pmessage $topics:* $topics:a ${"a":1}]"#).await;
}

#[tokio::test]
async fn a_redis_message_reaches_phoenix_as_the_event_message() {
    let cluster = Cluster::start(2, 2).await;
    let mut v2 = cluster.client(0).await;
    let mut v1 = Client::open(cluster.gateways[0].address, "?vsn=1.0.0", None).await;
    let join_ref = v2.join("topics:a").await;
    v1.send(json!({"topic": "topics:a", "event": "phx_join", "payload": {}, "ref": "1"}).to_string()).await;
    let ok = json!({"status": "ok", "response": {}});
    v1.expect(json!({"topic": "topics:a", "event": "phx_reply", "payload": ok, "ref": "1"})).await;
    let mut redis = cluster.redis(1).await;
    // Phoenix channels are none of the clients that Redis counts.
    assert_eq!(redis.ask(r#"PUBLISH topics:a {"a":[1,"x"]}"#).await, ":0");
    v2.expect_event(&join_ref, "topics:a", "message", json!({"a": [1, "x"]})).await;
    v1.expect(json!({"topic": "topics:a", "event": "message", "payload": {"a": [1, "x"]}, "ref": null}))
        .await;
    assert_eq!(redis.ask("PUBLISH topics:a hello").await, ":0");
    let mut push = vec![0, join_ref.len() as u8, 8, 7];
    push.extend_from_slice(format!("{join_ref}topics:amessagehello").as_bytes());
    assert_eq!(v2.next().await, Got::Binary(push));
    v1.expect(json!({"topic": "topics:a", "event": "message", "payload": {"data": "aGVsbG8="}, "ref": null}))
        .await;
    assert_eq!(redis.ask("SPUBLISH topics:a {}").await, ":0");
    v2.expect_silence().await;
}
