//! The generator against a small server that does, on request, everything wrong that the check must find.

#![expect(clippy::unwrap_used, reason = "a test that is wrong may end with a panic, in its helpers too")]

mod check;
mod positions;
mod redis;
mod server;
mod topic_server;
mod topics;

use campanile_bench::{Failure, FaultKind, Report, command, perform};
use server::{Fault, Server};

fn bench(servers: &[&Server], arguments: &str) -> Result<Report, Failure> {
    let urls: String = servers.iter().map(|server| format!(" --url {}", server.address)).collect();
    perform_words(&format!("{arguments}{urls}"))
}

fn perform_words(words: &str) -> Result<Report, Failure> {
    perform(&command().get_matches_from(["bench"].into_iter().chain(words.split_whitespace())))
}

/// A fanout of 5 subscribers, short, with this fault.
fn fanout(fault: Fault) -> Report {
    let server = Server::start(fault);
    bench(&[&server], "fanout --subscribers 5 --in-flight 4 --seconds 0.3 --warm-up 0.1 --deadline 2")
        .unwrap()
}

/// Exactly these faults, and each named in the report.
fn assert_faults(report: &Report, expected: &[(FaultKind, u64)], words: &str) {
    for kind in FaultKind::ALL {
        let count = expected.iter().find(|(other, _)| *other == kind).map_or(0, |(_, count)| *count);
        assert_eq!(report.faults().count(kind), count, "{kind}: {:#?}", report.faults());
    }
    assert_eq!(report.ok(), expected.is_empty());
    assert!(report.table().contains(words), "{}", report.table());
    assert_eq!(report.json()["ok"], expected.is_empty());
}

#[test]
fn a_good_server_passes_and_is_counted() {
    let report = fanout(Fault::None);
    assert_faults(&report, &[], "check: ok");
    let result = |key| report.result(key).unwrap();
    assert_eq!(result("connections"), 6.0);
    assert!(result("publishes") > 0.0 && result("deliveries_per_second") > 0.0);
    // In the window each publish is delivered 6 times, but for those in flight at its ends.
    let off = (result("deliveries") - 6.0 * result("publishes")).abs();
    assert!(off <= 2.0 * 4.0 * 6.0, "{off}");
    let latency = &report.json()["latency"]["delivery"];
    assert!(
        latency["p50_us"].as_f64().unwrap() > 0.0 && latency["max_us"].as_f64() >= latency["p99_us"].as_f64()
    );
}

#[test]
fn a_server_that_writes_json_anew_passes() {
    assert_faults(&fanout(Fault::Rewrite), &[], "check: ok");
}

#[test]
fn a_missing_message_is_found() {
    let report = fanout(Fault::Drop { subscriber: 2, publish: 7 });
    assert_faults(&report, &[(FaultKind::Missing, 1)], "never came: 7 of");
}

#[test]
fn a_doubled_message_is_found() {
    let report = fanout(Fault::Double { subscriber: 0, publish: 7 });
    assert_faults(&report, &[(FaultKind::Doubled, 1)], "publish 7 came twice");
}

#[test]
fn a_message_out_of_order_is_found() {
    let report = fanout(Fault::Swap { subscriber: 5, publish: 7 });
    assert_faults(&report, &[(FaultKind::Reordered, 1)], "publish 7 came after a later one");
}

#[test]
fn a_damaged_message_is_found_and_is_missing() {
    let report = fanout(Fault::Damage { subscriber: 1, publish: 7 });
    assert_faults(&report, &[(FaultKind::Strange, 1), (FaultKind::Missing, 1)], "never came: 7 of");
}

#[test]
fn another_subscribers_join_ref_is_found() {
    let report = fanout(Fault::MixUp { subscriber: 1, publish: 7 });
    assert_faults(&report, &[(FaultKind::Strange, 1), (FaultKind::Missing, 1)], "never came: 7 of");
}

#[test]
fn a_closed_connection_is_one_fault_with_its_code() {
    let report = fanout(Fault::Close { subscriber: 3, publish: 7 });
    assert_faults(&report, &[(FaultKind::Closed, 1)], "closed by the server with 1013 slow");
    assert!(report.result("publishes").unwrap() > 0.0, "the load stopped: {}", report.table());
}

#[test]
fn an_ended_channel_is_one_fault() {
    let report = fanout(Fault::EndChannel { subscriber: 3, publish: 7 });
    assert_faults(&report, &[(FaultKind::Closed, 1)], "channel ended by the server");
}

#[test]
fn a_publisher_that_is_closed_or_ended_is_one_fault() {
    // The fanout's publisher is the first of its topic.
    let report = fanout(Fault::Close { subscriber: 0, publish: 7 });
    assert_faults(&report, &[(FaultKind::Closed, 1)], "closed by the server with 1013 slow");
    let report = fanout(Fault::EndChannel { subscriber: 0, publish: 7 });
    assert_faults(&report, &[(FaultKind::Closed, 1)], "channel ended by the server");
}

#[test]
fn refused_publishes_are_counted_by_reason_and_are_no_faults() {
    let report = fanout(Fault::Refuse { every: 3, deliver: false });
    assert_faults(&report, &[], "refused: overloaded");
    assert!(report.json()["refusals"]["overloaded"].as_u64().unwrap() > 0);
}

#[test]
fn a_refused_publish_that_is_delivered_is_found() {
    let report = fanout(Fault::Refuse { every: 50, deliver: true });
    assert!(report.faults().count(FaultKind::RefusedButDelivered) > 0, "{}", report.table());
}

#[test]
fn a_publish_without_a_reply_is_found() {
    let report = fanout(Fault::Silent { publish: 3 });
    assert_faults(&report, &[(FaultKind::Unanswered, 1)], "publish 3 had no reply within 2s");
}

#[test]
fn an_open_loop_sends_what_the_rate_says() {
    let server = Server::start(Fault::None);
    let report = bench(&[&server], "fanout --subscribers 3 --rate 500 --seconds 0.6 --warm-up 0.1").unwrap();
    assert_faults(&report, &[], "sent behind schedule");
    // Every publish that was due within the measurement was sent and measured, however busy the machine.
    assert_eq!(report.json()["latency"]["last"]["count"], 300);
    assert_eq!(report.json()["latency"]["delivery"]["count"], 4 * 300);
}

#[test]
fn rooms_are_spread_over_two_gateways() {
    // Two servers that know nothing of each other: members are split by gateway, so each room lacks deliveries.
    let (one, other) = (Server::start(Fault::None), Server::start(Fault::None));
    let report = bench(&[&one], "rooms --rooms 8 --members 3 --seconds 0.3 --warm-up 0").unwrap();
    assert_faults(&report, &[], "8 topics of 3 members, gateways: 1");
    assert_eq!(report.result("connections"), Some(24.0));
    let arguments = "rooms --rooms 8 --members 3 --seconds 0.2 --warm-up 0 --deadline 2";
    let report = bench(&[&one, &other], arguments).unwrap();
    assert!(report.faults().count(FaultKind::Missing) > 0, "{}", report.table());
}

#[test]
fn large_payloads_pass() {
    let server = Server::start(Fault::None);
    let arguments = "fanout --subscribers 3 --payload-bytes 65536 --seconds 0.2 --warm-up 0";
    assert_faults(&bench(&[&server], arguments).unwrap(), &[], "payloads of 65536 bytes");
}

#[test]
fn idle_connections_stand_and_are_weighed() {
    let server = Server::start(Fault::None);
    let pid = std::process::id();
    let arguments = format!("idle --connections 50 --topics 7 --seconds 0.2 --pid {pid}");
    let report = bench(&[&server], &arguments).unwrap();
    assert_faults(&report, &[], "RSS per connection");
    assert_eq!(report.result("alive_at_the_end"), Some(50.0));
    assert_eq!(report.json()["processes"][0]["pid"], pid);
}

#[test]
fn an_idle_connection_that_does_not_answer_is_found() {
    let server = Server::start(Fault::NoHeartbeat);
    let report = bench(&[&server], "idle --connections 3 --seconds 0.1 --deadline 2").unwrap();
    assert_faults(&report, &[(FaultKind::Closed, 3)], "did not answer a heartbeat");
}

#[test]
fn connections_open_join_and_close() {
    let server = Server::start(Fault::None);
    let report = bench(&[&server], "connect --in-flight 4 --seconds 0.3 --source 127.0.0.2").unwrap();
    assert_faults(&report, &[], "connections joined/s");
    assert!(report.result("joined").unwrap() > 4.0);
    let report = bench(&[&server], "connect --rate 200 --seconds 0.5").unwrap();
    assert_faults(&report, &[], "200 per second");
    assert_eq!(report.result("joined"), Some(100.0));
}

#[test]
fn nobody_there_says_what_to_do() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for workload in ["fanout", "rooms", "idle", "connect", "check"] {
        let Err(Failure::Running(what)) = bench(&[], &format!("{workload} --url {port}")) else { panic!() };
        assert!(what.contains("connection refused") && what.contains("campanile dev"), "{what}");
    }
}

#[test]
fn a_refused_join_says_what_to_do() {
    let server = Server::start(Fault::RefuseJoin);
    let Err(Failure::Running(what)) = bench(&[&server], "fanout") else { panic!() };
    assert!(what.contains("unmatched topic") && what.contains("--topic-prefix"), "{what}");
}

#[test]
fn bad_settings_are_all_named() {
    let Err(Failure::Settings(faults)) = bench(&[], "fanout --url x --subscribers 0 --pid 4294967295") else {
        panic!()
    };
    assert_eq!(faults.len(), 3, "{faults:?}");
}
