//! This server's end of one link: reads batches and runs what they say, in order, in this one task. It never
//! stops reading as a signal to the sender (rule L1), and answers pings itself, because h2 answers for a process
//! whose tasks are stuck.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_process::shutdown::Shutdown;
use campanile_proto::link::{GatewayBatch, LIFE_CHECK, PING_INTERVAL, SILENT_AFTER};
use campanile_proto::transit::Transit;
use campanile_proto::wire::{BadMessage, decode_gateway_item};
use campanile_proto::{FromGateway, FromTopicServer, Incarnation, Subscription};
use tokio::time::{MissedTickBehavior, interval};
use tonic::Streaming;

use crate::gateways::outbox::{Ending, Outbox};
use crate::gateways::service::{Registration, ended};
use crate::metrics::Metrics;
use crate::topics::{Entry, Table};

/// The gateway at the other end.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) incarnation: Incarnation,
    pub(crate) number: u64,
}

/// What a link has set up, and what it needs to take it down again.
struct Reader {
    gateway: Incarnation,
    outbox: Outbox,
    table: Arc<Table>,
    subscriptions: HashMap<Subscription, Arc<Entry>>,
    /// Told when a gateway knows of a newer ring.
    shutdown: Shutdown,
    /// The highest ring version that this link has named.
    newest_ring: u64,
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
    table: Arc<Table>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    registration: Registration,
) {
    tracing::info!(gateway = %peer.name, incarnation = %peer.incarnation, link = peer.number, "link up");
    metrics.links.inc();
    let now = Instant::now();
    let mut reader = Reader {
        gateway: peer.incarnation,
        outbox,
        table,
        subscriptions: HashMap::new(),
        shutdown,
        newest_ring: 0,
        transit: Transit::default(),
        started: now,
        heard: now,
    };
    let ending = reader.run(&mut stream).await;
    reader.outbox.end(ending);
    let ending = reader.outbox.ending().unwrap_or(ending);
    reader.undo();
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
                }
            }
        }
    }

    fn run_batch(&mut self, batch: GatewayBatch) -> Result<(), BadMessage> {
        let now = Instant::now();
        self.heard = now;
        if batch.ring_version > self.newest_ring {
            // Our file may have been edited, too, and not been looked at yet (R1).
            self.newest_ring = batch.ring_version;
            if batch.ring_version > self.table.ring_version() {
                self.shutdown.request_reload();
            }
        }
        let late = self.transit.lateness(now.duration_since(self.started), batch.age_us);
        for item in batch.items {
            self.run_item(decode_gateway_item(item)?, late, now)?;
        }
        Ok(())
    }

    fn run_item(&mut self, item: FromGateway, late: Duration, now: Instant) -> Result<(), BadMessage> {
        match item {
            FromGateway::Publish(publish) => {
                self.table.publish(&self.outbox, self.gateway, publish, late, now);
            }
            FromGateway::Subscribe { subscription, topic } => {
                if let Some(held) = self.table.subscribe(&self.outbox, subscription, &topic, now) {
                    if let Some(replaced) = held.replaced {
                        self.subscriptions.remove(&replaced);
                    }
                    self.subscriptions.insert(subscription, held.entry);
                }
            }
            FromGateway::Unsubscribe { subscription } => {
                if let Some(entry) = self.subscriptions.remove(&subscription) {
                    self.table.unsubscribe(&entry, &self.outbox, subscription, now);
                }
            }
            FromGateway::Read { subscription, epoch, from } => {
                // One that has ended in the meantime is answered by nobody: its asker is gone, too.
                if let Some(entry) = self.subscriptions.get(&subscription) {
                    self.table.read(entry, &self.outbox, subscription, epoch, from, now);
                }
            }
            FromGateway::Ping(id) => self.outbox.push(FromTopicServer::Pong(id)),
            // That it came is what counts.
            FromGateway::Pong(_) => {}
            FromGateway::Hello(_) => return Err(BadMessage("a second Hello on one link")),
        }
        Ok(())
    }

    /// All that a link set up ends with it (L2).
    fn undo(&mut self) {
        let now = Instant::now();
        for (subscription, entry) in self.subscriptions.drain() {
            self.table.unsubscribe(&entry, &self.outbox, subscription, now);
        }
    }
}
