//! A topic server that the ring does not name, and has `--listen`.

use serde_json::{Value, json};

use super::{ring_of, start_gateway};
use crate::harness::folder::Folder;
use crate::harness::process::start;
use crate::harness::{Client, DEADLINE, equal, eventually, http};

#[tokio::test]
async fn it_warns_and_waits_and_takes_topics_when_an_edit_names_it() {
    let folder = Folder::new();
    let ring = folder.write("ring.toml", &ring_of(1, &[("nobody", "127.0.0.1:1")]));
    let arguments = [
        "topic-server",
        "--name",
        "ts-x",
        "--ring",
        &ring,
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    let server = start(folder.path(), &arguments);
    let address = server.listening("topic-server").await;
    let admin = server.listening("admin").await;
    server.says("standby").await;
    let state = async || -> Value { serde_json::from_str(&http::get(admin, "/readyz").await.body).unwrap() };
    assert_eq!(state().await["standby"], true);
    let gateway = start_gateway(&folder, &ring, &[]);
    let mut client = Client::connect(gateway.listening("gateway").await).await;
    folder.write("ring.toml", &ring_of(2, &[("ts-x", &address.to_string())]));
    // Whoever had the topic under the first ring never ran: that is certain when nobody has seen it for 5 s (H4).
    let joined = async || {
        let reference = client.ask_to_join("room").await;
        equal(client.reply(&reference).await["status"].clone(), json!("ok"))
    };
    eventually("the topic is open", 2 * DEADLINE, joined).await;
    client.publish("room", "event", json!({})).await;
    let standby = async || equal(state().await["standby"].clone(), json!(false));
    eventually("it is a member", DEADLINE, standby).await;
}
