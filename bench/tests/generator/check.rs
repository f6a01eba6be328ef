//! `bench check` against topics that break the contract on request, or suffer what the contract survives.

use campanile_bench::{Failure, FaultKind, Report};

use crate::positions::{Plant, Topics};
use crate::{assert_faults, bench};

/// Two publishers and some subscribers on one topic, all of which stay, or all come and go.
fn check(plant: Plant, subscribers: usize, churn: u32, seconds: f64) -> Report {
    let arguments = format!("--deadline 5 --subscribers {subscribers} --churn {churn} --seconds {seconds}");
    check_with(plant, &arguments)
}

fn check_with(plant: Plant, arguments: &str) -> Report {
    let [one, other] = Topics::start(plant);
    let common = "check --publishers 2 --topics 1 --rate 200 --catch-up 3";
    bench(&[&one, &other], &format!("{common} {arguments}")).unwrap()
}

/// Four subscribers that stay.
fn staying(plant: Plant) -> Report {
    check(plant, 4, 0, 0.5)
}

/// So many subscribers that come and go that at least one goes.
fn churning(plant: Plant) -> Report {
    check(plant, 20, 1, 2.0)
}

fn found(plant: Plant, expected: &[(FaultKind, u64)], words: &str) {
    assert_faults(&staying(plant), expected, words);
}

#[test]
fn a_good_cluster_passes_while_subscribers_come_and_go() {
    let report = churning(Plant::None);
    assert_faults(&report, &[], "check: ok");
    let result = |key| report.result(key).unwrap();
    assert!(result("leaves") > 0.0 && result("recovered") > 0.0, "{}", report.table());
    assert_eq!(result("acknowledged"), result("publishes"));
    assert_eq!((result("not_recovered"), result("notices"), result("unanswered")), (0.0, 0.0, 0.0));
    assert_eq!(result("deliveries"), 22.0 * result("publishes"));
    assert!(report.json()["topics"][0]["stall"]["count"].as_u64().unwrap() > 0);
}

#[test]
fn a_lost_message_is_found() {
    found(
        Plant::Drop { member: 3, offset: 7 },
        &[(FaultKind::Missing, 1)],
        "subscriber 1 lacks offset 7 (publish",
    );
}

#[test]
fn a_doubled_message_is_found() {
    found(
        Plant::Double { member: 3, offset: 7 },
        &[(FaultKind::Doubled, 1)],
        "came at an offset it had already, offset 7",
    );
}

#[test]
fn a_message_out_of_order_is_found() {
    found(
        Plant::Swap { member: 3, offset: 7 },
        &[(FaultKind::Reordered, 1)],
        "came after a later one, offset 7",
    );
}

#[test]
fn a_forged_recovery_is_found() {
    let report = churning(Plant::ForgeRecovery);
    // Nothing may come after a late recovery: then the end shows that messages lack.
    let faults = report.faults();
    assert!(faults.count(FaultKind::FalseRecovery) > 0, "{}", report.table());
    assert_eq!(
        faults.total(),
        faults.count(FaultKind::FalseRecovery) + faults.count(FaultKind::Missing),
        "{}",
        report.table()
    );
    assert!(report.table().contains("was the first after recovered: true"));
}

#[test]
fn an_honest_loss_is_no_fault() {
    let report = churning(Plant::NoHistory);
    assert_faults(&report, &[], "check: ok");
    assert!(report.result("not_recovered").unwrap() > 0.0);
    let report = staying(Plant::Notice { publish: 20 });
    assert_faults(&report, &[], "check: ok");
    assert_eq!(report.result("notices"), Some(6.0));
}

#[test]
fn an_honest_loss_is_a_fault_where_none_is_expected() {
    let report =
        check_with(Plant::Notice { publish: 20 }, "--subscribers 4 --churn 0 --seconds 0.5 --lossless");
    assert_faults(
        &report,
        &[(FaultKind::ToldLoss, 6)],
        "was told of a loss before offset 19 of epoch epoch-0",
    );
    let report = check_with(Plant::NoHistory, "--subscribers 20 --churn 1 --seconds 2 --lossless");
    assert_eq!(Some(report.faults().count(FaultKind::ToldLoss) as f64), report.result("not_recovered"));
    assert!(!report.ok());
}

#[test]
fn a_wrong_offset_in_a_reply_is_found() {
    let words = "was acknowledged with offset 8";
    found(Plant::WrongReply { offset: 7 }, &[(FaultKind::WrongOffset, 1)], words);
}

#[test]
fn an_acknowledged_publish_that_never_happened_is_found() {
    found(Plant::Vanish { offset: 7 }, &[(FaultKind::Missing, 6)], "nobody saw it there");
}

#[test]
fn an_unknown_outcome_is_asked_for_again_and_counts_once() {
    let report = staying(Plant::Unknown { every: 5, keys: true });
    assert_faults(&report, &[], "publish answered: planted");
    assert!(report.result("retries").unwrap() > 0.0, "{}", report.table());
    assert_eq!(report.result("acknowledged"), report.result("publishes"));
    let report = staying(Plant::Unknown { every: 5, keys: false });
    assert!(report.faults().count(FaultKind::Doubled) > 0, "{}", report.table());
}

#[test]
fn a_refused_publish_must_not_be_seen() {
    found(Plant::Refuse { every: 5, deliver: false }, &[], "check: ok");
    let report = staying(Plant::Refuse { every: 50, deliver: true });
    assert!(report.faults().count(FaultKind::RefusedButDelivered) > 0, "{}", report.table());
}

#[test]
fn lost_connections_are_survived() {
    let report = check(Plant::CutAll { every: 25 }, 4, 0, 2.0);
    assert_faults(&report, &[], "lost: closed by the server with 1012 planted");
    let result = |key| report.result(key).unwrap();
    assert!(result("reconnects") >= 6.0 && result("retries") >= 1.0, "{}", report.table());
    assert_eq!((result("acknowledged"), result("not_recovered")), (result("publishes"), 0.0));
}

#[test]
fn a_new_epoch_must_be_told() {
    let report = staying(Plant::Restart { publish: 20, told: true });
    assert_faults(&report, &[], "check: ok");
    assert_eq!(report.result("epochs"), Some(2.0));
    let report = staying(Plant::Restart { publish: 20, told: false });
    assert!(report.faults().count(FaultKind::Doubled) > 0, "{}", report.table());
}

#[test]
fn a_publish_without_a_reply_is_found_and_asked_for_again() {
    let arguments = "--subscribers 4 --churn 0 --seconds 0.5 --deadline 1";
    let report = check_with(Plant::Silent { publish: 20 }, arguments);
    assert_faults(&report, &[(FaultKind::Unanswered, 1)], "had no reply within 1s");
    assert_eq!((report.result("retries"), report.result("reconnects")), (Some(1.0), Some(1.0)));
    assert_eq!(report.result("acknowledged"), report.result("publishes"));
}

#[test]
fn more_topics_than_publishers_and_shares_beyond_one_are_bad_settings() {
    let Err(Failure::Settings(faults)) = bench(&[], "check --topics 30 --churn 1.5 --keys=-1 --rate 0")
    else {
        panic!()
    };
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults.iter().any(|fault| fault.contains("each topic needs a publisher")), "{faults:?}");
}
