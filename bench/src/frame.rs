//! What is said on a connection: Phoenix V2 text frames, written and read. Pure.
//!
//! A delivery is recognised by comparing its bytes with what this channel must receive: no parsing and no
//! allocation. Anything else takes the slow way through a JSON parser.

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
        let head = format!(r#"{{"topic":"{number}","n":""#);
        let tail = format!(r#"","p":"{padding}"}}"#);
        Self { number, padding, head, tail }
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

/// One joined topic on one connection, as its frames name it. Every connection has a `join_ref` of its own, so
/// that a mix-up between subscribers shows.
#[derive(Debug)]
pub(crate) struct Channel {
    join_ref: String,
    topic: String,
    delivery_head: String,
    reply_head: String,
    reply_tail: String,
}

impl Channel {
    /// The channel that connection `number` has on `topic`.
    pub(crate) fn new(number: usize, topic: &str) -> Self {
        let join_ref = format!("j{number}");
        let quoted = Value::from(topic).to_string();
        Self {
            topic: topic.to_owned(),
            delivery_head: format!(r#"["{join_ref}",null,{quoted},"{EVENT}","#),
            reply_head: format!(r#"["{join_ref}","p"#),
            reply_tail: format!(r#"",{quoted},"phx_reply",{{"status":"ok","response":{{}}}}]"#),
            join_ref,
        }
    }

    /// The frame that joins.
    pub(crate) fn join(&self) -> String {
        let (join_ref, topic) = (&self.join_ref, Value::from(self.topic.as_str()));
        format!(r#"["{join_ref}","{join_ref}",{topic},"phx_join",{{}}]"#)
    }

    /// The frame that publishes this payload text under this sequence number.
    pub(crate) fn publish(&self, sequence: u64, payload: &str) -> String {
        let (join_ref, topic) = (&self.join_ref, Value::from(self.topic.as_str()));
        format!(r#"["{join_ref}","p{sequence}",{topic},"publish",["{EVENT}",{payload}]]"#)
    }

    /// What a received frame means on this channel.
    pub(crate) fn read(&self, payload: &Payload, frame: &str) -> Incoming {
        let bytes = frame.as_bytes();
        if let Some(rest) = bytes.strip_prefix(self.delivery_head.as_bytes())
            && let Some(body) = rest.strip_suffix(b"]")
            && let Some(sequence) = payload.sequence(body)
        {
            return Incoming::Delivery(sequence);
        }
        if let Some(rest) = bytes.strip_prefix(self.reply_head.as_bytes())
            && let Some(digits) = rest.strip_suffix(self.reply_tail.as_bytes())
            && let Some(sequence) = parse_digits(digits)
        {
            return Incoming::Published(sequence, PublishReply::Ok);
        }
        self.read_slowly(payload, frame)
    }

    fn read_slowly(&self, payload: &Payload, frame: &str) -> Incoming {
        let strange = || Incoming::Strange(shortened(frame));
        let Ok(Value::Array(parts)) = serde_json::from_str::<Value>(frame) else {
            return strange();
        };
        let [join_ref, reference, topic, event, body] = parts.as_slice() else {
            return strange();
        };
        let (Some(topic), Some(event)) = (topic.as_str(), event.as_str()) else {
            return strange();
        };
        if topic == "phoenix" && event == "phx_reply" {
            return Incoming::Heartbeat;
        }
        let ours = join_ref.as_str() == Some(self.join_ref.as_str());
        if topic != self.topic || !(ours || join_ref.is_null()) {
            return strange();
        }
        match event {
            EVENT => payload.sequence_of_value(body).map_or_else(strange, Incoming::Delivery),
            "phx_reply" => {
                let reference = reference.as_str().unwrap_or_default();
                if reference == self.join_ref {
                    return Incoming::Joined(PublishReply::of(body).into_result());
                }
                let sequence = reference.strip_prefix('p').and_then(|digits| parse_digits(digits.as_bytes()));
                sequence
                    .map_or_else(strange, |sequence| Incoming::Published(sequence, PublishReply::of(body)))
            }
            "phx_close" | "phx_error" => Incoming::Ended(shortened(frame)),
            _ => strange(),
        }
    }
}

/// The heartbeat frame with this number as its `ref`.
pub(crate) fn heartbeat(number: u64) -> String {
    format!(r#"[null,"h{number}","phoenix","heartbeat",{{}}]"#)
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
    fn of(body: &Value) -> Self {
        if body.get("status").and_then(Value::as_str) == Some("ok") {
            return Self::Ok;
        }
        let response = body.get("response").unwrap_or(body);
        let reason = match response.get("reason").and_then(Value::as_str) {
            Some(reason) => reason.to_owned(),
            None => shortened(&response.to_string()),
        };
        Self::Refused { reason, unknown: response.get("outcome").and_then(Value::as_str) == Some("unknown") }
    }

    fn into_result(self) -> Result<(), String> {
        match self {
            Self::Ok => Ok(()),
            Self::Refused { reason, .. } => Err(reason),
        }
    }
}

/// At most 160 characters of a frame, for messages.
pub(crate) fn shortened(frame: &str) -> String {
    const LIMIT: usize = 160;
    match frame.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}… ({} bytes)", &frame[..end], frame.len()),
        None => frame.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> (Channel, Payload) {
        (Channel::new(17, "topics:a\"b"), Payload::new(3, 80))
    }

    fn delivery(payload: &str) -> String {
        format!(r#"["j17",null,"topics:a\"b","bench",{payload}]"#)
    }

    #[test]
    fn payloads_have_the_asked_length_and_are_json() {
        for bytes in [SMALLEST_PAYLOAD, 128, 1_024] {
            let text = Payload::new(99_999_999, bytes).text(u64::from(u32::MAX));
            assert_eq!(text.len(), bytes);
            assert!(serde_json::from_str::<Value>(&text).unwrap().is_object());
        }
    }

    #[test]
    fn a_delivery_is_found_by_position_and_when_written_anew() {
        let (channel, payload) = channel();
        let text = payload.text(42);
        assert_eq!(channel.read(&payload, &delivery(&text)), Incoming::Delivery(42));
        let mut value: Value = serde_json::from_str(&text).unwrap();
        let anew = delivery(&format!(" {value:#}"));
        assert_eq!(channel.read(&payload, &anew), Incoming::Delivery(42));
        value["p"] = Value::from("yyy");
        assert!(matches!(channel.read(&payload, &delivery(&value.to_string())), Incoming::Strange(_)));
    }

    #[test]
    fn damage_and_mix_ups_are_strange() {
        let (channel, payload) = channel();
        let good = delivery(&payload.text(42));
        let swapped = [
            good.replace("xxx", "xxy"),
            good.replace("0042", "00a2"),
            good.replace("0042", "042"),
            good.replace("j17", "j18"),
            good.replace("bench", "other"),
            good.replace("topics:a", "topics:b"),
            delivery(&Payload::new(4, 80).text(42)),
            delivery("{}"),
            "[]".to_owned(),
            "{".to_owned(),
            String::new(),
        ];
        for frame in swapped {
            assert!(matches!(channel.read(&payload, &frame), Incoming::Strange(_)), "{frame}");
        }
    }

    #[test]
    fn replies_by_both_ways_and_in_any_key_order() {
        let (channel, payload) = channel();
        let reply = |reference: &str, body: &str| {
            channel.read(&payload, &format!(r#"["j17","{reference}","topics:a\"b","phx_reply",{body}]"#))
        };
        let ok = Incoming::Published(7, PublishReply::Ok);
        assert_eq!(reply("p7", r#"{"status":"ok","response":{}}"#), ok);
        assert_eq!(reply("p7", r#"{"response":{},"status":"ok"}"#), ok);
        assert_eq!(
            reply("p7", r#"{"status":"error","response":{"reason":"overloaded","outcome":"not_published"}}"#),
            Incoming::Published(7, PublishReply::Refused { reason: "overloaded".into(), unknown: false })
        );
        assert_eq!(
            reply("p7", r#"{"status":"error","response":{"reason":"timeout","outcome":"unknown"}}"#),
            Incoming::Published(7, PublishReply::Refused { reason: "timeout".into(), unknown: true })
        );
        assert_eq!(reply("j17", r#"{"status":"ok","response":{}}"#), Incoming::Joined(Ok(())));
        assert_eq!(
            reply("j17", r#"{"status":"error","response":"no"}"#),
            Incoming::Joined(Err("\"no\"".to_owned()))
        );
    }

    #[test]
    fn what_is_sent_is_json_of_five() {
        let (channel, payload) = channel();
        for frame in [channel.join(), channel.publish(5, &payload.text(5)), heartbeat(2)] {
            let value: Value = serde_json::from_str(&frame).unwrap();
            assert_eq!(value.as_array().unwrap().len(), 5, "{frame}");
        }
    }
}
