//! What a run of `check` tells.

use serde_json::json;

use super::settings::Settings;
use super::shared::{Shared, Subject};
use crate::arguments::Common;
use crate::latency::{Latency, Summary};
use crate::report::{Report, Row};

/// Keyed publishes per second and topic that fit into an owner's memory of keys: 10,000 within two minutes.
const KEYED_RATE: f64 = 83.0;

pub(super) fn summarise(settings: &Settings, common: &Common, shared: &Shared) -> Report {
    let &Settings { publishers, subscribers, topics, rate, payload_bytes, seconds, .. } = settings;
    let description = format!(
        "{publishers} publishers and {subscribers} subscribers ({} of them come and go) on {topics} topics, \
         gateways: {}, {rate} publishes/s in all, payloads of {payload_bytes} bytes, {seconds:?}",
        settings.churning(),
        common.urls.len()
    );
    let mut report = Report::new("check", description);
    report.setting("publishers", publishers);
    report.setting("subscribers", subscribers);
    report.setting("topics", topics);
    report.setting("rate", rate);
    report.setting("payload_bytes", payload_bytes);
    report.setting("churn", settings.churn);
    report.setting("keys", settings.keys);
    report.setting("lossless", settings.lossless);
    report.setting("seconds", seconds.as_secs_f64());
    report.setting("gateways", common.urls.len());

    let (mut acknowledged, mut epochs, mut repeated) = (0, 0, 0);
    let mut stalls = Latency::coarse();
    for subject in &shared.topics {
        let judge = subject.judge.borrow();
        acknowledged += judge.counts().1;
        epochs += judge.epochs();
        repeated += judge.repeated_in_new_epoch();
        stalls.add(judge.stalls());
    }
    let waits = shared.waits.borrow().summary();
    let mut figure = |key, label, value: u64| report.figure(key, label, value as f64, "");
    figure("publishes", "publishes", shared.publishes.get());
    figure("acknowledged", "acknowledged", acknowledged);
    figure("retries", "sent again with the same key", shared.retries.get());
    figure("given_up", "never answered ok or not_published", shared.given_up.get());
    figure("unanswered", "unanswered at the end", shared.outstanding.get() as u64);
    figure("repeated_in_new_epoch", "repeated after a new epoch", repeated);
    figure("deliveries", "deliveries checked", shared.events.get());
    figure("leaves", "went away on purpose", shared.leaves.get());
    figure("reconnects", "reconnects", shared.reconnects.get());
    figure("recovered", "resumes recovered", shared.recovered.get());
    figure("not_recovered", "resumes not recovered", shared.not_recovered.get());
    figure("notices", "notices of loss", shared.notices.get());
    figure("epochs", "epochs, all topics", epochs as u64);
    report.figure("longest_wait_ms", "longest wait for an ok", waits.max / 1_000.0, "ms");
    report.counts("publish_errors", "publish answered", shared.publish_errors.take());
    report.counts("join_errors", "could not come back", shared.join_errors.take());
    report.counts("losses", "lost", shared.losses.take());
    report.latency("reply", "publish to its ok", waits);
    report.latency("stall", "to each subscriber", stalls.summary());
    report.rows("topics", shared.topics.iter().map(row).collect());
    if settings.keys > 0.0 && rate * settings.keys / topics as f64 > KEYED_RATE {
        report.note(format!(
            "a topic remembers 10,000 keys within two minutes: above some {KEYED_RATE} keyed publishes per second \
             and topic it answers overloaded; use more --topics, or --keys with a smaller share"
        ));
    }
    report.checked(
        "every acknowledged publish was seen once, in one order, by everybody who was not told otherwise",
        shared.faults.take(),
    );
    report
}

/// One topic: its counts and the stalls of its acknowledged publishes.
fn row(subject: &Subject) -> Row {
    let judge = subject.judge.borrow();
    let stalls = judge.stalls().summary();
    let (publishes, acknowledged, events) = judge.counts();
    let Summary { count, p50, p99, p999, max } = stalls;
    let value = json!({
        "topic": judge.name,
        "publishes": publishes,
        "acknowledged": acknowledged,
        "deliveries": events,
        "epochs": judge.epochs(),
        "stall": {"count": count, "p50_us": p50, "p99_us": p99, "p999_us": p999, "max_us": max},
    });
    Row { label: judge.name.clone(), summary: stalls, value }
}
