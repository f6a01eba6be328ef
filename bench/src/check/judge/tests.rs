//! Each way to break the contract is planted and found; each way that the contract permits is not.

use std::time::{Duration, Instant};

use super::topic::{Answered, Came, Position, Standing, Topic};
use crate::faults::{FaultKind, Faults};

/// A topic whose member 0 publishes; all members have joined at offset 0 of epoch `a`.
struct Case {
    topic: Topic,
    faults: Faults,
    now: Instant,
}

fn told(epoch: &str, offset: u64, recovered: Option<bool>) -> Standing {
    let epoch = epoch.to_owned();
    Standing { position: Position { epoch, offset }, recovered }
}

impl Case {
    fn new(members: usize) -> Self {
        let mut case = Self { topic: Topic::new("t".into()), faults: Faults::default(), now: Instant::now() };
        for number in 0..members {
            let member = case.topic.add_member(format!("member {number}"));
            assert_eq!(case.join(member, told("a", 0, None)), Came::Fresh);
        }
        case
    }

    fn join(&mut self, member: usize, told: Standing) -> Came {
        self.topic.joined(member, &told, self.now, &mut self.faults)
    }

    fn notice(&mut self, member: usize, epoch: &str, offset: u64) {
        let told = told(epoch, offset, Some(false));
        self.topic.noticed(member, &told, &mut self.faults);
    }

    fn send(&mut self) -> u64 {
        self.topic.sent(0, self.now)
    }

    fn ack(&mut self, number: u64, offset: u64) {
        self.topic.acknowledged(number, Some(offset), self.now, &mut self.faults);
    }

    fn hear(&mut self, member: usize, offset: u64, number: u64) {
        self.topic.delivered(member, offset, number, self.now, &mut self.faults);
    }

    /// Publish, offset, everybody: `count` publishes as they should be, from `offset`.
    fn good(&mut self, members: &[usize], offset: u64, count: u64) {
        for offset in offset..offset + count {
            let number = self.send();
            self.ack(number, offset);
            members.iter().for_each(|&member| self.hear(member, offset, number));
        }
    }

    /// The final judgement: exactly these faults, and the words in one of them.
    #[track_caller]
    fn ends(mut self, expected: &[(FaultKind, u64)], words: &str) {
        for breach in self.topic.open_questions() {
            breach.tell("t", &mut self.faults);
        }
        for kind in FaultKind::ALL {
            let count = expected.iter().find(|(other, _)| *other == kind).map_or(0, |found| found.1);
            assert_eq!(self.faults.count(kind), count, "{kind}: {:#?}", self.faults.examples());
        }
        let found = self.faults.examples();
        assert!(words.is_empty() || found.iter().any(|example| example.contains(words)), "{found:#?}");
    }
}

#[test]
fn a_good_run_is_clean_and_its_stalls_are_counted() {
    let mut case = Case::new(3);
    case.good(&[0, 1, 2], 1, 50);
    let number = case.send();
    case.now += Duration::from_millis(70);
    // Before the answer and after it.
    case.hear(1, 51, number);
    case.ack(number, 51);
    case.hear(0, 51, number);
    case.hear(2, 51, number);
    let stalls = case.topic.stalls().summary();
    assert_eq!(stalls.count, 153);
    assert!((stalls.max / 70e3 - 1.0).abs() < 0.02, "{stalls:?}");
    case.ends(&[], "");
}

#[test]
fn a_lost_message_is_missing_and_named() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 3);
    case.good(&[0], 4, 1);
    case.good(&[0, 1], 5, 1);
    case.ends(&[(FaultKind::Missing, 1)], "member 1 lacks offset 4 (publish 4) of epoch a");
}

#[test]
fn the_last_messages_are_missing_too() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 3);
    case.good(&[0], 4, 2);
    case.ends(&[(FaultKind::Missing, 2)], "member 1 lacks offset 4 to 5 (publish 4 to 5)");
}

#[test]
fn acknowledged_and_seen_by_nobody() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 3);
    let number = case.send();
    case.ack(number, 4);
    case.ends(
        &[(FaultKind::Missing, 2)],
        "publish 4 of member 0 was acknowledged with offset 4 and nobody saw it there",
    );
}

#[test]
fn a_doubled_delivery() {
    let mut case = Case::new(1);
    case.good(&[0], 1, 3);
    case.hear(0, 3, 3);
    case.ends(&[(FaultKind::Doubled, 1)], "publish 3 came at an offset it had already, offset 3");
}

#[test]
fn a_message_with_two_offsets() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 3);
    case.hear(0, 4, 2);
    case.hear(1, 4, 2);
    case.ends(&[(FaultKind::Doubled, 1)], "publish 2 has offset 2 too (offset 4, epoch a)");
}

#[test]
fn a_message_with_two_offsets_long_after_it_was_forgotten() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 5_000);
    assert!(case.topic.size() < 2_048, "{}", case.topic.size());
    case.hear(0, 5_001, 2);
    case.hear(1, 5_001, 2);
    case.ends(&[(FaultKind::Doubled, 1)], "publish 2 came again with another offset");
}

#[test]
fn an_order_that_is_broken_for_one() {
    let mut case = Case::new(2);
    case.good(&[0], 1, 3);
    [1, 3, 2].into_iter().for_each(|offset| case.hear(1, offset, offset));
    case.ends(&[(FaultKind::Reordered, 1)], "member 1: publish 2 came after a later one, offset 2");
}

#[test]
fn two_orders() {
    let mut case = Case::new(2);
    case.good(&[0], 1, 3);
    case.hear(1, 1, 1);
    case.hear(1, 2, 3);
    case.hear(1, 3, 2);
    case.ends(
        &[(FaultKind::Conflicting, 2)],
        "offset 2 of epoch a is publish 3 for member 1, and publish 2 for another",
    );
}

#[test]
fn a_reply_with_another_offset_before_and_after_the_event() {
    let mut case = Case::new(1);
    let number = case.send();
    case.ack(number, 2);
    case.hear(0, 1, number);
    let number = case.send();
    case.hear(0, 2, number);
    case.ack(number, 7);
    case.ends(&[(FaultKind::WrongOffset, 2)], "acknowledged with offset 7 and seen at offset 2");
}

#[test]
fn a_reply_without_an_offset() {
    let mut case = Case::new(1);
    let number = case.send();
    case.topic.acknowledged(number, None, case.now, &mut case.faults);
    case.hear(0, 1, number);
    case.ends(&[(FaultKind::WrongOffset, 1)], "without an offset");
}

#[test]
fn sequenced_before_it_was_sent() {
    let mut case = Case::new(1);
    case.good(&[0], 1, 1);
    let late = case.topic.add_member("late".into());
    case.join(late, told("a", 2, None));
    let number = case.send();
    case.ack(number, 2);
    case.hear(0, 2, number);
    case.ends(&[(FaultKind::WrongOffset, 1)], "publish 2 was sent after offset 2 was told");
}

#[test]
fn refused_and_seen_before_and_after() {
    let mut case = Case::new(1);
    let number = case.send();
    assert_eq!(case.topic.not_published(number, &mut case.faults), Answered::Refused);
    case.hear(0, 1, number);
    let number = case.send();
    case.hear(0, 2, number);
    case.topic.not_published(number, &mut case.faults);
    case.ends(&[(FaultKind::RefusedButDelivered, 2)], "came although it was refused");
}

#[test]
fn a_publish_that_nobody_made() {
    let mut case = Case::new(1);
    case.hear(0, 1, 9);
    case.ends(&[(FaultKind::Strange, 1)], "publish 9 was never made");
}

#[test]
fn a_resume_that_recovers_everything() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 3);
    case.topic.left(1);
    case.good(&[0], 4, 3);
    let position = case.topic.position(1).unwrap();
    assert_eq!(position, told("a", 3, None).position);
    case.now += Duration::from_secs(1);
    assert_eq!(case.join(1, told("a", 3, Some(true))), Came::Recovered);
    (4..7).for_each(|offset| case.hear(1, offset, offset));
    // Who was away is no measure of the cluster's stalls.
    assert_eq!(case.topic.stalls().summary().count, 9);
    case.ends(&[], "");
}

#[test]
fn a_forged_recovery_that_skips() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 3);
    case.topic.left(1);
    case.good(&[0], 4, 3);
    case.join(1, told("a", 3, Some(true)));
    case.good(&[0, 1], 7, 1);
    case.ends(
        &[(FaultKind::FalseRecovery, 1)],
        "publish 7 was the first after recovered: true, at offset 7 of epoch a: 3 before it",
    );
}

#[test]
fn a_forged_recovery_elsewhere() {
    for (epoch, offset) in [("a", 6), ("b", 3)] {
        let mut case = Case::new(1);
        case.good(&[0], 1, 3);
        case.topic.left(0);
        case.join(0, told(epoch, offset, Some(true)));
        case.ends(
            &[(FaultKind::FalseRecovery, 1)],
            "resumed after offset 3 of epoch a and was told recovered: true after",
        );
    }
}

#[test]
fn a_recovery_after_which_nothing_comes() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 3);
    case.topic.left(1);
    case.good(&[0], 4, 1);
    case.join(1, told("a", 3, Some(true)));
    case.ends(&[(FaultKind::Missing, 1)], "member 1 lacks offset 4");
}

#[test]
fn a_resume_that_is_honestly_not_recovered() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 3);
    case.topic.left(1);
    case.good(&[0], 4, 3);
    assert_eq!(case.join(1, told("a", 6, Some(false))), Came::NotRecovered);
    case.good(&[0, 1], 7, 1);
    case.ends(&[], "");
}

#[test]
fn a_resume_or_a_join_without_its_word() {
    let mut case = Case::new(1);
    case.topic.left(0);
    case.join(0, told("a", 0, None));
    let second = case.topic.add_member("second".into());
    case.join(second, told("a", 0, Some(true)));
    case.ends(&[(FaultKind::Strange, 2)], "a join with a position was answered with recovered: None");
}

#[test]
fn losses_that_everybody_was_told_of() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 3);
    // Acknowledged by an owner that died with it, and one that only one member got.
    let lost = case.send();
    case.ack(lost, 4);
    let half = case.send();
    case.ack(half, 5);
    case.notice(0, "a", 4);
    case.hear(0, 5, half);
    case.notice(0, "b", 0);
    case.notice(1, "b", 0);
    case.good(&[0, 1], 1, 3);
    case.ends(&[], "");
}

#[test]
fn a_gap_is_not_excused_by_a_later_notice() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 3);
    case.good(&[0], 4, 1);
    case.good(&[0, 1], 5, 1);
    case.notice(1, "a", 5);
    case.ends(&[(FaultKind::Missing, 1)], "member 1 lacks offset 4 (publish 4)");
}

#[test]
fn one_who_was_told_of_nothing_is_owed_what_another_was_told_of() {
    let mut case = Case::new(2);
    let lost = case.send();
    case.ack(lost, 1);
    case.notice(0, "a", 1);
    case.ends(&[(FaultKind::Missing, 2)], "member 1 and 0 others were told of no loss");
}

#[test]
fn one_left_in_an_old_epoch() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 3);
    case.notice(0, "b", 0);
    case.good(&[0], 1, 1);
    case.ends(
        &[(FaultKind::NotTold, 1)],
        "member 1 stands at offset 3 of epoch a and was not told of the new epoch b",
    );
}

#[test]
fn a_new_epoch_in_silence() {
    let mut case = Case::new(1);
    case.good(&[0], 1, 3);
    // The owner counts from 1 again and says nothing: its offsets were had already, and belong to others.
    let number = case.send();
    case.ack(number, 1);
    case.hear(0, 1, number);
    case.ends(&[(FaultKind::Doubled, 1), (FaultKind::Conflicting, 1), (FaultKind::Missing, 1)], "");
}

#[test]
fn sent_back_within_an_epoch() {
    let mut case = Case::new(1);
    case.good(&[0], 1, 3);
    case.notice(0, "a", 1);
    case.hear(0, 2, 2);
    case.hear(0, 3, 3);
    case.ends(&[(FaultKind::WentBack, 1)], "member 0 had offset 3 and was sent back to offset 1 of epoch a");
}

#[test]
fn one_who_does_not_come_back() {
    let mut case = Case::new(2);
    case.good(&[0, 1], 1, 3);
    case.topic.left(1);
    case.ends(&[(FaultKind::NotBack, 1)], "member 1 could not come back");
}

#[test]
fn sent_again_and_counted_once() {
    let mut case = Case::new(2);
    let number = case.send();
    case.hear(1, 1, number);
    case.topic.sent_again(number);
    case.ack(number, 1);
    case.hear(0, 1, number);
    case.ends(&[], "");
}

#[test]
fn sent_again_and_counted_twice() {
    let mut case = Case::new(1);
    let number = case.send();
    case.hear(0, 1, number);
    case.topic.sent_again(number);
    case.ack(number, 2);
    case.hear(0, 2, number);
    case.ends(&[(FaultKind::Doubled, 1)], "publish 1 has offset 1 too (offset 2, epoch a)");
}

#[test]
fn sent_again_after_the_keys_were_lost_with_the_owner() {
    let mut case = Case::new(1);
    let number = case.send();
    case.hear(0, 1, number);
    case.topic.sent_again(number);
    case.notice(0, "b", 0);
    case.ack(number, 1);
    case.hear(0, 1, number);
    assert_eq!(case.topic.repeated_in_new_epoch(), 1);
    case.ends(&[], "");
    // Without a second sending nobody may repeat it, whatever became of the owner.
    let mut case = Case::new(1);
    case.good(&[0], 1, 1);
    case.notice(0, "b", 0);
    case.hear(0, 1, 1);
    case.ends(&[(FaultKind::Doubled, 1)], "publish 1 has offset 1 too (offset 1, epoch b)");
}

#[test]
fn a_refusal_of_the_second_sending_leaves_the_first_open() {
    let mut case = Case::new(1);
    let number = case.send();
    case.topic.sent_again(number);
    assert_eq!(case.topic.not_published(number, &mut case.faults), Answered::Open);
    case.topic.given_up(number);
    case.hear(0, 1, number);
    case.ends(&[], "");
}

#[test]
fn a_long_run_is_forgotten_behind_the_last_member() {
    let mut case = Case::new(2);
    case.good(&[0], 1, 4_000);
    assert!(case.topic.size() >= 8_000);
    (1..=4_000).for_each(|offset| case.hear(1, offset, offset));
    case.good(&[0, 1], 4_001, 1_024);
    assert!(case.topic.size() < 3_000, "{}", case.topic.size());
    case.ends(&[], "");
}

#[test]
fn what_was_sent_again_is_forgotten_too_and_still_counts_once() {
    for (epoch, doubled) in [("a", 1), ("b", 0)] {
        let mut case = Case::new(1);
        let number = case.send();
        case.topic.sent_again(number);
        case.ack(number, 1);
        case.hear(0, 1, number);
        case.good(&[0], 2, 2_048);
        assert!(case.topic.size() < 2_048, "{}", case.topic.size());
        if epoch == "b" {
            case.notice(0, "b", 2_049);
        }
        case.hear(0, 2_050, number);
        assert_eq!(case.topic.repeated_in_new_epoch(), 1 - doubled);
        case.ends(&[(FaultKind::Doubled, doubled)], "");
    }
}
