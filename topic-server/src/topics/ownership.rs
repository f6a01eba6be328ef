//! Which topics this server may open: its name and addresses on one side, the newest ring on the other, and between
//! them the earlier rings under which others may still hold what is now its own (rules R1, R2, H2, H4, H7).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use campanile_proto::message::{Place, Rings};
use campanile_proto::planted::{Fault, planted};
use campanile_ring_config::ring::POINTS_MAX;
use campanile_ring_config::{Member, Ring};
use parking_lot::Mutex;

/// For so long after an edit the ring before it is offered to others, although nothing may be left to hand over (R2).
const OFFERED: Duration = Duration::from_secs(60);

/// So many earlier rings are kept. Beyond, the oldest goes: whoever held topics under it has been out of reach for as
/// many edits.
const EARLIER: usize = 16;

/// So many points may all earlier rings have, and all that others know of; beyond, the oldest goes as well. A line of text
/// is enough to name a ring of half as many.
const POINTS: u64 = 2 * POINTS_MAX;

/// Places of which it is known that they hold nothing of others.
const PLACES: usize = 4096;

/// This server's place in the newest ring. Every decision loads the view anew, under the topic's lock (L4).
#[derive(Debug)]
pub struct Ownership {
    name: String,
    view: ArcSwap<View>,
    /// One change at a time.
    changing: Mutex<()>,
}

#[derive(Clone, Debug)]
struct View {
    ring: Arc<Ring>,
    /// Where this process has been reached, or listens: its own places in rings.
    addresses: BTreeSet<String>,
    /// Index of this process in the ring's members; `None` for a standby.
    own: Option<usize>,
    /// By version.
    earlier: BTreeMap<u64, Earlier>,
    /// Newer rings that others know of, by version: when a still newer one is adopted, these are earlier ones.
    heard: BTreeMap<u64, Arc<Ring>>,
    /// Who held nothing of others, at which version or a newer one.
    clean: BTreeMap<Place, u64>,
    /// To whom there has been no link for 5 s.
    unseen: BTreeSet<Place>,
    /// Others may know of rings that this process has never seen (R2).
    starting: bool,
    /// Grows with everything that [`Ownership::offers`] says.
    generation: u64,
}

#[derive(Clone, Debug)]
struct Earlier {
    ring: Arc<Ring>,
    offered_until: Instant,
}

/// How a topic that is not here stands to this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The newest ring gives it to another server.
    Foreign,
    /// It may be opened at once.
    Free,
    /// These have to be asked first, each once.
    Asked(Vec<Place>),
    /// Whom to ask is not known yet.
    Starting,
}

/// What a ring calls a member.
pub fn place(member: &Member) -> Place {
    Place { name: member.name().to_owned(), address: member.address().to_owned() }
}

impl Ownership {
    /// The server of this name under this ring, at the address that the ring gives the name.
    pub fn new(name: String, ring: Arc<Ring>) -> Self {
        let addresses = ring.member(&name).map(|member| member.address().to_owned()).into_iter().collect();
        let mut view = View {
            ring,
            addresses,
            own: None,
            earlier: BTreeMap::new(),
            heard: BTreeMap::new(),
            clean: BTreeMap::new(),
            unseen: BTreeSet::new(),
            starting: false,
            generation: 1,
        };
        view.find_self(&name);
        Self { name, view: ArcSwap::from_pointee(view), changing: Mutex::default() }
    }

    /// The same at another address than the ring's, or none that is known yet.
    pub fn elsewhere(name: String, ring: Arc<Ring>, address: Option<String>) -> Self {
        let ownership = Self::new(name, ring);
        ownership.change(|view| {
            view.addresses = address.into_iter().collect();
            true
        });
        ownership
    }

    /// This server's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the newest ring has this process; without an address if it has not.
    pub fn own_place(&self) -> Place {
        let view = self.view.load();
        let in_ring = view.own.and_then(|own| view.ring.members().get(own)).map(Member::address);
        let address = in_ring.or_else(|| view.addresses.first().map(String::as_str)).unwrap_or_default();
        Place { name: self.name.clone(), address: address.to_owned() }
    }

    /// The newest ring.
    pub fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.view.load().ring)
    }

    /// The newest ring's version.
    pub fn ring_version(&self) -> u64 {
        self.view.load().ring.version()
    }

    /// Whether the newest ring names this process at all.
    pub fn is_member(&self) -> bool {
        self.view.load().own.is_some()
    }

    /// Whether the newest ring gives this topic to this process.
    pub fn owns(&self, topic: &[u8]) -> bool {
        let view = self.view.load();
        view.own.is_some_and(|own| view.ring.owner_index(topic) == own)
    }

    /// To whom the newest ring gives this topic.
    pub fn owner(&self, topic: &[u8]) -> Place {
        place(self.view.load().ring.owner(topic))
    }

    /// Whether this place is this process.
    pub fn is_self(&self, place: &Place) -> bool {
        self.view.load().is_self(&self.name, place)
    }

    /// How a topic that is not here stands to this server.
    pub fn standing(&self, topic: &[u8]) -> Standing {
        let view = self.view.load();
        if view.own.is_none_or(|own| view.ring.owner_index(topic) != own) {
            return Standing::Foreign;
        }
        if view.starting && !planted(Fault::StartBlind) {
            return Standing::Starting;
        }
        let mut asked = Vec::new();
        for (version, earlier) in &view.earlier {
            let holder = earlier.ring.owner(topic);
            let holder = Place { name: holder.name().to_owned(), address: holder.address().to_owned() };
            if !view.is_clean(&holder, *version)
                && !view.is_self(&self.name, &holder)
                && !asked.contains(&holder)
            {
                asked.push(holder);
            }
        }
        if asked.is_empty() || planted(Fault::OpenUnasked) { Standing::Free } else { Standing::Asked(asked) }
    }

    /// Whether there has been no link to this place for 5 s (H4).
    pub fn is_unseen(&self, place: &Place) -> bool {
        self.view.load().unseen.contains(place)
    }

    /// From now on the newest ring is this one, if it is newer (R1). The one before it is remembered.
    pub fn adopt(&self, ring: Arc<Ring>, now: Instant) -> bool {
        self.change(|view| {
            if ring.version() <= view.ring.version() && !planted(Fault::AdoptOlder) {
                return false;
            }
            let before = std::mem::replace(&mut view.ring, ring);
            view.earlier.remove(&view.ring.version());
            view.remember(before, now);
            let newer = view.heard.split_off(&view.ring.version());
            std::mem::replace(&mut view.heard, newer).into_values().for_each(|ring| view.remember(ring, now));
            view.heard.remove(&view.ring.version());
            true
        })
    }

    /// Rings that others know of, and who held nothing of others under which. Newer ones are kept in mind, too: who is
    /// said to have given everything under a ring must not be believed without that ring.
    pub fn learn(
        &self,
        rings: impl IntoIterator<Item = Arc<Ring>>,
        clean: impl IntoIterator<Item = (Place, u64)>,
        now: Instant,
    ) {
        let (rings, clean): (Vec<_>, Vec<_>) = (rings.into_iter().collect(), clean.into_iter().collect());
        self.change(|view| {
            let mut changed = false;
            for (place, version) in clean {
                // More places than there are servers: somebody makes them up.
                if view.clean.len() >= PLACES && !view.clean.contains_key(&place) {
                    continue;
                }
                let known = view.clean.entry(place).or_default();
                changed |= *known < version;
                *known = version.max(*known);
            }
            for ring in rings {
                let version = ring.version();
                if version < view.ring.version() && !view.earlier.contains_key(&version) {
                    view.remember(ring, now);
                    changed = true;
                } else if version > view.ring.version() && !view.heard.contains_key(&version) {
                    view.heard.insert(version, ring);
                    keep_newest(&mut view.heard, |ring| ring.size());
                    changed = true;
                }
            }
            changed
        });
    }

    /// This process was reached at this address, so that is one of its places (H7).
    pub fn learn_address(&self, address: &str) {
        if self.view.load().addresses.contains(address) {
            return;
        }
        self.change(|view| view.addresses.insert(address.to_owned()));
    }

    /// Whether others still have to be asked for rings that this process has never seen.
    pub fn set_starting(&self, starting: bool) {
        self.change(|view| std::mem::replace(&mut view.starting, starting) != starting);
    }

    /// Whether others still have to be asked for rings that this process has never seen.
    pub fn is_starting(&self) -> bool {
        self.view.load().starting
    }

    /// To whom there has been no link for 5 s.
    pub fn set_unseen(&self, unseen: BTreeSet<Place>) {
        if self.view.load().unseen != unseen {
            self.change_quietly(|view| {
                view.unseen = unseen;
                true
            });
        }
    }

    /// Forgets rings under which nothing can lie elsewhere any more and that are no longer offered.
    pub fn forget(&self, now: Instant) {
        let view = self.view.load();
        let is_over =
            |earlier: &Earlier| earlier.offered_until <= now && view.is_closed(&self.name, &earlier.ring);
        let over: Vec<u64> = view
            .earlier
            .iter()
            .filter(|(_, earlier)| is_over(earlier))
            .map(|(version, _)| *version)
            .collect();
        if !over.is_empty() {
            self.change(|view| {
                over.iter().for_each(|version| drop(view.earlier.remove(version)));
                true
            });
        }
    }

    /// Every other topic server with which there may be something to settle.
    pub fn peers(&self) -> BTreeSet<Place> {
        let view = self.view.load();
        let open = view.earlier.values().map(|earlier| &earlier.ring);
        let open = open.filter(|ring| !view.is_closed(&self.name, ring));
        let members = open.chain([&view.ring]).flat_map(|ring| ring.members()).map(place);
        members.filter(|place| !view.is_self(&self.name, place)).collect()
    }

    /// Whom to ask for all that the newest ring gives to this server.
    pub fn givers(&self) -> BTreeSet<Place> {
        let view = self.view.load();
        let mut givers = BTreeSet::new();
        if view.own.is_some() {
            for (version, earlier) in &view.earlier {
                let places = earlier.ring.members().iter().map(place);
                givers.extend(
                    places
                        .filter(|place| !view.is_self(&self.name, place) && !view.is_clean(place, *version)),
                );
            }
        }
        givers
    }

    /// What others should know of, and a number that grows when that changes (R1, R2).
    pub fn offers(&self) -> Rings {
        let view = self.view.load();
        let earlier = view.earlier.values().map(|earlier| &earlier.ring);
        Rings {
            newest: view.ring.to_toml(),
            previous: earlier.chain(view.heard.values()).map(|ring| ring.to_toml()).collect(),
            clean: view.clean.iter().map(|(place, version)| (place.clone(), *version)).collect(),
            starting: view.starting,
        }
    }

    /// Grows whenever [`Ownership::offers`] changes.
    pub fn generation(&self) -> u64 {
        self.view.load().generation
    }

    /// A change that others have to hear of.
    fn change(&self, change: impl FnOnce(&mut View) -> bool) -> bool {
        self.change_quietly(|view| {
            let changed = change(view);
            view.generation += u64::from(changed);
            changed
        })
    }

    fn change_quietly(&self, change: impl FnOnce(&mut View) -> bool) -> bool {
        let _one_at_a_time = self.changing.lock();
        let mut view = self.view.load().as_ref().clone();
        let changed = change(&mut view);
        if changed {
            view.find_self(&self.name);
            self.view.store(Arc::new(view));
        }
        changed
    }
}

impl View {
    fn is_self(&self, name: &str, place: &Place) -> bool {
        place.name == name && (self.addresses.contains(&place.address) || planted(Fault::NameIsEnough))
    }

    fn find_self(&mut self, name: &str) {
        let is_own = |member: &Member| self.is_self(name, &place(member));
        self.own = self.ring.members().iter().position(is_own);
    }

    fn remember(&mut self, ring: Arc<Ring>, now: Instant) {
        let earlier = Earlier { ring, offered_until: now + OFFERED };
        self.earlier.insert(earlier.ring.version(), earlier);
        keep_newest(&mut self.earlier, |earlier| earlier.ring.size());
    }

    /// Whether nobody can hold what it got under this ring and lost under a later one.
    fn is_closed(&self, name: &str, ring: &Ring) -> bool {
        ring.members()
            .iter()
            .map(place)
            .all(|place| self.is_self(name, &place) || self.is_clean(&place, ring.version()))
    }

    /// Whether this server has given away whatever it got under this version and lost since. What it said under a ring
    /// that we do not have yet counts for nothing: that ring may give it what ours gives to us (H6).
    fn is_clean(&self, place: &Place, version: u64) -> bool {
        let is_known = |clean: &u64| *clean > version && *clean <= self.ring.version();
        self.clean.get(place).is_some_and(is_known)
    }
}

/// Lets the oldest rings go, until there are at most [`EARLIER`] with at most [`POINTS`].
fn keep_newest<T>(rings: &mut BTreeMap<u64, T>, size: impl Fn(&T) -> u64) {
    for _ in 0..surplus(rings.values().map(size), EARLIER) {
        rings.pop_first();
    }
}

/// How many of the oldest rings have to go, so that at most `most` are left and these have at most [`POINTS`]; `sizes` are
/// their points, from the oldest on.
pub(crate) fn surplus(sizes: impl DoubleEndedIterator<Item = u64> + ExactSizeIterator, most: usize) -> usize {
    let all = sizes.len();
    let mut points = 0;
    let fits = |size: &u64| {
        points += size;
        points <= POINTS
    };
    all - sizes.rev().take(most).take_while(fits).count()
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
