//! H6, H7, H10: several edits, other addresses, strangers.

use super::*;

/// Everything that is true of a topic that only moved: its epoch, its offset, and nobody else who serves it.
fn only_there(pump: &Pump, holder: usize, topic: &str, before: (u64, u64)) {
    assert_eq!(position_at(pump, holder, topic), before);
    for (at, server) in pump.servers.iter().enumerate().filter(|(at, _)| *at != holder) {
        let gateway = outbox();
        pump.publish(at, &gateway, publish(topic, 100));
        assert_eq!(words(&gateway), ["publish refused NotOwner"], "{at}");
        assert!(server.handoff.is_done());
    }
}

/// H6: a topic goes A, B, C, whoever is late.
#[test]
fn a_topic_goes_on_and_on_whoever_reads_the_edits_late() {
    let rings = [ring(1, &["ts-a"]), ring(2, &["ts-b"]), ring(3, &["ts-c"])];
    for late in 0..3 {
        for skips in [false, true] {
            let mut pump = Pump::new(&rings[0], &["ts-a", "ts-b", "ts-c"]);
            let (gateway, waiting) = (outbox(), outbox());
            pump.publish(0, &gateway, publish("topic", 1));
            let before = position(&drain(&gateway));
            let punctual: Vec<_> = (0..3).filter(|at| *at != late).collect();
            pump.adopt(&punctual, &rings[1]);
            pump.pass(A_WHILE);
            pump.adopt(&punctual, &rings[2]);
            pump.subscribe(2, &waiting, "topic");
            pump.pass(A_WHILE);
            if !skips {
                pump.adopt(&[late], &rings[1]);
                pump.run();
            }
            pump.adopt(&[late], &rings[2]);
            pump.pass(A_WHILE);
            only_there(&pump, 2, "topic", before);
        }
    }
}

/// H6: A, B, A, with the topic on its way when the edit is taken back.
#[test]
fn a_topic_comes_back() {
    let rings = [ring(1, &["ts-a"]), ring(2, &["ts-b"]), ring(3, &["ts-a"])];
    for first in 0..2 {
        for stuck in [None, Some((0, 1)), Some((1, 0))] {
            let mut pump = Pump::new(&rings[0], &["ts-a", "ts-b"]);
            let (gateway, waiting, elsewhere) = (outbox(), outbox(), outbox());
            pump.subscribe(0, &gateway, "topic");
            pump.publish(0, &gateway, publish("topic", 1));
            let before = position(&drain(&gateway));
            pump.adopt(&[0, 1], &rings[1]);
            pump.subscribe(1, &elsewhere, "topic");
            pump.pull();
            pump.held.extend(stuck);
            pump.run();
            pump.adopt(&[first], &rings[2]);
            pump.run();
            pump.adopt(&[1 - first], &rings[2]);
            pump.subscribe(0, &waiting, "topic");
            pump.run();
            pump.heal();
            pump.pass(2 * A_WHILE);
            let told = drain(&waiting);
            assert_eq!(position(&told), before, "{first} {stuck:?}");
            only_there(&pump, 0, "topic", before);
        }
    }
}

/// H2, H6: who skipped a version learns of it before it is told that there is nothing.
#[test]
fn who_skipped_a_version_asks_its_owner_too() {
    let rings = [ring(1, &["ts-a"]), ring(2, &["ts-c"]), ring(3, &["ts-b"])];
    let mut pump = Pump::new(&rings[0], &["ts-a", "ts-b", "ts-c"]);
    let (gateway, waiting) = (outbox(), outbox());
    pump.publish(0, &gateway, publish("topic", 1));
    let before = position(&drain(&gateway));
    pump.cut(1, 2);
    pump.adopt(&[0, 2], &rings[1]);
    pump.pass(A_WHILE);
    pump.adopt(&[1], &rings[2]);
    pump.subscribe(1, &waiting, "topic");
    pump.pass(A_WHILE);
    pump.adopt(&[0], &rings[2]);
    pump.pass(A_WHILE);
    assert_eq!(words(&waiting), [""; 0], "the owner of version 2 has not said anything");
    pump.heal();
    pump.adopt(&[2], &rings[2]);
    pump.pass(A_WHILE);
    assert_eq!(position(&drain(&waiting)), before);
}

/// H7: a member at another address is another process, and gets everything, although the old one lives.
#[test]
fn a_changed_address_is_another_process() {
    let moved = Place { name: "ts-a".to_owned(), address: "127.0.0.1:6001".to_owned() };
    let (first, second) = (ring(1, &["ts-a", "ts-b"]), ring_at(2, &[moved.clone(), place("ts-b")]));
    let topic = topic_of(&[(&first, "ts-a")]);
    let mut pump = Pump::new(&first, &["ts-a", "ts-b"]);
    let (gateway, waiting) = (outbox(), outbox());
    pump.subscribe(0, &gateway, &topic);
    pump.publish(0, &gateway, publish(&topic, 1));
    let before = position(&drain(&gateway));
    let new = pump.start(moved, &second);
    pump.subscribe(new, &waiting, &topic);
    pump.adopt(&[0, 1], &second);
    pump.pass(A_WHILE);
    assert_eq!(words(&gateway), ["moved 1"]);
    assert_eq!(position(&drain(&waiting)), before);
    only_there(&pump, new, &topic, before);
}

/// H7: a process that is reached at the new address is the same one: nothing moves.
#[test]
fn an_address_at_which_it_is_reached_is_its_own() {
    let (first, second) = (ring(1, &["ts-a", "ts-b"]), ring(2, &["ts-a", "ts-b"]));
    let listening = Place { name: "ts-b".to_owned(), address: "0.0.0.0:5002".to_owned() };
    let mut pump = Pump::new(&first, &["ts-a"]);
    let here = pump.start(listening, &first);
    let topic = topic_of(&[(&first, "ts-b")]);
    let gateway = outbox();
    pump.subscribe(here, &gateway, &topic);
    assert_eq!(words(&gateway), ["subscribe refused NotOwner"], "nobody has reached it");
    pump.servers[here].place = place("ts-b");
    pump.pass(Duration::from_millis(20));
    pump.subscribe(here, &gateway, &topic);
    pump.adopt(&[0, here], &second);
    pump.pass(A_WHILE);
    assert_eq!(words(&gateway), ["subscribed 0"]);
}

/// H7, H10: a standby that learns its address by being added takes what is its own: its links say the new address.
#[test]
fn a_standby_that_learns_its_address_takes_topics() {
    let (first, second) = (ring(1, &["ts-a"]), ring(2, &["ts-a", "ts-b"]));
    let topic = topic_of(&[(&second, "ts-b")]);
    let mut pump = Pump::new(&first, &["ts-a"]);
    let listening = Place { name: "ts-b".to_owned(), address: "0.0.0.0:5002".to_owned() };
    let standby = pump.start(listening, &first);
    let gateway = outbox();
    pump.publish(0, &gateway, publish(&topic, 1));
    let before = position(&drain(&gateway));
    pump.pass(A_WHILE);
    pump.servers[standby].place = place("ts-b");
    pump.adopt(&[0, standby], &second);
    pump.pass(A_WHILE);
    assert_eq!(position_at(&pump, standby, &topic), before);
}

/// H10: who is not the owner gets no state, and no word about the topic either.
#[test]
fn a_stranger_gets_nothing() {
    let (pump, topic, second, gateway) = two();
    drain(&gateway);
    pump.adopt(&[0], &second);
    let handoff = &pump.servers[0].handoff;
    let stranger = |from: Place| PeerHello {
        from,
        incarnation: Incarnation(99),
        ..pump.servers[1].handoff.hello(&place("ts-a"), 77)
    };
    let elsewhere = Place { address: "127.0.0.1:9999".to_owned(), ..place("ts-b") };
    for from in [place("ts-c"), elsewhere, Place { name: "ts-b".to_owned(), address: String::new() }] {
        let outbox = PeerOutbox::default();
        handoff.accepted(&stranger(from), outbox.clone(), pump.now);
        let topic = bytes::Bytes::copy_from_slice(topic.as_bytes());
        handoff.from_taker(
            Incarnation(99),
            77,
            FromPeer::Claim { topic: topic.clone(), ring_version: 2 },
            pump.now,
        );
        handoff.from_taker(Incarnation(99), 77, FromPeer::ClaimAll(2), pump.now);
        handoff.settle(pump.now);
        let said = outbox.end();
        assert!(
            said.iter().all(|item| !matches!(item, FromPeer::State(_) | FromPeer::Nothing { .. })),
            "{said:?}"
        );
        handoff.ended(Incarnation(99), 77, pump.now);
    }
    pump.publish(0, &gateway, publish(&topic, 3));
    assert_eq!(words(&gateway), ["published 3", "deliver 3"]);
}

/// H10: under a ring that the holder does not know, or that is no longer its own, nothing is given.
#[test]
fn a_claim_under_another_ring_gets_nothing() {
    let (mut pump, topic, second, gateway) = two();
    drain(&gateway);
    pump.adopt(&[1], &ring(3, &["ts-b"]));
    pump.subscribe(1, &outbox(), &topic);
    pump.pass(A_WHILE);
    pump.adopt(&[0], &second);
    pump.pass(A_WHILE);
    pump.publish(0, &gateway, publish(&topic, 3));
    assert_eq!(words(&gateway), ["published 3", "deliver 3"], "the claim is of version 3");
    // Asked for under version 2, and its own under version 3, too: that is another matter.
    let (mut pump, _, second, gateway) = two();
    let third = ring(3, &["ts-a", "ts-c"]);
    let topic = topic_of(&[(&second, "ts-b"), (&third, "ts-c")]);
    drain(&gateway);
    pump.subscribe(0, &gateway, &topic);
    pump.adopt(&[0], &third);
    pump.adopt(&[1], &second);
    pump.subscribe(1, &outbox(), &topic);
    pump.pass(A_WHILE);
    pump.publish(0, &gateway, publish(&topic, 9));
    let words = words(&gateway);
    assert!(words.len() == 3 && words[2].starts_with("deliver"), "{words:?}");
}

/// H3, H10: only the process that a topic was given to can say what became of it.
#[test]
fn nobody_else_confirms_or_disclaims() {
    let (mut pump, topic, second, gateway) = two();
    drain(&gateway);
    pump.adopt(&[0, 1], &second);
    pump.held.insert((0, 1));
    pump.pass(A_WHILE);
    let hello = PeerHello {
        from: place("ts-c"),
        incarnation: B,
        ..pump.servers[1].handoff.hello(&place("ts-a"), 77)
    };
    let handoff = &pump.servers[0].handoff;
    handoff.accepted(&hello, PeerOutbox::default(), pump.now);
    for item in [FromPeer::Taken(1), FromPeer::Disclaimed(1)] {
        handoff.from_taker(B, 77, item.clone(), pump.now);
        // Nor a link that is not there.
        handoff.from_taker(Incarnation(2), 1_000, item, pump.now);
    }
    handoff.settle(pump.now);
    assert!(!handoff.is_done());
    pump.publish(0, &gateway, publish(&topic, 3));
    assert_eq!(words(&gateway), ["moved 2", "publish refused NotOwner"]);
}
