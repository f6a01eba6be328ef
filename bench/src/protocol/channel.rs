//! One topic on one connection, in any of the protocols.

use super::{Protocol, centrifugo, floor, nats, phoenix, redis, socketio};
use crate::frame::{Incoming, Payload};

/// One joined topic on one connection, as its frames name it.
#[derive(Debug)]
pub(crate) enum Channel {
    Phoenix(phoenix::Channel),
    Nats(nats::Channel),
    SocketIo(socketio::Channel),
    Centrifugo(centrifugo::Channel),
    Redis(redis::Channel),
    Floor(floor::Channel),
}

impl Channel {
    /// The channel that connection `number` has on `topic`.
    pub(crate) fn new(protocol: Protocol, number: usize, topic: &str) -> Self {
        match protocol {
            Protocol::Phoenix => Self::Phoenix(phoenix::Channel::new(number, topic)),
            Protocol::Nats => Self::Nats(nats::Channel::new(number, topic)),
            Protocol::SocketIo => Self::SocketIo(socketio::Channel::new(topic)),
            Protocol::Centrifugo => Self::Centrifugo(centrifugo::Channel::new(topic)),
            Protocol::Redis => Self::Redis(redis::Channel::new(topic)),
            Protocol::Floor => Self::Floor(floor::Channel::new(topic)),
        }
    }

    /// What to say first on an open connection, if anything: what leads to [`Incoming::Joined`].
    pub(crate) fn join(&self) -> Option<String> {
        match self {
            Self::Phoenix(channel) => Some(channel.join()),
            // The server speaks first.
            Self::Nats(_) | Self::SocketIo(_) => None,
            Self::Centrifugo(channel) => Some(channel.join()),
            Self::Redis(channel) => Some(channel.join()),
            Self::Floor(channel) => Some(channel.join()),
        }
    }

    /// The frame that publishes this payload text under this sequence number. It must be sent: where answers
    /// name no publish, they are counted from here.
    pub(crate) fn publish(&self, sequence: u64, payload: &str) -> String {
        match self {
            Self::Phoenix(channel) => channel.publish(sequence, payload),
            Self::Nats(channel) => channel.publish(sequence, payload),
            Self::SocketIo(channel) => channel.publish(sequence, payload),
            Self::Centrifugo(channel) => channel.publish(sequence, payload),
            Self::Redis(channel) => channel.publish(sequence, payload),
            Self::Floor(channel) => channel.publish(sequence, payload),
        }
    }

    /// A frame that is answered by [`Incoming::Heartbeat`]; it must be sent.
    pub(crate) fn heartbeat(&self, number: u64) -> String {
        match self {
            Self::Phoenix(_) => phoenix::heartbeat(number),
            Self::Nats(channel) => channel.heartbeat(),
            Self::SocketIo(_) => socketio::HEARTBEAT.into(),
            Self::Centrifugo(_) => centrifugo::HEARTBEAT.into(),
            Self::Redis(channel) => channel.heartbeat(),
            Self::Floor(_) => floor::HEARTBEAT.into(),
        }
    }

    /// Whether the client has to say now and then that it lives. Elsewhere the server asks, if anybody.
    pub(crate) fn beats(&self) -> bool {
        matches!(self, Self::Phoenix(_))
    }

    /// Whether the server speaks in binary frames.
    pub(crate) fn takes_binary(&self) -> bool {
        matches!(self, Self::Nats(_) | Self::Redis(_))
    }

    /// What a received frame says on this channel, in its order.
    pub(crate) fn read(&self, payload: &Payload, frame: &[u8], heard: impl FnMut(Incoming)) {
        match self {
            Self::Phoenix(channel) => channel.read(payload, frame, heard),
            Self::Nats(channel) => channel.read(payload, frame, heard),
            Self::SocketIo(channel) => channel.read(payload, frame, heard),
            Self::Centrifugo(channel) => channel.read(payload, frame, heard),
            Self::Redis(channel) => channel.read(payload, frame, heard),
            Self::Floor(channel) => channel.read(payload, frame, heard),
        }
    }
}
