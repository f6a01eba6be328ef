//! A small topic server for the test of `bench topics`: one link, every fault on request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::thread::JoinHandle;

use campanile_proto::link::{GatewayBatch, Link, LinkServer, TopicServerBatch};
use campanile_proto::message::{Publish, Welcome};
use campanile_proto::wire::{decode_gateway_item, encode_topic_server_item};
use campanile_proto::{
    Epoch, FromGateway, FromTopicServer, Incarnation, LINK_VERSION, Refusal, Subscription,
};
use futures_util::Stream;
use futures_util::stream::poll_fn;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

const MEMBER: &str = "ts-a";

/// What the server does wrong. Publishes are counted over all topics, from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    None,
    /// Subscriptions are refused.
    NotOwner,
    /// The topics are not new.
    OldTopics,
    /// A second subscription is never answered.
    Mute,
    /// The publish is answered and not delivered.
    Drop(u64),
    /// The publish is delivered twice.
    Double(u64),
    /// One byte of the payload is another.
    Damage(u64),
    /// The publish is delivered to another topic.
    Stray(u64),
    /// The answer names another offset.
    WrongOffset(u64),
    /// Neither answered nor delivered.
    Silent(u64),
    /// Every publish of this many is refused.
    Refuse(u64),
    /// The link ends in place of the publish.
    End(u64),
}

/// The running server; ends when dropped.
pub(crate) struct TopicServer {
    pub(crate) address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TopicServer {
    pub(crate) fn start(fault: Fault) -> Self {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let serving = tonic::transport::Server::builder()
                    .add_service(LinkServer::new(Service(fault)))
                    .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
                tokio::select! {
                    served = serving => served.unwrap(),
                    _ = ended => {}
                }
            });
        });
        Self { address: told.recv().unwrap(), end: Some(end), thread: Some(thread) }
    }
}

impl Drop for TopicServer {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Service(Fault);

#[tonic::async_trait]
impl Link for Service {
    type ConnectStream = Pin<Box<dyn Stream<Item = Result<TopicServerBatch, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<GatewayBatch>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut stream = request.into_inner();
        let first = stream.message().await?.unwrap().items.remove(0);
        let FromGateway::Hello(hello) = decode_gateway_item(first).unwrap() else { panic!("no Hello") };
        if hello.member != MEMBER {
            return Err(Status::failed_precondition(format!("this is {MEMBER:?}, not {:?}", hello.member)));
        }
        // Large enough for every test: a test server has no slow gateways.
        let (outbox, mut queue) = mpsc::channel(100_000);
        let mut state = State { fault: self.0, outbox, topics: HashMap::new(), publishes: 0 };
        state.say(FromTopicServer::Welcome(Welcome {
            link_version: LINK_VERSION,
            member: MEMBER.into(),
            incarnation: Incarnation(1),
            ring_version: 1,
            ring_digest: 1,
        }));
        tokio::spawn(async move {
            while let Ok(Some(batch)) = stream.message().await {
                for item in batch.items {
                    if !state.handle(decode_gateway_item(item).unwrap()) {
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(poll_fn(move |context| queue.poll_recv(context)))))
    }
}

struct Topic {
    subscription: Subscription,
    offset: u64,
}

struct State {
    fault: Fault,
    outbox: mpsc::Sender<Result<TopicServerBatch, Status>>,
    topics: HashMap<Vec<u8>, Topic>,
    publishes: u64,
}

impl State {
    fn say(&self, item: FromTopicServer) {
        let items = vec![encode_topic_server_item(item)];
        let _ = self.outbox.try_send(Ok(TopicServerBatch { ring_version: 1, age_us: 0, items }));
    }

    /// Whether the link goes on.
    fn handle(&mut self, item: FromGateway) -> bool {
        match item {
            FromGateway::Subscribe { subscription, topic, .. } => {
                if self.fault == Fault::NotOwner {
                    self.say(FromTopicServer::SubscribeRefused { subscription, reason: Refusal::NotOwner });
                } else if self.fault != Fault::Mute || self.topics.is_empty() {
                    let offset = u64::from(self.fault == Fault::OldTopics);
                    let epoch = Epoch(1);
                    self.say(FromTopicServer::Ping(7));
                    self.say(FromTopicServer::Subscribed { subscription, epoch, offset });
                }
                let was = self.topics.insert(topic.to_vec(), Topic { subscription, offset: 0 });
                assert!(was.is_none(), "subscribed twice");
            }
            FromGateway::Publish(publish) => return self.publish(publish),
            FromGateway::Pong(id) => assert_eq!(id, 7),
            other => panic!("unexpected {other:?}"),
        }
        true
    }

    fn publish(&mut self, publish: Publish) -> bool {
        self.publishes += 1;
        let Publish { slot, topic, number, settled_below, message, .. } = publish;
        assert!((1..=number).contains(&settled_below));
        let hit = |publish: u64| publish == self.publishes;
        match self.fault {
            Fault::Silent(publish) if hit(publish) => return true,
            Fault::End(publish) if hit(publish) => return false,
            Fault::Refuse(every) if self.publishes.is_multiple_of(every) => {
                self.say(FromTopicServer::PublishRefused { slot, number, reason: Refusal::Overloaded });
                return true;
            }
            _ => {}
        }
        let stray = self.topics.values().map(|topic| topic.subscription).find(|other| other.slot != slot);
        let own = self.topics.get_mut(&topic[..]).unwrap();
        assert_eq!(own.subscription.slot, slot);
        own.offset += 1;
        let (offset, mut subscription, mut message) = (own.offset, own.subscription, message);
        let mut answered = offset;
        let mut times = 1;
        match self.fault {
            Fault::Drop(publish) if hit(publish) => times = 0,
            Fault::Double(publish) if hit(publish) => times = 2,
            Fault::Damage(publish) if hit(publish) => {
                let mut payload = message.payload.to_vec();
                payload[60] = b'!';
                message.payload = payload.into();
            }
            Fault::Stray(publish) if hit(publish) => subscription = stray.unwrap(),
            Fault::WrongOffset(publish) if hit(publish) => answered += 1,
            _ => {}
        }
        self.say(FromTopicServer::Published {
            slot,
            number,
            epoch: Epoch(1),
            offset: answered,
            receivers: 0,
        });
        for _ in 0..times {
            self.say(FromTopicServer::Deliver { subscription, offset, message: message.clone() });
        }
        true
    }
}
