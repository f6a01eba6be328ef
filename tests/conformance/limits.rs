//! Sizes and counts that a client may not exceed.

use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

use crate::harness::{Cluster, Got};

#[tokio::test]
async fn c19_the_101st_channel_is_refused_until_another_is_left() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.client(0).await;
    for number in 1..=100 {
        let topic = format!("topics:{number}");
        client.send(json!([number.to_string(), number.to_string(), topic, "phx_join", {}]).to_string()).await;
    }
    for number in 1..=100 {
        let reply = client.reply(&number.to_string()).await;
        assert_eq!(reply["status"], "ok", "{number}");
    }
    let refused = json!({"status": "error", "response": {"reason": "too many channels joined"}});
    client.send(r#"["101","101","topics:101","phx_join",{}]"#).await;
    client.expect(json!(["101", "101", "topics:101", "phx_reply", refused])).await;
    // A join in place of one that is there needs no further place.
    client.send(r#"["102","102","topics:7","phx_join",{}]"#).await;
    client.expect(json!(["102", "102", "topics:7", "phx_reply", {"status": "ok", "response": {}}])).await;
    client.expect(json!(["7", "7", "topics:7", "phx_close", {}])).await;
    client.send(r#"["102","103","topics:7","phx_leave",{}]"#).await;
    client.expect(json!(["102", "103", "topics:7", "phx_reply", {"status": "ok", "response": {}}])).await;
    client.expect(json!(["102", "102", "topics:7", "phx_close", {}])).await;
    client.send(r#"["104","104","topics:101","phx_join",{}]"#).await;
    client.expect(json!(["104", "104", "topics:101", "phx_reply", {"status": "ok", "response": {}}])).await;
    client.expect_silence().await;
}

/// A heartbeat of so many bytes.
fn heartbeat(bytes: usize) -> String {
    let empty = r#"[null,"1","phoenix","heartbeat",""]"#;
    empty.replace(r#""""#, &format!("\"{}\"", "x".repeat(bytes - empty.len())))
}

#[tokio::test]
async fn c34_a_frame_above_the_limit_closes_with_1009() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.client(0).await;
    client.send(heartbeat(256 * 1024)).await;
    client.expect(json!([null, "1", "phoenix", "phx_reply", {"status": "ok", "response": {}}])).await;
    client.send(heartbeat(256 * 1024 + 1)).await;
    assert_eq!(client.close_code().await, 1009);
    assert!(matches!(client.next().await, Got::End(_)));
}

#[tokio::test]
async fn fragments_make_one_message_and_its_size_counts() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.client(0).await;
    let text = heartbeat(200 * 1024).into_bytes();
    client.send_frame(text[..7].to_vec(), Data::Text, false).await;
    client.ping(b"between").await;
    assert_eq!(client.next().await, Got::Pong(b"between".to_vec()));
    client.send_frame(text[7..].to_vec(), Data::Continue, true).await;
    client.expect(json!([null, "1", "phoenix", "phx_reply", {"status": "ok", "response": {}}])).await;
    client.send_frame(vec![b' '; 200 * 1024], Data::Text, false).await;
    client.send_frame(vec![b' '; 200 * 1024], Data::Continue, false).await;
    assert_eq!(client.close_code().await, 1009);
}

#[tokio::test]
async fn frames_that_break_the_websocket_protocol_close_with_1002() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.client(0).await;
    client.send_frame(b"x".to_vec(), Data::Continue, true).await;
    assert_eq!(client.close_code().await, 1002);
    let mut client = cluster.client(0).await;
    client.send_frame(b"x".to_vec(), Data::Reserved(3), true).await;
    assert_eq!(client.close_code().await, 1002);
}

#[tokio::test]
async fn a_close_arrives_although_the_client_goes_on_sending() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.client(0).await;
    client.feed("not json").await;
    for _ in 0..30 {
        client.feed(heartbeat(64 * 1024)).await;
    }
    client.flush().await;
    assert_eq!(client.close_code().await, 1011);
}

#[tokio::test]
async fn the_largest_publish_reaches_its_subscribers() {
    let cluster = Cluster::start(2, 1).await;
    let (mut one, mut two) = (cluster.client(0).await, cluster.client(1).await);
    one.join("topics:a").await;
    let join_ref = two.join("topics:a").await;
    let payload = json!({"x": "y".repeat(250 * 1024)});
    one.publish("topics:a", "event", payload.clone()).await;
    two.expect_event(&join_ref, "topics:a", "event", payload).await;
}

#[tokio::test]
async fn nesting_is_bounded_so_that_no_subscriber_fails_on_it() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.client(0).await;
    client.join("topics:a").await;
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    client.send(format!(r#"[null,"2","topics:a","publish",["event",{deep}]]"#)).await;
    let reply = client.reply("2").await;
    assert_eq!(reply["response"]["reason"], "invalid payload");
    client.expect_silence().await;
}
