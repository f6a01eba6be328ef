//! A topic server by hand: it says and keeps back what the test wants.

use std::net::SocketAddr;
use std::pin::Pin;

use campanile_proto::link::{GatewayBatch, Link, LinkServer, TopicServerBatch};
use campanile_proto::message::Welcome;
use campanile_proto::wire::{decode_gateway_item, encode_topic_server_item};
use campanile_proto::{Epoch, FromGateway, FromTopicServer, Incarnation, LINK_VERSION};
use campanile_ring_config::Ring;
use futures_util::{Stream, stream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::wait::DEADLINE;

/// The epoch of every topic here.
pub(crate) const EPOCH: Epoch = Epoch(77);

/// Accepts links and hands them to the test.
pub(crate) struct FakeTopicServer {
    pub(crate) address: SocketAddr,
    links: mpsc::Receiver<FakeLink>,
}

/// One link that a gateway has opened.
pub(crate) struct FakeLink {
    pub(crate) hello: campanile_proto::message::Hello,
    to: mpsc::Sender<Result<TopicServerBatch, Status>>,
    from: Streaming<GatewayBatch>,
    received: std::vec::IntoIter<FromGateway>,
}

struct Service(mpsc::Sender<FakeLink>);

impl FakeTopicServer {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, links) = mpsc::channel(16);
        let serve = Server::builder()
            .add_service(LinkServer::new(Service(sender)))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(serve);
        Self { address, links }
    }

    /// The next link, whose Hello has been read and not been answered.
    pub(crate) async fn link(&mut self) -> FakeLink {
        timeout(DEADLINE, self.links.recv()).await.expect("a gateway comes in time").unwrap()
    }
}

impl FakeLink {
    /// Accepts the link in this life and under this ring.
    pub(crate) async fn welcome(&self, ring: &Ring, incarnation: u64) {
        let welcome = self.welcome_of(ring, incarnation);
        self.send(vec![FromTopicServer::Welcome(welcome)]).await;
    }

    /// What a real server would say.
    pub(crate) fn welcome_of(&self, ring: &Ring, incarnation: u64) -> Welcome {
        Welcome {
            link_version: LINK_VERSION,
            member: self.hello.member.clone(),
            incarnation: Incarnation(incarnation),
            ring_version: ring.version(),
            ring_digest: ring.digest(),
        }
    }

    /// Sends one batch.
    pub(crate) async fn send(&self, items: Vec<FromTopicServer>) {
        let batch = TopicServerBatch {
            ring_version: 1,
            age_us: 0,
            items: items.into_iter().map(encode_topic_server_item).collect(),
        };
        self.to.send(Ok(batch)).await.unwrap();
    }

    /// The next item; Pings are answered on the way. `None` when the gateway has ended the link.
    pub(crate) async fn next(&mut self) -> Option<FromGateway> {
        timeout(DEADLINE, self.next_item()).await.expect("comes, or ends, in time")
    }

    async fn next_item(&mut self) -> Option<FromGateway> {
        loop {
            match self.received.next() {
                Some(FromGateway::Ping(id)) => self.send(vec![FromTopicServer::Pong(id)]).await,
                Some(FromGateway::Pong(_) | FromGateway::Sees(_)) => {}
                Some(item) => return Some(item),
                None => {
                    let items = self.from.message().await.ok()??.items.into_iter();
                    let items: Vec<_> = items.map(|item| decode_gateway_item(item).unwrap()).collect();
                    self.received = items.into_iter();
                }
            }
        }
    }

    /// The next item, which must be a Subscribe: it is answered with a topic of no messages yet.
    pub(crate) async fn subscribed(&mut self) -> campanile_proto::Subscription {
        match self.next().await {
            Some(FromGateway::Subscribe { subscription, .. }) => {
                self.send(vec![FromTopicServer::Subscribed { subscription, epoch: EPOCH, offset: 0 }]).await;
                subscription
            }
            other => panic!("no Subscribe but {other:?}"),
        }
    }

    /// The next item, which must be a Publish.
    pub(crate) async fn publish(&mut self) -> campanile_proto::message::Publish {
        match self.next().await {
            Some(FromGateway::Publish(publish)) => publish,
            other => panic!("no Publish but {other:?}"),
        }
    }
}

#[tonic::async_trait]
impl Link for Service {
    type ConnectStream = Pin<Box<dyn Stream<Item = Result<TopicServerBatch, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<GatewayBatch>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut from = request.into_inner();
        let first = from.message().await?.expect("a first batch");
        let mut items = first.items.into_iter().map(|item| decode_gateway_item(item).unwrap());
        let Some(FromGateway::Hello(hello)) = items.next() else {
            panic!("the first item is no Hello");
        };
        let received = items.collect::<Vec<_>>().into_iter();
        let (to, receiver) = mpsc::channel(64);
        let link = FakeLink { hello, to, from, received };
        self.0.send(link).await.map_err(|_| Status::unavailable("the test is over"))?;
        let batches = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| {
            Some((receiver.recv().await?, receiver))
        });
        Ok(Response::new(Box::pin(batches)))
    }
}
