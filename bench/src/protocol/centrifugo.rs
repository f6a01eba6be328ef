//! Centrifugo's JSON protocol over WebSocket: commands with ids, replies with the same ids, pushes, several to a
//! frame, one to a line. A topic is a channel.
//!
//! A `:` in a topic's name ends the name of a namespace, which the server has to know: give others with
//! `--topic-prefix`. The server must let clients without a token connect, subscribe and publish
//! (`allow_anonymous_connect_without_token`, and `allow_subscribe_for_client`, `allow_publish_for_client` with
//! their forms for anonymous ones). The reply to a publish says that the broker has taken it. The server pings with
//! an empty object, and the client answers it with one.

use serde_json::Value;

use crate::frame::{Incoming, Payload, PublishReply, shortened};

/// A question that no other id asks; whatever the server answers, it lives.
pub(crate) const HEARTBEAT: &str = r#"{"id":3,"rpc":{"method":"alive","data":{}}}"#;
const CONNECT: u64 = 1;
const SUBSCRIBE: u64 = 2;
const ALIVE: u64 = 3;
/// Added to a publish's sequence number for its id.
const PUBLISH: u64 = 10;

/// One channel on one connection.
#[derive(Debug)]
pub(crate) struct Channel {
    topic: String,
    quoted: String,
    push_head: String,
}

impl Channel {
    pub(super) fn new(topic: &str) -> Self {
        let quoted = Value::from(topic).to_string();
        let push_head = format!(r#"{{"push":{{"channel":{quoted},"pub":{{"data":"#);
        Self { topic: topic.to_owned(), quoted, push_head }
    }

    pub(super) fn join(&self) -> String {
        let quoted = &self.quoted;
        format!(
            "{{\"id\":{CONNECT},\"connect\":{{}}}}\n{{\"id\":{SUBSCRIBE},\"subscribe\":{{\"channel\":{quoted}}}}}"
        )
    }

    pub(super) fn publish(&self, sequence: u64, payload: &str) -> String {
        let id = sequence + PUBLISH;
        format!(r#"{{"id":{id},"publish":{{"channel":{},"data":{payload}}}}}"#, self.quoted)
    }

    pub(super) fn read(&self, payload: &Payload, frame: &[u8], mut heard: impl FnMut(Incoming)) {
        for line in frame.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            // What follows the payload, such as who published, is of no interest.
            let pushed = line
                .strip_prefix(self.push_head.as_bytes())
                .and_then(|rest| rest.split_at_checked(payload.bytes()))
                .filter(|(_, rest)| matches!(rest.first(), Some(b'}' | b',')))
                .and_then(|(body, _)| payload.sequence(body));
            match pushed {
                Some(sequence) => heard(Incoming::Delivery(sequence)),
                None => {
                    if let Some(incoming) = self.read_slowly(payload, line) {
                        heard(incoming);
                    }
                }
            }
        }
    }

    fn read_slowly(&self, payload: &Payload, line: &[u8]) -> Option<Incoming> {
        let strange = || Incoming::Strange(shortened(line));
        let Ok(Value::Object(object)) = serde_json::from_slice::<Value>(line) else {
            return Some(strange());
        };
        if object.is_empty() {
            return Some(Incoming::Answer("{}".into()));
        }
        if let Some(push) = object.get("push") {
            if push.get("disconnect").is_some() || push.get("unsubscribe").is_some() {
                return Some(Incoming::Ended(shortened(line)));
            }
            let data = push.get("pub").and_then(|publication| publication.get("data"));
            let ours = push.get("channel").and_then(Value::as_str) == Some(&self.topic);
            let sequence = data.filter(|_| ours).and_then(|data| payload.sequence_of_value(data));
            return Some(sequence.map_or_else(strange, Incoming::Delivery));
        }
        let error = object.get("error").map(|error| match error.get("message").and_then(Value::as_str) {
            Some(message) => message.to_owned(),
            None => error.to_string(),
        });
        match object.get("id").and_then(Value::as_u64) {
            // Only a refusal ends here: the reply to `subscribe` follows.
            Some(CONNECT) => error.map(|reason| Incoming::Joined(Err(reason))),
            Some(SUBSCRIBE) => Some(Incoming::Joined(error.map_or(Ok(()), Err))),
            Some(ALIVE) => Some(Incoming::Heartbeat),
            Some(id) if id > PUBLISH => {
                let reply = match error {
                    None => PublishReply::Ok,
                    Some(reason) => PublishReply::Refused { reason, unknown: false },
                };
                Some(Incoming::Published(id - PUBLISH, reply))
            }
            _ => Some(strange()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(frame: &str) -> Vec<Incoming> {
        let mut all = Vec::new();
        Channel::new("topics:a").read(&Payload::new(3, 80), frame.as_bytes(), |incoming| all.push(incoming));
        all
    }

    #[test]
    fn commands_are_json_by_line() {
        let channel = Channel::new("a\"b");
        for frame in [channel.join(), channel.publish(1, "{}"), HEARTBEAT.to_owned()] {
            for line in frame.lines() {
                assert!(serde_json::from_str::<Value>(line).unwrap()["id"].is_u64(), "{line}");
            }
        }
    }

    #[test]
    fn replies_by_id_and_several_to_a_frame() {
        let both = "{\"id\":1,\"connect\":{\"ping\":25,\"pong\":true}}\n{\"id\":2,\"subscribe\":{}}";
        assert_eq!(heard(both), [Incoming::Joined(Ok(()))]);
        let refused = r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#;
        assert_eq!(heard(refused), [Incoming::Joined(Err("permission denied".into()))]);
        assert_eq!(heard("{}"), [Incoming::Answer("{}".into())]);
        assert_eq!(heard(r#"{"id":3,"error":{"code":104,"message":"x"}}"#), [Incoming::Heartbeat]);
        assert_eq!(heard(r#"{"id":15,"publish":{}}"#), [Incoming::Published(5, PublishReply::Ok)]);
        let reply = PublishReply::Refused { reason: "too many requests".into(), unknown: false };
        let limited = r#"{"id":15,"error":{"code":111,"message":"too many requests"}}"#;
        assert_eq!(heard(limited), [Incoming::Published(5, reply)]);
    }

    #[test]
    fn pushes_by_position_and_when_written_anew() {
        let text = Payload::new(3, 80).text(9);
        let push =
            |rest: &str| format!(r#"{{"push":{{"channel":"topics:a","pub":{{"data":{text}{rest}}}}}}}"#);
        let two = format!("{}\n{}\n", push(""), push(r#","info":{"client":"c"}"#));
        assert_eq!(heard(&two), [Incoming::Delivery(9), Incoming::Delivery(9)]);
        assert_eq!(heard(&push("").replace(r#"{"push":"#, r#"{ "push": "#)), [Incoming::Delivery(9)]);
        for bad in [
            push("").replace("xxx", "xxy"),
            push("").replace("topics:a", "topics:b"),
            "[]".to_owned(),
            r#"{"id":4}"#.to_owned(),
        ] {
            assert!(matches!(heard(&bad)[..], [Incoming::Strange(_)]), "{bad}");
        }
        assert!(matches!(heard(r#"{"push":{"disconnect":{"code":3000}}}"#)[..], [Incoming::Ended(_)]));
    }
}
