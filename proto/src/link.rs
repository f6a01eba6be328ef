//! The generated gRPC ends, and the transport settings that both must agree on.

use std::error::Error;
use std::time::Duration;

use tonic::transport::Endpoint;

use crate::generated::{PeerBatch, gateway_item, peer_item, topic_server_item};

pub use crate::generated::link_client::LinkClient;
pub use crate::generated::link_server::{Link, LinkServer};
pub use crate::generated::{GatewayBatch, TopicServerBatch};

/// A writer puts at most so many bytes into one batch, or one larger item.
pub const BATCH_BYTES: usize = 256 * 1024;

/// A part of what was missed holds at most so many bytes, or one larger message.
pub const PART_BYTES: usize = 128 * 1024;

/// A message larger than this ends the link that sent it: a batch, plus the largest single item there can be.
pub const MESSAGE_BYTES: usize = 32 * 1024 * 1024;

/// Window of the one stream: small, so that what is under way is bounded (rule L1).
pub const STREAM_WINDOW: u32 = 256 * 1024;

/// Window of the connection: large, or h2 takes small unread messages for an attack (rule L1).
pub const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;

/// How long without a byte until h2 asks for a sign of life.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// How long h2 waits for that sign.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a connection may take. The kernel asks for it at once, after 1 s, and then after 3 and 7 s: a new attempt comes
/// sooner, so that a link is back within 2 s of a network that heals.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long the first answer on it may take.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// How often each end asks the other's working task for a sign of life.
pub const PING_INTERVAL: Duration = Duration::from_secs(2);

/// How long the working task at the other end may stay silent before the link is cut. With [`LIFE_CHECK`], and with what
/// TCP still brings of a peer that no longer gets our acknowledgements (0.5 s), that is within 5 s of a cut.
pub const SILENT_AFTER: Duration = Duration::from_millis(4_200);

/// How often each end looks whether it has been silent for too long.
pub const LIFE_CHECK: Duration = Duration::from_millis(200);

/// Where a link is opened, whose stream has a window of so many bytes.
///
/// # Errors
/// The address is none, in words.
pub fn endpoint(address: &str, stream_window: u32) -> Result<Endpoint, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    Ok(endpoint
        .map_err(|error| format!("bad address: {error}"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(stream_window)
        .initial_connection_window_size(CONNECTION_WINDOW))
}

/// The words behind tonic's own, which only say "transport error".
pub fn source_of(error: &dyn Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

impl GatewayBatch {
    /// Whether it is a sign of life. Pings alone are none: who sends them may hear nothing of this end, as when a network
    /// is cut one way.
    pub fn is_sign_of_life(&self) -> bool {
        !self.items.iter().all(|item| matches!(item.item, Some(gateway_item::Item::Ping(_))))
    }
}

impl PeerBatch {
    /// As [`GatewayBatch::is_sign_of_life`].
    pub fn is_sign_of_life(&self) -> bool {
        !self.items.iter().all(|item| matches!(item.item, Some(peer_item::Item::Ping(_))))
    }
}

impl TopicServerBatch {
    /// As [`GatewayBatch::is_sign_of_life`].
    pub fn is_sign_of_life(&self) -> bool {
        !self.items.iter().all(|item| matches!(item.item, Some(topic_server_item::Item::Ping(_))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handoff::{FromPeer, encode_peer_item};
    use crate::wire::{encode_gateway_item, encode_topic_server_item};
    use crate::{FromGateway, FromTopicServer};

    #[test]
    fn pings_alone_are_no_sign_of_life() {
        let gateway = |items: Vec<FromGateway>| {
            let items = items.into_iter().map(encode_gateway_item).collect();
            GatewayBatch { items, ..Default::default() }.is_sign_of_life()
        };
        assert!(!gateway(vec![FromGateway::Ping(1), FromGateway::Ping(2)]));
        assert!(gateway(vec![FromGateway::Ping(1), FromGateway::Pong(1)]));
        let topic_server = |items: Vec<FromTopicServer>| {
            let items = items.into_iter().map(encode_topic_server_item).collect();
            TopicServerBatch { items, ..Default::default() }.is_sign_of_life()
        };
        assert!(!topic_server(vec![FromTopicServer::Ping(1)]));
        assert!(topic_server(vec![FromTopicServer::Draining]));
        let peer = |items: Vec<FromPeer>| {
            let items = items.into_iter().map(encode_peer_item).collect();
            PeerBatch { items, ..Default::default() }.is_sign_of_life()
        };
        assert!(!peer(vec![FromPeer::Ping(1)]));
        assert!(peer(vec![FromPeer::Ping(1), FromPeer::Pong(7)]));
    }
}
