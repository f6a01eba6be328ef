//! The phases of a run: everybody joins, publishers publish, everybody catches up, the contract is judged.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::judge::Topic;
use super::member::{Member, Publishing};
use super::outstanding::Outstanding;
use super::settings::Settings;
use super::shared::{Phase, Shared, Subject};
use super::summary::summarise;
use crate::arguments::Common;
use crate::client::Connector;
use crate::frame::Payload;
use crate::opening::{connector, reserve_files};
use crate::process_stats;
use crate::progress::{Progress, STEP};
use crate::protocol::{Channel, Protocol};
use crate::report::Report;
use crate::run::{Failure, Stop};

/// How often it is looked whether everybody has everything.
const LOOK: Duration = Duration::from_millis(20);
/// How long a doubled delivery may take to show after the last one.
const SETTLE: Duration = Duration::from_millis(300);
/// How long all connections together may take to close.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

pub(crate) async fn run(settings: &Settings, common: &Common, stop: &Stop) -> Result<Report, Failure> {
    // One that comes and goes may leave its socket behind for a moment.
    reserve_files(settings.members() + settings.churning())?;
    let connector = connector(common, settings.members(), settings.payload_bytes).await?;
    let connector = Rc::new(connector);
    somebody_is_there(&connector, common).await?;

    let topics = (0..settings.topics).map(|number| Subject {
        judge: Topic::new(common.topic(number)).into(),
        payload: Payload::new(number, settings.payload_bytes),
    });
    let shared = Rc::new(Shared::new(topics.collect(), settings.lossless));
    let mut tasks = JoinSet::new();
    for number in 0..settings.members() {
        tasks.spawn_local(member(settings, common, &connector, &shared, number).live());
    }

    let run = Run { settings, shared: &shared, stop };
    run.everybody_joins(common.deadline).await?;
    let before = process_stats::read(&common.pids);
    shared.phase.send_replace(Phase::Publishing);
    run.wait(settings.seconds).await;
    shared.phase.send_replace(Phase::CatchingUp);
    let after = process_stats::read(&common.pids);
    run.catch_up().await;
    run.judge();
    shared.phase.send_replace(Phase::Closing);
    // Whatever is not closed by then is dropped with the runtime.
    let _ = timeout(CLOSE_DEADLINE, async { while tasks.join_next().await.is_some() {} }).await;
    tasks.shutdown().await;

    let mut report = summarise(settings, common, &shared);
    report.usage(&before, &after);
    if stop.wanted() {
        report.ended_early();
    }
    Ok(report)
}

/// A cluster that is not there gives one clear message; of several gateways some may be down.
async fn somebody_is_there(connector: &Connector, common: &Common) -> Result<(), Failure> {
    let mut failure = Failure::Running("no gateway is named".into());
    for number in 0..connector.gateways() {
        let channel = Channel::new(Protocol::Phoenix, number, &common.topic(0));
        match connector.join(number, &channel).await {
            Ok(connection) => {
                connection.close().await;
                return Ok(());
            }
            Err(error) => failure = Failure::Running(format!("{}: {}", error.reason, error.advice)),
        }
    }
    Err(failure)
}

fn member(
    settings: &Settings,
    common: &Common,
    connector: &Rc<Connector>,
    shared: &Rc<Shared>,
    number: usize,
) -> Member {
    let publishers = settings.publishers;
    let (name, nth) = match number.checked_sub(publishers) {
        None => (format!("publisher {number}"), number),
        Some(nth) => (format!("subscriber {nth}"), nth),
    };
    let topic = nth % settings.topics;
    let place = shared.topics[topic].judge.borrow_mut().add_member(name);
    let publishing = (number < publishers).then(|| Publishing {
        rate: settings.rate,
        turn: (nth, publishers),
        schedule: None,
        outstanding: Outstanding::default(),
        keys: settings.keys,
    });
    Member {
        shared: shared.clone(),
        connector: connector.clone(),
        number,
        topic,
        place,
        deadline: common.deadline,
        // Spread over the topics by counting from the end.
        churns: publishing.is_none() && settings.subscribers - nth <= settings.churning(),
        publishing,
        random: fastrand::Rng::new(),
        // Members of one topic are spread over the gateways, too.
        gateway: (number + number / settings.topics) % connector.gateways(),
        attempts: 0,
    }
}

/// What the phases look at.
struct Run<'a> {
    settings: &'a Settings,
    shared: &'a Shared,
    stop: &'a Stop,
}

impl Run<'_> {
    async fn everybody_joins(&self, deadline: Duration) -> Result<(), Failure> {
        let members = self.settings.members();
        let progress = Progress::new("connecting", members as u64);
        let mut last = (Instant::now(), 0);
        while self.shared.joined.get() < members {
            let joined = self.shared.joined.get();
            progress.show(joined as u64, format!("{joined} of {members}"));
            if joined > last.1 {
                last = (Instant::now(), joined);
            }
            if last.0.elapsed() > deadline {
                let reasons = self.shared.join_errors.take();
                let reasons: Vec<String> =
                    reasons.into_iter().map(|(reason, count)| format!("{reason} ({count} times)")).collect();
                return Err(Failure::Running(format!(
                    "{joined} of {members} could join, and no more within {deadline:?}: {}{}",
                    reasons.join("; "),
                    "; does this cluster know positions, and is it ready?"
                )));
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.stop.wait() => {
                    return Err(Failure::Running("interrupted while connecting: nothing was checked".into()));
                }
            }
        }
        Ok(())
    }

    async fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        let progress = Progress::new("checking", time.as_millis() as u64);
        let shared = self.shared;
        let (mut last, mut seen) = (Instant::now(), (0, shared.events.get()));
        while !self.stop.wanted() {
            let now = Instant::now();
            let left = end.saturating_duration_since(now);
            if left.is_zero() {
                return;
            }
            let elapsed = now.duration_since(last).as_secs_f64().max(1e-3);
            let counts = (shared.publishes.get(), shared.events.get());
            let publishes = (counts.0 - seen.0) as f64 / elapsed;
            let events = (counts.1 - seen.1) as f64 / elapsed;
            (last, seen) = (now, counts);
            let message = format!(
                "{:.0} s left, {publishes:.0} publishes/s, {events:.0} deliveries/s, {} unanswered, {} away, {} faults",
                left.as_secs_f64(),
                shared.outstanding.get(),
                self.settings.members() - shared.joined.get(),
                shared.faults.borrow().total()
            );
            progress.show((time - left.min(time)).as_millis() as u64, message);
            tokio::select! {
                () = sleep(STEP.min(left)) => {}
                () = self.stop.wait() => {}
            }
        }
    }

    /// Waits until every publish is answered and nothing is open at any judge, within the deadline.
    async fn catch_up(&self) {
        let shared = self.shared;
        let deadline = self.settings.catch_up;
        let progress = Progress::new("catching up", deadline.as_millis() as u64);
        let start = Instant::now();
        let open = |subject: &&Subject| !subject.judge.borrow().open_questions().is_empty();
        while start.elapsed() < deadline {
            let unanswered = shared.outstanding.get();
            if unanswered == 0 && !shared.topics.iter().any(|subject| open(&subject)) {
                break;
            }
            let behind = shared.topics.iter().filter(open).count();
            progress.show(
                start.elapsed().as_millis() as u64,
                format!("{unanswered} publishes unanswered, {behind} topics incomplete"),
            );
            sleep(LOOK).await;
        }
        sleep(SETTLE).await;
    }

    fn judge(&self) {
        let mut faults = self.shared.faults.borrow_mut();
        for subject in &self.shared.topics {
            let judge = subject.judge.borrow();
            for breach in judge.open_questions() {
                breach.tell(&judge.name, &mut faults);
            }
        }
    }
}
