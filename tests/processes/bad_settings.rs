//! Bad settings end a process with 2 before it listens, and every fault is named.

use super::ring_of;
use crate::harness::folder::Folder;
use crate::harness::process::{Process, campanile, start};

/// It must end with 2, listen nowhere, and say all of this on stderr.
async fn ends_with_2(mut process: Process, words: &[&str]) {
    assert_eq!(process.code().await, 2, "{}", process.shown());
    let said = async || {
        let stderr = process.stderr();
        match words.iter().find(|word| !stderr.contains(**word)) {
            None => Ok(()),
            Some(word) => Err(format!("no {word:?} in {}", process.shown())),
        }
    };
    crate::harness::eventually("all faults are named", crate::harness::DEADLINE, said).await;
    assert_eq!(process.stdout(), "");
    assert!(!process.stderr().contains("panicked"), "{}", process.shown());
}

#[tokio::test]
async fn every_bad_flag_is_named_at_once() {
    let folder = Folder::new();
    let ring = folder.write("ring.toml", &ring_of(1, &[("ts-a", "127.0.0.1:1")]));
    let arguments = [
        "gateway",
        "--listen",
        "nonsense",
        "--ring",
        &ring,
        "--max-frame",
        "1",
        "--idle-seconds",
        "never",
        "--origin",
        "http://a b",
        "--admin",
        "127.0.0.1",
    ];
    let words = ["--listen", "--max-frame", "--idle-seconds", "--origin", "--admin"];
    ends_with_2(start(folder.path(), &arguments), &words).await;
}

#[tokio::test]
async fn an_unknown_flag_or_subcommand() {
    let folder = Folder::new();
    ends_with_2(start(folder.path(), &["gateway", "--lisen", "127.0.0.1:0"]), &["--lisen", "--listen"]).await;
    ends_with_2(start(folder.path(), &["gatway"]), &["gatway"]).await;
}

#[tokio::test]
async fn a_bad_variable_is_named_by_its_name() {
    let folder = Folder::new();
    let mut command = campanile(&["gateway", "--listen", "127.0.0.1:0"]);
    let command = command.current_dir(folder.path());
    let command = command.env("CAMPANILE_IDLE_SECONDS", "x").env("CAMPANILE_DRAIN_SECONDS", "99999");
    let words = ["CAMPANILE_IDLE_SECONDS", "CAMPANILE_DRAIN_SECONDS"];
    ends_with_2(Process::spawn(command), &words).await;
}

#[tokio::test]
async fn every_fault_of_a_ring_is_named_with_its_line() {
    let folder = Folder::new();
    let text = "version = 0\nvirtual_nodse = 5\n[[topic_server]]\nname = \"a\"\naddress = \"127.0.0.1:0\"\n\
                [[topic_server]]\nname = \"a\"\naddress = \"nowhere\"\nweight = 0\n";
    let ring = folder.write("bad.toml", text);
    let words =
        ["bad.toml:1", "bad.toml:2", "virtual_nodes", "bad.toml:5", "bad.toml:7", "bad.toml:8", "bad.toml:9"];
    for role in [
        &["gateway", "--listen", "127.0.0.1:0"][..],
        &["topic-server", "--name", "a"],
        &["dev", "--port", "0"],
    ] {
        ends_with_2(start(folder.path(), &[role, &["--ring", &ring]].concat()), &words).await;
    }
}

#[tokio::test]
async fn a_ring_that_is_not_there() {
    let folder = Folder::new();
    ends_with_2(start(folder.path(), &["gateway", "--ring", "missing.toml"]), &["missing.toml"]).await;
    ends_with_2(start(folder.path(), &["gateway", "--ring", "."]), &["."]).await;
}

#[tokio::test]
async fn every_fault_of_a_config_is_named_with_its_line_along_with_bad_flags() {
    let folder = Folder::new();
    let config = folder.write(
        "campanile.toml",
        "idle_secnds = 5\nmax_frame = \"huge\"\n[[topics]]\npattern = \"a*b\"\n[[topics]]\npatern = \"x\"\n",
    );
    let arguments = ["gateway", "--config", &config, "--drain-seconds", "x"];
    let words = [
        "campanile.toml:1",
        "idle_seconds",
        "campanile.toml:2",
        "campanile.toml:4",
        "campanile.toml:6",
        "--drain-seconds",
    ];
    ends_with_2(start(folder.path(), &arguments), &words).await;
}

#[tokio::test]
async fn a_topic_server_without_a_name() {
    let folder = Folder::new();
    let arguments = ["topic-server", "--listen", "127.0.0.1:0", "--link-outbox", "1"];
    ends_with_2(start(folder.path(), &arguments), &["--name", "--link-outbox"]).await;
}

#[tokio::test]
async fn a_topic_server_that_is_not_in_the_ring() {
    let folder = Folder::new();
    let ring = folder.write("ring.toml", &ring_of(1, &[("ts-a", "127.0.0.1:1"), ("ts-b", "127.0.0.1:2")]));
    let arguments = ["topic-server", "--name", "ts-x", "--ring", &ring];
    ends_with_2(start(folder.path(), &arguments), &["ts-x", "ts-a", "ts-b", "--listen"]).await;
}

#[tokio::test]
async fn a_log_filter_that_is_none() {
    let folder = Folder::new();
    ends_with_2(start(folder.path(), &["gateway", "--listen", "127.0.0.1:0", "--log", "a=b=c"]), &["--log"])
        .await;
}

#[tokio::test]
async fn the_faults_of_flags_ring_and_config_are_named_at_once() {
    let folder = Folder::new();
    let ring = folder.write("ring.toml", "version = 0\n");
    let config = folder.write("campanile.toml", "idle_secnds = 5\n");
    let flags = ["--ring", &ring, "--config", &config, "--log", "a=b=c", "--max-frame", "1"];
    let words = ["ring.toml:1", "campanile.toml:1", "idle_seconds", "--log", "--max-frame"];
    ends_with_2(start(folder.path(), &[&["gateway"], &flags[..]].concat()), &words).await;
    ends_with_2(start(folder.path(), &[&["dev", "--port", "0"], &flags[..]].concat()), &words).await;
    let topic_server = ["topic-server", "--name", "ts-a", "--history-memory", "x"];
    ends_with_2(
        start(folder.path(), &[&topic_server, &flags[..6]].concat()),
        &["ring.toml:1", "campanile.toml:1", "--log", "--history-memory"],
    )
    .await;
}
