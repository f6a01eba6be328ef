//! `bench topics` against a topic server that does wrong what it is asked to.

use campanile_bench::{Failure, FaultKind, Report};

use crate::assert_faults;
use crate::topic_server::{Fault, TopicServer};

fn bench(server: &TopicServer, arguments: &str) -> Result<Report, Failure> {
    crate::bench(&[], &format!("topics --url {} {arguments}", server.address))
}

/// A short run on some topics, with this fault.
fn topics(fault: Fault) -> Report {
    let server = TopicServer::start(fault);
    bench(&server, "--topics 20 --in-flight 8 --seconds 0.3 --warm-up 0.1 --deadline 2").unwrap()
}

#[test]
fn a_good_topic_server_passes_and_is_counted() {
    let server = TopicServer::start(Fault::None);
    // More than wait for their subscription at a time.
    let arguments = format!("--topics 10000 --seconds 0.3 --warm-up 0.1 --pid {}", std::process::id());
    let report = bench(&server, &arguments).unwrap();
    assert_faults(&report, &[], "RSS per topic");
    let result = |key| report.result(key).unwrap();
    assert_eq!(result("topics"), 10_000.0);
    assert!(result("publishes") > 0.0 && result("publishes_per_second") > 0.0);
    assert!(result("server_cpu_per_publish_us") > 0.0 && result("bytes_per_topic") > 0.0);
    for latency in ["answer", "delivery"] {
        let latency = &report.json()["latency"][latency];
        assert!(latency["p50_us"].as_f64().unwrap() > 0.0 && latency["count"].as_u64().unwrap() > 0);
    }
}

#[test]
fn an_open_loop_publishes_what_the_rate_says() {
    let server = TopicServer::start(Fault::None);
    let report = bench(&server, "--topics 10 --rate 500 --seconds 0.6 --warm-up 0.1").unwrap();
    assert_faults(&report, &[], "500 publishes/s");
    assert_eq!(report.json()["latency"]["delivery"]["count"], 300);
    assert_eq!(report.json()["latency"]["answer"]["count"], 300);
}

#[test]
fn each_wrong_delivery_is_found() {
    assert_faults(&topics(Fault::Drop(7)), &[(FaultKind::Missing, 1)], "was answered and never came");
    assert_faults(&topics(Fault::Double(7)), &[(FaultKind::Doubled, 1)], "came once more");
    for fault in [Fault::Damage(7), Fault::Stray(7)] {
        let report = topics(fault);
        assert_eq!(report.faults().count(FaultKind::Strange), 1, "{}", report.table());
        assert_eq!(report.faults().count(FaultKind::Missing), 1, "{}", report.table());
    }
    let report = topics(Fault::WrongOffset(7));
    assert!(report.faults().count(FaultKind::WrongOffset) > 0, "{}", report.table());
}

#[test]
fn a_publish_without_an_answer_is_found() {
    let report = topics(Fault::Silent(7));
    assert_eq!(report.faults().count(FaultKind::Unanswered), 1, "{}", report.table());
    assert!(report.table().contains("had no answer within 2s"), "{}", report.table());
}

#[test]
fn refused_publishes_are_counted_and_are_no_faults() {
    let report = topics(Fault::Refuse(3));
    assert_faults(&report, &[], "refused: Overloaded");
    assert!(report.json()["refusals"]["Overloaded"].as_u64().unwrap() > 0);
}

#[test]
fn a_link_that_ends_is_a_fault_and_what_was_measured_is_told() {
    let report = topics(Fault::End(7));
    assert_eq!(report.faults().count(FaultKind::Closed), 1, "{}", report.table());
    assert!(report.table().contains("the link"), "{}", report.table());
}

#[test]
fn topics_that_are_not_new_are_found() {
    assert!(topics(Fault::OldTopics).faults().count(FaultKind::Strange) >= 20);
}

#[test]
fn what_hinders_the_run_says_what_to_do() {
    let failure = |fault, arguments: &str| match bench(&TopicServer::start(fault), arguments) {
        Err(Failure::Running(what)) => what,
        other => panic!("{other:?}"),
    };
    assert!(failure(Fault::NotOwner, "").contains("a ring with this one member"));
    assert!(failure(Fault::Mute, "--deadline 0.3").contains("no answer to a subscription within 300ms"));
    let other = failure(Fault::None, "--name ts-z");
    assert!(other.contains(r#"this is "ts-a""#) && other.contains("--name"), "{other}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let Err(Failure::Running(what)) = crate::bench(&[], &format!("topics --url {port}")) else { panic!() };
    assert!(what.contains("refused") && what.contains("campanile topic-server"), "{what}");
    let Err(Failure::Settings(faults)) = crate::bench(&[], "topics --url x:1,y:2 --topics 0") else {
        panic!()
    };
    assert_eq!(faults.len(), 2, "{faults:?}");
}
