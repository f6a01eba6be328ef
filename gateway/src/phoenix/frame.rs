//! Phoenix frames: bytes to values and back, for both versions of the protocol, text and binary. Nothing here knows
//! what a frame means. docs/protocol.md describes the layouts.

use std::fmt;

use bytes::Bytes;
use serde::Deserializer as _;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The serializer that a client asked for with `vsn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `1.0.x`, or no `vsn` at all: objects.
    V1,
    /// `2.0.x`: arrays, and binary frames.
    V2,
}

/// A frame that cannot be read. The connection closes with 1011.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Longest string that may be a `ref` or `join_ref`, in bytes.
const REF_BYTES: usize = 255;

/// A `ref` or `join_ref`: opaque, echoed as it came. `"1"` and `1` are different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ref {
    /// JSON null.
    Null,
    /// A string.
    Text(Box<str>),
    /// A number, by its literal text.
    Number(Box<str>),
}

/// A topic or an event, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A string.
    Text(Box<str>),
    /// Any other JSON value, which names nothing and is only echoed.
    Other(Box<str>),
}

/// What a frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The text of a JSON value.
    Json(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

/// One frame of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The channel's join_ref, as the client gives it.
    pub join_ref: Ref,
    /// What the reply is to carry.
    pub reference: Ref,
    /// The topic.
    pub topic: Name,
    /// The event.
    pub event: Name,
    /// The payload.
    pub payload: Payload,
}

impl Frame {
    /// Bytes that it takes while it waits.
    pub fn size(&self) -> usize {
        let payload = match &self.payload {
            Payload::Json(bytes) | Payload::Binary(bytes) => bytes.len(),
        };
        size_of::<Self>() + self.topic.shown().len() + self.event.shown().len() + payload
    }
}

impl Ref {
    fn read(raw: &RawValue) -> Result<Self, Malformed> {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'n') => Ok(Self::Null),
            Some(b'"') => {
                let text: String = serde_json::from_str(text).map_err(|_| Malformed)?;
                if text.len() > REF_BYTES { Err(Malformed) } else { Ok(Self::Text(text.into())) }
            }
            Some(b'-' | b'0'..=b'9') if text.len() <= REF_BYTES => Ok(Self::Number(text.into())),
            _ => Err(Malformed),
        }
    }

    /// As a JSON value.
    pub fn write(&self, into: &mut Vec<u8>) {
        match self {
            Self::Null => into.extend_from_slice(b"null"),
            Self::Text(text) => write_string(text, into),
            Self::Number(text) => into.extend_from_slice(text.as_bytes()),
        }
    }

    /// As a header field of a binary frame: a number is its text, null is empty.
    pub fn binary(&self) -> &[u8] {
        match self {
            Self::Null => b"",
            Self::Text(text) | Self::Number(text) => text.as_bytes(),
        }
    }
}

impl Name {
    fn read(raw: &RawValue) -> Result<Self, Malformed> {
        let text = raw.get();
        if text.starts_with('"') {
            serde_json::from_str::<String>(text).map(|text| Self::Text(text.into())).map_err(|_| Malformed)
        } else if surrogates_pair_up(text) {
            Ok(Self::Other(text.into()))
        } else {
            Err(Malformed)
        }
    }

    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other(_) => None,
        }
    }

    fn shown(&self) -> &str {
        match self {
            Self::Text(text) | Self::Other(text) => text,
        }
    }

    /// As a JSON value.
    pub fn write(&self, into: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_string(text, into),
            Self::Other(raw) => into.extend_from_slice(raw.as_bytes()),
        }
    }
}

/// Reads a text frame.
///
/// # Errors
/// Invalid JSON, the wrong shape, or a ref that is none.
pub fn read_text(version: Version, bytes: &Bytes) -> Result<Frame, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let fields = match version {
        Version::V1 => json.deserialize_map(Shape(version)),
        Version::V2 => json.deserialize_seq(Shape(version)),
    }
    .map_err(|_| Malformed)?;
    json.end().map_err(|_| Malformed)?;
    let payload = fields.payload.get();
    if !surrogates_pair_up(payload) {
        return Err(Malformed);
    }
    Ok(Frame {
        join_ref: fields.join_ref.map_or(Ok(Ref::Null), Ref::read)?,
        reference: Ref::read(fields.reference)?,
        topic: Name::read(fields.topic)?,
        event: Name::read(fields.event)?,
        payload: Payload::Json(bytes.slice_ref(payload.as_bytes())),
    })
}

/// Reads a binary frame of version 2: `0`, four lengths, join_ref, ref, topic, event, payload.
///
/// # Errors
/// Another kind than 0, lengths beyond the frame, or header fields that are not UTF-8.
pub fn read_binary(bytes: &Bytes) -> Result<Frame, Malformed> {
    let [0, join_ref, reference, topic, event, ..] = bytes[..] else {
        return Err(Malformed);
    };
    let mut at = 5;
    let mut field = |length: u8| {
        let end = at + usize::from(length);
        let field = bytes.get(at..end).ok_or(Malformed)?;
        at = end;
        std::str::from_utf8(field).map(Box::from).map_err(|_| Malformed)
    };
    let join_ref = Ref::Text(field(join_ref)?);
    let reference = Ref::Text(field(reference)?);
    let topic = Name::Text(field(topic)?);
    let event = Name::Text(field(event)?);
    Ok(Frame { join_ref, reference, topic, event, payload: Payload::Binary(bytes.slice(at..)) })
}

/// A reply, ready to send as text. `response` is the text of a JSON value.
pub fn write_reply(
    version: Version,
    join_ref: &Ref,
    reference: &Ref,
    topic: &Name,
    ok: bool,
    response: &[u8],
) -> Vec<u8> {
    let mut payload = Vec::with_capacity(32 + response.len());
    payload.extend_from_slice(if ok {
        b"{\"status\":\"ok\",\"response\":"
    } else {
        b"{\"status\":\"error\",\"response\":"
    });
    payload.extend_from_slice(response);
    payload.push(b'}');
    write_frame(version, join_ref, reference, topic, "phx_reply", &payload)
}

/// Any text frame to a client.
pub fn write_frame(
    version: Version,
    join_ref: &Ref,
    reference: &Ref,
    topic: &Name,
    event: &str,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(64 + topic.shown().len() + event.len() + payload.len());
    match version {
        Version::V2 => {
            frame.push(b'[');
            join_ref.write(&mut frame);
            frame.push(b',');
            reference.write(&mut frame);
            frame.push(b',');
            topic.write(&mut frame);
            frame.push(b',');
            write_string(event, &mut frame);
            frame.push(b',');
            frame.extend_from_slice(payload);
            frame.push(b']');
        }
        Version::V1 => {
            frame.extend_from_slice(b"{\"topic\":");
            topic.write(&mut frame);
            frame.extend_from_slice(b",\"event\":");
            write_string(event, &mut frame);
            frame.extend_from_slice(b",\"payload\":");
            frame.extend_from_slice(payload);
            frame.extend_from_slice(b",\"ref\":");
            reference.write(&mut frame);
            frame.push(b'}');
        }
    }
    frame
}

/// A string as JSON.
pub(crate) fn write_string(text: &str, into: &mut Vec<u8>) {
    // Writing to a Vec cannot fail, nor can a str be no string.
    let _ = serde_json::to_writer(into, text);
}

/// Whether every escaped surrogate in this JSON text has its other half. serde_json skips over payloads without
/// looking; a lone half is no text, and clients that insist on text would fail on what another client sent.
pub(crate) fn surrogates_pair_up(json: &str) -> bool {
    if !json.contains("\\u") {
        return true;
    }
    let mut rest = json;
    let mut high = false;
    while let Some(at) = rest.find('\\') {
        if high && at != 0 {
            return false;
        }
        let unit = match rest.as_bytes().get(at + 1) {
            Some(b'u') => rest.get(at + 2..at + 6).and_then(|digits| u16::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        match unit {
            Some(0xd800..=0xdbff) if !high => high = true,
            Some(0xdc00..=0xdfff) if high => high = false,
            Some(0xd800..=0xdfff) => return false,
            _ if high => return false,
            _ => {}
        }
        rest = rest.get(at + if unit.is_some() { 6 } else { 2 }..).unwrap_or("");
    }
    !high
}

/// The parts of a text frame, still JSON.
struct Fields<'a> {
    join_ref: Option<&'a RawValue>,
    reference: &'a RawValue,
    topic: &'a RawValue,
    event: &'a RawValue,
    payload: &'a RawValue,
}

struct Shape(Version);

impl<'de> Visitor<'de> for Shape {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Version::V1 => "an object with topic, event, payload and ref",
            Version::V2 => "an array of join_ref, ref, topic, event and payload",
        })
    }

    /// At least five elements; more are ignored.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut next = || seq.next_element::<&RawValue>()?.ok_or_else(|| A::Error::custom("too short"));
        let fields = Fields {
            join_ref: Some(next()?),
            reference: next()?,
            topic: next()?,
            event: next()?,
            payload: next()?,
        };
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(fields)
    }

    /// All keys but `join_ref` must be there; unknown ones are ignored, and of equal ones the last counts.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut join_ref, mut reference, mut topic, mut event, mut payload) = (None, None, None, None, None);
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let field = match &*key {
                "join_ref" => &mut join_ref,
                "ref" => &mut reference,
                "topic" => &mut topic,
                "event" => &mut event,
                "payload" => &mut payload,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = Some(map.next_value::<&RawValue>()?);
        }
        let missing = || A::Error::custom("a key is missing");
        Ok(Fields {
            join_ref,
            reference: reference.ok_or_else(missing)?,
            topic: topic.ok_or_else(missing)?,
            event: event.ok_or_else(missing)?,
            payload: payload.ok_or_else(missing)?,
        })
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
