//! The ring file as people edit it while everything runs.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use campanile_proto::FromTopicServer;
use campanile_proto::message::Rings;
use campanile_ring_config::Ring;
use serde_json::Value;
use tokio::time::Instant;

use super::{ring_of, start_gateway};
use crate::harness::fake_topic_server::FakeTopicServer;
use crate::harness::folder::Folder;
use crate::harness::process::{Process, start};
use crate::harness::{Client, DEADLINE, equal, eventually, http};

/// How long an edit may take to be adopted: 1 s, and what a busy machine adds.
const ADOPTED_WITHIN: Duration = Duration::from_millis(2500);

/// A gateway and a topic server that follow the same file, of version 2.
struct Running {
    folder: Folder,
    server: Role,
    gateway: Role,
    client: Client,
    /// Of the topic server.
    address: String,
}

/// One of the two processes.
struct Role {
    process: Process,
    admin: SocketAddr,
    /// Of its metrics.
    prefix: &'static str,
}

async fn running() -> Running {
    let folder = Folder::new();
    let address = folder.address();
    let ring = folder.write("ring.toml", &ring_of(2, &[("ts-a", &address)]));
    let arguments = ["topic-server", "--name", "ts-a", "--ring", &ring, "--admin", "127.0.0.1:0"];
    let server = Role::new(start(folder.path(), &arguments), "campanile_topic_server").await;
    let gateway = start_gateway(&folder, &ring, &["--admin", "127.0.0.1:0"]);
    let gateway = Role::new(gateway, "campanile_gateway").await;
    let mut client = Client::connect(gateway.process.listening("gateway").await).await;
    client.join("room").await;
    for role in [&server, &gateway] {
        let ready = async || equal(http::get(role.admin, "/readyz").await.status, 200);
        eventually("it is ready", DEADLINE, ready).await;
    }
    Running { folder, server, gateway, client, address }
}

impl Running {
    fn ring(&self, version: u64) -> String {
        ring_of(version, &[("ts-a", &self.address), ("ts-z", "127.0.0.1:1")])
    }

    fn roles(&self) -> [&Role; 2] {
        [&self.server, &self.gateway]
    }

    async fn adopts(&self, version: u64) {
        let start = Instant::now();
        for role in self.roles() {
            role.adopts(version).await;
        }
        assert!(start.elapsed() < ADOPTED_WITHIN, "took {:?}", start.elapsed());
    }

    /// Both have refused more files than so many, and say so with these words; they go on under version 2 and are
    /// ready. Returns how many they have refused.
    async fn refuse(&mut self, before: [u64; 2], words: &str) -> [u64; 2] {
        let mut refused = before;
        for (role, refused) in self.roles().into_iter().zip(&mut refused) {
            *refused = role.refuses_more_than(*refused).await;
            role.process.says(words).await;
            assert!(role.process.stderr().contains("ring file refused, the ring in force stays"));
            assert_eq!(role.version().await, 2);
            assert_eq!(http::get(role.admin, "/readyz").await.status, 200, "{words}");
        }
        self.client.publish("room", "event", serde_json::json!({})).await;
        self.client.json().await;
        refused
    }
}

impl Role {
    async fn new(process: Process, prefix: &'static str) -> Self {
        let admin = process.listening("admin").await;
        Self { process, admin, prefix }
    }

    async fn version(&self) -> u64 {
        let body = http::get(self.admin, "/readyz").await.body;
        let body: Value = serde_json::from_str(&body).unwrap();
        body["ring_version"].as_u64().unwrap()
    }

    async fn adopts(&self, version: u64) {
        let adopted = async || equal(self.version().await, version);
        eventually("the edit is adopted", DEADLINE, adopted).await;
    }

    async fn refused(&self) -> u64 {
        metric(self.admin, &format!("{}_rings_refused_total", self.prefix)).await
    }

    async fn refuses_more_than(&self, before: u64) -> u64 {
        let counted = async || {
            let now = self.refused().await;
            if now > before { Ok(now) } else { Err(format!("{now} by {}", self.prefix)) }
        };
        eventually("the refusal is counted", DEADLINE, counted).await
    }
}

/// The value of the only sample of this metric.
async fn metric(admin: SocketAddr, name: &str) -> u64 {
    let body = http::get(admin, "/metrics").await.body;
    let line =
        body.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {body}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_edit_in_place_and_a_rename_over_the_file_are_adopted_within_a_second() {
    let mut running = running().await;
    running.adopts(2).await;
    running.folder.write("ring.toml", &running.ring(3));
    running.adopts(3).await;
    let new = running.folder.write("ring.toml.new", &running.ring(4));
    fs::rename(new, running.folder.path().join("ring.toml")).unwrap();
    running.adopts(4).await;
    // The folder is still followed after the rename.
    running.folder.write("ring.toml", &running.ring(5));
    running.adopts(5).await;
    for role in running.roles() {
        assert_eq!(role.refused().await, 0);
    }
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
    let half = running.ring(3);
    let half = &half[..half.len() - 8];
    let mut refused = [0; 2];
    for (bad, words) in [
        ("nonsense", "ring.toml:1"),
        ("", "version"),
        (half, "not TOML"),
        (&running.ring(1), "version 1 is lower than version 2"),
        (&running.ring(2), "version 2 is in force with other content"),
        (&ring_of(9, &[("ts-a", &running.address), ("ts-a", "127.0.0.1:1")]), "ring.toml:7"),
    ] {
        running.folder.write("ring.toml", bad);
        refused = running.refuse(refused, words).await;
    }
    running.folder.write("ring.toml", &running.ring(3));
    running.adopts(3).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_changes_nothing_and_is_counted() {
    let mut running = running().await;
    let path = running.folder.path().join("ring.toml");
    fs::remove_file(&path).unwrap();
    let refused = running.refuse([0; 2], "cannot be read").await;
    fs::write(&path, b"version = 3\n\xff").unwrap();
    let refused = running.refuse(refused, "not UTF-8").await;
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    running.refuse(refused, "not a plain file").await;
    fs::remove_dir(&path).unwrap();
    running.folder.write("ring.toml", &running.ring(3));
    running.adopts(3).await;
}

/// R1: its own file still holds the older ring.
#[tokio::test]
async fn a_gateway_adopts_the_newer_ring_of_a_member_when_its_file_does_not_bring_it() {
    let mut fake = FakeTopicServer::listen().await;
    let folder = Folder::new();
    let address = fake.address.to_string();
    let text = |version| ring_of(version, &[("ts-a", &address)]);
    let ring = |version| Ring::parse("ring.toml", &text(version)).unwrap();
    let path = folder.write("ring.toml", &text(2));
    let gateway = start_gateway(&folder, &path, &["--admin", "127.0.0.1:0"]);
    let gateway = Role::new(gateway, "campanile_gateway").await;
    let link = fake.link().await;
    link.welcome(&ring(2), 9).await;
    let rings = Rings { newest: ring(7).to_toml(), previous: Vec::new(), clean: Vec::new(), starting: false };
    link.send(vec![FromTopicServer::Rings(rings)]).await;
    gateway.adopts(7).await;
    gateway
        .process
        .says("ring of version 7 was adopted from a topic server; the file still holds an older")
        .await;
    folder.write("ring.toml", &text(4));
    gateway.process.says("the ring file is still older than the ring in force").await;
    folder.write("ring.toml", &text(7));
    gateway.process.says("the ring file holds the ring in force again").await;
    assert_eq!(gateway.refused().await, 0);
    assert_eq!(gateway.version().await, 7);
}
