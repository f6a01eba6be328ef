//! Bytes that are nonsense, on the gateway's port and on the gRPC port: they end nobody else.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::fake_gateway::{FakeGateway, hello};
use crate::harness::{Cluster, DEADLINE, equal, eventually, http};
use campanile_proto::{FromGateway, FromTopicServer};

/// Some beginnings that are half right, and others that are not.
fn garbage() -> Vec<Vec<u8>> {
    let mut all = vec![
        b"\x00".to_vec(),
        b"GET".to_vec(),
        b"GET / HTTP/1.1\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        vec![0xff; 100_000],
        vec![b'a'; 100_000],
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..50 {
        let length = random.usize(1..3000);
        all.push((0..length).map(|_| random.u8(..)).collect());
    }
    all
}

/// Sends each on a connection of its own, and waits until the server has had enough of it.
async fn pour(address: std::net::SocketAddr) {
    for bytes in garbage() {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        // Either may fail: the server is free to hang up in the middle.
        let _ = tcp.write_all(&bytes).await;
        let _ = tcp.shutdown().await;
        let mut rest = Vec::new();
        let _ = timeout(DEADLINE, tcp.read_to_end(&mut rest)).await.expect("the server hangs up");
    }
}

#[tokio::test]
async fn garbage_on_the_gateways_port_ends_nobody() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.client(0).await;
    let join_ref = client.join("room").await;
    pour(cluster.gateways[0].address).await;
    client.publish("room", "event", json!({})).await;
    client.expect_event(&join_ref, "room", "event", json!({})).await;
    assert_eq!(http::get(cluster.gateways[0].address, "/").await.status, 200);
}

#[tokio::test]
async fn garbage_behind_an_upgrade_ends_that_session_only() {
    let cluster = Cluster::start(1, 1).await;
    let address = cluster.gateways[0].address;
    let mut client = cluster.client(0).await;
    let join_ref = client.join("room").await;
    for bytes in garbage() {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        // In one packet with the request, as some will.
        let _ = tcp.write_all(&[request.as_bytes(), &bytes].concat()).await;
        let _ = tcp.shutdown().await;
        let mut rest = Vec::new();
        let _ = timeout(DEADLINE, tcp.read_to_end(&mut rest)).await.expect("the server hangs up");
    }
    client.publish("room", "event", json!({})).await;
    client.expect_event(&join_ref, "room", "event", json!({})).await;
    let sessions = async || equal(cluster.gateways[0].metrics.sessions.get(), 1);
    eventually("the other sessions are over", DEADLINE, sessions).await;
}

#[tokio::test]
async fn garbage_on_the_grpc_port_ends_nobody() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.client(0).await;
    let join_ref = client.join("room").await;
    pour(cluster.topic_servers[0].address).await;
    client.publish("room", "event", json!({})).await;
    client.expect_event(&join_ref, "room", "event", json!({})).await;
    assert_eq!(cluster.topic_servers[0].metrics.links.get(), 1);
    assert_eq!(cluster.gateways[0].metrics.links.get(), 1);
}

#[tokio::test]
async fn a_link_that_breaks_the_protocol_ends_alone() {
    let cluster = Cluster::start(1, 1).await;
    let server = &cluster.topic_servers[0];
    let mut client = cluster.client(0).await;
    let join_ref = client.join("room").await;
    let hello = |incarnation| hello(&cluster.ring(), &server.name, server.address, incarnation);
    let mut second_hello = FakeGateway::open(server.address, hello(1001)).await.unwrap();
    second_hello.send(vec![FromGateway::Hello(hello(1001))]).await;
    let end = second_hello.next().await;
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    let mut long_topic = FakeGateway::open(server.address, hello(1002)).await.unwrap();
    let subscription = campanile_proto::Subscription { slot: 1, generation: 1 };
    let topic = vec![b'x'; 1025].into();
    long_topic.send(vec![FromGateway::Subscribe { subscription, topic, listeners: 0 }]).await;
    let end = long_topic.next().await;
    assert!(!matches!(end, Ok(Some(FromTopicServer::Subscribed { .. }))), "{end:?}");
    client.publish("room", "event", json!({})).await;
    client.expect_event(&join_ref, "room", "event", json!({})).await;
    assert_eq!(server.metrics.links_ended.get_or_create(&[("reason", "bad_message")]).get(), 2);
}
