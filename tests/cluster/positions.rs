//! Positions, resume and idempotency keys, through real gateways and topic servers.

use serde_json::{Value, json};

use crate::harness::{Client, Cluster, equal};

/// Joins with this payload and returns the response and the join_ref.
async fn join_with(client: &mut Client, topic: &str, payload: Value) -> (Value, String) {
    let join_ref = client.next_ref();
    client.send(json!([join_ref, join_ref, topic, "phx_join", payload]).to_string()).await;
    let reply = client.json().await;
    assert_eq!(
        (&reply[0], &reply[1], &reply[4]["status"]),
        (&json!(join_ref), &json!(join_ref), &json!("ok"))
    );
    (reply[4]["response"].clone(), join_ref)
}

async fn resume(client: &mut Client, topic: &str, epoch: &Value, offset: u64) -> (Value, String) {
    join_with(client, topic, json!({"resume": {"epoch": epoch, "offset": offset}})).await
}

/// Publishes numbered messages and waits for each answer and event.
async fn publish(client: &mut Client, join_ref: &str, topic: &str, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let reference = client.next_ref();
        let publish = json!([join_ref, reference, topic, "publish", ["event", {"n": number}]]);
        client.send(publish.to_string()).await;
        client
            .expect(json!([join_ref, reference, topic, "phx_reply",
                {"status": "ok", "response": {"offset": number}}]))
            .await;
        client.expect(json!([join_ref, number, topic, "event", {"n": number}])).await;
    }
}

async fn expect_numbers(
    client: &mut Client,
    join_ref: &str,
    topic: &str,
    numbers: std::ops::RangeInclusive<u64>,
) {
    for number in numbers {
        client.expect(json!([join_ref, number, topic, "event", {"n": number}])).await;
    }
    client.expect_silence().await;
}

#[tokio::test]
async fn whoever_comes_back_gets_exactly_what_it_missed_on_any_gateway() {
    let cluster = Cluster::start(2, 2).await;
    let mut publisher = cluster.client(0).await;
    let (joined, publisher_ref) = join_with(&mut publisher, "room", json!({"positions": true})).await;
    assert_eq!(joined["offset"], 0);
    let epoch = &joined["epoch"];
    publish(&mut publisher, &publisher_ref, "room", 1..=5).await;

    // Twice in a row, once from a position at which it had received nothing yet.
    for (gateway, offset) in [(1, 0), (0, 3), (1, 3), (1, 5)] {
        let mut client = cluster.client(gateway).await;
        let (joined, join_ref) = resume(&mut client, "room", epoch, offset).await;
        assert_eq!(joined, json!({"epoch": epoch, "offset": offset, "recovered": true}));
        expect_numbers(&mut client, &join_ref, "room", offset + 1..=5).await;
    }
    let mut client = cluster.client(1).await;
    let (_, join_ref) = resume(&mut client, "room", epoch, 4).await;
    expect_numbers(&mut client, &join_ref, "room", 5..=5).await;
    publish(&mut publisher, &publisher_ref, "room", 6..=8).await;
    expect_numbers(&mut client, &join_ref, "room", 6..=8).await;
}

#[tokio::test]
async fn a_position_that_cannot_be_continued_is_told_and_goes_on_live() {
    let cluster = Cluster::start(1, 1).await;
    cluster.set_rules("[[topics]]\npattern = \"*\"\nhistory_messages = 3\n");
    let mut publisher = cluster.client(0).await;
    let (joined, publisher_ref) = join_with(&mut publisher, "room", json!({"positions": true})).await;
    let epoch = &joined["epoch"];
    publish(&mut publisher, &publisher_ref, "room", 1..=8).await;
    let foreign = json!("0123456789abcdef");
    let mut sent = 8;
    for resume in [
        json!({"epoch": epoch, "offset": 4}),
        json!({"epoch": epoch, "offset": 99}),
        json!({"epoch": epoch, "offset": u64::MAX}),
        json!({"epoch": foreign, "offset": 6}),
        json!({"epoch": 7, "offset": -1}),
        json!("nonsense"),
        json!(null),
    ] {
        let mut client = cluster.client(0).await;
        let (joined, join_ref) = join_with(&mut client, "room", json!({"resume": resume})).await;
        let told = json!({"epoch": epoch, "offset": sent, "recovered": false, "oldest": sent - 2});
        assert_eq!(joined, told, "{resume}");
        sent += 1;
        publish(&mut publisher, &publisher_ref, "room", sent..=sent).await;
        expect_numbers(&mut client, &join_ref, "room", sent..=sent).await;
    }
}

#[tokio::test]
async fn a_resume_under_fire_has_no_gap_and_no_repeat() {
    const MESSAGES: u64 = 2_000;
    let cluster = Cluster::start(2, 1).await;
    let mut publisher = cluster.client(0).await;
    let (joined, publisher_ref) = join_with(&mut publisher, "room", json!({"positions": true})).await;
    let epoch = joined["epoch"].clone();
    let firing = tokio::spawn(async move {
        for number in 1..=MESSAGES {
            let reference = publisher.next_ref();
            let publish = json!([publisher_ref, reference, "room", "publish", ["event", {"n": number}]]);
            publisher.send(publish.to_string()).await;
            let reply = publisher.json().await;
            assert_eq!(reply[4]["response"]["offset"], number);
            publisher.json().await;
        }
    });
    let mut cursor = 0;
    let mut round = 0;
    while cursor < MESSAGES {
        round += 1;
        let mut client = cluster.client(round % 2).await;
        let (joined, join_ref) = resume(&mut client, "room", &epoch, cursor).await;
        // The default history holds 1,000 messages: nobody here is away for so long.
        assert_eq!(joined, json!({"epoch": epoch, "offset": cursor, "recovered": true}));
        for _ in 0..150.min(MESSAGES - cursor) {
            cursor += 1;
            client.expect(json!([join_ref, cursor, "room", "event", {"n": cursor}])).await;
        }
    }
    firing.await.unwrap();
}

#[tokio::test]
async fn many_who_resume_together_cost_a_handful_of_reads() {
    const CLIENTS: usize = 300;
    let cluster = Cluster::start(1, 1).await;
    let mut publisher = cluster.client(0).await;
    let (joined, publisher_ref) = join_with(&mut publisher, "room", json!({"positions": true})).await;
    publish(&mut publisher, &publisher_ref, "room", 1..=20).await;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = cluster.client(0).await;
        let join_ref = client.next_ref();
        let position = json!({"epoch": joined["epoch"], "offset": number % 10});
        let join = json!([join_ref, join_ref, "room", "phx_join", {"resume": position}]);
        client.feed(join.to_string()).await;
        clients.push((client, join_ref, (number % 10) as u64));
    }
    for (client, ..) in &mut clients {
        client.flush().await;
    }
    for (client, join_ref, offset) in &mut clients {
        assert_eq!(client.json().await[4]["response"]["recovered"], true);
        expect_numbers(client, join_ref, "room", *offset + 1..=20).await;
    }
    let reads = cluster.topic_servers[0].metrics.reads.get();
    assert!((1..=CLIENTS as u64 / 3).contains(&reads), "{reads} reads");
}

#[tokio::test]
async fn a_key_counts_once_whoever_sends_it_and_through_whichever_gateway() {
    let cluster = Cluster::start(2, 1).await;
    let mut first = cluster.client(0).await;
    let (_, first_ref) = join_with(&mut first, "room", json!({"positions": true})).await;
    let mut second = cluster.client(1).await;
    let (_, second_ref) = join_with(&mut second, "room", json!({"positions": true})).await;
    let keyed = |join_ref: &str, reference: &str, body: Value| {
        json!([join_ref, reference, "room", "publish", ["event", body, {"key": "order-1"}]]).to_string()
    };
    let offset_1 = json!({"status": "ok", "response": {"offset": 1}});
    first.send(keyed(&first_ref, "a", json!({"n": 1}))).await;
    first.expect(json!([first_ref, "a", "room", "phx_reply", offset_1])).await;
    first.expect(json!([first_ref, 1, "room", "event", {"n": 1}])).await;
    second.expect(json!([second_ref, 1, "room", "event", {"n": 1}])).await;

    second.send(keyed(&second_ref, "b", json!({"n": 1}))).await;
    second.expect(json!([second_ref, "b", "room", "phx_reply", offset_1])).await;
    second.send(keyed(&second_ref, "c", json!({"n": 2}))).await;
    let refused = json!({"reason": "key used with another body", "outcome": "not_published", "retry": false});
    second
        .expect(json!([second_ref, "c", "room", "phx_reply", {"status": "error", "response": refused}]))
        .await;
    first.expect_silence().await;
    second.expect_silence().await;
}

#[tokio::test]
async fn a_new_life_of_the_topic_is_told_to_those_who_asked_for_positions() {
    let mut cluster = Cluster::start(1, 1).await;
    cluster
        .set_rules("[[topics]]\npattern = \"rejoin\"\non_loss = \"rejoin\"\n[[topics]]\npattern = \"*\"\n");
    let mut client = cluster.client(0).await;
    let (before, with_positions) = join_with(&mut client, "room", json!({"positions": true})).await;
    let plain = client.join("plain").await;
    let rejoining = client.join("rejoin").await;
    cluster.kill_topic_server(0).await;
    cluster.restart_topic_server(0).await;

    // The topics come back in any order.
    let mut told = [client.json().await, client.json().await];
    told.sort_by_key(|frame| frame[2].to_string());
    let lost = json!({"reason": "messages were missed"});
    equal(&told[0], &json!([rejoining, rejoining, "rejoin", "phx_error", lost])).unwrap();
    assert_eq!(
        (&told[1][0], &told[1][1], &told[1][3]),
        (&json!(with_positions), &json!(null), &json!("position"))
    );
    let position = &told[1][4];
    assert_eq!((&position["offset"], &position["recovered"]), (&json!(0), &json!(false)));
    assert_ne!(position["epoch"], before["epoch"]);
    client.expect_silence().await;

    client.publish("plain", "event", json!({})).await;
    client.expect_event(&plain, "plain", "event", json!({})).await;
    let refused = client.push(&rejoining, "rejoin", "publish", json!(["event", {}])).await;
    let unmatched = json!({"status": "error", "response": {"reason": "unmatched topic"}});
    client.expect(json!([null, refused, "rejoin", "phx_reply", unmatched])).await;
    client.join("rejoin").await;
}
