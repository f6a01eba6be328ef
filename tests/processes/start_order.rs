//! Both roles started in any order.

use serde_json::json;

use super::{one_topic_server, ring_of, start_gateway};
use crate::harness::folder::Folder;
use crate::harness::process::start;
use crate::harness::{Client, DEADLINE, equal, eventually};

#[tokio::test]
async fn topic_server_first() {
    let folder = Folder::new();
    let (_server, ring) = one_topic_server(&folder).await;
    let gateways = [start_gateway(&folder, &ring, &[]), start_gateway(&folder, &ring, &[])];
    let mut one = Client::connect(gateways[0].listening("gateway").await).await;
    let mut two = Client::connect(gateways[1].listening("gateway").await).await;
    // The example of the README, with the refs that it names.
    for client in [&mut one, &mut two] {
        client.send(r#"["1","1","topics:matrix","phx_join",{}]"#).await;
        client
            .expect(json!(["1", "1", "topics:matrix", "phx_reply", {"status": "ok", "response": {}}]))
            .await;
    }
    two.send(r#"["1","1","topics:matrix","publish",["event",{"message":"red pill or blue pill?"}]]"#).await;
    two.expect(json!(["1", "1", "topics:matrix", "phx_reply", {"status": "ok", "response": {}}])).await;
    let event = r#"["1",null,"topics:matrix","event",{"message":"red pill or blue pill?"}]"#;
    for client in [&mut one, &mut two] {
        client.json().await;
        assert_eq!(client.raw, event);
        client.expect_silence().await;
    }
}

#[tokio::test]
async fn gateway_first() {
    let folder = Folder::new();
    // Another start of the topic server must find the same port: take one, end it, and use it again.
    let (mut server, ring) = one_topic_server(&folder).await;
    let address = server.listening("topic-server").await.to_string();
    server.kill();
    let gateway = start_gateway(&folder, &ring, &[]);
    let mut client = Client::connect(gateway.listening("gateway").await).await;
    let join_ref = client.ask_to_join("room").await;
    client.expect_silence().await;
    // Without --listen: on the address that the ring gives its name.
    let server = start(folder.path(), &["topic-server", "--name", "ts-a", "--ring", &ring]);
    assert_eq!(server.listening("topic-server").await.to_string(), address);
    assert_eq!(client.reply(&join_ref).await["status"], "ok");
    client.publish("room", "event", json!({})).await;
    client.expect_event(&join_ref, "room", "event", json!({})).await;
}

#[tokio::test]
async fn a_topic_server_that_is_killed_comes_back_to_its_gateways() {
    let folder = Folder::new();
    let (mut server, ring) = one_topic_server(&folder).await;
    let gateway = start_gateway(&folder, &ring, &["--admin", "127.0.0.1:0"]);
    let admin = gateway.listening("admin").await;
    let mut client = Client::connect(gateway.listening("gateway").await).await;
    let join_ref = client.join("room").await;
    for _ in 0..2 {
        server.kill();
        server = start(folder.path(), &["topic-server", "--name", "ts-a", "--ring", &ring]);
        server.listening("topic-server").await;
        let ready = async || equal(crate::harness::http::get(admin, "/readyz").await.status, 200);
        eventually("the link is up again", DEADLINE, ready).await;
        client.publish("room", "event", json!({})).await;
        client.expect_event(&join_ref, "room", "event", json!({})).await;
        client.expect_silence().await;
    }
}

#[tokio::test]
async fn without_a_ring_option_the_file_in_the_folder_is_taken_and_named() {
    let folder = Folder::new();
    folder.write("ring.toml", &ring_of(7, &[("ts-q", "127.0.0.1:1")]));
    let gateway = start(folder.path(), &["gateway", "--listen", "127.0.0.1:0"]);
    gateway.listening("gateway").await;
    gateway.says("ring.toml").await;
    let empty = Folder::new();
    let gateway = start(empty.path(), &["gateway", "--listen", "127.0.0.1:0"]);
    gateway.listening("gateway").await;
    gateway.says("compiled in").await;
}
