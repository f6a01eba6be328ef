//! One message to every listener of a topic: encoded once per codec, queued for each, and written into the sockets of
//! those who have nothing else to write when the batch that it came in has been queued.

use bytes::Bytes;
use campanile_proto::Message;

use crate::client::direct::Touched;
use crate::client::outbox::Item;
use crate::hub::codec::CODECS;
use crate::hub::state::Listener;

/// Queues the message for every listener. Runs under the topic's lock, so that each client's outbox gets the
/// topic's messages in order.
pub fn fan_out(topic: &[u8], listeners: &[Listener], message: &Message, offset: u64, touched: &mut Touched) {
    let mut encoded: [Option<Bytes>; CODECS] = Default::default();
    for listener in listeners {
        let body = match encoded.get_mut(listener.codec.index()) {
            Some(slot) => slot.get_or_insert_with(|| listener.codec.encode(topic, message, offset)).clone(),
            None => listener.codec.encode(topic, message, offset),
        };
        let item = Item::Event { tag: listener.tag.clone(), encoding: message.encoding, body };
        listener.client.push_event(item, touched);
    }
}
