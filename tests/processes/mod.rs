//! The binary: both roles as processes of their own.

mod admin;
mod bad_settings;
mod broken_output;
mod config_file;
mod dev;
mod limits;
mod ring_command;
mod ring_edits;
mod ring_file;
mod settings;
mod signals;
mod standby;
mod start_order;
mod starting;
mod taken_port;

use crate::harness::folder::Folder;
use crate::harness::process::{Process, start};

/// The topic server ts-a on a free port, and a ring file, version 2, that names it there.
async fn one_topic_server(folder: &Folder) -> (Process, String) {
    let address = folder.address();
    let ring = folder.write("ring.toml", &ring_of(2, &[("ts-a", &address)]));
    let server = start(folder.path(), &["topic-server", "--name", "ts-a", "--ring", &ring]);
    assert_eq!(server.listening("topic-server").await.to_string(), address);
    (server, ring)
}

/// The text of a ring file.
fn ring_of(version: u64, members: &[(&str, &str)]) -> String {
    let mut text = format!("version = {version}\nvirtual_nodes = 64\n");
    for (name, address) in members {
        text += &format!("[[topic_server]]\nname = \"{name}\"\naddress = \"{address}\"\n");
    }
    text
}

/// A gateway on a free port that follows this ring.
fn start_gateway(folder: &Folder, ring: &str, more: &[&str]) -> Process {
    let arguments = ["gateway", "--listen", "127.0.0.1:0", "--ring", ring];
    start(folder.path(), &[&arguments, more].concat())
}
