//! A Redis client's bytes: commands out of pieces of any size, and through the rules of a connection whose hub answers at
//! once.

use std::collections::BTreeSet;

use bytes::Bytes;
use campanile_gateway::hub::{Query, Told};
use campanile_gateway::redis::connection::{Around, Connection, Effect, Outcome};
use campanile_gateway::redis::decode::{Bounds, Command, Decoder, Fault};
use campanile_gateway::redis::info::Facts;
use campanile_proto::ids::{PATTERN_BYTES, TOPIC_BYTES};
use redis_protocol::{resp2, resp3};

use crate::Verdict;
use crate::input::Input;

/// Small ones, so that they are met.
const BOUNDS: Bounds = Bounds { bulk: 2_000, arguments: 50 };

/// Subscriptions of a connection.
const SUBSCRIPTIONS: usize = 20;

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

/// How many bytes come at a time, and the bytes.
pub(crate) fn run(data: &[u8]) -> Verdict {
    let mut input = Input::new(data);
    let step = 1 + usize::from(input.byte());
    let bytes = input.rest();
    let (commands, fault) = read(bytes, step);
    assert_eq!((&commands, fault), as_refs(&read(bytes, bytes.len().max(1))), "in pieces of {step}");
    let mut sent = Vec::new();
    for Command { arguments } in &commands {
        assert!(!arguments.is_empty());
        sent.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
        for argument in arguments {
            sent.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            sent.extend_from_slice(argument);
            sent.extend_from_slice(b"\r\n");
        }
    }
    // Inline commands may be longer than what comes with lengths.
    let is_within = |command: &Command| {
        command.arguments.len() <= BOUNDS.arguments
            && command.arguments.iter().all(|argument| argument.len() <= BOUNDS.bulk)
    };
    if commands.iter().all(is_within) {
        assert_eq!(read(&sent, step), (commands.clone(), None), "sent again");
    }
    let verdict = if commands.is_empty() && fault.is_some() { Verdict::Refused } else { Verdict::Accepted };
    answer(commands, fault);
    verdict
}

fn as_refs((commands, fault): &(Vec<Command>, Option<Fault>)) -> (&Vec<Command>, Option<Fault>) {
    (commands, *fault)
}

fn read(bytes: &[u8], step: usize) -> (Vec<Command>, Option<Fault>) {
    let (mut decoder, mut commands) = (Decoder::new(BOUNDS), Vec::new());
    for piece in bytes.chunks(step) {
        decoder.feed(piece);
        loop {
            match decoder.take() {
                Ok(Some(command)) => commands.push(command),
                Ok(None) => break,
                Err(fault) => return (commands, Some(fault)),
            }
        }
    }
    (commands, None)
}

/// Whatever is asked for, there are whole replies, and nothing waits once the hub has answered.
fn answer(commands: Vec<Command>, fault: Option<Fault>) {
    let mut connection = Connection::new(1, SUBSCRIPTIONS);
    let mut subscribed = BTreeSet::new();
    for received in commands.into_iter().map(Ok).chain(fault.map(Err)) {
        if !connection.may_receive() {
            return;
        }
        let mut out = Outcome::default();
        connection.receive(received, &mut Gateway, &mut out);
        loop {
            let effects = std::mem::take(&mut out.effects);
            check_replies(&mut out.reply);
            if out.end.is_some() {
                return;
            }
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                carry_out(&mut connection, effect, &mut subscribed, &mut out);
            }
            connection.go_on(&mut Gateway, &mut out);
        }
        assert!(connection.may_receive() && !connection.may_hold(), "something waits for nothing");
        assert!(subscribed.len() <= SUBSCRIPTIONS);
    }
}

fn carry_out(connection: &mut Connection, effect: Effect, subscribed: &mut BTreeSet<u32>, out: &mut Outcome) {
    match effect {
        Effect::Join { number, topic, .. } => {
            assert!(topic.len() <= PATTERN_BYTES.max(*TOPIC_BYTES.end()), "{} bytes", topic.len());
            assert!(subscribed.insert(number), "{number} twice");
            connection.joined(number, out);
        }
        Effect::Leave { number, told } => {
            assert!(subscribed.remove(&number), "{number} was none");
            if told {
                connection.left(out);
            }
        }
        Effect::Publish { token, topic, .. } => {
            assert!(TOPIC_BYTES.contains(&topic.len()), "{} bytes", topic.len());
            connection.answered(token, Ok(1), out);
        }
        Effect::Ask { token, query } => {
            let told = match query {
                Query::Topics { .. } => Told::Topics(vec![Bytes::from_static(b"a\r\n")]),
                Query::Listeners(topics) => Told::Listeners(vec![1; topics.len()]),
                Query::Patterns => Told::Patterns(1),
            };
            connection.told(token, Ok(told), out);
        }
        Effect::Turn { token } => connection.turn(token, out),
        Effect::Speak(_) | Effect::Refused(_) | Effect::NotJoined(_) => {}
    }
}

fn check_replies(replies: &mut Vec<u8>) {
    let mut rest = replies.as_slice();
    while !rest.is_empty() {
        // Some errors quote what is no UTF-8, which that decoder wants of them.
        if rest.first() == Some(&b'-') {
            let end = rest.windows(2).position(|two| two == b"\r\n").expect("a line");
            rest = &rest[end + 2..];
            continue;
        }
        // Each version has a null of its own.
        let length = match resp2::decode::decode(rest) {
            Ok(reply) => reply.expect("a whole reply").1,
            Err(_) => resp3::decode::complete::decode(rest).expect("a reply").expect("a whole one").1,
        };
        rest = &rest[length..];
    }
    replies.clear();
}
