//! The payload of a `publish`: `["event", {…}]`.

use std::fmt;

use bytes::Bytes;
use serde::Deserializer as _;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::hub::reason::Reason;

/// Deepest nesting of a payload: what common JSON readers take by default.
const DEPTH: usize = 128;

/// The event and the payload, which shares the frame's bytes.
///
/// # Errors
/// Another shape than an array of a string and an object, or an object that is nested too deeply.
pub(crate) fn read(payload: &Bytes) -> Result<(String, Bytes), Reason> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    let (event, body) = json.deserialize_seq(Pair).map_err(|_| Reason::InvalidPublish)?;
    if !event.get().starts_with('"') {
        return Err(Reason::InvalidEvent);
    }
    let event = serde_json::from_str(event.get()).map_err(|_| Reason::InvalidEvent)?;
    let body = body.get().as_bytes();
    if !body.starts_with(b"{") || is_deeper_than(body, DEPTH) {
        return Err(Reason::InvalidPayload);
    }
    Ok((event, payload.slice_ref(body)))
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

struct Pair;

impl<'de> Visitor<'de> for Pair {
    type Value = (&'de RawValue, &'de RawValue);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of an event and an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut next = || seq.next_element::<&RawValue>();
        match (next()?, next()?, next()?) {
            (Some(event), Some(body), None) => Ok((event, body)),
            _ => Err(A::Error::custom("not two elements")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_read(payload: &str) -> Result<(String, Bytes), Reason> {
        read(&Bytes::copy_from_slice(payload.as_bytes()))
    }

    #[test]
    fn an_event_and_an_object_are_a_publish() {
        let (event, body) = try_read(r#" ["e\n", {"a": [1]} ] "#).expect("a publish");
        assert_eq!((event.as_str(), &body[..]), ("e\n", &br#"{"a": [1]}"#[..]));
    }

    #[test]
    fn every_other_shape_has_its_reason() {
        for shape in ["{}", "[]", r#"["e"]"#, r#"["e",{},{},{}]"#, "null", "1", r#""e""#] {
            assert_eq!(try_read(shape), Err(Reason::InvalidPublish), "{shape}");
        }
        for body in ["[]", "1", "null", r#""x""#] {
            assert_eq!(
                try_read(&format!(r#"["e",{body}]"#)),
                Err(Reason::InvalidPayload),
                "{body}"
            );
        }
        for event in ["1", "null", "{}"] {
            assert_eq!(
                try_read(&format!("[{event},{{}}]")),
                Err(Reason::InvalidEvent),
                "{event}"
            );
        }
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
}
