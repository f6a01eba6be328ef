//! Patterns and topics meet: a topic looks at the patterns when they have changed, and gateways whose patterns matched a topic
//! where it was before get everything from where they were told that it moved (rule H8).

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use campanile_proto::handoff::Introduced;
use campanile_proto::link::PART_BYTES;
use campanile_proto::reach::Behind;
use campanile_proto::{Found, FromTopicServer, Incarnation};

use crate::gateways::outbox::Outbox;
use crate::topics::entry::{Entry, Inner};
use crate::topics::fanout;
use crate::topics::reach::{Matching, Reach};
use crate::topics::state::SETTLING_TIME;
use crate::topics::table::Table;

/// So many gateways may be on their way.
const EXPECTED: usize = 1024;

/// So many gateways that have not come in time are remembered: others are dead ones of long ago.
const MISSED: usize = 1024;

/// A gateway that has patterns elsewhere and did not come here while it was awaited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Late {
    gateway: Incarnation,
    /// So many publishes had been accepted here when it had missed nothing; `None` if it has missed some for certain. A server
    /// that owns nothing is told of all gateways, and none of them has any reason to come.
    missed_none_at: Option<u64>,
}

impl Table {
    /// Finds anew which patterns match a topic, if they have changed since it was looked.
    pub(super) fn look_at_patterns(&self, entry: &Entry, inner: &mut Inner, now: Instant) {
        let seen = inner.topic.reach().map_or(0, Reach::seen);
        if self.patterns.version() != seen {
            self.find_matching(entry, inner, now);
        }
    }

    #[cold]
    fn find_matching(&self, entry: &Entry, inner: &mut Inner, now: Instant) {
        let (seen, matches) = self.patterns.matching(&entry.name);
        inner.topic.reach_mut().set_matches(seen, matches.clone());
        for Introduced { gateway, behind } in inner.topic.reach_mut().introduced().to_vec() {
            let Some(is_met) = self.patterns.is_met(gateway) else { continue };
            let matching = matches.iter().find(|matching| matching.gateway == gateway);
            let has_more = behind.offset < inner.topic.offset();
            match matching {
                // Its first message from here is still to come.
                Some(_) if !has_more => {}
                Some(matching) if !is_met => {
                    inner.topic.reach_mut().take_introduction(gateway);
                    self.give_what_came_before(entry, inner, matching, behind, now);
                }
                // It came, and wants nothing of before.
                _ => _ = inner.topic.reach_mut().take_introduction(gateway),
            }
        }
        if seen == 0 {
            inner.topic.drop_idle_reach();
        }
    }

    /// What was published here before the gateway had told of its patterns.
    fn give_what_came_before(
        &self,
        entry: &Entry,
        inner: &mut Inner,
        matching: &Matching<Outbox>,
        behind: Behind,
        now: Instant,
    ) {
        let bounds = self.bounds(&entry.name);
        let name = Bytes::copy_from_slice(&entry.name);
        let (epoch, last) = (inner.topic.epoch(), inner.topic.offset());
        let (mut from, mut first) = (behind.offset, Some(behind));
        while from < last {
            match inner.topic.read(behind.epoch, from, PART_BYTES, &bounds, now) {
                Found::Messages(messages) if !messages.is_empty() => {
                    for message in messages {
                        from += 1;
                        fanout::matched(matching, None, &name, (epoch, from), message, first.take());
                    }
                }
                Found::Messages(_) | Found::Gone { .. } => {
                    matching.link.push(FromTopicServer::PatternsLost);
                    return;
                }
            }
        }
    }

    /// A gateway has told of all its patterns: topics that came here before meet it.
    pub(super) fn meet(&self, link: &Outbox, gateway: Incarnation, now: Instant) {
        self.expected.lock().retain(|(own, _)| *own != gateway);
        let late = self.missed.lock().extract_if(.., |own| own.gateway == gateway).next();
        if late.is_some_and(|late| self.has_missed(late)) {
            link.push(FromTopicServer::PatternsLost);
        }
        let waiting = self.introduced.lock().clone();
        for entry in waiting {
            let mut inner = entry.inner.lock();
            let is_awaited = |reach: &Reach<Outbox>| {
                reach.introduced().iter().any(|introduced| introduced.gateway == gateway)
            };
            if inner.is_held() && inner.topic.reach().is_some_and(is_awaited) {
                self.look_at_patterns(&entry, &mut inner, now);
            }
        }
    }

    /// The gateways that have patterns here.
    pub fn pattern_gateways(&self) -> Vec<Incarnation> {
        self.patterns.gateways()
    }

    /// Another server has told which gateways have patterns there: those that have not told of any here are on their way.
    pub fn expect_gateways(&self, gateways: &[Incarnation], now: Instant) {
        let mut expected = self.expected.lock();
        for gateway in gateways.iter().filter(|gateway| self.patterns.is_met(**gateway).is_none()) {
            if !expected.iter().any(|(own, _)| own == gateway) && expected.len() < EXPECTED {
                expected.push((*gateway, now + SETTLING_TIME));
            }
        }
    }

    /// A topic begins here: gateways that are on their way may have patterns that match it.
    pub(super) fn introduce_expected(&self, entry: &Arc<Entry>, inner: &mut Inner, now: Instant) {
        let expected = self.expected();
        if !expected.is_empty() {
            // They have heard of it from nobody else.
            self.introduce_to(entry, inner, &expected, now);
        }
    }

    fn expected(&self) -> Vec<Incarnation> {
        self.expected.lock().iter().map(|(gateway, _)| *gateway).collect()
    }

    /// Where a topic stands here.
    fn position(&self, inner: &Inner) -> Behind {
        let (epoch, offset) = (inner.topic.epoch(), inner.topic.offset());
        Behind { incarnation: self.incarnation(), epoch, offset }
    }

    /// From here on a topic keeps what these gateways may want.
    fn introduce_to(&self, entry: &Arc<Entry>, inner: &mut Inner, gateways: &[Incarnation], now: Instant) {
        let behind = self.position(inner);
        let reach = inner.topic.reach_mut();
        let is_known = !reach.introduced().is_empty();
        reach.introduce_also(gateways.iter().copied(), behind);
        inner.topic.settle(now + SETTLING_TIME);
        if !is_known {
            self.introduced.lock().push(Arc::clone(entry));
        }
    }

    /// There is another ring: gateways that did not come here because they had no reason to may have one now. What is
    /// published from here on waits for them.
    pub(super) fn expect_again(&self, now: Instant) {
        let missed = self.missed.lock().clone();
        let mut late: Vec<_> =
            missed.into_iter().filter(|late| !self.has_missed(*late)).map(|late| late.gateway).collect();
        if late.is_empty() {
            return;
        }
        // Topics that begin from here on are for them, and so are those that are there; unless too many are awaited.
        self.expect_gateways(&late, now);
        let expected = self.expected();
        late.retain(|gateway| expected.contains(gateway));
        for entry in self.all() {
            let mut inner = entry.inner.lock();
            if inner.is_held() {
                self.introduce_to(&entry, &mut inner, &late, now);
            }
        }
        // What was accepted meanwhile, they may have missed.
        self.missed.lock().retain(|own| !late.contains(&own.gateway) || self.has_missed(*own));
    }

    /// A topic goes to another server, and the gateways whose patterns match are told. Whom this server has told nothing of
    /// the topic yet waits for whom it would have waited for here.
    pub(super) fn introduce_elsewhere(&self, entry: &Entry, inner: &mut Inner, now: Instant) {
        self.look_at_patterns(entry, inner, now);
        let behind = self.position(inner);
        let Some(reach) = inner.topic.reach() else { return };
        let matching: Vec<_> = reach.matches().iter().map(|matching| matching.gateway).collect();
        inner.topic.reach_mut().introduce_also(matching, behind);
    }

    /// A topic has come here: gateways are on their way to it.
    pub(super) fn await_gateways(&self, entry: &Arc<Entry>, inner: &mut Inner, now: Instant) {
        if inner.topic.reach().is_some_and(|reach| !reach.introduced().is_empty()) {
            self.introduced.lock().push(Arc::clone(entry));
        }
        self.look_at_patterns(entry, inner, now);
    }

    fn has_missed(&self, late: Late) -> bool {
        late.missed_none_at.is_none_or(|then| self.metrics.publishes_accepted.get() > then)
    }

    fn note_late(&self, gateways: impl Iterator<Item = Incarnation>, missed_none_at: Option<u64>) {
        let mut missed = self.missed.lock();
        for gateway in gateways {
            match missed.iter_mut().find(|own| own.gateway == gateway) {
                Some(own) => own.missed_none_at = own.missed_none_at.min(missed_none_at),
                None => missed.push(Late { gateway, missed_none_at }),
            }
            missed.truncate(MISSED);
        }
    }

    /// Gateways that have not come in time are on their way no more.
    pub(super) fn stop_awaiting(&self, now: Instant) {
        let over = {
            let mut expected = self.expected.lock();
            let over: Vec<_> = expected.extract_if(.., |(_, until)| *until <= now).collect();
            over
        };
        let accepted = self.metrics.publishes_accepted.get();
        self.note_late(over.into_iter().map(|(gateway, _)| gateway), Some(accepted));
        let mut introduced = std::mem::take(&mut *self.introduced.lock());
        introduced.retain(|entry| {
            let mut inner = entry.inner.lock();
            let offset = inner.topic.offset();
            let Some(reach) = inner.topic.reach() else { return false };
            if !inner.is_held() || reach.introduced().is_empty() {
                return false;
            }
            let goes_on = inner.topic.is_settling(now);
            if !goes_on {
                // Who has missed something is told so should it come after all.
                let missed = reach.introduced().iter().filter(|introduced| introduced.behind.offset < offset);
                self.note_late(missed.map(|introduced| introduced.gateway), None);
                inner.topic.reach_mut().introduce(Vec::new());
            }
            goes_on
        });
        self.introduced.lock().extend(introduced);
    }
}

#[cfg(test)]
#[path = "meeting_tests.rs"]
mod tests;
