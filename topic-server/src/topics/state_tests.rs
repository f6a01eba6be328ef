use super::*;

const A: Incarnation = Incarnation(0xa);
const B: Incarnation = Incarnation(0xb);

/// No history.
const NONE: Bounds = Bounds { messages: 0, bytes: 0, age: Duration::ZERO };

/// Three messages.
const THREE: Bounds = Bounds { messages: 3, bytes: 1 << 20, age: Duration::from_secs(120) };

fn number(generation: u32) -> Subscription {
    Subscription { slot: 1, generation }
}

/// A topic, and the instant at which it was made.
fn topic() -> (Topic<u32>, Instant) {
    let now = Instant::now();
    (Topic::new(Epoch(7), 1, now), now)
}

fn order(gateway: Incarnation, number: u64, now: Instant) -> Order<'static> {
    let deadline = now + Duration::from_secs(5);
    Order { gateway, number, settled_below: 0, resend_epoch: None, deadline, key: None, rate: None }
}

fn publish(topic: &mut Topic<u32>, order: &Order<'_>, now: Instant) -> Outcome {
    topic.publish(order, &message(), &NONE, now)
}

fn message() -> Message {
    let payload = bytes::Bytes::from_static(b"{}");
    Message { encoding: campanile_proto::Encoding::Json, event: payload.clone(), payload }
}

#[test]
fn offsets_count_from_one_whoever_publishes() {
    let (mut topic, now) = topic();
    assert_eq!(publish(&mut topic, &order(A, 10, now), now), Outcome::Sequenced(1));
    assert_eq!(publish(&mut topic, &order(B, 3, now), now), Outcome::Sequenced(2));
    assert_eq!(publish(&mut topic, &order(A, 11, now), now), Outcome::Sequenced(3));
    assert_eq!(topic.offset(), 3);
}

#[test]
fn a_link_is_delivered_to_once_however_often_it_subscribes() {
    let (mut topic, _) = topic();
    assert_eq!(topic.subscribe(1, number(1)), None);
    assert_eq!(topic.subscribe(2, number(9)), None);
    assert_eq!(topic.subscribe(1, number(2)), Some(number(1)));
    assert_eq!(topic.subscribers().len(), 2);
    assert_eq!(topic.subscribers()[0].subscription, number(2));
}

/// L2 and L3: a late `Unsubscribe` of an older number, or of another link, undoes nothing.
#[test]
fn only_the_current_number_unsubscribes() {
    let (mut topic, now) = topic();
    topic.subscribe(1, number(1));
    topic.subscribe(1, number(2));
    assert!(!topic.unsubscribe(&1, number(1), now));
    assert!(!topic.unsubscribe(&2, number(2), now));
    assert_eq!(topic.subscribers().len(), 1);
    assert!(topic.unsubscribe(&1, number(2), now));
    assert!(topic.subscribers().is_empty());
}

#[test]
fn a_resend_inside_the_window_gets_its_first_answer() {
    let (mut topic, now) = topic();
    publish(&mut topic, &order(A, 1, now), now);
    publish(&mut topic, &order(A, 2, now), now);
    let again = Order { resend_epoch: Some(Epoch(7)), ..order(A, 1, now) };
    assert_eq!(publish(&mut topic, &again, now), Outcome::Repeated(1));
    assert_eq!(topic.offset(), 2, "a repeat is no message");
}

#[test]
fn a_resend_keeps_its_answer_even_after_its_time_is_up() {
    let (mut topic, now) = topic();
    publish(&mut topic, &order(A, 1, now), now);
    let late = now + Duration::from_secs(6);
    assert_eq!(publish(&mut topic, &order(A, 1, now), late), Outcome::Repeated(1));
}

#[test]
fn a_lower_number_outside_the_window_is_refused() {
    let (mut topic, now) = topic();
    publish(&mut topic, &order(A, 5, now), now);
    assert_eq!(publish(&mut topic, &order(A, 4, now), now), Outcome::Refused(Refusal::StaleNumber));
    let settled = Order { settled_below: 6, ..order(A, 6, now) };
    assert_eq!(publish(&mut topic, &settled, now), Outcome::Sequenced(2));
    assert_eq!(publish(&mut topic, &order(A, 5, now), now), Outcome::Refused(Refusal::StaleNumber));
}

#[test]
fn a_resend_of_another_epoch_is_unknown() {
    let (mut topic, now) = topic();
    let again = Order { resend_epoch: Some(Epoch(8)), ..order(A, 1, now) };
    assert_eq!(publish(&mut topic, &again, now), Outcome::Refused(Refusal::UnknownOutcome));
    assert_eq!(topic.offset(), 0);
}

#[test]
fn a_publish_whose_time_is_up_does_not_run() {
    let (mut topic, now) = topic();
    let late = now + Duration::from_secs(5);
    assert_eq!(publish(&mut topic, &order(A, 1, now), late), Outcome::Refused(Refusal::Expired));
    assert_eq!(topic.offset(), 0);
    assert_eq!(publish(&mut topic, &order(A, 2, late), late), Outcome::Sequenced(1));
}

#[test]
fn a_full_window_refuses_until_something_is_settled() {
    let (mut topic, now) = topic();
    for number in 1..=WINDOW as u64 {
        assert_eq!(publish(&mut topic, &order(A, number, now), now), Outcome::Sequenced(number));
    }
    let next = WINDOW as u64 + 1;
    assert_eq!(publish(&mut topic, &order(A, next, now), now), Outcome::Refused(Refusal::Overloaded));
    let settled = Order { settled_below: 2, ..order(A, next, now) };
    assert_eq!(publish(&mut topic, &settled, now), Outcome::Sequenced(next));
}

#[test]
fn windows_of_gateways_that_are_gone_do_not_pile_up() {
    let (mut topic, mut now) = topic();
    for gateway in 1..=100 {
        publish(&mut topic, &order(Incarnation(gateway), 1, now), now);
        now += WINDOW_AGE;
    }
    assert_eq!(topic.windows.len(), 1);
}

#[test]
fn a_topic_is_kept_while_subscribed_and_for_its_retention_afterwards() {
    let (mut topic, start) = topic();
    let retention = Duration::from_secs(120);
    topic.subscribe(1, number(1));
    assert_eq!(topic.forget_at(retention), None);
    let left = start + Duration::from_secs(10);
    topic.unsubscribe(&1, number(1), left);
    assert_eq!(topic.forget_at(retention), Some(left + retention));
    let published = left + Duration::from_secs(10);
    publish(&mut topic, &order(A, 1, published), published);
    assert_eq!(topic.forget_at(retention), Some(published + retention));
}

#[test]
fn a_position_is_judged_by_epoch_offset_and_history() {
    let (mut topic, now) = topic();
    for number in 1..=5 {
        topic.publish(&order(A, number, now), &message(), &THREE, now);
    }
    let mut read = |epoch, from| topic.read(Epoch(epoch), from, 1 << 20, &THREE, now);
    assert_eq!(read(7, 2), Found::Messages(vec![message(), message(), message()]));
    assert_eq!(read(7, 4), Found::Messages(vec![message()]));
    assert_eq!(read(7, 5), Found::Messages(vec![]));
    let gone = Found::Gone { oldest: Some(3) };
    assert_eq!(read(7, 1), gone, "too old");
    assert_eq!(read(7, 6), gone, "ahead");
    assert_eq!(read(7, u64::MAX), gone, "ahead");
    assert_eq!(read(8, 4), gone, "of another epoch");
}

#[test]
fn without_history_only_the_newest_position_can_be_continued() {
    let (mut topic, now) = topic();
    publish(&mut topic, &order(A, 1, now), now);
    assert_eq!(topic.history_bytes(), 0);
    assert_eq!(topic.read(Epoch(7), 1, 100, &NONE, now), Found::Messages(vec![]));
    assert_eq!(topic.read(Epoch(7), 0, 100, &NONE, now), Found::Gone { oldest: None });
}

#[test]
fn a_receiver_that_had_nothing_yet_gets_everything() {
    let (mut topic, now) = topic();
    topic.publish(&order(A, 1, now), &message(), &THREE, now);
    assert_eq!(topic.read(Epoch(7), 0, 100, &THREE, now), Found::Messages(vec![message()]));
}

#[test]
fn a_key_that_comes_again_counts_once_whoever_sends_it() {
    let (mut topic, now) = topic();
    let keyed = |gateway, number| Order { key: Some(b"k"), ..order(gateway, number, now) };
    assert_eq!(publish(&mut topic, &keyed(A, 1), now), Outcome::Sequenced(1));
    assert_eq!(publish(&mut topic, &order(A, 2, now), now), Outcome::Sequenced(2));
    assert_eq!(publish(&mut topic, &keyed(B, 1), now), Outcome::Repeated(1));
    let again = Order { resend_epoch: Some(Epoch(7)), ..keyed(B, 1) };
    assert_eq!(publish(&mut topic, &again, now), Outcome::Repeated(1), "a repeat is answered again, too");
    assert_eq!(topic.offset(), 2);
    let other = Message { event: bytes::Bytes::from_static(b"other"), ..message() };
    let reused = topic.publish(&keyed(A, 3), &other, &NONE, now);
    assert_eq!(reused, Outcome::Refused(Refusal::KeyReused));
}

#[test]
fn a_topic_outlives_its_keys() {
    let (mut topic, start) = topic();
    let keyed = Order { key: Some(b"k"), ..order(A, 1, start) };
    publish(&mut topic, &keyed, start);
    let short = Duration::from_secs(10);
    assert_eq!(topic.forget_at(short), Some(start + crate::topics::keys::KEY_AGE));
}

#[test]
fn a_topic_takes_as_many_publishes_as_its_rate_says_whoever_sends_them() {
    let (mut topic, start) = topic();
    let limited = |gateway, number, now| Order {
        rate: Some(campanile_process::token_bucket::Rate::new(10, 2)),
        ..order(gateway, number, now)
    };
    let refused = Outcome::Refused(Refusal::RateLimited);
    assert_eq!(publish(&mut topic, &limited(A, 1, start), start), Outcome::Sequenced(1));
    assert_eq!(publish(&mut topic, &limited(B, 1, start), start), Outcome::Sequenced(2));
    assert_eq!(publish(&mut topic, &limited(A, 2, start), start), refused);
    assert_eq!(publish(&mut topic, &limited(B, 2, start), start), refused);
    assert_eq!(topic.offset(), 2);
    let later = start + Duration::from_millis(100);
    // Nothing is kept of what was refused: the same number may come again.
    assert_eq!(publish(&mut topic, &limited(A, 2, later), later), Outcome::Sequenced(3));
    assert_eq!(publish(&mut topic, &limited(A, 3, later), later), refused);
}

/// What was answered before is answered again, whatever the rate, and takes nothing from it.
#[test]
fn answers_that_are_given_again_do_not_count() {
    let (mut topic, start) = topic();
    let limited = |gateway, number, now| Order {
        rate: Some(campanile_process::token_bucket::Rate::new(1, 1)),
        key: Some(b"k"),
        ..order(gateway, number, now)
    };
    assert_eq!(publish(&mut topic, &limited(A, 1, start), start), Outcome::Sequenced(1));
    for number in 1..100 {
        let again = Order { resend_epoch: Some(Epoch(7)), ..limited(A, 1, start) };
        assert_eq!(publish(&mut topic, &again, start), Outcome::Repeated(1), "the same number");
        assert_eq!(
            publish(&mut topic, &limited(B, number, start), start),
            Outcome::Repeated(1),
            "the same key"
        );
    }
    let later = start + Duration::from_secs(1);
    let other = Order { key: None, ..limited(A, 2, later) };
    assert_eq!(publish(&mut topic, &other, later), Outcome::Sequenced(2));
}

#[test]
fn a_topic_without_a_bound_has_no_bucket() {
    let (mut topic, now) = topic();
    publish(&mut topic, &order(A, 1, now), now);
    assert!(topic.bucket.is_none());
}
