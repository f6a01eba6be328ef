//! Flag over variable over file, and `--version`.

use std::time::Duration;

use super::ring_of;
use crate::harness::folder::Folder;
use crate::harness::process::{Process, campanile};
use crate::harness::{Client, Got};

/// The largest frame that a gateway with these settings takes: 2,000 and 3,000 bytes are tried.
async fn takes(config: Option<&str>, variable: Option<&str>, flag: Option<&str>) -> (bool, bool) {
    let folder = Folder::new();
    folder.write("ring.toml", &ring_of(1, &[("ts-a", "127.0.0.1:1")]));
    let mut command = campanile(&["gateway"]);
    command.current_dir(folder.path()).env("CAMPANILE_LISTEN", "127.0.0.1:0");
    if let Some(config) = config {
        command.env("CAMPANILE_CONFIG", folder.write("campanile.toml", &format!("max_frame = {config}\n")));
    }
    if let Some(variable) = variable {
        command.env("CAMPANILE_MAX_FRAME", variable);
    }
    if let Some(flag) = flag {
        command.args(["--max-frame", flag]);
    }
    let gateway = Process::spawn(&mut command);
    let address = gateway.listening("gateway").await;
    let mut results = Vec::new();
    for bytes in [2000, 3000] {
        let mut client = Client::connect(address).await;
        let empty = r#"[null,"1","phoenix","heartbeat",""]"#;
        client.send(empty.replace(r#""""#, &format!("\"{}\"", "x".repeat(bytes - empty.len())))).await;
        results.push(matches!(client.next().await, Got::Text(_)));
    }
    (results[0], results[1])
}

#[tokio::test]
async fn flag_over_variable_over_file_over_default() {
    assert_eq!(takes(None, None, None).await, (true, true));
    assert_eq!(takes(Some("1024"), None, None).await, (false, false));
    assert_eq!(takes(Some("1024"), Some("2500"), None).await, (true, false));
    assert_eq!(takes(Some("1024"), Some("2500"), Some("4000")).await, (true, true));
    assert_eq!(takes(None, Some("4000"), Some("1024")).await, (false, false));
}

#[tokio::test]
async fn version_names_release_commit_and_link_version() {
    let output = campanile(&["--version"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.starts_with(concat!("campanile ", env!("CARGO_PKG_VERSION"), " ")), "{text}");
    assert!(
        text.contains("commit") && text.contains(&format!("link version {}", campanile_proto::LINK_VERSION)),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
}

#[tokio::test]
async fn help_names_the_settings_with_defaults_and_variables() {
    for (role, words) in [
        ("gateway", ["--max-frame", "CAMPANILE_MAX_FRAME", "256 KiB", "127.0.0.1:4000"]),
        ("topic-server", ["--link-outbox", "CAMPANILE_LINK_OUTBOX", "8 MiB", "--drain-seconds"]),
        ("dev", ["--gateways", "CAMPANILE_PORT", "4000", "--topic-servers"]),
    ] {
        let output = campanile(&[role, "--help"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for word in words {
            assert!(text.contains(word), "{role}: no {word} in {text}");
        }
    }
}

#[tokio::test]
async fn drain_seconds_bound_an_orderly_end() {
    use rustix::process::Signal;
    let folder = Folder::new();
    folder.write("ring.toml", &ring_of(1, &[("ts-a", "127.0.0.1:1")]));
    let mut command = campanile(&["gateway", "--listen", "127.0.0.1:0", "--drain-seconds", "1"]);
    let mut gateway = Process::spawn(command.current_dir(folder.path()));
    let address = gateway.listening("gateway").await;
    // Clients that never answer a close, nor read it.
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Client::connect(address).await);
    }
    let start = tokio::time::Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.code().await, 0);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    for client in &mut clients {
        assert_eq!(client.close_code().await, 1012);
    }
}
