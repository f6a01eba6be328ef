//! One message to every listener of a topic: encoded once per codec, queued for each, and written into the sockets of
//! those who have nothing else to write when the batch that it came in has been queued.

use std::sync::Arc;

use bytes::Bytes;
use campanile_proto::{Epoch, Message};

use crate::client::direct::Touched;
use crate::client::outbox::{Item, Placed};
use crate::hub::codec::CODECS;
use crate::hub::state::Listener;

/// Queues the message for every listener. Runs under the topic's lock, so that each client's outbox gets the
/// topic's messages in order.
pub fn fan_out<'a>(
    topic: &[u8],
    listeners: impl IntoIterator<Item = &'a Listener>,
    message: &Message,
    (epoch, offset): (Epoch, u64),
    touched: &mut Touched,
) {
    let mut encoded: [Option<Bytes>; CODECS] = Default::default();
    let mut placed: Vec<(usize, Arc<Placed>)> = Vec::new();
    for listener in listeners {
        let codec = listener.codec.index();
        let mut body = || match encoded.get_mut(codec) {
            Some(slot) => slot.get_or_insert_with(|| listener.codec.encode(topic, message, offset)).clone(),
            None => listener.codec.encode(topic, message, offset),
        };
        let encoding = message.encoding;
        let item = if listener.tag.may_drop() {
            let known = placed.iter().find(|(index, _)| *index == codec).map(|(_, event)| Arc::clone(event));
            let event = known.unwrap_or_else(|| {
                let event = Arc::new(Placed { encoding, body: body(), epoch, offset });
                placed.push((codec, Arc::clone(&event)));
                event
            });
            listener.droppable(event)
        } else {
            Item::Event { tag: listener.tag.clone(), encoding, body: body() }
        };
        listener.client.push_event(item, touched);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::{Context, Waker};

    use campanile_proto::Encoding;

    use super::*;
    use crate::client::outbox::{ChannelId, Outbox, Tag};
    use crate::phoenix::codec::codec;
    use crate::phoenix::frame::Version;

    #[test]
    fn what_may_be_dropped_has_its_place_and_is_one_value_for_all_of_a_codec() {
        let client = Outbox::new(1 << 20);
        let listener = |channel: u32, version, tag| Listener {
            id: channel.into(),
            channel: ChannelId(channel),
            client: client.clone(),
            codec: codec(version, false),
            tag,
            counts: false,
        };
        let droppable = || Tag::droppable(b"x", &[]);
        let listeners = [
            listener(1, Version::V2, droppable()),
            listener(2, Version::V1, droppable()),
            listener(3, Version::V2, Tag::new(b"x", &[])),
            listener(4, Version::V2, droppable()),
        ];
        let (event, payload) = (Bytes::from_static(b"event"), Bytes::from_static(b"{}"));
        let message = Message { encoding: Encoding::Json, event, payload };
        fan_out(b"topic", &listeners, &message, (Epoch(7), 41), &mut Touched::default());
        let mut items = VecDeque::new();
        let _ = client.poll_take(&mut Context::from_waker(Waker::noop()), &mut items, false);
        let bodies: Vec<_> = items
            .iter()
            .zip(&listeners)
            .map(|(item, listener)| match item {
                Item::Droppable { channel, event, .. } => {
                    assert_eq!((*channel, event.epoch, event.offset), (listener.channel, Epoch(7), 41));
                    assert!(listener.tag.may_drop());
                    event.body.as_ptr()
                }
                Item::Event { body, .. } => {
                    assert!(!listener.tag.may_drop());
                    body.as_ptr()
                }
                other => panic!("unexpected {other:?}"),
            })
            .collect();
        assert_eq!(bodies.len(), 4);
        assert!(bodies[0] == bodies[2] && bodies[0] == bodies[3] && bodies[0] != bodies[1], "encoded once");
    }
}
