//! This gateway's end of one link: opens it, reads it, opens it anew when it breaks. One task per topic server. It
//! never stops reading as a signal to the sender (rule L1), and answers pings itself, because h2 answers for a
//! process whose tasks are stuck.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use campanile_process::backoff::Backoff;
use campanile_process::shutdown::Shutdown;
use campanile_proto::link::{
    GatewayBatch, LIFE_CHECK, LinkClient, MESSAGE_BYTES, OPEN_TIMEOUT, PING_INTERVAL, SILENT_AFTER,
    STREAM_WINDOW, TopicServerBatch, endpoint, source_of,
};
use campanile_proto::message::{Hello, Welcome};
use campanile_proto::wire::decode_topic_server_item;
use campanile_proto::{FromGateway, FromTopicServer, Incarnation, LINK_VERSION, ids};
use campanile_ring_config::{Offers, Ring};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_stream::Stream;
use tonic::Streaming;

use crate::client::direct::Touched;
use crate::hub::Hub;
use crate::hub::publish::Room;
use crate::metrics::Metrics;
use crate::upstream::lag::{Lag, When};
use crate::upstream::links::{Links, Upstream};

/// The time between two lines in the log about one link's lag.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Bounds of the pause between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Who this gateway is, to every topic server.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) incarnation: Incarnation,
    /// The last link's number; they grow over all links of this process.
    pub(crate) links: AtomicU64,
}

/// What every link's task shares.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) identity: Arc<Identity>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) links: Arc<Links>,
    pub(crate) metrics: Arc<Metrics>,
    /// Asks for the ring file to be read.
    pub(crate) shutdown: Shutdown,
    /// For newer rings that topic servers tell of.
    pub(crate) offers: Offers,
}

/// A link that is open.
struct Open {
    number: u64,
    owner: Incarnation,
    stream: Streaming<TopicServerBatch>,
    /// Came with the Welcome.
    first: Vec<FromTopicServer>,
}

/// One more in a gauge, until it is dropped, wherever its task is ended.
struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Keeps the link to one topic server until it is told to stop.
pub(crate) async fn keep(upstream: Arc<Upstream>, shared: Shared) {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut last_trouble = String::new();
    let stop = upstream.stop.clone();
    let work = async {
        loop {
            let number = shared.identity.links.fetch_add(1, Ordering::Relaxed) + 1;
            let trouble = match open(&upstream, &shared, number).await {
                Ok(open) => {
                    tracing::info!(member = %upstream.name, address = %upstream.address, link = number, "link up");
                    backoff.reset();
                    last_trouble.clear();
                    shared.links.set_up(&upstream, number, open.owner, Instant::now());
                    let _counted = Counted::new(&shared.metrics.links);
                    shared.hub.settle();
                    let trouble = read(&upstream, &shared, open).await;
                    // Who comes next may be another release.
                    upstream.set_version(LINK_VERSION);
                    trouble
                }
                Err(trouble) => trouble,
            };
            upstream.set_down(number);
            shared.metrics.link_failures.get_or_create(&[("member", upstream.name.clone())]).inc();
            // The ring may name another owner already.
            shared.hub.settle();
            if trouble != last_trouble {
                tracing::warn!(member = %upstream.name, address = %upstream.address, "no link: {trouble}; trying again");
                last_trouble = trouble;
            }
            tokio::time::sleep(backoff.next(fastrand::f64())).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
    // The request stream may outlive this task: it ends here, and the topic server sees it end.
    upstream.shut();
}

async fn open(upstream: &Arc<Upstream>, shared: &Shared, number: u64) -> Result<Open, String> {
    let endpoint = endpoint(&upstream.address, STREAM_WINDOW)?;
    let channel =
        endpoint.connect().await.map_err(|error| format!("cannot connect: {}", source_of(&error)))?;
    let mut client = LinkClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let ring = shared.links.ring();
    upstream.outbox.open(
        number,
        FromGateway::Hello(Hello {
            link_version: upstream.version(),
            gateway: shared.identity.name.clone(),
            incarnation: shared.identity.incarnation,
            link_number: number,
            member: upstream.name.clone(),
            address: upstream.address.clone(),
            ring_version: ring.version(),
            ring_digest: ring.digest(),
            previous_rings: shared.links.previous_rings(Instant::now()),
        }),
    );
    let batches = Batches { upstream: Arc::clone(upstream), links: Arc::clone(&shared.links), number };
    let greeting = async {
        let answer = client.connect(batches).await.inspect_err(|status| {
            if ids::is_refused_version(status.message()) {
                upstream.say_other_version();
            }
        });
        let mut stream = answer.map_err(|status| refusal(&status))?.into_inner();
        let first = stream.message().await.map_err(|status| refusal(&status))?;
        Ok::<_, String>((stream, first))
    };
    let (stream, first) = timeout(OPEN_TIMEOUT, greeting)
        .await
        .map_err(|_| "connected, and no Welcome within 5 s: is this a topic server?".to_owned())??;
    let batch = first.ok_or("the link ended before its Welcome")?;
    let mut items = batch.items.into_iter().map(decode_topic_server_item);
    let Some(Ok(FromTopicServer::Welcome(welcome))) = items.next() else {
        return Err("the first message was no Welcome".to_owned());
    };
    check(&welcome, upstream, shared)?;
    upstream.set_version(welcome.link_version);
    shared.hub.heard_of_ring(batch.ring_version);
    let first = items.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Ok(Open { number, owner: welcome.incarnation, stream, first })
}

fn check(welcome: &Welcome, upstream: &Upstream, shared: &Shared) -> Result<(), String> {
    if !ids::speaks(welcome.link_version) {
        return Err(format!(
            "topic server speaks link version {}, this gateway {LINK_VERSION} and the one before: run releases \
             that are next to each other",
            welcome.link_version
        ));
    }
    if welcome.member != upstream.name {
        return Err(format!("{:?} answers there: check the addresses in the ring", welcome.member));
    }
    let ring = shared.links.ring();
    if ring.version() == welcome.ring_version && ring.digest() != welcome.ring_digest {
        return Err(format!(
            "two different rings have version {}: digest {:016x} here, {:016x} there; save one of them under a \
             higher version on all machines",
            ring.version(),
            ring.digest(),
            welcome.ring_digest
        ));
    }
    Ok(())
}

/// Reads an open link to its end, and says why it ended.
async fn read(upstream: &Upstream, shared: &Shared, open: Open) -> String {
    let Open { number, mut stream, first, .. } = open;
    let view = upstream.view();
    let mut touched = Touched::default();
    for item in first {
        receive(upstream, shared, number, view, item, &mut touched);
    }
    touched.spread();
    let mut tick = interval(LIFE_CHECK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    let (mut pings, mut pinged) = (0, heard);
    let (mut lag, mut warned) = (Lag::new(heard), None);
    // The highest ring version that this link has named.
    let mut newest = 0;
    loop {
        tokio::select! {
            biased;
            // `message` keeps a partly read batch in the stream when it is dropped here.
            batch = stream.message() => {
                let batch = match batch {
                    Ok(Some(batch)) => batch,
                    Ok(None) => return "the topic server ended the link".to_owned(),
                    Err(status) => return format!("the link broke: {}", status.message()),
                };
                if batch.is_sign_of_life() {
                    heard = Instant::now();
                }
                if batch.ring_version > newest {
                    // Our file may have been edited, too, and not been looked at yet (R1).
                    newest = batch.ring_version;
                    shared.hub.heard_of_ring(newest);
                    if newest > shared.links.ring().version() {
                        shared.shutdown.request_reload();
                    }
                }
                let (items, mut pongs, mut pong) = (batch.items.len(), 0, None);
                for item in batch.items {
                    match decode_topic_server_item(item) {
                        // That it came is what counts, and when.
                        Ok(FromTopicServer::Pong(id)) => (pong, pongs) = (Some(id), pongs + 1),
                        Ok(item) => receive(upstream, shared, number, view, item, &mut touched),
                        Err(error) => return format!("the topic server broke the protocol: {error}"),
                    }
                }
                touched.spread();
                let now = Instant::now();
                if let Some((ping, left)) = upstream.outbox.left_probe(number) {
                    lag.left(ping, left);
                }
                lag.heard(pong, now);
                match lag.wants_probe(items > pongs, now) {
                    None => {}
                    Some(When::WithTheNextBatch) => {
                        pings += 1;
                        upstream.outbox.probe(number, pings);
                    }
                    Some(When::Now) => {
                        pings += 1;
                        lag.left(pings, now);
                        upstream.outbox.own(number, FromGateway::Ping(pings));
                    }
                }
                if upstream.set_room(lag.room()) && lag.room() == Room::None {
                    warn_of_lag(upstream, &mut warned, now);
                }
            }
            // A tick that is dropped comes again.
            _ = tick.tick() => {
                if heard.elapsed() > SILENT_AFTER {
                    return format!("silent for {SILENT_AFTER:?}");
                }
                lag.tick(Instant::now());
                upstream.set_room(lag.room());
                if pinged.elapsed() >= PING_INTERVAL {
                    pinged = Instant::now();
                    pings += 1;
                    upstream.outbox.own(number, FromGateway::Ping(pings));
                }
            }
        }
    }
}

/// In a flood a link lags every second or so.
fn warn_of_lag(upstream: &Upstream, warned: &mut Option<Instant>, now: Instant) {
    if warned.is_none_or(|warned| now.duration_since(warned) >= WARN_EVERY) {
        *warned = Some(now);
        tracing::warn!(member = %upstream.name, "deliveries lag: publishes are refused as overloaded until they do no more");
    }
}

fn receive(
    upstream: &Upstream,
    shared: &Shared,
    number: u64,
    view: crate::hub::state::LinkView,
    item: FromTopicServer,
    touched: &mut Touched,
) {
    match item {
        FromTopicServer::Ping(id) => upstream.outbox.own(number, FromGateway::Pong(id)),
        FromTopicServer::Draining => {
            tracing::info!(member = %upstream.name, link = number, "the topic server is ending");
            upstream.leave(number);
        }
        FromTopicServer::Pong(_) | FromTopicServer::Welcome(_) => {}
        FromTopicServer::Rings(rings) => hear_of(&rings.newest, upstream, shared),
        item => shared.hub.receive(view, item, touched),
    }
}

/// A topic server tells of a ring. One that is newer makes our file be read again, and is offered, for the case that
/// the file does not bring it, if the topic server is a member of the ring that we hold (R1).
fn hear_of(text: &str, upstream: &Upstream, shared: &Shared) {
    let ring = match Ring::parse("ring", text) {
        Ok(ring) => ring,
        Err(faults) => {
            let why = faults.to_string().replace('\n', "; ");
            return tracing::warn!(member = %upstream.name, "told of a ring that has faults, ignored: {why}");
        }
    };
    let own = shared.links.ring();
    if ring.version() <= own.version() {
        return;
    }
    if own.member(&upstream.name).is_some_and(|member| member.address() == upstream.address) {
        shared.offers.offer(Arc::new(ring));
    } else {
        shared.shutdown.request_reload();
    }
}

/// The request stream: the outbox, batch by batch. tonic polls it when the network takes more.
struct Batches {
    upstream: Arc<Upstream>,
    links: Arc<Links>,
    number: u64,
}

impl Stream for Batches {
    type Item = GatewayBatch;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<GatewayBatch>> {
        let version = self.links.ring().version();
        self.upstream.outbox.poll_batch(context, self.number, version)
    }
}

fn refusal(status: &tonic::Status) -> String {
    match status.code() {
        tonic::Code::FailedPrecondition | tonic::Code::Aborted => format!("refused: {}", status.message()),
        _ => format!("no answer that makes sense: {status}"),
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
