//! What topic servers say.

use std::collections::BTreeMap;

use campanile_proto::{Epoch, Incarnation};

use super::ledger::Life;
use super::{Answer, Checker, Invariant};
use crate::network::Micros;

/// When a publish must not run any more: its time, and what cannot be known of the time that it was under way.
const TOO_LATE: Micros = 5_600_000;

impl Checker {
    /// A subscription stands after this offset.
    pub(crate) fn subscribed(
        &mut self,
        by: Incarnation,
        topic: usize,
        epoch: Epoch,
        offset: u64,
        owns: bool,
    ) {
        let life = self.life(topic, epoch, offset, owns);
        self.only_the_last(by, topic, life, "takes a subscription");
        let own = &self.topics[topic][life];
        let top = if own.before.1 == self.step { own.before.0 } else { own.top };
        if offset < top {
            let text = format!(
                "{by} subscribes somebody to topic {topic} {epoch} after {offset}, but {top} is out already"
            );
            self.fail(Invariant::OneHolder, text);
        }
        self.rise(topic, life, offset);
    }

    fn rise(&mut self, topic: usize, life: usize, offset: u64) {
        let own = &mut self.topics[topic][life];
        if own.before.1 != self.step {
            own.before = (own.top, self.step);
        }
        own.top = own.top.max(offset);
    }

    /// A message was given its offset: it is under way to a subscribed gateway.
    pub(crate) fn delivered(
        &mut self,
        by: Incarnation,
        topic: usize,
        epoch: Epoch,
        offset: u64,
        post: usize,
        owns: bool,
    ) {
        let life = self.life(topic, epoch, offset - 1, owns);
        self.only_the_last(by, topic, life, "orders a message");
        self.in_time(topic, life, offset, post);
        self.place(topic, life, offset, post, Some(by));
    }

    /// A publish was answered with a position, for the first or another time.
    pub(crate) fn sequenced(&mut self, topic: usize, epoch: Epoch, offset: u64, attempt: usize, owns: bool) {
        let life = self.life(topic, epoch, offset - 1, owns);
        let post = self.attempts[attempt].post;
        self.in_time(topic, life, offset, post);
        self.place(topic, life, offset, post, None);
    }

    /// The owner never runs a publish after its time is up.
    fn in_time(&mut self, topic: usize, life: usize, offset: u64, post: usize) {
        let is_new = !self.topics[topic][life].messages.contains_key(&offset);
        let tried = self.posts[post].tried;
        if is_new && self.now > tried + TOO_LATE {
            let text = format!("post {post} of topic {topic} ran {} us after it was sent", self.now - tried);
            self.fail(Invariant::Answered, text);
        }
    }

    fn life(&mut self, topic: usize, epoch: Epoch, before: u64, owns: bool) -> usize {
        if let Some(life) = self.topics[topic].iter().position(|life| life.epoch == epoch) {
            return life;
        }
        if before == 0 && !owns {
            let text = format!("topic {topic} began {epoch} at a server whose ring gives it to another");
            self.fail(Invariant::NoStrangeTopic, text);
        }
        self.topics[topic].push(Life {
            epoch,
            top: before,
            before: (0, self.step),
            messages: BTreeMap::new(),
        });
        let lives = self.topics[topic].len();
        if lives > 1 && self.strictness.planned {
            let text = format!("topic {topic} began a new epoch {epoch} in a planned move");
            self.fail(Invariant::PlannedMove, text);
        }
        lives - 1
    }

    fn only_the_last(&mut self, by: Incarnation, topic: usize, life: usize, does: &str) {
        let lives = &self.topics[topic];
        if life + 1 < lives.len() && !self.overlap[topic] {
            let text = format!(
                "{by} {does} of topic {topic} under {}, but {} has begun since",
                lives[life].epoch,
                lives[lives.len() - 1].epoch
            );
            self.fail(Invariant::OneHolder, text);
        }
    }

    pub(super) fn place(
        &mut self,
        topic: usize,
        life: usize,
        offset: u64,
        post: usize,
        by: Option<Incarnation>,
    ) {
        self.rise(topic, life, offset);
        let own = &self.topics[topic][life];
        let epoch = own.epoch;
        let known = own.messages.get(&offset).copied();
        match known {
            Some((other, _)) if other != post => {
                let text = format!("topic {topic} {epoch} offset {offset} is post {other}, and post {post}");
                return self.fail(Invariant::ExactlyOnce, text);
            }
            Some((_, Some(first))) if by.is_some_and(|by| by != first) => {
                let text =
                    format!("topic {topic} {epoch} offset {offset} was given by {first}, and by {by:?}");
                return self.fail(Invariant::OneHolder, text);
            }
            _ => {}
        }
        let first = known.and_then(|(_, first)| first).or(by);
        self.topics[topic][life].messages.insert(offset, (post, first));
        let own = &mut self.posts[post];
        if own.topic != topic {
            let text = format!("post {post} of topic {} came out as one of topic {topic}", own.topic);
            return self.fail(Invariant::ExactlyOnce, text);
        }
        if own.places.contains(&(life, offset)) {
            return;
        }
        own.places.push((life, offset));
        let in_life = own.places.iter().filter(|(other, _)| *other == life).count();
        let most_lives = if own.keyed && !self.strictness.planned { usize::MAX } else { 1 };
        if in_life > 1 || own.places.len() > most_lives {
            let text =
                format!("post {post} of topic {topic} (key: {}) is there twice: {:?}", own.keyed, own.places);
            return self.fail(Invariant::ExactlyOnce, text);
        }
        self.check_not(post);
    }

    /// All attempts were answered `not_published`, and yet it is there.
    pub(super) fn check_not(&mut self, post: usize) {
        let own = &self.posts[post];
        let none =
            own.answers.len() == own.attempts && own.answers.iter().all(|answer| *answer == Answer::Not);
        if none && !own.places.is_empty() {
            let text =
                format!("post {post} of topic {} is there, but was said not to be published", own.topic);
            self.fail(Invariant::ExactlyOnce, text);
        }
    }
}
