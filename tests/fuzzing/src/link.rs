//! What the two tiers say to each other: bytes to the complete enums, and back.

use campanile_proto::codec;
use campanile_proto::link::{GatewayBatch, TopicServerBatch};
use campanile_proto::wire::{
    BadMessage, decode_gateway_item, decode_topic_server_item, encode_gateway_item, encode_topic_server_item,
    gateway_item_cost, topic_server_item_cost,
};
use campanile_proto::{FromGateway, FromTopicServer};
use prost::Message;

use crate::Verdict;

/// Bytes of an item beside those that a queue counts, at most: the longest key, and all numbers at their longest.
const UNCOUNTED: usize = 160;

/// What a gateway says.
pub(crate) fn from_gateway(data: &[u8]) -> Verdict {
    let Ok(batch) = codec::decode::<GatewayBatch>(data) else { return Verdict::Refused };
    let Some(items) = checked(batch.items.into_iter().map(decode_gateway_item)) else {
        return Verdict::Refused;
    };
    let again: Vec<_> = items.iter().cloned().map(encode_gateway_item).collect();
    for (item, wire) in items.iter().zip(&again) {
        if matches!(
            item,
            FromGateway::Subscribe { .. }
                | FromGateway::Publish(_)
                | FromGateway::Pattern(_)
                | FromGateway::Query(..)
        ) {
            assert!(wire.encoded_len() <= gateway_item_cost(item) + UNCOUNTED, "{item:?}");
        }
    }
    let batch = GatewayBatch { ring_version: batch.ring_version, age_us: batch.age_us, items: again };
    let bytes = written(&batch, data.len());
    let again = codec::decode::<GatewayBatch>(&bytes).expect("a batch of ours");
    assert_eq!(checked(again.items.into_iter().map(decode_gateway_item)), Some(items));
    Verdict::Accepted
}

/// What a topic server says.
pub(crate) fn from_topic_server(data: &[u8]) -> Verdict {
    let Ok(batch) = codec::decode::<TopicServerBatch>(data) else { return Verdict::Refused };
    let Some(items) = checked(batch.items.into_iter().map(decode_topic_server_item)) else {
        return Verdict::Refused;
    };
    let again: Vec<_> = items.iter().cloned().map(encode_topic_server_item).collect();
    for (item, wire) in items.iter().zip(&again) {
        if matches!(
            item,
            FromTopicServer::Deliver { .. }
                | FromTopicServer::Missed { .. }
                | FromTopicServer::Match(_)
                | FromTopicServer::QueryAnswer(_)
        ) {
            assert!(wire.encoded_len() <= topic_server_item_cost(item) + UNCOUNTED, "{item:?}");
        }
    }
    let batch = TopicServerBatch { ring_version: batch.ring_version, age_us: batch.age_us, items: again };
    let bytes = written(&batch, data.len());
    let again = codec::decode::<TopicServerBatch>(&bytes).expect("a batch of ours");
    assert_eq!(checked(again.items.into_iter().map(decode_topic_server_item)), Some(items));
    Verdict::Accepted
}

/// The items as far as all of them are good; whatever is not says what is wrong.
pub(crate) fn checked<T>(items: impl Iterator<Item = Result<T, BadMessage>>) -> Option<Vec<T>> {
    let items: Result<Vec<_>, _> = items.collect();
    items.inspect_err(|bad| assert!(bad.to_string().len() > 10, "{bad:?} says nothing")).ok()
}

/// The same values take about as many bytes as they came in. A window of one number is packed in one byte more.
pub(crate) fn written(batch: &impl Message, came: usize) -> Vec<u8> {
    let bytes = batch.encode_to_vec();
    assert!(bytes.len() <= came + came / 2, "{} bytes of {came}", bytes.len());
    bytes
}
