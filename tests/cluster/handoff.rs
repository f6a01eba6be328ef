//! Ring edits under traffic: topics go to their new owners with all that they are, and nobody notices.

use std::sync::Arc;
use std::time::Duration;

use campanile_proto::{FromGateway, FromTopicServer, Subscription};
use campanile_ring_config::Ring;
use serde_json::json;

use crate::harness::fake_gateway::{FakeGateway, hello};
use crate::harness::traffic::settled;
use crate::harness::{Cluster, DEADLINE, Traffic, equal, eventually};

const TOPICS: usize = 40;

/// How many of these topics belong to another server by the new ring.
fn moving(old: &Ring, new: &Ring, topics: &[String]) -> u64 {
    let moves = |topic: &&String| {
        let (old, new) = (old.owner(topic.as_bytes()), new.owner(topic.as_bytes()));
        (old.name(), old.address()) != (new.name(), new.address())
    };
    topics.iter().filter(moves).count() as u64
}

/// Topics handed over, and topics taken, by all servers.
fn handed_over(cluster: &Cluster) -> (u64, u64) {
    let servers = cluster.topic_servers.iter();
    servers.fold((0, 0), |(moved, taken), server| {
        (moved + server.metrics.topics_moved.get(), taken + server.metrics.topics_taken.get())
    })
}

/// One edit after the other under traffic, each given to everybody when the one before is carried out: nothing is lost,
/// and exactly those topics move whose owner is another.
async fn edits(cluster: &Cluster, edits: &[&[(usize, u32)]]) {
    let mut traffic = Traffic::start(cluster, TOPICS).await;
    traffic.goes_on().await;
    let mut wanted = 0;
    for members in edits {
        let old = cluster.ring();
        cluster.edit_weights(members);
        traffic.goes_on().await;
        settled(cluster, traffic.topics()).await;
        let moves = moving(&old, &cluster.ring(), traffic.topics());
        assert!(moves > 0, "an edit that moves nothing shows nothing");
        wanted += moves;
        assert_eq!(handed_over(cluster), (wanted, wanted));
    }
    traffic.goes_on().await;
    traffic.end_lossless(cluster).await;
    for gateway in &cluster.gateways {
        assert_eq!(gateway.metrics.moved.get(), wanted);
    }
    for server in &cluster.topic_servers {
        assert_eq!(server.metrics.handoffs_forced.get(), 0);
        assert_eq!(server.metrics.handoffs_taken_back.get(), 0);
    }
}

#[tokio::test]
async fn a_standby_that_joins_takes_what_is_its_own_and_one_that_leaves_gives_it_back() {
    let mut cluster = Cluster::start(2, 2).await;
    cluster.add_topic_server("ts-c").await;
    edits(&cluster, &[&[(0, 1), (1, 1), (2, 1)], &[(0, 1), (1, 1)]]).await;
}

#[tokio::test]
async fn members_that_are_removed_give_everything_away() {
    let cluster = Cluster::start(2, 3).await;
    edits(&cluster, &[&[(1, 1), (2, 1)], &[(2, 1)]]).await;
}

#[tokio::test]
async fn members_that_weigh_more_take_more() {
    let cluster = Cluster::start(2, 3).await;
    edits(&cluster, &[&[(0, 5), (1, 1), (2, 1)], &[(0, 1), (1, 1), (2, 5)], &[(0, 1), (1, 1), (2, 1)]]).await;
}

/// The old owner serves what the new one, which is not there yet, does not claim.
#[tokio::test]
async fn a_member_that_starts_after_the_edit_takes_its_topics_when_it_is_there() {
    let mut cluster = Cluster::start(2, 2).await;
    let late = cluster.plan_topic_server("ts-c");
    let mut traffic = Traffic::start(&cluster, TOPICS).await;
    traffic.goes_on().await;
    let old = cluster.ring();
    cluster.edit_ring(&[0, 1, late]);
    // Somewhat more than the second for which a server that starts would wait.
    for _ in 0..60 {
        traffic.goes_on().await;
    }
    assert_eq!(handed_over(&cluster), (0, 0));
    cluster.restart_topic_server(late).await;
    settled(&cluster, traffic.topics()).await;
    let moves = moving(&old, &cluster.ring(), traffic.topics());
    assert_eq!(handed_over(&cluster), (moves, moves));
    traffic.goes_on().await;
    // Nobody waited for the one that was not there.
    let slowest = traffic.end_lossless(&cluster).await.slowest();
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
}

/// Seen by a gateway of the test's own: of the topics of one server those that move end with `Moved`, once, behind
/// what was published before, and for the others nothing happens at all.
#[tokio::test]
async fn topics_that_do_not_move_see_nothing_of_an_edit() {
    let mut cluster = Cluster::start(1, 2).await;
    cluster.add_topic_server("ts-c").await;
    let old = cluster.ring();
    let names = (0..).map(|number| format!("room:{number}"));
    let topics: Vec<_> = names.filter(|topic| cluster.topic_servers[0].owns(&old, topic)).take(40).collect();
    let address = cluster.topic_servers[0].address;
    let mut link = FakeGateway::open(address, hello(&old, "ts-a", address, 99)).await.unwrap();
    let subscribe = |slot: usize, topic: &String| FromGateway::Subscribe {
        subscription: Subscription { slot: slot as u32, generation: 1 },
        topic: topic.clone().into(),
        listeners: 0,
    };
    link.send(topics.iter().enumerate().map(|(slot, topic)| subscribe(slot, topic)).collect()).await;
    let mut subscribed = 0;
    while subscribed < topics.len() {
        subscribed +=
            usize::from(matches!(link.next().await.unwrap(), Some(FromTopicServer::Subscribed { .. })));
    }
    cluster.edit_ring(&[0, 1, 2]);
    let new = cluster.ring();
    let stays = |topic: &String| cluster.topic_servers[0].owns(&new, topic);
    moved_everything(&cluster, moving(&old, &new, &topics)).await;
    // Answered behind all that was said before.
    let barrier = topics.iter().find(|topic| stays(topic)).expect("some stay");
    link.send(vec![subscribe(1_000, barrier)]).await;
    let mut moved = Vec::new();
    loop {
        match link.next().await.unwrap().expect("the link stays") {
            FromTopicServer::Moved { subscription, offset, to } => {
                assert!(offset == 0 && to.is_some());
                moved.push(topics[subscription.slot as usize].clone());
            }
            FromTopicServer::Subscribed { subscription, .. } if subscription.slot == 1_000 => break,
            FromTopicServer::Rings(_) => {}
            other => panic!("{other:?}"),
        }
    }
    moved.sort_unstable();
    let mut wanted: Vec<_> = topics.iter().filter(|topic| !stays(topic)).cloned().collect();
    wanted.sort_unstable();
    assert_eq!(moved, wanted);
}

/// A cluster of one member and two standbys: what is edited moves everything.
async fn one_member_and_two_standbys() -> (Cluster, Traffic) {
    let mut cluster = Cluster::start(2, 1).await;
    cluster.add_topic_server("ts-b").await;
    cluster.add_topic_server("ts-c").await;
    let mut traffic = Traffic::start(&cluster, TOPICS).await;
    traffic.goes_on().await;
    (cluster, traffic)
}

async fn ends_well(cluster: &Cluster, mut traffic: Traffic) {
    settled(cluster, traffic.topics()).await;
    traffic.goes_on().await;
    traffic.end_lossless(cluster).await;
    let (moved, taken) = handed_over(cluster);
    assert_eq!(moved, taken);
}

fn read(cluster: &Cluster, servers: &[usize], ring: &Arc<Ring>) {
    servers.iter().for_each(|index| cluster.topic_servers[*index].reads(ring));
}

fn gateways_read(cluster: &Cluster, ring: &Arc<Ring>) {
    cluster.gateways.iter().for_each(|gateway| gateway.reads(ring));
}

/// From A to B to C, when B and C have never had a link.
#[tokio::test]
async fn two_edits_at_once_move_everything_to_the_second_owner() {
    let (cluster, traffic) = one_member_and_two_standbys().await;
    cluster.edit_ring(&[1]);
    cluster.edit_ring(&[2]);
    ends_well(&cluster, traffic).await;
    assert_eq!(cluster.topic_servers[2].metrics.topics_taken.get(), TOPICS as u64);
}

/// From A to B to C, while A gives to B.
#[tokio::test]
async fn a_second_edit_in_the_middle_of_the_first() {
    let (cluster, traffic) = one_member_and_two_standbys().await;
    cluster.edit_ring(&[1]);
    let begun = async || {
        let taken = cluster.topic_servers[1].metrics.topics_taken.get();
        if taken > 0 { Ok(()) } else { Err(taken) }
    };
    eventually("the first edit is under way", DEADLINE, begun).await;
    cluster.edit_ring(&[2]);
    ends_well(&cluster, traffic).await;
}

/// From A to B to C, and B reads only that it has nothing to do with it.
#[tokio::test]
async fn an_owner_that_never_hears_of_the_edit_that_made_it_one() {
    let (cluster, mut traffic) = one_member_and_two_standbys().await;
    let to_b = cluster.write_ring(&[(1, 1)]);
    read(&cluster, &[0, 2], &to_b);
    gateways_read(&cluster, &to_b);
    traffic.goes_on().await;
    assert_eq!(handed_over(&cluster), (0, 0), "nobody asked for it");
    cluster.edit_ring(&[2]);
    ends_well(&cluster, traffic).await;
    assert_eq!(cluster.topic_servers[1].metrics.topics_taken.get(), 0);
    assert_eq!(cluster.topic_servers[2].metrics.topics_taken.get(), TOPICS as u64);
}

/// From A to B to C: A skips the middle version, and B, which has read it, waits for what it will never own.
#[tokio::test]
async fn a_holder_that_skips_the_version_that_others_act_on() {
    let (cluster, mut traffic) = one_member_and_two_standbys().await;
    let to_b = cluster.write_ring(&[(1, 1)]);
    read(&cluster, &[1, 2], &to_b);
    traffic.goes_on().await;
    assert_eq!(handed_over(&cluster), (0, 0), "its holder has not read that it is to go");
    let to_c = cluster.write_ring(&[(2, 1)]);
    read(&cluster, &[0, 2], &to_c);
    gateways_read(&cluster, &to_c);
    traffic.goes_on().await;
    cluster.all_read();
    ends_well(&cluster, traffic).await;
    assert_eq!(cluster.topic_servers[2].metrics.topics_taken.get(), TOPICS as u64);
}

/// From A to B to A: at once, in the middle, and before B has heard of anything.
#[tokio::test]
async fn an_edit_that_is_taken_back() {
    for middle in ["at once", "when some have moved", "before the other reads it"] {
        let (cluster, mut traffic) = one_member_and_two_standbys().await;
        let there = cluster.write_ring(&[(1, 1)]);
        let back = cluster.write_ring(&[(0, 1)]);
        read(&cluster, &[0], &there);
        gateways_read(&cluster, &there);
        match middle {
            "at once" => read(&cluster, &[1, 2], &there),
            "when some have moved" => {
                read(&cluster, &[1, 2], &there);
                let begun = async || {
                    let taken = cluster.topic_servers[1].metrics.topics_taken.get();
                    if taken > 0 { Ok(()) } else { Err(taken) }
                };
                eventually("it is under way", DEADLINE, begun).await;
            }
            _ => {
                traffic.goes_on().await;
                read(&cluster, &[0], &back);
                traffic.goes_on().await;
                read(&cluster, &[1, 2], &there);
                traffic.goes_on().await;
            }
        }
        cluster.all_read();
        ends_well(&cluster, traffic).await;
        if middle == "before the other reads it" {
            assert_eq!(handed_over(&cluster), (0, 0));
        }
    }
}

/// Gateways and topic servers read edit after edit at moments of their own, and miss some.
#[tokio::test]
async fn versions_that_reach_everybody_at_other_times() {
    let mut cluster = Cluster::start_heeding_offers(3, 2).await;
    for name in ["ts-c", "ts-d", "ts-e"] {
        cluster.add_topic_server(name).await;
    }
    let mut traffic = Traffic::start(&cluster, TOPICS).await;
    let mut random = fastrand::Rng::new();
    for _ in 0..12 {
        let mut members: Vec<_> = (0..5).map(|index| (index, random.u32(1..3))).collect();
        random.shuffle(&mut members);
        members.truncate(random.usize(1..=5));
        let ring = cluster.write_ring(&members);
        let mut nodes: Vec<_> = (0..8).collect();
        random.shuffle(&mut nodes);
        for node in nodes {
            match random.u32(0..6) {
                0 => continue,
                1 => traffic.goes_on().await,
                2 => tokio::task::yield_now().await,
                _ => {}
            }
            match node {
                0..5 => cluster.topic_servers[node].reads(&ring),
                _ => cluster.gateways[node - 5].reads(&ring),
            }
        }
    }
    cluster.all_read();
    ends_well(&cluster, traffic).await;
}

async fn moved_everything(cluster: &Cluster, topics: u64) {
    let moved = async || equal(handed_over(cluster), (topics, topics));
    eventually("all topics have moved", DEADLINE, moved).await;
}

#[tokio::test]
async fn a_key_and_a_position_are_worth_the_same_after_the_topic_has_moved() {
    let mut cluster = Cluster::start(2, 1).await;
    cluster.add_topic_server("ts-b").await;
    let mut client = cluster.client(0).await;
    let (joined, join_ref) = client.join_with("room", json!({"positions": true})).await;
    let keyed = json!(["event", {"n": 1}, {"key": "order-1"}]);
    for number in 1..=5 {
        let payload = if number == 1 { keyed.clone() } else { json!(["event", {"n": number}]) };
        let reference = client.push(&join_ref, "room", "publish", payload).await;
        assert_eq!(client.reply(&reference).await["response"], json!({"offset": number}));
        client.expect(json!([join_ref, number, "room", "event", {"n": number}])).await;
    }
    cluster.edit_ring(&[1]);
    moved_everything(&cluster, 1).await;

    let reference = client.push(&join_ref, "room", "publish", keyed).await;
    assert_eq!(client.reply(&reference).await["response"], json!({"offset": 1}));
    let other_body = json!(["event", {"n": 2}, {"key": "order-1"}]);
    let reference = client.push(&join_ref, "room", "publish", other_body).await;
    assert_eq!(client.reply(&reference).await["response"]["reason"], "key used with another body");
    client.expect_silence().await;

    let mut other = cluster.client(1).await;
    let position = json!({"epoch": joined["epoch"], "offset": 2});
    let (resumed, other_ref) = other.join_with("room", json!({"resume": position})).await;
    assert_eq!(resumed, json!({"epoch": joined["epoch"], "offset": 2, "recovered": true}));
    for number in 3..=5 {
        other.expect(json!([other_ref, number, "room", "event", {"n": number}])).await;
    }
    other.expect_silence().await;
}

/// The second gateway has not read the edit when the topic moves: it comes to the new owner later, and finds there what
/// was published meanwhile.
#[tokio::test]
async fn a_topic_without_history_keeps_what_a_gateway_misses_while_the_topic_moves() {
    let mut cluster = Cluster::start(2, 1).await;
    cluster.set_rules("[[topics]]\npattern = \"*\"\nhistory_messages = 0\n");
    cluster.add_topic_server("ts-b").await;
    let (mut publisher, mut late) = (cluster.client(0).await, cluster.client(1).await);
    let (_, publisher_ref) = publisher.join_with("room", json!({"positions": true})).await;
    let (_, late_ref) = late.join_with("room", json!({"positions": true})).await;
    let mut plain = cluster.client(1).await;
    let plain_ref = plain.join("room").await;
    let ring = cluster.write_ring(&[(1, 1)]);
    read(&cluster, &[0, 1], &ring);
    cluster.gateways[0].reads(&ring);
    moved_everything(&cluster, 1).await;
    for number in 1..=20 {
        let reference =
            publisher.push(&publisher_ref, "room", "publish", json!(["event", {"n": number}])).await;
        assert_eq!(publisher.reply(&reference).await["response"], json!({"offset": number}));
    }
    late.expect_silence().await;
    cluster.gateways[1].reads(&ring);
    for number in 1..=20 {
        late.expect(json!([late_ref, number, "room", "event", {"n": number}])).await;
        plain.expect(json!([plain_ref, null, "room", "event", {"n": number}])).await;
    }
    late.expect_silence().await;
    plain.expect_silence().await;
    assert_eq!(cluster.gateways[1].metrics.missed.get(), 0);
}
