//! The protocols by name, where their servers serve, and what differs beside the frames.

use std::time::Duration;

/// The protocol of the servers that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Protocol {
    /// Phoenix Channels V2: Campanile, and stock Phoenix with a channel that answers `publish`.
    #[default]
    Phoenix,
    /// NATS over WebSocket.
    Nats,
    /// Socket.IO 4 with the small application of `bench/peers/socketio-redis`.
    SocketIo,
    /// Centrifugo's JSON protocol over WebSocket.
    Centrifugo,
    /// Redis pub/sub over TCP: a gateway's Redis front, and redis-server.
    Redis,
    /// `campanile bench floor-server`: one `send` per delivery and nothing else.
    Floor,
}

impl Protocol {
    /// All of them with their names.
    pub(crate) const ALL: [(&'static str, Self); 6] = [
        ("phoenix", Self::Phoenix),
        ("nats", Self::Nats),
        ("socketio", Self::SocketIo),
        ("centrifugo", Self::Centrifugo),
        ("redis", Self::Redis),
        ("floor", Self::Floor),
    ];

    /// The protocol of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, protocol)| protocol)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, protocol)| *protocol == self).map_or("", |(name, _)| name)
    }

    /// Where its servers serve clients.
    pub(crate) fn default_path(self) -> &'static str {
        match self {
            Self::Phoenix => "/socket/websocket",
            Self::SocketIo => "/socket.io/",
            Self::Centrifugo => "/connection/websocket",
            Self::Nats | Self::Redis | Self::Floor => "/",
        }
    }

    /// What its servers must find in a URL's query: each pair is added unless its name is there.
    pub(crate) fn query(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Phoenix => &[("vsn", "2.0.0")],
            Self::SocketIo => &[("EIO", "4"), ("transport", "websocket")],
            Self::Nats | Self::Centrifugo | Self::Redis | Self::Floor => &[],
        }
    }

    /// Whether it is spoken on TCP as it is, without WebSocket.
    pub(crate) fn is_plain(self) -> bool {
        self == Self::Redis
    }

    /// How long after the last join every node is sure to know of every subscriber. A NATS server confirms a
    /// subscription before the other nodes of its cluster have heard of it, and a publish meanwhile is lost; the
    /// others confirm when it counts.
    pub(crate) fn settles(self) -> Duration {
        match self {
            Self::Nats => Duration::from_millis(500),
            Self::Phoenix | Self::SocketIo | Self::Centrifugo | Self::Redis | Self::Floor => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_there_and_back() {
        for (name, protocol) in Protocol::ALL {
            assert_eq!((Protocol::parse(name), protocol.name()), (Some(protocol), name));
        }
        assert_eq!(Protocol::parse("amqp"), None);
    }
}
