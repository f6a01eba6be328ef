//! The admin port of both roles.

use serde_json::{Value, json};

use super::{one_topic_server, ring_of, start_gateway};
use crate::harness::folder::Folder;
use crate::harness::process::{Process, start};
use crate::harness::{Client, DEADLINE, equal, eventually, http};

async fn ready(process: &Process) -> (u16, Value) {
    let answer = http::get(process.listening("admin").await, "/readyz").await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[tokio::test]
async fn a_gateway_is_ready_once_it_has_a_link_and_says_who_is_missing() {
    let folder = Folder::new();
    let (mut server, ring) = one_topic_server(&folder).await;
    let address = server.listening("topic-server").await.to_string();
    server.kill();
    let gateway = start_gateway(&folder, &ring, &["--admin", "127.0.0.1:0"]);
    let (status, body) = ready(&gateway).await;
    assert_eq!(status, 503);
    assert_eq!((&body["ready"], &body["missing"]), (&json!(false), &json!(["ts-a"])));
    assert_eq!(http::get(gateway.listening("admin").await, "/healthz").await.status, 200);
    let _server = start(folder.path(), &["topic-server", "--name", "ts-a", "--ring", &ring]);
    let is_ready = async || equal(ready(&gateway).await.0, 200);
    eventually("ready with its link", DEADLINE, is_ready).await;
    assert_eq!(ready(&gateway).await.1["missing"], json!([]));
    folder.write("ring.toml", &ring_of(3, &[("ts-a", &address), ("ts-z", "127.0.0.1:1")]));
    let named = async || equal(ready(&gateway).await.1["missing"].clone(), json!(["ts-z"]));
    eventually("the missing member is named", DEADLINE, named).await;
}

#[tokio::test]
async fn a_gateway_that_drains_is_not_ready_and_is_healthy() {
    let folder = Folder::new();
    let (_server, ring) = one_topic_server(&folder).await;
    let gateway = start_gateway(&folder, &ring, &["--admin", "127.0.0.1:0", "--drain-seconds", "30"]);
    let address = gateway.listening("gateway").await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(Client::connect(address).await);
        clients.last_mut().unwrap().expect_silence().await;
    }
    let is_ready = async || equal(ready(&gateway).await.0, 200);
    eventually("ready", DEADLINE, is_ready).await;
    gateway.signal(rustix::process::Signal::TERM);
    gateway.says("draining").await;
    let unready = async || equal(ready(&gateway).await.0, 503);
    eventually("not ready while draining", DEADLINE, unready).await;
    assert_eq!(http::get(gateway.listening("admin").await, "/healthz").await.status, 200);
}

#[tokio::test]
async fn metrics_of_both_roles_and_of_the_process() {
    let folder = Folder::new();
    let ring = folder.write("ring.toml", &ring_of(1, &[("nobody", "127.0.0.1:1")]));
    let arguments = [
        "topic-server",
        "--name",
        "ts-a",
        "--listen",
        "127.0.0.1:0",
        "--ring",
        &ring,
        "--admin",
        "127.0.0.1:0",
    ];
    let server = start(folder.path(), &arguments);
    let address = server.listening("topic-server").await.to_string();
    folder.write("ring.toml", &ring_of(2, &[("ts-a", &address)]));
    let gateway = start_gateway(&folder, &ring, &["--admin", "127.0.0.1:0"]);
    let mut client = Client::connect(gateway.listening("gateway").await).await;
    client.join("room").await;
    client.publish("room", "event", json!({})).await;
    client.json().await;
    for (process, wanted) in [
        (
            &gateway,
            [
                "campanile_gateway_sessions{",
                "campanile_gateway_deliveries_in_total{",
                "campanile_gateway_ring_version{",
            ],
        ),
        (
            &server,
            [
                "campanile_topic_server_links{",
                "campanile_topic_server_deliveries_total{",
                "campanile_topic_server_subscriptions{",
            ],
        ),
    ] {
        let answer = http::get(process.listening("admin").await, "/metrics").await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
        for name in wanted {
            let line = answer.body.lines().find(|line| line.starts_with(name));
            let line = line.unwrap_or_else(|| panic!("no {name} in {}", answer.body));
            assert!(!line.ends_with(" 0"), "{line}");
        }
        for name in ["process_resident_memory_bytes ", "campanile_build_info{"] {
            assert!(answer.body.lines().any(|line| line.starts_with(name)), "no {name} in {}", answer.body);
        }
        assert!(answer.body.ends_with("# EOF\n"));
    }
    assert_eq!(ready(&server).await.0, 200);
}
