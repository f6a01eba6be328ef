//! This server's end of one link: reads batches and runs what they say, in order, in this one task. It never
//! stops reading as a signal to the sender (rule L1), and answers pings itself, because h2 answers for a process
//! whose tasks are stuck.

use std::sync::Arc;
use std::time::Instant;

use campanile_process::shutdown::Shutdown;
use campanile_proto::link::{GatewayBatch, LIFE_CHECK, PING_INTERVAL, SILENT_AFTER};
use campanile_proto::transit::Transit;
use campanile_proto::wire::{BadMessage, decode_gateway_item};
use campanile_proto::{FromTopicServer, Incarnation};
use tokio::time::{MissedTickBehavior, interval};
use tonic::Streaming;

use crate::gateways::outbox::{Ending, Outbox};
use crate::gateways::requests::Requests;
use crate::gateways::service::{Registration, ended};
use crate::handoff::Handoff;
use crate::metrics::Metrics;
use crate::topics::Table;

/// So many requests are looked at before the first of them is run.
const AHEAD: usize = 32;

/// The gateway at the other end.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) incarnation: Incarnation,
    pub(crate) number: u64,
    /// The newest ring that it held when it opened the link.
    pub(crate) ring_version: u64,
}

/// The server's parts that a link needs.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) table: Arc<Table>,
    pub(crate) handoff: Arc<Handoff>,
    pub(crate) metrics: Arc<Metrics>,
    /// Told when a gateway knows of a newer ring.
    pub(crate) shutdown: Shutdown,
}

/// One link, and what its reader knows of the other end.
struct Reader {
    requests: Requests,
    outbox: Outbox,
    table: Arc<Table>,
    handoff: Arc<Handoff>,
    /// Told when a gateway knows of a newer ring.
    shutdown: Shutdown,
    /// The highest ring version that this link has named.
    newest_ring: u64,
    /// The highest ring version that the gateway was told of because it seemed not to know it.
    told_ring: u64,
    transit: Transit,
    started: Instant,
    heard: Instant,
}

/// Reads a link to its end, then undoes all that it set up. Whoever waits for the registration's drop may count
/// on both.
pub(crate) async fn read(
    peer: Peer,
    mut stream: Streaming<GatewayBatch>,
    outbox: Outbox,
    server: Server,
    registration: Registration,
) {
    let Server { table, handoff, metrics, shutdown } = server;
    tracing::info!(gateway = %peer.name, incarnation = %peer.incarnation, link = peer.number, "link up");
    metrics.links.inc();
    let now = Instant::now();
    let mut reader = Reader {
        requests: Requests::new(peer.incarnation, outbox.clone(), Arc::clone(&table)),
        outbox,
        table,
        handoff,
        shutdown,
        newest_ring: peer.ring_version,
        told_ring: 0,
        transit: Transit::default(),
        started: now,
        heard: now,
    };
    let ending = reader.run(&mut stream).await;
    reader.outbox.end(ending);
    let ending = reader.outbox.ending().unwrap_or(ending);
    reader.requests.undo(Instant::now());
    metrics.links.dec();
    metrics.ended(ending);
    match ending {
        Ending::Gone | Ending::Replaced | Ending::Drained => {
            tracing::info!(gateway = %peer.name, link = peer.number, reason = ending.word(), "link ended");
        }
        Ending::Overflow | Ending::Silent | Ending::BadMessage => {
            tracing::warn!(gateway = %peer.name, link = peer.number, reason = ending.word(), "link cut");
        }
    }
    drop(registration);
}

impl Reader {
    async fn run(&mut self, stream: &mut Streaming<GatewayBatch>) -> Ending {
        let mut tick = interval(LIFE_CHECK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut pings, mut pinged) = (0, self.started);
        let outbox = self.outbox.clone();
        loop {
            tokio::select! {
                biased;
                // Nothing is lost when this wins: a link that ended runs nothing more.
                ending = ended(&outbox) => return ending,
                // `message` keeps a partly read batch in the stream when it is dropped here.
                batch = stream.message() => match batch {
                    Ok(Some(batch)) => {
                        if let Err(error) = self.run_batch(batch) {
                            tracing::warn!("link cut: {error}");
                            return Ending::BadMessage;
                        }
                    }
                    // All that the gateway had to say has been read.
                    Ok(None) if self.table.is_draining() => return Ending::Drained,
                    Ok(None) | Err(_) => return Ending::Gone,
                },
                // A tick that is dropped comes again.
                _ = tick.tick() => {
                    if self.heard.elapsed() > SILENT_AFTER {
                        return Ending::Silent;
                    }
                    if pinged.elapsed() >= PING_INTERVAL {
                        pinged = Instant::now();
                        pings += 1;
                        outbox.push(FromTopicServer::Ping(pings));
                    }
                    self.offer_ring();
                }
            }
        }
    }

    fn run_batch(&mut self, batch: GatewayBatch) -> Result<(), BadMessage> {
        let now = Instant::now();
        if batch.is_sign_of_life() {
            self.heard = now;
        }
        if batch.ring_version > self.newest_ring {
            // Our file may have been edited, too, and not been looked at yet (R1).
            self.newest_ring = batch.ring_version;
            if batch.ring_version > self.table.ring_version() {
                self.shutdown.request_reload();
            }
        }
        let late = self.transit.lateness(now.duration_since(self.started), batch.age_us);
        let mut items = batch.items.into_iter();
        let mut next = Vec::with_capacity(items.len().min(AHEAD));
        loop {
            for item in items.by_ref().take(AHEAD) {
                next.push(decode_gateway_item(item)?);
            }
            if next.is_empty() {
                break;
            }
            self.requests.look_ahead(&next);
            for item in next.drain(..) {
                self.requests.run(item, late, now)?;
            }
        }
        if self.table.take_news() {
            self.handoff.settle(now);
        }
        Ok(())
    }

    /// A gateway that has had some time to read the edit and does not seem to know of it is told (R1).
    fn offer_ring(&mut self) {
        let version = self.table.ring_version();
        if self.newest_ring < version && self.told_ring < version {
            self.told_ring = version;
            self.outbox.push(FromTopicServer::Rings(self.handoff.offers()));
        }
    }
}
