//! What one connection is subscribed to.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::client::outbox::Tag;
use crate::redis::command::Kind;

/// Subscriptions by name, and those whose replies are still to come.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    /// Numbers by name, for each kind; from the command that subscribes on.
    numbers: [HashMap<Bytes, u32>; 3],
    /// So many of each kind the client knows of.
    confirmed: [usize; 3],
    next: u32,
    /// Tags of messages that may not go out yet, by their place in memory: whoever waits keeps them.
    held: HashSet<usize>,
}

/// What a command has subscribed to.
#[derive(Debug)]
pub(crate) struct Added {
    /// Each name, and whether it is new.
    pub(crate) names: Vec<(Bytes, bool)>,
    /// The numbers of those that are new, in their order.
    pub(crate) numbers: Range<u32>,
}

fn index(kind: Kind) -> usize {
    match kind {
        Kind::Channel => 0,
        Kind::Pattern => 1,
        Kind::Shard => 2,
    }
}

fn place(tag: &Arc<Tag>) -> usize {
    Arc::as_ptr(tag).addr()
}

impl Subscriptions {
    /// Adds these; says of each whether it is new, and the numbers of the new ones. `None`, and nothing is added, if there
    /// would be more than the limit of all kinds.
    pub(crate) fn add(&mut self, kind: Kind, wanted: &[Bytes], limit: usize) -> Option<Added> {
        let all: usize = self.numbers.iter().map(HashMap::len).sum();
        let numbers = &mut self.numbers[index(kind)];
        let first = self.next;
        let mut names = Vec::with_capacity(wanted.len());
        for name in wanted {
            // Copied: a slice of what the client sent would keep all of it.
            let name = Bytes::copy_from_slice(name);
            let is_new = !numbers.contains_key(&name);
            if is_new {
                numbers.insert(name.clone(), self.next);
                self.next = self.next.wrapping_add(1);
            }
            names.push((name, is_new));
        }
        let new = self.next.wrapping_sub(first);
        if all + new as usize > limit {
            for (name, _) in names.iter().filter(|(_, is_new)| *is_new) {
                numbers.remove(name);
            }
            return None;
        }
        Some(Added { names, numbers: first..self.next })
    }

    /// Messages with these tags have to wait.
    pub(crate) fn hold(&mut self, tags: &[Arc<Tag>]) {
        self.held.extend(tags.iter().map(place));
    }

    /// They need not wait any more.
    pub(crate) fn let_go(&mut self, tags: &[Arc<Tag>]) {
        for tag in tags {
            self.held.remove(&place(tag));
        }
        if self.held.is_empty() {
            self.held = HashSet::new();
        }
    }

    pub(crate) fn holds(&self, tag: &Arc<Tag>) -> bool {
        !self.held.is_empty() && self.held.contains(&place(tag))
    }

    pub(crate) fn may_hold(&self) -> bool {
        !self.held.is_empty()
    }

    /// The client is told of a subscription; returns how many it has then, as its reply says.
    pub(crate) fn confirm(&mut self, kind: Kind, is_new: bool) -> usize {
        self.confirmed[index(kind)] += usize::from(is_new);
        self.count(kind)
    }

    /// The subscriptions that a reply about this kind counts: sharded ones apart, channels and patterns together.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        let [channels, patterns, shards] = self.confirmed;
        if kind == Kind::Shard { shards } else { channels + patterns }
    }

    /// Subscriptions of all kinds that the client knows of.
    pub(crate) fn confirmed(&self) -> usize {
        self.confirmed.iter().sum()
    }

    /// Takes one out; returns its number if there was one.
    pub(crate) fn remove(&mut self, kind: Kind, name: &Bytes) -> Option<u32> {
        let number = self.numbers[index(kind)].remove(name)?;
        self.confirmed[index(kind)] -= 1;
        Some(number)
    }

    /// All of a kind, the oldest first.
    pub(crate) fn names(&self, kind: Kind) -> Vec<Bytes> {
        let mut names: Vec<_> = self.numbers[index(kind)].iter().collect();
        names.sort_by_key(|(_, number)| **number);
        names.into_iter().map(|(name, _)| name.clone()).collect()
    }

    /// Takes all out; returns their numbers.
    pub(crate) fn clear(&mut self) -> Vec<u32> {
        self.confirmed = [0; 3];
        let mut numbers = Vec::new();
        for by_name in &mut self.numbers {
            numbers.extend(std::mem::take(by_name).into_values());
        }
        numbers.sort_unstable();
        numbers
    }
}
