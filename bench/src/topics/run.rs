//! The phases of `topics`: subscribe, warm up, measure, let the last deliveries arrive, report.

use std::time::{Duration, Instant};

use crate::arguments::{Common, Pace};
use crate::faults::FaultKind;
use crate::pacer::Pacer;
use crate::process_stats::{self, Reading, total_cpu, total_growth};
use crate::progress::{Progress, STEP};
use crate::protocol::Protocol;
use crate::report::Report;
use crate::run::{Failure, Stop};
use crate::schedule::Schedule;
use crate::target::Url;
use crate::topics::body::Body;
use crate::topics::link::Link;
use crate::topics::session::{Ended, Session};
use crate::topics::settings::{ADDRESS, Settings};

/// Subscriptions that may wait for their answer at a time.
const SUBSCRIBING: u32 = 4_096;

pub(crate) async fn run(settings: &Settings, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    let url = match &settings.url {
        Some(url) => url.clone(),
        None => Url::parse(Protocol::Phoenix, ADDRESS).map_err(Failure::Running)?,
    };
    let target = url.resolve().await.map_err(Failure::Running)?;
    let mut pacer = Pacer::new().map_err(|error| Failure::Running(format!("no timer: {error}")))?;
    let link = Link::open(&target, &settings.name, common.deadline).await?;
    let empty = process_stats::read(&common.pids);
    let body = Body::new(settings.payload_bytes);
    // The run's name for its topics ends in a number; these have numbers of one length.
    let names = common.topic(0).trim_end_matches('0').to_owned();
    let session = Session::new(link, settings.topics, names, body, common.deadline);
    let lost = |ended: Ended| Failure::Running(format!("{}: {}", target.label, ended.0));
    let mut session = session.map_err(lost)?;
    subscribe(&mut session, &mut pacer, settings, common, stop).await.map_err(|ended| match ended {
        Some(ended) => lost(ended),
        None => Failure::Running("interrupted while subscribing: nothing was measured".into()),
    })?;
    let subscribed = process_stats::read(&common.pids);

    let (before, after) = match publish(&mut session, &mut pacer, settings, common, stop).await {
        Ok(readings) => readings,
        Err((ended, before)) => {
            session.board.fault(FaultKind::Closed, || ended.0);
            (before, process_stats::read(&common.pids))
        }
    };
    session.board.give_up(common.deadline);
    Ok(report(settings, common, stop, session, [empty, subscribed, before, after]))
}

/// Subscribes to every topic. The error has no words if the user wants to end.
async fn subscribe(
    session: &mut Session,
    pacer: &mut Pacer,
    settings: &Settings,
    common: &Common,
    stop: &Stop,
) -> Result<(), Option<Ended>> {
    let all = settings.topics as u32;
    let progress = Progress::new("subscribing", u64::from(all));
    let (mut asked, mut had) = (0, 0);
    let mut patience = Instant::now() + common.deadline;
    let mut shown = Instant::now();
    while session.subscribed < all {
        while asked < all && asked - session.subscribed < SUBSCRIBING && session.has_room() {
            session.subscribe(asked);
            asked += 1;
        }
        session.turn(pacer, shown).await?;
        let now = Instant::now();
        if session.subscribed > had {
            (had, patience) = (session.subscribed, now + common.deadline);
        }
        if stop.wanted() {
            return Err(None);
        }
        if now > patience {
            return Err(Some(Ended(format!("no answer to a subscription within {:?}", common.deadline))));
        }
        if now >= shown {
            shown = now + STEP;
            progress.show(session.subscribed.into(), format!("{} of {all}", session.subscribed));
        }
    }
    Ok(())
}

/// Warm-up, measurement, and the last deliveries. The readings before and after the measurement; if the link ends, why,
/// and the first reading.
async fn publish(
    session: &mut Session,
    pacer: &mut Pacer,
    settings: &Settings,
    common: &Common,
    stop: &Stop,
) -> Result<(Reading, Reading), (Ended, Reading)> {
    let read = || process_stats::read(&common.pids);
    let mut load = Load { session, pacer, settings, stop };
    load.keep("warming up", settings.warm_up).await.map_err(|ended| (ended, read()))?;
    let before = read();
    load.session.begin();
    if let Err(ended) = load.keep("measuring", settings.seconds).await {
        return Err((ended, before));
    }
    let after = read();
    match load.drain(common.deadline).await {
        Ok(()) => Ok((before, after)),
        Err(ended) => Err((ended, before)),
    }
}

struct Load<'a> {
    session: &'a mut Session,
    pacer: &'a mut Pacer,
    settings: &'a Settings,
    stop: &'a Stop,
}

impl Load<'_> {
    /// Publishes to random topics for so long.
    async fn keep(&mut self, what: &'static str, span: Duration) -> Result<(), Ended> {
        let start = Instant::now();
        let end = start + span;
        let mut schedule = Schedule::new(self.settings.pace, 0, 1, start);
        let progress = Progress::new(what, span.as_millis() as u64);
        let mut shown = start;
        loop {
            let now = Instant::now();
            if self.stop.wanted() || now >= end {
                return Ok(());
            }
            while self.session.has_room()
                && let Some(started) = schedule.take(self.session.board.in_flight(), now, end)
            {
                self.session.publish(fastrand::u32(..self.settings.topics as u32), started);
            }
            if now >= shown {
                shown = now + STEP;
                let board = &self.session.board;
                let words = format!("{} in flight, {} faults", board.in_flight(), board.faults.total());
                progress.show(start.elapsed().as_millis() as u64, words);
            }
            // A full batch goes first, whatever is due.
            let due = schedule.due().filter(|_| self.session.has_room());
            self.session.turn(self.pacer, due.unwrap_or(end).min(shown).min(end)).await?;
        }
    }

    /// Waits until nothing is in flight, or for the deadline.
    async fn drain(&mut self, deadline: Duration) -> Result<(), Ended> {
        let end = Instant::now() + deadline;
        while self.session.board.in_flight() > 0 && Instant::now() < end && !self.stop.wanted() {
            self.session.turn(self.pacer, end.min(Instant::now() + STEP)).await?;
        }
        Ok(())
    }
}

fn report(
    settings: &Settings,
    common: &Common,
    stop: &Stop,
    session: Session,
    [empty, subscribed, before, after]: [Reading; 4],
) -> Report {
    let &Settings { topics, payload_bytes, pace, seconds, warm_up, .. } = settings;
    let how = match pace {
        Pace::InFlight(count) => format!("{count} in flight"),
        Pace::Rate(rate) => format!("{rate} publishes/s"),
    };
    let mut report = Report::new(
        "topics",
        format!(
            "{topics} topics with one subscribed gateway each, publishes to random ones: {how}, payloads of \
             {payload_bytes} bytes, {seconds:?} after {warm_up:?} of warm-up"
        ),
    );
    report.setting("topics", topics);
    match pace {
        Pace::InFlight(count) => report.setting("in_flight", count),
        Pace::Rate(rate) => report.setting("rate", rate),
    }
    report.setting("payload_bytes", payload_bytes);
    report.setting("seconds", seconds.as_secs_f64());
    report.setting("warm_up", warm_up.as_secs_f64());
    if stop.wanted() {
        report.ended_early();
    }
    let between = |one: &Reading, other: &Reading| {
        other.taken().duration_since(one.taken()).as_secs_f64().max(f64::EPSILON)
    };
    let count = topics as f64;
    report.figure("topics", "topics", count, "");
    report.figure("subscribed_per_second", "subscribed", count / between(&empty, &subscribed), "/s");
    let usage = empty.until(&subscribed);
    if common.pids.is_empty() {
        report.note(
            "name the topic server's process with --pid to see memory per topic and CPU per publish".into(),
        );
    } else {
        let cpu = total_cpu(&usage).as_secs_f64() * 1e6;
        report.figure(
            "bytes_per_topic",
            "RSS per topic, before any publish",
            total_growth(&usage) as f64 / count,
            "bytes",
        );
        report.figure("server_cpu_per_topic_us", "server CPU per topic, to subscribe", cpu / count, "µs");
    }
    let measured = between(&before, &after);
    let publishes = session.window.delivered as f64;
    report.figure("publishes", "publishes delivered", publishes, "");
    report.figure("seconds", "measured", measured, "s");
    report.figure("publishes_per_second", "publishes/s", publishes / measured, "");
    let cpu = report.usage(&before.with_memory_of(&empty), &after);
    if !common.pids.is_empty() && publishes > 0.0 {
        let micros = cpu.as_secs_f64() * 1e6 / publishes;
        report.figure("server_cpu_per_publish_us", "server CPU per publish", micros, "µs");
    }
    report.latency("answer", "to the answer", session.window.answer.summary());
    report.latency("delivery", "to the delivery", session.window.delivery.summary());
    report.refusals(session.board.refusals);
    report.checked("every publish was answered and delivered, once and in order", session.board.faults);
    report
}
