//! Twenty minutes of everything that comes and goes; whenever it pauses, every process holds what it held before.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::interval;

use crate::cluster::{Cluster, Way};
use crate::failure::Result;
use crate::judge::{Judge, Load};
use crate::report::{Row, Rows, in_words};
use crate::soak::churn::{Churn, Counts, Visiting};
use crate::soak::edits::{Edited, edit};
use crate::soak::figures::{Snapshot, processor_time, snapshot};
use crate::soak::idle;
use crate::stage::Stage;

/// Visits per second. Chosen so that all processes together take less than a quarter of a core.
const RATE: f64 = 30.0;
/// What a process may hold more at the end than after the first part of the churn, in bytes, in the short form and by hand:
/// tables keep room for what they had at their fullest, and rings that were are remembered, of which the short form has not seen
/// enough when it begins, nor buffers of links as large as they get. In full runs those of a topic server differ by 1 MiB from one idle point
/// to the next, either way.
const GROWTH: (u64, u64) = (4 << 20, 2 << 20);
/// Of one core, in percent, that all processes of the cluster may take.
const SHARE: f64 = 25.0;
const MIB: f64 = (1 << 20) as f64;

/// How long things take here, in seconds: idle time of a gateway, age of histories.
struct Settings {
    idle: u64,
    history: u64,
}

/// One part of the churn.
struct Part {
    counts: Counts,
    edited: Edited,
    deliveries: f64,
    took: Duration,
    /// Processor time of the cluster, and of this process, in seconds.
    processor: [f64; 2],
    /// The most at any look, over all processes: sessions, topics at topic servers, bytes handed out.
    most: [u64; 3],
}

pub(super) async fn soak(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Rows::new("soak");
    let settings = Settings { idle: stage.many(5, 10), history: stage.many(3, 15) };
    let mut cluster = start(stage, &settings).await?;
    let parts = stage.many(2, 3);
    let each = stage.long(10, 1200) / parts;
    let patience = Duration::from_secs(2 * settings.idle + 2 * settings.history + stage.many(10, 180));
    stage.say("warming up");
    // Rings that were are remembered: thirty-two of them at a topic server.
    let (warm, often) = stage.many((4, 1_000), (30, 700));
    let every = Duration::from_millis(often);
    // With large topics first: what is read and written of one that moves lies in buffers that stay as large.
    let visiting = Visiting { name: "w".to_owned(), rate: RATE, slow: stage.many(0, 40), keys: false };
    part(stage, &cluster, visiting, Duration::from_secs(warm), every, &mut Rows::new("")).await?;
    let calm = Duration::from_secs(stage.many(2, 12));
    let base = idle::base_line(stage, &cluster, calm, patience).await?;
    let (mut points, mut done, mut waited) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=parts {
        stage.say(&format!("churn, part {number} of {parts}: {:.0} s", each.as_secs_f64()));
        // Keys keep their topics for 2 minutes. Those of the last part are compared with none.
        let keys = stage.many(false, number == parts);
        let visiting = Visiting { name: number.to_string(), rate: RATE, slow: 0, keys };
        let every = Duration::from_secs(stage.many(2, 30));
        done.push(part(stage, &cluster, visiting, each, every, &mut rows).await?);
        let stopped = Instant::now();
        let point = idle::idle(stage, &cluster, &base, patience).await?;
        let memory =
            point.iter().map(|process| format!("{} {:.2}", process.node, process.allocated as f64 / MIB));
        stage.say(&format!("memory handed out, in MiB: {}", memory.collect::<Vec<_>>().join(", ")));
        waited.push(in_words(stopped.elapsed()));
        let is_whole = idle::changes(&point, &base).is_empty();
        points.push(point);
        if !is_whole {
            break;
        }
    }
    tell_what_was_done(&mut rows, &done);
    rows.tell("all is idle again after each part after", waited.join(", "));
    judge(&mut rows, &base, &points, stage.many(GROWTH.0, GROWTH.1));
    cluster.still_stands(&mut rows);
    Ok(rows.into_rows())
}

async fn start(stage: &Stage, settings: &Settings) -> Result<Cluster> {
    let history = settings.history;
    let patterns = ["soak:*", "topics:*"]
        .map(|pattern| format!("[[topics]]\npattern = \"{pattern}\"\nhistory_seconds = {history}\n"));
    std::fs::write(stage.folder.join("soak.toml"), patterns.concat())?;
    let idle = settings.idle.to_string();
    let topic_server = || Way::default().options(&["--config", "soak.toml"]);
    let gateway = || Way::default().options(&["--config", "soak.toml", "--idle-seconds", &idle]);
    Cluster::start(stage, &[topic_server(), topic_server(), topic_server()], &[gateway(), gateway()]).await
}

/// Churn for so long, with an edit of the ring every so often, and the check beside it.
async fn part(
    stage: &Stage,
    cluster: &Cluster,
    visiting: Visiting,
    time: Duration,
    every: Duration,
    rows: &mut Rows,
) -> Result<Part> {
    let load = Load {
        publishers: 10,
        subscribers: 30,
        topics: 10,
        rate: 20,
        churn: "0.33",
        keys: if visiting.keys { "1" } else { "0" },
        // A busy machine may keep its clients away for longer than the short form's histories last.
        lossless: stage.many(false, true),
        // They say that they live every third of that, well within the idle time.
        deadline: 8,
    };
    let judge = Judge::start(stage, cluster, &load).await?;
    let processor = || {
        let cluster = cluster.nodes().map(|node| processor_time(node.id())).sum::<f64>();
        [cluster, processor_time(std::process::id())]
    };
    let (begun, before) = (Instant::now(), processor());
    let churn = Churn::start(cluster, visiting);
    let editing = edit(stage, cluster, every, begun + time);
    let mut most = [0; 3];
    let watching = async {
        let mut tick = interval(Duration::from_secs(2));
        while begun.elapsed() < time {
            tick.tick().await;
            // One that does not answer for once is seen at the idle point.
            if let Ok(now) = snapshot(cluster).await {
                most = highest(most, &now);
            }
        }
    };
    let (edited, ()) = tokio::join!(editing, watching);
    let edited = edited?;
    let counts = churn.stop().await;
    let (took, after) = (begun.elapsed(), processor());
    let processor = [0, 1].map(|index| after[index] - before[index]);
    let report: Value = judge.finish(rows).await?;
    let deliveries = report["results"]["deliveries"].as_f64().unwrap_or(0.0);
    Ok(Part { counts, edited, deliveries, took, processor, most })
}

fn highest(most: [u64; 3], now: &Snapshot) -> [u64; 3] {
    let of_role = |prefix: &str, name: &str| {
        now.iter()
            .filter(|process| process.node.starts_with(prefix))
            .map(|process| process.size(name))
            .sum::<u64>()
    };
    let allocated = now.iter().map(|process| process.allocated).sum();
    let now = [of_role("gw", "sessions"), of_role("ts", "topics"), allocated];
    [0, 1, 2].map(|index| most[index].max(now[index]))
}

fn tell_what_was_done(rows: &mut Rows, parts: &[Part]) {
    let sum = parts.iter().fold(Counts::default(), |sum, part| sum.and(part.counts.clone()));
    let took: f64 = parts.iter().map(|part| part.took.as_secs_f64()).sum();
    rows.tell("time of churn", format!("{took:.0} s"));
    rows.tell(
        "visits, connections, topics born, joins, publishes",
        format!("{}, {}, {}, {}, {}", sum.visits, sum.connections, sum.topics, sum.joins, sum.publishes),
    );
    rows.tell(
        "visits that resumed, spoke Redis, were refused, sent nonsense, fell silent, read nothing",
        format!("{}, {}, {}, {}, {}, {}", sum.resumed, sum.redis, sum.refused, sum.bad, sum.silent, sum.slow),
    );
    rows.must("visits that did not go as they must", sum.failed, "0", sum.failed == 0);
    if sum.failed > 0 {
        rows.tell("of these", sum.reasons.into_iter().take(3).collect::<Vec<_>>().join("; "));
    }
    let edits: u64 = parts.iter().map(|part| part.edited.edits).sum();
    let slowest = parts.iter().map(|part| part.edited.slowest).max().unwrap_or_default();
    rows.must(
        "edits of the ring, the slowest settled after",
        format!("{edits}, {}", in_words(slowest)),
        "at least 1",
        edits > 0,
    );
    rows.tell("deliveries to the check", parts.iter().map(|part| part.deliveries).sum::<f64>());
    let most =
        parts.iter().fold([0; 3], |most, part| [0, 1, 2].map(|index| most[index].max(part.most[index])));
    rows.tell(
        "meanwhile at most: sessions, topics, memory handed out",
        format!("{}, {}, {:.1} MiB", most[0], most[1], most[2] as f64 / MIB),
    );
    let share = |whose: usize| 100.0 * parts.iter().map(|part| part.processor[whose]).sum::<f64>() / took;
    rows.tell(
        "processor time of one core: the cluster, the visitors",
        format!("{:.1} %, {:.1} % (meant: below {SHARE} %)", share(0), share(1)),
    );
}

/// Compares the idle points with the base line and with each other.
fn judge(rows: &mut Rows, base: &Snapshot, points: &[Snapshot], most: u64) {
    let all: Vec<_> = std::iter::once(base).chain(points).collect();
    for (process, then) in base.iter().enumerate() {
        let name = &then.node;
        let figures: Vec<_> = all.iter().map(|point| &point[process]).collect();
        let series = |of: &dyn Fn(&crate::soak::figures::Figures) -> u64| {
            figures.iter().map(|figures| of(figures).to_string()).collect::<Vec<_>>().join(", ")
        };
        rows.tell(
            &format!("{name}: tasks; descriptors; threads"),
            [
                series(&|figures| figures.size("process_tasks")),
                series(&|figures| figures.size("descriptors")),
                series(&|figures| figures.threads),
            ]
            .join("; "),
        );
        let changes: Vec<_> = figures
            .iter()
            .enumerate()
            .flat_map(|(point, figures)| {
                let changes = figures.changes_since(then).into_iter();
                changes.map(move |(name, is, was)| format!("{name} {is}, was {was}, at idle point {point}"))
            })
            .collect();
        let sizes = then.sizes.len();
        rows.must(
            &format!("{name}: {sizes} sizes, threads"),
            if changes.is_empty() { "as at the base line".to_owned() } else { changes.join("; ") },
            "as at the base line",
            changes.is_empty(),
        );
        let in_mib = |of: &dyn Fn(&crate::soak::figures::Figures) -> u64| {
            let mib = figures.iter().map(|figures| format!("{:.2}", of(figures) as f64 / MIB));
            mib.collect::<Vec<_>>().join(", ")
        };
        let [first, last] = [1, figures.len() - 1].map(|point| figures[point].allocated);
        let growth = last as f64 / MIB - first as f64 / MIB;
        rows.must(
            &format!("{name}: memory handed out"),
            format!("{} MiB; {growth:+.2} since the first part", in_mib(&|figures| figures.allocated)),
            &format!("at most {:+.2}", most as f64 / MIB),
            last <= first + most,
        );
        rows.tell(&format!("{name}: memory in RAM"), format!("{} MiB", in_mib(&|figures| figures.resident)));
    }
}
