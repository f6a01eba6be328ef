//! Socket.IO 4 over WebSocket alone (Engine.IO 4): text packets with a digit or two before their JSON.
//!
//! Socket.IO has no topics and no publishing of its own: the application in `bench/peers/socketio-redis` joins a
//! room when it hears `join`, and sends `bench` to the room when it hears `publish`. The acknowledgement of a
//! publish is the application's, through Socket.IO's own callbacks: it says that this node has sent the message to
//! its own sockets and given it to Redis, not that another node has it. The server pings, the client answers.

use serde_json::Value;

use crate::frame::{EVENT, Incoming, Payload, PublishReply, parse_digits, shortened};

/// An event with a callback of number 0, which no publish has.
pub(crate) const HEARTBEAT: &str = r#"420["alive"]"#;

/// One room on one connection.
#[derive(Debug)]
pub(crate) struct Channel {
    quoted: String,
    delivery_head: String,
}

impl Channel {
    pub(super) fn new(topic: &str) -> Self {
        Self { quoted: Value::from(topic).to_string(), delivery_head: format!(r#"42["{EVENT}","#) }
    }

    pub(super) fn publish(&self, sequence: u64, payload: &str) -> String {
        format!(r#"42{sequence}["publish",{},{payload}]"#, self.quoted)
    }

    pub(super) fn read(&self, payload: &Payload, frame: &[u8], mut heard: impl FnMut(Incoming)) {
        if let Some(rest) = frame.strip_prefix(self.delivery_head.as_bytes())
            && let Some(body) = rest.strip_suffix(b"]")
            && let Some(sequence) = payload.sequence(body)
        {
            return heard(Incoming::Delivery(sequence));
        }
        heard(self.read_slowly(payload, frame));
    }

    fn read_slowly(&self, payload: &Payload, frame: &[u8]) -> Incoming {
        let strange = || Incoming::Strange(shortened(frame));
        match frame {
            // The transport is open: connect to the main namespace.
            [b'0', ..] => Incoming::Answer("40".into()),
            [b'1', ..] => Incoming::Ended(shortened(frame)),
            [b'2'] => Incoming::Answer("3".into()),
            [b'4', b'0', ..] => Incoming::Answer(format!(r#"420["join",{}]"#, self.quoted)),
            [b'4', b'1', ..] => Incoming::Ended(shortened(frame)),
            [b'4', b'2', body @ ..] => match serde_json::from_slice::<Value>(body) {
                Ok(Value::Array(parts)) => match &parts[..] {
                    [event, body] if event == EVENT => {
                        payload.sequence_of_value(body).map_or_else(strange, Incoming::Delivery)
                    }
                    _ => strange(),
                },
                _ => strange(),
            },
            [b'4', b'3', rest @ ..] => acknowledged(rest).unwrap_or_else(strange),
            [b'4', b'4', rest @ ..] => Incoming::Joined(Err(shortened(rest))),
            _ => strange(),
        }
    }
}

/// The packet of a callback: its number, then what the application says.
fn acknowledged(rest: &[u8]) -> Option<Incoming> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = parse_digits(&rest[..digits])?;
    let said: Vec<String> = serde_json::from_slice(&rest[digits..]).ok()?;
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    Some(match (number, &said[..]) {
        (0, ["joined"]) => Incoming::Joined(Ok(())),
        (0, ["alive"]) => Incoming::Heartbeat,
        (0, _) => return None,
        (_, ["ok"]) => Incoming::Published(number, PublishReply::Ok),
        (_, other) => {
            let reason = other.join(" ");
            Incoming::Published(number, PublishReply::Refused { reason, unknown: false })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(frame: &str) -> Incoming {
        let mut all = Vec::new();
        Channel::new("a\"b").read(&Payload::new(3, 80), frame.as_bytes(), |incoming| all.push(incoming));
        assert_eq!(all.len(), 1, "{frame}");
        all.remove(0)
    }

    #[test]
    fn the_way_to_a_room() {
        assert_eq!(heard(r#"0{"sid":"x","pingInterval":25000}"#), Incoming::Answer("40".into()));
        assert_eq!(heard(r#"40{"sid":"y"}"#), Incoming::Answer(r#"420["join","a\"b"]"#.into()));
        assert_eq!(heard(r#"430["joined"]"#), Incoming::Joined(Ok(())));
        assert_eq!(heard("2"), Incoming::Answer("3".into()));
        assert_eq!(heard(r#"430["alive"]"#), Incoming::Heartbeat);
        assert!(matches!(heard(r#"44{"message":"no"}"#), Incoming::Joined(Err(_))));
        assert!(matches!(heard("41"), Incoming::Ended(_)));
    }

    #[test]
    fn events_and_acknowledgements() {
        let payload = Payload::new(3, 80);
        let channel = Channel::new("a\"b");
        let text = payload.text(12);
        assert_eq!(channel.publish(12, &text), format!(r#"4212["publish","a\"b",{text}]"#));
        assert_eq!(heard(&format!(r#"42["bench",{text}]"#)), Incoming::Delivery(12));
        assert_eq!(heard(&format!(r#"42[ "bench", {text} ]"#)), Incoming::Delivery(12));
        assert_eq!(heard(r#"4312["ok"]"#), Incoming::Published(12, PublishReply::Ok));
        let no = PublishReply::Refused { reason: "no room".into(), unknown: false };
        assert_eq!(heard(r#"4312["no","room"]"#), Incoming::Published(12, no));
        let damaged = format!(r#"42["bench",{}]"#, text.replace("xxx", "xxy"));
        let other = format!(r#"42["bench",{}]"#, Payload::new(4, 80).text(12));
        for bad in [&damaged, &other, r#"42["other",{}]"#, "43[]", r#"430["what"]"#, "4", "", "9"] {
            assert!(matches!(heard(bad), Incoming::Strange(_)), "{bad}");
        }
    }
}
