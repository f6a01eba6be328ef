//! When a gateway calls itself ready.

use serde_json::{Value, json};

use crate::harness::{Cluster, DEADLINE, equal, eventually};

fn state(cluster: &Cluster) -> (bool, Value) {
    let readiness = (cluster.gateways[0].ready)();
    (readiness.ready, serde_json::from_str(&readiness.body).unwrap())
}

#[tokio::test]
async fn it_is_with_all_links_and_stays_so_without_one_and_not_without_any() {
    let mut cluster = Cluster::start(1, 2).await;
    let (ready, body) = state(&cluster);
    assert!(ready);
    assert_eq!(body["missing"], json!([]));
    assert_eq!(body["ring_version"], 1);
    cluster.kill_topic_server(0).await;
    let missing = async || equal(state(&cluster).1["missing"].clone(), json!(["ts-a"]));
    eventually("the missing member is named", DEADLINE, missing).await;
    assert!(state(&cluster).0);
    cluster.kill_topic_server(1).await;
    let unready = async || equal(state(&cluster).0, false);
    eventually("not ready without any link", DEADLINE, unready).await;
    cluster.restart_topic_server(1).await;
    let ready = async || equal(state(&cluster).0, true);
    eventually("ready again", DEADLINE, ready).await;
}

#[tokio::test]
async fn a_drain_ends_it_at_once() {
    let cluster = Cluster::start(1, 1).await;
    assert!(state(&cluster).0);
    cluster.gateways[0].node.drain();
    assert!(!state(&cluster).0);
}

#[tokio::test]
async fn an_edit_that_adds_a_member_out_of_reach_does_not_end_it() {
    let mut cluster = Cluster::start(1, 1).await;
    let absent = cluster.add_topic_server("ts-z").await;
    cluster.kill_topic_server(absent).await;
    assert!(state(&cluster).0);
    cluster.edit_ring(&[0, absent]);
    let named = async || {
        let (ready, body) = state(&cluster);
        assert!(ready, "{body}");
        equal(body["missing"].clone(), json!(["ts-z"]))
    };
    eventually("the missing member is named", DEADLINE, named).await;
}
