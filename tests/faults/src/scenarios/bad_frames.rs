//! Nonsense: frames that are refused, on connections that stay, and frames that end their connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::owner::tell_others;
use crate::cluster::Cluster;
use crate::failure::{Failure, Result};
use crate::http;
use crate::judge::{Judge, Load};
use crate::probe::Probe;
use crate::report::{Row, Rows};
use crate::socket::{self, BINARY, CLOSE, TEXT, frame};
use crate::stage::Stage;
use crate::wait::eventually;

/// Per second.
const REFUSED: u64 = 10_000;
const MALFORMED: u64 = 500;
/// Connections that send what is refused.
const CONNECTIONS: u64 = 50;
/// Tasks that open connections for what is malformed.
const OPENERS: u64 = 25;
const PATIENCE: Duration = Duration::from_secs(10);
/// What the gateways' memory may grow by, measured from when the first frames have come.
const GROWTH: u64 = 64 << 20;

/// What became of all frames.
#[derive(Debug, Default)]
struct Counts {
    refused: AtomicU64,
    answers: AtomicU64,
    /// Connections that ended although their frames were well-formed.
    ended: AtomicU64,
    malformed: AtomicU64,
    /// Malformed frames whose connection was closed with a code, or cut.
    closed: AtomicU64,
    cut: AtomicU64,
    open: AtomicU64,
}

pub(super) async fn flood(stage: &Stage) -> Result<Vec<Row>> {
    let mut rows = Rows::new("bad-frames");
    let mut cluster = Cluster::plain(stage).await?;
    let judge = Judge::start(stage, &cluster, &Load { lossless: true, ..Load::default() }).await?;
    let gateways = [0, 1].map(|number| cluster.gateways[number].address);
    let topics = [cluster.topics_of("ts-a", 3)?, cluster.topics_of("ts-b", 3)?].concat();
    let probe = Probe::start(gateways[0], gateways[1], &topics, 200).await?;
    let calm = Instant::now();
    stage.hold(stage.long(3, 10)).await;
    let sessions = async || {
        let mut sum = 0.0;
        for gateway in &cluster.gateways {
            sum += gateway.metric("sessions").await;
        }
        sum
    };
    let memory = || cluster.gateways.iter().map(|gateway| http::memory(gateway.id())).sum::<u64>();

    stage.say("bad frames come");
    let begun = Instant::now();
    let counts = Arc::new(Counts::default());
    let mut tasks = JoinSet::new();
    for number in 0..CONNECTIONS {
        let (gateway, counts) = (gateways[number as usize % 2], counts.clone());
        tasks.spawn(refused(gateway, number, counts));
    }
    for number in 0..OPENERS {
        let (gateway, counts) = (gateways[number as usize % 2], counts.clone());
        tasks.spawn(malformed(gateway, number, counts));
    }
    let full = stage.long(10, 60);
    stage.hold(full / 5).await;
    let early = memory();
    stage.hold(full * 4 / 5).await;
    let late = memory();
    let ended = Instant::now();
    tasks.shutdown().await;
    stage.say(&format!("{counts:?}"));
    stage.hold(Duration::from_secs(1)).await;

    let took = ended.duration_since(begun).as_secs_f64();
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let rate = |count: &AtomicU64| load(count) as f64 / took;
    let refused = rate(&counts.refused);
    rows.must("refused frames per second", format!("{refused:.0}"), "at least 9000", refused >= 9_000.0);
    let answered = load(&counts.answers) as f64 / load(&counts.refused) as f64;
    rows.must(
        "of them answered with an error",
        format!("{:.1} %", answered * 100.0),
        "at least 95 %",
        answered >= 0.95,
    );
    rows.must("connections that ended over them", load(&counts.ended), "0", load(&counts.ended) == 0);
    let malformed = rate(&counts.malformed);
    rows.must("malformed frames per second", format!("{malformed:.0}"), "at least 450", malformed >= 450.0);
    let ended_with =
        format!("{} by a code, {} cut, {} not", load(&counts.closed), load(&counts.cut), load(&counts.open));
    rows.must("connections ended over them", ended_with, "0 not", load(&counts.open) == 0);
    let [before, during] = [probe.between(calm, begun), probe.between(begun, ended)];
    tell_others(&mut rows, stage, &before, &during);
    let lost = during.publishes - during.delivered + during.errors;
    rows.must("publishes of neighbours not delivered", lost, "0", lost == 0);
    let growth = late.saturating_sub(early) / (1 << 20);
    rows.must(
        "gateways' memory grew by",
        format!("{growth} MiB"),
        &format!("at most {} MiB", GROWTH >> 20),
        growth <= GROWTH >> 20,
    );
    let few = async || match sessions().await {
        few if few <= 125.0 => Ok(()),
        many => Err(many),
    };
    let left = eventually("their sessions are gone", PATIENCE, few).await;
    rows.must(
        "their sessions afterwards",
        left.as_ref().map_or_else(ToString::to_string, |()| "gone".into()),
        "gone",
        left.is_ok(),
    );
    probe.is_whole()?;
    judge.finish(&mut rows).await?;
    cluster.still_stands(&mut rows);
    Ok(rows.into_rows())
}

/// Sends its share of well-formed frames that are refused, on one connection.
async fn refused(gateway: SocketAddr, number: u64, counts: Arc<Counts>) {
    let topic = format!("bad:{number}");
    let sending = async {
        let (mut reader, mut writer) = socket::open_split(gateway).await?;
        writer.write_all(&socket::join(&topic)).await?;
        let reading = async {
            let _join = reader.next().await?;
            loop {
                let frame = reader.next().await?;
                if frame.kind == CLOSE {
                    return Ok::<(), std::io::Error>(());
                }
                counts.answers.fetch_add(1, Ordering::Relaxed);
            }
        };
        let frames = bad(&topic);
        let writing = async {
            let per_tick = REFUSED / CONNECTIONS / 20;
            let mut tick = interval(Duration::from_millis(50));
            loop {
                tick.tick().await;
                let mut bytes = Vec::new();
                for nth in 0..per_tick {
                    bytes.extend(&frames[nth as usize % frames.len()]);
                }
                writer.write_all(&bytes).await?;
                counts.refused.fetch_add(per_tick, Ordering::Relaxed);
            }
        };
        tokio::select! {
            read = reading => read,
            wrote = writing => wrote,
        }
    };
    let _: std::io::Result<()> = sending.await;
    counts.ended.fetch_add(1, Ordering::Relaxed);
}

/// What is well-formed, and gets an error reply.
fn bad(topic: &str) -> Vec<Vec<u8>> {
    let long = "e".repeat(300);
    let texts = [
        r#"["9","1","nobody","publish",["e",{}]]"#.to_owned(),
        format!(r#"["1","2","{topic}","publish",["e",5]]"#),
        format!(r#"["1","3","{topic}","publish",["phx_close",{{}}]]"#),
        format!(r#"["1","4","{topic}","publish",["",{{}}]]"#),
        format!(r#"["1","5","{topic}","publish",["{long}",{{}}]]"#),
        format!(r#"["1","6","{topic}","shout",{{}}]"#),
        format!(r#"["1","7","{topic}","publish",{{"a":[[[[1]]]]}}]"#),
        format!(r#"["8","8","{topic}\u0001","phx_join",{{}}]"#),
        r#"["9","9","nobody","phx_leave",{}]"#.to_owned(),
    ];
    let mut frames: Vec<_> = texts.iter().map(|text| frame(TEXT, text.as_bytes())).collect();
    // A push on a channel that is not joined.
    frames.push(frame(BINARY, b"\x00\x01\x01\x06\x01919nobodyexxxx"));
    frames
}

/// Opens connections, and sends one malformed frame on each, at its share of the rate.
async fn malformed(gateway: SocketAddr, number: u64, counts: Arc<Counts>) {
    let mut tick = interval(Duration::from_secs(1) * OPENERS as u32 / MALFORMED as u32);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let frames = broken();
    for nth in number as usize.. {
        tick.tick().await;
        let one = timeout(PATIENCE, end_by(gateway, &frames[nth % frames.len()])).await;
        let counter = match one {
            Ok(Ok(true)) => &counts.closed,
            Ok(Ok(false)) => &counts.cut,
            // It was not even opened, or lives.
            Ok(Err(_)) | Err(_) => &counts.open,
        };
        counts.malformed.fetch_add(1, Ordering::Relaxed);
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether the gateway closed it with a close frame; false if it only cut it.
async fn end_by(gateway: SocketAddr, bytes: &[u8]) -> Result<bool> {
    let (mut reader, mut writer) = socket::open_split(gateway).await?;
    writer.write_all(bytes).await.map_err(|error| Failure::new(error.to_string()))?;
    loop {
        match reader.next().await {
            Ok(frame) if frame.kind == CLOSE => return Ok(true),
            Ok(_) => {}
            Err(_) => return Ok(false),
        }
    }
}

/// What ends its connection.
fn broken() -> Vec<Vec<u8>> {
    let mut frames: Vec<_> = [
        &b"not json"[..],
        b"[1,2]",
        br#"{"topic":"t"}"#,
        br#"[{"a":1},"1","t","phx_join",{}]"#,
        br#"["1","1","t","phx_join",{}"#,
        b"\xff\xfe",
        b"",
    ]
    .iter()
    .map(|text| frame(TEXT, text))
    .collect();
    frames.extend(
        [&b""[..], b"\x00", b"\x09\x01\x01\x01\x01aaaa", b"\x00\xff\xff\xff\xffshort"]
            .map(|bytes| frame(BINARY, bytes)),
    );
    // A ref that is too long, an opcode that is none, a bit that means nothing, no mask, a frame of 1 GiB.
    frames.push(frame(TEXT, format!(r#"["1","{}","t","phx_join",{{}}]"#, "r".repeat(300)).as_bytes()));
    frames.push(frame(3, b"x"));
    frames.push([&[0x80 | 0x40 | TEXT, 0x81][..], &[0; 4], b"x"].concat());
    frames.push(vec![0x80 | TEXT, 1, b'x']);
    frames.push([&[0x80 | BINARY, 0x80 | 127][..], &(1_u64 << 30).to_be_bytes(), &[0; 4]].concat());
    frames
}
