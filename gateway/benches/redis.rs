//! Commands of Redis clients, and a topic's messages as these get them.

#![expect(clippy::expect_used, reason = "a bench ends at what it did not expect")]

use std::hint::black_box;
use std::process::ExitCode;

use bytes::Bytes;
use campanile_gateway::client::wire::Wire;
use campanile_gateway::redis::codec::{codec, tag, write_event};
use campanile_gateway::redis::command::Kind;
use campanile_gateway::redis::connection::{Around, Connection, Outcome};
use campanile_gateway::redis::decode::{Bounds, Command, Decoder};
use campanile_gateway::redis::info::Facts;
use campanile_gateway::redis::reply::Version;
use campanile_measure::{Work, data, run};
use campanile_proto::{Encoding, Message};

const CHANNEL: &str = "room:271828";
const PAYLOAD: usize = 128;

/// Messages that a busy client's socket takes with one write, and commands that one read brings.
const AT_ONCE: usize = 16;

/// A gateway on which everything is allowed.
struct Gateway;

impl Around for Gateway {
    fn is_open(&self, _: &[u8]) -> bool {
        true
    }

    fn may_publish(&mut self) -> bool {
        true
    }

    fn facts(&self) -> Facts {
        Facts::default()
    }
}

fn main() -> ExitCode {
    run(&[
        ("read Redis publish", read),
        ("answer Redis publish", answer),
        ("encode Redis message", encode),
        ("write Redis message", write),
    ])
}

fn message() -> Message {
    let payload = data::payload(PAYLOAD).into();
    Message { encoding: Encoding::Json, event: Bytes::from_static(b"message"), payload }
}

fn publish() -> Vec<u8> {
    let payload = data::payload(PAYLOAD);
    let head = format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{CHANNEL}\r\n${PAYLOAD}\r\n", CHANNEL.len());
    [head.as_bytes(), &payload, b"\r\n"].concat()
}

/// A publish out of what a client has sent. The socket gives [`AT_ONCE`] of them at a time.
fn read() -> Work {
    let bytes = publish().repeat(AT_ONCE);
    let mut decoder = Decoder::new(Bounds { bulk: 1 << 20, arguments: 100 });
    Box::new(move || {
        let command = match decoder.take().expect("no fault") {
            Some(command) => command,
            None => {
                decoder.feed(black_box(&bytes));
                decoder.take().expect("no fault").expect("a command")
            }
        };
        black_box(command);
    })
}

/// The rules of a publish, and of its answer.
fn answer() -> Work {
    let command =
        Command { arguments: vec![Bytes::from("PUBLISH"), Bytes::from(CHANNEL), message().payload] };
    let (mut connection, mut out) = (Connection::new(1, 100), Outcome::default());
    let mut token = 0_u32;
    Box::new(move || {
        connection.receive(Ok(black_box(command.clone())), &mut Gateway, &mut out);
        black_box(&out.effects);
        out.effects.clear();
        connection.answered(token, Ok(1), &mut out);
        token = token.wrapping_add(1);
        black_box(&out.reply);
        out.reply.clear();
    })
}

/// What is done once per message, however many clients get it.
fn encode() -> Work {
    let message = message();
    Box::new(move || {
        black_box(codec().encode(CHANNEL.as_bytes(), black_box(&message), 271_828));
    })
}

/// What is done for each client that gets it.
fn write() -> Work {
    let body = codec().encode(CHANNEL.as_bytes(), &message(), 271_828);
    let tag = tag(Kind::Channel, CHANNEL.as_bytes());
    let write = write_event(Version::Resp3);
    let mut wire = Wire::default();
    let mut waiting = 0;
    Box::new(move || {
        if waiting == AT_ONCE {
            wire = Wire::default();
            waiting = 0;
        }
        waiting += 1;
        write(black_box(&tag), Encoding::Json, black_box(&body), &mut wire);
    })
}
