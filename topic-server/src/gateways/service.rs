//! The gRPC service: checks who opens a link, ends the older link of the same gateway process, and starts the
//! reader of the new one (rule L2).

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use campanile_proto::link::{GatewayBatch, Link, TopicServerBatch};
use campanile_proto::message::{Hello, Welcome};
use campanile_proto::wire::decode_gateway_item;
use campanile_proto::{FromGateway, FromTopicServer, Incarnation, LINK_VERSION, ids};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::gateways::link::{self, Peer};
use crate::gateways::outbox::{Ending, Outbox};
use crate::topics::Ownership;

/// How long a new connection may take to say who it is.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Names longer than this are cut off in what we keep of a gateway.
const NAME_BYTES: usize = 128;

/// The service of one topic server.
#[derive(Clone, Debug)]
pub struct Service(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    server: link::Server,
    ownership: Arc<Ownership>,
    link_outbox: usize,
    links: Mutex<Links>,
}

#[derive(Debug, Default)]
struct Links {
    /// The newest link of each gateway process.
    newest: HashMap<Incarnation, Registered>,
    draining: bool,
}

#[derive(Debug)]
struct Registered {
    number: u64,
    outbox: Outbox,
    /// Closed when the link's reader is done and everything it set up is undone.
    done: watch::Receiver<()>,
}

/// Held by whoever serves a link; dropping it makes room for the next.
#[derive(Debug)]
pub(crate) struct Registration {
    shared: Arc<Shared>,
    incarnation: Incarnation,
    number: u64,
    _done: watch::Sender<()>,
}

impl Service {
    /// A service without links.
    pub(crate) fn new(server: link::Server, ownership: Arc<Ownership>, link_outbox: usize) -> Self {
        Self(Arc::new(Shared { server, ownership, link_outbox, links: Mutex::default() }))
    }

    /// Refuses new links, and asks the gateways of those that are there to send what they have queued and no more.
    /// Each link ends when its gateway has.
    pub fn drain(&self) {
        let mut links = self.0.links.lock();
        links.draining = true;
        for link in links.newest.values() {
            link.outbox.push(FromTopicServer::Draining);
        }
    }

    /// How many links there are.
    pub fn links(&self) -> usize {
        self.0.links.lock().newest.len()
    }

    fn check(&self, hello: &Hello) -> Result<(), Status> {
        let shared = &self.0;
        let own = shared.ownership.name();
        let refuse = |word, text: String| {
            shared.server.metrics.link_refused(word);
            tracing::warn!(gateway = %shown(&hello.gateway), reason = word, "link refused: {text}");
            Err(Status::failed_precondition(text))
        };
        if !ids::speaks(hello.link_version) {
            return refuse(
                "link_version",
                format!(
                    "gateway speaks link version {}, this topic server {LINK_VERSION} and the one before: \
                     run releases that are next to each other",
                    hello.link_version
                ),
            );
        }
        if hello.member != own {
            let text =
                format!("this is {own:?}, not {:?}: check the addresses in the ring", shown(&hello.member));
            return refuse("other_member", text);
        }
        // Whoever gets here by an address has shown that it is one of ours (H7).
        shared.ownership.learn_address(&hello.address);
        let ring = shared.ownership.ring();
        let address = ring.member(own).map(|member| member.address());
        if ring.version() == hello.ring_version && address.is_some_and(|address| address != hello.address) {
            let text = format!(
                "the ring has {own:?} at {}, not at {:?}",
                address.unwrap_or_default(),
                shown(&hello.address)
            );
            return refuse("other_member", text);
        }
        if ring.version() == hello.ring_version && ring.digest() != hello.ring_digest {
            return refuse(
                "ring_differs",
                format!(
                    "two different rings have version {}: digest {:016x} here, {:016x} at the gateway; save one \
                     of them under a higher version on all machines",
                    ring.version(),
                    ring.digest(),
                    hello.ring_digest
                ),
            );
        }
        Ok(())
    }

    /// Makes this the newest link of its gateway process, and waits until the older one has ended (L2).
    async fn register(&self, hello: &Hello, outbox: &Outbox) -> Result<Registration, Status> {
        let (registration, previous) = {
            let mut links = self.0.links.lock();
            if links.draining {
                return Err(Status::unavailable("this topic server is ending"));
            }
            if links.newest.get(&hello.incarnation).is_some_and(|link| link.number >= hello.link_number) {
                self.0.server.metrics.link_refused("older_link");
                return Err(Status::aborted("a newer link of this gateway is up"));
            }
            let (sender, done) = watch::channel(());
            let link = Registered { number: hello.link_number, outbox: outbox.clone(), done };
            let previous = links.newest.insert(hello.incarnation, link);
            let registration = Registration {
                shared: Arc::clone(&self.0),
                incarnation: hello.incarnation,
                number: hello.link_number,
                _done: sender,
            };
            (registration, previous)
        };
        if let Some(mut previous) = previous {
            previous.outbox.end(Ending::Replaced);
            // An error says that the sender is gone, which is what we wait for.
            while previous.done.changed().await.is_ok() {}
        }
        Ok(registration)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut links = self.shared.links.lock();
        if links.newest.get(&self.incarnation).is_some_and(|link| link.number == self.number) {
            links.newest.remove(&self.incarnation);
        }
    }
}

#[tonic::async_trait]
impl Link for Service {
    type ConnectStream = Batches;

    async fn connect(
        &self,
        request: Request<Streaming<GatewayBatch>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut stream = request.into_inner();
        let hello = tokio::time::timeout(HELLO_TIMEOUT, read_hello(&mut stream))
            .await
            .map_err(|_| Status::deadline_exceeded("no Hello within 5 s"))??;
        self.check(&hello)?;
        let shared = &self.0;
        let outbox = Outbox::new(shared.link_outbox);
        let registration = self.register(&hello, &outbox).await?;
        let ring = shared.ownership.ring();
        outbox.push(FromTopicServer::Welcome(Welcome {
            // The version that both speak.
            link_version: LINK_VERSION.min(hello.link_version),
            member: shared.ownership.name().to_owned(),
            incarnation: shared.server.handoff.incarnation(),
            ring_version: ring.version(),
            ring_digest: ring.digest(),
        }));
        shared.server.handoff.learn_previous(&hello.previous_rings, Instant::now());
        let peer = Peer {
            name: shown(&hello.gateway),
            incarnation: hello.incarnation,
            number: hello.link_number,
            ring_version: hello.ring_version,
        };
        tokio::spawn(link::read(peer, stream, outbox.clone(), shared.server.clone(), registration));
        Ok(Response::new(Batches { outbox, ownership: Arc::clone(&shared.ownership) }))
    }
}

async fn read_hello(stream: &mut Streaming<GatewayBatch>) -> Result<Hello, Status> {
    let batch = stream.message().await?.ok_or_else(|| Status::invalid_argument("no Hello"))?;
    let mut items = batch.items.into_iter();
    match (items.next().map(decode_gateway_item), items.next()) {
        (Some(Ok(FromGateway::Hello(hello))), None) => Ok(hello),
        (Some(Err(error)), _) => Err(Status::invalid_argument(error.0)),
        _ => Err(Status::invalid_argument("the first batch must hold a Hello and nothing else")),
    }
}

/// A name from outside, short enough to keep and log.
fn shown(name: &str) -> String {
    let mut end = name.len().min(NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

/// The response stream: the outbox, batch by batch. tonic polls it when the network takes more.
#[derive(Debug)]
pub struct Batches {
    outbox: Outbox,
    ownership: Arc<Ownership>,
}

impl Stream for Batches {
    type Item = Result<TopicServerBatch, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.outbox.poll_batch(context, self.ownership.ring_version()).map(|batch| batch.map(Ok))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        // The connection is gone, or the last batch is written.
        self.outbox.end(Ending::Gone);
    }
}

/// Resolves when the link behind this outbox ends.
pub(crate) async fn ended(outbox: &Outbox) -> Ending {
    poll_fn(|context| outbox.poll_ended(context)).await
}
