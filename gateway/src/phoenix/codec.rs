//! Messages of topics as Phoenix events: the part of the frame that is the same for all subscribers, encoded once
//! per version and gateway. What differs, the subscriber's own join_ref, is the listener's tag.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use campanile_proto::{Encoding, Message};

use crate::client::outbox::Tag;
use crate::client::wire::{Opcode, Wire};
use crate::hub::codec::Codec;
use crate::phoenix::frame::{Name, Ref, Version, write_frame, write_string};

/// Events for clients of version 1: whole frames.
#[derive(Debug)]
struct V1 {
    positions: bool,
}

/// Events for clients of version 2: everything behind the join_ref.
#[derive(Debug)]
struct V2 {
    positions: bool,
}

/// The codec of a version; with positions, the ref slot holds the offset.
pub fn codec(version: Version, positions: bool) -> &'static dyn Codec {
    match (version, positions) {
        (Version::V1, false) => &V1 { positions: false },
        (Version::V1, true) => &V1 { positions: true },
        (Version::V2, false) => &V2 { positions: false },
        (Version::V2, true) => &V2 { positions: true },
    }
}

/// What a channel of this join_ref puts in front of every event.
pub fn tag(join_ref: &Ref) -> Arc<Tag> {
    Tag::new(&text_of(join_ref), join_ref.binary())
}

/// The same for a channel whose queued events give way when its client's queue is full.
pub fn droppable_tag(join_ref: &Ref) -> Arc<Tag> {
    Tag::droppable(&text_of(join_ref), join_ref.binary())
}

fn text_of(join_ref: &Ref) -> Vec<u8> {
    let mut text = vec![b'['];
    join_ref.write(&mut text);
    text.push(b',');
    text
}

/// Writes an event to one client.
pub fn write_event(version: Version, tag: &Tag, encoding: Encoding, body: &Bytes, wire: &mut Wire) {
    match (version, encoding) {
        (Version::V1, _) => wire.frame_shared(Opcode::Text, &[], body),
        (Version::V2, Encoding::Json) => wire.frame_shared(Opcode::Text, &[tag.text()], body),
        (Version::V2, Encoding::Binary) => {
            // The lengths of topic and event come first in the body, the join_ref belongs behind them.
            let (lengths, rest) = body.split_at(2);
            let head = [0, tag.binary().len() as u8, lengths[0], lengths[1]];
            wire.frame_shared(Opcode::Binary, &[&head, tag.binary()], &body.slice_ref(rest));
        }
    }
}

impl Codec for V1 {
    fn index(&self) -> usize {
        usize::from(self.positions)
    }

    fn encode(&self, topic: &[u8], message: &Message, offset: u64) -> Bytes {
        let topic = Name::Text(String::from_utf8_lossy(topic).into());
        let event = String::from_utf8_lossy(&message.event);
        let reference = if self.positions { Ref::Number(offset.to_string().into()) } else { Ref::Null };
        let frame =
            |payload: &[u8]| write_frame(Version::V1, &Ref::Null, &reference, &topic, &event, payload);
        match message.encoding {
            Encoding::Json => frame(&message.payload),
            Encoding::Binary => {
                frame(format!("{{\"data\":\"{}\"}}", STANDARD.encode(&message.payload)).as_bytes())
            }
        }
        .into()
    }
}

impl Codec for V2 {
    fn index(&self) -> usize {
        2 + usize::from(self.positions)
    }

    fn encode(&self, topic: &[u8], message: &Message, offset: u64) -> Bytes {
        let mut body = Vec::with_capacity(32 + topic.len() + message.len());
        match message.encoding {
            Encoding::Json => {
                if self.positions {
                    body.extend_from_slice(offset.to_string().as_bytes());
                } else {
                    body.extend_from_slice(b"null");
                }
                body.push(b',');
                write_string(&String::from_utf8_lossy(topic), &mut body);
                body.push(b',');
                write_string(&String::from_utf8_lossy(&message.event), &mut body);
                body.push(b',');
                body.extend_from_slice(&message.payload);
                body.push(b']');
            }
            Encoding::Binary => {
                // Both fit a byte: the front takes no topic and no event that is longer.
                body.push(topic.len() as u8);
                body.push(message.event.len() as u8);
                body.extend_from_slice(topic);
                body.extend_from_slice(&message.event);
                body.extend_from_slice(&message.payload);
            }
        }
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(encoding: Encoding, payload: &'static [u8]) -> Message {
        Message { encoding, event: Bytes::from_static(b"bin"), payload: Bytes::from_static(payload) }
    }

    #[test]
    fn a_binary_event_has_the_layout_of_a_server_push() {
        let body =
            V2 { positions: false }.encode(b"topics:matrix", &message(Encoding::Binary, &[1, 2, 3]), 9);
        let mut wire = Wire::default();
        write_event(Version::V2, &tag(&Ref::Text("5".into())), Encoding::Binary, &body, &mut wire);
        let mut expected = vec![0x82, 24, 0, 1, 13, 3];
        expected.extend_from_slice(b"5topics:matrixbin\x01\x02\x03");
        assert_eq!(wire.written(), expected);
    }

    #[test]
    fn a_text_event_carries_the_subscribers_own_join_ref() {
        let body = V2 { positions: false }.encode(b"t\"x", &message(Encoding::Json, b"{\"a\":1}"), 9);
        for (join_ref, expected) in [
            (Ref::Text("7".into()), r#"["7",null,"t\"x","bin",{"a":1}]"#),
            (Ref::Number("7".into()), r#"[7,null,"t\"x","bin",{"a":1}]"#),
            (Ref::Null, r#"[null,null,"t\"x","bin",{"a":1}]"#),
        ] {
            let mut wire = Wire::default();
            write_event(Version::V2, &tag(&join_ref), Encoding::Json, &body, &mut wire);
            assert_eq!(&wire.written()[2..], expected.as_bytes());
        }
    }

    #[test]
    fn version_1_gets_base64_for_bytes_and_no_join_ref() {
        let body = V1 { positions: false }.encode(b"t", &message(Encoding::Binary, &[0xff]), 1);
        assert_eq!(&body[..], br#"{"topic":"t","event":"bin","payload":{"data":"/w=="},"ref":null}"#);
        let body = V1 { positions: false }.encode(b"t", &message(Encoding::Json, b"{}"), 1);
        assert_eq!(&body[..], br#"{"topic":"t","event":"bin","payload":{},"ref":null}"#);
    }

    #[test]
    fn with_positions_the_ref_slot_holds_the_offset() {
        let message = message(Encoding::Json, b"{}");
        let body = codec(Version::V2, true).encode(b"t", &message, 41);
        assert_eq!(&body[..], br#"41,"t","bin",{}]"#);
        let body = codec(Version::V1, true).encode(b"t", &message, 41);
        assert_eq!(&body[..], br#"{"topic":"t","event":"bin","payload":{},"ref":41}"#);
    }

    #[test]
    fn every_codec_has_its_own_number() {
        let all = [(Version::V1, false), (Version::V1, true), (Version::V2, false), (Version::V2, true)];
        let numbers: std::collections::BTreeSet<_> =
            all.into_iter().map(|(version, positions)| codec(version, positions).index()).collect();
        assert_eq!(numbers.len(), all.len());
        assert!(numbers.iter().all(|number| *number < crate::hub::codec::CODECS));
    }
}
