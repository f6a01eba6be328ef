//! The gRPC service for other topic servers: checks who opens a link, ends the older one of the same process, and
//! starts the reader of the new one (rules L2, H7, H10).

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use campanile_proto::handoff::{FromPeer, PeerWelcome, encode_peer_item};
use campanile_proto::handoff::{Handoff as Grpc, PeerBatch, PeerHello, decode_peer_item};
use campanile_proto::{Incarnation, LINK_VERSION, ids};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::handoff::link::{self, Shared};
use crate::handoff::outbox::PeerOutbox;

/// How long a new connection may take to say who it is.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// The service of one topic server.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    shared: Shared,
    links: Arc<Mutex<Links>>,
}

/// The newest link of each process.
type Links = HashMap<Incarnation, Registered>;

#[derive(Debug)]
struct Registered {
    number: u64,
    outbox: PeerOutbox,
    /// Closed when the link's reader is done.
    done: watch::Receiver<()>,
}

/// Held by whoever reads a link; dropping it makes room for the next.
#[derive(Debug)]
pub(crate) struct Registration {
    links: Arc<Mutex<Links>>,
    incarnation: Incarnation,
    number: u64,
    _done: watch::Sender<()>,
}

impl Service {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared, links: Arc::default() }
    }

    fn check(&self, hello: &PeerHello) -> Result<(), Status> {
        let Shared { handoff, ownership, metrics, .. } = &self.shared;
        let refuse = |word, text: String| {
            metrics.link_refused(word);
            Err(Status::failed_precondition(text))
        };
        if hello.to.name != ownership.name() {
            return refuse(
                "other_member",
                format!("this is {:?}: check the addresses in the ring", ownership.name()),
            );
        }
        // Whoever gets here by an address has shown that it is one of ours (H7).
        ownership.learn_address(&hello.to.address);
        if hello.incarnation == handoff.incarnation() {
            return Err(Status::already_exists("this is yourself"));
        }
        if !ids::speaks(hello.link_version) {
            return refuse(
                "link_version",
                format!(
                    "{:?} speaks link version {}, this topic server {LINK_VERSION} and the one before",
                    hello.from.name, hello.link_version
                ),
            );
        }
        let ring = ownership.ring();
        if ring.version() == hello.ring_version && ring.digest() != hello.ring_digest {
            tracing::error!(peer = %hello.from.name, version = ring.version(), "two different rings have this version");
            return refuse(
                "ring_differs",
                format!(
                    "two different rings have version {}: digest {:016x} here, {:016x} there; save one of them under a higher version on all machines",
                    ring.version(),
                    ring.digest(),
                    hello.ring_digest
                ),
            );
        }
        Ok(())
    }

    /// Makes this the newest link of its process, and waits until the older one has ended (L2).
    async fn register(&self, hello: &PeerHello, outbox: &PeerOutbox) -> Result<Registration, Status> {
        let (registration, previous) = {
            let mut links = self.links.lock();
            if links.get(&hello.incarnation).is_some_and(|link| link.number >= hello.link_number) {
                return Err(Status::aborted("a newer link of this topic server is up"));
            }
            let (sender, done) = watch::channel(());
            let link = Registered { number: hello.link_number, outbox: outbox.clone(), done };
            let registration = Registration {
                links: Arc::clone(&self.links),
                incarnation: hello.incarnation,
                number: hello.link_number,
                _done: sender,
            };
            (registration, links.insert(hello.incarnation, link))
        };
        if let Some(mut previous) = previous {
            previous.outbox.close();
            // An error says that the sender is gone, which is what we wait for.
            while previous.done.changed().await.is_ok() {}
        }
        Ok(registration)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut links = self.links.lock();
        if links.get(&self.incarnation).is_some_and(|link| link.number == self.number) {
            links.remove(&self.incarnation);
        }
    }
}

#[tonic::async_trait]
impl Grpc for Service {
    type ConnectStream = Answers;

    async fn connect(
        &self,
        request: Request<Streaming<PeerBatch>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut stream = request.into_inner();
        let hello = tokio::time::timeout(HELLO_TIMEOUT, read_hello(&mut stream))
            .await
            .map_err(|_| Status::deadline_exceeded("no Hello within 5 s"))??;
        self.check(&hello)?;
        let outbox = PeerOutbox::default();
        let registration = self.register(&hello, &outbox).await?;
        // The version that both speak.
        let link_version = LINK_VERSION.min(hello.link_version);
        outbox.push(FromPeer::Welcome(PeerWelcome { link_version, ..self.shared.handoff.welcome() }));
        self.shared.handoff.accepted(&hello, outbox.clone(), Instant::now());
        tokio::spawn(link::read_taker(hello, stream, outbox.clone(), self.shared.clone(), registration));
        Ok(Response::new(Answers { outbox, shared: self.shared.clone() }))
    }
}

async fn read_hello(stream: &mut Streaming<PeerBatch>) -> Result<PeerHello, Status> {
    let batch = stream.message().await?.ok_or_else(|| Status::invalid_argument("no Hello"))?;
    let mut items = batch.items.into_iter();
    match (items.next().map(decode_peer_item), items.next()) {
        (Some(Ok(FromPeer::Hello(hello))), None) => Ok(hello),
        (Some(Err(error)), _) => Err(Status::invalid_argument(error.0)),
        _ => Err(Status::invalid_argument("the first batch must hold a Hello and nothing else")),
    }
}

/// The response stream: the outbox, batch by batch.
#[derive(Debug)]
pub(crate) struct Answers {
    outbox: PeerOutbox,
    shared: Shared,
}

impl Stream for Answers {
    type Item = Result<PeerBatch, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let version = self.shared.ownership.ring_version();
        self.outbox.poll_batch(context, version).map(|batch| batch.map(Ok))
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // The connection is gone.
        self.outbox.close();
    }
}

/// A first batch, alone.
pub(crate) fn first(item: FromPeer, ring_version: u64) -> PeerBatch {
    PeerBatch { ring_version, items: vec![encode_peer_item(item)] }
}
