//! What topic servers say to each other: bytes to the complete enums, and back; and what a topic server does about it.

use campanile_proto::codec;
use campanile_proto::handoff::{FromPeer, PeerBatch, decode_peer_item, encode_peer_item, peer_item_cost};
use prost::Message as _;

use crate::Verdict;
use crate::link::{checked, written};

/// Bytes of an item beside those that a queue counts, at most: all numbers at their longest.
const UNCOUNTED: usize = 160;

/// What a topic server says to another.
pub(crate) fn run(data: &[u8]) -> Verdict {
    let Ok(batch) = codec::decode::<PeerBatch>(data) else { return Verdict::Refused };
    let Some(items) = checked(batch.items.into_iter().map(decode_peer_item)) else {
        return Verdict::Refused;
    };
    let again: Vec<_> = items.iter().cloned().map(encode_peer_item).collect();
    for (item, wire) in items.iter().zip(&again) {
        if matches!(item, FromPeer::Claim { .. } | FromPeer::Nothing { .. }) {
            assert!(wire.encoded_len() <= peer_item_cost(item) + UNCOUNTED, "{item:?}");
        }
    }
    let bytes = written(&PeerBatch { ring_version: batch.ring_version, items: again }, data.len());
    let again = codec::decode::<PeerBatch>(&bytes).expect("a batch of ours");
    assert_eq!(checked(again.items.into_iter().map(decode_peer_item)), Some(items));
    Verdict::Accepted
}
