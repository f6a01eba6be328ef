use campanile_proto::FromTopicServer;
use campanile_proto::message::Publish;

use super::*;
use crate::gateways::outbox::{Ending, Outbox};
use crate::handoff::outbox::UNSENT;
use crate::topics::testing::{
    B, drain, number, outbox, place, publish, ring, ring_at, topic_of, topics_of, words,
};

#[path = "rules_failure_tests.rs"]
mod failures;
#[path = "rules_order_tests.rs"]
mod order;
#[path = "rules_patterns_tests.rs"]
mod patterns;
#[path = "rules_pump.rs"]
mod pump;

use pump::{Pump, position};

/// Longer than a server waits before it asks for all that is its own.
const A_WHILE: Duration = Duration::from_millis(300);

/// Two servers, both under version 1, which gives everything to the first; a topic that version 2 gives to the second;
/// version 2; and a gateway that is subscribed to the topic, which has two messages.
fn two() -> (Pump, String, Arc<Ring>, Outbox) {
    let (first, second) = (ring(1, &["ts-a"]), ring(2, &["ts-a", "ts-b"]));
    let topic = topic_of(&[(&second, "ts-b")]);
    let (pump, gateway) = (Pump::new(&first, &["ts-a", "ts-b"]), outbox());
    pump.subscribe(0, &gateway, &topic);
    pump.publish(0, &gateway, publish(&topic, 1));
    pump.publish(0, &gateway, publish(&topic, 2));
    (pump, topic, second, gateway)
}

/// What a new subscriber is told of the topic there.
fn position_at(pump: &Pump, server: usize, topic: &str) -> (u64, u64) {
    let gateway = outbox();
    pump.subscribe(server, &gateway, topic);
    position(&drain(&gateway))
}

/// H1: the holder serves under the newer ring until the owner, itself at that ring, claims the topic; `Moved` is the last
/// message, and later requests are refused, in order.
#[test]
fn a_holder_serves_under_a_newer_ring_until_the_owner_claims() {
    let (mut pump, topic, second, gateway) = two();
    pump.adopt(&[0], &second);
    pump.pass(Duration::from_secs(2));
    pump.publish(0, &gateway, publish(&topic, 3));
    let before = position(&drain(&gateway));
    assert_eq!(before.1, 3);
    pump.adopt(&[1], &second);
    pump.run();
    pump.publish(0, &gateway, publish(&topic, 4));
    assert_eq!(words(&gateway), ["published 4", "deliver 4"], "nobody wants it yet");
    pump.pass(A_WHILE);
    pump.publish(0, &gateway, publish(&topic, 5));
    pump.subscribe(0, &gateway, &topic);
    let told = drain(&gateway);
    let to = Some(pump.servers[1].handoff.incarnation());
    assert_eq!(told[0], FromTopicServer::Moved { subscription: number(1, 1), offset: 4, to });
    assert!(matches!(
        told[1],
        FromTopicServer::PublishRefused { reason: campanile_proto::Refusal::NotOwner, .. }
    ));
    assert!(matches!(told[2], FromTopicServer::SubscribeRefused { .. }));
    assert_eq!(position_at(&pump, 1, &topic), (before.0, 4));
    assert!(pump.servers.iter().all(|server| server.handoff.is_done()));
    assert_eq!(pump.servers[0].metrics.topics_moved.get(), 1);
    assert_eq!(pump.servers[1].metrics.topics_taken.get(), 1);
}

/// H1: topics that do not move see nothing.
#[test]
fn topics_that_do_not_move_see_nothing() {
    let (mut pump, _, second, _) = two();
    let (topic, gateway) = (topic_of(&[(&second, "ts-a")]), outbox());
    pump.subscribe(0, &gateway, &topic);
    pump.adopt(&[0, 1], &second);
    pump.pass(A_WHILE);
    pump.publish(0, &gateway, publish(&topic, 1));
    assert_eq!(words(&gateway), ["subscribed 0", "published 1", "deliver 1"]);
}

/// H2: a first request makes the owner claim at once; it waits, with those behind it, and they run in order on what came.
#[test]
fn requests_wait_for_the_topic_and_run_in_order() {
    let (mut pump, topic, second, gateway) = two();
    let epoch = position(&drain(&gateway)).0;
    let waiting = outbox();
    pump.adopt(&[1], &second);
    pump.publish(1, &waiting, publish(&topic, 3));
    pump.subscribe(1, &waiting, &topic);
    pump.publish(1, &waiting, publish(&topic, 4));
    let again = Publish { resend_epoch: Some(campanile_proto::Epoch(epoch)), ..publish(&topic, 2) };
    pump.publish(1, &waiting, again);
    pump.run();
    assert_eq!(words(&waiting), [""; 0], "its holder does not know of the ring yet");
    assert_eq!(pump.said(0, 1), [""; 0], "and says nothing");
    pump.adopt(&[0], &second);
    pump.run();
    assert_eq!(
        words(&waiting),
        ["published 3", "subscribed 3", "published 4", "deliver 4", "published 2"],
        "the reply before the own event, and the first answer to what was sent again"
    );
    assert_eq!(words(&gateway), ["moved 2"]);
    assert_eq!(pump.said(0, 1), ["state 1"]);
    assert_eq!(pump.said(1, 0), ["claim 2", "all given 2", "taken 1"]);
}

/// H2: keys travel, whoever uses them.
#[test]
fn a_key_counts_once_wherever_the_topic_is() {
    let (mut pump, topic, second, gateway) = two();
    let keyed = |number| Publish {
        key: Some(bytes::Bytes::from_static(b"k")),
        message: crate::topics::testing::message("same"),
        ..publish(&topic, number)
    };
    pump.publish(0, &gateway, keyed(3));
    pump.adopt(&[0, 1], &second);
    pump.pass(A_WHILE);
    let other = outbox();
    pump.subscribe(1, &other, &topic);
    pump.publish(1, &other, keyed(4));
    assert_eq!(words(&other), ["subscribed 3", "published 3"]);
}

/// H2: what waits too long is refused and does not run later.
#[test]
fn what_waits_is_refused_at_its_deadline() {
    let (mut pump, topic, second, _) = two();
    let waiting = outbox();
    pump.adopt(&[1], &second);
    pump.publish(1, &waiting, publish(&topic, 3));
    pump.subscribe(1, &waiting, &topic);
    pump.pass(Duration::from_millis(4990));
    pump.publish(1, &waiting, publish(&topic, 4));
    assert_eq!(words(&waiting), [""; 0]);
    pump.pass(Duration::from_millis(10));
    assert_eq!(words(&waiting), ["publish refused Expired"]);
    pump.adopt(&[0], &second);
    pump.run();
    assert_eq!(words(&waiting), ["subscribed 2", "published 3", "deliver 3"]);
}

/// H2, L2: what a link that ended left waiting is dropped with it.
#[test]
fn what_waits_ends_with_its_link() {
    let (mut pump, topic, second, _) = two();
    let (waiting, other) = (outbox(), outbox());
    pump.adopt(&[1], &second);
    pump.publish(1, &waiting, publish(&topic, 3));
    let held = pump.subscribe(1, &other, &topic).expect("it waits");
    pump.publish(1, &other, publish(&topic, 4));
    pump.servers[1].table.unsubscribe(&held.entry, &other, number(1, 1), pump.now);
    waiting.end(Ending::Gone);
    pump.run();
    pump.adopt(&[0], &second);
    pump.run();
    assert_eq!(
        words(&other),
        ["published 3"],
        "neither the publish of the link that ended nor the subscription"
    );
}

/// H2: what waits is bounded.
#[test]
fn what_waits_is_bounded() {
    let (mut pump, topic, second, _) = two();
    let waiting = outbox();
    pump.adopt(&[1], &second);
    for number in 1..=9000 {
        pump.publish(1, &waiting, publish(&topic, number));
    }
    let refused = words(&waiting);
    assert_eq!(refused.len(), 9000 - 8192);
    assert!(refused.iter().all(|word| word == "publish refused Overloaded"));
    let _ = pump.said(0, 1);
}

/// H2: a topic of which nobody has anything is opened when all who may have had it have said so, under the ring of who
/// asks or a newer one.
#[test]
fn a_new_topic_is_opened_when_all_earlier_owners_have_nothing() {
    let rings = [ring(1, &["ts-a"]), ring(2, &["ts-c"]), ring(3, &["ts-b"])];
    let mut pump = Pump::new(&rings[0], &["ts-a", "ts-b", "ts-c"]);
    let waiting = outbox();
    // It has something of others, so that its word on the topic is needed.
    pump.publish(0, &outbox(), publish("other", 1));
    // Nor do others pass on what this one says.
    pump.held.extend([(2, 0), (2, 1)]);
    pump.adopt(&[1], &rings[1]);
    pump.adopt(&[1], &rings[2]);
    pump.subscribe(1, &waiting, "topic");
    pump.run();
    assert_eq!(pump.said(1, 0), ["claim 3"]);
    assert_eq!(pump.said(0, 1), [""; 0], "under an older ring nothing is said");
    pump.adopt(&[0, 2], &rings[1]);
    pump.run();
    assert!(!pump.said(0, 1).contains(&"nothing 2".to_owned()));
    assert_eq!(words(&waiting), [""; 0]);
    pump.held.insert((0, 1));
    pump.adopt(&[0, 2], &rings[2]);
    pump.run();
    pump.held.remove(&(0, 1));
    pump.run();
    assert!(pump.said(0, 1).contains(&"nothing 3".to_owned()));
    assert_eq!(words(&waiting), [""; 0], "one of two has said it");
    pump.heal();
    pump.run();
    assert_eq!(words(&waiting), ["subscribed 0"]);
}

/// H2: `Nothing` counts for the ring under which it was asked for, and not for a later one.
#[test]
fn under_another_ring_everybody_is_asked_anew() {
    let rings = [ring(1, &["ts-a"]), ring(2, &["ts-c"]), ring(3, &["ts-b"]), ring(4, &["ts-b", "ts-d"])];
    let topic = topic_of(&[(&rings[3], "ts-b")]);
    let mut pump = Pump::new(&rings[0], &["ts-a", "ts-b", "ts-c"]);
    let waiting = outbox();
    pump.held.insert((2, 1));
    pump.adopt(&[1], &rings[1]);
    pump.adopt(&[1], &rings[2]);
    pump.subscribe(1, &waiting, &topic);
    // It has something of others, so that it is not clean.
    let other = topic_of(&[(&rings[3], "ts-d")]);
    pump.publish(0, &outbox(), publish(&other, 1));
    pump.adopt(&[0], &rings[1]);
    pump.adopt(&[0], &rings[2]);
    pump.run();
    assert!(pump.said(0, 1).contains(&"nothing 3".to_owned()));
    assert_eq!(pump.said(1, 0)[0], "claim 3");
    pump.adopt(&[1], &rings[3]);
    pump.run();
    assert_eq!(pump.said(1, 0)[0], "claim 4");
    pump.heal();
    pump.adopt(&[2], &rings[3]);
    pump.run();
    assert_eq!(words(&waiting), [""; 0], "the other one's word is of the ring before");
    pump.adopt(&[0], &rings[3]);
    pump.run();
    assert_eq!(words(&waiting), ["subscribed 0"]);
}

/// H2: a topic that was asked for, forgotten, and is asked for again is claimed again.
#[test]
fn a_topic_that_was_given_up_meanwhile_is_claimed_again() {
    let (mut pump, _, second, _) = two();
    let topics = topics_of(&[(&second, "ts-b")], 3);
    // Its holder has something that nobody takes, so that it is never clean.
    pump.stuck.insert((0, 1));
    let waiting = outbox();
    pump.adopt(&[0, 1], &second);
    let held = pump.subscribe(1, &waiting, &topics[2]).expect("it waits");
    pump.run();
    pump.servers[1].table.unsubscribe(&held.entry, &waiting, number(1, 1), pump.now);
    pump.run();
    pump.heal();
    // The answer finds nobody.
    pump.held.insert((1, 0));
    pump.run();
    pump.held.clear();
    pump.subscribe(1, &waiting, &topics[2]);
    pump.run();
    assert_eq!(words(&waiting), ["subscribed 0"]);
}

/// Moves so many topics with one message of this size each, and returns how many were frozen at the most.
fn frozen_of(topics: usize, size: usize) -> usize {
    let (first, second) = (ring(1, &["ts-a"]), ring(2, &["ts-b"]));
    let mut pump = Pump::new(&first, &["ts-a", "ts-b"]);
    let gateway = outbox();
    let body = crate::topics::testing::message(&"x".repeat(size));
    let large = |topic: usize, number| Publish {
        message: body.clone(),
        ..publish(&format!("topics:{topic}"), number)
    };
    (0..topics).for_each(|topic| pump.publish(0, &gateway, large(topic, 1)));
    drain(&gateway);
    pump.adopt(&[0, 1], &second);
    pump.stuck.insert((0, 1));
    pump.pass(A_WHILE);
    (0..topics).for_each(|topic| pump.publish(0, &gateway, large(topic, 2)));
    let served = words(&gateway).iter().filter(|word| *word == "published 2").count();
    let frozen = topics - served;
    pump.heal();
    pump.run();
    assert_eq!(pump.servers[0].table.len(), 0);
    assert_eq!(pump.servers[1].table.len(), topics);
    assert_eq!(pump.servers[1].metrics.topics_taken.get(), topics as u64);
    assert_eq!(pump.servers[0].metrics.handoffs_open.get(), 0);
    (0..topics).for_each(|topic| pump.publish(1, &gateway, large(topic, 3)));
    let continued = words(&gateway);
    assert_eq!(continued.iter().filter(|word| *word == "published 3").count(), served);
    assert_eq!(continued.iter().filter(|word| *word == "published 2").count(), frozen);
    frozen
}

/// H1, H2: ten thousand topics in one edit move by themselves, and never more than a few are frozen: whatever waits
/// behind them is still served where it was.
#[test]
fn ten_thousand_topics_move_a_few_at_a_time() {
    assert_eq!(frozen_of(10_000, 100), 256);
}

/// H1: large ones are fewer at a time.
#[test]
fn four_mebibytes_of_large_topics_are_under_way() {
    let size = 200_000;
    assert_eq!(frozen_of(100, size), UNSENT / size + 1);
}

/// H3: "all given" is said when nothing is to be given and every giving was confirmed; and on every link anew.
#[test]
fn all_is_given_when_all_is_confirmed() {
    let (mut pump, _, second, _) = two();
    pump.adopt(&[0, 1], &second);
    pump.held.insert((1, 0));
    pump.pass(A_WHILE);
    assert_eq!(pump.said(0, 1), [""; 0], "its claim is under way");
    pump.heal();
    pump.pull();
    pump.stuck.insert((1, 0));
    pump.run();
    assert_eq!(pump.said(0, 1), ["state 1"], "not confirmed");
    assert!(!pump.servers[0].handoff.is_done());
    pump.heal();
    pump.run();
    assert_eq!(pump.said(0, 1), ["all given 2"]);
    assert!(pump.servers[0].handoff.is_done());
    pump.cut(0, 1);
    pump.heal();
    pump.run();
    assert_eq!(pump.said(0, 1), ["all given 2"]);
}

/// R2: who starts lets requests wait until all members have said what rings they know.
#[test]
fn who_starts_waits_for_what_others_know() {
    let (mut pump, topic, second, gateway) = two();
    let epoch = position(&drain(&gateway)).0;
    pump.kill(1);
    let joined = pump.start(place("ts-b"), &second);
    let waiting = outbox();
    pump.publish(joined, &waiting, publish(&topic, 3));
    assert_eq!(words(&waiting), [""; 0], "it has never seen the old ring");
    pump.run();
    assert!(!pump.servers[joined].ownership.is_starting());
    assert_eq!(words(&waiting), [""; 0], "now it has, and asks");
    pump.adopt(&[0], &second);
    pump.run();
    let told = drain(&waiting);
    assert_eq!(position(&told), (epoch, 3));
}

/// R2: a first ring has nothing before it; otherwise whoever is silent, or just started, is waited for 1 s.
#[test]
fn who_starts_with_nobody_who_knows_waits_for_a_second() {
    let first = ring(1, &["ts-a", "ts-b"]);
    let waiting = outbox();
    let pump = Pump::new(&first, &["ts-a"]);
    pump.subscribe(0, &waiting, &topic_of(&[(&first, "ts-a")]));
    assert_eq!(words(&waiting), ["subscribed 0"], "nothing came before this ring");
    let second = ring(2, &["ts-a", "ts-b"]);
    let topics = ["ts-a", "ts-b"].map(|name| topic_of(&[(&second, name)]));
    let mut pump = Pump::new(&second, &[]);
    for name in ["ts-a", "ts-b"] {
        pump.start(place(name), &second);
    }
    for (server, topic) in topics.iter().enumerate() {
        pump.subscribe(server, &waiting, topic);
    }
    pump.pass(Duration::from_millis(990));
    assert_eq!(words(&waiting), [""; 0], "both have just started, whatever they say to each other");
    pump.pass(Duration::from_millis(10));
    assert_eq!(words(&waiting), ["subscribed 0", "subscribed 0"]);
}

/// R1: a newer ring that somebody names comes back to the caller; nothing is adopted here.
#[test]
fn a_newer_ring_that_somebody_names_is_offered_and_not_adopted() {
    let (pump, _, second, _) = two();
    let rings = |newest: &str| Rings {
        newest: newest.to_owned(),
        previous: Vec::new(),
        clean: Vec::new(),
        starting: false,
    };
    let handoff = &pump.servers[0].handoff;
    let offered = handoff.learn(&rings(&second.to_toml()), pump.now).expect("it is newer");
    assert_eq!((offered.version(), offered.digest()), (second.version(), second.digest()));
    assert_eq!(pump.servers[0].ownership.ring_version(), 1);
    assert!(handoff.learn(&rings(&ring(1, &["ts-c"]).to_toml()), pump.now).is_none());
    assert!(handoff.learn(&rings("version = nonsense"), pump.now).is_none());
}
