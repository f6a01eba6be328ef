//! Workload `connect`: connections that open, join one topic, and close again.

use std::time::{Duration, Instant};

use clap::Command;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::sleep_until;

use crate::arguments::{Common, Pace, Reader, option, pace, seconds};
use crate::client::{Connector, OpenError};
use crate::faults::{FaultKind, Faults};
use crate::latency::Latency;
use crate::opening::{connector, reserve_files};
use crate::pacer::Pacer;
use crate::process_stats;
use crate::progress::{Progress, STEP};
use crate::protocol::Channel;
use crate::report::Report;
use crate::run::{Failure, Stop};
use crate::schedule::Schedule;

/// Connections that an open loop may have open at a time; beyond, they wait, and that time counts.
const AT_A_TIME: usize = 10_000;
/// Failures in a row after which there is no point in going on.
const HOPELESS: u64 = 1_000;
/// What a closed loop may reach per second, for the number of source addresses it may need.
const GUESSED_RATE: f64 = 5_000.0;

pub(crate) fn command() -> Command {
    Command::new("connect")
        .about("Connections that open, join a topic and close again: how many per second, and their cost")
        .arg(option("in-flight", "N", "", "Closed loop: connections at a time [default: 32]"))
        .arg(option(
            "rate",
            "R",
            "",
            "Open loop: connections per second; latency counts from the scheduled time",
        ))
        .arg(option("topics", "K", "100", "Topics that the connections take in turn (1 to 1000000)"))
        .arg(seconds("10"))
}

#[derive(Debug)]
pub(crate) struct Settings {
    pace: Pace,
    topics: usize,
    seconds: Duration,
}

impl Settings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            pace: pace(reader, 32),
            topics: reader.number("topics", 1..=1_000_000),
            seconds: reader.duration("seconds", 0.1..=86_400.0),
        }
    }
}

/// What came of the connections so far.
#[derive(Debug, Default)]
struct Tally {
    joined: u64,
    failed_in_a_row: u64,
    opened: Latency,
    ready: Latency,
    faults: Faults,
}

pub(crate) async fn run(settings: &Settings, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    let &Settings { pace, topics, seconds } = settings;
    let (at_a_time, guess) = match pace {
        Pace::InFlight(count) => (count, GUESSED_RATE * seconds.as_secs_f64()),
        Pace::Rate(rate) => (AT_A_TIME.min((rate * 10.0).ceil() as usize + 64), rate * seconds.as_secs_f64()),
    };
    reserve_files(at_a_time + 1)?;
    let connector = connector(common, guess as usize, 0).await?;
    let mut tally = Tally::default();
    // The first one alone, so that a cluster that is not there gives one clear message.
    attempt(&connector, common, 0, topics, Instant::now())
        .await
        .map_err(|error| Failure::Running(format!("{}: {}", error.reason, error.advice)))?;

    let before = process_stats::read(&common.pids);
    let ended = open_and_close(settings, common, stop, &connector, at_a_time, &mut tally).await?;
    let after = process_stats::read(&common.pids);

    let elapsed = after.taken().duration_since(before.taken()).as_secs_f64().max(f64::EPSILON);
    let how = match pace {
        Pace::InFlight(count) => format!("{count} at a time"),
        Pace::Rate(rate) => format!("{rate} per second"),
    };
    let gateways = common.urls.len();
    let description =
        format!("connect, join, close: {how}, topics: {topics}, gateways: {gateways}, {seconds:?}");
    let mut report = Report::new("connect", description);
    match pace {
        Pace::InFlight(count) => report.setting("in_flight", count),
        Pace::Rate(rate) => report.setting("rate", rate),
    }
    report.setting("protocol", common.protocol.name());
    report.setting("topics", topics);
    report.setting("seconds", seconds.as_secs_f64());
    report.setting("gateways", gateways);
    if stop.wanted() {
        report.ended_early();
    }
    if ended == Ended::Hopeless {
        report.note(format!("given up after {HOPELESS} failures in a row"));
    }
    report.figure("joined", "connections joined", tally.joined as f64, "");
    report.figure("seconds", "measured, to the last close", elapsed, "s");
    report.figure("joined_per_second", "connections joined/s", tally.joined as f64 / elapsed, "");
    let cpu = report.usage(&before, &after);
    if !common.pids.is_empty() && tally.joined > 0 {
        let micros = cpu.as_secs_f64() * 1e6 / tally.joined as f64;
        report.figure("server_cpu_per_join_us", "server CPU per connect and join", micros, "µs");
    }
    report.latency("open", "to the open connection", tally.opened.summary());
    report.latency("join", "to the join's reply", tally.ready.summary());
    report.checked("every connection opened and joined", tally.faults);
    Ok(report)
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    InTime,
    Hopeless,
}

async fn open_and_close(
    settings: &Settings,
    common: &Common,
    stop: &Stop,
    connector: &Connector,
    at_a_time: usize,
    tally: &mut Tally,
) -> Result<Ended, Failure> {
    let start = Instant::now();
    let end = start + settings.seconds;
    let mut schedule = Schedule::new(settings.pace, 0, 1, start);
    let mut pacer = Pacer::new().map_err(|error| Failure::Running(format!("no timer: {error}")))?;
    let progress = Progress::new("connecting", settings.seconds.as_millis() as u64);
    let mut shown = tokio::time::interval(STEP);
    let mut running = FuturesUnordered::new();
    let mut number = 1;
    loop {
        let hopeless = tally.failed_in_a_row >= HOPELESS;
        let now = Instant::now();
        let over = stop.wanted() || hopeless || schedule.over(now, end);
        if over && running.is_empty() {
            return Ok(if hopeless { Ended::Hopeless } else { Ended::InTime });
        }
        while !over
            && running.len() < at_a_time
            && let Some(started) = schedule.take(running.len(), Instant::now(), end)
        {
            running.push(attempt(connector, common, number, settings.topics, started));
            number += 1;
        }
        let due = schedule.due().filter(|_| !over && running.len() < at_a_time);
        // Nothing here is lost when it is dropped half-way: `running` keeps its connections.
        tokio::select! {
            Some(done) = running.next(), if !running.is_empty() => tally.count(done),
            waited = pacer.wait_until(due.unwrap_or(now)), if due.is_some() => {
                waited.map_err(|error| Failure::Running(format!("the timer failed: {error}")))?;
            }
            () = sleep_until(end.into()), if !over && due.is_none() => {}
            () = stop.wait(), if !over => {}
            _ = shown.tick() => {
                let millis = start.elapsed().as_millis() as u64;
                progress.show(millis, format!("{} joined, {} faults", tally.joined, tally.faults.total()));
            }
        }
    }
}

/// What one connection took, from the time it was due.
#[derive(Debug)]
struct Took {
    open: Duration,
    join: Duration,
}

async fn attempt(
    connector: &Connector,
    common: &Common,
    number: usize,
    topics: usize,
    started: Instant,
) -> Result<Took, OpenError> {
    let channel = Channel::new(common.protocol, number, &common.topic(number % topics));
    let mut connection = connector.open(number).await?;
    let open = started.elapsed();
    connector.join_on(&mut connection, number, &channel).await?;
    let join = started.elapsed();
    connection.close().await;
    Ok(Took { open, join })
}

impl Tally {
    fn count(&mut self, done: Result<Took, OpenError>) {
        match done {
            Ok(took) => {
                self.joined += 1;
                self.failed_in_a_row = 0;
                self.opened.record(took.open);
                self.ready.record(took.join);
            }
            Err(error) => {
                self.failed_in_a_row += 1;
                self.faults.add(FaultKind::NotOpened, 1, || format!("{}: {}", error.reason, error.advice));
            }
        }
    }
}
