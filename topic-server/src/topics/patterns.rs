//! The patterns of all gateways, as this server has been told of them. A topic keeps which of them match it, until they change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use campanile_proto::glob;
use campanile_proto::names::{self, Space};
use campanile_proto::reach::Pattern;
use campanile_proto::{FromTopicServer, Incarnation};
use parking_lot::RwLock;
use prometheus_client::metrics::gauge::Gauge;

use crate::gateways::outbox::Outbox;
use crate::topics::reach::Matching;

/// All patterns.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    /// 0 while there are none; else another number after every change.
    version: AtomicU64,
    count: Gauge,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    changes: u64,
    links: Vec<OfLink>,
}

/// What one link has told.
#[derive(Debug)]
struct OfLink {
    link: Outbox,
    gateway: Incarnation,
    /// By the gateway's numbers.
    patterns: BTreeMap<u32, Told>,
    /// The gateway has told of all; before, none of them counts, so that it gets each message for all that match.
    is_complete: bool,
    /// It has got what was published here before that.
    is_met: bool,
    /// Answers that wait for that.
    unanswered: Vec<(u32, u32)>,
}

#[derive(Debug)]
struct Told {
    pattern: Bytes,
    listeners: u32,
}

impl Patterns {
    /// None; `count` says how many there are, one per pattern and gateway.
    pub(crate) fn new(count: Gauge) -> Self {
        Self { count, ..Self::default() }
    }

    /// Which state of the patterns this is; 0 while there are none. Whoever is told that a pattern stands may count on
    /// every publish that begins later to see another state.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// A gateway has told of a pattern. It is answered when the gateway has told of all that it had.
    pub(crate) fn set(&self, link: &Outbox, gateway: Incarnation, pattern: &Pattern) {
        let mut inner = self.inner.write();
        let of_link = inner.of_link(link, gateway);
        if pattern.listeners == 0 {
            of_link.patterns.remove(&pattern.number);
        } else {
            // Detached: a slice would keep the batch that it came in.
            let told =
                Told { pattern: Bytes::copy_from_slice(&pattern.pattern), listeners: pattern.listeners };
            of_link.patterns.insert(pattern.number, told);
        }
        of_link.unanswered.push((pattern.number, pattern.change));
        let is_complete = of_link.is_complete;
        self.count.set(inner.count());
        if is_complete {
            self.change(&mut inner);
            inner.answer(link);
        }
    }

    /// A gateway has told of all that it had. Whether that is new on this link: then it is answered by
    /// [`Patterns::has_met`], behind what it gets of before.
    pub(crate) fn complete(&self, link: &Outbox, gateway: Incarnation) -> bool {
        let mut inner = self.inner.write();
        let of_link = inner.of_link(link, gateway);
        let is_new = !std::mem::replace(&mut of_link.is_complete, true);
        if is_new {
            self.change(&mut inner);
        }
        is_new
    }

    /// A gateway has got what was published before it came: from here on it gets what is published, and no more.
    pub(crate) fn has_met(&self, link: &Outbox) {
        let mut inner = self.inner.write();
        if let Some(own) = inner.links.iter_mut().find(|own| own.link == *link) {
            own.is_met = true;
        }
        inner.answer(link);
    }

    /// Whether a gateway has told of all that it had, and if so, whether it has got what was published before.
    pub(crate) fn is_met(&self, gateway: Incarnation) -> Option<bool> {
        let inner = self.inner.read();
        let own = inner.links.iter().find(|own| own.gateway == gateway && own.is_complete);
        own.map(|own| own.is_met)
    }

    /// The gateways that have told of patterns.
    pub(crate) fn gateways(&self) -> Vec<Incarnation> {
        if self.version() == 0 {
            return Vec::new();
        }
        let inner = self.inner.read();
        let told = inner.links.iter().filter(|own| own.is_complete && !own.patterns.is_empty());
        told.map(|own| own.gateway).collect()
    }

    /// A link is over.
    pub(crate) fn remove(&self, link: &Outbox) {
        let mut inner = self.inner.write();
        let before = inner.links.len();
        inner.links.retain(|own| own.link != *link);
        if inner.links.len() < before {
            self.count.set(inner.count());
            self.change(&mut inner);
        }
    }

    fn change(&self, inner: &mut Inner) {
        inner.changes += 1;
        let is_empty = inner.links.iter().all(|own| own.patterns.is_empty());
        self.version.store(if is_empty { 0 } else { inner.changes }, Ordering::Release);
    }

    /// Who has patterns that match a topic, and the state of which that is true.
    pub(crate) fn matching(&self, topic: &[u8]) -> (u64, Vec<Matching<Outbox>>) {
        let inner = self.inner.read();
        let version = self.version();
        let (space, name) = names::shown(topic);
        if space != Space::Plain {
            return (version, Vec::new());
        }
        let matching = |own: &OfLink| {
            let found = || own.patterns.iter().filter(|(_, told)| glob::matches(&told.pattern, name));
            let patterns: Arc<[u32]> = found().map(|(number, _)| *number).collect();
            let sum = |sum: u32, (_, told): (&u32, &Told)| sum.saturating_add(told.listeners);
            let listeners = found().fold(0, sum);
            let (link, gateway) = (own.link.clone(), own.gateway);
            (!patterns.is_empty()).then_some(Matching { link, gateway, patterns, listeners })
        };
        let complete = inner.links.iter().filter(|own| own.is_complete);
        (version, complete.filter_map(matching).collect())
    }

    /// All patterns, each once.
    pub(crate) fn all(&self) -> BTreeSet<Bytes> {
        let inner = self.inner.read();
        let told = inner.links.iter().flat_map(|own| own.patterns.values());
        told.map(|told| told.pattern.clone()).collect()
    }
}

impl Inner {
    fn count(&self) -> i64 {
        self.links.iter().map(|own| own.patterns.len() as i64).sum()
    }

    fn answer(&mut self, link: &Outbox) {
        if let Some(own) = self.links.iter_mut().find(|own| own.link == *link) {
            for (number, change) in own.unanswered.drain(..) {
                link.push(FromTopicServer::PatternStands { number, change });
            }
        }
    }

    fn of_link(&mut self, link: &Outbox, gateway: Incarnation) -> &mut OfLink {
        let index = self.links.iter().position(|own| own.link == *link).unwrap_or_else(|| {
            self.links.push(OfLink {
                link: link.clone(),
                gateway,
                patterns: BTreeMap::new(),
                is_complete: false,
                is_met: false,
                unanswered: Vec::new(),
            });
            self.links.len() - 1
        });
        &mut self.links[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics::testing::{A, B, drain, outbox};

    fn pattern(number: u32, pattern: &'static [u8], listeners: u32) -> Pattern {
        Pattern { number, pattern: Bytes::from_static(pattern), listeners, change: 7 }
    }

    #[test]
    fn what_a_gateway_tells_counts_when_it_has_told_of_all() {
        let (patterns, link) = (Patterns::default(), outbox());
        patterns.set(&link, A, &pattern(1, b"news.*", 2));
        patterns.set(&link, A, &pattern(2, b"n*", 3));
        assert!(drain(&link).is_empty() && patterns.matching(b"news.it").1.is_empty());
        patterns.complete(&link, A);
        patterns.has_met(&link);
        let stands = |number| FromTopicServer::PatternStands { number, change: 7 };
        assert_eq!(drain(&link), [stands(1), stands(2)]);
        let (seen, matching) = patterns.matching(b"news.it");
        assert_eq!(seen, patterns.version());
        let all = Matching { link: link.clone(), gateway: A, patterns: [1, 2].into(), listeners: 5 };
        assert_eq!(matching, [all]);
        assert_eq!(patterns.matching(b"nothing").1[0].patterns[..], [2]);
        assert!(patterns.matching(b"other").1.is_empty());
    }

    #[test]
    fn every_change_is_another_state_and_none_is_none() {
        let (patterns, link, other) = (Patterns::default(), outbox(), outbox());
        assert_eq!(patterns.version(), 0);
        let mut seen = vec![0];
        for told in [pattern(1, b"a", 1), pattern(1, b"a", 2), pattern(2, b"b", 1)] {
            patterns.set(&link, A, &told);
            patterns.complete(&link, A);
            patterns.has_met(&link);
            assert!(!seen.contains(&patterns.version()));
            seen.push(patterns.version());
        }
        patterns.set(&other, B, &pattern(1, b"a", 1));
        patterns.complete(&other, B);
        patterns.has_met(&other);
        assert_eq!(patterns.all().len(), 2, "each once");
        assert_eq!(patterns.count.get(), 3, "one per gateway");
        patterns.remove(&link);
        assert_eq!(patterns.count.get(), 1);
        assert_eq!(patterns.matching(b"a").1.len(), 1);
        patterns.set(&other, B, &pattern(1, b"a", 0));
        patterns.set(&other, B, &pattern(1, b"a", 0));
        assert_eq!((patterns.version(), patterns.all().len(), patterns.count.get()), (0, 0, 0));
        patterns.set(&other, B, &pattern(1, b"a", 1));
        assert!(!seen.contains(&patterns.version()), "a state never comes again");
    }

    #[test]
    fn only_shown_names_of_the_plain_space_match() {
        let (patterns, link) = (Patterns::default(), outbox());
        patterns.set(&link, A, &pattern(1, b"*", 1));
        patterns.complete(&link, A);
        patterns.has_met(&link);
        for (topic, is_seen) in [(&b"a"[..], true), (b"\xffa", false), (b"\xfe\xffa", true)] {
            assert_eq!(!patterns.matching(topic).1.is_empty(), is_seen, "{topic:?}");
        }
        patterns.set(&link, A, &pattern(1, b"\xffa", 1));
        assert!(patterns.matching(b"\xfe\xffa").1.len() == 1 && patterns.matching(b"\xffa").1.is_empty());
    }
}
