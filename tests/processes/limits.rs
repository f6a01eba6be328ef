//! Limits that a process finds by itself: the open-files limit, and its memory.

use serde_json::Value;
use std::process::Command;

use super::{one_topic_server, start_gateway};
use crate::harness::folder::Folder;
use crate::harness::process::{Process, campanile};
use crate::harness::{Client, DEADLINE, equal, eventually, http};

/// The status and the body of `/readyz`.
async fn ready(process: &Process) -> (u16, Value) {
    let answer = http::get(process.listening("admin").await, "/readyz").await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

async fn metric(process: &Process, name: &str) -> String {
    let answer = http::get(process.listening("admin").await, "/metrics").await;
    let line = answer.body.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {}", answer.body)).trim().to_owned()
}

/// A process that is out of file descriptors can answer nobody: some are kept.
#[tokio::test]
async fn connections_are_refused_before_the_open_files_run_out() {
    let folder = Folder::new();
    let (_server, ring) = one_topic_server(&folder).await;
    let gateway = campanile(&["gateway", "--listen", "127.0.0.1:0", "--ring", &ring]);
    let mut limited = Command::new("sh");
    // 100 for connections, and as many for everything else.
    limited
        .args(["-c", r#"ulimit -n 200; exec "$0" "$@""#])
        .arg(gateway.get_program())
        .args(gateway.get_args());
    limited.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let gateway = Process::spawn(&mut limited);
    let address = gateway.listening("gateway").await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(Client::connect(address).await);
    }
    for _ in 0..100 {
        assert_eq!(http::get(address, "/").await.status, 503);
    }
    clients[99].join("room").await;
    drop(clients);
    let again = async || equal(http::get(address, "/").await.status, 200);
    eventually("there is room again", DEADLINE, again).await;
    assert!(!gateway.stderr().contains("cannot accept"), "{}", gateway.shown());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_above_its_watermark_says_so_and_refuses() {
    let folder = Folder::new();
    let (_server, ring) = one_topic_server(&folder).await;
    // No process is so small.
    let more = ["--admin", "127.0.0.1:0", "--memory-watermark", "1 MiB"];
    let gateway = start_gateway(&folder, &ring, &more);
    gateway.says("memory is short").await;
    let (status, body) = ready(&gateway).await;
    assert_eq!((status, &body["memory_short"]), (503, &Value::Bool(true)));
    assert_eq!(http::get(gateway.listening("gateway").await, "/").await.status, 503);
    assert_eq!(metric(&gateway, "process_memory_watermark_bytes ").await, "1048576");
    assert_eq!(metric(&gateway, "process_memory_pressure ").await, "1");
    assert_eq!(metric(&gateway, "process_memory_crossings_total ").await, "1");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn by_default_the_watermark_is_below_what_the_machine_has_and_zero_is_none() {
    let folder = Folder::new();
    let (_server, ring) = one_topic_server(&folder).await;
    let gateway = start_gateway(&folder, &ring, &["--admin", "127.0.0.1:0"]);
    let watermark: u64 = metric(&gateway, "process_memory_watermark_bytes ").await.parse().unwrap();
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = meminfo.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!((1 << 20..=total * 1024 / 5 * 4).contains(&watermark), "{watermark} of {total} kB");
    let gateway = start_gateway(&folder, &ring, &["--admin", "127.0.0.1:0", "--memory-watermark", "0"]);
    assert_eq!(metric(&gateway, "process_memory_watermark_bytes ").await, "0");
    assert_eq!(metric(&gateway, "process_memory_pressure ").await, "0");
}
