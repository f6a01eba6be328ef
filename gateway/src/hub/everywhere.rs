//! What concerns all topic servers and no single topic: patterns, and queries. One lock for all of it: only fronts with patterns
//! come here.

use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_proto::Epoch;
use campanile_proto::reach::{Match, QueryAnswer};
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;

use crate::client::direct::Touched;
use crate::client::outbox::Outbox;
use crate::hub::effect::{Effect, Leaving, LinkView, Listener, MemberId};
use crate::hub::fanout::fan_out;
use crate::hub::holds::{Holds, Said};
use crate::hub::patterns::Patterns;
use crate::hub::queries::{Queries, Query};
use crate::upstream::Links;

/// How often it is looked whose time is up.
const TICK: Duration = Duration::from_millis(100);

/// Patterns and queries of a gateway.
#[derive(Debug)]
pub(crate) struct Everywhere(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    patterns: Patterns,
    holds: Holds,
    queries: Queries,
    /// When it is looked again whose time is up.
    next_tick: Option<Instant>,
}

impl Everywhere {
    /// Nothing yet; `count` says how many patterns there are.
    pub(crate) fn new(count: Gauge) -> Self {
        Self(Mutex::new(Inner { patterns: Patterns::new(count), ..Inner::default() }))
    }

    /// A listener to a pattern. Returns the pattern's number.
    pub(crate) fn join(&self, pattern: &[u8], listener: Listener, deadline: Instant, links: &Links) -> u32 {
        self.run(links, |inner, effects| {
            if inner.patterns.is_empty() {
                // Nobody looked after the links while there was nothing to tell.
                inner.patterns.settle(&links.reached(), links.ring().version(), effects);
            }
            inner.patterns.join(pattern, listener, deadline, effects)
        })
    }

    /// A listener leaves.
    pub(crate) fn leave(&self, number: u32, id: u64, told: Option<Leaving>, links: &Links) {
        self.run(links, |inner, effects| inner.patterns.leave(number, id, told, effects));
    }

    /// Asks all topic servers.
    pub(crate) fn ask(&self, query: Query, client: (Outbox, u32), deadline: Instant, links: &Links) {
        let reached = links.reached();
        self.run(links, |inner, effects| inner.queries.ask(query, client, &reached, deadline, effects));
    }

    /// What a pattern's listeners were told of stands at a topic server.
    pub(crate) fn stands(&self, number: u32, change: u32, view: LinkView, links: &Links) {
        self.run(links, |inner, effects| inner.patterns.stands(number, change, view, effects));
    }

    /// A part of the answer to a query.
    pub(crate) fn answered(&self, answer: QueryAnswer, view: LinkView, links: &Links) {
        self.run(links, |inner, effects| inner.queries.answered(answer, view, effects));
    }

    /// A message for patterns. Returns how many listeners got one.
    pub(crate) fn matched(
        &self,
        found: Box<Match>,
        view: LinkView,
        touched: &mut Touched,
        links: &Links,
    ) -> u64 {
        self.said(found.topic.clone(), Said::Match(found), view, touched, links)
    }

    /// A topic server's last word of a topic. Returns how many listeners got what had waited for it.
    pub(crate) fn moved(
        &self,
        topic: Bytes,
        (epoch, offset): (Epoch, u64),
        view: LinkView,
        touched: &mut Touched,
        links: &Links,
    ) -> u64 {
        self.said(topic, Said::Moved(epoch, offset), view, touched, links)
    }

    /// Messages are lost, and nobody can say which.
    pub(crate) fn lost(&self, links: &Links) {
        self.run(links, |inner, effects| inner.patterns.lost(effects));
    }

    /// A topic server has named the ring of this version.
    pub(crate) fn heard_of_ring(&self, version: u64) {
        self.0.lock().patterns.heard_of_ring(version);
    }

    /// The links or the ring have changed.
    pub(crate) fn settle(&self, links: &Links) {
        // First: an older ring beside newer links is put right by whoever changes them.
        let ring = links.ring().version();
        let reached = links.reached();
        self.run(links, |inner, effects| {
            inner.queries.settle(&reached, effects);
            let Inner { patterns, holds, .. } = inner;
            let mut out = Vec::new();
            for process in patterns.settle(&reached, ring, effects) {
                holds.end(process, |process| patterns.hears(process), Instant::now(), &mut out);
            }
            let mut touched = Touched::default();
            inner.give(out, &mut touched);
            touched.spread();
        });
    }

    /// Time has passed.
    pub(crate) fn tick(&self, now: Instant, links: &Links) {
        self.run(links, |inner, effects| {
            // Topics are due far more often than anything here.
            if inner.next_tick.is_some_and(|next| now < next) {
                return;
            }
            inner.next_tick = Some(now + TICK);
            inner.queries.tick(now, effects);
            inner.patterns.tick(now, effects);
            if inner.holds.tick(now).is_err() {
                inner.patterns.lost(effects);
            }
        });
    }

    /// Whether patterns make the link to a topic server of use.
    pub(crate) fn uses(&self, member: MemberId) -> bool {
        self.0.lock().patterns.uses(member)
    }

    fn said(&self, topic: Bytes, said: Said, view: LinkView, touched: &mut Touched, links: &Links) -> u64 {
        self.run(links, |inner, effects| {
            let Inner { patterns, holds, .. } = inner;
            if !patterns.is_told(view) {
                return 0;
            }
            let mut out = Vec::new();
            let hears = |process| patterns.hears(process);
            if holds.take(view.owner, topic, said, hears, Instant::now(), &mut out).is_err() {
                patterns.lost(effects);
            }
            inner.give(out, touched)
        })
    }

    /// Effects are carried out under the lock, in order.
    fn run<T>(&self, links: &Links, rule: impl FnOnce(&mut Inner, &mut Vec<Effect>) -> T) -> T {
        let mut inner = self.0.lock();
        let mut effects = Vec::new();
        let result = rule(&mut inner, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send { member, link, request } => links.send(member, link, request),
                Effect::Tell(client, item) => client.push(item),
                // Of topics only.
                Effect::Answer(..) | Effect::Wake(_) | Effect::Count(_) => {}
            }
        }
        result
    }
}

impl Inner {
    fn give(&self, found: Vec<Match>, touched: &mut Touched) -> u64 {
        let mut given = 0;
        for found in found {
            let Match { topic, patterns, epoch, offset, message, .. } = found;
            let listeners = self.patterns.listeners(&patterns);
            given += listeners.clone().count() as u64;
            fan_out(&topic, listeners, &message, (epoch, offset), touched);
        }
        given
    }
}
