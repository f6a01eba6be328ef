//! Workload `pipe`: one publisher, its subscribers, and how many bytes a second go through, by payload size.

use std::time::Duration;

use clap::{ArgAction, Command};

use crate::arguments::{Common, Pace, Reader, Traffic, option, seconds, warm_up};
use crate::fanout::{describe, repeat_settings};
use crate::frame::SMALLEST_PAYLOAD;
use crate::report::Report;
use crate::run::{Failure, Stop};
use crate::traffic::{Plan, measure};

/// The sizes that are measured unless others are named.
const SIZES: [usize; 2] = [1 << 10, 64 << 10];
const LARGEST: usize = 8 << 20;

pub(crate) fn command() -> Command {
    Command::new("pipe")
        .about("One topic, one publisher, large payloads: how many bytes a second reach the subscribers")
        .arg(option(
            "subscribers",
            "N",
            "100",
            "Subscribers, beside the publisher, which joins and is checked too (1 to 1000000)",
        ))
        .arg(
            option(
                "payload-bytes",
                "B",
                "",
                "Length of each payload's JSON text (50 to 8388608); repeatable: one measurement for each \
                 [default: 1024 and 65536]",
            )
            .action(ArgAction::Append)
            .value_delimiter(','),
        )
        .arg(option(
            "in-flight",
            "N",
            "8",
            "Closed loop: publishes in flight; one is in flight until every subscriber has it (1 to 100000)",
        ))
        .arg(seconds("5"))
        .arg(warm_up("1"))
}

#[derive(Debug)]
pub(crate) struct Settings {
    subscribers: usize,
    sizes: Vec<usize>,
    in_flight: usize,
    seconds: Duration,
    warm_up: Duration,
}

impl Settings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let sizes = reader.list("payload-bytes", |text| {
            let size = text.replace('_', "").parse().ok();
            size.filter(|size| (SMALLEST_PAYLOAD..=LARGEST).contains(size)).ok_or_else(|| {
                format!("--payload-bytes {text}: expected a number from {SMALLEST_PAYLOAD} to {LARGEST}")
            })
        });
        Self {
            subscribers: reader.number("subscribers", 1..=1_000_000),
            sizes: if sizes.is_empty() { SIZES.to_vec() } else { sizes },
            in_flight: reader.number("in-flight", 1..=100_000),
            seconds: reader.duration("seconds", 0.1..=86_400.0),
            warm_up: reader.duration("warm-up", 0.0..=3_600.0),
        }
    }
}

pub(crate) async fn run(settings: &Settings, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    let &Settings { subscribers, ref sizes, in_flight, seconds, warm_up } = settings;
    let gateways = common.urls.len();
    let mut whole = Report::new(
        "pipe",
        format!(
            "1 topic, {subscribers} subscribers and 1 publisher, gateways: {gateways}, payloads: {sizes:?}"
        ),
    );
    for (number, &payload_bytes) in sizes.iter().enumerate() {
        if stop.wanted() {
            whole.ended_early();
            break;
        }
        let traffic = Traffic { payload_bytes, pace: Pace::InFlight(in_flight), seconds, warm_up };
        let mut report = Report::new("pipe", describe(&traffic));
        report.setting("subscribers", subscribers);
        repeat_settings(&mut report, &traffic, common);
        let plan = Plan { topics: 1, members: subscribers + 1 };
        measure(plan, &traffic, &common.part(number), stop, &mut report).await?;
        whole.part(report);
    }
    Ok(whole)
}
