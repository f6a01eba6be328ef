//! Servers that die while topics move.

use std::time::{Duration, Instant};

use campanile_proto::message::Place;
use campanile_proto::{FromGateway, FromTopicServer, Subscription};
use serde_json::json;
use tokio::time::sleep;

use crate::harness::fake_gateway::{FakeGateway, hello};
use crate::harness::traffic::{Answer, Load, Outcome};
use crate::harness::{Cluster, DEADLINE, Traffic, equal, eventually};

/// So many that an edit takes a while.
const MANY: usize = 2_000;

/// How long a publish may wait for its owner here.
const OWNER_DEADLINE: Duration = Duration::from_secs(2);

/// One member and a standby, and many topics with traffic on them.
async fn many_topics() -> (Cluster, Traffic) {
    let change = |gateway: &mut campanile_gateway::Settings| {
        gateway.session.channels = MANY;
        gateway.client.outbox = 64 << 20;
        gateway.owner_deadline = OWNER_DEADLINE;
    };
    let mut cluster = Cluster::start_with(2, 1, change, |_| {}).await;
    cluster.add_topic_server("ts-b").await;
    let topics = (0..MANY).map(|number| format!("room:{number}")).collect();
    // More of it than is given at a time (H1).
    let load = Load { burst: 1, padding: 16 << 10 };
    let mut traffic = Traffic::start_with(&cluster, topics, true, load).await;
    traffic.goes_on().await;
    (cluster, traffic)
}

/// Everything moves from the first to the second; this is the middle of it.
async fn in_the_middle_of_an_edit(cluster: &Cluster) {
    cluster.edit_ring(&[1]);
    let begun = async || {
        let taken = cluster.topic_servers[1].metrics.topics_taken.get();
        if taken > 0 { Ok(()) } else { Err(taken) }
    };
    eventually("the edit is under way", DEADLINE, begun).await;
}

/// Nobody waited longer than publishes may, and every topic was treated honestly. Returns those that nobody was told
/// anything of, and the others.
fn honest(outcome: &Outcome) -> (Vec<&String>, Vec<&String>) {
    let slowest = outcome.slowest();
    assert!(slowest < OWNER_DEADLINE + Duration::from_secs(3), "an answer took {slowest:?}");
    outcome.answers.keys().partition(|topic| !outcome.expect_honest_topic(topic))
}

#[tokio::test]
async fn an_old_owner_that_dies_in_the_middle_loses_only_what_it_still_had() {
    let (mut cluster, mut traffic) = many_topics().await;
    in_the_middle_of_an_edit(&cluster).await;
    cluster.kill_topic_server(0).await;
    let all = async || equal(cluster.topic_servers[1].metrics.subscriptions.get(), 2 * MANY as i64);
    eventually("the new owner has all topics", 2 * DEADLINE, all).await;
    traffic.goes_on().await;
    let outcome = traffic.end().await;
    let (went_on, lost) = honest(&outcome);
    let taken = cluster.topic_servers[1].metrics.topics_taken.get();
    assert!(!lost.is_empty(), "the owner died too late to show anything");
    assert_eq!(went_on.len() as u64, taken);
    for topic in went_on {
        let epoch = &outcome.epochs[topic];
        let (joined, _) = cluster.client(1).await.join_with(topic, json!({"positions": true})).await;
        assert_eq!(joined["epoch"], *epoch);
    }
}

#[tokio::test]
async fn a_new_owner_that_dies_in_the_middle_loses_only_what_it_had_taken() {
    let (mut cluster, mut traffic) = many_topics().await;
    in_the_middle_of_an_edit(&cluster).await;
    cluster.kill_topic_server(1).await;
    traffic.goes_on().await;
    cluster.restart_topic_server(1).await;
    let all = async || equal(cluster.topic_servers[1].metrics.subscriptions.get(), 2 * MANY as i64);
    eventually("the new owner has all topics", 2 * DEADLINE, all).await;
    traffic.goes_on().await;
    let outcome = traffic.end().await;
    let (went_on, lost) = honest(&outcome);
    assert!(!lost.is_empty(), "the new owner died too early to show anything");
    // Some stood still: they were under way, and had not left. The others went on where they were (H1).
    let is_untouched = |topic: &&&String| outcome.answers[**topic].iter().all(Answer::is_ok);
    let untouched: Vec<_> = went_on.iter().filter(is_untouched).collect();
    assert!(!untouched.is_empty());
    untouched.into_iter().for_each(|topic| outcome.expect_lossless_topic(topic));
}

/// R2: the new owner starts only after the edit, and so does one of the gateways, which may be the first that comes to
/// it. The other gateway, and the holder, know where the topics are.
#[tokio::test]
async fn a_server_that_starts_after_an_edit_hears_from_others_who_held_its_topics() {
    const TOPICS: usize = 20;
    let mut cluster = Cluster::start(2, 1).await;
    let late = cluster.plan_topic_server("ts-b");
    let mut before = cluster.client(0).await;
    let mut epochs = Vec::new();
    for number in 0..TOPICS {
        let topic = format!("room:{number}");
        let (joined, join_ref) = before.join_with(&topic, json!({"positions": true})).await;
        let reference = before.push(&join_ref, &topic, "publish", json!(["event", {"n": 1}])).await;
        assert_eq!(before.reply(&reference).await["response"], json!({"offset": 1}));
        epochs.push(joined["epoch"].clone());
    }
    cluster.edit_ring(&[late]);
    cluster.restart_gateway(1).await;
    let mut after = cluster.client(1).await;
    let mut asked = Vec::new();
    for number in 0..TOPICS {
        let join_ref = after.next_ref();
        let join = json!([join_ref, join_ref, format!("room:{number}"), "phx_join", {"positions": true}]);
        after.send(join.to_string()).await;
        asked.push(join_ref);
    }
    cluster.restart_topic_server(late).await;
    for (join_ref, epoch) in asked.iter().zip(&epochs) {
        let reply = after.reply(join_ref).await;
        assert_eq!(reply, json!({"status": "ok", "response": {"epoch": epoch, "offset": 1}}));
    }
    assert_eq!(cluster.topic_servers[late].metrics.handoffs_forced.get(), 0);
}

/// R2: it dies in the middle of an edit, and comes back knowing only the newest ring.
#[tokio::test]
async fn a_server_that_restarts_while_it_takes_topics_asks_for_the_rest() {
    const TOPICS: usize = 40;
    let mut cluster = Cluster::start(2, 2).await;
    let mut traffic = Traffic::start(&cluster, TOPICS).await;
    traffic.goes_on().await;
    let moving: Vec<_> = {
        let (ring, first) = (cluster.ring(), &cluster.topic_servers[0]);
        traffic.topics().iter().filter(|topic| first.owns(&ring, topic)).cloned().collect()
    };
    // The holder has not read the edit, so nothing moves before the other has restarted.
    let ring = cluster.write_ring(&[(1, 1)]);
    cluster.topic_servers[1].reads(&ring);
    cluster.gateways.iter().for_each(|gateway| gateway.reads(&ring));
    traffic.goes_on().await;
    cluster.restart_topic_server(1).await;
    traffic.goes_on().await;
    cluster.all_read();
    crate::harness::traffic::settled(&cluster, traffic.topics()).await;
    traffic.goes_on().await;
    let outcome = traffic.end().await;
    assert!(!moving.is_empty());
    for topic in &moving {
        outcome.expect_lossless_topic(topic);
    }
    honest(&outcome);
    assert_eq!(cluster.topic_servers[1].metrics.topics_taken.get(), moving.len() as u64);
}

/// H4: without its holder a topic opens with a new epoch, and not before its new owner and a gateway that asks have
/// both had no link to the holder for 5 s.
#[tokio::test]
async fn topics_of_a_dead_member_open_elsewhere_when_it_was_out_of_reach_for_five_seconds() {
    let change = |gateway: &mut campanile_gateway::Settings| gateway.owner_deadline = DEADLINE;
    let mut cluster = Cluster::start_with(2, 2, change, |_| {}).await;
    let (topic, other) = (cluster.topic_of(0, "room"), cluster.topic_of(0, "other"));
    let stays = cluster.topic_of(1, "stays");
    let mut client = cluster.client(0).await;
    let (joined, join_ref) = client.join_with(&topic, json!({"positions": true})).await;
    let before = Instant::now();
    cluster.kill_topic_server(0).await;
    cluster.edit_ring(&[1]);
    let ring = cluster.ring();

    // A gateway of the test's own that still sees the dead one.
    let address = cluster.topic_servers[1].address;
    let mut link = FakeGateway::open(address, hello(&ring, "ts-b", address, 99)).await.unwrap();
    let dead = &cluster.topic_servers[0];
    let dead = Place { name: dead.name.clone(), address: dead.in_ring.clone() };
    let subscribe = |slot, topic: &String| FromGateway::Subscribe {
        subscription: Subscription { slot, generation: 1 },
        topic: topic.clone().into(),
        listeners: 0,
    };
    link.send(vec![FromGateway::Sees(vec![dead]), subscribe(1, &other)]).await;

    let reference = client.push(&join_ref, &topic, "publish", json!(["event", {"n": 1}])).await;
    let signs_of_life = async || {
        for ping in 0.. {
            link.send(vec![FromGateway::Pong(ping)]).await;
            sleep(Duration::from_millis(500)).await;
        }
    };
    let reply = tokio::select! {
        reply = client.reply(&reference) => reply,
        () = signs_of_life() => unreachable!(),
    };
    let took = before.elapsed();
    assert!(took >= Duration::from_secs(5), "opened after {took:?}");
    assert_eq!(reply["response"]["offset"], 1);
    let position = client.json().await;
    assert_eq!((&position[3], &position[4]["recovered"]), (&json!("position"), &json!(false)));
    assert_ne!(position[4]["epoch"], joined["epoch"]);
    client.expect(json!([join_ref, 1, topic, "event", {"n": 1}])).await;

    // Nobody who cannot see it waits for the other topic; what comes second is answered first.
    link.send(vec![subscribe(2, &stays)]).await;
    let opened = async |link: &mut FakeGateway| loop {
        match link.next().await.unwrap().expect("the link is up") {
            FromTopicServer::Subscribed { subscription, .. } => return subscription.slot,
            FromTopicServer::Rings(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(opened(&mut link).await, 2);
    link.send(vec![FromGateway::Sees(Vec::new())]).await;
    assert_eq!(opened(&mut link).await, 1);
    assert_eq!(cluster.topic_servers[1].metrics.handoffs_forced.get(), 2);
}
