use campanile_proto::handoff::peer_item_cost;
use campanile_proto::handoff::{FromPeer, decode_peer_item, encode_peer_item};
use campanile_proto::{Found, Incarnation, Message};

use super::*;
use crate::topics::history::Bounds;
use crate::topics::state::{Order, Outcome};
use crate::topics::testing::{A, B, message};

const BOUNDS: Bounds = Bounds { messages: 100_000, bytes: 64 << 20, age: Duration::from_secs(120) };

fn order(gateway: Incarnation, number: u64, now: Instant) -> Order<'static> {
    let deadline = now + Duration::from_secs(5);
    Order { gateway, number, settled_below: 0, resend_epoch: None, deadline, key: None, rate: None }
}

/// The same topic, on the other side of the wire.
fn there(pieces: Vec<Piece>, now: Instant) -> Topic<u32> {
    let over_the_wire = |piece| match decode_peer_item(encode_peer_item(FromPeer::State(piece))) {
        Ok(FromPeer::State(piece)) => piece,
        other => panic!("{other:?}"),
    };
    let mut pieces = pieces.into_iter().map(over_the_wire);
    let mut arriving = pieces.next().and_then(Arriving::begin).expect("a first piece");
    for piece in pieces {
        assert!(arriving.go_on(piece));
    }
    arriving.into_topic(now)
}

/// A topic with two messages, 30 s apart; the second has the key `k`.
fn topic(start: Instant) -> (Topic<u32>, Instant) {
    let mut topic = Topic::new(Epoch(7), 3, start);
    topic.publish(&order(A, 4, start), &message("one"), &BOUNDS, start);
    let later = start + Duration::from_secs(30);
    let keyed = Order { key: Some(b"k"), ..order(B, 9, later) };
    topic.publish(&keyed, &message("two"), &BOUNDS, later);
    (topic, later)
}

fn read(topic: &mut Topic<u32>, from: u64, now: Instant) -> Found {
    topic.read(Epoch(7), from, 1 << 30, &BOUNDS, now)
}

/// H2: epoch, offset, ring version, history with its ages, keys and windows.
#[test]
fn all_that_the_contract_rests_on_travels() {
    let (topic, now) = topic(Instant::now());
    let mut there = there(pieces(&topic, b"topic", 1, now), now);
    assert_eq!((there.epoch(), there.offset(), there.opened_under), (Epoch(7), 2, 3));
    assert_eq!(read(&mut there, 0, now), Found::Messages(vec![message("one"), message("two")]));
    let again = Order { resend_epoch: Some(Epoch(7)), ..order(A, 4, now) };
    assert_eq!(there.publish(&again, &message("one"), &BOUNDS, now), Outcome::Repeated(1));
    let keyed = Order { key: Some(b"k"), ..order(A, 5, now) };
    assert_eq!(there.publish(&keyed, &message("two"), &BOUNDS, now), Outcome::Repeated(2));
    let reused = Order { key: Some(b"k"), ..order(A, 6, now) };
    let refused = Outcome::Refused(campanile_proto::Refusal::KeyReused);
    assert_eq!(there.publish(&reused, &message("other"), &BOUNDS, now), refused);
    assert_eq!(there.publish(&order(A, 7, now), &message("three"), &BOUNDS, now), Outcome::Sequenced(3));
}

/// H2, L7: what is kept is as old there as it was here.
#[test]
fn ages_go_on() {
    let start = Instant::now();
    let (topic, now) = topic(start);
    let mut there = there(pieces(&topic, b"topic", 1, now), now);
    let almost = start + BOUNDS.age - Duration::from_millis(1);
    assert_eq!(read(&mut there, 0, almost), Found::Messages(vec![message("one"), message("two")]));
    assert_eq!(read(&mut there, 0, start + BOUNDS.age), Found::Gone { oldest: Some(2) });
    let keyed = |number, now| Order { key: Some(b"k"), ..order(A, number, now) };
    let almost = now + KEY_AGE - Duration::from_millis(1);
    assert_eq!(there.publish(&keyed(5, almost), &message("two"), &BOUNDS, almost), Outcome::Repeated(2));
    let over = now + KEY_AGE;
    assert_eq!(there.publish(&keyed(6, over), &message("two"), &BOUNDS, over), Outcome::Sequenced(3));
}

/// A topic without anything is one piece, and stays what it is.
#[test]
fn a_topic_without_anything_is_one_piece() {
    let now = Instant::now();
    let topic: Topic<u32> = Topic::new(Epoch(7), 3, now);
    let pieces = pieces(&topic, b"topic", 1, now);
    assert!(pieces.len() == 1 && pieces[0].last);
    let mut there = there(pieces, now);
    assert_eq!((there.epoch(), there.offset()), (Epoch(7), 0));
    assert_eq!(read(&mut there, 0, now), Found::Messages(vec![]));
}

/// H2: pieces hold at most 1 MiB, or one larger message, whatever the sizes, and lose nothing.
#[test]
fn large_state_travels_in_pieces_of_one_mebibyte() {
    let now = Instant::now();
    for size in [100, 40_000, 700_000, PIECE_BYTES + 1] {
        let mut topic: Topic<u32> = Topic::new(Epoch(7), 3, now);
        let text = |number: u64| message(&"x".repeat(size - number as usize));
        let count = (5 << 20) / size as u64;
        for number in 1..=count.min(90) {
            let key = [b'k'; 60].map(|byte| byte ^ number as u8);
            let keyed = Order { key: Some(&key), ..order(Incarnation(number), number, now) };
            topic.publish(&keyed, &text(number), &BOUNDS, now);
        }
        let pieces = pieces(&topic, b"topic", 1, now);
        for piece in &pieces {
            let cost = peer_item_cost(&FromPeer::State(piece.clone()));
            assert!(piece.history.len() <= 1 || cost <= PIECE_BYTES + 1024, "{cost} bytes, {size}");
        }
        assert!(size < 10_000 || pieces.len() > 2);
        assert_eq!(pieces.iter().filter(|piece| piece.last).count(), 1);
        assert!(pieces.last().is_some_and(|piece| piece.last) && pieces[0].head.is_some());
        let mut there = there(pieces, now);
        let all: Vec<Message> = (1..=count.min(90)).map(text).collect();
        assert_eq!(read(&mut there, 0, now), Found::Messages(all));
        assert_eq!(there.history_bytes(), topic.history_bytes());
        assert_eq!(there.windows.len(), topic.windows.len());
    }
}

/// What does not belong together is not put together.
#[test]
fn pieces_of_something_else_are_not_taken() {
    let (topic, now) = topic(Instant::now());
    let piece = pieces(&topic, b"topic", 1, now).remove(0);
    let go_on = |change: fn(&mut Piece)| {
        let mut next = Piece { head: None, ..piece.clone() };
        change(&mut next);
        Arriving::begin(piece.clone()).expect("a first piece").go_on(next)
    };
    assert!(go_on(|_| ()));
    assert!(!go_on(|piece| piece.number = 2));
    assert!(!go_on(|piece| piece.topic = Bytes::from_static(b"other")));
    assert!(Arriving::begin(Piece { head: None, ..piece }).is_none());
}

/// A peer's numbers cannot make this server panic, or keep anything for ever.
#[test]
fn nonsense_does_no_harm() {
    let (topic, now) = topic(Instant::now());
    let mut piece = pieces(&topic, b"topic", 1, now).remove(0);
    if let Some(head) = &mut piece.head {
        head.offset = 1;
    }
    piece.history.iter_mut().for_each(|past| past.age_ms = u64::MAX);
    piece.keys.iter_mut().for_each(|key| key.left_ms = u64::MAX);
    piece.windows.iter_mut().for_each(|window| window.idle_ms = u64::MAX);
    let there = there(vec![piece.clone()], now);
    assert_eq!(there.keys.as_ref().and_then(|keys| keys.over_at()), Some(now + KEY_AGE));
    if let Some(head) = &mut piece.head {
        head.offset = u64::MAX;
    }
    assert!(Arriving::begin(piece).is_none());
}
