//! The phases of a run: connect and join, warm up, measure, let the last deliveries arrive, check, report.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::member::Member;
use super::shared::Shared;
use super::tasks::{publish, subscribe};
use super::topic::Topic;
use crate::arguments::{Common, Pace, Traffic};
use crate::faults::FaultKind;
use crate::opening::{connector, open_all, reserve_files};
use crate::process_stats;
use crate::progress::{Progress, STEP};
use crate::protocol::Channel;
use crate::report::Report;
use crate::run::{Failure, Stop};
use crate::schedule::Schedule;

/// How often the end of the last deliveries is looked for.
const DRAIN_STEP: Duration = Duration::from_millis(5);
/// How long a doubled delivery may take to show after the last one.
const SETTLE: Duration = Duration::from_millis(200);
/// How long all connections together may take to close.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// Lateness of the generator's own sending, p99 in microseconds, that is worth a note.
const LATE: f64 = 1_000.0;

/// Topics with the same number of members each, one of which publishes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) topics: usize,
    /// Subscribers per topic, the publisher included.
    pub(crate) members: usize,
}

/// Runs the plan and fills the report.
pub(crate) async fn measure(
    plan: Plan,
    traffic: &Traffic,
    common: &Common,
    stop: &Stop,
    report: &mut Report,
) -> Result<(), Failure> {
    let total = plan.topics * plan.members;
    // Each publisher may have a timer too.
    reserve_files(total + plan.topics)?;
    let connector = connector(common, total, traffic.payload_bytes).await?;
    let topics: Vec<Rc<Topic>> = (0..plan.topics)
        .map(|number| Rc::new(Topic::new(common.topic(number), number, plan.members, traffic.payload_bytes)))
        .collect();
    let topic_of = |number: usize| &topics[number / plan.members];
    let channels: Vec<Channel> =
        (0..total).map(|number| Channel::new(common.protocol, number, &topic_of(number).name)).collect();
    let connections = open_all(&connector, &channels.iter().collect::<Vec<_>>(), stop).await?;

    sleep(common.protocol.settles()).await;
    let start = Instant::now();
    let begin = start + traffic.warm_up;
    let shared = Rc::new(Shared::new(begin, begin + traffic.seconds, plan.topics));
    let mut members = Vec::with_capacity(total);
    let mut tasks = JoinSet::new();
    for ((number, channel), connection) in channels.into_iter().enumerate().zip(connections) {
        let gateway = connector.label(number).to_owned();
        let topic = topic_of(number).clone();
        let member = Rc::new(Member::new(number, gateway, channel, topic, shared.clone()));
        members.push(member.clone());
        let topic_number = number / plan.members;
        // Another member in each topic, so that the publishers are spread over the gateways too.
        if number % plan.members == topic_number % plan.members {
            let schedule = Schedule::new(traffic.pace, topic_number, plan.topics, start);
            tasks.spawn_local(publish(connection, member, shared.clone(), schedule, total));
        } else {
            tasks.spawn_local(subscribe(connection, member, shared.clone(), total));
        }
    }

    let run = Run { topics: &topics, shared: &shared, deadline: common.deadline, stop };
    run.wait("warming up", start, begin).await;
    let before = process_stats::read(&common.pids);
    shared.measuring.set(true);
    run.wait("measuring", begin, shared.end.get()).await;
    shared.measuring.set(false);
    let after = process_stats::read(&common.pids);
    run.drain(report).await;
    for member in &members {
        member.finish();
    }
    shared.closing.notify_waiters();
    // Whatever is not closed by then is dropped with the runtime.
    let _ = timeout(CLOSE_DEADLINE, async { while tasks.join_next().await.is_some() {} }).await;
    tasks.shutdown().await;

    if stop.wanted() {
        report.ended_early();
    }
    let cpu = report.usage(&before, &after);
    let elapsed = after.taken().duration_since(before.taken()).as_secs_f64().max(f64::EPSILON);
    fill(report, &shared, total, elapsed, (!common.pids.is_empty()).then_some(cpu));
    let bytes = shared.deliveries.get() as f64 * traffic.payload_bytes as f64;
    report.figure("bytes_per_second", "payload bytes delivered/s", bytes / elapsed, "");
    if matches!(traffic.pace, Pace::Rate(_)) {
        let lateness = shared.lateness.borrow().summary();
        report.latency("lateness", "sent behind schedule", lateness);
        if lateness.p99 > LATE {
            report.note(format!(
                "publishes left up to {:.1} ms (p99) after their time, because the generator or the gateway was \
                 busy; the latencies contain this",
                lateness.p99 / 1_000.0
            ));
        }
    }
    Ok(())
}

fn fill(report: &mut Report, shared: &Shared, connections: usize, elapsed: f64, cpu: Option<Duration>) {
    let deliveries = shared.deliveries.get() as f64;
    let publishes = shared.publishes.get() as f64;
    report.figure("connections", "connections", connections as f64, "");
    report.figure("seconds", "measured", elapsed, "s");
    report.figure("publishes", "publishes", publishes, "");
    report.figure("publishes_per_second", "publishes/s", publishes / elapsed, "");
    report.figure("deliveries", "deliveries", deliveries, "");
    report.figure("deliveries_per_second", "deliveries/s", deliveries / elapsed, "");
    report.figure(
        "deliveries_checked",
        "deliveries checked, all phases",
        shared.all_deliveries.get() as f64,
        "",
    );
    if let Some(cpu) = cpu.filter(|_| deliveries > 0.0) {
        let micros = cpu.as_secs_f64() * 1e6 / deliveries;
        report.figure("server_cpu_per_delivery_us", "server CPU per delivery", micros, "µs");
    }
    report.latency("delivery", "to each subscriber", shared.delivery_latency.borrow().summary());
    report.latency("last", "to the last subscriber", shared.last_latency.borrow().summary());
    report.latency("reply", "publish to its reply", shared.reply_latency.borrow().summary());
    report.refusals(shared.refusals.take());
    report.checked("every subscriber saw every publish once and in order", shared.faults.take());
}

/// What the phases look at.
struct Run<'a> {
    topics: &'a [Rc<Topic>],
    shared: &'a Shared,
    deadline: Duration,
    stop: &'a Stop,
}

impl Run<'_> {
    /// Waits until `end` or until the user wants to stop.
    async fn wait(&self, what: &'static str, start: Instant, end: Instant) {
        let whole = end.saturating_duration_since(start);
        let progress = Progress::new(what, whole.as_millis() as u64);
        let (mut last, mut seen) = (Instant::now(), self.shared.all_deliveries.get());
        while !self.stop.wanted() {
            let now = Instant::now();
            let left = end.saturating_duration_since(now);
            if left.is_zero() {
                return;
            }
            self.give_up(now, self.deadline);
            let all = self.shared.all_deliveries.get();
            let rate = (all - seen) as f64 / now.duration_since(last).as_secs_f64().max(1e-3);
            (last, seen) = (now, all);
            let faults = self.shared.faults.borrow().total();
            progress.show(
                (whole - left.min(whole)).as_millis() as u64,
                format!("{:.0} s left, {rate:.0} deliveries/s, {faults} faults", left.as_secs_f64()),
            );
            tokio::select! {
                () = sleep(STEP.min(left)) => {}
                () = self.stop.wait() => {}
            }
        }
    }

    /// Lets the publishers end and the last deliveries arrive, each within the deadline.
    async fn drain(&self, report: &mut Report) {
        let shared = self.shared;
        if self.stop.wanted() {
            shared.stop_publishing();
        }
        shared.end_moved.notify_waiters();
        if !self.eventually(|| shared.publishers_at_work.get() == 0).await {
            shared.stop_publishing();
            report.note(
                "the publishers could not keep to the rate: publishes that were due are not sent; \
                 the server (or the generator) is slower than --rate asks for"
                    .into(),
            );
            self.eventually(|| shared.publishers_at_work.get() == 0).await;
        }
        let landed = || self.topics.iter().all(|topic| topic.in_flight() == 0);
        if !self.eventually(landed).await {
            self.give_up(Instant::now(), Duration::ZERO);
        }
        sleep(SETTLE).await;
    }

    /// Whether this came true within the deadline.
    async fn eventually(&self, condition: impl Fn() -> bool) -> bool {
        let end = Instant::now() + self.deadline;
        while !condition() {
            let now = Instant::now();
            if now >= end {
                return false;
            }
            self.give_up(now, self.deadline);
            sleep(DRAIN_STEP).await;
        }
        true
    }

    fn give_up(&self, now: Instant, deadline: Duration) {
        for topic in self.topics {
            for sequence in topic.give_up(now, deadline) {
                self.shared.fault(FaultKind::Unanswered, 1, || {
                    format!(
                        "topic {}: publish {sequence} had no reply within {:?}",
                        topic.name, self.deadline
                    )
                });
            }
        }
    }
}
