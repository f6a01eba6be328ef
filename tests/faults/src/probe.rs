//! A publisher on one gateway and a subscriber on another, who measure: when each publish was answered, and when it
//! was delivered.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::failure::{Failure, Result};
use crate::socket::{CLOSE, Reader, TEXT, frame, heartbeat, join, open_split};

/// How long a join or a write may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often both say that they live.
const BEAT: Duration = Duration::from_secs(5);

/// One publish.
#[derive(Debug, Clone)]
struct Sample {
    topic: usize,
    sent: Instant,
    /// When it was answered, and the error if it was one.
    answer: Option<(Instant, Option<String>)>,
    delivered: Option<Instant>,
}

#[derive(Debug, Default)]
struct Shared {
    samples: Vec<Sample>,
    broken: Option<String>,
}

type Book = Arc<Mutex<Shared>>;

/// The tasks of both clients; they end with it.
#[derive(Debug)]
pub(crate) struct Probe {
    book: Book,
    topics: usize,
    /// Ended when dropped.
    _tasks: JoinSet<()>,
}

/// What became of the publishes of a window.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) publishes: usize,
    pub(crate) errors: usize,
    pub(crate) reasons: Vec<String>,
    /// Until the reply, an error or not.
    pub(crate) longest_reply: Duration,
    pub(crate) unanswered: usize,
    /// Until the delivery, of those that were delivered.
    pub(crate) p99: Duration,
    pub(crate) delivered: usize,
}

impl Probe {
    /// Joins all topics at both gateways, then publishes `rate` times per second, to one topic after the other.
    pub(crate) async fn start(
        publish_at: SocketAddr,
        listen_at: SocketAddr,
        topics: &[String],
        rate: u32,
    ) -> Result<Self> {
        let book = Book::default();
        let mut tasks = JoinSet::new();
        let (publishing, publisher) = joined(publish_at, topics).await?;
        let (listening, subscriber) = joined(listen_at, topics).await?;
        for (reader, side) in [(publishing, "publisher"), (listening, "subscriber")] {
            let book = book.clone();
            tasks.spawn(async move {
                let why = read(reader, &book, side == "subscriber").await;
                note_end(&book, &format!("the probe's {side} lost its connection: {why}"));
            });
        }
        tasks.spawn(beat(subscriber, book.clone()));
        tasks.spawn(publish(publisher, book.clone(), topics.to_vec(), Duration::from_secs(1) / rate));
        Ok(Self { book, topics: topics.len(), _tasks: tasks })
    }

    /// What became of what was published between these times.
    pub(crate) fn between(&self, from: Instant, to: Instant) -> Found {
        let shared = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let window: Vec<_> =
            shared.samples.iter().filter(|sample| sample.sent >= from && sample.sent < to).collect();
        let took = |sample: &&&Sample, until: Instant| until.duration_since(sample.sent);
        let mut latencies: Vec<_> =
            window.iter().filter_map(|sample| sample.delivered.map(|at| took(&sample, at))).collect();
        latencies.sort_unstable();
        let replies =
            window.iter().filter_map(|sample| sample.answer.as_ref().map(|(at, _)| took(&sample, *at)));
        let mut reasons: Vec<_> =
            window.iter().filter_map(|sample| sample.answer.as_ref()?.1.clone()).collect();
        let errors = reasons.len();
        reasons.sort_unstable();
        reasons.dedup();
        Found {
            publishes: window.len(),
            errors,
            reasons,
            longest_reply: replies.max().unwrap_or_default(),
            unanswered: window.iter().filter(|sample| sample.answer.is_none()).count(),
            p99: latencies
                .get((latencies.len() * 99).div_ceil(100).saturating_sub(1))
                .copied()
                .unwrap_or_default(),
            delivered: latencies.len(),
        }
    }

    /// When every topic had a delivery of something that was published after `since`; None if one has not yet.
    pub(crate) fn all_deliver_after(&self, since: Instant) -> Option<Instant> {
        let shared = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let first = |topic: usize| {
            let of_topic =
                shared.samples.iter().filter(|sample| sample.topic == topic && sample.sent >= since);
            of_topic.filter_map(|sample| sample.delivered).min()
        };
        let firsts: Option<Vec<_>> = (0..self.topics).map(first).collect();
        firsts?.into_iter().max()
    }

    /// An error if a connection of the probe was lost, which no scenario with it may cause.
    pub(crate) fn is_whole(&self) -> Result<()> {
        let shared = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        shared.broken.clone().map_or(Ok(()), |why| Err(Failure::Failed(why)))
    }
}

async fn joined(address: SocketAddr, topics: &[String]) -> Result<(Reader, OwnedWriteHalf)> {
    let joining = async {
        let (mut reader, mut writer) = open_split(address).await?;
        for topic in topics {
            writer.write_all(&join(topic)).await?;
            // Nothing else comes before the reply to the first join; then events of earlier topics may.
            loop {
                let text = reader.next().await?.payload;
                let value: Value = serde_json::from_slice(&text).map_err(io::Error::other)?;
                if value[3] == "phx_reply" {
                    if value[4]["status"] == "ok" {
                        break;
                    }
                    return Err(io::Error::other(format!("the join was refused: {value}")));
                }
            }
        }
        Ok::<_, io::Error>((reader, writer))
    };
    let done =
        timeout(PATIENCE, joining).await.map_err(|_| Failure::new("the probe could not join in time"))?;
    done.map_err(|error| Failure::new(format!("the probe could not join at {address}: {error}")))
}

async fn publish(mut writer: OwnedWriteHalf, book: Book, topics: Vec<String>, pace: Duration) {
    let mut tick = interval(pace);
    let mut beaten = Instant::now();
    for number in 0.. {
        tick.tick().await;
        let topic = number % topics.len();
        let sample = Sample { topic, sent: Instant::now(), answer: None, delivered: None };
        book.lock().unwrap_or_else(PoisonError::into_inner).samples.push(sample);
        let body = json!(["1", number.to_string(), topics[topic], "publish", ["probe", {"n": number}]]);
        let mut bytes = frame(TEXT, body.to_string().as_bytes());
        if beaten.elapsed() > BEAT {
            beaten = Instant::now();
            bytes.extend(heartbeat());
        }
        if !matches!(timeout(PATIENCE, writer.write_all(&bytes)).await, Ok(Ok(()))) {
            return note_end(&book, "the probe could not write to its gateway");
        }
    }
}

async fn beat(mut writer: OwnedWriteHalf, book: Book) {
    let mut tick = interval(BEAT);
    loop {
        tick.tick().await;
        if !matches!(timeout(PATIENCE, writer.write_all(&heartbeat())).await, Ok(Ok(()))) {
            return note_end(&book, "the probe could not write to its gateway");
        }
    }
}

/// Reads to the end, and says why it ended. Deliveries count where somebody `listens`.
async fn read(mut reader: Reader, book: &Book, listens: bool) -> String {
    loop {
        let frame = match reader.next().await {
            Ok(frame) if frame.kind == CLOSE => {
                return format!("closed: {:?}", String::from_utf8_lossy(&frame.payload));
            }
            Ok(frame) => frame,
            Err(error) => return error.to_string(),
        };
        let now = Instant::now();
        let Ok(value) = serde_json::from_slice::<Value>(&frame.payload) else { continue };
        let mut shared = book.lock().unwrap_or_else(PoisonError::into_inner);
        let number = match value[3].as_str() {
            Some("probe") => value[4]["n"].as_u64(),
            Some("phx_reply") => value[1].as_str().and_then(|number| number.parse().ok()),
            _ => None,
        };
        let Some(sample) = number.and_then(|number| shared.samples.get_mut(number as usize)) else {
            continue;
        };
        if value[3] == "probe" {
            if listens {
                sample.delivered.get_or_insert(now);
            }
        } else {
            let error = (value[4]["status"] != "ok").then(|| {
                let response = &value[4]["response"];
                response["reason"].as_str().map_or_else(|| response.to_string(), str::to_owned)
            });
            sample.answer.get_or_insert((now, error));
        }
    }
}

fn note_end(book: &Book, why: &str) {
    book.lock().unwrap_or_else(PoisonError::into_inner).broken.get_or_insert_with(|| why.to_owned());
}
