//! Phoenix Channels V2, in text frames: Campanile, and stock Phoenix.
//!
//! A delivery is recognised by comparing its bytes with what this channel must receive: no parsing and no
//! allocation. Anything else takes the slow way through a JSON parser.
//!
//! Stock Phoenix has no `publish` of its own; its channel has to do what Campanile's does:
//! `def handle_in("publish", [event, payload], socket)` broadcasts and ends with `{:reply, :ok, socket}`. Its
//! broadcasts name no `join_ref`, and its JSON writes the members of small objects in the order of their names, in
//! which the generator's payloads have them already.

use serde_json::Value;

use crate::frame::{EVENT, Incoming, Payload, PublishReply, parse_digits, shortened};

/// One joined topic on one connection, as its frames name it. Every connection has a `join_ref` of its own, so
/// that a mix-up between subscribers shows.
#[derive(Debug)]
pub(crate) struct Channel {
    join_ref: String,
    topic: String,
    delivery_head: String,
    broadcast_head: String,
    reply_head: String,
    reply_tail: String,
}

impl Channel {
    /// The channel that connection `number` has on `topic`.
    pub(super) fn new(number: usize, topic: &str) -> Self {
        let join_ref = format!("j{number}");
        let quoted = Value::from(topic).to_string();
        Self {
            topic: topic.to_owned(),
            delivery_head: format!(r#"["{join_ref}",null,{quoted},"{EVENT}","#),
            broadcast_head: format!(r#"[null,null,{quoted},"{EVENT}","#),
            reply_head: format!(r#"["{join_ref}","p"#),
            reply_tail: format!(r#"",{quoted},"phx_reply",{{"status":"ok","response":{{}}}}]"#),
            join_ref,
        }
    }

    /// The frame that joins.
    pub(super) fn join(&self) -> String {
        let (join_ref, topic) = (&self.join_ref, Value::from(self.topic.as_str()));
        format!(r#"["{join_ref}","{join_ref}",{topic},"phx_join",{{}}]"#)
    }

    /// The frame that publishes this payload text under this sequence number.
    pub(super) fn publish(&self, sequence: u64, payload: &str) -> String {
        let (join_ref, topic) = (&self.join_ref, Value::from(self.topic.as_str()));
        format!(r#"["{join_ref}","p{sequence}",{topic},"publish",["{EVENT}",{payload}]]"#)
    }

    pub(super) fn read(&self, payload: &Payload, frame: &[u8], mut heard: impl FnMut(Incoming)) {
        heard(self.read_one(payload, frame));
    }

    /// What a received frame means on this channel.
    fn read_one(&self, payload: &Payload, bytes: &[u8]) -> Incoming {
        let delivery = bytes
            .strip_prefix(self.delivery_head.as_bytes())
            .or_else(|| bytes.strip_prefix(self.broadcast_head.as_bytes()));
        if let Some(rest) = delivery
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
        self.read_slowly(payload, bytes)
    }

    fn read_slowly(&self, payload: &Payload, frame: &[u8]) -> Incoming {
        let strange = || Incoming::Strange(shortened(frame));
        let Ok(Value::Array(parts)) = serde_json::from_slice::<Value>(frame) else {
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
    fn a_delivery_is_found_by_position_and_when_written_anew() {
        let (channel, payload) = channel();
        let text = payload.text(42);
        assert_eq!(channel.read_one(&payload, delivery(&text).as_bytes()), Incoming::Delivery(42));
        let broadcast = delivery(&text).replace("\"j17\"", "null");
        assert_eq!(channel.read_one(&payload, broadcast.as_bytes()), Incoming::Delivery(42));
        let mut value: Value = serde_json::from_str(&text).unwrap();
        let anew = delivery(&format!(" {value:#}"));
        assert_eq!(channel.read_one(&payload, anew.as_bytes()), Incoming::Delivery(42));
        value["p"] = Value::from("yyy");
        assert!(matches!(
            channel.read_one(&payload, delivery(&value.to_string()).as_bytes()),
            Incoming::Strange(_)
        ));
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
            assert!(matches!(channel.read_one(&payload, frame.as_bytes()), Incoming::Strange(_)), "{frame}");
        }
    }

    #[test]
    fn replies_by_both_ways_and_in_any_key_order() {
        let (channel, payload) = channel();
        let reply = |reference: &str, body: &str| {
            let frame = format!(r#"["j17","{reference}","topics:a\"b","phx_reply",{body}]"#);
            channel.read_one(&payload, frame.as_bytes())
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
