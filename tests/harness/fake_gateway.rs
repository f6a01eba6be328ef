//! The gateway's end of a link by hand: says to a topic server what a gateway would not, and counts what comes.

use std::net::SocketAddr;

use campanile_proto::link::{GatewayBatch, LinkClient, TopicServerBatch};
use campanile_proto::message::{Hello, Publish};
use campanile_proto::wire::{decode_topic_server_item, encode_gateway_item};
use campanile_proto::{
    Encoding, FromGateway, FromTopicServer, Incarnation, LINK_VERSION, Message, Subscription,
};
use campanile_ring_config::Ring;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};

use super::wait::DEADLINE;

/// A link that is open.
pub(crate) struct FakeGateway {
    to: mpsc::Sender<GatewayBatch>,
    from: Streaming<TopicServerBatch>,
    received: std::vec::IntoIter<FromTopicServer>,
    /// The link version that the topic server has answered.
    pub(crate) version: u32,
}

/// What a gateway of this incarnation would say first.
pub(crate) fn hello(ring: &Ring, member: &str, address: SocketAddr, incarnation: u64) -> Hello {
    Hello {
        link_version: LINK_VERSION,
        gateway: "by-hand".to_owned(),
        incarnation: Incarnation(incarnation),
        link_number: 1,
        member: member.to_owned(),
        address: address.to_string(),
        ring_version: ring.version(),
        ring_digest: ring.digest(),
        previous_rings: Vec::new(),
    }
}

/// A publish of one small event.
pub(crate) fn publish(topic: &str, number: u64, time_left: std::time::Duration) -> FromGateway {
    FromGateway::Publish(Publish {
        slot: 3,
        topic: topic.to_owned().into(),
        number,
        settled_below: 0,
        time_left,
        resend_epoch: None,
        key: None,
        message: Message { encoding: Encoding::Json, event: "event".into(), payload: "{}".into() },
    })
}

/// Wants a topic under slot 5 and this generation.
pub(crate) fn subscribe(topic: &str, generation: u32) -> FromGateway {
    let subscription = Subscription { slot: 5, generation };
    FromGateway::Subscribe { subscription, topic: topic.to_owned().into(), listeners: 0 }
}

impl FakeGateway {
    /// Opens a link; what comes first must be a Welcome.
    pub(crate) async fn open(address: SocketAddr, hello: Hello) -> Result<Self, Status> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let mut client = LinkClient::new(endpoint.connect().await.unwrap());
        let (to, receiver) = mpsc::channel(64);
        let batches = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<GatewayBatch>| {
            Some((receiver.recv().await?, receiver))
        });
        to.send(batch(vec![FromGateway::Hello(hello)])).await.unwrap();
        let opened = timeout(DEADLINE, client.connect(Box::pin(batches)));
        let from = opened.await.expect("answers in time")?.into_inner();
        let mut link = Self { to, from, received: Vec::new().into_iter(), version: 0 };
        match link.next().await? {
            Some(FromTopicServer::Welcome(welcome)) => {
                link.version = welcome.link_version;
                Ok(link)
            }
            other => panic!("no Welcome but {other:?}"),
        }
    }

    /// Sends one batch.
    pub(crate) async fn send(&self, items: Vec<FromGateway>) {
        self.to.send(batch(items)).await.unwrap();
    }

    /// The next item that is neither Ping nor Pong; `None` at the orderly end.
    pub(crate) async fn next(&mut self) -> Result<Option<FromTopicServer>, Status> {
        timeout(DEADLINE, self.next_item()).await.expect("comes, or ends, in time")
    }

    async fn next_item(&mut self) -> Result<Option<FromTopicServer>, Status> {
        loop {
            match self.received.next() {
                Some(FromTopicServer::Ping(_) | FromTopicServer::Pong(_)) => {}
                Some(item) => return Ok(Some(item)),
                None => {
                    let Some(batch) = self.from.message().await? else {
                        return Ok(None);
                    };
                    let items = batch.items.into_iter();
                    let items: Vec<_> = items.map(|item| decode_topic_server_item(item).unwrap()).collect();
                    self.received = items.into_iter();
                }
            }
        }
    }
}

fn batch(items: Vec<FromGateway>) -> GatewayBatch {
    GatewayBatch { ring_version: 1, age_us: 0, items: items.into_iter().map(encode_gateway_item).collect() }
}
