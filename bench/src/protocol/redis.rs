//! Redis pub/sub over TCP, in RESP3: there a connection may publish while it is subscribed. A topic is a channel.
//!
//! A publish is answered with the number of its receivers. redis-server says so when it has put the message into the
//! output buffer of each of them; a gateway when the topic's owner has sent it to every gateway with a subscriber.
//! Answers come in the order of their questions; what is pushed comes in between. Neither side has to say that it lives.

use super::begun::Begun;
use super::unanswered::{Question, Unanswered};
use crate::frame::{Incoming, Payload, PublishReply, shortened};

/// Beyond this, what looks like one message is none.
const LONGEST_MESSAGE: usize = 64 << 20;
/// How deep arrays may stand in each other; those of pub/sub do not.
const DEEPEST: usize = 8;

/// One channel on one connection.
#[derive(Debug)]
pub(crate) struct Channel {
    topic: String,
    /// A push of this channel, up to the digits of the payload's length.
    message_head: String,
    /// The push that answers the subscription.
    subscribed_head: String,
    begun: Begun,
    unanswered: Unanswered,
}

/// No value begins or goes on like this.
#[derive(Debug, PartialEq, Eq)]
struct Garbage;

impl Channel {
    pub(super) fn new(topic: &str) -> Self {
        let bulk = format!("${}\r\n{topic}\r\n", topic.len());
        Self {
            topic: topic.to_owned(),
            message_head: format!(">3\r\n$7\r\nmessage\r\n{bulk}$"),
            subscribed_head: format!(">3\r\n$9\r\nsubscribe\r\n{bulk}:"),
            begun: Begun::default(),
            unanswered: Unanswered::default(),
        }
    }

    pub(super) fn join(&self) -> String {
        self.unanswered.asked(Question::Join);
        format!("{}{}", command(&["HELLO", "3"]), command(&["SUBSCRIBE", &self.topic]))
    }

    pub(super) fn publish(&self, sequence: u64, payload: &str) -> String {
        self.unanswered.asked(Question::Publish(sequence));
        command(&["PUBLISH", &self.topic, payload])
    }

    pub(super) fn heartbeat(&self) -> String {
        self.unanswered.asked(Question::Heartbeat);
        command(&["PING"])
    }

    pub(super) fn read(&self, payload: &Payload, bytes: &[u8], mut heard: impl FnMut(Incoming)) {
        self.begun.read(bytes, |bytes| self.read_whole(payload, bytes, &mut heard));
    }

    /// Reads all values that are there as a whole; gives what is left.
    fn read_whole<'a>(
        &self,
        payload: &Payload,
        mut bytes: &'a [u8],
        heard: &mut impl FnMut(Incoming),
    ) -> &'a [u8] {
        while !bytes.is_empty() {
            if let Some((sequence, rest)) = self.delivery(payload, bytes) {
                heard(Incoming::Delivery(sequence));
                bytes = rest;
                continue;
            }
            match value_end(bytes, DEEPEST) {
                Ok(Some(end)) => {
                    let (value, rest) = bytes.split_at(end);
                    if let Some(incoming) = self.value(value) {
                        heard(incoming);
                    }
                    bytes = rest;
                }
                Ok(None) if bytes.len() <= LONGEST_MESSAGE => break,
                Ok(None) | Err(Garbage) => {
                    heard(Incoming::Strange(shortened(bytes)));
                    return &[];
                }
            }
        }
        bytes
    }

    /// An undamaged payload of this channel at the beginning, and what follows it.
    fn delivery<'a>(&self, payload: &Payload, bytes: &'a [u8]) -> Option<(u64, &'a [u8])> {
        let rest = bytes.strip_prefix(self.message_head.as_bytes())?;
        let (length, rest) = number_line(rest)?;
        if length != payload.bytes() {
            return None;
        }
        let (body, rest) = rest.split_at_checked(length)?;
        Some((payload.sequence(body)?, rest.strip_prefix(b"\r\n")?))
    }

    /// What a whole value says that is no delivery.
    fn value(&self, value: &[u8]) -> Option<Incoming> {
        let strange = || Some(Incoming::Strange(shortened(value)));
        match value.first() {
            // The greeting; the subscription behind it is what counts.
            Some(b'%') => None,
            Some(b'>') if value.starts_with(self.subscribed_head.as_bytes()) => {
                match self.unanswered.answered() {
                    Some(Question::Join) => Some(Incoming::Joined(Ok(()))),
                    _ => strange(),
                }
            }
            Some(b':') => match self.unanswered.answered() {
                Some(Question::Publish(sequence)) => Some(Incoming::Published(sequence, PublishReply::Ok)),
                _ => strange(),
            },
            Some(b'+') => match self.unanswered.answered() {
                Some(Question::Heartbeat) if value == b"+PONG\r\n" => Some(Incoming::Heartbeat),
                _ => strange(),
            },
            Some(b'-') => Some(self.error(value)),
            _ => strange(),
        }
    }

    fn error(&self, value: &[u8]) -> Incoming {
        let text = shortened(value.get(1..).unwrap_or_default()).trim_end().to_owned();
        match self.unanswered.answered() {
            Some(Question::Join) => Incoming::Joined(Err(text)),
            Some(Question::Publish(sequence)) => {
                let unknown = text.contains("outcome: unknown");
                Incoming::Published(sequence, PublishReply::Refused { reason: text, unknown })
            }
            // The server closes after an error that answers nothing.
            Some(Question::Heartbeat) | None => Incoming::Ended(text),
        }
    }
}

/// A command as an array of bulk strings.
fn command(words: &[&str]) -> String {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    text
}

/// The line at the beginning as a number, and what follows it.
fn number_line(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let number = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    Some((number, &bytes[end + 2..]))
}

/// Where the value at the beginning ends; none if it is not there as a whole.
fn value_end(bytes: &[u8], deep: usize) -> Result<Option<usize>, Garbage> {
    let Some(line) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let after = line + 2;
    let count = || -> Result<Option<usize>, Garbage> {
        let text = bytes.get(1..line).and_then(|digits| std::str::from_utf8(digits).ok()).ok_or(Garbage)?;
        let number: i64 = text.parse().map_err(|_| Garbage)?;
        // A negative one is a null of RESP2.
        Ok(usize::try_from(number).ok())
    };
    match bytes[0] {
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Ok(Some(after)),
        b'$' | b'=' | b'!' => {
            let Some(length) = count()? else { return Ok(Some(after)) };
            if length > LONGEST_MESSAGE {
                return Err(Garbage);
            }
            let end = after + length + 2;
            Ok((end <= bytes.len()).then_some(end))
        }
        kind @ (b'*' | b'~' | b'>' | b'%') if deep > 0 => {
            let members = count()?.unwrap_or(0).saturating_mul(if kind == b'%' { 2 } else { 1 });
            let mut at = after;
            for _ in 0..members {
                let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { return Ok(None) };
                match value_end(rest, deep - 1)? {
                    Some(length) => at += length,
                    None => return Ok(None),
                }
            }
            Ok(Some(at))
        }
        _ => Err(Garbage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n$7\r\nmodules\r\n*0\r\n";
    const SUBSCRIBED: &str = ">3\r\n$9\r\nsubscribe\r\n$8\r\ntopics:a\r\n:1\r\n";

    fn heard(channel: &Channel, frame: &[u8]) -> Vec<Incoming> {
        let mut all = Vec::new();
        channel.read(&Payload::new(3, 80), frame, |incoming| all.push(incoming));
        all
    }

    /// A channel that has joined.
    fn joined() -> Channel {
        let channel = Channel::new("topics:a");
        let hello = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*2\r\n$9\r\nSUBSCRIBE\r\n$8\r\ntopics:a\r\n";
        assert_eq!(channel.join(), hello);
        assert_eq!(heard(&channel, format!("{HELLO}{SUBSCRIBED}").as_bytes()), [Incoming::Joined(Ok(()))]);
        channel
    }

    fn message(sequence: u64) -> String {
        let text = Payload::new(3, 80).text(sequence);
        format!(">3\r\n$7\r\nmessage\r\n$8\r\ntopics:a\r\n$80\r\n{text}\r\n")
    }

    #[test]
    fn answers_come_in_order_and_pushes_in_between() {
        let channel = joined();
        assert_eq!(channel.publish(1, "{}"), "*3\r\n$7\r\nPUBLISH\r\n$8\r\ntopics:a\r\n$2\r\n{}\r\n");
        assert_eq!(channel.heartbeat(), "*1\r\n$4\r\nPING\r\n");
        channel.publish(2, "{}");
        let stream = format!("{}:1\r\n+PONG\r\n{}:2\r\n", message(1), message(2));
        let ok = |sequence| Incoming::Published(sequence, PublishReply::Ok);
        assert_eq!(
            heard(&channel, stream.as_bytes()),
            [Incoming::Delivery(1), ok(1), Incoming::Heartbeat, Incoming::Delivery(2), ok(2)]
        );
        assert!(matches!(heard(&channel, b":1\r\n")[..], [Incoming::Strange(_)]));
    }

    #[test]
    fn values_are_found_however_they_are_cut() {
        let stream = format!("{HELLO}{SUBSCRIBED}{}:1\r\n{}", message(1), message(2));
        let expected = [
            Incoming::Joined(Ok(())),
            Incoming::Delivery(1),
            Incoming::Published(1, PublishReply::Ok),
            Incoming::Delivery(2),
        ];
        for size in 1..=stream.len() {
            let channel = Channel::new("topics:a");
            channel.join();
            channel.publish(1, "{}");
            let all: Vec<_> = stream.as_bytes().chunks(size).flat_map(|read| heard(&channel, read)).collect();
            assert_eq!(all, expected, "{size}");
        }
    }

    #[test]
    fn refusals_say_what_came_of_it() {
        let channel = Channel::new("topics:a");
        channel.join();
        let refused = heard(&channel, b"-ERR unmatched topic\r\n");
        assert_eq!(refused, [Incoming::Joined(Err("ERR unmatched topic".into()))]);
        let channel = joined();
        for unknown in [false, true] {
            let outcome = if unknown { "unknown" } else { "not_published" };
            let reason = format!("ERR owner unreachable, outcome: {outcome}, retry: true");
            channel.publish(7, "{}");
            let reply = PublishReply::Refused { reason: reason.clone(), unknown };
            assert_eq!(heard(&channel, format!("-{reason}\r\n").as_bytes()), [Incoming::Published(7, reply)]);
        }
        assert!(matches!(heard(&channel, b"-ERR Protocol error\r\n")[..], [Incoming::Ended(_)]));
    }

    #[test]
    fn damage_and_mix_ups_are_strange() {
        let good = message(1);
        for bad in [
            good.replace("xxx", "xxy"),
            good.replace("topics:a", "topics:b"),
            good.replace("$80", "$79"),
            good.replace("message", "massage"),
            SUBSCRIBED.to_owned(),
            "what\r\n".to_owned(),
            "$x\r\n".to_owned(),
            "*1\r\n".repeat(20),
            "$-1\r\n".to_owned(),
        ] {
            assert!(matches!(heard(&joined(), bad.as_bytes())[..], [Incoming::Strange(_), ..]), "{bad}");
        }
    }
}
