//! What a process says when it starts.

use super::ring_of;
use crate::harness::folder::Folder;
use crate::harness::process::{Process, campanile, start};

fn folder_with_ring() -> Folder {
    let folder = Folder::new();
    folder.write("ring.toml", &ring_of(1, &[("ts-a", "127.0.0.1:1")]));
    folder
}

#[tokio::test]
async fn each_listener_is_one_line_on_stdout_and_logs_go_to_stderr_as_json() {
    let folder = folder_with_ring();
    let gateway = start(folder.path(), &["gateway", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    gateway.listening("gateway").await;
    gateway.listening("admin").await;
    gateway.says("no link").await;
    assert_eq!(gateway.stdout().lines().count(), 2, "{}", gateway.stdout());
    for line in gateway.stderr().lines() {
        let log: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(log["level"].is_string() && log["timestamp"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn a_listener_that_others_can_reach_is_warned_of() {
    let folder = folder_with_ring();
    let gateway = start(folder.path(), &["gateway", "--listen", "0.0.0.0:0"]);
    gateway.says("can be reached from other machines").await;
    let gateway = start(folder.path(), &["gateway", "--listen", "127.0.0.1:0"]);
    gateway.says("no link").await;
    assert!(!gateway.stderr().contains("can be reached"), "{}", gateway.stderr());
}

#[tokio::test]
async fn few_open_files_are_warned_of_with_the_connections_that_they_allow() {
    let folder = folder_with_ring();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 300; exec \"$0\" gateway --listen 127.0.0.1:0"]);
    command.arg(campanile(&[]).get_program()).current_dir(folder.path());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let gateway = Process::spawn(&mut command);
    gateway.listening("gateway").await;
    let line = gateway.stderr();
    let line = line.lines().find(|line| line.contains("WARN") && line.contains("open-files limit"));
    assert!(line.is_some_and(|line| line.contains("connections")), "{}", gateway.shown());
}
