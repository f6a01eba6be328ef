//! What clients do and are told.

use campanile_proto::Epoch;

use super::ledger::{Attempt, Post};
use super::{Answer, Checker, Invariant, Waiting};
use crate::network::Micros;

/// How long a publish may take in a run of planned moves.
const STALL: Micros = 1_300_000;

impl Checker {
    /// Something new to publish.
    pub(crate) fn post(&mut self, topic: usize, keyed: bool) -> usize {
        self.posts.push(Post {
            topic,
            keyed,
            places: Vec::new(),
            answers: Vec::new(),
            attempts: 0,
            tried: 0,
        });
        self.posts.len() - 1
    }

    /// A client publishes.
    pub(crate) fn attempt(&mut self, post: usize, speaker: u64) -> usize {
        self.posts[post].attempts += 1;
        self.posts[post].tried = self.now;
        self.attempts.push(Attempt { post, speaker, answered: false });
        let attempt = self.attempts.len() - 1;
        self.waiting.insert(Waiting::Attempt(attempt), self.now);
        attempt
    }

    /// Nobody will hear the answer.
    pub(crate) fn forget(&mut self, waiting: Waiting) {
        self.waiting.remove(&waiting);
    }

    /// A client joins.
    pub(crate) fn joins(&mut self, client: usize, channel: u32) {
        self.waiting.insert(Waiting::Join(client, channel), self.now);
    }

    /// A publish is answered. Returns its post and how long it took.
    pub(crate) fn answered(&mut self, attempt: usize, answer: Answer) {
        let Attempt { post, speaker, answered } = &mut self.attempts[attempt];
        let (post, speaker) = (*post, *speaker);
        if std::mem::replace(answered, true) {
            return self
                .fail(Invariant::Answered, format!("attempt {attempt} of post {post} was answered twice"));
        }
        let asked = self.waiting.remove(&Waiting::Attempt(attempt)).unwrap_or(self.now);
        self.longest = self.longest.max(self.now - asked);
        self.posts[post].answers.push(answer);
        let topic = self.posts[post].topic;
        match answer {
            Answer::Position(epoch, offset) => {
                let life = self.topics[topic].iter().position(|life| life.epoch == epoch);
                let found = life.and_then(|life| self.topics[topic][life].messages.get(&offset));
                if found.map(|(post, _)| *post) != Some(post) {
                    let text =
                        format!("post {post} was acknowledged at {epoch} {offset}, where {found:?} is");
                    self.fail(Invariant::ExactlyOnce, text);
                }
                if let Some(life) = life.filter(|_| self.posts[post].attempts == 1) {
                    self.in_order((speaker, topic, life), attempt, offset);
                }
                if self.strictness.planned && self.now - asked > STALL {
                    let text = format!("post {post} of topic {topic} took {} us", self.now - asked);
                    self.fail(Invariant::PlannedMove, text);
                }
            }
            Answer::Not | Answer::Unknown if self.strictness.planned => {
                let text = format!("post {post} of topic {topic} was answered {answer:?}");
                self.fail(Invariant::PlannedMove, text);
            }
            Answer::Not => self.check_not(post),
            Answer::Unknown => {}
        }
    }

    fn in_order(&mut self, speaker: (u64, usize, usize), attempt: usize, offset: u64) {
        let order = self.orders.entry(speaker).or_default();
        let before = order.range(..attempt).next_back().is_none_or(|(_, before)| *before < offset);
        let after = order.range(attempt..).next().is_none_or(|(_, after)| *after > offset);
        order.insert(attempt, offset);
        if !before || !after {
            let text =
                format!("attempt {attempt} at {offset} of topic {} is out of order: {order:?}", speaker.1);
            self.fail(Invariant::OneOrder, text);
        }
    }

    /// A channel listens after a position. `asked`: the position that it came back with, and whether everything
    /// behind it is to follow.
    pub(crate) fn joined(
        &mut self,
        client: usize,
        channel: u32,
        topic: usize,
        position: (Epoch, u64),
        resumed: Option<((Epoch, u64), bool)>,
    ) {
        if self.waiting.remove(&Waiting::Join(client, channel)).is_none() {
            self.fail(Invariant::Answered, format!("client {client} was told twice that {channel} listens"));
        }
        self.known_position(client, topic, position);
        match resumed {
            Some((asked, true)) if asked != position => {
                let text =
                    format!("client {client} asked for {asked:?} and was told that {position:?} is that");
                self.fail(Invariant::HonestResume, text);
            }
            Some((asked, false)) if self.strictness.planned => {
                let text = format!("client {client} could not resume topic {topic} after {asked:?}");
                self.fail(Invariant::PlannedMove, text);
            }
            Some(((epoch, offset), false))
                if self.strictness.whole_history && epoch == position.0 && offset <= position.1 =>
            {
                let text = format!("client {client} could not resume topic {topic} {epoch} after {offset}");
                self.fail(Invariant::HonestResume, text);
            }
            _ => {}
        }
    }

    /// A channel was refused.
    pub(crate) fn join_failed(&mut self, client: usize, channel: u32, topic: usize) {
        if self.waiting.remove(&Waiting::Join(client, channel)).is_none() {
            self.fail(Invariant::Answered, format!("client {client} was told of {channel} without a join"));
        }
        if self.strictness.planned {
            self.fail(Invariant::PlannedMove, format!("client {client} could not join topic {topic}"));
        }
    }

    /// A channel that has everything up to `last` gets an event.
    pub(crate) fn event(
        &mut self,
        client: usize,
        topic: usize,
        (epoch, last): (Epoch, u64),
        offset: u64,
        post: usize,
        unanswered: bool,
    ) {
        if unanswered && self.posts[post].attempts == 1 {
            let text = format!("client {client} got its own post {post} of topic {topic} before the reply");
            return self.fail(Invariant::Answered, text);
        }
        if offset != last + 1 {
            let text = format!("client {client} got {offset} of topic {topic} {epoch} after {last}");
            return self.fail(Invariant::NoSilentGap, text);
        }
        match self.topics[topic].iter().position(|life| life.epoch == epoch) {
            Some(life) => self.place(topic, life, offset, post, None),
            None => {
                self.fail(Invariant::NoSilentGap, format!("client {client} is in an unknown epoch {epoch}"))
            }
        }
    }

    /// A channel is told that it goes on after another position.
    pub(crate) fn lost(&mut self, client: usize, topic: usize, before: (Epoch, u64), position: (Epoch, u64)) {
        self.known_position(client, topic, position);
        if self.strictness.planned {
            let text = format!("client {client} lost something of topic {topic}: {before:?} to {position:?}");
            self.fail(Invariant::PlannedMove, text);
        }
        if before.0 == position.0 && (self.strictness.whole_history || position.1 <= before.1) {
            let text = format!("client {client} was told of a loss that is none: {before:?} to {position:?}");
            self.fail(Invariant::HonestResume, text);
        }
    }

    fn known_position(&mut self, client: usize, topic: usize, (epoch, offset): (Epoch, u64)) {
        let top = self.topics[topic].iter().find(|life| life.epoch == epoch).map(|life| life.top);
        if top.is_none_or(|top| offset > top) {
            let text = format!(
                "client {client} was put at {offset} of topic {topic} {epoch}, which has come to {top:?}"
            );
            self.fail(Invariant::HonestResume, text);
        }
    }

    pub(crate) fn event_before_join(&mut self, client: usize, topic: usize) {
        self.fail(Invariant::NoSilentGap, format!("client {client} got an event of topic {topic} too early"));
    }

    pub(crate) fn answered_twice(&mut self, client: usize, token: u32) {
        self.fail(Invariant::Answered, format!("client {client} got an answer to {token}, which has one"));
    }
}
