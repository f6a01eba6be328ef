//! More publishes than the cluster can take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::cluster::{Cluster, Way};
use crate::failure::Result;
use crate::http;
use crate::judge::{Judge, Load};
use crate::probe::Probe;
use crate::process::tool;
use crate::report::{Row, Rows, in_words};
use crate::socket::{self, CLOSE, TEXT, frame};
use crate::stage::Stage;
use crate::wait::{eventually, time_until};

/// Topics, and clients on each of them; every client publishes.
const TOPICS: usize = 20;
const MEMBERS: usize = 4;
/// Publishes that each client has open while the capacity is measured.
const IN_FLIGHT: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);
/// What the kernel keeps of each client's publishes: the flood ends when the clients' machines have nothing more to send,
/// and with megabytes for each client that would be many seconds after the clients have stopped.
const SEND_BUFFER: u32 = 64 * 1024;
/// The gateway's outbox for a client and a link, and the topic server's for a link, by default.
const OUTBOXES: u64 = ((TOPICS * MEMBERS) as u64 + 8 * 4 + 8 * 4) << 20;
/// What a history takes, at most, for each topic: 1 MiB, twice for its overhead.
const HISTORIES: u64 = (2 * TOPICS as u64) << 20;
/// A delivery within this is one of a cluster that has recovered.
const CALM: Duration = Duration::from_millis(250);

/// What the clients counted.
#[derive(Debug, Default)]
struct Counts {
    wanted: AtomicU64,
    sent: AtomicU64,
    ok: AtomicU64,
    refused: AtomicU64,
    closed: AtomicU64,
}

impl Counts {
    fn now(count: &AtomicU64) -> f64 {
        count.load(Ordering::Relaxed) as f64
    }
}

pub(super) async fn flood(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Rows::new("flood");
    // On one core, so that the clients, on the others, can offer three times what it takes.
    let way = match tool(&["taskset", "--version"]) {
        Ok(_) => Way::default().within(&["taskset", "--cpu-list", "0"]),
        Err(_) => Way::default(),
    };
    let ways = [way.clone(), way];
    let mut cluster = Cluster::start(stage, &ways, &ways).await?;
    let load = Load { publishers: 5, subscribers: 20, topics: 5, rate: 20, ..Load::default() };
    let judge = Judge::start(stage, &cluster, &load).await?;
    let gateways = [0, 1].map(|number| cluster.gateways[number].address);
    let topics = [cluster.topics_of("ts-a", 2)?, cluster.topics_of("ts-b", 2)?].concat();
    let probe = Probe::start(gateways[0], gateways[1], &topics, 50).await?;

    let capacity = capacity(stage, gateways).await;

    let memory = || cluster.nodes().map(|node| http::memory(node.id())).sum::<u64>();
    let quiet = memory();
    stage.say(&format!("a flood of {:.0} publishes per second", capacity * 3.0));
    let counts = Arc::new(Counts::default());
    let clients = self::clients(gateways, &counts, Some(capacity * 3.0));
    let begin = Instant::now();
    let mut most = 0;
    let length = stage.long(8, 60);
    while begin.elapsed() < length {
        stage.hold(Duration::from_millis(100)).await;
        most = most.max(memory());
    }
    let took = begin.elapsed().as_secs_f64();
    let [wanted, sent, ok, refused] =
        [&counts.wanted, &counts.sent, &counts.ok, &counts.refused].map(|count| Counts::now(count) / took);
    stage.say(&format!("{counts:?}"));
    stage.say("the flood ends");
    clients.stop_publishing();
    let over = Instant::now();
    let calm = async || {
        let now = Instant::now();
        let lately = probe.between(now - Duration::from_millis(1_500), now - Duration::from_millis(500));
        lately.publishes > 20
            && lately.delivered == lately.publishes
            && lately.errors == 0
            && lately.p99 <= CALM
    };
    // What is looked at lies up to 1.5 s back.
    let calm_after = time_until(over, PATIENCE, calm)
        .await
        .map(|after| after.saturating_sub(Duration::from_millis(1_500)));
    rows.tell("offered, publishes per second", format!("{wanted:.0}, of which the sockets took {sent:.0}"));
    rows.tell("refused with an error", format!("{refused:.0}/s"));
    for gateway in &cluster.gateways {
        let name = "campanile_gateway_publishes_refused_total";
        let reasons = http::reasons(gateway.admin, name).await.unwrap_or_default();
        rows.tell(&format!("refused by {}", gateway.name), reasons.join(", "));
    }
    let during = probe.between(begin, over);
    let words = format!(
        "{} of {} refused, p99 of the others {}",
        during.errors,
        during.publishes,
        in_words(during.p99)
    );
    rows.tell("a quiet client's publishes meanwhile", words);
    rows.tell("clients closed", Counts::now(&counts.closed));
    let answered =
        async || match Counts::now(&counts.sent) - Counts::now(&counts.ok) - Counts::now(&counts.refused) {
            0.0 => Ok(()),
            open => Err(open),
        };
    let answered = eventually("every publish is answered", PATIENCE, answered).await;
    let explicit = answered.is_ok() || Counts::now(&counts.closed) > 0.0;
    rows.must(
        "publishes without an answer",
        answered.map_or_else(|error| error.to_string(), |()| "0".into()),
        "0",
        explicit,
    );
    let bound = quiet + OUTBOXES + HISTORIES;
    let mib = |bytes: u64| bytes >> 20;
    rows.must(
        "memory of all four processes",
        format!("{} MiB before, {} MiB at most", mib(quiet), mib(most)),
        &format!("at most {} MiB: outboxes and histories", mib(bound)),
        most <= bound,
    );
    rows.at_most("recovered after its end", calm_after, stage.within(Duration::from_secs(5)));
    let now = Instant::now();
    stage.hold(Duration::from_secs(1)).await;
    rows.tell("p99 afterwards", in_words(probe.between(now, now + Duration::from_millis(500)).p99));
    probe.is_whole()?;
    drop(clients);
    // A machine may be slower for a minute: what the cluster can take is measured before and behind the flood.
    let capacities = [capacity, self::capacity(stage, gateways).await];
    let [before, behind] = capacities.map(|capacity| format!("{capacity:.0}"));
    rows.tell("capacity, publishes per second", format!("{before} before, {behind} behind it"));
    let capacity = capacities.iter().sum::<f64>() / 2.0;
    rows.must(
        "admitted",
        format!("{ok:.0}/s, {:.0} % of their mean", 100.0 * ok / capacity),
        "at least 80 %",
        ok >= 0.8 * capacity,
    );
    judge.finish(&mut rows).await?;
    cluster.still_stands(&mut rows);
    Ok(rows.into_rows())
}

/// Publishes per second that the cluster takes from as many clients, when each has some open at a time.
async fn capacity(stage: &Stage, gateways: [SocketAddr; 2]) -> f64 {
    stage.say("measuring the capacity");
    let counts = Arc::new(Counts::default());
    let clients = clients(gateways, &counts, None);
    stage.hold(Duration::from_secs(2)).await;
    let (begin, before) = (Instant::now(), Counts::now(&counts.ok));
    stage.hold(stage.long(4, 15)).await;
    let capacity = (Counts::now(&counts.ok) - before) / begin.elapsed().as_secs_f64();
    drop(clients);
    capacity
}

/// All clients; they end when it is dropped.
struct Clients {
    publishing: tokio::sync::watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Clients {
    /// They go on reading.
    fn stop_publishing(&self) {
        self.publishing.send_replace(false);
    }
}

/// Starts them: with so many publishes per second in all, or else with so many open at a time.
fn clients(gateways: [SocketAddr; 2], counts: &Arc<Counts>, rate: Option<f64>) -> Clients {
    let publishing = tokio::sync::watch::Sender::new(true);
    let mut tasks = JoinSet::new();
    for number in 0..TOPICS * MEMBERS {
        let topic = format!("flood:{}", number % TOPICS);
        let gateway = gateways[number / TOPICS % 2];
        let each = rate.map(|rate| rate / (TOPICS * MEMBERS) as f64);
        let (counts, publishing) = (counts.clone(), publishing.subscribe());
        tasks.spawn(async move {
            let _ = client(gateway, &topic, each, &counts, publishing).await;
            counts.closed.fetch_add(1, Ordering::Relaxed);
        });
    }
    Clients { publishing, _tasks: tasks }
}

async fn client(
    gateway: SocketAddr,
    topic: &str,
    rate: Option<f64>,
    counts: &Counts,
    publishing: tokio::sync::watch::Receiver<bool>,
) -> std::io::Result<()> {
    let (mut reader, mut writer) = socket::open_split_keeping(gateway, SEND_BUFFER).await?;
    writer.write_all(&socket::join(topic)).await?;
    reader.next().await?;
    let room = Semaphore::new(IN_FLIGHT);
    let reading = async {
        loop {
            let frame = reader.next().await?;
            if frame.kind == CLOSE {
                return Ok::<(), std::io::Error>(());
            }
            if !has(&frame.payload, b"\"phx_reply\"") {
                continue;
            }
            let counter =
                if has(&frame.payload, b"\"status\":\"ok\"") { &counts.ok } else { &counts.refused };
            counter.fetch_add(1, Ordering::Relaxed);
            room.add_permits(1);
        }
    };
    let body = format!(r#"["1","p","{topic}","publish",["flood",{{"text":"{}"}}]]"#, "x".repeat(100));
    let one = frame(TEXT, body.as_bytes());
    let writing = async {
        match rate {
            None => loop {
                // All that may be sent now goes at once.
                let mut many = 0;
                if let Ok(first) = room.acquire().await {
                    first.forget();
                    many = 1 + room.forget_permits(IN_FLIGHT);
                }
                writer.write_all(&one.repeat(many)).await?;
                counts.sent.fetch_add(many as u64, Ordering::Relaxed);
            },
            Some(rate) => {
                // A whole number of publishes per tick, near to 50 ticks per second.
                let burst = (rate / 50.0).ceil().max(1.0);
                let bytes = one.repeat(burst as usize);
                let mut tick = interval(Duration::from_secs_f64(burst / rate));
                tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
                let begin = Instant::now();
                loop {
                    tick.tick().await;
                    writer.write_all(&bytes).await?;
                    counts.sent.fetch_add(burst as u64, Ordering::Relaxed);
                    // What was due while the socket took nothing counts as wanted.
                    let due = (begin.elapsed().as_secs_f64() * rate) as u64;
                    counts.wanted.fetch_max(due * (TOPICS * MEMBERS) as u64, Ordering::Relaxed);
                    if !*publishing.borrow() {
                        let stopped: std::io::Result<()> = std::future::pending().await;
                        return stopped;
                    }
                }
            }
        }
    };
    tokio::select! {
        read = reading => read,
        wrote = writing => wrote,
    }
}

fn has(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}
