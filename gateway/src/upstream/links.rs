//! All topic servers that this gateway has to do with: those of the newest ring, and former members for as long as
//! topics are bound to them (rule H8).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use campanile_proto::message::Place;
use campanile_proto::{FromGateway, Incarnation, LINK_VERSION};
use campanile_ring_config::Ring;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::hub::patterns::Reached;
use crate::hub::publish::{Budget, Room};
use crate::hub::state::{LinkView, MemberId, Request, Routes};
use crate::upstream::outbox::Outbox;
use crate::upstream::past::PastRings;
use crate::upstream::route::Route;
use crate::upstream::sight::{Sight, Told};

/// A member that could not be reached for so long counts as tried.
const TRIED_AFTER: Duration = Duration::from_secs(5);

/// The gateway's links and the ring that says which topic goes over which.
#[derive(Debug)]
pub struct Links {
    route: ArcSwap<Route>,
    /// By their [`MemberId`]; none is ever taken out, but one whose task has ended leaves its place to the next that is new.
    members: ArcSwap<Vec<Arc<Upstream>>>,
    adopting: Mutex<()>,
    past: Mutex<PastRings>,
    /// What all links were told that this gateway sees. Held while a link is told, so that none gets it out of order.
    told: Mutex<Told>,
    outbox_limit: usize,
}

/// One topic server, seen from here.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) id: MemberId,
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) outbox: Outbox,
    /// Ends the link's task.
    pub(crate) stop: CancellationToken,
    budget: Arc<Budget>,
    since: Instant,
    /// Number of the link that is up, else 0.
    up: AtomicU64,
    owner: AtomicU64,
    /// No longer in the ring.
    former: AtomicBool,
    /// Its task has ended: nothing goes this way any more.
    over: AtomicBool,
    /// Its link has been up at some time.
    ever_up: AtomicBool,
    sight: Mutex<Sight>,
    /// It has said that it is ending in an orderly way.
    leaving: AtomicBool,
    /// The link version that is spoken on its link; before it is known, the one that is said.
    version: AtomicU32,
    /// The [`Room`] for what goes this way now ([`crate::upstream::lag`]).
    room: AtomicU8,
}

/// A member of the ring and whether its link is up, for readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberState {
    /// The member's name.
    pub name: String,
    /// Its link is up.
    pub up: bool,
    /// It has been up, or out of reach for 5 s.
    pub tried: bool,
}

impl Links {
    /// The links of this ring, all of them down; the second value is what needs a task.
    pub(crate) fn new(ring: Arc<Ring>, outbox_limit: usize) -> (Self, Vec<Arc<Upstream>>) {
        let members: Vec<_> = ring
            .members()
            .iter()
            .enumerate()
            .map(|(id, member)| Arc::new(Upstream::new(id, member.name(), member.address(), outbox_limit)))
            .collect();
        let ids = members.iter().map(|upstream| upstream.id).collect();
        let links = Self {
            route: ArcSwap::from_pointee(Route::new(ring, ids)),
            members: ArcSwap::from_pointee(members.clone()),
            adopting: Mutex::new(()),
            past: Mutex::default(),
            told: Mutex::default(),
            outbox_limit,
        };
        (links, members)
    }

    /// Links that lead nowhere: each member's first link is up, and what is queued for it stays there. The hub then runs
    /// without topic servers, and whoever holds a view speaks for one: for benches.
    pub fn unconnected(ring: Arc<Ring>) -> (Self, Vec<LinkView>) {
        let (links, upstreams) = Self::new(ring, usize::MAX);
        let view = |upstream: &Arc<Upstream>| {
            upstream.outbox.open(1, FromGateway::Ping(0));
            upstream.set_up(1, Incarnation(1));
            upstream.view()
        };
        (links, upstreams.iter().map(view).collect())
    }

    /// Routes by this ring from now on. Returns the members that are new and need a task.
    pub(crate) fn adopt(&self, ring: Arc<Ring>) -> Vec<Arc<Upstream>> {
        let _one_at_a_time = self.adopting.lock();
        let now = Instant::now();
        let mut members = self.members.load().as_ref().clone();
        let mut new = Vec::new();
        let mut ids = Vec::new();
        for member in ring.members() {
            // A member is name and address (H7); one whose task has been ended starts anew.
            let known = members.iter().find(|upstream| {
                upstream.name == member.name()
                    && upstream.address == member.address()
                    && !upstream.stop.is_cancelled()
            });
            let upstream = match known {
                Some(upstream) => Arc::clone(upstream),
                None => {
                    let id = free_place(&members, now);
                    let upstream = Upstream::new(id, member.name(), member.address(), self.outbox_limit);
                    let upstream = Arc::new(upstream);
                    match members.get_mut(id) {
                        Some(place) => *place = Arc::clone(&upstream),
                        None => members.push(Arc::clone(&upstream)),
                    }
                    new.push(Arc::clone(&upstream));
                    upstream
                }
            };
            ids.push(upstream.id);
        }
        for upstream in &members {
            upstream.former.store(!ids.contains(&upstream.id), Ordering::Relaxed);
        }
        // The members first: a route must never name one that is not there.
        self.members.store(Arc::new(members));
        self.past.lock().push(self.ring(), now);
        self.route.store(Arc::new(Route::new(ring, ids)));
        new
    }

    /// The rings before the newest that somebody who starts now may have to know of, as texts, oldest first.
    pub(crate) fn previous_rings(&self, now: Instant) -> Vec<String> {
        self.past.lock().texts(now)
    }

    /// The newest ring.
    pub fn ring(&self) -> Arc<Ring> {
        Arc::clone(self.route.load().ring())
    }

    /// The newest ring's members, in its order.
    pub fn states(&self) -> Vec<MemberState> {
        let members = self.members.load();
        let route = self.route.load();
        let state = |id: &MemberId| {
            let upstream = members.get(id.0 as usize)?;
            let up = upstream.number().is_some();
            let ever_up = upstream.ever_up.load(Ordering::Relaxed);
            let tried = ever_up || upstream.since.elapsed() >= TRIED_AFTER;
            Some(MemberState { name: upstream.name.clone(), up, tried })
        };
        route.members().iter().filter_map(state).collect()
    }

    /// Room for publishes to a member.
    pub(crate) fn budget(&self, member: MemberId) -> Arc<Budget> {
        Arc::clone(&self.members.load()[member.0 as usize].budget)
    }

    /// The room for what is published to a member now.
    pub(crate) fn room(&self, member: MemberId) -> Room {
        let members = self.members.load();
        let room = members.get(member.0 as usize).map(|upstream| upstream.room.load(Ordering::Relaxed));
        room.map_or(Room::Ample, Room::from_number)
    }

    /// Queues a request for a member, if this link is still its link.
    pub(crate) fn send(&self, member: MemberId, link: u64, request: Request) {
        if let Some(upstream) = self.members.load().get(member.0 as usize)
            && (upstream.version.load(Ordering::Relaxed) > 1 || request.is_of_version_1())
        {
            upstream.outbox.request(link, request);
        }
    }

    /// Every topic server that there may be a link to: members of the newest ring, and former ones.
    pub(crate) fn reached(&self) -> Vec<Reached> {
        let members = self.members.load();
        let mine = members.iter().filter(|upstream| !upstream.stop.is_cancelled());
        let reached = |upstream: &Arc<Upstream>| Reached {
            view: upstream.view(),
            is_member: !upstream.former.load(Ordering::Relaxed),
            is_leaving: upstream.leaving.load(Ordering::Relaxed),
        };
        mine.map(reached).collect()
    }

    /// Every topic server that this gateway has a link to, or had one a short while ago; former members, too.
    pub(crate) fn sees(&self, now: Instant) -> BTreeSet<Place> {
        let members = self.members.load();
        let seen = members.iter().filter(|upstream| upstream.sight.lock().sees(now));
        let place = |upstream: &Arc<Upstream>| Place {
            name: upstream.name.clone(),
            address: upstream.address.clone(),
        };
        seen.map(place).collect()
    }

    /// A link is up: what this gateway sees is the first thing that it carries, and requests may follow.
    pub(crate) fn set_up(&self, upstream: &Upstream, number: u64, owner: Incarnation, now: Instant) {
        let mut told = self.told.lock();
        upstream.sight.lock().open(number);
        if told.changes_to(self.sees(now)) {
            self.tell(&told);
        } else {
            upstream.outbox.own(number, FromGateway::Sees(told.places()));
        }
        upstream.set_up(number, owner);
    }

    /// Tells all links what this gateway sees, if that is no longer what they were told: a member whose link has been
    /// down for long is out of sight. Call it now and then.
    pub(crate) fn look_around(&self, now: Instant) {
        let mut told = self.told.lock();
        if told.changes_to(self.sees(now)) {
            self.tell(&told);
        }
    }

    fn tell(&self, told: &Told) {
        for upstream in self.members.load().iter() {
            let link = upstream.sight.lock().link();
            if let Some(number) = link {
                upstream.outbox.own(number, FromGateway::Sees(told.places()));
            }
        }
    }

    /// Ends all links.
    pub(crate) fn stop(&self) {
        let _one_at_a_time = self.adopting.lock();
        for upstream in self.members.load().iter() {
            upstream.stop.cancel();
        }
    }

    /// Ends the links of former members that nobody uses any more. Whether there were any.
    pub(crate) fn let_go(&self, in_use: impl Fn(MemberId) -> bool) -> bool {
        // A ring that brings one of them back must not find it on its way out.
        let _one_at_a_time = self.adopting.lock();
        let mut any = false;
        for upstream in self.members.load().iter() {
            if upstream.former.load(Ordering::Relaxed)
                && !upstream.stop.is_cancelled()
                && !in_use(upstream.id)
            {
                tracing::info!(member = %upstream.name, address = %upstream.address, "former member let go");
                upstream.stop.cancel();
                any = true;
            }
        }
        any
    }
}

/// Where a new member goes: to the place of a forgotten one, or the table would grow with every edit.
fn free_place(members: &[Arc<Upstream>], now: Instant) -> usize {
    members.iter().position(|upstream| upstream.is_forgotten(now)).unwrap_or(members.len())
}

impl Routes for Links {
    fn owner(&self, topic: &[u8]) -> MemberId {
        self.route.load().owner(topic)
    }

    fn view(&self, member: MemberId) -> LinkView {
        self.members.load()[member.0 as usize].view()
    }
}

impl Upstream {
    fn new(id: usize, name: &str, address: &str, outbox_limit: usize) -> Self {
        let now = Instant::now();
        Self {
            id: MemberId(id as u32),
            name: name.to_owned(),
            address: address.to_owned(),
            outbox: Outbox::default(),
            stop: CancellationToken::new(),
            budget: Arc::new(Budget::new(outbox_limit)),
            since: now,
            up: AtomicU64::new(0),
            owner: AtomicU64::new(0),
            former: AtomicBool::new(false),
            over: AtomicBool::new(false),
            ever_up: AtomicBool::new(false),
            sight: Mutex::new(Sight::new(now)),
            leaving: AtomicBool::new(false),
            version: AtomicU32::new(LINK_VERSION),
            room: AtomicU8::new(0),
        }
    }

    fn number(&self) -> Option<u64> {
        match self.up.load(Ordering::Acquire) {
            0 => None,
            number => Some(number),
        }
    }

    pub(crate) fn view(&self) -> LinkView {
        let up = self.number();
        LinkView { member: self.id, up, owner: Incarnation(self.owner.load(Ordering::Acquire)) }
    }

    /// The link version to say first.
    pub(crate) fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    /// The link version that its topic server speaks.
    pub(crate) fn set_version(&self, version: u32) {
        self.version.store(version, Ordering::Relaxed);
    }

    /// The link version was refused: next time the other one is said.
    pub(crate) fn say_other_version(&self) {
        let other = if self.version() == LINK_VERSION { LINK_VERSION - 1 } else { LINK_VERSION };
        self.set_version(other);
    }

    /// Says what room its link has. Whether that is new.
    pub(crate) fn set_room(&self, room: Room) -> bool {
        // One task says so; what others see late costs a few publishes.
        let is_new = self.room.load(Ordering::Relaxed) != room as u8;
        if is_new {
            self.room.store(room as u8, Ordering::Relaxed);
        }
        is_new
    }

    /// Requests may be queued for this link.
    pub(crate) fn set_up(&self, number: u64, owner: Incarnation) {
        self.leaving.store(false, Ordering::Relaxed);
        self.outbox.welcome(number, owner);
        self.ever_up.store(true, Ordering::Relaxed);
        // Before the number: who sees the number sees its owner, too.
        self.owner.store(owner.0, Ordering::Release);
        self.up.store(number, Ordering::Release);
    }

    /// The topic server is ending: what is queued still goes, and everything else waits for the next link.
    pub(crate) fn leave(&self, number: u64) {
        self.leaving.store(true, Ordering::Relaxed);
        let _ = self.up.compare_exchange(number, 0, Ordering::AcqRel, Ordering::Relaxed);
        self.outbox.finish(number);
    }

    /// There will be no other link.
    pub(crate) fn shut(&self) {
        self.up.store(0, Ordering::Release);
        self.sight.lock().end(None, Instant::now());
        self.outbox.shut();
        self.over.store(true, Ordering::Release);
    }

    /// Whether nothing is left to be known of it: its task has ended, and it is seen no more. No topic has been bound to it
    /// since before that task was told to end.
    fn is_forgotten(&self, now: Instant) -> bool {
        self.over.load(Ordering::Acquire) && !self.sight.lock().sees(now)
    }

    /// No request can be queued until the next link.
    pub(crate) fn set_down(&self, number: u64) {
        self.set_room(Room::Ample);
        let _ = self.up.compare_exchange(number, 0, Ordering::AcqRel, Ordering::Relaxed);
        self.sight.lock().end(Some(number), Instant::now());
        self.outbox.close(number);
    }
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
