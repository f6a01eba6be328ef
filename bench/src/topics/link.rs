//! The link as a gateway opens it: one gRPC stream, a Hello, a Welcome.

use std::time::{Duration, Instant};

use campanile_proto::link::{
    CONNECTION_WINDOW, GatewayBatch, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, LinkClient, MESSAGE_BYTES,
    STREAM_WINDOW, TopicServerBatch,
};
use campanile_proto::message::Hello;
use campanile_proto::wire::{decode_topic_server_item, encode_gateway_item};
use campanile_proto::{FromGateway, FromTopicServer, Incarnation, LINK_VERSION};
use futures_util::stream::poll_fn;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

use crate::run::Failure;
use crate::target::Target;

/// Batches that wait for the network; behind them, the generator waits.
const BATCHES: usize = 4;

/// What the generator calls itself.
const NAME: &str = "campanile-bench";

/// An open link.
pub(super) struct Link {
    pub(super) batches: mpsc::Sender<GatewayBatch>,
    pub(super) stream: Streaming<TopicServerBatch>,
    /// Came with the Welcome.
    pub(super) first: Vec<FromTopicServer>,
    hello: Instant,
}

impl Link {
    /// A batch with these items.
    pub(super) fn batch(&self, items: Vec<FromGateway>) -> GatewayBatch {
        batch(self.hello, items)
    }

    /// Opens a link to the topic server of this name.
    pub(super) async fn open(target: &Target, name: &str, deadline: Duration) -> Result<Self, Failure> {
        timeout(deadline, open(target, name))
            .await
            .unwrap_or_else(|_| Err(format!("no Welcome within {deadline:?}: is this a topic server?")))
            .map_err(|what| Failure::Running(format!("{}: {what}", target.label)))
    }
}

fn batch(hello: Instant, items: Vec<FromGateway>) -> GatewayBatch {
    GatewayBatch {
        // The generator has no ring: it takes whatever is there.
        ring_version: 0,
        age_us: u64::try_from(hello.elapsed().as_micros()).unwrap_or(u64::MAX),
        items: items.into_iter().map(encode_gateway_item).collect(),
    }
}

async fn open(target: &Target, name: &str) -> Result<Link, String> {
    let endpoint = Endpoint::from_shared(format!("http://{}", target.address))
        .map_err(|error| error.to_string())?
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let channel = endpoint.connect().await.map_err(|error| {
        format!(
            "{}: start `campanile topic-server` with a ring of its own, or name its address with --url",
            deepest(&error)
        )
    })?;
    let mut client = LinkClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES)
        .max_encoding_message_size(MESSAGE_BYTES);
    let hello = Instant::now();
    let (batches, mut waiting) = mpsc::channel(BATCHES);
    let first = FromGateway::Hello(Hello {
        link_version: LINK_VERSION,
        gateway: NAME.into(),
        incarnation: Incarnation(fastrand::u64(1..)),
        link_number: 1,
        member: name.into(),
        address: target.label.clone(),
        ring_version: 0,
        ring_digest: 0,
        previous_rings: Vec::new(),
    });
    // There is room: nothing was sent before.
    let _ = batches.try_send(batch(hello, vec![first]));
    let outgoing = poll_fn(move |context| waiting.poll_recv(context));
    let mut stream = client.connect(outgoing).await.map_err(|status| refusal(&status))?.into_inner();
    let answer = stream.message().await.map_err(|status| refusal(&status))?;
    let answer = answer.ok_or("the link ended before its Welcome")?;
    let mut items = answer.items.into_iter().map(decode_topic_server_item);
    let Some(Ok(FromTopicServer::Welcome(_))) = items.next() else {
        return Err("the first message was no Welcome".into());
    };
    let first = items.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Ok(Link { batches, stream, first, hello })
}

fn refusal(status: &Status) -> String {
    match status.code() {
        Code::FailedPrecondition | Code::Aborted => {
            format!("the link was refused: {}; --name says whom to meet", status.message())
        }
        _ => format!("no answer that makes sense ({}): is this a topic server?", status.message()),
    }
}

/// The words behind tonic's own, which only say "transport error".
fn deepest(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
