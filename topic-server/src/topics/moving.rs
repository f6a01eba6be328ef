//! How a topic leaves this server with its state, and how it comes here: the steps of a handoff, each under the topic's
//! lock (rules H1 to H6).

use std::sync::Arc;
use std::time::Instant;

use campanile_proto::Incarnation;
use campanile_proto::Refusal;
use campanile_proto::handoff::Piece;
use campanile_proto::message::Place;
use campanile_proto::planted::{Fault, planted};
use campanile_ring_config::Ring;

use crate::topics::entry::{Entry, Given, Inner, Stage, Waiting};
use crate::topics::fanout;
use crate::topics::ownership::Standing;
use crate::topics::portable::{self, Arriving};
use crate::topics::state::{SETTLING_TIME, Topic};
use crate::topics::table::{Table, random_epoch};

/// What there is of a topic, for somebody who claims it.
#[derive(Clone, Debug)]
pub enum Here {
    /// Nothing, and there will not be under the newest ring.
    Nothing,
    /// It is held.
    Held(Arc<Entry>),
    /// It was given to this process, which has not said what became of it.
    Given {
        /// To whom.
        to: Incarnation,
        /// Where that is.
        place: Place,
        /// The number of the giving.
        number: u64,
    },
}

/// What became of a topic that came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// It goes on here, or did so already.
    Taken,
    /// The newest ring gives it to another: it was not opened, and never will be.
    Disclaimed,
}

impl Table {
    /// Makes this the newest ring, if it is newer. Returns the topics held here that it gives to others; they go on
    /// being served here until those claim them (H1).
    pub fn adopt(&self, ring: Arc<Ring>, now: Instant) -> Option<Vec<Arc<Entry>>> {
        if !self.ownership.adopt(ring, now) {
            return None;
        }
        self.expect_again(now);
        let mut foreign = Vec::new();
        for entry in self.all() {
            if self.ownership.owns(&entry.name) {
                continue;
            }
            let mut inner = entry.inner.lock();
            match inner.stage {
                _ if inner.dead => {}
                Stage::Holding if planted(Fault::DropAtOnce) => self.remove(&entry, &mut inner),
                Stage::Holding => foreign.push(Arc::clone(&entry)),
                Stage::Unopened(_) | Stage::Given(_) => self.turn_away(&entry, &mut inner),
            }
        }
        // The map has no order; what follows from this must not depend on its hasher.
        foreign.sort_by(|one, other| one.name[..].cmp(&other.name[..]));
        Some(foreign)
    }

    /// What there is of a topic that the newest ring gives to another.
    pub fn here(&self, topic: &[u8]) -> Here {
        let Some(entry) = self.find(topic) else { return Here::Nothing };
        let inner = entry.inner.lock();
        match &inner.stage {
            _ if inner.dead => Here::Nothing,
            Stage::Holding => Here::Held(Arc::clone(&entry)),
            // Nobody opens it here any more: the ring is looked at under this lock.
            Stage::Unopened(_) => Here::Nothing,
            Stage::Given(given) => {
                Here::Given { to: given.to, place: given.place.clone(), number: given.number }
            }
        }
    }

    /// Freezes a topic and packs its state for another server: its gateways are told, in order behind their deliveries
    /// (H8), and nobody is served here from now on. `None` if it is no longer held, or if the newest ring gives it to
    /// this server again.
    pub fn give(
        &self,
        entry: &Arc<Entry>,
        place: &Place,
        to: Incarnation,
        number: u64,
        now: Instant,
    ) -> Option<Vec<Piece>> {
        let mut inner = entry.inner.lock();
        if !inner.is_held() || self.ownership.owns(&entry.name) {
            return None;
        }
        self.introduce_elsewhere(entry, &mut inner, now);
        let pieces = portable::pieces(&inner.topic, &entry.name, number, now);
        if planted(Fault::ServeWhileGiving) {
            return Some(pieces);
        }
        self.end_subscriptions(entry, &mut inner, Some(to));
        let waiting = Waiting::default();
        inner.stage = Stage::Given(Box::new(Given { to, place: place.clone(), number, waiting }));
        self.note_counted(entry, &mut inner);
        Some(pieces)
    }

    /// The same pieces again, for the same process (H3). `None` if the giving is over.
    pub fn give_again(&self, entry: &Arc<Entry>, number: u64, now: Instant) -> Option<Vec<Piece>> {
        let inner = entry.inner.lock();
        match &inner.stage {
            Stage::Given(given) if given.number == number && !inner.dead => {
                Some(portable::pieces(&inner.topic, &entry.name, number, now))
            }
            _ => None,
        }
    }

    /// The topic goes on elsewhere: the copy is dropped.
    pub fn given_away(&self, entry: &Arc<Entry>, number: u64, now: Instant) {
        let mut inner = entry.inner.lock();
        let inner = &mut *inner;
        let Stage::Given(given) = &mut inner.stage else { return };
        if given.number != number || inner.dead {
            return;
        }
        let waiting = std::mem::take(&mut given.waiting);
        self.metrics.topics_moved.inc();
        self.account(inner.topic.history_bytes(), 0);
        inner.topic = Topic::new(inner.topic.epoch(), 0, now);
        let nobody_waits = waiting.parked.is_empty();
        inner.stage = Stage::Unopened(Box::new(waiting));
        if nobody_waits {
            self.remove(entry, inner);
        }
    }

    /// The topic goes on here: nobody has opened it elsewhere (H3), or whoever might have is gone; then under a new
    /// epoch. Whether it is held again.
    pub fn take_back(&self, entry: &Arc<Entry>, number: u64, renew: bool, now: Instant) -> bool {
        let mut inner = entry.inner.lock();
        if !matches!(&inner.stage, Stage::Given(given) if given.number == number) || inner.dead {
            return false;
        }
        if renew && !planted(Fault::KeepEpochOfTheGone) {
            self.account(inner.topic.history_bytes(), 0);
            inner.topic.renew(random_epoch(), self.ownership.ring_version());
        }
        self.serve(entry, &mut inner, now);
        true
    }

    /// A topic has come here with its state (H5).
    pub fn arrive(&self, arriving: Arriving, now: Instant) -> Arrived {
        loop {
            let entry = match self.find(&arriving.topic) {
                Some(entry) => entry,
                None if self.ownership.owns(&arriving.topic) || planted(Fault::OpenForeign) => {
                    self.create(&arriving.topic, now)
                }
                None => return Arrived::Disclaimed,
            };
            let mut inner = entry.inner.lock();
            if inner.dead {
                continue;
            }
            if !self.ownership.owns(&entry.name) && !planted(Fault::OpenForeign) {
                // Whatever is here stays what it is.
                if let Stage::Unopened(_) = inner.stage {
                    self.turn_away(&entry, &mut inner);
                }
                return Arrived::Disclaimed;
            }
            if let Stage::Holding = inner.stage
                && !self.gives_way(&inner, &arriving)
            {
                return Arrived::Taken;
            }
            // Whoever subscribed to what is replaced comes again, and finds the new epoch.
            self.end_subscriptions(&entry, &mut inner, None);
            let before = inner.topic.history_bytes();
            let was_held = matches!(inner.stage, Stage::Holding);
            inner.topic = arriving.into_topic(now);
            inner.topic.settle(now + SETTLING_TIME);
            self.account(before, inner.topic.history_bytes());
            if !was_held {
                self.metrics.topics_taken.inc();
            }
            // Before what waited is run: nobody gets a later message first.
            self.await_gateways(&entry, &mut inner, now);
            self.serve(&entry, &mut inner, now);
            self.note_counted(&entry, &mut inner);
            return Arrived::Taken;
        }
    }

    /// Whether a topic that is held gives way to one that arrives (H5).
    fn gives_way(&self, inner: &Inner, arriving: &Arriving) -> bool {
        if planted(Fault::OpenTwice) {
            return true;
        }
        let own = &inner.topic;
        // A copy of what goes on here, or a life in which nothing has happened.
        if arriving.renewed_from() == Some(own.epoch()) || arriving.offset() == 0 {
            return false;
        }
        if own.epoch() == arriving.epoch() {
            return arriving.offset() > own.offset();
        }
        own.offset() == 0 || arriving.opened_under() > own.opened_under
    }

    /// Somebody who may have held the topic has nothing of it (H2).
    pub fn excuse(&self, topic: &[u8], holder: &Place, now: Instant) {
        let Some(entry) = self.find(topic) else { return };
        let mut inner = entry.inner.lock();
        if let Stage::Unopened(waiting) = &mut inner.stage
            && !waiting.excused.contains(holder)
        {
            waiting.excused.push(holder.clone());
        }
        self.look(&entry, &mut inner, now);
    }

    /// Looks after all topics that somebody waits for: opens those that nobody can hold any more, refuses publishes
    /// whose time is up, and returns, for those that go on waiting, whom to ask. With `anew`, nobody has answered yet:
    /// the ring is another.
    pub fn look_after_waited(&self, anew: bool, now: Instant) -> Vec<(Arc<Entry>, Vec<Place>)> {
        let mut asked = Vec::new();
        let mut waited = std::mem::take(&mut *self.waited.lock());
        waited.retain(|entry| {
            let mut inner = entry.inner.lock();
            if anew && let Some(waiting) = inner.waiting() {
                waiting.excused.clear();
            }
            let late = inner.waiting().map(|waiting| waiting.expire(now)).unwrap_or_default();
            for parked in late {
                self.refuse_parked(parked, Refusal::Expired);
            }
            self.look(entry, &mut inner, now);
            let goes_on = !inner.dead && inner.waiting().is_some_and(|waiting| !waiting.parked.is_empty());
            if goes_on {
                if let (Stage::Unopened(waiting), Standing::Asked(holders)) =
                    (&inner.stage, self.ownership.standing(&entry.name))
                {
                    let silent = holders.into_iter().filter(|holder| !waiting.excused.contains(holder));
                    asked.push((Arc::clone(entry), silent.collect()));
                }
            } else {
                inner.listed = false;
                // Nobody waits any more for what was never opened.
                if !inner.dead && matches!(inner.stage, Stage::Unopened(_)) {
                    self.remove(entry, &mut inner);
                }
            }
            goes_on
        });
        self.waited.lock().extend(waited);
        asked
    }

    /// Opens a topic if that can be done now.
    fn look(&self, entry: &Arc<Entry>, inner: &mut Inner, now: Instant) {
        if inner.dead || inner.is_held() {
            return;
        }
        if !self.ownership.owns(&entry.name) {
            self.turn_away(entry, inner);
        } else if self.may_open(inner, &entry.name, None) {
            self.open(entry, inner, now);
        }
    }

    fn end_subscriptions(&self, entry: &Entry, inner: &mut Inner, to: Option<Incarnation>) {
        fanout::moved(&inner.topic, &entry.name, to);
        self.metrics.subscriptions.dec_by(inner.topic.subscribers().len() as i64);
        inner.topic.drop_subscribers();
    }

    /// Whether anybody who waits for a topic here cannot see this place either (H4).
    pub fn is_out_of_reach(&self, entry: &Arc<Entry>, place: &Place) -> bool {
        let mut inner = entry.inner.lock();
        self.ownership.is_unseen(place)
            && inner.waiting().is_some_and(|waiting| {
                waiting.parked.iter().any(|parked| !parked.link.sees(place) || planted(Fault::IgnoreSees))
            })
    }
}

#[cfg(test)]
#[path = "moving_tests.rs"]
mod tests;
