//! Ten edits of the ring file while `bench check` runs against the cluster: with real processes, nothing is lost,
//! doubled or reordered, and nobody is told of a loss.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::ring_of;
use crate::harness::folder::Folder;
use crate::harness::process::{Process, campanile, start};
use crate::harness::{equal, eventually, http};

/// How long a whole edit may take, and anything else here: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many publishes are acknowledged between two edits.
const BETWEEN: u64 = 150;

/// One process of the cluster.
struct Role {
    process: Process,
    admin: SocketAddr,
    role: &'static str,
}

impl Role {
    async fn start(folder: &Folder, role: &'static str, arguments: &[&str]) -> Self {
        let arguments = [&[role, "--ring", "ring.toml", "--admin", "127.0.0.1:0"], arguments].concat();
        let process = start(folder.path(), &arguments);
        let admin = process.listening("admin").await;
        Self { process, admin, role }
    }

    /// The sum of all samples of a metric of this role.
    async fn metric(&self, name: &str) -> u64 {
        let name = format!("campanile_{}_{name}", self.role.replace('-', "_"));
        let body = http::get(self.admin, "/metrics").await.body;
        let is_it = |line: &&str| line.strip_prefix(&*name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let samples: Vec<_> = body.lines().filter(is_it).collect();
        assert!(!samples.is_empty(), "no {name} in {body}");
        let value = |line: &&str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        samples.iter().map(value).sum()
    }
}

/// Five topic servers, of which the ring has two, and two gateways.
struct Running {
    folder: Folder,
    topic_servers: Vec<Role>,
    gateways: Vec<Role>,
    addresses: Vec<String>,
    version: u64,
}

impl Running {
    async fn start() -> Self {
        let folder = Folder::new();
        let addresses: Vec<_> = (0..5).map(|_| folder.address()).collect();
        folder.write("ring.toml", &ring_of(1, &[("ts-a", &addresses[0]), ("ts-b", &addresses[1])]));
        let mut topic_servers = Vec::new();
        for (letter, address) in ('a'..).zip(&addresses) {
            let arguments = ["--name", &format!("ts-{letter}"), "--listen", address];
            topic_servers.push(Role::start(&folder, "topic-server", &arguments).await);
        }
        let mut gateways = Vec::new();
        for _ in 0..2 {
            gateways.push(Role::start(&folder, "gateway", &["--listen", "127.0.0.1:0"]).await);
        }
        let running = Self { folder, topic_servers, gateways, addresses, version: 1 };
        for role in running.all() {
            let ready = async || equal(http::get(role.admin, "/readyz").await.status, 200);
            eventually("it is ready", PATIENCE, ready).await;
        }
        running
    }

    fn all(&self) -> impl Iterator<Item = &Role> {
        self.topic_servers.iter().chain(&self.gateways)
    }

    async fn acknowledged(&self) -> u64 {
        let mut sum = 0;
        for server in &self.topic_servers {
            sum += server.metric("publishes_accepted_total").await;
        }
        sum
    }

    /// Under this ring everything goes on.
    async fn goes_on(&self) {
        let before = self.acknowledged().await;
        let more = async || {
            let now = self.acknowledged().await;
            if now >= before + BETWEEN { Ok(()) } else { Err((before, now)) }
        };
        eventually("publishes go on", PATIENCE, more).await;
    }

    /// Edits the file as people do; everybody reads it, and all that is to move moves.
    async fn edit(&mut self, arguments: &[&str]) {
        let path = self.folder.path().join("ring.toml");
        let (command, rest) = arguments.split_first().unwrap();
        let arguments = [&["ring", command, path.to_str().unwrap()], rest].concat();
        let output = campanile(&arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        self.version += 1;
        for role in self.all() {
            let adopted = async || equal(role.metric("ring_version").await, self.version);
            eventually("the edit is adopted", PATIENCE, adopted).await;
        }
        for server in &self.topic_servers {
            let done = async || equal(server.metric("handoffs_open").await, 0);
            eventually("nothing is left to hand over", PATIENCE, done).await;
        }
        self.goes_on().await;
    }
}

#[tokio::test]
async fn ten_edits_under_load_lose_nothing_and_nobody_is_told_of_a_loss() {
    let mut running = Running::start().await;
    let mut urls = Vec::new();
    for gateway in &running.gateways {
        urls.push(gateway.process.listening("gateway").await.to_string());
    }
    let mut check = start(
        running.folder.path(),
        &[
            &["bench", "check", "--publishers", "20", "--subscribers", "100", "--churn", "0.33"][..],
            // It runs until the edits are done.
            &["--topics", "20", "--rate", "200", "--seconds", "600", "--lossless", "--json"],
            &["--url", &urls[0], "--url", &urls[1]],
        ]
        .concat(),
    );
    running.goes_on().await;
    let [_, b, c, d, e] = running.addresses.clone().try_into().unwrap();
    for edit in [
        &["add", "ts-c", &c][..],
        &["add", "ts-d", &d],
        &["add", "ts-e", &e],
        &["set", "ts-a", "--weight", "3"],
        &["remove", "ts-b"],
        &["remove", "ts-c"],
        &["set", "ts-a", "--weight", "1"],
        &["add", "ts-b", &b],
        &["remove", "ts-d"],
        &["remove", "ts-e"],
    ] {
        running.edit(edit).await;
    }
    assert_eq!(running.version, 11);
    assert!(check.runs(), "{}", check.shown());
    check.signal(Signal::INT);
    assert_eq!(check.code().await, 0, "{}", check.shown());

    let read = async || serde_json::from_str::<Value>(&check.stdout());
    let report = eventually("the report is read", PATIENCE, read).await;
    let results = &report["results"];
    for nothing in ["given_up", "unanswered", "repeated_in_new_epoch", "not_recovered", "notices"] {
        assert_eq!(results[nothing], 0.0, "{nothing}: {report}");
    }
    assert_eq!(results["epochs"], 20.0, "one of each topic: {report}");
    assert!(results["recovered"].as_f64() > Some(0.0), "nobody came and went: {report}");
    let (mut moved, mut taken, mut forced) = (0, 0, 0);
    for server in &running.topic_servers {
        moved += server.metric("topics_moved_total").await;
        taken += server.metric("topics_taken_total").await;
        forced += server.metric("handoffs_forced_total").await;
    }
    assert!(moved > 0, "no topic moved");
    assert_eq!((taken, forced), (moved, 0));
}
