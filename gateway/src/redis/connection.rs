//! The rules of one Redis connection: a command of the client or an answer of the hub in, replies and effects out, in
//! order. No socket, no hub, no clock.
//!
//! Commands take effect one after the other, as in Redis. Those that wait for an owner do so together where that makes
//! no difference: publishes with publishes, subscriptions with subscriptions. What may not overtake them is kept, one
//! command at most, and nothing more is read until its turn has come.

use std::sync::Arc;

use bytes::Bytes;
use campanile_proto::ids::PATTERN_BYTES;
use campanile_proto::names::{self, Space};

use crate::client::close::Ending;
use crate::client::outbox::Tag;
use crate::hub::reason::{Published, Reason};
use crate::hub::{Query, Told};
use crate::redis::catalog;
use crate::redis::codec;
use crate::redis::command::{self, Kind, Refused, Spec, Verb, look_up};
use crate::redis::decode::{Command, Fault, number};
use crate::redis::info::{self, Facts};
use crate::redis::pending::{Pending, Phase, Question, Slot, Subscribing, Then};
use crate::redis::reply::{Version, Writer};
use crate::redis::subscriptions::{Added, Subscriptions};

/// What a Redis connection may have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes queued for it.
    pub outbox: usize,
    /// Bytes of an argument.
    pub bulk: usize,
    /// Channels and patterns that it may be subscribed to.
    pub subscriptions: usize,
}

/// What the rules ask of the gateway around them.
pub trait Around {
    /// Whether a channel of this name may be used.
    fn is_open(&self, name: &[u8]) -> bool;
    /// Whether the client may publish once more now.
    fn may_publish(&mut self) -> bool;
    /// What is known of the gateway.
    fn facts(&self) -> Facts;
}

/// What is to be done, in this order: the effects, the replies, the end.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the hub is to do.
    pub effects: Vec<Effect>,
    /// What the client gets.
    pub reply: Vec<u8>,
    /// The connection is over behind that.
    pub end: Option<Ending>,
}

/// Something for the hub, or for what is around the rules.
#[derive(Debug)]
pub enum Effect {
    /// Subscribe to a topic, or to a pattern; the answer goes to [`Connection::joined`].
    Join {
        /// The subscription's number.
        number: u32,
        /// What it is to.
        kind: Kind,
        /// The topic or the pattern.
        topic: Bytes,
        /// What stands in front of its messages.
        tag: Arc<Tag>,
    },
    /// End a subscription.
    Leave {
        /// Its number.
        number: u32,
        /// Whether [`Connection::left`] is to hear when no owner counts it any more.
        told: bool,
    },
    /// Publish; the answer goes to [`Connection::answered`].
    Publish {
        /// What the answer is to name.
        token: u32,
        /// The topic.
        topic: Bytes,
        /// What is published.
        payload: Bytes,
    },
    /// Ask all topic servers; the answer goes to [`Connection::told`].
    Ask {
        /// What the answer is to name.
        token: u32,
        /// What is asked.
        query: Query,
    },
    /// Say so to [`Connection::turn`] when all that is queued for the client has been taken.
    Turn {
        /// What to name there.
        token: u32,
    },
    /// Messages are written as this version writes them, from here on.
    Speak(Version),
    /// A publish was refused here.
    Refused(Reason),
    /// A subscription was refused here.
    NotJoined(Reason),
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    name: Bytes,
    version: Version,
    /// Subscriptions that it may have.
    limit: usize,
    subscriptions: Subscriptions,
    pending: Pending,
    /// A command that has to wait for replies, with what it is, or why it is none.
    waiting: Option<(Command, Result<&'static Spec, Refused>)>,
    /// The end, behind all replies.
    ending: Option<Ending>,
}

impl Outcome {
    fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
}

impl Connection {
    /// A new connection of this number, which may have so many subscriptions.
    pub fn new(id: u64, limit: usize) -> Self {
        Self {
            id,
            name: Bytes::new(),
            version: Version::default(),
            limit,
            subscriptions: Subscriptions::default(),
            pending: Pending::default(),
            waiting: None,
            ending: None,
        }
    }

    /// Whether a further command may come.
    pub fn may_receive(&self) -> bool {
        self.waiting.is_none() && self.ending.is_none()
    }

    /// Whether messages with this tag have to wait, because the reply to their subscription does.
    pub fn holds(&self, tag: &Arc<Tag>) -> bool {
        self.subscriptions.holds(tag)
    }

    /// Whether there are any such.
    pub fn may_hold(&self) -> bool {
        self.subscriptions.may_hold()
    }

    /// The client sent a command, or something that is none.
    pub fn receive(&mut self, received: Result<Command, Fault>, around: &mut dyn Around, out: &mut Outcome) {
        if self.ending.is_some() {
            return;
        }
        match received {
            Ok(command) => {
                let found = look_up(&command);
                self.waiting = Some((command, found));
                self.go_on(around, out);
            }
            Err(fault) => {
                self.reply(out, |to| to.error(&format!("ERR Protocol error: {fault}")));
                self.end(Ending::Malformed, out);
            }
        }
    }

    /// Does the command that waits, if nothing is in its way any more. False if there is none, or something is.
    pub fn go_on(&mut self, around: &mut dyn Around, out: &mut Outcome) -> bool {
        match self.waiting.take() {
            Some((command, found)) if self.may_run(found.as_ref().ok().map(|spec| spec.verb)) => {
                match found {
                    Ok(spec) => self.run(&command, spec, around, out),
                    Err(refused) => self.refuse(&refused, out),
                }
                true
            }
            waiting => {
                self.waiting = waiting;
                false
            }
        }
    }

    /// Whether a command may be done now; `None` is one that is refused whatever it says.
    fn may_run(&self, verb: Option<Verb>) -> bool {
        match (self.pending.phase(), verb) {
            (Phase::Free, _) => true,
            (Phase::Publishing, Some(Verb::Publish(_))) => self.pending.takes_publish(),
            (Phase::Subscribing, Some(Verb::Subscribe(_))) => self.pending.takes_more(),
            (
                Phase::Publishing,
                Some(
                    Verb::Subscribe(_)
                    | Verb::Unsubscribe(_)
                    | Verb::Channels(_)
                    | Verb::NumSub(_)
                    | Verb::NumPat
                    | Verb::Hello
                    | Verb::Reset,
                ),
            ) => false,
            (Phase::Publishing, _) => self.pending.takes_more(),
            (Phase::Subscribing | Phase::Alone, _) => false,
        }
    }

    fn run(&mut self, command: &Command, spec: &'static Spec, around: &mut dyn Around, out: &mut Outcome) {
        let arguments = command.arguments.as_slice();
        let rest = |from: usize| arguments.get(from..).unwrap_or_default();
        let first = arguments.get(1);
        if self.version == Version::Resp2
            && self.subscriptions.confirmed() > 0
            && !is_for_subscribers(spec.verb)
        {
            let text = format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                 this context",
                spec.name
            );
            return self.reply(out, |to| to.error(&text));
        }
        match spec.verb {
            Verb::Publish(kind) => self.publish(kind, rest(1), around, out),
            Verb::Subscribe(kind) => self.subscribe(kind, rest(1), around, out),
            Verb::Unsubscribe(kind) => self.unsubscribe(kind, rest(1), out),
            Verb::Channels(_) if arguments.len() > 3 => self.refuse(&command::wrong_subcommand(command), out),
            Verb::Channels(kind) => {
                let pattern = arguments.get(2).map(|pattern| Bytes::copy_from_slice(pattern));
                let space = if kind == Kind::Shard { Space::Sharded } else { Space::Plain };
                self.ask(Question::Channels, Query::Topics { pattern, space }, out);
            }
            Verb::NumSub(kind) => self.count_listeners(kind, rest(2), out),
            Verb::NumPat => self.ask(Question::Patterns, Query::Patterns, out),
            Verb::Ping if arguments.len() > 2 => self.refuse(&command::wrong_number(spec), out),
            Verb::Ping => {
                let is_subscribed = self.version == Version::Resp2 && self.subscriptions.confirmed() > 0;
                self.reply(out, |to| match first {
                    text if is_subscribed => {
                        to.array(2);
                        to.bulk(b"pong");
                        to.bulk(text.map_or(&b""[..], |text| text));
                    }
                    Some(text) => to.bulk(text),
                    None => to.simple("PONG"),
                });
            }
            Verb::Echo => self.reply(out, |to| to.bulk(first.map_or(&b""[..], |text| text))),
            Verb::Hello => self.hello(rest(1), out),
            Verb::Auth => match rest(1) {
                [_] => self.fail(
                    "ERR AUTH <password> called without any password configured for the default user. Are you sure \
                     your configuration is correct?",
                    out,
                ),
                [user, _] if is_known(user) => self.ok(out),
                [_, _] => self.fail(WRONG_PASSWORD, out),
                _ => self.fail("ERR syntax error", out),
            },
            Verb::Select => match first.and_then(|index| number(index)) {
                Some(0) => self.ok(out),
                Some(_) => self.fail("ERR DB index is out of range", out),
                None => self.fail("ERR value is not an integer or out of range", out),
            },
            Verb::Quit => {
                self.ok(out);
                self.end(Ending::Gone, out);
            }
            Verb::Reset => self.reset(out),
            Verb::ClientId => {
                let id = self.id.cast_signed();
                self.reply(out, |to| to.integer(id));
            }
            Verb::ClientSetName => match first_name(rest(2)) {
                Ok(name) => {
                    self.name = name;
                    self.ok(out);
                }
                Err(text) => self.fail(text, out),
            },
            Verb::ClientGetName => {
                let name = self.name.clone();
                self.reply(out, |to| if name.is_empty() { to.null() } else { to.bulk(&name) });
            }
            Verb::ClientSetInfo => self.set_info(rest(2), out),
            Verb::Info => {
                let facts = around.facts();
                self.reply(out, |to| info::info(rest(1), &facts, to));
            }
            Verb::ConfigGet => {
                let facts = around.facts();
                self.reply(out, |to| info::config(rest(2), &facts, to));
            }
            Verb::Commands => self.reply(out, catalog::all),
            Verb::CommandCount => self.reply(out, catalog::count),
            Verb::CommandList if arguments.len() > 2 => self.fail("ERR syntax error", out),
            Verb::CommandList => self.reply(out, catalog::list),
            Verb::CommandInfo | Verb::CommandDocs if arguments.len() > 2 + catalog::NAMES => {
                self.refuse(&command::wrong_number(spec), out);
            }
            Verb::CommandInfo => self.reply(out, |to| catalog::info(rest(2), to)),
            Verb::CommandDocs => self.reply(out, |to| catalog::docs(rest(2), to)),
            Verb::Web => self.end(Ending::Malformed, out),
            Verb::Container => self.refuse(&command::wrong_number(spec), out),
        }
    }

    fn publish(&mut self, kind: Kind, arguments: &[Bytes], around: &mut dyn Around, out: &mut Outcome) {
        let [channel, payload] = arguments else { return };
        let space = if kind == Kind::Shard { Space::Sharded } else { Space::Plain };
        let Some(topic) = names::topic(space, channel) else {
            return self.fail(TOO_LONG, out);
        };
        let refused = if !around.is_open(channel) {
            Some(Reason::UnmatchedTopic)
        } else if !around.may_publish() {
            Some(Reason::RateLimited)
        } else {
            None
        };
        if let Some(reason) = refused {
            out.effect(Effect::Refused(reason));
            return self.fail(&publish_error(reason), out);
        }
        let bytes = payload.len();
        let token = self.pending.push(Slot::Publish { bytes, answer: None });
        out.effect(Effect::Publish { token, topic, payload: payload.clone() });
    }

    fn subscribe(&mut self, kind: Kind, wanted: &[Bytes], around: &mut dyn Around, out: &mut Outcome) {
        let mut topics = Vec::with_capacity(wanted.len());
        for name in wanted {
            let topic = match kind {
                Kind::Pattern => (name.len() <= PATTERN_BYTES).then(|| Bytes::copy_from_slice(name)),
                Kind::Channel => names::topic(Space::Plain, name),
                Kind::Shard => names::topic(Space::Sharded, name),
            };
            let Some(topic) = topic else {
                return self.fail(if kind == Kind::Pattern { PATTERN_TOO_LONG } else { TOO_LONG }, out);
            };
            if kind != Kind::Pattern && !around.is_open(name) {
                out.effect(Effect::NotJoined(Reason::UnmatchedTopic));
                return self.fail(NOT_OPEN, out);
            }
            topics.push(topic);
        }
        let Some(Added { names, numbers }) = self.subscriptions.add(kind, wanted, self.limit) else {
            out.effect(Effect::NotJoined(Reason::TooManyChannels));
            return self.fail(TOO_MANY, out);
        };
        let mut number = numbers.clone();
        let mut tags: Vec<Arc<Tag>> = Vec::new();
        for ((name, is_new), topic) in names.iter().zip(topics) {
            let Some(number) = is_new.then(|| number.next()).flatten() else { continue };
            // Those of one command share what stands in front of their messages, but for the pattern.
            let tag = match tags.last() {
                Some(tag) if kind != Kind::Pattern => Arc::clone(tag),
                _ => {
                    let tag = codec::tag(kind, name);
                    tags.push(Arc::clone(&tag));
                    tag
                }
            };
            out.effect(Effect::Join { number, kind, topic, tag });
        }
        self.subscriptions.hold(&tags);
        let left = numbers.len();
        self.pending.push(Slot::Subscribe(Subscribing { kind, names, numbers, left, tags }));
        self.flush(out);
    }

    fn unsubscribe(&mut self, kind: Kind, names: &[Bytes], out: &mut Outcome) {
        let names = if names.is_empty() { self.subscriptions.names(kind) } else { names.to_vec() };
        let (mut replies, mut left) = (Vec::new(), 0);
        let mut to = Writer::new(self.version, &mut replies);
        for name in &names {
            if let Some(number) = self.subscriptions.remove(kind, name) {
                out.effect(Effect::Leave { number, told: true });
                left += 1;
            }
            unsubscribed(kind, Some(name), self.subscriptions.count(kind), &mut to);
        }
        if names.is_empty() {
            unsubscribed(kind, None, self.subscriptions.count(kind), &mut to);
        }
        self.pending.push(Slot::Unsubscribe { replies, left });
        self.flush(out);
    }

    fn count_listeners(&mut self, kind: Kind, names: &[Bytes], out: &mut Outcome) {
        let space = if kind == Kind::Shard { Space::Sharded } else { Space::Plain };
        let topics: Vec<_> = names.iter().map(|name| names::topic(space, name)).collect();
        let asked = topics.iter().flatten().cloned().collect::<Vec<_>>();
        let question =
            Question::Listeners(names.iter().cloned().zip(topics.iter().map(Option::is_some)).collect());
        if asked.is_empty() {
            return self.reply(out, |to| answer(&question, Ok(Told::Listeners(Vec::new())), to));
        }
        self.ask(question, Query::Listeners(asked), out);
    }

    fn ask(&mut self, question: Question, query: Query, out: &mut Outcome) {
        let token = self.pending.push(Slot::Ask { question, told: None });
        out.effect(Effect::Ask { token, query });
    }

    fn hello(&mut self, arguments: &[Bytes], out: &mut Outcome) {
        let mut version = self.version;
        let mut rest = arguments;
        if let [wanted, options @ ..] = arguments {
            version = match number(wanted) {
                Some(2) => Version::Resp2,
                Some(3) => Version::Resp3,
                Some(_) => return self.fail("NOPROTO unsupported protocol version", out),
                None => return self.fail("ERR Protocol version is not an integer or out of range", out),
            };
            rest = options;
        }
        let mut name = None;
        let mut is_welcome = true;
        while let [option, options @ ..] = rest {
            rest = match options {
                [user, _, behind @ ..] if option.eq_ignore_ascii_case(b"auth") => {
                    is_welcome = is_known(user);
                    behind
                }
                [wanted, behind @ ..] if option.eq_ignore_ascii_case(b"setname") => {
                    match first_name(std::slice::from_ref(wanted)) {
                        Ok(wanted) => name = Some(wanted),
                        Err(text) => return self.fail(text, out),
                    }
                    behind
                }
                _ => {
                    let mut text = b"ERR Syntax error in HELLO option '".to_vec();
                    text.extend_from_slice(command::quoted(option, usize::MAX));
                    text.push(b'\'');
                    return self.reply(out, |to| to.error_bytes(&text));
                }
            };
        }
        if !is_welcome {
            return self.fail(WRONG_PASSWORD, out);
        }
        self.name = name.unwrap_or_else(|| self.name.clone());
        self.turn_to(Then::Hello(version), version, out);
    }

    fn reset(&mut self, out: &mut Outcome) {
        for number in self.subscriptions.clear() {
            out.effect(Effect::Leave { number, told: false });
        }
        self.name = Bytes::new();
        self.turn_to(Then::Reset, Version::Resp2, out);
    }

    /// Messages that are queued already are of the version before: they go out first.
    fn turn_to(&mut self, then: Then, version: Version, out: &mut Outcome) {
        let is_over = version == self.version;
        let token = self.pending.push(Slot::Turn { then, is_over });
        if is_over {
            self.flush(out);
        } else {
            out.effect(Effect::Turn { token });
        }
    }

    fn set_info(&mut self, arguments: &[Bytes], out: &mut Outcome) {
        let [option, value] = arguments else { return };
        let known = ["lib-name", "lib-ver"];
        match known.iter().find(|known| option.eq_ignore_ascii_case(known.as_bytes())) {
            None => {
                let mut text = b"ERR Unrecognized option '".to_vec();
                text.extend_from_slice(command::quoted(option, usize::MAX));
                text.push(b'\'');
                self.reply(out, |to| to.error_bytes(&text));
            }
            Some(known) if !is_printable(value) => {
                self.fail(
                    &format!("ERR {known} cannot contain spaces, newlines or special characters."),
                    out,
                );
            }
            Some(_) => self.ok(out),
        }
    }

    /// A publish was answered: so many clients got it, or why it was not done.
    pub fn answered(&mut self, token: u32, result: Result<u64, Reason>, out: &mut Outcome) {
        if let Some(Slot::Publish { answer, .. }) = self.pending.get(token) {
            *answer = Some(result);
            self.flush(out);
        }
    }

    /// Topic servers have answered a question.
    pub fn told(&mut self, token: u32, result: Result<Told, Reason>, out: &mut Outcome) {
        if let Some(Slot::Ask { told, .. }) = self.pending.get(token) {
            *told = Some(result);
            self.flush(out);
        }
    }

    /// A subscription is there: its messages follow.
    pub fn joined(&mut self, number: u32, out: &mut Outcome) {
        if let Some(subscribing) = self.pending.subscribing(number) {
            subscribing.left = subscribing.left.saturating_sub(1);
            self.flush(out);
        }
    }

    /// No owner counts a subscription any more that has ended.
    pub fn left(&mut self, out: &mut Outcome) {
        // Nothing overtakes a command that ends subscriptions, and so there is one of them.
        if let Some(left) = self.pending.unsubscribing() {
            *left = left.saturating_sub(1);
            self.flush(out);
        }
    }

    /// All that was queued before a turn has been taken.
    pub fn turn(&mut self, token: u32, out: &mut Outcome) {
        if let Some(Slot::Turn { then, is_over }) = self.pending.get(token) {
            *is_over = true;
            self.version = match *then {
                Then::Hello(version) => version,
                Then::Reset => Version::Resp2,
            };
            out.effect(Effect::Speak(self.version));
            self.flush(out);
        }
    }

    /// Writes the replies whose turn has come.
    fn flush(&mut self, out: &mut Outcome) {
        while let Some(slot) = self.pending.pop() {
            let mut to = Writer::new(self.version, &mut out.reply);
            match slot {
                Slot::Ready(replies) | Slot::Unsubscribe { replies, .. } => {
                    out.reply.extend_from_slice(&replies)
                }
                Slot::Publish { answer: Some(Ok(receivers)), .. } => to.integer(receivers.cast_signed()),
                Slot::Publish { answer: Some(Err(reason)), .. } => to.error(&publish_error(reason)),
                Slot::Publish { answer: None, .. } | Slot::Ask { told: None, .. } => {}
                Slot::Ask { question, told: Some(told) } => answer(&question, told, &mut to),
                Slot::Turn { then: Then::Hello(version), .. } => info::hello(version, self.id, &mut to),
                Slot::Turn { then: Then::Reset, .. } => to.simple("RESET"),
                Slot::Subscribe(Subscribing { kind, names, tags, .. }) => {
                    for (name, is_new) in &names {
                        let count = self.subscriptions.confirm(kind, *is_new);
                        let (_, word, _) = kind.words();
                        to.push(3);
                        to.bulk(word.as_bytes());
                        to.bulk(name);
                        to.integer(count as i64);
                    }
                    self.subscriptions.let_go(&tags);
                }
            }
        }
        if self.pending.is_empty() {
            out.end = self.ending;
        }
    }

    fn end(&mut self, ending: Ending, out: &mut Outcome) {
        self.ending = Some(ending);
        self.flush(out);
    }

    fn ok(&mut self, out: &mut Outcome) {
        self.reply(out, |to| to.simple("OK"));
    }

    fn fail(&mut self, text: &str, out: &mut Outcome) {
        self.reply(out, |to| to.error(text));
    }

    fn refuse(&mut self, Refused(text): &Refused, out: &mut Outcome) {
        self.reply(out, |to| to.error_bytes(text));
    }

    /// A reply behind those that wait.
    fn reply(&mut self, out: &mut Outcome, write: impl FnOnce(&mut Writer<'_>)) {
        if self.pending.is_empty() {
            write(&mut Writer::new(self.version, &mut out.reply));
        } else {
            let mut reply = Vec::new();
            write(&mut Writer::new(self.version, &mut reply));
            self.pending.push(Slot::Ready(reply));
        }
    }
}

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const TOO_LONG: &str = "ERR channel name is too long";
const PATTERN_TOO_LONG: &str = "ERR pattern is too long";
const TOO_MANY: &str = "ERR too many subscriptions";
const NOT_OPEN: &str = "NOPERM unmatched topic: no [[topics]] pattern of this gateway matches the channel";

/// Commands of clients of version 2 that are subscribed to anything.
fn is_for_subscribers(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::Subscribe(_) | Verb::Unsubscribe(_) | Verb::Ping | Verb::Quit | Verb::Reset | Verb::Web
    )
}

/// The one user, who needs no password.
fn is_known(user: &[u8]) -> bool {
    user == b"default"
}

/// The name of a connection, the first of these.
fn first_name(arguments: &[Bytes]) -> Result<Bytes, &'static str> {
    match arguments {
        [name, ..] if is_printable(name) => Ok(Bytes::copy_from_slice(name)),
        _ => Err("ERR Client names cannot contain spaces, newlines or special characters."),
    }
}

fn is_printable(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

fn publish_error(reason: Reason) -> String {
    if reason == Reason::UnmatchedTopic {
        return NOT_OPEN.to_owned();
    }
    let outcome = match reason.outcome() {
        Published::Not => "not_published",
        Published::Unknown => "unknown",
    };
    format!("ERR {}, outcome: {outcome}, retry: {}", reason.text(), reason.retry())
}

fn unsubscribed(kind: Kind, name: Option<&Bytes>, count: usize, to: &mut Writer<'_>) {
    let (_, _, word) = kind.words();
    to.push(3);
    to.bulk(word.as_bytes());
    match name {
        Some(name) => to.bulk(name),
        None => to.null(),
    }
    to.integer(count as i64);
}

/// The answer to a question.
fn answer(question: &Question, told: Result<Told, Reason>, to: &mut Writer<'_>) {
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

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
