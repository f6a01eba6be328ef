//! NATS over WebSocket: the text protocol of NATS clients, in frames that may hold several messages or a part of
//! one. A topic is a subject.
//!
//! A publish has no acknowledgement in NATS. What its clients do instead is ask `PING` behind it: the `PONG` says
//! that this server has taken all that came before (`flush`), not that another node has. The server asks now and
//! then whether the client lives, so the client need not say so by itself.

use std::cell::Cell;

use super::begun::Begun;
use super::unanswered::{Question, Unanswered};
use crate::frame::{Incoming, Payload, PublishReply, shortened};

/// Beyond this, what looks like one message is none: the server's own limit for a control line is 4 KiB.
const LONGEST_LINE: usize = 64 << 10;

/// One subject on one connection.
#[derive(Debug)]
pub(crate) struct Channel {
    number: usize,
    topic: String,
    message_head: String,
    connected: Cell<bool>,
    begun: Begun,
    unanswered: Unanswered,
}

/// One message of the server.
enum Message<'a> {
    Line(&'a str),
    Payload(&'a [u8]),
    Garbage,
}

impl Channel {
    pub(super) fn new(number: usize, topic: &str) -> Self {
        Self {
            number,
            topic: topic.to_owned(),
            message_head: format!("MSG {topic} 1 "),
            connected: Cell::new(false),
            begun: Begun::default(),
            unanswered: Unanswered::default(),
        }
    }

    /// The answer to the server's first word: options, subscription, and a question whose answer says that both
    /// were taken.
    fn connect(&self) -> String {
        self.unanswered.asked(Question::Join);
        format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"echo\":true,\"protocol\":1,\"lang\":\"rust\",\
             \"version\":\"{}\",\"name\":\"bench-{}\"}}\r\nSUB {} 1\r\nPING\r\n",
            env!("CARGO_PKG_VERSION"),
            self.number,
            self.topic
        )
    }

    pub(super) fn publish(&self, sequence: u64, payload: &str) -> String {
        self.unanswered.asked(Question::Publish(sequence));
        format!("PUB {} {}\r\n{payload}\r\nPING\r\n", self.topic, payload.len())
    }

    pub(super) fn heartbeat(&self) -> String {
        self.unanswered.asked(Question::Heartbeat);
        "PING\r\n".into()
    }

    pub(super) fn read(&self, payload: &Payload, frame: &[u8], mut heard: impl FnMut(Incoming)) {
        self.begun.read(frame, |bytes| self.read_whole(payload, bytes, &mut heard));
    }

    /// Reads all messages that are there as a whole; gives what is left.
    fn read_whole<'a>(
        &self,
        payload: &Payload,
        mut bytes: &'a [u8],
        heard: &mut impl FnMut(Incoming),
    ) -> &'a [u8] {
        while let Some((message, rest)) = self.next(bytes) {
            match message {
                Message::Payload(body) => heard(match payload.sequence(body) {
                    Some(sequence) => Incoming::Delivery(sequence),
                    None => Incoming::Strange(shortened(body)),
                }),
                Message::Line(line) => {
                    if let Some(incoming) = self.line(line) {
                        heard(incoming);
                    }
                }
                Message::Garbage => {
                    heard(Incoming::Strange(shortened(bytes)));
                    return &[];
                }
            }
            bytes = rest;
        }
        bytes
    }

    /// The first message and what follows it, if it is there as a whole.
    fn next<'a>(&self, bytes: &'a [u8]) -> Option<(Message<'a>, &'a [u8])> {
        let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
            return (bytes.len() > LONGEST_LINE).then_some((Message::Garbage, &[]));
        };
        let (line, rest) = (&bytes[..end], &bytes[end + 2..]);
        let Some(length) = line.strip_prefix(self.message_head.as_bytes()) else {
            let line = std::str::from_utf8(line).map_or(Message::Garbage, Message::Line);
            return Some((line, rest));
        };
        // The line ends with the length; the name to answer to, which may stand before it, is none here.
        let length = std::str::from_utf8(length).ok().and_then(|digits| digits.parse::<usize>().ok());
        let Some(length) = length.filter(|length| *length <= 64 << 20) else {
            return Some((Message::Garbage, &[]));
        };
        let (body, rest) = rest.split_at_checked(length)?;
        let (tail, rest) = rest.split_at_checked(2)?;
        Some(if tail == b"\r\n" { (Message::Payload(body), rest) } else { (Message::Garbage, &[]) })
    }

    fn line(&self, line: &str) -> Option<Incoming> {
        match line.split(' ').next().unwrap_or_default() {
            // Told again when the cluster changes.
            "INFO" => (!self.connected.replace(true)).then(|| Incoming::Answer(self.connect())),
            "PING" => Some(Incoming::Answer("PONG\r\n".into())),
            "PONG" => Some(match self.unanswered.answered() {
                Some(Question::Join) => Incoming::Joined(Ok(())),
                Some(Question::Heartbeat) => Incoming::Heartbeat,
                Some(Question::Publish(sequence)) => Incoming::Published(sequence, PublishReply::Ok),
                None => Incoming::Strange(line.into()),
            }),
            // The server closes after most of its errors.
            "-ERR" => Some(Incoming::Ended(line.into())),
            _ => Some(Incoming::Strange(shortened(line.as_bytes()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(channel: &Channel, frame: &[u8]) -> Vec<Incoming> {
        let mut all = Vec::new();
        channel.read(&Payload::new(3, 80), frame, |incoming| all.push(incoming));
        all
    }

    /// A channel that has joined.
    fn joined() -> Channel {
        let channel = Channel::new(7, "topics:a");
        let answers = heard(&channel, b"INFO {\"server_id\":\"x\"}\r\n");
        let [Incoming::Answer(hello)] = &answers[..] else { panic!("{answers:?}") };
        assert!(hello.starts_with("CONNECT {") && hello.ends_with("}\r\nSUB topics:a 1\r\nPING\r\n"));
        let options: serde_json::Value =
            serde_json::from_str(hello["CONNECT ".len()..].lines().next().unwrap()).unwrap();
        assert_eq!(options["echo"], true);
        assert_eq!(heard(&channel, b"PONG\r\n"), [Incoming::Joined(Ok(()))]);
        channel
    }

    #[test]
    fn pongs_answer_in_order() {
        let channel = joined();
        assert_eq!(channel.publish(1, "{}"), "PUB topics:a 2\r\n{}\r\nPING\r\n");
        assert_eq!(channel.heartbeat(), "PING\r\n");
        channel.publish(2, "{}");
        let ok = |sequence| Incoming::Published(sequence, PublishReply::Ok);
        assert_eq!(heard(&channel, b"PONG\r\nPONG\r\nPONG\r\n"), [ok(1), Incoming::Heartbeat, ok(2)]);
        assert!(matches!(heard(&channel, b"PONG\r\n")[..], [Incoming::Strange(_)]));
    }

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let payload = Payload::new(3, 80);
        let message = |sequence| format!("MSG topics:a 1 80\r\n{}\r\n", payload.text(sequence));
        let stream = format!("{}PING\r\n{}INFO {{}}\r\n{}", message(1), message(2), message(3));
        let expected = [
            Incoming::Delivery(1),
            Incoming::Answer("PONG\r\n".into()),
            Incoming::Delivery(2),
            Incoming::Delivery(3),
        ];
        for size in 1..=stream.len() {
            let channel = joined();
            let all: Vec<_> =
                stream.as_bytes().chunks(size).flat_map(|frame| heard(&channel, frame)).collect();
            assert_eq!(all, expected, "{size}");
        }
    }

    #[test]
    fn damage_is_strange_and_errors_end() {
        let good = format!("MSG topics:a 1 80\r\n{}\r\n", Payload::new(3, 80).text(1));
        for bad in [
            good.replace("xxx", "xxy"),
            good.replace("topics:a", "topics:b"),
            good.replace("a 1 80", "a 1 79"),
            good.replace("a 1 80", "a 1 8x"),
            "WHAT\r\n".to_owned(),
        ] {
            assert!(matches!(heard(&joined(), bad.as_bytes())[..], [Incoming::Strange(_), ..]), "{bad}");
        }
        assert!(matches!(heard(&joined(), b"-ERR 'Slow Consumer'\r\n")[..], [Incoming::Ended(_)]));
    }
}
