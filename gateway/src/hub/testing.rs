//! What tests of several rules share.

use bytes::Bytes;
use campanile_proto::{Incarnation, Message};

use crate::hub::codec::Codec;
use crate::hub::patterns::Reached;
use crate::hub::state::{LinkView, MemberId};

/// Gives payloads as they are.
#[derive(Debug)]
pub(crate) struct NoCodec;

impl Codec for NoCodec {
    fn index(&self) -> usize {
        0
    }

    fn encode(&self, _topic: &[u8], message: &Message, _offset: u64) -> Bytes {
        message.payload.clone()
    }
}

/// So many members of the ring, with links 10, 11, … to processes 1, 2, ….
pub(crate) fn members(count: u32) -> Vec<Reached> {
    let member = |number: u32| {
        let owner = Incarnation(u64::from(number) + 1);
        let view = LinkView { member: MemberId(number), up: Some(10 + u64::from(number)), owner };
        Reached { view, is_member: true, is_leaving: false }
    };
    (0..count).map(member).collect()
}
