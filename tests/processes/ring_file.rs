//! The ring file as people edit it while everything runs.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{one_topic_server, ring_of, start_gateway};
use crate::harness::folder::Folder;
use crate::harness::process::Process;
use crate::harness::{Client, DEADLINE, equal, eventually, http};

/// How long an edit may take to be adopted: 1 s, and what a busy machine adds.
const ADOPTED_WITHIN: Duration = Duration::from_millis(2500);

struct Running {
    folder: Folder,
    _server: Process,
    gateway: Process,
    client: Client,
    /// Of the topic server.
    address: String,
    admin: std::net::SocketAddr,
}

async fn running() -> Running {
    let folder = Folder::new();
    let (server, ring) = one_topic_server(&folder).await;
    let gateway = start_gateway(&folder, &ring, &["--admin", "127.0.0.1:0"]);
    let mut client = Client::connect(gateway.listening("gateway").await).await;
    client.join("room").await;
    let address = server.listening("topic-server").await.to_string();
    let admin = gateway.listening("admin").await;
    Running { folder, _server: server, gateway, client, address, admin }
}

impl Running {
    fn ring(&self, version: u64) -> String {
        ring_of(version, &[("ts-a", &self.address), ("ts-z", "127.0.0.1:1")])
    }

    async fn version(&self) -> u64 {
        let body = http::get(self.admin, "/readyz").await.body;
        let body: Value = serde_json::from_str(&body).unwrap();
        body["ring_version"].as_u64().unwrap()
    }

    async fn adopts(&self, version: u64) {
        let start = Instant::now();
        let adopted = async || equal(self.version().await, version);
        eventually("the edit is adopted", DEADLINE, adopted).await;
        assert!(start.elapsed() < ADOPTED_WITHIN, "took {:?}", start.elapsed());
    }

    async fn refused(&self) -> u64 {
        metric(self.admin, "campanile_gateway_rings_refused_total").await
    }
}

/// The value of the only sample of this metric.
async fn metric(admin: std::net::SocketAddr, name: &str) -> u64 {
    let body = http::get(admin, "/metrics").await.body;
    let line =
        body.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {body}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_edit_in_place_and_a_rename_over_the_file_are_adopted_within_a_second() {
    let mut running = running().await;
    assert_eq!(running.version().await, 2);
    running.folder.write("ring.toml", &running.ring(3));
    running.adopts(3).await;
    let new = running.folder.write("ring.toml.new", &running.ring(4));
    std::fs::rename(new, running.folder.path().join("ring.toml")).unwrap();
    running.adopts(4).await;
    // The folder is still followed after the rename.
    running.folder.write("ring.toml", &running.ring(5));
    running.adopts(5).await;
    assert_eq!(running.refused().await, 0);
    running.client.expect_silence().await;
}

#[tokio::test]
async fn an_edit_by_the_ring_command_is_adopted() {
    let running = running().await;
    let path = running.folder.path().join("ring.toml");
    let add = ["ring", "add", path.to_str().unwrap(), "ts-y", "127.0.0.1:2"];
    assert!(crate::harness::process::campanile(&add).output().unwrap().status.success());
    running.adopts(3).await;
}

#[tokio::test]
async fn a_bad_edit_changes_nothing_and_is_counted_and_the_next_good_one_counts() {
    let mut running = running().await;
    let mut refused = 0;
    for (bad, words) in [
        ("nonsense".to_owned(), "ring.toml:1"),
        (String::new(), "version"),
        (running.ring(1), "version"),
        (running.ring(2), "version"),
        (ring_of(9, &[("ts-a", &running.address), ("ts-a", "127.0.0.1:1")]), "ring.toml:7"),
    ] {
        running.folder.write("ring.toml", &bad);
        let counted = async || {
            let now = running.refused().await;
            if now > refused { Ok(now) } else { Err(format!("{now} after {bad}")) }
        };
        refused = eventually("the refusal is counted", DEADLINE, counted).await;
        running.gateway.says(words).await;
        assert_eq!(running.version().await, 2);
        running.client.publish("room", "event", serde_json::json!({})).await;
        running.client.json().await;
    }
    assert!(running.gateway.stderr().contains("refused"));
    running.folder.write("ring.toml", &running.ring(3));
    running.adopts(3).await;
}

#[tokio::test]
async fn a_file_that_goes_away_and_comes_back() {
    let running = running().await;
    let path = running.folder.path().join("ring.toml");
    std::fs::remove_file(&path).unwrap();
    let counted = async || {
        if running.refused().await > 0 { Ok(()) } else { Err("not counted") }
    };
    eventually("the loss is counted", DEADLINE, counted).await;
    assert_eq!(running.version().await, 2);
    running.folder.write("ring.toml", &running.ring(3));
    running.adopts(3).await;
}
