//! Topics with `overflow = "drop-oldest"`: a client that does not read stays connected, and gets the newest.

use serde_json::{Value, json};

use crate::harness::{Client, Cluster, DEADLINE, Got, equal, eventually};

/// Far more than a client's socket takes that does not read, and than is taken from its queue at once.
const OUTBOX: usize = 256 * 1024;

const MESSAGE: usize = 4 * 1024;

const RULES: &str = "[[topics]]\npattern = \"ticker\"\noverflow = \"drop-oldest\"\n\
                     [[topics]]\npattern = \"anew\"\noverflow = \"drop-oldest\"\non_loss = \"rejoin\"\n\
                     [[topics]]\npattern = \"*\"\n";

async fn cluster() -> Cluster {
    let change = |settings: &mut campanile_gateway::Settings| {
        settings.client.outbox = OUTBOX;
        settings.client.send_buffer = 4096;
    };
    let cluster = Cluster::start_with(1, 1, change, |_| {}).await;
    cluster.set_rules(RULES);
    cluster
}

async fn slow_client(cluster: &Cluster) -> Client {
    Client::open(cluster.gateways[0].address, "?vsn=2.0.0", Some(4096)).await
}

fn payload(number: u64) -> Value {
    json!({"n": number, "x": "x".repeat(MESSAGE)})
}

/// Publishes, and has seen it come back.
async fn publish(client: &mut Client, join_ref: &str, topic: &str, number: u64) {
    client.publish(topic, "event", payload(number)).await;
    client.expect_event(join_ref, topic, "event", payload(number)).await;
}

/// A gap in what a client has received.
struct Gap {
    /// How many messages are missing.
    missing: u64,
    /// The first message behind it.
    first: u64,
    /// The events `position` in its place.
    told: Vec<Value>,
}

/// The gaps that a client finds which reads again, until this message has come.
async fn read_until(client: &mut Client, last: u64) -> Vec<Gap> {
    let (mut gaps, mut told, mut seen) = (Vec::new(), Vec::new(), 0);
    while seen < last {
        let frame = client.json().await;
        if frame[3] == "position" {
            told.push(frame[4].clone());
            continue;
        }
        let first = frame[4]["n"].as_u64().unwrap();
        assert!(first > seen, "{first} behind {seen}");
        let (missing, told) = (first - seen - 1, std::mem::take(&mut told));
        if missing > 0 || !told.is_empty() {
            gaps.push(Gap { missing, first, told });
        }
        seen = first;
    }
    gaps
}

#[tokio::test]
async fn a_client_that_does_not_read_stays_and_gets_the_newest_behind_a_position() {
    let cluster = cluster().await;
    let metrics = &cluster.gateways[0].metrics;
    let (mut told, mut plain, mut closed) =
        (slow_client(&cluster).await, slow_client(&cluster).await, slow_client(&cluster).await);
    let (joined, _) = told.join_with("ticker", json!({"positions": true})).await;
    plain.join("ticker").await;
    closed.join("room").await;
    let mut publisher = cluster.client(0).await;
    let (ticker, room) = (publisher.join("ticker").await, publisher.join("room").await);
    let all = metrics.channels.get();
    let mut published = 0;
    while metrics.channels.get() == all {
        published += 1;
        publish(&mut publisher, &room, "room", published).await;
        assert!(published < 3_000, "the slow client of another topic is never closed");
    }
    assert_eq!(closed.close_code().await, 1013);
    published = 0;
    while metrics.dropped.get() < 200 {
        published += 1;
        publish(&mut publisher, &ticker, "ticker", published).await;
        assert!(published < 3_000, "{} dropped", metrics.dropped.get());
    }
    let ended = async || {
        let slow = metrics.sessions_ended.get_or_create(&[("reason", "slow")]).get();
        equal((slow, metrics.sessions.get()), (1, 3))
    };
    eventually("no other is closed", DEADLINE, ended).await;

    // One gap; more if the kernel has made some room for the client meanwhile.
    let gaps = read_until(&mut told, published).await;
    for Gap { missing, first, told } in &gaps {
        let position = json!({"epoch": joined["epoch"], "offset": first - 1, "recovered": false});
        assert_eq!((*missing > 0, &told[..]), (true, &[position][..]));
    }
    let queued = (published + 1 - gaps.last().unwrap().first) as usize * MESSAGE;
    assert!((OUTBOX / 2..OUTBOX).contains(&queued), "the newest that the queue holds: {queued} bytes");

    let gaps_of_plain = read_until(&mut plain, published).await;
    assert!(gaps_of_plain.iter().all(|gap| gap.told.is_empty()), "a plain channel is not told");
    let missing: u64 = gaps.iter().chain(&gaps_of_plain).map(|gap| gap.missing).sum();
    assert_eq!(metrics.dropped.get(), missing);

    publish(&mut publisher, &ticker, "ticker", published + 1).await;
    for client in [&mut told, &mut plain] {
        assert_eq!(client.json().await[4]["n"], published + 1, "{}", client.shown());
    }
}

#[tokio::test]
async fn a_plain_channel_is_sent_to_join_anew_where_its_topic_says_so() {
    let cluster = cluster().await;
    let metrics = &cluster.gateways[0].metrics;
    let mut slow = slow_client(&cluster).await;
    let join_ref = slow.join("anew").await;
    let mut publisher = cluster.client(0).await;
    let own = publisher.join("anew").await;
    let mut published = 0;
    while metrics.dropped.get() < 10 {
        published += 1;
        publish(&mut publisher, &own, "anew", published).await;
        assert!(published < 3_000, "nothing is dropped");
    }
    let error = loop {
        match slow.next().await {
            Got::Text(frame) if frame[3] == "event" => {}
            Got::Text(frame) => break frame,
            other => panic!("{other:?}: {}", slow.shown()),
        }
    };
    let lost = json!({"reason": "messages were missed"});
    assert_eq!(error, json!([join_ref, join_ref, "anew", "phx_error", lost]));
    slow.join("anew").await;
}
