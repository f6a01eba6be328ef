//! What has no answer yet, and what everybody has in the end.

use campanile_proto::Epoch;

use super::{Checker, Invariant, Waiting};
use crate::network::Micros;

/// How long a client waits for any answer, with what the network takes.
const ANSWER: Micros = 5_600_000;

impl Checker {
    /// Time has passed.
    pub(crate) fn look_at_the_clock(&mut self) {
        let late = self.waiting.iter().find(|(_, asked)| self.now > **asked + ANSWER);
        if let Some((what, asked)) = late {
            let text = match what {
                Waiting::Attempt(attempt) => {
                    format!("post {} of {asked} us has no answer", self.attempts[*attempt].post)
                }
                join => format!("{join:?} of {asked} us has no answer"),
            };
            self.fail(Invariant::Answered, text);
        }
    }

    /// Everything has healed and come to rest: a channel must have everything.
    pub(crate) fn at_rest(
        &mut self,
        client: usize,
        topic: usize,
        position: Option<(Epoch, u64)>,
        others: &[(Epoch, u64)],
    ) {
        let Some((epoch, offset)) = position else {
            return self
                .fail(Invariant::Answered, format!("client {client} never got back to topic {topic}"));
        };
        if others.iter().any(|other| *other != (epoch, offset)) {
            let text =
                format!("client {client} ends at {epoch} {offset} of topic {topic}, others at {others:?}");
            return self.fail(Invariant::NoSilentGap, text);
        }
        let lives = &self.topics[topic];
        let life = lives.iter().position(|life| life.epoch == epoch);
        let is_last = life.is_some_and(|life| life + 1 == lives.len());
        let top = life.map(|life| lives[life].top);
        if top != Some(offset) || !(is_last || self.overlap[topic]) {
            let text = format!(
                "client {client} ends at {epoch} {offset} of topic {topic}, whose lives are {:?}",
                lives.iter().map(|life| (life.epoch, life.top)).collect::<Vec<_>>()
            );
            self.fail(Invariant::NoSilentGap, text);
        }
    }
}
