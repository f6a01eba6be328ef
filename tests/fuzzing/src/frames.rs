//! Frames of a Phoenix client: text of both versions, and binary.

use bytes::Bytes;
use campanile_gateway::phoenix::frame::{
    Frame, Name, Payload, Ref, Version, read_binary, read_text, write_frame, write_reply,
};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Verdict;

/// What a reply has beside the topic and the refs that it echoes, at most.
pub(crate) const AROUND: usize = 128;

/// Bytes of JSON for one byte of text, at most.
pub(crate) const ESCAPED: usize = 6;

/// Version 1: objects.
pub(crate) fn v1(data: &[u8]) -> Verdict {
    text(Version::V1, data)
}

/// Version 2: arrays.
pub(crate) fn v2(data: &[u8]) -> Verdict {
    text(Version::V2, data)
}

/// Version 2: binary frames. Nothing is lost or added: the frame can be built again, byte by byte.
pub(crate) fn binary(data: &[u8]) -> Verdict {
    let Ok(frame) = read_binary(&Bytes::copy_from_slice(data)) else {
        return Verdict::Refused;
    };
    let Payload::Binary(payload) = &frame.payload else { panic!("{frame:?} of a binary frame") };
    let (Some(topic), Some(event)) = (frame.topic.text(), frame.event.text()) else {
        panic!("{frame:?} of a binary frame")
    };
    let fields = [frame.join_ref.binary(), frame.reference.binary(), topic.as_bytes(), event.as_bytes()];
    let mut again = vec![0];
    again.extend(fields.iter().map(|field| field.len() as u8));
    fields.iter().for_each(|field| again.extend_from_slice(field));
    again.extend_from_slice(payload);
    assert_eq!(again, data, "{frame:?}");
    check_reply(Version::V2, &frame, AROUND + ESCAPED * (data.len() - payload.len()));
    Verdict::Accepted
}

fn text(version: Version, data: &[u8]) -> Verdict {
    let bytes = Bytes::copy_from_slice(data);
    let Ok(frame) = read_text(version, &bytes) else {
        return Verdict::Refused;
    };
    assert!(frame.size() <= size_of::<Frame>() + data.len(), "{frame:?} waits as more than it came as");
    let Payload::Json(payload) = &frame.payload else { panic!("{frame:?} of a text frame") };
    check_json(payload);
    for reference in [&frame.join_ref, &frame.reference] {
        assert!(reference.binary().len() <= 255, "{frame:?}");
    }
    check_reply(version, &frame, AROUND + data.len());
    check_event(version, &frame, data.len());
    Verdict::Accepted
}

/// What a client may get to read is JSON for every reader, but for what readers differ about: the range of numbers and
/// the depth of nesting.
pub(crate) fn check_json(text: &[u8]) {
    if let Err(error) = serde_json::from_slice::<Value>(text) {
        let says = error.to_string();
        let is_allowed = says.contains("recursion limit") || says.contains("number out of range");
        assert!(is_allowed, "{says}: {}", String::from_utf8_lossy(text));
    }
}

/// A reply echoes what came, and no more.
fn check_reply(version: Version, frame: &Frame, most: usize) {
    let Frame { join_ref, reference, topic, .. } = frame;
    let reply = write_reply(version, join_ref, reference, topic, true, b"{}");
    serde_json::from_slice::<&RawValue>(&reply).expect("a reply is JSON");
    assert!(reply.len() <= most, "{} bytes to {frame:?}", reply.len());
}

/// Written as an event and read again, a frame is what it was; but version 1 has no join_ref in it.
fn check_event(version: Version, frame: &Frame, length: usize) {
    let Payload::Json(payload) = &frame.payload else { return };
    let Frame { join_ref, reference, topic, .. } = frame;
    let event = frame.event.text().unwrap_or("event");
    let written = Bytes::from(write_frame(version, join_ref, reference, topic, event, payload));
    assert!(written.len() <= length + AROUND, "{} bytes of {length}: {frame:?}", written.len());
    let again = read_text(version, &written).expect("a frame of ours");
    let join_ref = if version == Version::V1 { Ref::Null } else { join_ref.clone() };
    let event = Name::Text(event.into());
    assert_eq!(again, Frame { join_ref, event, ..frame.clone() });
}
