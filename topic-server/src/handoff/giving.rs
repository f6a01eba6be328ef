//! What a server gives to those who ask: the answers to claims, the state of topics, and what becomes of topics whose taker
//! is gone or out of reach (rules H1 to H4, H10).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_proto::Incarnation;
use campanile_proto::handoff::FromPeer;
use campanile_proto::message::Place;
use campanile_proto::planted::{Fault, planted};

use crate::handoff::outbox::PeerOutbox;
use crate::handoff::rules::{Handoff, Inner};
use crate::topics::moving::Here;
use crate::topics::{Entry, Ownership};

/// So many topics that nobody waits for may be frozen for one server without its word: should it die then, the others
/// go on where they are.
const FROZEN: usize = 256;

/// A copy of what was given away, and of which nobody has said what became of it, is kept so long.
const COPY_KEPT: Duration = Duration::from_secs(120);

/// A topic that was given away and of which nobody has said yet what became of it.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) entry: Arc<Entry>,
    pub(super) to: Incarnation,
    pub(super) place: Place,
    at: Instant,
    /// Number of the link on which it was sent first.
    pub(super) link: u64,
}

/// Who asks, and where the answer goes.
struct Asker {
    incarnation: Incarnation,
    place: Place,
    outbox: PeerOutbox,
    link: u64,
}

/// What became of an attempt to answer a claim.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    /// It stays where it is in the queue.
    Later,
}

impl Handoff {
    /// Answers claims, gives what is wanted, and says when nothing is left.
    pub(super) fn answer(&self, inner: &mut Inner, now: Instant) {
        let version = self.ownership.ring_version();
        for incarnation in inner.takers.keys().copied().collect::<Vec<_>>() {
            let Some(taker) = inner.takers.get_mut(&incarnation) else { continue };
            let asker = Asker {
                incarnation,
                place: taker.place.clone(),
                outbox: taker.outbox.clone(),
                link: taker.number,
            };
            for (topic, wanted_under) in std::mem::take(&mut taker.claims) {
                let answer = if asker.outbox.has_room() {
                    self.answer_claim(inner, &asker, &topic, wanted_under, now)
                } else {
                    Answer::Later
                };
                if answer == Answer::Later
                    && let Some(taker) = inner.takers.get_mut(&incarnation)
                {
                    taker.claims.push_back((topic, wanted_under));
                }
            }
            let wants_all = inner.takers.get(&incarnation).and_then(|taker| taker.wants_all);
            let frozen = inner.given.values().filter(|given| given.to == incarnation).count();
            let mut more = FROZEN.saturating_sub(frozen);
            while wants_all == Some(version)
                && more > 0
                && asker.outbox.has_room()
                && let Some(entry) = inner.next_leaving(&asker.place)
            {
                more -= usize::from(self.give(inner, &entry, &asker, now));
            }
        }
        self.look_after_given(inner, now);
        if inner.leaving.is_empty() && inner.given.is_empty() && !self.ownership.is_starting() {
            for taker in inner.takers.values_mut().filter(|taker| taker.told_all_given < version) {
                taker.told_all_given = version;
                taker.outbox.push(FromPeer::AllGiven(version));
            }
        }
    }

    fn answer_claim(
        &self,
        inner: &mut Inner,
        asker: &Asker,
        topic: &[u8],
        wanted_under: u64,
        now: Instant,
    ) -> Answer {
        let version = self.ownership.ring_version();
        if version < wanted_under && !planted(Fault::NothingAtOlderRing) {
            return Answer::Later;
        }
        let is_owner = self.ownership.owner(topic) == asker.place;
        if !is_owner && version >= wanted_under && !planted(Fault::GiveToStrangers) {
            // It will learn of our ring, and ask again if it is still the owner then (H10).
            return Answer::Done;
        }
        match self.table.here(topic) {
            Here::Held(_) if version < wanted_under => return Answer::Later,
            // Forgotten in this very moment: then there is nothing.
            Here::Held(entry) if !self.give(inner, &entry, asker, now) => return Answer::Later,
            Here::Held(_) => inner.gave_singly = true,
            // It is under way, or will be sent again.
            Here::Given { to, .. } if to == asker.incarnation => {}
            Here::Given { to, place: at, number } => {
                let is_seen = inner.takers.get(&asker.incarnation).is_none_or(|taker| taker.sees(&at));
                if is_seen || !self.ownership.is_unseen(&at) || inner.takers.contains_key(&to) {
                    return Answer::Later;
                }
                self.metrics.handoffs_forced.inc();
                self.take_back(inner, number, true, now);
                return self.answer_claim(inner, asker, topic, wanted_under, now);
            }
            // It may not know of all rings that the asker skipped (R2).
            Here::Nothing if self.ownership.is_starting() && !planted(Fault::StartBlind) => {
                return Answer::Later;
            }
            Here::Nothing => {
                let topic = Bytes::copy_from_slice(topic);
                asker.outbox.push(FromPeer::Nothing { topic, ring_version: version });
            }
        }
        Answer::Done
    }

    /// Gives a topic. `false` if it is no longer here, or no longer another's.
    fn give(&self, inner: &mut Inner, entry: &Arc<Entry>, asker: &Asker, now: Instant) -> bool {
        inner.numbers += 1;
        let number = inner.numbers;
        let Some(pieces) = self.table.give(entry, &asker.place, asker.incarnation, number, now) else {
            return false;
        };
        let given = Given {
            entry: Arc::clone(entry),
            to: asker.incarnation,
            place: asker.place.clone(),
            at: now,
            link: asker.link,
        };
        inner.given.insert(number, given);
        pieces.into_iter().for_each(|piece| asker.outbox.push(FromPeer::State(piece)));
        true
    }

    /// A topic that was given away goes on here, and leaves again if the newest ring still says so.
    pub(super) fn take_back(&self, inner: &mut Inner, number: u64, renew: bool, now: Instant) {
        let Some(given) = inner.given.remove(&number) else { return };
        if self.table.take_back(&given.entry, number, renew, now) {
            self.metrics.handoffs_taken_back.inc();
            if !self.ownership.owns(given.entry.name()) {
                let owner = self.ownership.owner(given.entry.name());
                inner.leaving.entry(owner).or_default().push_back(given.entry);
            }
        }
    }

    /// At this place runs this process: whatever was given to another one there is lost with it, but for the copy (H3).
    pub(super) fn is_gone(&self, inner: &mut Inner, place: &Place, incarnation: Incarnation, now: Instant) {
        let gone = inner.given.iter().filter(|(_, given)| given.place == *place && given.to != incarnation);
        for number in gone.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.take_back(inner, number, true, now);
        }
    }

    /// What was given to who is out of reach: somebody may wait for it here, or nobody may want it any more.
    fn look_after_given(&self, inner: &mut Inner, now: Instant) {
        let lost = inner.given.iter().filter(|(_, given)| {
            self.ownership.is_unseen(&given.place) && !inner.takers.contains_key(&given.to)
        });
        let lost: Vec<_> = lost.map(|(number, given)| (*number, given.place.clone())).collect();
        for (number, place) in lost {
            let Some(given) = inner.given.get(&number) else { continue };
            if self.table.is_out_of_reach(&given.entry, &place) {
                self.metrics.handoffs_forced.inc();
                self.take_back(inner, number, true, now);
            } else if now.duration_since(given.at) >= COPY_KEPT {
                self.table.given_away(&given.entry, number, now);
                inner.given.remove(&number);
            }
        }
    }
}

impl Inner {
    fn next_leaving(&mut self, place: &Place) -> Option<Arc<Entry>> {
        let entries = self.leaving.get_mut(place)?;
        let next = entries.pop_front();
        if entries.is_empty() {
            self.leaving.remove(place);
        }
        next
    }

    /// Topics that were asked for one by one, that nobody used for too long, or that stay: an address of the ring has
    /// turned out to be this process's own (H7).
    pub(super) fn forget_what_left(&mut self, ownership: &Ownership) {
        self.leaving.retain(|_, entries| {
            entries.retain(|entry| entry.is_held() && !ownership.owns(entry.name()));
            !entries.is_empty()
        });
    }

    pub(super) fn given_to(&mut self, number: u64, to: Incarnation) -> Option<Given> {
        self.given.get(&number).filter(|given| given.to == to)?;
        self.given.remove(&number)
    }
}
