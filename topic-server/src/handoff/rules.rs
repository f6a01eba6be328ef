//! What one topic server does so that topics go to their owners with their state: whom it asks, whom it answers, what
//! it gives. Command in, effects into outboxes: no task, no clock, no socket. docs/link.md has the rules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use campanile_proto::Incarnation;
use campanile_proto::handoff::{FromPeer, PeerHello, PeerWelcome, Piece};
use campanile_proto::message::{Place, Rings};
use campanile_proto::planted::{Fault, planted};
use campanile_ring_config::Ring;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::handoff::giver::{Giver, Knowledge};
use crate::handoff::giving::Given;
use crate::handoff::outbox::PeerOutbox;
use crate::handoff::taker::Taker;
use crate::metrics::Metrics;
use crate::topics::ownership::surplus;
use crate::topics::portable::Arriving;
use crate::topics::{Entry, Ownership, Table};

/// A process that starts waits so long for others to say which rings there were (R2).
pub const STARTING: Duration = Duration::from_secs(1);

/// So long after an edit a server asks for all that is its own. Gateways read the edit meanwhile, and a topic that moves
/// then stands still for less time; one that somebody wants here is asked for at once.
pub const ASK_ALL_AFTER: Duration = Duration::from_millis(250);

/// So many rings that others said are remembered, or fewer large ones.
const KNOWN: usize = 32;

/// How often what is left of old affairs is looked at.
const UPKEEP: Duration = Duration::from_millis(500);

/// One topic server's part in all handoffs.
#[derive(Debug)]
pub struct Handoff {
    incarnation: Incarnation,
    pub(super) table: Arc<Table>,
    pub(super) ownership: Arc<Ownership>,
    pub(super) metrics: Arc<Metrics>,
    inner: Mutex<Inner>,
    busy: AtomicBool,
    became_busy: Notify,
    /// Rings as others said them last: the same ones are said again and again, and making one costs some time.
    known: Mutex<VecDeque<(String, Arc<Ring>)>>,
}

#[derive(Debug)]
pub(super) struct Inner {
    started: Instant,
    /// When the newest ring was adopted.
    adopted: Instant,
    /// The newest ring is another than when topics that somebody waits for were looked after last.
    asks_anew: bool,
    /// To whom links are kept, and what was asked there.
    givers: BTreeMap<Place, Giver>,
    /// Whose links are here.
    pub(super) takers: BTreeMap<Incarnation, Taker>,
    /// Topics held here that the newest ring gives to others, by who that is.
    pub(super) leaving: BTreeMap<Place, VecDeque<Arc<Entry>>>,
    /// What was given away and not yet taken, by the number of the giving.
    pub(super) given: BTreeMap<u64, Given>,
    pub(super) numbers: u64,
    /// Topics were given one by one: some of those that leave have left.
    pub(super) gave_singly: bool,
    next_upkeep: Instant,
    /// What peers were told last of rings, and of whom this server sees.
    told_rings: u64,
    told_sees: Vec<Place>,
    /// As whom this server opened its links.
    own_place: Place,
}

impl Handoff {
    /// The part of the server of this incarnation, which has just started.
    pub fn new(
        incarnation: Incarnation,
        table: Arc<Table>,
        ownership: Arc<Ownership>,
        metrics: Arc<Metrics>,
        now: Instant,
    ) -> Self {
        table.be(incarnation);
        ownership.set_starting(true);
        let inner = Inner {
            started: now,
            adopted: now,
            asks_anew: false,
            givers: BTreeMap::new(),
            takers: BTreeMap::new(),
            leaving: BTreeMap::new(),
            given: BTreeMap::new(),
            numbers: 0,
            gave_singly: false,
            next_upkeep: now,
            told_rings: 0,
            told_sees: Vec::new(),
            own_place: ownership.own_place(),
        };
        let handoff = Self {
            incarnation,
            table,
            ownership,
            metrics,
            inner: Mutex::new(inner),
            busy: AtomicBool::new(true),
            became_busy: Notify::new(),
            known: Mutex::default(),
        };
        // Nobody to ask: it has not to wait.
        handoff.tick(now);
        handoff
    }

    /// This process's life.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether nothing is to be handed over and nothing that was is unanswered.
    pub fn is_done(&self) -> bool {
        let inner = self.inner.lock();
        inner.leaving.is_empty() && inner.given.is_empty()
    }

    /// The rings that others should know of.
    pub fn offers(&self) -> Rings {
        self.ownership.offers()
    }

    /// Resolves when something has come under way while nothing was. For one task.
    pub async fn became_busy(&self) {
        self.became_busy.notified().await;
    }

    /// Whether something is under way, so that time should be looked at often.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) || self.table.waiting() > 0
    }

    /// To whom there should be a link now.
    pub fn wanted(&self) -> BTreeSet<Place> {
        self.ownership.peers()
    }

    /// What to say first to this place.
    pub fn hello(&self, to: &Place, link_number: u64) -> PeerHello {
        let ring = self.ownership.ring();
        PeerHello {
            link_version: campanile_proto::LINK_VERSION,
            from: self.ownership.own_place(),
            incarnation: self.incarnation,
            link_number,
            to: to.clone(),
            ring_version: ring.version(),
            ring_digest: ring.digest(),
        }
    }

    /// What to say to who opened a link.
    pub fn welcome(&self) -> PeerWelcome {
        let ring = self.ownership.ring();
        PeerWelcome {
            link_version: campanile_proto::LINK_VERSION,
            name: self.ownership.name().to_owned(),
            incarnation: self.incarnation,
            ring_version: ring.version(),
            ring_digest: ring.digest(),
        }
    }

    /// A link that this server opened is up: its numbers grow.
    pub fn dialed(
        &self,
        place: &Place,
        number: u64,
        outbox: PeerOutbox,
        incarnation: Incarnation,
        now: Instant,
    ) {
        let mut inner = self.inner.lock();
        self.is_gone(&mut inner, place, incarnation, now);
        let rings = self.ownership.offers();
        let giver = inner.givers.entry(place.clone()).or_insert_with(|| Giver::new(now));
        outbox.push(FromPeer::Rings(rings));
        giver.set_up(number, outbox.clone(), incarnation);
        outbox.push(FromPeer::Sees(inner.sees(now)));
        self.work(&mut inner, now);
    }

    /// A link that this server opened is down.
    pub fn undialed(&self, place: &Place, number: u64, now: Instant) {
        let mut inner = self.inner.lock();
        if let Some(giver) = inner.givers.get_mut(place) {
            giver.set_down(number, now);
        }
        self.work(&mut inner, now);
    }

    /// Nobody listens at this place: nobody there knows of rings (R2).
    pub fn refused(&self, place: &Place, now: Instant) {
        let mut inner = self.inner.lock();
        if let Some(giver) = inner.givers.get_mut(place)
            && giver.knowledge == Knowledge::Unknown
        {
            giver.knowledge = Knowledge::Nobody;
            self.work(&mut inner, now);
        }
    }

    /// Somebody has opened a link to this server. Its older one has ended.
    pub fn accepted(&self, hello: &PeerHello, outbox: PeerOutbox, now: Instant) {
        let mut inner = self.inner.lock();
        self.is_gone(&mut inner, &hello.from, hello.incarnation, now);
        outbox.push(FromPeer::Rings(self.ownership.offers()));
        // What it was given and has not answered may not have arrived (H3).
        for (number, given) in &inner.given {
            if given.to == hello.incarnation {
                let pieces = self.table.give_again(&given.entry, *number, now);
                pieces.into_iter().flatten().for_each(|piece| outbox.push(FromPeer::State(piece)));
            }
        }
        let taker = Taker::new(hello.from.clone(), hello.link_number, hello.link_version, outbox);
        inner.takers.insert(hello.incarnation, taker);
        self.work(&mut inner, now);
    }

    /// A link that somebody else opened is down. What of it was never sent was not given (H3).
    pub fn ended(&self, incarnation: Incarnation, number: u64, now: Instant) {
        let mut inner = self.inner.lock();
        let is_it = inner.takers.get(&incarnation).is_some_and(|taker| taker.number == number);
        if is_it && let Some(taker) = inner.takers.remove(&incarnation) {
            for item in taker.outbox.end() {
                // What came again on this link was sent on an earlier one, and may be open there.
                if let FromPeer::State(Piece { number: giving, last: true, .. }) = item
                    && inner.given.get(&giving).is_some_and(|given| given.link == number)
                {
                    self.take_back(&mut inner, giving, false, now);
                }
            }
            if planted(Fault::TakeEpochBack) {
                let given = inner.given.iter().filter(|(_, given)| given.to == incarnation);
                for number in given.map(|(number, _)| *number).collect::<Vec<_>>() {
                    self.take_back(&mut inner, number, false, now);
                }
            }
        }
        self.work(&mut inner, now);
    }

    /// A giver has said something, on the link of this number. Returns a ring that is newer than this server's (R1).
    /// What follows from it is done by [`Handoff::settle`], once after a batch.
    pub fn from_giver(&self, place: &Place, number: u64, item: FromPeer, now: Instant) -> Option<Arc<Ring>> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let giver = inner.givers.get_mut(place)?;
        let up = giver.up(number)?;
        match item {
            FromPeer::State(piece) => {
                let number = piece.number;
                let is_last = piece.last;
                if piece.head.is_some() {
                    up.arriving = Arriving::begin(piece);
                } else if !up.arriving.as_mut().is_some_and(|arriving| arriving.go_on(piece)) {
                    up.arriving = None;
                }
                if is_last && let Some(arriving) = up.arriving.take() {
                    up.has_answered(&arriving.topic);
                    let known = giver.outcome(number).filter(|_| !planted(Fault::OpenTwice));
                    let outcome = known.unwrap_or_else(|| self.table.arrive(arriving, now));
                    giver.say(number, outcome);
                }
            }
            // Binding for the ring that we have now, or not at all.
            FromPeer::Nothing { topic, ring_version }
                if ring_version >= self.ownership.ring_version() || planted(Fault::NothingAtOlderRing) =>
            {
                up.has_answered(&topic);
                self.table.excuse(&topic, place, now);
            }
            // Before any answer of this giver: what it has not got of a topic may be published before they come.
            FromPeer::PatternGateways(gateways) => self.table.expect_gateways(&gateways, now),
            FromPeer::AllGiven(version) => {
                giver.has_heard_all();
                self.ownership.learn([], [(place.clone(), version)], now);
            }
            FromPeer::Rings(rings) => {
                if !rings.starting {
                    giver.knowledge = Knowledge::Said;
                }
                return self.learn(&rings, now);
            }
            _ => {}
        }
        None
    }

    /// A taker has said something, on the link of this number. Returns a ring that is newer than this server's (R1).
    /// What follows from it is done by [`Handoff::settle`], once after a batch.
    pub fn from_taker(
        &self,
        incarnation: Incarnation,
        number: u64,
        item: FromPeer,
        now: Instant,
    ) -> Option<Arc<Ring>> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let taker = inner.takers.get_mut(&incarnation).filter(|taker| taker.number == number)?;
        match item {
            FromPeer::Taken(number) => {
                if let Some(given) = inner.given_to(number, incarnation) {
                    self.table.given_away(&given.entry, number, now);
                }
            }
            FromPeer::Disclaimed(number) => {
                // Its ring is newer than ours: it asks anew when we have that ring, too.
                taker.wants_all = None;
                if inner.given.get(&number).is_some_and(|given| given.to == incarnation) {
                    self.take_back(inner, number, false, now);
                }
            }
            FromPeer::Rings(rings) => return self.learn(&rings, now),
            item => taker.hear(item),
        }
        None
    }

    /// A ring is the newest from now on, if it is newer.
    pub fn adopt(&self, ring: Arc<Ring>, now: Instant) {
        let mut inner = self.inner.lock();
        let Some(foreign) = self.table.adopt(ring, now) else { return };
        inner.adopted = now;
        inner.asks_anew = true;
        inner.leaving.clear();
        for entry in foreign {
            inner.leaving.entry(self.ownership.owner(entry.name())).or_default().push_back(entry);
        }
        inner.givers.values_mut().for_each(Giver::ask_anew);
        self.work(&mut inner, now);
    }

    /// Rings that somebody else knows of, as text. Returns the newest one if it is newer than this server's: whether to
    /// adopt it is another question (R1).
    pub fn learn(&self, rings: &Rings, now: Instant) -> Option<Arc<Ring>> {
        self.learn_previous(&rings.previous, now);
        let newest = self.read(&rings.newest)?;
        self.ownership.learn([Arc::clone(&newest)], rings.clean.iter().cloned(), now);
        (newest.version() > self.ownership.ring_version()).then_some(newest)
    }

    /// A ring that somebody else has said; one with faults is nobody's ring.
    fn read(&self, text: &str) -> Option<Arc<Ring>> {
        let mut known = self.known.lock();
        if let Some(ring) = known.iter().find(|(known, _)| known == text) {
            return Some(Arc::clone(&ring.1));
        }
        match Ring::parse("a ring from another process", text) {
            Ok(ring) => {
                let ring = Arc::new(ring);
                known.push_back((text.to_owned(), Arc::clone(&ring)));
                let surplus = surplus(known.iter().map(|(_, ring)| ring.size()), KNOWN);
                known.drain(..surplus);
                Some(ring)
            }
            Err(faults) => {
                tracing::warn!("a ring from another process is ignored: {faults}");
                None
            }
        }
    }

    /// Earlier rings that somebody else knows of, as text (R2).
    pub fn learn_previous(&self, previous: &[String], now: Instant) {
        self.ownership.learn(previous.iter().filter_map(|text| self.read(text)), [], now);
    }

    /// Something was said, or somebody has begun to wait for a topic.
    pub fn settle(&self, now: Instant) {
        self.work(&mut self.inner.lock(), now);
    }

    /// Time has passed. Call it every 10 ms or so.
    pub fn tick(&self, now: Instant) {
        let mut inner = self.inner.lock();
        if now >= inner.next_upkeep || inner.gave_singly {
            inner.next_upkeep = now + UPKEEP;
            inner.gave_singly = false;
            self.ownership.forget(now);
            inner.forget_what_left(&self.ownership);
        }
        self.work(&mut inner, now);
    }

    /// Does whatever can be done now.
    fn work(&self, inner: &mut Inner, now: Instant) {
        self.keep_givers(inner, now);
        // Before the answers: who skipped a version must know of it when it hears that there is nothing (H2).
        self.tell(inner, now);
        self.ask(inner, now);
        self.answer(inner, now);
        let open = inner.open();
        self.metrics.handoffs_open.set(open as i64);
        let is_new = now.duration_since(inner.adopted) < 2 * ASK_ALL_AFTER;
        let is_busy = open > 0 || is_new || self.ownership.is_starting();
        let was_busy = self.busy.swap(is_busy, Ordering::Relaxed);
        if is_busy && !was_busy {
            self.became_busy.notify_one();
        }
    }

    /// Whom there is to ask at all, and who is out of reach.
    fn keep_givers(&self, inner: &mut Inner, now: Instant) {
        let own_place = self.ownership.own_place();
        if inner.own_place != own_place {
            // Its claims would be those of a stranger: the links are opened anew, and say who this is now (H7, H10).
            inner.own_place = own_place;
            inner.givers.values().filter_map(|giver| giver.link.as_ref()).for_each(|up| up.outbox.close());
        }
        let wanted = self.ownership.peers();
        // One that is linked stays until its link is down: it may be wanted again before anybody has noticed.
        inner.givers.retain(|place, giver| wanted.contains(place) || giver.link.is_some());
        for place in wanted {
            inner.givers.entry(place).or_insert_with(|| Giver::new(now));
        }
        let unseen = inner.givers.iter().filter(|(_, giver)| giver.is_unseen(now));
        self.ownership.set_unseen(unseen.map(|(place, _)| place.clone()).collect());
        if self.ownership.is_starting() {
            let is_first_ring = self.ownership.ring_version() == 1;
            let all = |is: fn(Knowledge) -> bool| inner.givers.values().all(|giver| is(giver.knowledge));
            let all_answered = all(|known| known != Knowledge::Unknown);
            // With nobody who knows, the holder of an earlier ring may still be on its way to us.
            let nobody_knows = all(|known| known == Knowledge::Nobody);
            let waited = now.duration_since(inner.started);
            if is_first_ring || all_answered && !nobody_knows || waited >= STARTING {
                self.ownership.set_starting(false);
            }
        }
    }

    /// Asks for topics that somebody waits for, and, some time after an edit, for all that are this server's.
    fn ask(&self, inner: &mut Inner, now: Instant) {
        let version = self.ownership.ring_version();
        let anew = std::mem::take(&mut inner.asks_anew);
        for (entry, holders) in self.table.look_after_waited(anew, now) {
            for holder in holders {
                if let Some(up) = inner.givers.get_mut(&holder).and_then(|giver| giver.link.as_mut()) {
                    up.claim(entry.name(), version);
                }
            }
        }
        if self.ownership.is_starting() || now.duration_since(inner.adopted) < ASK_ALL_AFTER {
            return;
        }
        let givers = self.ownership.givers();
        for (place, giver) in &mut inner.givers {
            if let Some(up) = &mut giver.link
                && up.claimed_all < version
                && givers.contains(place)
            {
                up.claimed_all = version;
                up.outbox.push(FromPeer::ClaimAll(version));
            }
        }
    }

    /// Tells peers what has changed of rings, and of whom this server sees.
    fn tell(&self, inner: &mut Inner, now: Instant) {
        let generation = self.ownership.generation();
        let sees = inner.sees(now);
        if inner.told_rings != generation {
            inner.told_rings = generation;
            let rings = self.ownership.offers();
            inner.each_outbox(|outbox| outbox.push(FromPeer::Rings(rings.clone())));
        }
        let gateways = self.table.pattern_gateways();
        for taker in inner.takers.values_mut() {
            if taker.told_gateways != gateways && taker.version > 1 {
                taker.told_gateways.clone_from(&gateways);
                taker.outbox.push(FromPeer::PatternGateways(gateways.clone()));
            }
        }
        if inner.told_sees != sees {
            inner.told_sees = sees.clone();
            inner.each_outbox(|outbox| outbox.push(FromPeer::Sees(sees.clone())));
        }
    }
}

impl Inner {
    /// To whom there is a link, or was within the last 5 s.
    fn sees(&self, now: Instant) -> Vec<Place> {
        let seen = self.givers.iter().filter(|(_, giver)| !giver.is_unseen(now));
        seen.map(|(place, _)| place.clone()).collect()
    }

    fn each_outbox(&self, mut tell: impl FnMut(&PeerOutbox)) {
        let dialed = self.givers.values().filter_map(|giver| giver.link.as_ref()).map(|up| &up.outbox);
        dialed.chain(self.takers.values().map(|taker| &taker.outbox)).for_each(&mut tell);
    }

    fn open(&self) -> usize {
        self.leaving.values().map(VecDeque::len).sum::<usize>() + self.given.len()
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
