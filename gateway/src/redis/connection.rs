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
use crate::hub::reason::Reason;
use crate::hub::{Query, Told};
use crate::redis::answers::{self, NOT_OPEN, PATTERN_TOO_LONG, TOO_LONG, TOO_MANY};
use crate::redis::catalog;
use crate::redis::codec;
use crate::redis::command::{self, Kind, Refused, Spec, Verb, look_up};
use crate::redis::decode::{Command, Fault};
use crate::redis::greeting::{self, Greeting};
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
            Verb::Hello => self.hello(rest(1), out),
            Verb::Reset => self.reset(out),
            Verb::Quit => {
                self.ok(out);
                self.end(Ending::Gone, out);
            }
            Verb::Web => self.end(Ending::Malformed, out),
            _ => self.run_plain(spec, arguments, around, out),
        }
    }

    /// What touches no subscription.
    fn run_plain(
        &mut self,
        spec: &'static Spec,
        arguments: &[Bytes],
        around: &mut dyn Around,
        out: &mut Outcome,
    ) {
        let rest = |from: usize| arguments.get(from..).unwrap_or_default();
        let first = arguments.get(1);
        match spec.verb {
            Verb::Echo => self.reply(out, |to| to.bulk(first.map_or(&b""[..], |text| text))),
            Verb::Auth => self.ok_or(greeting::authenticate(rest(1)), out),
            Verb::Select => self.ok_or(greeting::select(rest(1)), out),
            Verb::ClientId => {
                let id = self.id.cast_signed();
                self.reply(out, |to| to.integer(id));
            }
            Verb::ClientSetName => {
                let name = greeting::read_name(arguments.get(2).map_or(&b""[..], |name| name));
                let named = name.map(|name| self.name = name);
                self.ok_or(named, out);
            }
            Verb::ClientGetName => {
                let name = self.name.clone();
                self.reply(out, |to| if name.is_empty() { to.null() } else { to.bulk(&name) });
            }
            Verb::ClientSetInfo => self.ok_or(greeting::set_info(rest(2)), out),
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
            _ => self.refuse(&command::wrong_number(spec), out),
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
            return self.reply(out, |to| answers::published(Err(reason), to));
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
            answers::unsubscribed(kind, Some(name), self.subscriptions.count(kind), &mut to);
        }
        if names.is_empty() {
            answers::unsubscribed(kind, None, self.subscriptions.count(kind), &mut to);
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
            return self.reply(out, |to| answers::told(&question, Ok(Told::Listeners(Vec::new())), to));
        }
        self.ask(question, Query::Listeners(asked), out);
    }

    fn ask(&mut self, question: Question, query: Query, out: &mut Outcome) {
        let token = self.pending.push(Slot::Ask { question, told: None });
        out.effect(Effect::Ask { token, query });
    }

    fn hello(&mut self, arguments: &[Bytes], out: &mut Outcome) {
        match greeting::read(arguments, self.version) {
            Ok(Greeting { version, name }) => {
                self.name = name.unwrap_or_else(|| self.name.clone());
                self.turn_to(Then::Hello(version), version, out);
            }
            Err(refused) => self.refuse(&refused, out),
        }
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
                Slot::Publish { answer: Some(result), .. } => answers::published(result, &mut to),
                Slot::Publish { answer: None, .. } | Slot::Ask { told: None, .. } => {}
                Slot::Ask { question, told: Some(told) } => answers::told(&question, told, &mut to),
                Slot::Turn { then: Then::Hello(version), .. } => info::hello(version, self.id, &mut to),
                Slot::Turn { then: Then::Reset, .. } => to.simple("RESET"),
                Slot::Subscribe(Subscribing { kind, names, tags, .. }) => {
                    for (name, is_new) in &names {
                        let count = self.subscriptions.confirm(kind, *is_new);
                        answers::subscribed(kind, name, count, &mut to);
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

    fn ok_or(&mut self, result: Result<(), Refused>, out: &mut Outcome) {
        match result {
            Ok(()) => self.ok(out),
            Err(refused) => self.refuse(&refused, out),
        }
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

/// Commands of clients of version 2 that are subscribed to anything.
fn is_for_subscribers(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::Subscribe(_) | Verb::Unsubscribe(_) | Verb::Ping | Verb::Quit | Verb::Reset | Verb::Web
    )
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
