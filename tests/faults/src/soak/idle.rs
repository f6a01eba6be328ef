//! Waiting until nothing is going on any more: idle times, lingers and histories have run out, and every process holds
//! what it held at the base line.

use std::time::{Duration, Instant};

use tokio::time::interval;

use crate::cluster::Cluster;
use crate::failure::{Failure, Result};
use crate::soak::figures::{Snapshot, snapshot};
use crate::stage::Stage;

const LOOK: Duration = Duration::from_millis(250);
/// How often it says what it waits for.
const SAY: Duration = Duration::from_secs(5);
/// How long all must be so at an idle point, looked at again and again.
const HOLDS: Duration = Duration::from_secs(2);

/// Sizes that are 0 when nobody is there, whatever they were before.
const EMPTY: [&str; 9] = [
    "sessions",
    "channels",
    "topics",
    "topics_waiting",
    "subscriptions",
    "history_bytes",
    "histories",
    "handoffs_open",
    "process_memory_pressure",
];

/// The base line: empty tables, all links up, and nothing has changed for so long.
pub(crate) async fn base_line(
    stage: &Stage,
    cluster: &Cluster,
    calm: Duration,
    patience: Duration,
) -> Result<Snapshot> {
    let (begun, mut since) = (Instant::now(), Instant::now());
    let mut changed = Vec::new();
    let mut said = begun;
    let mut last = snapshot(cluster).await?;
    let mut tick = interval(LOOK);
    loop {
        tick.tick().await;
        let now = snapshot(cluster).await?;
        let news = [changes(&now, &last), changes(&last, &now)].concat();
        let full: Vec<_> = now
            .iter()
            .flat_map(|process| {
                let not_empty = EMPTY.iter().filter(|name| process.size(name) > 0);
                not_empty.map(|name| format!("{} {name} {}", process.node, process.size(name)))
            })
            .chain(missing_links(cluster, &now))
            .collect();
        if !news.is_empty() || !full.is_empty() {
            (since, changed) = (Instant::now(), news);
        }
        if since.elapsed() >= calm {
            return smallest(stage, cluster, now).await;
        }
        if begun.elapsed() > patience {
            let why = [full, changed].concat().join(", ");
            return Err(Failure::new(format!("no base line within {patience:?}: {why}")));
        }
        if said.elapsed() >= SAY {
            said = Instant::now();
            let what = if full.is_empty() { "nothing to change".to_owned() } else { full.join(", ") };
            stage.say(&format!("base line: waiting for {what}"));
        }
        last = now;
    }
}

/// Links that are not there yet.
fn missing_links(cluster: &Cluster, now: &Snapshot) -> Vec<String> {
    let wanted = |node: &str| {
        let is_server = cluster.topic_servers.iter().any(|server| server.name == node);
        if is_server { cluster.gateways.len() } else { cluster.topic_servers.len() }
    };
    let lacking = now.iter().filter(|process| process.size("links") != wanted(&process.node) as u64);
    lacking.map(|process| format!("{} links {}", process.node, process.size("links"))).collect()
}

/// Waits until every process holds what it held at the base line, and says what it waits for. What is still not so when
/// patience ends comes back as it is.
pub(crate) async fn idle(
    stage: &Stage,
    cluster: &Cluster,
    base: &Snapshot,
    patience: Duration,
) -> Result<Snapshot> {
    let begun = Instant::now();
    let (mut said, mut since) = (begun, begun);
    let mut tick = interval(LOOK);
    loop {
        tick.tick().await;
        let now = snapshot(cluster).await?;
        let changes = changes(&now, base);
        if !changes.is_empty() {
            since = Instant::now();
        }
        let is_over = begun.elapsed() > patience;
        if since.elapsed() >= HOLDS || is_over {
            stage.say(&format!(
                "idle after {:.1} s{}",
                begun.elapsed().as_secs_f64(),
                if is_over { ": NOT as at the base line" } else { "" }
            ));
            return smallest(stage, cluster, now).await;
        }
        if said.elapsed() >= SAY {
            said = Instant::now();
            let what = if changes.is_empty() { "nothing to change".to_owned() } else { changes.join(", ") };
            stage.say(&format!("waiting for {what}"));
        }
    }
}

/// What is not as at the base line, in words.
pub(crate) fn changes(now: &Snapshot, base: &Snapshot) -> Vec<String> {
    let of = |(now, base): (&crate::soak::figures::Figures, &crate::soak::figures::Figures)| {
        let changes = now.changes_since(base).into_iter();
        changes.map(|(name, is, was)| format!("{} {name} {is} ({was})", now.node)).collect::<Vec<_>>()
    };
    now.iter().zip(base).flat_map(of).collect()
}

/// The same, with the least memory of several looks: what the looking itself takes comes and goes.
async fn smallest(stage: &Stage, cluster: &Cluster, mut found: Snapshot) -> Result<Snapshot> {
    for _ in 0..4 {
        stage.hold(LOOK).await;
        for (best, now) in found.iter_mut().zip(snapshot(cluster).await?) {
            best.allocated = best.allocated.min(now.allocated);
            best.resident = best.resident.min(now.resident);
        }
    }
    Ok(found)
}
