//! One life of a gateway: the rings that it reads, and the links that come and go.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_gateway::hub::publish::Budget;
use campanile_gateway::hub::state::MemberId;
use campanile_process::backoff::Backoff;
use campanile_process::due::DueQueue;
use campanile_proto::message::Place;
use campanile_proto::{FromGateway, Incarnation};
use campanile_ring_config::Ring;

use super::topics::{Cell, Slot};
use super::upstream::{Entry, Map, State, Upstream};
use crate::network::Micros;

/// For so long after an edit a gateway tells of the ring before it (R2).
const OFFERED: Micros = 60_000_000;

/// A member counts as seen for so long after its link has gone (H4).
const SEEN: Micros = 5_000_000;

/// One life of a gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) life: Incarnation,
    pub(crate) routes: Map,
    pub(super) cells: BTreeMap<u64, Cell>,
    pub(super) names: BTreeMap<Bytes, u64>,
    pub(super) slots: Vec<Slot>,
    pub(super) due: DueQueue<(Instant, u64)>,
    pub(super) earlier: Vec<(Arc<Ring>, Micros)>,
    pub(super) numbers: u64,
    pub(super) listeners: u64,
    pub(super) links: u64,
    pub(super) next_cell: u64,
    pub(super) sees: Vec<Place>,
}

impl Gateway {
    pub(crate) fn new(life: Incarnation, ring: Arc<Ring>) -> Self {
        let routes = Map { ring: Arc::clone(&ring), members: Vec::new(), upstreams: Vec::new() };
        let mut gateway = Self {
            life,
            routes,
            cells: BTreeMap::new(),
            names: BTreeMap::new(),
            slots: Vec::new(),
            due: DueQueue::default(),
            earlier: Vec::new(),
            numbers: 0,
            listeners: 0,
            links: 0,
            next_cell: 0,
            sees: Vec::new(),
        };
        gateway.route_by(ring);
        gateway
    }

    /// A ring that is newer. Returns whether it was.
    pub(crate) fn adopt(&mut self, ring: Arc<Ring>, at: Micros, now: Instant) -> bool {
        let newer = ring.version() > self.routes.ring.version();
        if !newer {
            return false;
        }
        self.earlier.push((Arc::clone(&self.routes.ring), at + OFFERED));
        self.route_by(ring);
        self.settle(now);
        true
    }

    fn route_by(&mut self, ring: Arc<Ring>) {
        let upstreams = &mut self.routes.upstreams;
        upstreams.iter_mut().for_each(|upstream| upstream.former = true);
        let mut members = Vec::new();
        for member in ring.members() {
            let place = Place { name: member.name().to_owned(), address: member.address().to_owned() };
            // A member is name and address (H7); one that was let go starts anew.
            let known = upstreams.iter().position(|upstream| upstream.place == place && !upstream.let_go);
            let index = known.unwrap_or_else(|| {
                upstreams.push(Upstream {
                    place,
                    state: State::Idle,
                    backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(1)),
                    next: 0,
                    former: false,
                    let_go: false,
                    heard: 0,
                    pinged: 0,
                    down_since: None,
                    budget: Arc::new(Budget::new(8 << 20)),
                    queue: VecDeque::new(),
                });
                upstreams.len() - 1
            });
            upstreams[index].former = false;
            members.push(MemberId(index as u32));
        }
        self.routes.ring = ring;
        self.routes.members = members;
    }

    /// Rings before the newest one, for a Hello (R2).
    pub(crate) fn previous_rings(&mut self, now: Micros) -> Vec<String> {
        self.earlier.retain(|(_, until)| *until > now);
        self.earlier.iter().map(|(ring, _)| ring.to_toml()).collect()
    }

    pub(crate) fn next_link(&mut self) -> u64 {
        self.links += 1;
        self.links
    }

    /// The link is up: requests may follow.
    pub(crate) fn link_up(&mut self, upstream: usize, owner: Incarnation, at: Micros, now: Instant) {
        let own = &mut self.routes.upstreams[upstream];
        if let State::Opening { line, number, since } = own.state {
            own.state = State::Up { line, number, owner, opened: since };
            own.backoff.reset();
            own.down_since = None;
            // The first thing that it carries.
            if !self.say_what_is_seen(at) {
                let sees = FromGateway::Sees(self.sees.clone());
                self.routes.upstreams[upstream].own(sees);
            }
            self.settle(now);
        }
    }

    /// The link is gone.
    pub(crate) fn link_down(&mut self, upstream: usize, at: Micros, now: Instant) {
        let own = &mut self.routes.upstreams[upstream];
        if let State::Up { .. } = own.state {
            own.down_since = Some(at);
        }
        own.state = State::Idle;
        own.queue.clear();
        self.settle(now);
    }

    /// Tells every topic server which of them this gateway sees (H4), if that has changed.
    pub(crate) fn say_what_is_seen(&mut self, now: Micros) -> bool {
        let is_seen = |upstream: &&Upstream| match upstream.state {
            State::Up { .. } => true,
            _ => upstream.down_since.is_some_and(|since| now < since + SEEN),
        };
        let sees: Vec<Place> =
            self.routes.upstreams.iter().filter(is_seen).map(|upstream| upstream.place.clone()).collect();
        let changed = sees != self.sees;
        if changed {
            self.sees = sees;
            for upstream in &mut self.routes.upstreams {
                if let State::Up { .. } = upstream.state {
                    upstream.queue.push_back(Entry::Own(FromGateway::Sees(self.sees.clone())));
                }
            }
        }
        changed
    }

    /// Former members that no topic uses any more. Their links end.
    pub(crate) fn let_go(&mut self) -> Vec<usize> {
        let is_bound = |member: usize| {
            let member = MemberId(member as u32);
            self.cells.values().any(|cell| cell.topic.member() == member)
        };
        // As in the hub: while a subscription waits, it counts whom the gateway sees (H4).
        let waits = self.cells.values().any(|cell| cell.topic.is_waiting());
        let uses = |member: usize| waits || is_bound(member);
        let upstreams = self.routes.upstreams.iter().enumerate();
        let over: Vec<usize> = upstreams
            .filter(|(index, upstream)| upstream.former && !upstream.let_go && !uses(*index))
            .map(|(index, _)| index)
            .collect();
        for &index in &over {
            self.routes.upstreams[index].let_go = true;
        }
        over
    }
}
