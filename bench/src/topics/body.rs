//! The payloads of `topics`: JSON objects with the topic's number and the publish's, at fixed places. Pure.

use bytes::{Bytes, BytesMut};

use crate::frame::parse_digits;

/// Digits of a topic's number.
const TOPIC_DIGITS: usize = 8;
/// Digits of a publish's number.
const DIGITS: usize = 16;

const HEAD: &[u8] = br#"{"n":""#;
const MIDDLE: &[u8] = br#"","topic":""#;

/// All payloads of a run: they differ in two numbers.
#[derive(Debug)]
pub(super) struct Body {
    /// What follows the topic's number: padding, and the end.
    tail: Bytes,
}

impl Body {
    /// `bytes` is the length of the whole JSON text, at least [`crate::frame::SMALLEST_PAYLOAD`].
    pub(super) fn new(bytes: usize) -> Self {
        let fixed = HEAD.len() + DIGITS + MIDDLE.len() + TOPIC_DIGITS + br#"","p":""}"#.len();
        let padding = "x".repeat(bytes.saturating_sub(fixed));
        Self { tail: format!(r#"","p":"{padding}"}}"#).into() }
    }

    /// The payload of this publish of this topic.
    pub(super) fn payload(&self, topic: u32, number: u32) -> Bytes {
        let mut text =
            BytesMut::with_capacity(HEAD.len() + DIGITS + MIDDLE.len() + TOPIC_DIGITS + self.tail.len());
        text.extend_from_slice(HEAD);
        text.extend_from_slice(&digits::<DIGITS>(number));
        text.extend_from_slice(MIDDLE);
        text.extend_from_slice(&digits::<TOPIC_DIGITS>(topic));
        text.extend_from_slice(&self.tail);
        text.freeze()
    }

    /// Topic and number, if this is exactly a payload of this run.
    pub(super) fn read(&self, payload: &[u8]) -> Option<(u32, u32)> {
        let rest = payload.strip_prefix(HEAD)?;
        let (number, rest) = rest.split_at_checked(DIGITS)?;
        let rest = rest.strip_prefix(MIDDLE)?;
        let (topic, rest) = rest.split_at_checked(TOPIC_DIGITS)?;
        if rest != self.tail {
            return None;
        }
        let parse = |digits| u32::try_from(parse_digits(digits)?).ok();
        Some((parse(topic)?, parse(number)?))
    }
}

/// A number in so many digits, zeros before it.
pub(super) fn digits<const COUNT: usize>(mut number: u32) -> [u8; COUNT] {
    let mut digits = [b'0'; COUNT];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::frame::SMALLEST_PAYLOAD;

    #[test]
    fn payloads_have_the_asked_length_and_say_what_they_are() {
        for bytes in [SMALLEST_PAYLOAD, 128, 1_024] {
            let body = Body::new(bytes);
            for (topic, number) in [(0, 1), (9_999_999, u32::MAX)] {
                let payload = body.payload(topic, number);
                assert_eq!(payload.len(), bytes);
                assert!(serde_json::from_slice::<Value>(&payload).unwrap().is_object());
                assert_eq!(body.read(&payload), Some((topic, number)));
            }
        }
    }

    #[test]
    fn any_damage_is_seen() {
        let body = Body::new(128);
        let payload = body.payload(7, 8);
        for index in 0..payload.len() {
            let mut damaged = payload.to_vec();
            damaged[index] = b'!';
            assert_eq!(body.read(&damaged), None, "at {index}");
        }
        assert_eq!(body.read(&payload[..127]), None);
    }
}
