//! H3 and H4: what becomes of a topic when a link breaks, or somebody dies, in the middle.

use super::*;

/// H3: what never left was not given: the holder goes on as if nothing was.
#[test]
fn state_that_was_never_sent_was_not_given() {
    let (mut pump, topic, second, gateway) = two();
    let before = position(&drain(&gateway));
    pump.adopt(&[0, 1], &second);
    pump.stuck.insert((0, 1));
    pump.pass(A_WHILE);
    pump.publish(0, &gateway, publish(&topic, 3));
    assert_eq!(words(&gateway), ["moved 2", "publish refused NotOwner"], "it is frozen");
    pump.cut(0, 1);
    assert_eq!(position_at(&pump, 0, &topic), before);
    assert_eq!(pump.servers[0].metrics.handoffs_taken_back.get(), 1);
    pump.heal();
    pump.pass(A_WHILE);
    assert_eq!(position_at(&pump, 1, &topic), before, "and it goes over on the next link");
    assert!(pump.servers[0].handoff.is_done());
}

/// H3: sending the last piece gives the epoch away, whether it arrives or not.
#[test]
fn state_that_was_sent_stays_given_and_is_sent_again() {
    let (mut pump, topic, second, gateway) = two();
    let before = position(&drain(&gateway));
    pump.adopt(&[0, 1], &second);
    pump.held.insert((0, 1));
    pump.pass(A_WHILE);
    pump.cut(0, 1);
    pump.publish(0, &gateway, publish(&topic, 3));
    assert_eq!(words(&gateway), ["moved 2", "publish refused NotOwner"]);
    assert!(!pump.servers[0].handoff.is_done());
    pump.pass(Duration::from_secs(20));
    pump.publish(0, &gateway, publish(&topic, 3));
    assert_eq!(words(&gateway), ["publish refused NotOwner"], "for as long as it takes");
    pump.heal();
    pump.run();
    assert_eq!(position_at(&pump, 1, &topic), before);
    assert!(pump.servers[0].handoff.is_done());
}

/// H3: it was sent on the first link; that the second one broke before it was sent again says nothing.
#[test]
fn state_that_was_sent_once_stays_given_whatever_becomes_of_later_links() {
    let (mut pump, topic, second, gateway) = two();
    drain(&gateway);
    pump.adopt(&[0, 1], &second);
    pump.pass(A_WHILE - Duration::from_millis(100));
    // It arrives, and is opened there; the confirmation does not come back.
    pump.held.insert((1, 0));
    pump.subscribe(1, &outbox(), &topic);
    pump.heal();
    pump.pull();
    pump.stuck.insert((1, 0));
    pump.run();
    assert_eq!(pump.said(0, 1), ["state 1"]);
    pump.cut(0, 1);
    pump.heal();
    pump.stuck.insert((0, 1));
    pump.connect();
    pump.cut(0, 1);
    pump.publish(0, &gateway, publish(&topic, 3));
    assert_eq!(words(&gateway), ["moved 2", "publish refused NotOwner"]);
    assert_eq!(pump.servers[0].metrics.handoffs_taken_back.get(), 0);
    pump.heal();
    pump.pass(UPKEEP);
    assert!(pump.servers[0].handoff.is_done());
    assert_eq!(position_at(&pump, 1, &topic).1, 2);
}

/// H3, H5: a confirmation that is lost is said again, and what comes again is not opened again.
#[test]
fn a_confirmation_that_is_lost_is_said_again() {
    let (mut pump, topic, second, gateway) = two();
    let epoch = position(&drain(&gateway)).0;
    let taking = outbox();
    pump.adopt(&[0, 1], &second);
    pump.publish(1, &taking, publish(&topic, 3));
    pump.pull();
    pump.stuck.insert((1, 0));
    pump.run();
    assert_eq!(position(&drain(&taking)), (epoch, 3));
    pump.cut(0, 1);
    pump.publish(1, &taking, publish(&topic, 4));
    pump.heal();
    pump.pass(UPKEEP);
    assert!(pump.servers[0].handoff.is_done());
    pump.publish(1, &taking, publish(&topic, 5));
    assert_eq!(position(&drain(&taking)), (epoch, 5), "nothing was undone");
    assert_eq!(pump.servers[1].metrics.topics_taken.get(), 1);
}

/// H3: of whoever is gone, the copy goes on under a new epoch: offsets and keys go on, what was kept does not.
#[test]
fn the_copy_of_a_taker_that_is_gone_goes_on_in_a_new_epoch() {
    let (mut pump, topic, second, gateway) = two();
    let keyed = |number| Publish {
        key: Some(bytes::Bytes::from_static(b"k")),
        message: crate::topics::testing::message("same"),
        ..publish(&topic, number)
    };
    pump.publish(0, &gateway, keyed(3));
    let before = position(&drain(&gateway));
    pump.adopt(&[0, 1], &second);
    pump.held.insert((0, 1));
    pump.pass(A_WHILE);
    pump.kill(1);
    pump.heal();
    let next = pump.start(place("ts-b"), &second);
    pump.pass(A_WHILE);
    let other = outbox();
    let held = pump.subscribe(next, &other, &topic).expect("held");
    pump.publish(next, &other, Publish { slot: 6, ..keyed(4) });
    let told = drain(&other);
    let now = position(&told);
    assert_ne!(now.0, before.0);
    assert_eq!(now.1, 3, "and the key has its offset");
    let table = &pump.servers[next].table;
    table.read(&held.entry, &other, number(1, 1), campanile_proto::Epoch(before.0), 2, pump.now);
    table.read(&held.entry, &other, number(1, 1), campanile_proto::Epoch(now.0), 2, pump.now);
    table.read(&held.entry, &other, number(1, 1), campanile_proto::Epoch(now.0), 3, pump.now);
    assert_eq!(words(&other)[..2], ["gone at 2", "gone at 2"]);
    pump.publish(next, &other, publish(&topic, 5));
    assert_eq!(words(&other), ["published 4", "deliver 4"]);
    assert!(pump.servers[0].handoff.is_done());
}

/// H3, H6: what its taker never opened and never will goes on under the same epoch, once, without going to and fro.
#[test]
fn what_was_disclaimed_goes_on_in_the_same_epoch() {
    let (mut pump, topic, second, gateway) = two();
    let before = position(&drain(&gateway));
    pump.adopt(&[0, 1], &second);
    pump.held.insert((0, 1));
    pump.pass(A_WHILE);
    pump.adopt(&[1], &ring(3, &["ts-a"]));
    pump.heal();
    pump.run();
    let said = pump.said(1, 0);
    assert_eq!(said.iter().filter(|word| word.starts_with("disclaimed")).count(), 1, "{said:?}");
    assert_eq!(position_at(&pump, 0, &topic), before);
    pump.pass(Duration::from_secs(1));
    assert!(!pump.said(1, 0).iter().any(|word| word.starts_with("disclaimed")));
    pump.adopt(&[0], &ring(3, &["ts-a"]));
    pump.run();
    assert_eq!(position_at(&pump, 0, &topic), before);
    assert!(pump.servers[0].handoff.is_done());
}

/// H4: without an answer the owner opens the topic only when it and who asks have both had no link for 5 s.
#[test]
fn without_an_answer_a_topic_is_opened_only_if_nobody_sees_its_holder() {
    let (mut pump, topic, second, gateway) = two();
    let epoch = position(&drain(&gateway)).0;
    let (blind, seeing) = (outbox(), outbox());
    blind.set_sees(vec![place("ts-b")]);
    seeing.set_sees(vec![place("ts-a"), place("ts-b")]);
    pump.adopt(&[1], &second);
    pump.cut(0, 1);
    pump.pass(Duration::from_millis(4900));
    pump.subscribe(1, &blind, &topic);
    assert_eq!(words(&blind), [""; 0]);
    pump.pass(Duration::from_millis(200));
    let new = position(&drain(&blind));
    assert_ne!(new.0, epoch);
    assert_eq!(new.1, 0);
    let other = topics_of(&[(&second, "ts-b")], 2).remove(1);
    pump.subscribe(1, &seeing, &other);
    pump.pass(Duration::from_secs(20));
    assert_eq!(words(&seeing), [""; 0], "its gateway sees the holder");
    pump.subscribe(1, &blind, &other);
    assert_eq!(words(&seeing), ["subscribed 0"]);
}

/// H4, H5: when both are together again, the epoch of the newer ring stays.
#[test]
fn the_epoch_of_the_newer_ring_stays_when_a_holder_comes_back() {
    let (mut pump, topic, second, gateway) = two();
    let blind = outbox();
    blind.set_sees(Vec::new());
    pump.adopt(&[0, 1], &second);
    pump.cut(0, 1);
    pump.pass(Duration::from_secs(5));
    pump.publish(1, &blind, publish(&topic, 1));
    let new = position(&drain(&blind));
    pump.publish(0, &gateway, publish(&topic, 3));
    pump.heal();
    pump.pass(A_WHILE);
    assert_eq!(words(&gateway).last().map(String::as_str), Some("moved 3"));
    assert_eq!(position_at(&pump, 1, &topic), new);
    assert!(pump.servers[0].handoff.is_done());
}

/// H4: a copy given to somebody who is out of reach for both goes on elsewhere, in a new epoch.
#[test]
fn a_copy_given_to_somebody_out_of_reach_goes_on_at_the_newest_owner() {
    let rings = [ring(1, &["ts-a"]), ring(2, &["ts-b"]), ring(3, &["ts-c"])];
    let mut pump = Pump::new(&rings[0], &["ts-a", "ts-b", "ts-c"]);
    let (gateway, waiting) = (outbox(), outbox());
    pump.publish(0, &gateway, publish("topic", 1));
    let before = position(&drain(&gateway));
    pump.held.insert((0, 1));
    pump.adopt(&[0, 1, 2], &rings[1]);
    pump.pass(A_WHILE);
    pump.kill(1);
    pump.adopt(&[0, 2], &rings[2]);
    pump.cut(0, 2);
    pump.heal();
    waiting.set_sees(vec![place("ts-c"), place("ts-a")]);
    pump.publish(2, &waiting, Publish { time_left: Duration::from_secs(60), ..publish("topic", 2) });
    pump.pass(Duration::from_millis(4900));
    assert_eq!(words(&waiting), [""; 0]);
    pump.pass(Duration::from_millis(500));
    let after = position(&drain(&waiting));
    assert_ne!(after.0, before.0);
    assert_eq!(after.1, 2, "its offsets go on");
    assert_eq!(pump.servers[0].metrics.handoffs_forced.get(), 1);
}

/// H3, H5: a taker whose confirmation was lost passes the topic on and dies: the giver's copy does not replace what went on.
#[test]
fn a_copy_does_not_replace_what_its_taker_passed_on() {
    let rings = [ring(1, &["ts-a"]), ring(2, &["ts-b"]), ring(3, &["ts-c"])];
    let mut pump = Pump::new(&rings[0], &["ts-a", "ts-b", "ts-c"]);
    let (gateway, waiting) = (outbox(), outbox());
    pump.publish(0, &gateway, publish("topic", 1));
    let epoch = position(&drain(&gateway)).0;
    pump.adopt(&[0, 1, 2], &rings[1]);
    pump.subscribe(1, &waiting, "topic");
    pump.pull();
    pump.stuck.insert((1, 0));
    pump.run();
    assert_eq!(position(&drain(&waiting)), (epoch, 1), "it was opened, and the giver does not know");
    pump.adopt(&[1, 2], &rings[2]);
    pump.publish(2, &gateway, publish("topic", 2));
    pump.run();
    assert_eq!(position(&drain(&gateway)), (epoch, 2));
    pump.kill(1);
    pump.heal();
    pump.start(place("ts-b"), &rings[2]);
    pump.adopt(&[0], &rings[2]);
    pump.pass(Duration::from_secs(1));
    assert!(pump.servers[0].handoff.is_done());
    assert_eq!(position_at(&pump, 2, "topic"), (epoch, 2));
}
