//! What every protocol's frames carry: the payload, and what a received frame means. Pure.

use serde_json::Value;

/// The event under which the generator publishes.
pub(crate) const EVENT: &str = "bench";
/// Digits of a sequence number inside a payload: fixed, so that it is found by position.
const DIGITS: usize = 16;
/// The smallest payload that can be asked for, in bytes: topic number, sequence number, no padding.
pub(crate) const SMALLEST_PAYLOAD: usize = 50;

/// The payload of one topic's publishes: a JSON object with the topic's number, the sequence number and padding.
#[derive(Debug)]
pub(crate) struct Payload {
    number: String,
    padding: String,
    head: String,
    tail: String,
}

impl Payload {
    /// `bytes` is the length of the whole JSON text, at least [`SMALLEST_PAYLOAD`].
    pub(crate) fn new(topic_number: usize, bytes: usize) -> Self {
        let number = format!("{topic_number:08}");
        let padding = "x".repeat(bytes.saturating_sub(SMALLEST_PAYLOAD));
        // By name, as servers that write JSON anew order them.
        let head = r#"{"n":""#.to_owned();
        let tail = format!(r#"","p":"{padding}","topic":"{number}"}}"#);
        Self { number, padding, head, tail }
    }

    /// The length of the JSON text.
    pub(crate) fn bytes(&self) -> usize {
        self.head.len() + DIGITS + self.tail.len()
    }

    /// The JSON text with this sequence number in it.
    pub(crate) fn text(&self, sequence: u64) -> String {
        format!("{}{sequence:0DIGITS$}{}", self.head, self.tail)
    }

    /// The sequence number, if this is exactly a payload of this topic.
    pub(crate) fn sequence(&self, text: &[u8]) -> Option<u64> {
        let rest = text.strip_prefix(self.head.as_bytes())?;
        let (digits, rest) = rest.split_at_checked(DIGITS)?;
        if rest == self.tail.as_bytes() { parse_digits(digits) } else { None }
    }

    /// The same for a server that wrote the JSON anew.
    pub(crate) fn sequence_of_value(&self, value: &Value) -> Option<u64> {
        let object = value.as_object().filter(|object| object.len() == 3)?;
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        if text("topic")? != self.number || text("p")? != self.padding {
            return None;
        }
        let digits = text("n")?;
        if digits.len() == DIGITS { parse_digits(digits.as_bytes()) } else { None }
    }
}

pub(crate) fn parse_digits(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > DIGITS {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}

/// What a received frame means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// An undamaged payload of this topic with this sequence number.
    Delivery(u64),
    /// The reply to the publish with this sequence number.
    Published(u64, PublishReply),
    /// The reply to the join: the error's text if it was refused.
    Joined(Result<(), String>),
    /// The reply to a heartbeat.
    Heartbeat,
    /// The server ended the channel (`phx_close` or `phx_error`); the frame.
    Ended(String),
    /// The server waits for this frame.
    Answer(String),
    /// Nothing that this channel may receive; the frame, shortened.
    Strange(String),
}

/// The reply to a publish.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PublishReply {
    Ok,
    /// An error: its reason, and whether the publish may have happened all the same.
    Refused {
        reason: String,
        unknown: bool,
    },
}

impl PublishReply {
    pub(crate) fn of(body: &Value) -> Self {
        if body.get("status").and_then(Value::as_str) == Some("ok") {
            return Self::Ok;
        }
        let response = body.get("response").unwrap_or(body);
        let reason = match response.get("reason").and_then(Value::as_str) {
            Some(reason) => reason.to_owned(),
            None => shortened(response.to_string().as_bytes()),
        };
        Self::Refused { reason, unknown: response.get("outcome").and_then(Value::as_str) == Some("unknown") }
    }

    pub(crate) fn into_result(self) -> Result<(), String> {
        match self {
            Self::Ok => Ok(()),
            Self::Refused { reason, .. } => Err(reason),
        }
    }
}

/// At most 160 characters of a frame, for messages.
pub(crate) fn shortened(frame: &[u8]) -> String {
    const LIMIT: usize = 160;
    // Four bytes for each character are enough.
    let text = String::from_utf8_lossy(&frame[..frame.len().min(4 * LIMIT)]);
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], frame.len()),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_the_asked_length_and_are_json() {
        for bytes in [SMALLEST_PAYLOAD, 128, 1_024] {
            let text = Payload::new(99_999_999, bytes).text(u64::from(u32::MAX));
            assert_eq!(text.len(), bytes);
            assert!(serde_json::from_str::<Value>(&text).unwrap().is_object());
        }
    }
}
