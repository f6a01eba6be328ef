//! A wall clock that jumps, by Debian's `faketime`: never the machine's clock.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Way};
use crate::failure::{Failure, Result};
use crate::judge::{Judge, Load};
use crate::probe::Probe;
use crate::process::tool;
use crate::report::{Row, Rows, in_words};
use crate::stage::{Stage, install};
use crate::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(20);
/// In seconds: an hour on, back, a day back, and two years on.
const JUMPS: [&str; 4] = ["+3600", "+0", "-86400", "+63072000"];

/// All processes read their wall clock through a file that says by how much it is wrong.
pub(super) async fn jump(stage: &Stage) -> Result<Vec<Row>> {
    let library = library(stage)?;
    let mut rows = Rows::new("clock-jump");
    let file = stage.folder.join("clock");
    fs::write(&file, "+0")?;
    let variables = [
        ("LD_PRELOAD", library.to_string_lossy().into_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_string_lossy().into_owned()),
        ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        // A clock that somebody sets does not move the monotonic one.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
    // A line of the log now and then, whose time shows the jump.
    let way = Way { variables, ..Way::default() }.options(&["--log", "debug"]);
    let ways = [way.clone(), way];
    let mut cluster = Cluster::start(stage, &ways, &ways).await?;
    let judge = Judge::start(stage, &cluster, &Load { lossless: true, ..Load::default() }).await?;
    let [here, there] = [0, 1].map(|number| cluster.gateways[number].address);
    let topics = [cluster.topics_of("ts-a", 3)?, cluster.topics_of("ts-b", 3)?].concat();
    let probe = Probe::start(here, there, &topics, 200).await?;
    let begun = Instant::now();
    for jump in JUMPS {
        stage.say(&format!("the clock jumps to {jump} s"));
        // Whole at once: a half-written number would be another time.
        fs::write(file.with_extension("new"), jump)?;
        fs::rename(file.with_extension("new"), &file)?;
        for gateway in &cluster.gateways {
            let seen = async || match is_shown(&gateway.log(), jump) {
                true => Ok(()),
                false => Err(gateway.log().lines().last().map(str::to_owned)),
            };
            eventually("its log shows the new time", PATIENCE, seen).await?;
        }
        stage.hold(stage.long(1, 10)).await;
    }
    let found = probe.between(begun, Instant::now() - Duration::from_secs(1));
    let lost = found.publishes - found.delivered + found.errors;
    rows.must("publishes not delivered meanwhile", lost, "0", lost == 0);
    rows.tell("p99 meanwhile", in_words(found.p99));
    let mut failures = 0.0;
    for gateway in &cluster.gateways {
        failures += gateway.metric("link_failures_total").await;
    }
    rows.must("links that broke", failures, "0", failures == 0.0);
    probe.is_whole()?;
    judge.finish(&mut rows).await?;
    cluster.still_stands(&mut rows);
    Ok(rows.into_rows())
}

/// Whether the log's last line has the time of this jump, to a minute.
fn is_shown(log: &str, jump: &str) -> bool {
    let complete = log.rsplit_once('\n').map_or("", |(lines, _)| lines);
    let Some(line) = complete.lines().last() else { return false };
    let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else { return false };
    let Some(time) = value["timestamp"].as_str() else { return false };
    let ask = |when: &str| tool(&["date", "-u", "-d", when, "+%s"]).ok()?.trim().parse::<i64>().ok();
    let (Some(shown), Some(now)) = (ask(time), ask("now")) else { return false };
    jump.parse::<i64>().is_ok_and(|jump| (shown - now - jump).abs() < 60)
}

/// Where the library is, installed if that is possible.
fn library(stage: &Stage) -> Result<PathBuf> {
    let find = || {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|file| file.is_file())
    };
    install(stage, "faketime", || find().is_some())?;
    find().ok_or_else(|| Failure::new("faketime is installed, and its library is not where it should be"))
}
