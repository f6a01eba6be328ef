//! All that is known of a run: who published what, where it is, and what was answered.

use std::collections::BTreeMap;

use campanile_proto::{Epoch, Incarnation};

use super::{Invariant, Violation};
use crate::network::Micros;

/// What a publish is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Position(Epoch, u64),
    Not,
    Unknown,
}

/// How a run is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strictness {
    /// Nothing may be lost, and nobody told of anything.
    pub(crate) planned: bool,
    /// Histories keep everything.
    pub(crate) whole_history: bool,
}

#[derive(Debug)]
pub(crate) struct Checker {
    pub(super) strictness: Strictness,
    pub(super) topics: Vec<Vec<Life>>,
    /// For which topics two servers may accept by now (H4).
    pub(super) overlap: Vec<bool>,
    pub(super) posts: Vec<Post>,
    pub(super) attempts: Vec<Attempt>,
    /// Offsets of acknowledged attempts, by who speaks, topic and life.
    pub(super) orders: BTreeMap<(u64, usize, usize), BTreeMap<usize, u64>>,
    /// Attempts and joins without an answer, with the time of the asking.
    pub(super) waiting: BTreeMap<Waiting, Micros>,
    pub(crate) violation: Option<Violation>,
    pub(crate) longest: Micros,
    pub(crate) now: Micros,
    /// The number of the event that happens now.
    pub(crate) step: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waiting {
    Attempt(usize),
    /// Client and channel.
    Join(usize, u32),
}

/// One life of a topic's counter.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) epoch: Epoch,
    /// The highest offset that anybody has spoken of.
    pub(super) top: u64,
    /// The same before the last step in which it grew, and that step's number: what a server says on several links in
    /// one step is seen link by link.
    pub(super) before: (u64, u64),
    /// Which post has which offset, and who gave it, where that was seen.
    pub(super) messages: BTreeMap<u64, (usize, Option<Incarnation>)>,
}

/// What somebody wants published, once.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) topic: usize,
    pub(super) keyed: bool,
    pub(super) places: Vec<(usize, u64)>,
    pub(super) answers: Vec<Answer>,
    pub(super) attempts: usize,
    /// When it was tried last.
    pub(super) tried: Micros,
}

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) post: usize,
    pub(super) speaker: u64,
    pub(super) answered: bool,
}

impl Checker {
    pub(crate) fn new(topics: usize, strictness: Strictness) -> Self {
        Self {
            strictness,
            overlap: vec![false; topics],
            topics: (0..topics).map(|_| Vec::new()).collect(),
            posts: Vec::new(),
            attempts: Vec::new(),
            orders: BTreeMap::new(),
            waiting: BTreeMap::new(),
            violation: None,
            longest: 0,
            now: 0,
            step: 0,
        }
    }

    pub(crate) fn fail(&mut self, invariant: Invariant, text: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, at: self.now, text });
        }
    }

    pub(crate) fn published(&self) -> usize {
        self.posts.len()
    }

    pub(crate) fn acknowledged(&self) -> usize {
        let is_ok = |answer: &Answer| matches!(answer, Answer::Position(..));
        self.posts.iter().filter(|post| post.answers.iter().any(is_ok)).count()
    }

    /// From now on, rule H4 lets two servers accept for this topic.
    pub(crate) fn allow_overlap(&mut self, topic: usize) {
        self.overlap[topic] = true;
    }

    /// For how many topics two servers were allowed to accept.
    pub(crate) fn overlaps(&self) -> usize {
        self.overlap.iter().filter(|allowed| **allowed).count()
    }

    pub(crate) fn lives(&self) -> usize {
        self.topics.iter().map(Vec::len).sum()
    }

    /// What an attempt publishes to.
    pub(crate) fn topic_of(&self, attempt: usize) -> usize {
        self.posts[self.attempts[attempt].post].topic
    }
}
