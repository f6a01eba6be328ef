//! A port that is taken: exit code 1, and a message that names the option.

use std::net::TcpListener;

use super::ring_of;
use crate::harness::folder::Folder;
use crate::harness::process::start;

async fn ends_with_1(arguments: &[&str], words: &[&str]) {
    let folder = Folder::new();
    let mut process = start(folder.path(), arguments);
    assert_eq!(process.code().await, 1, "{}", process.shown());
    for word in words {
        process.says(word).await;
    }
    assert!(!process.stderr().contains("panicked"), "{}", process.shown());
}

#[tokio::test]
async fn each_option_with_an_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    ends_with_1(&["gateway", "--listen", &address], &["--listen", &address]).await;
    ends_with_1(&["gateway", "--listen", "127.0.0.1:0", "--admin", &address], &["--admin", &address]).await;
    ends_with_1(&["topic-server", "--name", "ts-a", "--listen", &address], &["--listen", &address]).await;
    ends_with_1(&["gateway", "--listen", "127.0.0.1:0", "--redis", &address], &["--redis", &address]).await;
    let port = taken.local_addr().unwrap().port().to_string();
    ends_with_1(&["dev", "--port", "0", "--redis-port", &port], &["--redis-port"]).await;
    ends_with_1(&["dev", "--port", "0", "--redis-port", "65535"], &["--redis-port", "choose a lower one"])
        .await;
    let ring = Folder::new();
    let free = ring.address();
    let path = ring.write("ring.toml", &ring_of(1, &[("ts-a", &free)]));
    ends_with_1(&["dev", "--ring", &path, "--port", &port], &["--port"]).await;
}

#[tokio::test]
async fn the_rings_address_of_a_topic_server() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let ring = folder.write("ring.toml", &ring_of(1, &[("ts-a", &address)]));
    ends_with_1(&["topic-server", "--name", "ts-a", "--ring", &ring], &["ts-a", &address]).await;
    ends_with_1(&["dev", "--ring", &ring, "--port", "0"], &["ts-a", &address]).await;
}
