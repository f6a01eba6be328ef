//! Workload `rooms`: many small topics, one publisher each.

use clap::Command;

use crate::arguments::{Common, Reader, Traffic, option, traffic_options};
use crate::fanout::{describe, repeat_settings};
use crate::report::Report;
use crate::run::{Failure, Stop};
use crate::traffic::{Plan, measure};

pub(crate) fn command() -> Command {
    let command = Command::new("rooms")
        .about("Many small topics with one publisher each; members spread over all gateways")
        .arg(option("rooms", "N", "200", "Topics (1 to 1000000)"))
        .arg(option("members", "N", "10", "Connections per topic, the publisher included (1 to 100000)"));
    traffic_options(command)
}

#[derive(Debug)]
pub(crate) struct Settings {
    rooms: usize,
    members: usize,
    traffic: Traffic,
}

impl Settings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let rooms = reader.number("rooms", 1..=1_000_000usize);
        let members = reader.number("members", 1..=100_000usize);
        if rooms.saturating_mul(members) > 1_000_000 {
            reader.fault(format!("--rooms {rooms} x --members {members}: at most 1000000 connections"));
        }
        Self { rooms, members, traffic: Traffic::read(reader) }
    }
}

pub(crate) async fn run(settings: &Settings, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    let Settings { rooms, members, traffic } = settings;
    let gateways = common.urls.len();
    let mut report = Report::new(
        "rooms",
        format!("{rooms} topics of {members} members, gateways: {gateways}, {}", describe(traffic)),
    );
    report.setting("rooms", *rooms);
    report.setting("members", *members);
    repeat_settings(&mut report, traffic, common);
    measure(Plan { topics: *rooms, members: *members }, traffic, common, stop, &mut report).await?;
    Ok(report)
}
