//! Frames of clients: read, answered, and a topic's events as clients get them.

#![expect(clippy::expect_used, reason = "a bench ends at what it did not expect")]

use std::hint::black_box;
use std::process::ExitCode;

use bytes::Bytes;
use campanile_gateway::client::wire::Wire;
use campanile_gateway::phoenix::codec::{codec, tag, write_event};
use campanile_gateway::phoenix::frame::{Name, Ref, Version, read_binary, read_text, write_reply};
use campanile_measure::{Work, data, run};
use campanile_proto::{Encoding, Message};

const TOPIC: &str = "room:271828";
const EVENT: &str = "message";
const PAYLOAD: usize = 128;

/// Events that a busy client's socket takes with one write.
const PER_WRITE: u32 = 16;

fn main() -> ExitCode {
    run(&[
        ("read text V1", || read(Version::V1)),
        ("read text V2", || read(Version::V2)),
        ("read binary V2", read_bytes),
        ("write reply V1", || reply(Version::V1)),
        ("write reply V2", || reply(Version::V2)),
        ("encode event V1", || encode(Version::V1, Encoding::Json)),
        ("encode event V2", || encode(Version::V2, Encoding::Json)),
        ("encode binary event V1", || encode(Version::V1, Encoding::Binary)),
        ("encode binary event V2", || encode(Version::V2, Encoding::Binary)),
        ("write event V1", || write(Version::V1, Encoding::Json)),
        ("write event V2", || write(Version::V2, Encoding::Json)),
        ("write binary event V2", || write(Version::V2, Encoding::Binary)),
    ])
}

fn payload() -> Bytes {
    data::payload(PAYLOAD).into()
}

fn message(encoding: Encoding) -> Message {
    Message { encoding, event: Bytes::from_static(EVENT.as_bytes()), payload: payload() }
}

/// A client's publish as text.
fn read(version: Version) -> Work {
    let payload = String::from_utf8(data::payload(PAYLOAD)).expect("text");
    let frame: Bytes = match version {
        Version::V1 => format!(
            r#"{{"topic":"{TOPIC}","event":"{EVENT}","payload":{payload},"ref":"37","join_ref":"5"}}"#
        ),
        Version::V2 => format!(r#"["5","37","{TOPIC}","{EVENT}",{payload}]"#),
    }
    .into();
    Box::new(move || {
        black_box(read_text(version, black_box(&frame)).expect("a frame"));
    })
}

/// The same as a binary frame.
fn read_bytes() -> Work {
    let mut frame = vec![0, 1, 2, TOPIC.len() as u8, EVENT.len() as u8];
    frame.extend_from_slice(format!("537{TOPIC}{EVENT}").as_bytes());
    frame.extend_from_slice(&payload());
    let frame = Bytes::from(frame);
    Box::new(move || {
        black_box(read_binary(black_box(&frame)).expect("a frame"));
    })
}

/// The answer to a publish of a channel with positions.
fn reply(version: Version) -> Work {
    let (join_ref, reference) = (Ref::Text("5".into()), Ref::Text("37".into()));
    let topic = Name::Text(TOPIC.into());
    Box::new(move || {
        let response = black_box(br#"{"offset":271828}"#);
        black_box(write_reply(version, &join_ref, &reference, &topic, true, response));
    })
}

/// What is done once per message and codec, however many clients get it.
fn encode(version: Version, encoding: Encoding) -> Work {
    let (codec, message) = (codec(version, false), message(encoding));
    Box::new(move || {
        black_box(codec.encode(TOPIC.as_bytes(), black_box(&message), 271_828));
    })
}

/// What is done for each client that gets it: frame header, tag, shared bytes. The socket is given
/// [`PER_WRITE`] events at a time.
fn write(version: Version, encoding: Encoding) -> Work {
    let body = codec(version, false).encode(TOPIC.as_bytes(), &message(encoding), 271_828);
    let tag = tag(&Ref::Text("5".into()));
    let mut wire = Wire::default();
    let mut waiting = 0;
    Box::new(move || {
        if waiting == PER_WRITE {
            wire = Wire::default();
            waiting = 0;
        }
        waiting += 1;
        write_event(version, black_box(&tag), encoding, black_box(&body), &mut wire);
    })
}
