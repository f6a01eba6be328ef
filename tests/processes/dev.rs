//! `campanile dev`: a whole cluster in one process.

use std::net::SocketAddr;

use serde_json::json;

use crate::harness::folder::Folder;
use crate::harness::process::{Process, campanile, start};
use crate::harness::redis::RedisClient;
use crate::harness::{Client, DEADLINE, eventually, http};

/// The addresses of all `listening gateway` lines, once there are so many.
async fn gateways(dev: &Process, count: usize) -> Vec<std::net::SocketAddr> {
    let all = async || {
        let lines = dev.stdout();
        let lines = lines.lines().filter_map(|line| line.strip_prefix("listening gateway "));
        let all: Vec<_> = lines.map(|address| address.parse().unwrap()).collect();
        if all.len() == count && dev.stdout().contains("Ctrl-C") { Ok(all) } else { Err(dev.shown()) }
    };
    eventually("all gateways listen", DEADLINE, all).await
}

#[tokio::test]
async fn the_main_job_works_as_the_readme_says() {
    let folder = Folder::new();
    let dev = start(folder.path(), &["dev", "--port", "0"]);
    let addresses = gateways(&dev, 2).await;
    let topic_servers =
        dev.stdout().lines().filter(|line| line.starts_with("listening topic-server ")).count();
    assert_eq!(topic_servers, 2);
    for address in &addresses {
        assert!(
            dev.stdout().contains(&format!("ws://{address}/socket/websocket?vsn=2.0.0")),
            "{}",
            dev.stdout()
        );
    }
    assert!(dev.stdout().contains(&format!("http://{}/", addresses[0])));
    // The lines to type are exactly those printed.
    let typed: Vec<String> =
        dev.stdout().lines().map(str::trim).filter(|line| line.starts_with('[')).map(str::to_owned).collect();
    let [join, publish] = &typed[..] else { panic!("{typed:?}") };
    let mut clients = vec![Client::connect(addresses[0]).await, Client::connect(addresses[1]).await];
    for client in &mut clients {
        client.send(join).await;
        client
            .expect(json!(["1", "1", "topics:matrix", "phx_reply", {"status": "ok", "response": {}}]))
            .await;
    }
    clients[1].send(publish).await;
    clients[1]
        .expect(json!(["1", "1", "topics:matrix", "phx_reply", {"status": "ok", "response": {}}]))
        .await;
    for client in &mut clients {
        client
            .expect(json!(["1", null, "topics:matrix", "event", {"message": "red pill or blue pill?"}]))
            .await;
        client.expect_silence().await;
    }
    assert_eq!(http::get(addresses[0], "/").await.status, 200);
}

#[tokio::test]
async fn the_redis_front_works_as_the_readme_says() {
    let folder = Folder::new();
    let dev = start(folder.path(), &["dev", "--port", "0", "--redis-port", "0"]);
    gateways(&dev, 2).await;
    let lines = dev.stdout();
    let listening: Vec<SocketAddr> = lines
        .lines()
        .filter_map(|line| line.strip_prefix("listening redis "))
        .map(|address| address.parse().unwrap())
        .collect();
    let [first, second] = listening[..] else { panic!("{lines}") };
    // The lines to type name these ports.
    for line in [
        format!("redis-cli -p {} SUBSCRIBE news", first.port()),
        format!("redis-cli -p {} PUBLISH news hello", second.port()),
    ] {
        assert!(lines.contains(&line), "{lines}");
    }
    let mut subscriber = RedisClient::connect(first).await;
    assert_eq!(subscriber.ask("SUBSCRIBE news").await, "*[$subscribe $news :1]");
    let mut publisher = RedisClient::connect(second).await;
    assert_eq!(publisher.ask("PUBLISH news hello").await, ":1");
    subscriber.expect("*[$message $news $hello]").await;
}

#[tokio::test]
async fn no_subcommand_is_dev() {
    let folder = Folder::new();
    let mut command = campanile(&[]);
    let dev = Process::spawn(
        command.current_dir(folder.path()).env("CAMPANILE_PORT", "0").env("CAMPANILE_GATEWAYS", "3"),
    );
    assert_eq!(gateways(&dev, 3).await.len(), 3);
}
