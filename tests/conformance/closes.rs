//! How sessions end: each ending has its code, and none is 1000.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Client, Cluster, DEADLINE, Got, equal, eventually};

#[tokio::test]
async fn c37_a_drain_closes_with_1012_and_nothing_before_it() {
    let mut cluster = Cluster::start(1, 1).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = cluster.client(0).await;
        client.join("topics:a").await;
        client.expect_silence().await;
        clients.push(client);
    }
    cluster.gateways[0].node.drain();
    for client in &mut clients {
        assert!(matches!(client.next().await, Got::Close(1012, _)), "{}", client.shown());
        assert!(matches!(client.next().await, Got::End(_)));
    }
    cluster.gateways[0].node.ended().await;
}

#[tokio::test]
async fn a_drain_sends_clients_away_over_time_and_not_at_once() {
    let change = |settings: &mut campanile_gateway::Settings| settings.drain = Duration::from_secs(2);
    let mut cluster = Cluster::start_with(1, 1, change, |_| {}).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(cluster.client(0).await);
    }
    cluster.gateways[0].node.drain();
    let start = tokio::time::Instant::now();
    let mut times = Vec::new();
    for client in &mut clients {
        assert_eq!(client.close_code().await, 1012);
        times.push(start.elapsed());
    }
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*last - *first >= Duration::from_secs(1), "{times:?}");
    assert!(*last < Duration::from_secs(5), "{times:?}");
    cluster.gateways[0].node.ended().await;
}

#[tokio::test]
async fn while_draining_no_client_is_accepted() {
    let mut cluster = Cluster::start(1, 1).await;
    let address = cluster.gateways[0].address;
    cluster.gateways[0].node.drain();
    cluster.gateways[0].node.ended().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_with_1013_and_nobody_waits_for_it() {
    let change = |settings: &mut campanile_gateway::Settings| {
        settings.client.outbox = 64 * 1024;
        settings.client.send_buffer = 4096;
    };
    let cluster = Cluster::start_with(1, 1, change, |_| {}).await;
    let address = cluster.gateways[0].address;
    let mut slow = Client::open(address, "?vsn=2.0.0", Some(4096)).await;
    let mut quick = cluster.client(0).await;
    slow.join("topics:a").await;
    let join_ref = quick.join("topics:a").await;
    let payload = json!({"x": "y".repeat(8 * 1024)});
    // Its channel is gone as soon as it is cut.
    let channels = || cluster.gateways[0].metrics.channels.get();
    let mut published = 0;
    while channels() == 2 {
        quick.publish("topics:a", "event", payload.clone()).await;
        quick.expect_event(&join_ref, "topics:a", "event", payload.clone()).await;
        published += 1;
        assert!(published < 3000, "the slow client is never closed");
    }
    assert_eq!(slow.close_code().await, 1013);
    quick.publish("topics:a", "event", json!({})).await;
    quick.expect_event(&join_ref, "topics:a", "event", json!({})).await;
}

#[tokio::test]
async fn a_clients_own_close_is_answered_with_its_code() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    let cluster = Cluster::start(1, 1).await;
    let address = cluster.gateways[0].address;
    for code in [1000_u16, 1001, 3000, 4999] {
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/socket/websocket?vsn=2.0.0");
        let (mut socket, _) = tokio_tungstenite::client_async(url, tcp).await.unwrap();
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        socket.send(Message::Close(Some(frame))).await.unwrap();
        let answer = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap();
        let Some(Ok(Message::Close(Some(frame)))) = answer else { panic!("{answer:?}") };
        assert_eq!(u16::from(frame.code), code);
    }
    let sessions = async || equal(cluster.gateways[0].metrics.sessions.get(), 0);
    eventually("all sessions are over", DEADLINE, sessions).await;
}

#[tokio::test]
async fn who_goes_without_a_word_leaves_nothing_behind() {
    let cluster = Cluster::start(1, 1).await;
    let mut client = cluster.client(0).await;
    client.join("topics:a").await;
    client.join("topics:b").await;
    assert_eq!(cluster.gateways[0].metrics.channels.get(), 2);
    drop(client);
    let metrics = &cluster.gateways[0].metrics;
    let gone = async || equal((metrics.sessions.get(), metrics.channels.get()), (0, 0));
    eventually("session and channels are gone", DEADLINE, gone).await;
    let subscriptions = async || equal(cluster.topic_servers[0].metrics.subscriptions.get(), 0);
    eventually("the subscriptions are gone after the linger", DEADLINE, subscriptions).await;
}
