//! The payload of a `publish`: `["event", {…}]`, or with a key `["event", {…}, {"key": "…"}]`.

use std::collections::HashMap;
use std::fmt;

use bytes::Bytes;
use campanile_proto::ids::KEY_BYTES;
use serde::Deserializer as _;
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::hub::reason::Reason;
use crate::phoenix::frame::surrogates_pair_up;

/// Deepest nesting of a payload: what common JSON readers take by default.
const DEPTH: usize = 128;

/// A publish, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) event: String,
    /// Shares the frame's bytes.
    pub(crate) payload: Bytes,
    pub(crate) key: Option<Bytes>,
}

/// Reads the payload of a `publish`.
///
/// # Errors
/// Another shape than an array of a string, an object and perhaps an object with a key; an object that is nested
/// too deeply; a key that is no string of 1 to 64 bytes.
pub(crate) fn read(payload: &Bytes) -> Result<Publish, Reason> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    let (event, body, options) = json.deserialize_seq(Parts).map_err(|_| Reason::InvalidPublish)?;
    if !event.get().starts_with('"') {
        return Err(Reason::InvalidEvent);
    }
    let event = serde_json::from_str(event.get()).map_err(|_| Reason::InvalidEvent)?;
    let body = body.get().as_bytes();
    if !body.starts_with(b"{") || is_deeper_than(body, DEPTH) {
        return Err(Reason::InvalidPayload);
    }
    let key = options.map(read_key).transpose()?;
    Ok(Publish { event, payload: payload.slice_ref(body), key })
}

/// `{"key": "…"}`; nothing else may stand there, so that a misspelt key does not pass for none.
fn read_key(options: &RawValue) -> Result<Bytes, Reason> {
    let fields: HashMap<String, String> =
        serde_json::from_str(options.get()).map_err(|_| Reason::InvalidKey)?;
    match (fields.get("key"), fields.len()) {
        (Some(key), 1) if (1..=KEY_BYTES).contains(&key.len()) => Ok(Bytes::copy_from_slice(key.as_bytes())),
        _ => Err(Reason::InvalidKey),
    }
}

/// Whether bytes that came another way may be the payload of an event: a JSON object that every client can read.
pub(crate) fn is_payload(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{")
        && !is_deeper_than(bytes, DEPTH)
        && std::str::from_utf8(bytes)
            .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok() && surrogates_pair_up(text))
}

/// Whether a JSON text has more levels. A level takes two bytes, so short texts need no look.
fn is_deeper_than(json: &[u8], levels: usize) -> bool {
    if json.len() <= 2 * levels {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > levels {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    false
}

struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = (&'de RawValue, &'de RawValue, Option<&'de RawValue>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of an event, an object and perhaps a key")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut next = || seq.next_element::<&RawValue>();
        match (next()?, next()?, next()?, next()?) {
            (Some(event), Some(body), options, None) => Ok((event, body, options)),
            _ => Err(A::Error::custom("not two or three elements")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_read(payload: &str) -> Result<Publish, Reason> {
        read(&Bytes::copy_from_slice(payload.as_bytes()))
    }

    #[test]
    fn an_event_and_an_object_are_a_publish() {
        let read = try_read(r#" ["e\n", {"a": [1]} ] "#).expect("a publish");
        assert_eq!((read.event.as_str(), &read.payload[..]), ("e\n", &br#"{"a": [1]}"#[..]));
    }

    #[test]
    fn every_other_shape_has_its_reason() {
        for shape in ["{}", "[]", r#"["e"]"#, r#"["e",{},{},{}]"#, "null", "1", r#""e""#] {
            assert_eq!(try_read(shape), Err(Reason::InvalidPublish), "{shape}");
        }
        for body in ["[]", "1", "null", r#""x""#] {
            assert_eq!(try_read(&format!(r#"["e",{body}]"#)), Err(Reason::InvalidPayload), "{body}");
        }
        for event in ["1", "null", "{}"] {
            assert_eq!(try_read(&format!("[{event},{{}}]")), Err(Reason::InvalidEvent), "{event}");
        }
    }

    #[test]
    fn bytes_are_a_payload_if_they_are_an_object_for_every_reader() {
        for object in ["{}", " {\"a\": [1, null]} ", r#"{"a":"\ud83d\ude00"}"#, "{\n\"a\":1e400}"] {
            assert!(is_payload(object.as_bytes()), "{object}");
        }
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(DEPTH), "]".repeat(DEPTH));
        for other in [
            "",
            "[]",
            "1",
            "hello",
            "{",
            "{}{}",
            "{a:1}",
            "{'a':1}",
            r#"{"a":"\ud800"}"#,
            "\u{feff}{}",
            &deep,
        ] {
            assert!(!is_payload(other.as_bytes()), "{other}");
        }
        assert!(!is_payload(b"{\"a\":\"\xff\"}"));
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_strings_do_not_count() {
        let nested = |levels: usize| format!(r#"["e",{{"a":{}{}}}]"#, "[".repeat(levels), "]".repeat(levels));
        assert!(try_read(&nested(DEPTH - 1)).is_ok());
        assert_eq!(try_read(&nested(DEPTH)), Err(Reason::InvalidPayload));
        assert_eq!(try_read(&nested(100_000)), Err(Reason::InvalidPayload));
        let text = format!(r#"["e",{{"a":"\"{}\\"}}]"#, "[".repeat(1000));
        assert!(try_read(&text).is_ok());
    }

    #[test]
    fn a_key_is_a_string_of_1_to_64_bytes_and_nothing_else_stands_beside_it() {
        let key = |options: &str| try_read(&format!(r#"["e",{{}},{options}]"#)).map(|read| read.key);
        assert_eq!(key(r#"{"key":"k"}"#), Ok(Some(Bytes::from_static(b"k"))));
        assert!(key(&format!(r#"{{"key":"{}"}}"#, "k".repeat(64))).is_ok());
        for options in [
            "{}",
            "null",
            "1",
            "[]",
            r#"{"key":""}"#,
            r#"{"key":1}"#,
            r#"{"key":null}"#,
            r#"{"kye":"k"}"#,
            r#"{"key":"k","x":"y"}"#,
            &format!(r#"{{"key":"{}"}}"#, "k".repeat(65)),
        ] {
            assert_eq!(key(options), Err(Reason::InvalidKey), "{options}");
        }
    }
}
