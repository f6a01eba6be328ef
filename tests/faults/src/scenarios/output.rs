//! Logs that nobody can take any more.

use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Way};
use crate::failure::Result;
use crate::judge::{Judge, Load};
use crate::probe::Probe;
use crate::report::{Row, Rows, in_words};
use crate::stage::{Stage, need_root};
use crate::wait::eventually;

/// Size of the small filesystem.
const SIZE: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(20);

/// A shell that sends stderr there and becomes the process.
const TO_TMPFS: &str = r#"mkdir -p "$0" && mount -t tmpfs -o size=64k tmpfs "$0" && exec "$@" 2>"$0/log""#;
const TO_FULL: &str = r#"exec "$@" 2>/dev/full"#;

/// Each process logs to a tmpfs of its own, in a mount namespace of its own.
pub(super) async fn full_tmpfs(stage: &Stage) -> Result<Vec<Row>> {
    need_root("mounting a tmpfs")?;
    let folder = stage.folder.join("logs").to_string_lossy().into_owned();
    let way = Way::default().within(&["unshare", "--mount", "sh", "-c", TO_TMPFS, &folder]);
    run(stage, "stderr-full-tmpfs", way, true).await
}

pub(super) async fn dev_full(stage: &Stage) -> Result<Vec<Row>> {
    let way = Way::default().within(&["sh", "-c", TO_FULL, "sh"]);
    run(stage, "stderr-dev-full", way, false).await
}

async fn run(stage: &Stage, situation: &str, way: Way, fills_up: bool) -> Result<Vec<Row>> {
    let mut rows = Rows::new(situation);
    // Everything is logged, so that there is much to lose.
    let way = way.options(&["--log", "debug"]);
    let ways = [way.clone(), way];
    let mut cluster = Cluster::start(stage, &ways, &ways).await?;
    let judge = Judge::start(stage, &cluster, &Load { lossless: true, ..Load::default() }).await?;
    let [here, there] = [0, 1].map(|number| cluster.gateways[number].address);
    let topics = [cluster.topics_of("ts-a", 3)?, cluster.topics_of("ts-b", 3)?].concat();
    let probe = Probe::start(here, there, &topics, 200).await?;
    if fills_up {
        // As the process itself sees it.
        let log = stage.folder.join("logs/log");
        for node in cluster.nodes() {
            let log = format!("/proc/{}/root{}", node.id(), log.display());
            let full = async || match std::fs::metadata(&log).map(|log| log.len()) {
                Ok(length) if length >= SIZE => Ok(()),
                other => Err(other),
            };
            eventually("its tmpfs is full", PATIENCE, full).await?;
            stage.say(&format!("the tmpfs of {} is full", node.name));
        }
    }
    let full = Instant::now();
    stage.hold(stage.long(5, 30)).await;
    let found = probe.between(full, Instant::now() - Duration::from_secs(1));
    let lost = found.publishes - found.delivered + found.errors;
    rows.must("publishes not delivered meanwhile", lost, "0", lost == 0);
    rows.tell("p99 meanwhile", in_words(found.p99));
    probe.is_whole()?;
    judge.finish(&mut rows).await?;
    cluster.still_stands(&mut rows);
    Ok(rows.into_rows())
}
