//! Nobody reads what a process writes: it goes on.

use std::fs::OpenOptions;
use std::process::Stdio;

use super::{one_topic_server, ring_of};
use crate::harness::folder::Folder;
use crate::harness::process::{Process, campanile};
use crate::harness::{Client, DEADLINE, eventually};
use rustix::process::Signal;

#[tokio::test]
async fn a_closed_stdout_ends_nobody() {
    let folder = Folder::new();
    let (_server, ring) = one_topic_server(&folder).await;
    // It cannot say where it listens.
    let listen = folder.address();
    let mut command = campanile(&["gateway", "--listen", &listen, "--ring", &ring]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut gateway = Process::spawn(command.stdout(writer));
    drop(command);
    works(&mut gateway, &listen).await;
}

#[tokio::test]
async fn a_full_stderr_ends_nobody() {
    let folder = Folder::new();
    let (_server, ring) = one_topic_server(&folder).await;
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = campanile(&["gateway", "--listen", "127.0.0.1:0", "--ring", &ring, "--log", "trace"]);
    let mut gateway = Process::spawn(command.stderr(full));
    let listen = gateway.listening("gateway").await.to_string();
    works(&mut gateway, &listen).await;
}

#[tokio::test]
async fn a_full_stderr_does_not_change_an_exit_code() {
    let folder = Folder::new();
    let ring = folder.write("ring.toml", &ring_of(1, &[("ts-a", "127.0.0.1:1")]));
    for (arguments, code) in [
        (vec!["gateway", "--ring", &ring, "--max-frame", "x"], 2),
        (vec!["topic-server", "--ring", &ring, "--name", "other"], 2),
        (vec!["ring", "check", "missing.toml"], 2),
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut process = Process::spawn(campanile(&arguments).stderr(full).stdout(Stdio::null()));
        assert_eq!(process.code().await, code, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_full_stdout_is_a_failure_of_a_command_that_prints() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let folder = Folder::new();
    let ring = folder.write("ring.toml", &ring_of(1, &[("ts-a", "127.0.0.1:1")]));
    let mut process = Process::spawn(campanile(&["ring", "show", &ring]).stdout(full));
    assert_eq!(process.code().await, 1);
    process.says("stdout").await;
}

async fn works(gateway: &mut Process, listen: &str) {
    let address = listen.parse().unwrap();
    let connects = async || tokio::net::TcpStream::connect(listen).await;
    eventually("it listens", DEADLINE, connects).await;
    let mut client = Client::connect(address).await;
    client.join("room").await;
    client.send("not json").await;
    assert_eq!(client.close_code().await, 1011);
    gateway.signal(Signal::HUP);
    Client::connect(address).await.join("room").await;
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.code().await, 0, "{}", gateway.shown());
}
