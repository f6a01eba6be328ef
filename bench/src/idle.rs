//! Workload `idle`: joined connections that do nothing but say that they live; memory and CPU per connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Command;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::arguments::{Common, Reader, option, seconds};
use crate::client::{Connection, Lost, Received};
use crate::faults::{FaultKind, Faults};
use crate::frame::{Incoming, Payload};
use crate::opening::{connector, open_all, reserve_files};
use crate::process_stats::{self, total_growth};
use crate::progress::{Progress, STEP};
use crate::protocol::Channel;
use crate::report::Report;
use crate::run::{Failure, Stop};
use crate::schedule::heartbeats;

pub(crate) fn command() -> Command {
    Command::new("idle")
        .about("Joined connections that are held open; memory and CPU of the --pid processes for each")
        .arg(option("connections", "N", "1000", "Connections, each joined to one topic (1 to 1000000)"))
        .arg(option(
            "topics",
            "K",
            "",
            "Topics that the connections share evenly [default: one for each connection]",
        ))
        .arg(option(
            "heartbeat-seconds",
            "S",
            "30",
            "Seconds between the heartbeats of a connection (0.1 to 86400)",
        ))
        .arg(seconds("30"))
}

#[derive(Debug)]
pub(crate) struct Settings {
    connections: usize,
    topics: usize,
    heartbeat: Duration,
    seconds: Duration,
}

impl Settings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let connections = reader.number("connections", 1..=1_000_000);
        Self {
            connections,
            topics: reader.optional("topics", 1..=1_000_000).unwrap_or(connections),
            heartbeat: reader.duration("heartbeat-seconds", 0.1..=86_400.0),
            seconds: reader.duration("seconds", 0.1..=86_400.0),
        }
    }
}

/// What the connections' tasks share.
#[derive(Debug, Default)]
struct Shared {
    faults: RefCell<Faults>,
    alive: Cell<usize>,
    heartbeats: Cell<u64>,
    closing: Notify,
}

pub(crate) async fn run(settings: &Settings, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    let &Settings { connections: count, topics, heartbeat, seconds } = settings;
    reserve_files(count)?;
    let connector = connector(common, count, 0).await?;
    let before = process_stats::read(&common.pids);
    let channels: Vec<Channel> = (0..count)
        .map(|number| Channel::new(common.protocol, number, &common.topic(number % topics)))
        .collect();
    let opening = Instant::now();
    let connections = open_all(&connector, &channels.iter().collect::<Vec<_>>(), stop).await?;
    let opening = opening.elapsed();

    let shared = Rc::new(Shared::default());
    let mut tasks = JoinSet::new();
    for ((number, channel), connection) in channels.into_iter().enumerate().zip(connections) {
        let id = format!("connection {number} at {}", connector.label(number));
        let holder = Holder { id, channel, shared: shared.clone(), deadline: common.deadline, heartbeat };
        tasks.spawn_local(holder.hold(connection, number, count));
    }
    let joined = process_stats::read(&common.pids);
    wait(seconds, stop, &shared).await;
    let after = process_stats::read(&common.pids);
    // Each connection proves that it is alive, and closes.
    shared.closing.notify_waiters();
    let proof = async { while tasks.join_next().await.is_some() {} };
    let _ = timeout(common.deadline + Duration::from_secs(5), proof).await;
    tasks.shutdown().await;

    let description = format!(
        "{count} connections on {topics} topics, gateways: {}, held for {seconds:?}",
        common.urls.len()
    );
    let mut report = Report::new("idle", description);
    report.setting("protocol", common.protocol.name());
    report.setting("connections", count);
    report.setting("topics", topics);
    report.setting("heartbeat_seconds", heartbeat.as_secs_f64());
    report.setting("seconds", seconds.as_secs_f64());
    report.setting("gateways", common.urls.len());
    if stop.wanted() {
        report.ended_early();
    }
    report.figure("connections", "connections", count as f64, "");
    report.figure("alive_at_the_end", "alive at the end", shared.alive.get() as f64, "");
    let opened_per_second = count as f64 / opening.as_secs_f64().max(f64::EPSILON);
    report.figure("opened_per_second", "opened and joined", opened_per_second, "/s");
    report.figure("heartbeats", "heartbeats", shared.heartbeats.get() as f64, "");
    let growth = total_growth(&before.until(&after));
    let held = after.taken().duration_since(joined.taken()).as_secs_f64().max(f64::EPSILON);
    let cpu = report.usage(&joined.with_memory_of(&before), &after);
    if common.pids.is_empty() {
        report.note("name the server's processes with --pid to see memory and CPU per connection".into());
    } else {
        report.figure(
            "rss_per_connection_bytes",
            "RSS per connection",
            growth as f64 / count as f64,
            "bytes",
        );
        let micros = cpu.as_secs_f64() * 1e6 / held;
        report.figure("cpu_us_per_second", "server CPU per second", micros, "µs");
        report.figure("cpu_us_per_second_and_connection", "… and connection", micros / count as f64, "µs");
    }
    report.checked("every connection stood to the end and answered", shared.faults.take());
    Ok(report)
}

async fn wait(seconds: Duration, stop: &Stop, shared: &Shared) {
    let end = Instant::now() + seconds;
    let progress = Progress::new("holding", seconds.as_millis() as u64);
    while !stop.wanted() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let faults = shared.faults.borrow().total();
        progress.show(
            (seconds - left.min(seconds)).as_millis() as u64,
            format!("{:.0} s left, {faults} faults", left.as_secs_f64()),
        );
        tokio::select! {
            () = sleep(STEP.min(left)) => {}
            () = stop.wait() => {}
        }
    }
}

/// One idle connection.
struct Holder {
    id: String,
    channel: Channel,
    shared: Rc<Shared>,
    deadline: Duration,
    heartbeat: Duration,
}

impl Holder {
    async fn hold(self, mut connection: Connection, number: usize, total: usize) {
        let held = self.until_closing(&mut connection, number, total).await;
        let proved = match held {
            Ok(()) => match timeout(self.deadline, self.prove(&mut connection)).await {
                Ok(proved) => proved,
                Err(_) => Err(Lost("did not answer a heartbeat at the end".into())),
            },
            Err(lost) => Err(lost),
        };
        match proved {
            Ok(()) => {
                self.shared.alive.set(self.shared.alive.get() + 1);
                connection.close().await;
            }
            Err(lost) => self.fault(FaultKind::Closed, &lost.0),
        }
    }

    async fn until_closing(
        &self,
        connection: &mut Connection,
        number: usize,
        total: usize,
    ) -> Result<(), Lost> {
        let shared = &self.shared;
        let mut beat = heartbeats(number, total, self.heartbeat);
        let mut beats = 0;
        let closing = shared.closing.notified();
        tokio::pin!(closing);
        loop {
            // All three can be dropped half-way without loss; what an arm does is done to its end.
            tokio::select! {
                biased;
                received = connection.receive() => {
                    self.received(connection, received?).await?;
                }
                () = &mut closing => return Ok(()),
                _ = beat.tick(), if self.channel.beats() => {
                    beats += 1;
                    shared.heartbeats.set(shared.heartbeats.get() + 1);
                    connection.send(self.channel.heartbeat(beats)).await?;
                }
            }
        }
    }

    async fn prove(&self, connection: &mut Connection) -> Result<(), Lost> {
        connection.send(self.channel.heartbeat(0)).await?;
        loop {
            let received = connection.receive().await?;
            if self.received(connection, received).await? {
                return Ok(());
            }
        }
    }

    /// Takes one frame; whether it was the answer to a heartbeat.
    async fn received(&self, connection: &mut Connection, received: Received) -> Result<bool, Lost> {
        if matches!(received, Received::Binary(_)) && !self.channel.takes_binary() {
            self.fault(FaultKind::Strange, "a binary frame");
            return Ok(false);
        }
        let (mut answered, mut ended, mut answers) = (false, None, Vec::new());
        self.channel.read(&Payload::new(0, 0), received.bytes(), |incoming| match incoming {
            Incoming::Heartbeat => answered = true,
            Incoming::Ended(frame) => ended = Some(frame),
            Incoming::Answer(answer) => answers.push(answer),
            other => self.fault(FaultKind::Strange, &format!("{other:?}")),
        });
        if let Some(frame) = ended {
            return Err(Lost(format!("channel ended by the server: {frame}")));
        }
        for answer in answers {
            connection.send(answer).await?;
        }
        Ok(answered)
    }

    fn fault(&self, kind: FaultKind, what: &str) {
        self.shared.faults.borrow_mut().add(kind, 1, || format!("{}: {what}", self.id));
    }
}
