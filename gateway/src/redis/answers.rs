//! The words of answers that the hub has a part in: to those who subscribe, publish and ask.

use bytes::Bytes;

use crate::hub::Told;
use crate::hub::reason::{Published, Reason};
use crate::redis::command::Kind;
use crate::redis::pending::Question;
use crate::redis::reply::Writer;

/// A channel's name makes a topic that would be longer than topics are.
pub(crate) const TOO_LONG: &str = "ERR channel name is too long";
/// A pattern is longer than patterns may be.
pub(crate) const PATTERN_TOO_LONG: &str = "ERR pattern is too long";
/// A connection would have more subscriptions than it may.
pub(crate) const TOO_MANY: &str = "ERR too many subscriptions";
/// A channel is none that may be used.
pub(crate) const NOT_OPEN: &str =
    "NOPERM unmatched topic: no [[topics]] pattern of this gateway matches the channel";

/// One of the answers to a command that subscribes; `count` is how many there are then.
pub(crate) fn subscribed(kind: Kind, name: &[u8], count: usize, to: &mut Writer<'_>) {
    let (_, word, _) = kind.words();
    to.push(3);
    to.bulk(word.as_bytes());
    to.bulk(name);
    to.integer(count as i64);
}

/// One of the answers to a command that ends subscriptions, or the only one where there were none.
pub(crate) fn unsubscribed(kind: Kind, name: Option<&Bytes>, count: usize, to: &mut Writer<'_>) {
    let (_, _, word) = kind.words();
    to.push(3);
    to.bulk(word.as_bytes());
    match name {
        Some(name) => to.bulk(name),
        None => to.null(),
    }
    to.integer(count as i64);
}

/// The answer to a publish: how many clients got it, or whether anything happened and whether to try again.
pub(crate) fn published(result: Result<u64, Reason>, to: &mut Writer<'_>) {
    match result {
        Ok(receivers) => to.integer(receivers.cast_signed()),
        Err(Reason::UnmatchedTopic) => to.error(NOT_OPEN),
        Err(reason) => {
            let outcome = match reason.outcome() {
                Published::Not => "not_published",
                Published::Unknown => "unknown",
            };
            to.error(&format!("ERR {}, outcome: {outcome}, retry: {}", reason.text(), reason.retry()));
        }
    }
}

/// The answer to a question.
pub(crate) fn told(question: &Question, told: Result<Told, Reason>, to: &mut Writer<'_>) {
    match (question, told) {
        (_, Err(reason)) => to.error(&format!("ERR {}", reason.text())),
        (Question::Channels, Ok(Told::Topics(names))) => {
            to.array(names.len());
            names.iter().for_each(|name| to.bulk(name));
        }
        (Question::Listeners(asked), Ok(Told::Listeners(counts))) => {
            let mut counts = counts.into_iter();
            to.array(2 * asked.len());
            for (name, was_asked) in asked {
                let count = was_asked.then(|| counts.next()).flatten();
                to.bulk(name);
                to.integer(count.unwrap_or(0).cast_signed());
            }
        }
        (Question::Patterns, Ok(Told::Patterns(count))) => to.integer(count.cast_signed()),
        // The hub answers what it was asked.
        (_, Ok(_)) => to.error("ERR no such answer"),
    }
}
