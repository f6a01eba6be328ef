//! How processes end, and SIGHUP.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::{one_topic_server, ring_of, start_gateway};
use crate::harness::folder::Folder;
use crate::harness::{Client, Got};

#[tokio::test]
async fn sigterm_and_sigint_end_a_topic_server_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::new();
        let (mut server, ring) = one_topic_server(&folder).await;
        let gateway = start_gateway(&folder, &ring, &[]);
        let mut client = Client::connect(gateway.listening("gateway").await).await;
        client.join("room").await;
        let start = Instant::now();
        server.signal(signal);
        assert_eq!(server.code().await, 0, "{}", server.shown());
        // It ends when its links have, not when its time is up.
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        client.expect_silence().await;
    }
}

#[tokio::test]
async fn sigterm_sends_a_gateways_clients_away_with_1012_and_ends_it_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::new();
        let (_server, ring) = one_topic_server(&folder).await;
        let mut gateway = start_gateway(&folder, &ring, &[]);
        let mut client = Client::connect(gateway.listening("gateway").await).await;
        client.join("room").await;
        let start = Instant::now();
        gateway.signal(signal);
        let next = client.next().await;
        assert!(matches!(next, Got::Close(1012, _)), "{next:?}");
        assert!(matches!(client.next().await, Got::End(_)));
        assert_eq!(gateway.code().await, 0, "{}", gateway.shown());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn without_clients_a_gateway_ends_at_once() {
    let folder = Folder::new();
    let ring = folder.write("ring.toml", &ring_of(1, &[("ts-a", "127.0.0.1:1")]));
    let mut gateway = start_gateway(&folder, &ring, &[]);
    gateway.listening("gateway").await;
    let start = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.code().await, 0);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let folder = Folder::new();
    let (_server, ring) = one_topic_server(&folder).await;
    let mut gateway = start_gateway(&folder, &ring, &["--drain-seconds", "60"]);
    let address = gateway.listening("gateway").await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(address).await;
        client.join("room").await;
        clients.push(client);
    }
    let start = Instant::now();
    gateway.signal(Signal::TERM);
    gateway.says("draining").await;
    assert!(gateway.runs());
    gateway.signal(Signal::TERM);
    let code = gateway.code().await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(code, 0, "{}", gateway.shown());
}

#[tokio::test]
async fn sighup_reads_the_ring_again_and_ends_nobody() {
    let folder = Folder::new();
    let (mut server, ring) = one_topic_server(&folder).await;
    let address = server.listening("topic-server").await.to_string();
    let mut gateway = start_gateway(&folder, &ring, &[]);
    let mut client = Client::connect(gateway.listening("gateway").await).await;
    client.join("room").await;
    folder.write("ring.toml", &ring_of(3, &[("ts-a", &address), ("ts-z", "127.0.0.1:1")]));
    for process in [&mut server, &mut gateway] {
        process.signal(Signal::HUP);
        process.says("SIGHUP").await;
        process.says(r#""ring adopted","version":3"#).await;
        assert!(process.runs());
    }
    client.expect_silence().await;
}

#[tokio::test]
async fn dev_ends_with_0_too() {
    let folder = Folder::new();
    let mut dev = crate::harness::process::start(folder.path(), &["dev", "--port", "0"]);
    let mut client = Client::connect(dev.listening("gateway").await).await;
    client.join("room").await;
    dev.signal(Signal::INT);
    assert!(matches!(client.next().await, Got::Close(1012, _)));
    assert_eq!(dev.code().await, 0, "{}", dev.shown());
}
