//! `--config`: the rules of topics follow the file.

use serde_json::json;

use super::{one_topic_server, start_gateway};
use crate::harness::folder::Folder;
use crate::harness::{Client, DEADLINE, equal, eventually, http};

#[tokio::test]
async fn topics_that_no_pattern_matches_are_unmatched_and_an_edit_counts() {
    let folder = Folder::new();
    let (_server, ring) = one_topic_server(&folder).await;
    let config = folder.write("campanile.toml", "[[topics]]\npattern = \"room:*\"\n");
    let gateway = start_gateway(&folder, &ring, &["--config", &config, "--admin", "127.0.0.1:0"]);
    let mut client = Client::connect(gateway.listening("gateway").await).await;
    client.join("room:1").await;
    let unmatched = json!({"status": "error", "response": {"reason": "unmatched topic"}});
    let reference = client.ask_to_join("lobby").await;
    client.expect(json!([null, reference, "lobby", "phx_reply", unmatched])).await;

    folder.write("campanile.toml", "[[topics]]\npattern = \"lobby\"\n");
    let joined = async || {
        let mut client = Client::connect(gateway.listening("gateway").await).await;
        let reference = client.ask_to_join("lobby").await;
        equal(client.reply(&reference).await["status"].clone(), json!("ok"))
    };
    eventually("the new rules count", DEADLINE, joined).await;
    let reference = client.ask_to_join("room:2").await;
    assert_eq!(client.reply(&reference).await, unmatched);

    // A bad edit changes nothing and is counted.
    folder.write("campanile.toml", "[[topics]]\npattern = \"a*b\"\n");
    let admin = gateway.listening("admin").await;
    let counted = async || {
        let body = http::get(admin, "/metrics").await.body;
        let is_counted = body
            .lines()
            .any(|line| line.starts_with("campanile_gateway_configs_refused_total") && line.ends_with(" 1"));
        if is_counted { Ok(()) } else { Err(body) }
    };
    eventually("the refusal is counted", DEADLINE, counted).await;
    client.join("lobby").await;
}
