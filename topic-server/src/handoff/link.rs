//! Links between topic servers: opens one to every topic server with which there may be something to settle, opens it
//! anew when it breaks, and reads both those and the ones that others opened.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use campanile_process::backoff::Backoff;
use campanile_process::shutdown::Shutdown;
use campanile_proto::handoff::{FromPeer, HandoffClient, PeerBatch, PeerHello, decode_peer_item};
use campanile_proto::link::{
    LIFE_CHECK, MESSAGE_BYTES, OPEN_TIMEOUT, PING_INTERVAL, SILENT_AFTER, endpoint, source_of,
};
use campanile_proto::message::Place;
use campanile_proto::{Incarnation, LINK_VERSION, ids};
use campanile_ring_config::{Offers, Ring};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Streaming};

use crate::handoff::outbox::PeerOutbox;
use crate::handoff::rules::Handoff;
use crate::handoff::service::{Registration, first};
use crate::metrics::Metrics;
use crate::topics::Ownership;

/// Bounds of the pause between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How often the rules are asked what time has brought, while something is under way.
const TICK: Duration = Duration::from_millis(10);

/// How often otherwise; and how often it is looked whether another server is to be linked to.
const LOOK: Duration = Duration::from_millis(50);

/// Window of a link: large enough for pieces of state, which come in batches of 256 KiB or one piece.
const WINDOW: u32 = 4 << 20;

/// What all links to other topic servers share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) handoff: Arc<Handoff>,
    pub(crate) ownership: Arc<Ownership>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) offers: Offers,
    pub(crate) shutdown: Shutdown,
    /// The last link's number; they grow over all links of this process.
    pub(crate) links: Arc<AtomicU64>,
}

impl Shared {
    /// Somebody knows of a ring of this version: our file may have been edited, too, and not been looked at yet (R1).
    fn hear_of(&self, version: u64, newest: &mut u64) {
        if version > *newest {
            *newest = version;
            if version > self.ownership.ring_version() {
                self.shutdown.request_reload();
            }
        }
    }

    /// A newer ring counts if a member of our own ring offers it (R1).
    fn weigh(&self, ring: Option<Arc<Ring>>, from: &Place) {
        let Some(ring) = ring else { return };
        let own = self.ownership.ring();
        if own.member(&from.name).is_some_and(|member| member.address() == from.address) {
            self.offers.offer(ring);
        } else {
            self.shutdown.request_reload();
        }
    }
}

/// Keeps links to all who are wanted, and lets the rules see time pass, until the process ends.
pub(crate) async fn keep(shared: Shared, end: CancellationToken) {
    let mut links: BTreeMap<Place, CancellationToken> = BTreeMap::new();
    let mut looked: Option<Instant> = None;
    let mut said = Said::default();
    loop {
        let pause = if shared.handoff.is_busy() { TICK } else { LOOK };
        tokio::select! {
            () = end.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
            // Nothing is lost if this is dropped: it is not waited for while there is something to do.
            () = shared.handoff.became_busy(), if pause == LOOK => {}
        }
        let is_time_to_look = looked.is_none_or(|looked| looked.elapsed() >= LOOK);
        if is_time_to_look || shared.handoff.is_busy() {
            shared.handoff.tick(Instant::now());
            said.look(&shared.metrics);
        }
        if !is_time_to_look {
            continue;
        }
        looked = Some(Instant::now());
        let wanted = shared.handoff.wanted();
        links.retain(|place, stop| {
            let goes_on = wanted.contains(place);
            if !goes_on {
                stop.cancel();
            }
            goes_on
        });
        for place in wanted {
            links.entry(place.clone()).or_insert_with(|| {
                let stop = end.child_token();
                tokio::spawn(keep_one(place, shared.clone(), stop.clone()));
                stop
            });
        }
    }
}

/// What the log has been told of handoffs.
#[derive(Debug, Default)]
struct Said {
    moved: u64,
    taken: u64,
    open: i64,
}

impl Said {
    /// One line when something was handed over or taken over and nothing is under way any more.
    fn look(&mut self, metrics: &Metrics) {
        let open = metrics.handoffs_open.get();
        let (moved, taken) = (metrics.topics_moved.get(), metrics.topics_taken.get());
        if open > 0 && self.open == 0 {
            tracing::info!(topics = open, "topics wait for their new owners");
        }
        if open == 0 && moved > self.moved {
            tracing::info!(topics = moved - self.moved, "topics handed over");
            self.moved = moved;
        }
        if taken > self.taken {
            tracing::info!(topics = taken - self.taken, "topics taken over");
            self.taken = taken;
        }
        self.open = open;
    }
}

/// Keeps the link to one topic server until it is told to stop.
async fn keep_one(place: Place, shared: Shared, stop: CancellationToken) {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut last_trouble = String::new();
    let mut version = LINK_VERSION;
    while !stop.is_cancelled() {
        let number = shared.links.fetch_add(1, Ordering::Relaxed) + 1;
        let outbox = PeerOutbox::default();
        let opened = tokio::select! {
            () = stop.cancelled() => return,
            opened = open(&place, number, &mut version, &outbox, &shared) => opened,
        };
        let trouble = match opened {
            Ok(Some((stream, incarnation, first))) => {
                tracing::debug!(peer = %place.name, address = %place.address, link = number, "peer link up");
                backoff.reset();
                last_trouble.clear();
                shared.metrics.peer_links.inc();
                shared.handoff.dialed(&place, number, outbox.clone(), incarnation, Instant::now());
                let trouble = tokio::select! {
                    () = stop.cancelled() => "no longer needed".to_owned(),
                    trouble = read_giver(&place, number, stream, first, &outbox, &shared) => trouble,
                };
                // However it ended, the rules hear of it.
                shared.metrics.peer_links.dec();
                outbox.close();
                shared.handoff.undialed(&place, number, Instant::now());
                // Who comes next may be another release.
                version = LINK_VERSION;
                trouble
            }
            // It was ourselves.
            Ok(None) => return,
            Err(trouble) => trouble,
        };
        outbox.close();
        if trouble != last_trouble && !stop.is_cancelled() {
            tracing::info!(peer = %place.name, address = %place.address, "no link to another topic server: {trouble}; trying again");
            last_trouble = trouble;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next(fastrand::f64())) => {}
        }
    }
}

/// What a link begins with: its stream, who is at its other end, and what came with the Welcome.
type Opened = (Streaming<PeerBatch>, Incarnation, Vec<FromPeer>);

/// Opens a link; `None` if this process answers itself.
async fn open(
    place: &Place,
    number: u64,
    version: &mut u32,
    outbox: &PeerOutbox,
    shared: &Shared,
) -> Result<Option<Opened>, String> {
    let endpoint = endpoint(&place.address, WINDOW)?;
    let channel = endpoint.connect().await.map_err(|error| {
        if is_refused(&error) {
            shared.handoff.refused(place, Instant::now());
        }
        format!("cannot connect: {}", source_of(&error))
    })?;
    let mut client = HandoffClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let hello = PeerHello { link_version: *version, ..shared.handoff.hello(place, number) };
    let ring_version = hello.ring_version;
    let batches = Asks {
        first: Some(first(FromPeer::Hello(hello), ring_version)),
        outbox: outbox.clone(),
        ownership: Arc::clone(&shared.ownership),
    };
    let greeting = async {
        let mut stream = client.connect(batches).await?.into_inner();
        let first = stream.message().await?;
        Ok::<_, tonic::Status>((stream, first))
    };
    let greeted = timeout(OPEN_TIMEOUT, greeting).await.map_err(|_| "no Welcome within 5 s".to_owned())?;
    let (stream, first) = match greeted {
        Ok(greeted) => greeted,
        Err(status) if status.code() == Code::AlreadyExists => return Ok(None),
        Err(status) => {
            if ids::is_refused_version(status.message()) {
                *version = if *version == LINK_VERSION { LINK_VERSION - 1 } else { LINK_VERSION };
            }
            return Err(format!("refused: {}", status.message()));
        }
    };
    let mut items = first.map(|batch| batch.items).unwrap_or_default().into_iter().map(decode_peer_item);
    let Some(Ok(FromPeer::Welcome(welcome))) = items.next() else {
        return Err("the first message was no Welcome".to_owned());
    };
    if !ids::speaks(welcome.link_version) || welcome.name != place.name {
        return Err(format!("{:?} with link version {} answers there", welcome.name, welcome.link_version));
    }
    let incarnation = welcome.incarnation;
    let first = items.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Ok(Some((stream, incarnation, first)))
}

/// Reads a link that this server opened to its end, and says why it ended.
async fn read_giver(
    place: &Place,
    number: u64,
    mut stream: Streaming<PeerBatch>,
    first: Vec<FromPeer>,
    outbox: &PeerOutbox,
    shared: &Shared,
) -> String {
    let mut life = Life::new();
    let mut newest = 0;
    let hear = |item, now| match item {
        FromPeer::Ping(id) => outbox.push(FromPeer::Pong(id)),
        item => shared.weigh(shared.handoff.from_giver(place, number, item, now), place),
    };
    first.into_iter().for_each(|item| hear(item, life.heard));
    shared.handoff.settle(life.heard);
    loop {
        tokio::select! {
            biased;
            () = poll_fn(|context| outbox.poll_ended(context)) => return "the link ended".to_owned(),
            // `message` keeps a partly read batch in the stream when it is dropped here.
            batch = stream.message() => {
                let batch = match batch {
                    Ok(Some(batch)) => batch,
                    Ok(None) => return "the other topic server ended the link".to_owned(),
                    Err(status) => return format!("the link broke: {}", status.message()),
                };
                let now = life.hear(&batch);
                shared.hear_of(batch.ring_version, &mut newest);
                for item in batch.items {
                    match decode_peer_item(item) {
                        Ok(item) => hear(item, now),
                        Err(error) => return format!("the other topic server broke the protocol: {error}"),
                    }
                }
                shared.handoff.settle(Instant::now());
            }
            // A tick that is dropped comes again.
            _ = life.tick.tick() => if !life.check(outbox) {
                return format!("silent for {SILENT_AFTER:?}");
            }
        }
    }
}

/// Reads a link that another topic server opened to its end.
pub(crate) async fn read_taker(
    hello: PeerHello,
    mut stream: Streaming<PeerBatch>,
    outbox: PeerOutbox,
    shared: Shared,
    registration: Registration,
) {
    let (incarnation, number) = (hello.incarnation, hello.link_number);
    let mut life = Life::new();
    let mut newest = 0;
    shared.hear_of(hello.ring_version, &mut newest);
    loop {
        tokio::select! {
            biased;
            () = poll_fn(|context| outbox.poll_ended(context)) => break,
            // `message` keeps a partly read batch in the stream when it is dropped here.
            batch = stream.message() => {
                let Ok(Some(batch)) = batch else { break };
                let now = life.hear(&batch);
                shared.hear_of(batch.ring_version, &mut newest);
                let mut is_broken = false;
                for item in batch.items {
                    match decode_peer_item(item) {
                        Ok(FromPeer::Ping(id)) => outbox.push(FromPeer::Pong(id)),
                        Ok(item) => {
                            let ring = shared.handoff.from_taker(incarnation, number, item, now);
                            shared.weigh(ring, &hello.from);
                        }
                        Err(error) => {
                            tracing::warn!(peer = %hello.from.name, "peer link cut: {error}");
                            is_broken = true;
                        }
                    }
                }
                shared.handoff.settle(Instant::now());
                if is_broken {
                    break;
                }
            }
            // A tick that is dropped comes again.
            _ = life.tick.tick() => if !life.check(&outbox) {
                break;
            }
        }
    }
    outbox.close();
    shared.handoff.ended(incarnation, number, Instant::now());
    drop(registration);
}

/// Signs of life on one link (rule L1).
struct Life {
    tick: tokio::time::Interval,
    heard: Instant,
    pinged: Instant,
    pings: u64,
}

impl Life {
    fn new() -> Self {
        let mut tick = interval(LIFE_CHECK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        Self { tick, heard: now, pinged: now, pings: 0 }
    }

    /// A batch has come: now, which is returned.
    fn hear(&mut self, batch: &PeerBatch) -> Instant {
        let now = Instant::now();
        if batch.is_sign_of_life() {
            self.heard = now;
        }
        now
    }

    /// Asks for a sign of life now and then. Whether there was one lately.
    fn check(&mut self, outbox: &PeerOutbox) -> bool {
        if self.pinged.elapsed() >= PING_INTERVAL {
            self.pinged = Instant::now();
            self.pings += 1;
            outbox.push(FromPeer::Ping(self.pings));
        }
        self.heard.elapsed() <= SILENT_AFTER
    }
}

/// The request stream: the Hello, and then the outbox, batch by batch.
struct Asks {
    first: Option<PeerBatch>,
    outbox: PeerOutbox,
    ownership: Arc<Ownership>,
}

impl Stream for Asks {
    type Item = PeerBatch;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<PeerBatch>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => self.outbox.poll_batch(context, self.ownership.ring_version()),
        }
    }
}

impl Drop for Asks {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(one) = error {
        if let Some(io) = one.downcast_ref::<io::Error>() {
            return io.kind() == io::ErrorKind::ConnectionRefused;
        }
        error = one.source();
    }
    false
}
