use super::*;
use crate::topics::testing::{place, ring, ring_at, topic_of};

fn ownership(name: &str, ring: &Arc<Ring>) -> Ownership {
    let ownership = Ownership::elsewhere(name.to_owned(), Arc::clone(ring), Some(place(name).address));
    ownership.learn_address(&place(name).address);
    ownership
}

/// H2: whoever was owner under an earlier ring has to be asked, each once, until it is known that it holds nothing.
#[test]
fn earlier_owners_have_to_be_asked() {
    let now = Instant::now();
    let rings = [ring(1, &["ts-a"]), ring(2, &["ts-c"]), ring(3, &["ts-a"]), ring(4, &["ts-b"])];
    let own = ownership("ts-b", &rings[0]);
    assert_eq!(own.standing(b"topic"), Standing::Foreign);
    for ring in &rings[1..] {
        assert!(own.adopt(Arc::clone(ring), now));
    }
    assert_eq!(own.standing(b"topic"), Standing::Asked(vec![place("ts-a"), place("ts-c")]));
    own.learn([], [(place("ts-a"), 3)], now);
    assert_eq!(
        own.standing(b"topic"),
        Standing::Asked(vec![place("ts-c"), place("ts-a")]),
        "3 is not beyond 3"
    );
    own.learn([], [(place("ts-a"), 4), (place("ts-c"), 2)], now);
    assert_eq!(own.standing(b"topic"), Standing::Asked(vec![place("ts-c")]));
    own.learn([], [(place("ts-c"), 3), (place("ts-c"), 1)], now);
    assert_eq!(own.standing(b"topic"), Standing::Free);
}

/// H6: what somebody has given away under a ring that is not ours yet says nothing about ours.
#[test]
fn a_word_under_a_newer_ring_counts_when_we_have_that_ring() {
    let now = Instant::now();
    let own = ownership("ts-b", &ring(1, &["ts-a"]));
    own.adopt(ring(2, &["ts-b"]), now);
    own.learn([ring(3, &["ts-a"])], [(place("ts-a"), 3)], now);
    assert_eq!(own.standing(b"topic"), Standing::Asked(vec![place("ts-a")]));
    assert!(own.peers().contains(&place("ts-a")));
    own.adopt(ring(4, &["ts-b"]), now);
    assert_eq!(
        own.standing(b"topic"),
        Standing::Asked(vec![place("ts-a")]),
        "the owner under 3, which we skipped"
    );
    own.learn([], [(place("ts-a"), 4)], now);
    assert_eq!(own.standing(b"topic"), Standing::Free);
}

/// R1: a lower version, or the same, never replaces the newest.
#[test]
fn only_a_newer_ring_is_adopted() {
    let now = Instant::now();
    let own = ownership("ts-a", &ring(2, &["ts-a"]));
    assert!(!own.adopt(ring(1, &["ts-b"]), now) && !own.adopt(ring(2, &["ts-b"]), now));
    assert!(own.owns(b"topic"));
}

/// R2: rings that others know of count as if they had been seen here; what was said and is known changes nothing.
#[test]
fn rings_that_others_know_of_count() {
    let now = Instant::now();
    let own = ownership("ts-b", &ring(3, &["ts-b"]));
    assert_eq!(own.standing(b"topic"), Standing::Free);
    let before = own.generation();
    own.learn([ring(1, &["ts-a"])], [], now);
    assert_eq!(own.standing(b"topic"), Standing::Asked(vec![place("ts-a")]));
    assert!(own.generation() > before);
    let before = own.generation();
    own.learn([ring(1, &["ts-c"]), ring(3, &["ts-c"])], [], now);
    assert_eq!(own.generation(), before);
    assert_eq!(own.offers().previous, [ring(1, &["ts-a"]).to_toml()]);
}

/// R2: while nobody has been asked for rings, nothing is opened.
#[test]
fn who_starts_opens_nothing() {
    let own = ownership("ts-a", &ring(1, &["ts-a"]));
    own.set_starting(true);
    assert_eq!(own.standing(b"topic"), Standing::Starting);
    own.set_starting(false);
    assert_eq!(own.standing(b"topic"), Standing::Free);
}

/// R2: a ring is offered for 60 s, and for as long as anybody may hold what it got under it.
#[test]
fn earlier_rings_are_forgotten_when_nothing_is_left_of_them() {
    let now = Instant::now();
    let own = ownership("ts-b", &ring(1, &["ts-a"]));
    own.adopt(ring(2, &["ts-b"]), now);
    own.forget(now + OFFERED);
    assert_eq!(own.offers().previous.len(), 1, "nobody has said that nothing is left");
    own.learn([], [(place("ts-a"), 2)], now);
    assert!(own.peers().is_empty(), "nothing to settle");
    own.forget(now + OFFERED - Duration::from_millis(1));
    assert_eq!(own.offers().previous.len(), 1);
    own.forget(now + OFFERED);
    assert!(own.offers().previous.is_empty());
}

/// H7: a member is name and address; the address is one at which this process listens or was reached.
#[test]
fn a_member_is_name_and_address() {
    let moved = Place { name: "ts-a".to_owned(), address: "127.0.0.1:6001".to_owned() };
    let (first, second) = (ring(1, &["ts-a", "ts-b"]), ring_at(2, &[moved.clone(), place("ts-b")]));
    let topic = topic_of(&[(&first, "ts-a"), (&second, "ts-a")]);
    let old = ownership("ts-a", &first);
    old.adopt(Arc::clone(&second), Instant::now());
    assert!(!old.is_member() && !old.owns(topic.as_bytes()));
    assert_eq!(old.standing(topic.as_bytes()), Standing::Foreign);
    assert!(old.peers().contains(&moved));
    let new = Ownership::elsewhere("ts-a".to_owned(), Arc::clone(&second), Some(moved.address.clone()));
    new.learn([first], [], Instant::now());
    assert_eq!(new.standing(topic.as_bytes()), Standing::Asked(vec![place("ts-a")]));
    // The old one is reached there: it is the same process after all.
    old.learn_address(&moved.address);
    assert!(old.is_self(&moved) && old.owns(topic.as_bytes()));
    assert_eq!(old.standing(topic.as_bytes()), Standing::Free);
    assert_eq!(old.own_place(), moved);
}

/// The number of earlier rings is bounded: the oldest go.
#[test]
fn earlier_rings_are_bounded() {
    let now = Instant::now();
    let own = ownership("ts-b", &ring(1, &["ts-a"]));
    own.learn((100..200).map(|version| ring(version, &["ts-c"])), [], now);
    assert_eq!(own.offers().previous.len(), EARLIER);
    (2..60).for_each(|version| assert!(own.adopt(ring(version, &["ts-a"]), now)));
    assert!(own.offers().previous.len() <= 2 * EARLIER);
}

/// So is what they take: a line of text may name a ring of a hundred megabytes.
#[test]
fn the_points_of_earlier_rings_are_bounded() {
    let mut rings: BTreeMap<u64, u64> = (1..=10).map(|version| (version, POINTS / 4)).collect();
    keep_newest(&mut rings, |points| *points);
    assert_eq!(rings.into_keys().collect::<Vec<_>>(), [7, 8, 9, 10]);
    let mut one_too_many: BTreeMap<u64, u64> = [(1, 1), (2, POINTS_MAX), (3, POINTS_MAX)].into();
    keep_newest(&mut one_too_many, |points| *points);
    assert_eq!(one_too_many.into_keys().collect::<Vec<_>>(), [2, 3]);
}

/// Somebody who makes places up costs no more than so many of them.
#[test]
fn made_up_places_are_not_kept_without_end() {
    let now = Instant::now();
    let own = ownership("ts-b", &ring(1, &["ts-a"]));
    own.adopt(ring(2, &["ts-b"]), now);
    own.learn([], [(place("ts-a"), 1)], now);
    own.learn([], (0..2 * PLACES).map(|number| (place(&format!("no-{number}-a")), 2)), now);
    assert!(own.offers().clean.len() <= PLACES);
    own.learn([], [(place("ts-a"), 2)], now);
    assert_eq!(own.standing(b"topic"), Standing::Free, "who is known already is heard");
}
