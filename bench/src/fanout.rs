//! Workload `fanout`: one topic, one publisher, many subscribers.

use clap::Command;

use crate::arguments::{Common, Pace, Reader, Traffic, option, traffic_options};
use crate::report::Report;
use crate::run::{Failure, Stop};
use crate::traffic::{Plan, measure};

pub(crate) fn command() -> Command {
    let command = Command::new("fanout")
        .about("One topic, one publisher, many subscribers over all gateways")
        .arg(option(
            "subscribers",
            "N",
            "1000",
            "Subscribers, beside the publisher, which joins and is checked too (1 to 1000000)",
        ));
    traffic_options(command)
}

#[derive(Debug)]
pub(crate) struct Settings {
    subscribers: usize,
    traffic: Traffic,
}

impl Settings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self { subscribers: reader.number("subscribers", 1..=1_000_000), traffic: Traffic::read(reader) }
    }
}

pub(crate) async fn run(settings: &Settings, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    let Settings { subscribers, traffic } = settings;
    let mut report = Report::new(
        "fanout",
        format!(
            "1 topic, {subscribers} subscribers and 1 publisher, gateways: {}, {}",
            common.urls.len(),
            describe(traffic)
        ),
    );
    report.setting("subscribers", *subscribers);
    repeat_settings(&mut report, traffic, common);
    measure(Plan { topics: 1, members: subscribers + 1 }, traffic, common, stop, &mut report).await?;
    Ok(report)
}

/// The traffic's settings in words.
pub(crate) fn describe(traffic: &Traffic) -> String {
    let pace = match traffic.pace {
        Pace::InFlight(count) => format!("{count} in flight per topic"),
        Pace::Rate(rate) => format!("{rate} publishes/s in all"),
    };
    let Traffic { payload_bytes, seconds, warm_up, .. } = traffic;
    format!("{pace}, payloads of {payload_bytes} bytes, {seconds:?} after {warm_up:?} of warm-up")
}

/// The traffic's settings for the JSON.
pub(crate) fn repeat_settings(report: &mut Report, traffic: &Traffic, common: &Common) {
    match traffic.pace {
        Pace::InFlight(count) => report.setting("in_flight", count),
        Pace::Rate(rate) => report.setting("rate", rate),
    }
    report.setting("protocol", common.protocol.name());
    report.setting("payload_bytes", traffic.payload_bytes);
    report.setting("seconds", traffic.seconds.as_secs_f64());
    report.setting("warm_up", traffic.warm_up.as_secs_f64());
    report.setting("gateways", common.urls.len());
}
