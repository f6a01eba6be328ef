//! A topic server by hand, as the one that opens a link for handoffs: it claims what it likes and says what it likes.

use std::net::SocketAddr;

use campanile_proto::handoff::{
    FromPeer, HandoffClient, PeerBatch, PeerHello, decode_peer_item, encode_peer_item,
};
use campanile_proto::message::Place;
use campanile_proto::{Incarnation, LINK_VERSION};
use campanile_ring_config::Ring;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};

use super::wait::DEADLINE;

/// A link that is open.
pub(crate) struct FakePeer {
    to: mpsc::Sender<PeerBatch>,
    from: Streaming<PeerBatch>,
    received: std::vec::IntoIter<FromPeer>,
    version: u64,
    pings: u64,
}

/// What a topic server of this name, at this address by the ring, would say first to the one of that name.
pub(crate) fn hello(ring: &Ring, from: (&str, &str), to: (&str, SocketAddr)) -> PeerHello {
    PeerHello {
        link_version: LINK_VERSION,
        from: Place { name: from.0.to_owned(), address: from.1.to_owned() },
        incarnation: Incarnation(4711),
        link_number: 1,
        to: Place { name: to.0.to_owned(), address: to.1.to_string() },
        ring_version: ring.version(),
        ring_digest: ring.digest(),
    }
}

impl FakePeer {
    /// Opens a link; what comes first must be a Welcome.
    pub(crate) async fn open(address: SocketAddr, hello: PeerHello) -> Result<Self, Status> {
        let version = hello.ring_version;
        let (to, mut from) = Self::dial(address, vec![FromPeer::Hello(hello)]).await?;
        let first =
            timeout(DEADLINE, from.message()).await.expect("answers in time")?.expect("a first batch");
        let items: Vec<_> = first.items.into_iter().map(|item| decode_peer_item(item).unwrap()).collect();
        assert!(matches!(items[0], FromPeer::Welcome(_)), "{items:?}");
        let mut received = items.into_iter();
        received.next();
        Ok(Self { to, from, received, version, pings: 0 })
    }

    /// Opens a stream with any first batch.
    pub(crate) async fn dial(
        address: SocketAddr,
        first: Vec<FromPeer>,
    ) -> Result<(mpsc::Sender<PeerBatch>, Streaming<PeerBatch>), Status> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut client = HandoffClient::new(endpoint.connect().await.unwrap());
        let (to, receiver) = mpsc::channel(64);
        let batches = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<PeerBatch>| {
            Some((receiver.recv().await?, receiver))
        });
        to.send(batch(1, first)).await.unwrap();
        let opened = timeout(DEADLINE, client.connect(Box::pin(batches)));
        Ok((to, opened.await.expect("answers in time")?.into_inner()))
    }

    /// Sends one batch.
    pub(crate) async fn send(&self, items: Vec<FromPeer>) {
        self.to.send(batch(self.version, items)).await.unwrap();
    }

    /// Sends what no peer may send.
    pub(crate) async fn send_raw(&self, batch: PeerBatch) {
        self.to.send(batch).await.unwrap();
    }

    /// All that comes until everything that was sent has been answered or passed over.
    pub(crate) async fn answers(&mut self) -> Vec<FromPeer> {
        self.pings += 1;
        let ping = 1_000_000 + self.pings;
        self.send(vec![FromPeer::Ping(ping)]).await;
        let mut answers = Vec::new();
        loop {
            match self.next().await.expect("the link is up") {
                FromPeer::Pong(id) if id == ping => return answers,
                item => answers.push(item),
            }
        }
    }

    /// The next item that is neither Ping nor about rings and sight; `None` at the end, however it ends.
    pub(crate) async fn next(&mut self) -> Option<FromPeer> {
        timeout(DEADLINE, self.next_item()).await.expect("comes, or ends, in time")
    }

    async fn next_item(&mut self) -> Option<FromPeer> {
        loop {
            match self.received.next() {
                Some(FromPeer::Ping(id)) => self.send(vec![FromPeer::Pong(id)]).await,
                Some(FromPeer::Rings(_) | FromPeer::Sees(_)) => {}
                Some(item) => return Some(item),
                None => {
                    let items = self.from.message().await.ok()??.items.into_iter();
                    let items: Vec<_> = items.map(|item| decode_peer_item(item).unwrap()).collect();
                    self.received = items.into_iter();
                }
            }
        }
    }
}

fn batch(ring_version: u64, items: Vec<FromPeer>) -> PeerBatch {
    PeerBatch { ring_version, items: items.into_iter().map(encode_peer_item).collect() }
}
