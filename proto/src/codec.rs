//! The codec of both services: prost's, behind a look at how large a message becomes. Two bytes can be an item of a
//! batch, which takes a hundred bytes and more of memory once it is decoded: without a look, a message within the limit
//! of its bytes could be decoded into gigabytes.

use std::marker::PhantomData;
use std::mem::size_of;

use bytes::{Buf, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::generated as g;
use crate::wire::BadMessage;

/// What is repeated in a message may take so many bytes of memory. The largest that a process of ours sends takes a
/// tenth of it: a piece of a handoff, 1 MiB of things that count as 48 bytes each at least.
pub const DECODED_BYTES: usize = 16 << 20;

/// A shorter message cannot take more: an item is no larger than 256 bytes, and takes two.
const SHORT: usize = 64 << 10;

/// A message that is checked before it is decoded.
pub trait Bounded: Message + Default + 'static {
    /// The fields of it that hold something repeated, at any depth.
    #[doc(hidden)]
    const PARTS: Parts;
}

/// Fields by number.
#[doc(hidden)]
pub type Parts = &'static [(u32, Part)];

/// What a field holds.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// One message, whose size counts with the one around it.
    One(Parts),
    /// Messages or strings of this size.
    Many(usize, Parts),
    /// Numbers of eight bytes, packed or not.
    Numbers,
}

/// The codec that the generated code uses.
#[derive(Debug)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

/// Looks first, and then lets prost decode.
#[derive(Debug)]
pub struct BoundedDecoder<U>(ProstDecoder<U>);

impl Bounded for g::GatewayBatch {
    const PARTS: Parts = &[(
        3,
        Part::Many(
            size_of::<g::GatewayItem>(),
            &[
                (1, Part::One(&[(9, Part::Many(size_of::<String>(), &[]))])),
                (8, SEES),
                (12, Part::One(&[(6, Part::Many(size_of::<Bytes>(), &[]))])),
            ],
        ),
    )];
}

impl Bounded for g::TopicServerBatch {
    const PARTS: Parts = &[(
        3,
        Part::Many(
            size_of::<g::TopicServerItem>(),
            &[
                (10, Part::One(&[(6, Part::Many(size_of::<g::MissedMessage>(), &[]))])),
                (12, RINGS),
                // A match lies in a box of its own.
                (15, Part::Many(size_of::<g::Match>(), &[(3, Part::Numbers)])),
                (18, Part::One(&[(2, Part::Many(size_of::<Bytes>(), &[])), (3, Part::Numbers)])),
            ],
        ),
    )];
}

impl Bounded for g::PeerBatch {
    const PARTS: Parts = &[(
        2,
        Part::Many(
            size_of::<g::PeerItem>(),
            &[(3, RINGS), (4, SEES), (9, Part::One(STATE)), (14, Part::One(&[(1, Part::Numbers)]))],
        ),
    )];
}

const SEES: Part = Part::One(&[(1, Part::Many(size_of::<g::Place>(), &[]))]);

const RINGS: Part =
    Part::One(&[(2, Part::Many(size_of::<String>(), &[])), (3, Part::Many(size_of::<g::Clean>(), &[]))]);

const STATE: Parts = &[
    (3, Part::One(&[(5, Part::Many(size_of::<g::StateMatching>(), &[]))])),
    (4, Part::Many(size_of::<g::StateMessage>(), &[])),
    (5, Part::Many(size_of::<g::StateKey>(), &[])),
    (6, Part::Many(size_of::<g::StateWindow>(), &[(3, Part::Numbers), (4, Part::Numbers)])),
];

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + Send + 'static, U: Bounded + Send> Codec for BoundedCodec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(ProstCodec::<T, U>::default().decoder())
    }
}

impl<U: Bounded> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        check::<U>(buffer.chunk()).map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        self.0.decode(buffer)
    }
}

/// Decodes a batch as the links do.
///
/// # Errors
/// It is none, or would take more memory than [`DECODED_BYTES`].
pub fn decode<T: Bounded>(bytes: &[u8]) -> Result<T, BadMessage> {
    check::<T>(bytes)?;
    T::decode(bytes).map_err(|_| BadMessage("bytes that are no message"))
}

fn check<T: Bounded>(bytes: &[u8]) -> Result<(), BadMessage> {
    let mut left = DECODED_BYTES;
    if bytes.len() <= SHORT || fits(bytes, T::PARTS, &mut left).is_some() {
        Ok(())
    } else {
        Err(BadMessage("a message that would take too much memory"))
    }
}

/// Nothing if what is repeated here takes more than is left. What is no message ends where prost ends, too.
fn fits(mut bytes: &[u8], parts: Parts, left: &mut usize) -> Option<()> {
    while let Some(tag) = varint(&mut bytes) {
        let part = parts.iter().find(|(field, _)| u64::from(*field) == tag >> 3).map(|(_, part)| *part);
        let length = match tag & 7 {
            0 => {
                if let Some(Part::Numbers) = part {
                    *left = left.checked_sub(size_of::<u64>())?;
                }
                varint(&mut bytes);
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes).and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX),
            5 => 4,
            // The begin and the end of a group: what is in it counts as if it stood outside.
            _ => continue,
        };
        let (field, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        match part {
            Some(Part::One(parts)) => fits(field, parts, left)?,
            Some(Part::Many(size, parts)) => {
                *left = left.checked_sub(size)?;
                fits(field, parts, left)?;
            }
            Some(Part::Numbers) => *left = left.checked_sub(field.len() * size_of::<u64>())?,
            None => {}
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0, 0);
    while let Some((first, rest)) = bytes.split_first()
        && shift < u64::BITS
    {
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
    }
    *bytes = &[];
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::handoff::PIECE_BYTES;
    use crate::link::{BATCH_BYTES, MESSAGE_BYTES};
    use crate::wire::ITEM_OVERHEAD;

    /// A field of bytes.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = match number {
            ..16 => vec![number << 3 | 2],
            _ => vec![number << 3 | 0x82, number >> 4],
        };
        let mut length = content.len();
        while length >= 0x80 {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(content);
        bytes
    }

    fn refused<T: Bounded>(bytes: &[u8]) -> bool {
        assert!(bytes.len() <= MESSAGE_BYTES);
        decode::<T>(bytes).err() == Some(BadMessage("a message that would take too much memory"))
    }

    #[test]
    fn small_things_in_great_number_are_refused() {
        let many = 720_000;
        // Empty items, and items that hold nothing.
        assert!(refused::<g::GatewayBatch>(&field(3, &[]).repeat(many)));
        assert!(refused::<g::TopicServerBatch>(&field(3, &field(11, &[])).repeat(many)));
        assert!(refused::<g::PeerBatch>(&field(2, &[]).repeat(many)));
        // One item with many parts.
        let hello = field(1, &field(9, &[]).repeat(many));
        let sees = field(8, &field(1, &[]).repeat(many));
        let query = field(12, &field(6, &[]).repeat(many));
        for item in [hello, sees, query] {
            assert!(refused::<g::GatewayBatch>(&field(3, &item)));
        }
        let missed = field(10, &field(6, &[]).repeat(many));
        let rings = field(12, &field(2, &[]).repeat(many));
        let clean = field(12, &field(3, &[]).repeat(many));
        let match_ = field(15, &field(3, &[1].repeat(4 * many)));
        let names = field(18, &field(2, &[]).repeat(many));
        let counts = field(18, &field(3, &[1].repeat(4 * many)));
        for item in [missed, rings, clean, match_, names, counts] {
            assert!(refused::<g::TopicServerBatch>(&field(3, &item)));
        }
        let sees = field(4, &field(1, &[]).repeat(many));
        let rings = field(3, &field(2, &[]).repeat(many));
        let gateways = field(14, &field(1, &[1].repeat(4 * many)));
        assert!(refused::<g::PeerBatch>(&field(2, &gateways)));
        assert!(refused::<g::PeerBatch>(&field(2, &sees)));
        assert!(refused::<g::PeerBatch>(&field(2, &rings)));
        for part in [4, 5, 6] {
            assert!(refused::<g::PeerBatch>(&field(2, &field(9, &field(part, &[]).repeat(many)))), "{part}");
        }
        let packed = field(6, &field(3, &[1].repeat(4 * many)));
        let unpacked = field(6, &[4 << 3, 1].repeat(4 * many));
        for window in [packed, unpacked] {
            assert!(refused::<g::PeerBatch>(&field(2, &field(9, &window))));
        }
        // In a field that comes twice, and is merged.
        let half = field(10, &field(6, &[]).repeat(many / 8));
        assert!(!refused::<g::TopicServerBatch>(&field(3, &half)));
        assert!(refused::<g::TopicServerBatch>(&field(3, &half.repeat(8))));
    }

    #[test]
    fn the_largest_that_is_sent_is_far_from_the_bound() {
        let ping = || g::GatewayItem { item: Some(g::gateway_item::Item::Ping(g::Ping { id: 1 })) };
        let items: Vec<_> = (0..4 * BATCH_BYTES / ITEM_OVERHEAD).map(|_| ping()).collect();
        let batch = g::GatewayBatch { items, ..Default::default() };
        assert_eq!(decode(&batch.encode_to_vec()), Ok(batch));
        let history = (0..4 * PIECE_BYTES / ITEM_OVERHEAD).map(|_| g::StateMessage::default()).collect();
        let state = g::State { history, ..Default::default() };
        let items = vec![g::PeerItem { item: Some(g::peer_item::Item::State(state)) }];
        let batch = g::PeerBatch { items, ..Default::default() };
        assert_eq!(decode(&batch.encode_to_vec()), Ok(batch));
        let payload = Bytes::from(vec![0; 31 << 20]);
        let deliver = g::Deliver { payload, ..Default::default() };
        let items = vec![g::TopicServerItem { item: Some(g::topic_server_item::Item::Deliver(deliver)) }];
        let batch = g::TopicServerBatch { items, ..Default::default() };
        assert_eq!(decode(&batch.encode_to_vec()), Ok(batch));
    }

    #[test]
    fn a_short_message_cannot_take_more() {
        let largest =
            [size_of::<g::GatewayItem>(), size_of::<g::TopicServerItem>(), size_of::<g::PeerItem>()];
        assert!(largest.iter().all(|size| size * SHORT / 2 <= DECODED_BYTES), "{largest:?}");
    }

    #[test]
    fn what_is_no_message_is_no_message() {
        let long = vec![0xff; SHORT + 1];
        assert_eq!(decode::<g::GatewayBatch>(&long), Err(BadMessage("bytes that are no message")));
        assert!(decode::<g::GatewayBatch>(b"").is_ok());
    }
}
