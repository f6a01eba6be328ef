//! What a topic's listeners have missed and are being given again: one stretch of messages without a gap, shared by
//! all who catch up, so that thousands who resume together cost their owner a handful of reads. Each message is
//! encoded once per codec, as live ones are.

use std::collections::VecDeque;

use bytes::Bytes;
use campanile_proto::{Epoch, Message};

use crate::client::outbox::Item;
use crate::hub::codec::CODECS;
use crate::hub::state::Listener;

/// Bytes kept for those who catch up; beyond, the oldest go, and who still needs them costs another read.
const KEPT_BYTES: usize = 2 << 20;

/// What one message costs beside its bytes.
const MESSAGE_OVERHEAD: usize = 320;

/// Bytes given to one listener at a time. It gets the next ones when its client has taken these, so that a replay
/// never fills an outbox.
const STEP_BYTES: usize = 64 * 1024;

/// A stretch of messages.
#[derive(Debug, Default)]
pub struct Replay {
    messages: VecDeque<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    offset: u64,
    message: Message,
    encoded: [Option<Bytes>; CODECS],
}

impl Replay {
    /// Adds what a read has brought. A stretch that does not touch what is here takes its place.
    pub fn add_part(&mut self, part: Vec<(u64, Message)>) {
        let Some((first, _)) = part.first() else { return };
        if self.last().is_some_and(|last| *first > last + 1) || self.first().is_some_and(|own| *first < own) {
            self.clear();
        }
        for (offset, message) in part {
            self.add(offset, &message);
        }
    }

    /// Adds a live message, if it continues what is here.
    pub fn add_live(&mut self, offset: u64, message: &Message) {
        if self.last().is_some_and(|last| last + 1 == offset) {
            self.add(offset, message);
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.messages = VecDeque::new();
        self.bytes = 0;
    }

    /// Whether a listener that has everything up to `cursor` finds its next message here.
    pub fn continues(&self, cursor: u64) -> bool {
        let Some(next) = cursor.checked_add(1) else {
            return false;
        };
        self.first().is_some_and(|first| first <= next) && self.last().is_some_and(|last| last >= next)
    }

    /// Tells this listener what comes behind `cursor`, up to one step. Returns the new cursor.
    pub fn give(
        &mut self,
        topic: &[u8],
        listener: &Listener,
        (epoch, cursor): (Epoch, u64),
        mut tell: impl FnMut(Item),
    ) -> u64 {
        let Some(first) = self.first().filter(|_| self.continues(cursor)) else {
            return cursor;
        };
        let skip = usize::try_from(cursor + 1 - first).unwrap_or(usize::MAX);
        let mut cursor = cursor;
        let mut size = 0;
        for kept in self.messages.iter_mut().skip(skip) {
            if size > 0 && size + kept.message.len() > STEP_BYTES {
                break;
            }
            size += kept.message.len();
            cursor = kept.offset;
            let (offset, message) = (kept.offset, &kept.message);
            let encode = || listener.codec.encode(topic, message, offset);
            let body = match kept.encoded.get_mut(listener.codec.index()) {
                Some(slot) => slot.get_or_insert_with(encode).clone(),
                None => encode(),
            };
            tell(listener.event(kept.message.encoding, body, (epoch, offset)));
        }
        cursor
    }

    fn add(&mut self, offset: u64, message: &Message) {
        if self.last().is_some_and(|last| offset != last + 1) {
            return;
        }
        self.bytes += message.len() + MESSAGE_OVERHEAD;
        self.messages.push_back(Kept { offset, message: message.detached(), encoded: Default::default() });
        while self.bytes > KEPT_BYTES
            && self.messages.len() > 1
            && let Some(oldest) = self.messages.pop_front()
        {
            self.bytes -= oldest.message.len() + MESSAGE_OVERHEAD;
        }
    }

    fn first(&self) -> Option<u64> {
        self.messages.front().map(|kept| kept.offset)
    }

    fn last(&self) -> Option<u64> {
        self.messages.back().map(|kept| kept.offset)
    }
}

#[cfg(test)]
mod tests {
    use campanile_proto::Encoding;

    use super::*;
    use crate::client::outbox::{ChannelId, Outbox, Tag};
    use crate::phoenix::codec::codec;
    use crate::phoenix::frame::Version;

    #[test]
    fn what_may_be_dropped_has_its_place() {
        let (event, payload) = (Bytes::from_static(b"event"), Bytes::from_static(b"{}"));
        let message = Message { encoding: Encoding::Json, event, payload };
        let mut replay = Replay::default();
        replay.add_part((4..=6).map(|offset| (offset, message.clone())).collect());
        let (id, channel, tag) = (1, ChannelId(1), Tag::droppable(b"x", &[]));
        let (client, codec) = (Outbox::new(1 << 20), codec(Version::V2, true));
        let listener = Listener { id, channel, client, codec, tag, counts: false };
        let mut given = Vec::new();
        assert_eq!(replay.give(b"topic", &listener, (Epoch(7), 4), |item| given.push(item)), 6);
        let places = given.iter().map(|item| match item {
            Item::Droppable { event, .. } => (event.epoch, event.offset),
            other => panic!("unexpected {other:?}"),
        });
        assert_eq!(places.collect::<Vec<_>>(), [(Epoch(7), 5), (Epoch(7), 6)]);
    }

    #[test]
    fn a_kept_message_does_not_keep_the_batch_that_it_came_in() {
        let batch = Bytes::from(vec![b'b'; 100_000]);
        let message =
            Message { encoding: Encoding::Json, event: batch.slice(0..5), payload: batch.slice(10..20) };
        let mut replay = Replay::default();
        replay.add_part(vec![(1, message.clone())]);
        replay.add_live(2, &message);
        assert_eq!(replay.messages.len(), 2);
        let range = batch.as_ptr_range();
        for kept in &replay.messages {
            assert_eq!(kept.message, message);
            assert!(!range.contains(&kept.message.payload.as_ptr()));
        }
    }
}
