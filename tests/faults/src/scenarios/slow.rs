//! Clients that read slowly, in the same topics as all others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::cluster::Cluster;
use crate::failure::{Failure, Result};
use crate::http;
use crate::judge::{Judge, Load};
use crate::process::Process;
use crate::report::{Row, Rows, in_words};
use crate::socket;
use crate::stage::Stage;

/// 2,000 clients in 20 topics: 95 of each topic read at once, 5 slowly.
const TOPICS: usize = 20;
const QUICK: usize = 95;
const SLOW: usize = 5;
/// Publishes per second in all, of so many bytes: 40 kB/s for each client.
const RATE: usize = 100;
const PAYLOAD: usize = 8 << 10;
/// What a slow client reads, in bytes per second, and its receive buffer.
const SPEED: usize = 1_000;
const RECEIVE_BUFFER: u32 = 4 << 10;
/// The gateway's default.
const CLIENT_OUTBOX: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs with and without slow readers, in turn.
pub(super) async fn readers(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Rows::new("slow-readers");
    let mut cluster = Cluster::plain(stage).await?;
    // So few that it measures nothing but the contract.
    let load =
        Load { publishers: 5, subscribers: 20, topics: 5, rate: 20, lossless: true, ..Load::default() };
    let judge = Judge::start(stage, &cluster, &load).await?;
    let seconds = stage.long(8, 40);
    // The first run of a process is not like the others.
    stage.say("warming up");
    run(stage, &cluster, "warm", Duration::from_secs(stage.many(2, 10)), false).await?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for pair in 0..stage.many(1, 5) {
        for slow in [false, true] {
            let name = format!("p{pair}{}", if slow { "slow" } else { "quick" });
            let one = run(stage, &cluster, &name, seconds, slow).await?;
            stage.say(&format!("{name}: {one:?}"));
            if slow { &mut with } else { &mut without }.push(one);
        }
    }
    let pairs = without.len();
    let changes: Vec<_> = with
        .iter()
        .zip(&without)
        .map(|(with, without)| with.p99.as_secs_f64() / without.p99.as_secs_f64() - 1.0)
        .collect();
    let change = 100.0 * median(changes);
    let all = |runs: &[Run], what: fn(&Run) -> String| runs.iter().map(what).collect::<Vec<_>>().join(", ");
    rows.tell("p99 of the others without them", all(&without, |run| in_words(run.p99)));
    rows.tell("p99 of the others with them", all(&with, |run| in_words(run.p99)));
    let most = stage.many(100.0, 10.0);
    let figure = format!("median change of p99, {pairs} pairs");
    rows.must(&figure, format!("{change:+.1} %"), &format!("less than {most} %"), change < most);
    let highest = |runs: &[Run], what: fn(&Run) -> u64| runs.iter().map(what).max().unwrap_or(0);
    let memory = |run: &Run| run.memory;
    let growth = highest(&with, memory).saturating_sub(highest(&without, memory));
    let outboxes = (TOPICS * SLOW) as u64 * CLIENT_OUTBOX;
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    rows.must(
        "gateways' memory, more with them",
        mib(growth),
        &format!("at most the outboxes: {}", mib(outboxes)),
        growth <= outboxes,
    );
    let kernel = |run: &Run| run.kernel;
    rows.tell(
        "kernel's TCP memory, without and with",
        format!("{}, {}", mib(highest(&without, kernel)), mib(highest(&with, kernel))),
    );
    rows.tell("closed as too slow", with.iter().map(|run| run.closed).sum::<u64>());
    let faults: u64 = with.iter().chain(&without).map(|run| run.faults).sum();
    rows.must("faults that the others saw", faults, "0", faults == 0);
    judge.finish(&mut rows).await?;
    cluster.still_stands(&mut rows);
    Ok(rows.into_rows())
}

/// One run.
#[derive(Debug)]
struct Run {
    p99: Duration,
    /// Highest memory of both gateways, and of the kernel's TCP.
    memory: u64,
    kernel: u64,
    /// Slow readers that were closed.
    closed: u64,
    faults: u64,
}

async fn run(stage: &Stage, cluster: &Cluster, name: &str, time: Duration, slow: bool) -> Result<Run> {
    let run = format!("{name}x");
    let options = format!(
        "bench rooms --json --rooms {TOPICS} --members {QUICK} --rate {RATE} --payload-bytes {PAYLOAD} --warm-up 2 \
         --seconds {} --run {run}",
        time.as_secs()
    );
    let mut command = vec![stage.program.to_string_lossy().into_owned()];
    command.extend(options.split(' ').map(str::to_owned));
    command.extend(cluster.gateways.iter().map(|gateway| format!("--url={}", gateway.address)));
    let closed = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    if slow {
        for number in 0..TOPICS * SLOW {
            let topic = format!("topics:bench{run}n{}", number % TOPICS);
            let gateway = cluster.gateways[number / TOPICS % 2].address;
            let closed = closed.clone();
            readers.spawn(async move {
                loop {
                    // Whatever ended it, it comes back, as a client would.
                    if read_slowly(gateway, &topic).await.is_ok() {
                        closed.fetch_add(1, Ordering::Relaxed);
                    }
                    sleep(Duration::from_millis(fastrand::u64(500..1_500))).await;
                }
            });
        }
    }
    let mut process = Process::start(&stage.folder, name, &command, &[])?;
    let (mut memory, mut kernel) = (0, 0);
    let begin = Instant::now();
    let mut tick = interval(Duration::from_millis(200));
    while process.runs() {
        tick.tick().await;
        memory = memory.max(cluster.gateways.iter().map(|gateway| http::memory(gateway.id())).sum());
        kernel = kernel.max(http::kernel_memory());
        if begin.elapsed() > time + PATIENCE {
            return Err(Failure::new("the run did not end"));
        }
    }
    readers.shutdown().await;
    let report: Value = serde_json::from_str(&process.stdout())
        .map_err(|error| Failure::new(format!("the run's report: {error}; {}", process.stderr())))?;
    let latencies = report["latency"].as_object().into_iter().flatten();
    let (_, latency) = latencies
        .into_iter()
        .find(|(key, _)| key.starts_with("deliver"))
        .ok_or_else(|| Failure::new(format!("no latency of deliveries in {}", report["latency"])))?;
    let p99 = Duration::from_secs_f64(latency["p99_us"].as_f64().unwrap_or(f64::MAX / 1e7) / 1e6);
    let faults = report["faults"]["total"].as_u64().unwrap_or(u64::MAX);
    Ok(Run { p99, memory, kernel, closed: closed.load(Ordering::Relaxed), faults })
}

/// Joins, and reads slowly until the gateway ends it.
async fn read_slowly(gateway: std::net::SocketAddr, topic: &str) -> std::io::Result<()> {
    let mut stream = socket::open(gateway, Some(RECEIVE_BUFFER)).await?;
    stream.write_all(&socket::join(topic)).await?;
    let mut tick = interval(Duration::from_millis(100));
    let mut beats = 0;
    let mut buffer = [0; SPEED / 10];
    loop {
        tick.tick().await;
        beats += 1;
        if beats % 200 == 0 && stream.write_all(&socket::heartbeat()).await.is_err() {
            return Ok(());
        }
        if !matches!(stream.read(&mut buffer).await, Ok(1..)) {
            return Ok(());
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[length / 2],
        length => (values[length / 2 - 1] + values[length / 2]) / 2.0,
    }
}
