//! One topic's entry in the table: its lock, and how far the topic is here: held, not opened yet, or given away.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use campanile_proto::message::{Place, Publish};
use campanile_proto::planted::{Fault, planted};
use campanile_proto::{Incarnation, Subscription};
use parking_lot::Mutex;

use crate::gateways::outbox::Outbox;
use crate::topics::name::Name;
use crate::topics::state::Topic;

/// Requests that may wait for one topic. A gateway has at most half as many publishes of a topic under way.
const PARKED: usize = 8192;

/// Bytes of the publishes that may wait for one topic; the first is taken whatever its size.
const PARKED_BYTES: usize = 8 << 20;

/// One topic of the table.
#[derive(Debug)]
pub struct Entry {
    pub(super) name: Name,
    pub(super) inner: Mutex<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    /// What is here, or, of a topic that was given away, the copy; nothing of one that is not opened.
    pub(super) topic: Topic<Outbox>,
    pub(super) stage: Stage,
    /// No longer in the table: whoever finds it so looks up again.
    pub(super) dead: bool,
    /// Stands in the table's queue of topics to forget.
    pub(super) queued: bool,
    /// Stands in the table's queue of histories.
    pub(super) in_histories: bool,
    /// Stands in the table's set of topics with listeners that count.
    pub(super) in_counted: bool,
    /// Has been published to since that queue came by last.
    pub(super) fresh: bool,
    /// Stands in the table's list of topics that somebody waits for.
    pub(super) listed: bool,
    /// Links that were refused a publish when the topic had just left. Should it come back at once, their later ones
    /// must not run before those: they are refused, too, until the gateway subscribes anew.
    pub(super) shunned: Option<Box<Shunned>>,
}

/// Links whose publishes are refused.
#[derive(Debug)]
pub(super) struct Shunned {
    links: Vec<Outbox>,
    /// Once the topic is held again.
    until: Option<Instant>,
}

/// How far a topic is here.
#[derive(Debug)]
pub(super) enum Stage {
    /// Here, and served to everybody who asks, whatever ring they hold (H1).
    Holding,
    /// Not here yet: its requests wait (H2).
    Unopened(Box<Waiting>),
    /// Frozen, and sent to another server (H3).
    Given(Box<Given>),
}

/// Requests that wait for a topic.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) parked: VecDeque<Parked>,
    bytes: usize,
    /// Those who have said that they have nothing of it.
    pub(super) excused: Vec<Place>,
}

/// Where a topic went.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) to: Incarnation,
    pub(super) place: Place,
    /// This server's number of the giving.
    pub(super) number: u64,
    pub(super) waiting: Waiting,
}

/// A request that waits.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) link: Outbox,
    pub(super) request: Request,
}

#[derive(Debug)]
pub(super) enum Request {
    Subscribe(Awaiting),
    Publish { gateway: Incarnation, publish: Box<Publish>, deadline: Instant },
}

/// A subscription that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaiting {
    pub(super) subscription: Subscription,
    /// Listeners that count.
    pub(super) listeners: u32,
    /// The last change of those, if there was one since.
    pub(super) change: Option<u32>,
}

/// An entry, found by its name.
#[derive(Clone, Debug)]
pub(super) struct Key(pub(super) Arc<Entry>);

impl Entry {
    /// The topic.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether the topic is held here.
    pub fn is_held(&self) -> bool {
        self.inner.lock().is_held()
    }
}

impl Inner {
    pub(super) fn new(topic: Topic<Outbox>) -> Self {
        Self {
            topic,
            stage: Stage::Unopened(Box::default()),
            dead: false,
            queued: false,
            in_histories: false,
            in_counted: false,
            fresh: false,
            listed: false,
            shunned: None,
        }
    }

    /// A publish of this link was refused because the topic has left.
    pub(super) fn shun(&mut self, link: &Outbox) {
        let shunned =
            self.shunned.get_or_insert_with(|| Box::new(Shunned { links: Vec::new(), until: None }));
        if !shunned.links.contains(link) {
            shunned.links.push(link.clone());
        }
    }

    /// Whether publishes of this link are still refused.
    pub(super) fn shuns(&mut self, link: &Outbox, now: Instant) -> bool {
        let Some(shunned) = &self.shunned else { return false };
        if shunned.until.is_some_and(|until| until <= now) {
            self.shunned = None;
            return false;
        }
        shunned.links.contains(link)
    }

    /// The gateway has subscribed anew: what it publishes from here on is in order.
    pub(super) fn forgive(&mut self, link: &Outbox) {
        if let Some(shunned) = &mut self.shunned {
            shunned.links.retain(|own| own != link);
            if shunned.links.is_empty() {
                self.shunned = None;
            }
        }
    }

    /// The topic is held again: who has not come back by then has nothing under way.
    pub(super) fn shun_until(&mut self, until: Instant) {
        if let Some(shunned) = &mut self.shunned {
            shunned.until = Some(until);
        }
    }

    pub(super) fn is_held(&self) -> bool {
        !self.dead && matches!(self.stage, Stage::Holding)
    }

    pub(super) fn waiting(&mut self) -> Option<&mut Waiting> {
        match &mut self.stage {
            Stage::Holding => None,
            Stage::Unopened(waiting) => Some(waiting),
            Stage::Given(given) => Some(&mut given.waiting),
        }
    }
}

impl Waiting {
    /// Lets a request wait, behind all others. `false` if there is no room.
    pub(super) fn park(&mut self, link: &Outbox, request: Request) -> bool {
        let cost = request.cost();
        let full = self.parked.len() >= PARKED || self.bytes + cost > PARKED_BYTES;
        if full && !self.parked.is_empty() {
            return false;
        }
        self.bytes += cost;
        self.parked.push_back(Parked { link: link.clone(), request });
        true
    }

    /// Lets a subscription wait; the number of one of the same link whose place it takes comes back.
    pub(super) fn replace(&mut self, link: &Outbox, awaiting: Awaiting) -> Option<Subscription> {
        self.parked.iter_mut().find_map(|parked| match &mut parked.request {
            Request::Subscribe(own) if parked.link == *link => {
                Some(std::mem::replace(own, awaiting).subscription)
            }
            _ => None,
        })
    }

    /// So many listeners of a subscription that waits count. Whether it waits here.
    pub(super) fn count(
        &mut self,
        link: &Outbox,
        subscription: Subscription,
        listeners: u32,
        change: u32,
    ) -> bool {
        let found = self.parked.iter_mut().find_map(|parked| match &mut parked.request {
            Request::Subscribe(own) if parked.link == *link && own.subscription == subscription => Some(own),
            _ => None,
        });
        let is_here = found.is_some();
        if let Some(own) = found {
            *own = Awaiting { listeners, change: Some(change), ..*own };
        }
        is_here
    }

    /// Whether a subscription waits here.
    pub(super) fn has(&self, link: &Outbox, subscription: Subscription) -> bool {
        let is_it = |parked: &Parked| {
            parked.link == *link
                && matches!(parked.request, Request::Subscribe(own) if own.subscription == subscription)
        };
        self.parked.iter().any(is_it)
    }

    /// Takes a subscription out again. Whether it waited here.
    pub(super) fn unsubscribe(&mut self, link: &Outbox, subscription: Subscription) -> bool {
        let before = self.parked.len();
        self.parked.retain(|parked| {
            parked.link != *link
                || !matches!(parked.request, Request::Subscribe(own) if own.subscription == subscription)
        });
        self.parked.len() < before
    }

    /// Takes out what nobody waits for any more: publishes whose time is up, which come back, and all of links that
    /// have ended, which do not: what they hold unread is dropped, too (L2).
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Parked> {
        let mut over = Vec::new();
        for parked in std::mem::take(&mut self.parked) {
            let is_late = matches!(&parked.request, Request::Publish { deadline, .. } if *deadline <= now)
                && !planted(Fault::RunLate);
            if parked.link.ending().is_some() {
                self.bytes -= parked.request.cost();
            } else if is_late {
                self.bytes -= parked.request.cost();
                over.push(parked);
            } else {
                self.parked.push_back(parked);
            }
        }
        over
    }

    /// All that waits, in order.
    pub(super) fn take(&mut self) -> VecDeque<Parked> {
        self.bytes = 0;
        std::mem::take(&mut self.parked)
    }
}

impl Request {
    fn cost(&self) -> usize {
        match self {
            Self::Subscribe(_) => 0,
            Self::Publish { publish, .. } => publish.topic.len() + publish.message.len(),
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0.name
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.name[..] == other.0.name[..]
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As the borrowed slice hashes, or look-ups by name would miss.
        self.0.name[..].hash(state);
    }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
