//! Messages of topics as Redis clients get them: `message`, its channel, its payload. Channel and payload are encoded once
//! per gateway, whatever version the subscribers speak; what stands in front is the listener's tag.

use std::sync::Arc;

use bytes::Bytes;
use campanile_proto::{Encoding, Message, names};

use crate::client::direct::WriteEvent;
use crate::client::outbox::Tag;
use crate::client::wire::Wire;
use crate::hub::codec::Codec;
use crate::redis::command::Kind;
use crate::redis::reply::{Version, Writer};

/// The codec's number; those below are Phoenix's.
const INDEX: usize = 4;

/// The channel and the payload.
#[derive(Debug)]
struct Redis;

/// The one codec of this front.
pub fn codec() -> &'static dyn Codec {
    &Redis
}

/// What stands in front of the messages of a subscription, for both versions.
pub fn tag(kind: Kind, name: &[u8]) -> Arc<Tag> {
    let head = |version| {
        let mut head = Vec::new();
        let mut to = Writer::new(version, &mut head);
        let (word, ..) = kind.words();
        to.push(if kind == Kind::Pattern { 4 } else { 3 });
        to.bulk(word.as_bytes());
        if kind == Kind::Pattern {
            to.bulk(name);
        }
        head
    };
    Tag::new(&head(Version::Resp2), &head(Version::Resp3))
}

/// How a message is written for a client of this version.
pub fn write_event(version: Version) -> WriteEvent {
    match version {
        Version::Resp2 => {
            |tag: &Tag, _: Encoding, body: &Bytes, wire: &mut Wire| wire.shared(&[tag.text()], body)
        }
        Version::Resp3 => {
            |tag: &Tag, _: Encoding, body: &Bytes, wire: &mut Wire| wire.shared(&[tag.binary()], body)
        }
    }
}

impl Codec for Redis {
    fn index(&self) -> usize {
        INDEX
    }

    fn encode(&self, topic: &[u8], message: &Message, _: u64) -> Bytes {
        let (_, channel) = names::shown(topic);
        let mut body = Vec::with_capacity(32 + channel.len() + message.payload.len());
        // The same in both versions.
        let mut to = Writer::new(Version::Resp2, &mut body);
        to.bulk(channel);
        to.bulk(&message.payload);
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use campanile_proto::names::Space;

    use super::*;

    fn written(version: Version, kind: Kind, space: Space) -> String {
        let message = Message {
            encoding: Encoding::Binary,
            event: Bytes::from_static(b"message"),
            payload: Bytes::from_static(b"hi"),
        };
        let body = codec().encode(&names::topic(space, b"news").expect("short"), &message, 7);
        let mut wire = Wire::default();
        write_event(version)(&tag(kind, b"n*"), message.encoding, &body, &mut wire);
        String::from_utf8(wire.written()).expect("text")
    }

    /// As redis-server 7.0.15 sends them.
    #[test]
    fn messages_have_the_forms_of_redis() {
        let plain = Space::Plain;
        let message = "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n";
        assert_eq!(written(Version::Resp2, Kind::Channel, plain), message);
        assert_eq!(written(Version::Resp3, Kind::Channel, plain), message.replacen('*', ">", 1));
        let message = "*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$2\r\nhi\r\n";
        assert_eq!(written(Version::Resp2, Kind::Pattern, plain), message);
        assert_eq!(written(Version::Resp3, Kind::Pattern, plain), message.replacen('*', ">", 1));
        let message = "*3\r\n$8\r\nsmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n";
        assert_eq!(written(Version::Resp2, Kind::Shard, Space::Sharded), message);
        assert_eq!(written(Version::Resp3, Kind::Shard, Space::Sharded), message.replacen('*', ">", 1));
    }
}
