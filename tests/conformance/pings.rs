//! Pings, pongs, and the idle time.

use std::time::Duration;

use tokio::time::Instant;

use crate::harness::transcript::transcripts;
use crate::harness::{Client, Cluster, Got};

transcripts! {
    c36_a_ping_is_answered: r#"
        A ping
        A > ["1","1",$T,"phx_join",{}]
        A < ["1","1",$T,"phx_reply",$ok]
        A ping
    "#;
}

/// Twenty times what lies between two signs of life below.
const IDLE: Duration = Duration::from_millis(1200);

async fn idle_cluster() -> Cluster {
    let change = |settings: &mut campanile_gateway::Settings| settings.client.idle = IDLE;
    Cluster::start_with(1, 1, change, |_| {}).await
}

#[tokio::test]
async fn c35_who_sends_nothing_is_closed_with_1001() {
    let cluster = idle_cluster().await;
    let start = Instant::now();
    let mut client = cluster.client(0).await;
    client.join("topics:a").await;
    assert_eq!(client.close_code().await, 1001);
    assert!(start.elapsed() >= IDLE, "{:?}", start.elapsed());
    assert!(matches!(client.next().await, Got::End(_)));
}

#[tokio::test]
async fn what_is_sent_to_a_client_is_no_sign_of_its_life() {
    let cluster = idle_cluster().await;
    let mut silent = cluster.client(0).await;
    let mut busy = cluster.client(0).await;
    silent.join("topics:a").await;
    busy.join("topics:a").await;
    let closed = async {
        loop {
            if let Got::Close(code, _) = silent.next().await {
                return code;
            }
        }
    };
    let publish = async {
        loop {
            busy.publish("topics:a", "event", serde_json::json!({})).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let code = tokio::select! { code = closed => code, () = publish => unreachable!() };
    assert_eq!(code, 1001);
}

#[tokio::test]
async fn c36_pings_alone_keep_a_connection() {
    let cluster = idle_cluster().await;
    let mut client = cluster.client(0).await;
    stays_alive(&mut client, async |client: &mut Client| {
        client.ping(b"life").await;
        assert_eq!(client.next().await, Got::Pong(b"life".to_vec()));
    })
    .await;
}

#[tokio::test]
async fn heartbeats_keep_a_connection() {
    let cluster = idle_cluster().await;
    let mut client = cluster.client(0).await;
    stays_alive(&mut client, async |client: &mut Client| client.expect_silence().await).await;
}

/// More than two idle times long.
async fn stays_alive(client: &mut Client, sign: impl AsyncFn(&mut Client)) {
    let end = Instant::now() + IDLE * 5 / 2;
    let mut tick = tokio::time::interval(Duration::from_millis(60));
    while Instant::now() < end {
        tick.tick().await;
        sign(client).await;
    }
}
