//! Several topic servers in one thread, for the tests of the rules: links are queues, time goes on by hand, and what is
//! said can be kept in an outbox, or under way, for as long as a test wants.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use campanile_proto::handoff::{FromPeer, decode_peer_item};
use campanile_proto::message::{Place, Publish};
use campanile_proto::{FromTopicServer, Incarnation};
use campanile_ring_config::Ring;

use crate::gateways::outbox::Outbox;
use crate::handoff::{Handoff, PeerOutbox};
use crate::metrics::Metrics;
use crate::topics::table::{Held, Limits};
use crate::topics::testing::{A, number, place};
use crate::topics::{Ownership, Table};

/// Servers by index; an index is a process, which never comes back once it is gone.
pub(super) struct Pump {
    pub(super) now: Instant,
    pub(super) servers: Vec<Server>,
    links: BTreeMap<u64, Link>,
    last_link: u64,
    /// Between these is no link.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// What the first says to the second stays in the outbox.
    pub(super) stuck: BTreeSet<(usize, usize)>,
    /// What the first says to the second stays under way.
    pub(super) held: BTreeSet<(usize, usize)>,
    /// Whatever has arrived, by who said it to whom.
    pub(super) said: Vec<(usize, usize, FromPeer)>,
}

pub(super) struct Server {
    pub(super) table: Arc<Table>,
    pub(super) ownership: Arc<Ownership>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) handoff: Handoff,
    /// Under these it can be dialled.
    pub(super) place: Place,
    is_up: bool,
}

struct Link {
    dialer: usize,
    acceptor: usize,
    place: Place,
    asks: Direction,
    answers: Direction,
}

#[derive(Default)]
struct Direction {
    outbox: PeerOutbox,
    flight: VecDeque<FromPeer>,
}

impl Direction {
    fn pull(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(batch)) = self.outbox.poll_batch(&mut context, 1) {
            let items = batch.items.into_iter().map(decode_peer_item);
            self.flight.extend(items.map(|item| item.expect("what we encode can be decoded")));
        }
    }
}

impl Pump {
    /// The processes of these names, in this order, all with the same ring and connected.
    pub(super) fn new(ring: &Arc<Ring>, names: &[&str]) -> Self {
        let mut pump = Self {
            now: Instant::now(),
            servers: Vec::new(),
            links: BTreeMap::new(),
            last_link: 0,
            cut: BTreeSet::new(),
            stuck: BTreeSet::new(),
            held: BTreeSet::new(),
            said: Vec::new(),
        };
        for name in names {
            pump.start(place(name), ring);
        }
        pump.pass(Duration::from_millis(300));
        pump.said.clear();
        pump
    }

    /// A process starts at this place.
    pub(super) fn start(&mut self, place: Place, ring: &Arc<Ring>) -> usize {
        let ownership =
            Ownership::elsewhere(place.name.clone(), Arc::clone(ring), Some(place.address.clone()));
        let (ownership, metrics) = (Arc::new(ownership), Arc::<Metrics>::default());
        let limits = Limits { topics: 100_000, history: 64 << 20 };
        let table =
            Arc::new(Table::new(Arc::clone(&ownership), Arc::clone(&metrics), Arc::default(), limits));
        let incarnation = Incarnation(self.servers.len() as u64 + 1);
        let (of_table, of_owner, of_metrics) =
            (Arc::clone(&table), Arc::clone(&ownership), Arc::clone(&metrics));
        let handoff = Handoff::new(incarnation, of_table, of_owner, of_metrics, self.now);
        self.servers.push(Server { table, ownership, metrics, handoff, place, is_up: true });
        self.servers.len() - 1
    }

    /// A process dies.
    pub(super) fn kill(&mut self, server: usize) {
        self.servers[server].is_up = false;
        self.end_links(|link| link.dialer == server || link.acceptor == server);
    }

    /// All links between these two break, and cannot be opened until [`Pump::heal`].
    pub(super) fn cut(&mut self, one: usize, other: usize) {
        self.cut.extend([(one, other), (other, one)]);
        self.end_links(|link| [(one, other), (other, one)].contains(&(link.dialer, link.acceptor)));
    }

    /// Everything flows again.
    pub(super) fn heal(&mut self) {
        self.cut.clear();
        self.stuck.clear();
        self.held.clear();
    }

    fn end_links(&mut self, over: impl Fn(&Link) -> bool) {
        let numbers: Vec<u64> =
            self.links.iter().filter(|(_, link)| over(link)).map(|(number, _)| *number).collect();
        for number in numbers {
            let link = self.links.remove(&number).expect("it was there");
            link.asks.outbox.close();
            link.answers.outbox.close();
            let (dialer, acceptor) = (&self.servers[link.dialer], &self.servers[link.acceptor]);
            if dialer.is_up {
                dialer.handoff.undialed(&link.place, number, self.now);
            }
            if acceptor.is_up {
                acceptor.handoff.ended(dialer.handoff.incarnation(), number, self.now);
            }
        }
    }

    /// Opens the links that are wanted, and closes the others.
    pub(super) fn connect(&mut self) {
        let wanted: Vec<BTreeSet<Place>> =
            self.servers.iter().map(|server| server.handoff.wanted()).collect();
        self.end_links(|link| {
            let is_over =
                |outbox: &PeerOutbox| outbox.poll_ended(&mut Context::from_waker(Waker::noop())).is_ready();
            !wanted[link.dialer].contains(&link.place)
                || is_over(&link.asks.outbox)
                || is_over(&link.answers.outbox)
        });
        for (dialer, wanted) in wanted.into_iter().enumerate() {
            for place in wanted {
                let is_linked = |link: &Link| link.dialer == dialer && link.place == place;
                if self.servers[dialer].is_up && !self.links.values().any(is_linked) {
                    self.dial(dialer, place);
                }
            }
        }
    }

    fn dial(&mut self, dialer: usize, place: Place) {
        let is_there = |server: &Server| server.is_up && server.place == place;
        let Some(acceptor) = self.servers.iter().position(is_there) else {
            self.servers[dialer].handoff.refused(&place, self.now);
            return;
        };
        if self.cut.contains(&(dialer, acceptor)) {
            return;
        }
        let at = &self.servers[acceptor];
        at.ownership.learn_address(&place.address);
        if acceptor == dialer {
            return;
        }
        self.last_link += 1;
        let number = self.last_link;
        let hello = self.servers[dialer].handoff.hello(&place, number);
        let (asks, answers) = (Direction::default(), Direction::default());
        at.handoff.accepted(&hello, answers.outbox.clone(), self.now);
        let incarnation = at.handoff.incarnation();
        self.servers[dialer].handoff.dialed(&place, number, asks.outbox.clone(), incarnation, self.now);
        self.links.insert(number, Link { dialer, acceptor, place, asks, answers });
    }

    /// What lies in outboxes gets under way.
    pub(super) fn pull(&mut self) {
        for link in self.links.values_mut() {
            if !self.stuck.contains(&(link.dialer, link.acceptor)) {
                link.asks.pull();
            }
            if !self.stuck.contains(&(link.acceptor, link.dialer)) {
                link.answers.pull();
            }
        }
    }

    /// What is under way arrives. Whether there was anything.
    fn deliver(&mut self) -> bool {
        let mut any = false;
        for number in self.links.keys().copied().collect::<Vec<_>>() {
            let Some(link) = self.links.get_mut(&number) else { continue };
            let (dialer, acceptor, place) = (link.dialer, link.acceptor, link.place.clone());
            if !self.held.contains(&(dialer, acceptor)) {
                let items = std::mem::take(&mut link.asks.flight);
                any |= !items.is_empty();
                let from = self.servers[dialer].handoff.incarnation();
                for item in items {
                    self.said.push((dialer, acceptor, item.clone()));
                    self.servers[acceptor].handoff.from_taker(from, number, item, self.now);
                }
                self.servers[acceptor].handoff.settle(self.now);
            }
            let Some(link) = self.links.get_mut(&number) else { continue };
            if !self.held.contains(&(acceptor, dialer)) {
                let items = std::mem::take(&mut link.answers.flight);
                any |= !items.is_empty();
                for item in items {
                    self.said.push((acceptor, dialer, item.clone()));
                    self.servers[dialer].handoff.from_giver(&place, number, item, self.now);
                }
                self.servers[dialer].handoff.settle(self.now);
            }
        }
        any
    }

    /// Lets everybody talk until nobody has anything to say.
    pub(super) fn run(&mut self) {
        for _ in 0..1000 {
            self.connect();
            self.pull();
            if !self.deliver() {
                return;
            }
        }
        panic!("they never stop talking: {:?}", &self.said[self.said.len() - 20..]);
    }

    /// Time goes on in steps of 10 ms, and everybody talks.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        self.run();
        while self.now < until {
            self.now = until.min(self.now + Duration::from_millis(10));
            for server in self.servers.iter().filter(|server| server.is_up) {
                server.handoff.tick(self.now);
            }
            self.run();
        }
    }

    /// These read a ring; nobody has said anything about it yet.
    pub(super) fn adopt(&self, servers: &[usize], ring: &Arc<Ring>) {
        for server in servers {
            self.servers[*server].handoff.adopt(Arc::clone(ring), self.now);
        }
    }

    /// A gateway subscribes.
    pub(super) fn subscribe(&self, server: usize, gateway: &Outbox, topic: &str) -> Option<Held> {
        let Server { table, handoff, .. } = &self.servers[server];
        let held = table.subscribe(gateway, number(1, 1), topic.as_bytes(), self.now);
        if table.take_news() {
            handoff.settle(self.now);
        }
        held
    }

    /// A gateway publishes.
    pub(super) fn publish(&self, server: usize, gateway: &Outbox, publish: Publish) {
        let Server { table, handoff, .. } = &self.servers[server];
        table.publish(gateway, A, publish, Duration::ZERO, self.now);
        if table.take_news() {
            handoff.settle(self.now);
        }
    }

    /// What has arrived since this was asked before, of one to another, as words.
    pub(super) fn said(&mut self, from: usize, to: usize) -> Vec<String> {
        let mut said = Vec::new();
        self.said.retain(|(sayer, hearer, item)| {
            let is_it = (*sayer, *hearer) == (from, to);
            if is_it {
                said.extend(word(item));
            }
            !is_it
        });
        said
    }
}

/// What is about topics, in words.
fn word(item: &FromPeer) -> Option<String> {
    Some(match item {
        FromPeer::Claim { ring_version, .. } => format!("claim {ring_version}"),
        FromPeer::ClaimAll(version) => format!("claim all {version}"),
        FromPeer::Taken(number) => format!("taken {number}"),
        FromPeer::Disclaimed(number) => format!("disclaimed {number}"),
        FromPeer::State(piece) if piece.last => format!("state {}", piece.number),
        FromPeer::Nothing { ring_version, .. } => format!("nothing {ring_version}"),
        FromPeer::AllGiven(version) => format!("all given {version}"),
        _ => return None,
    })
}

/// Epoch and offset of the last answer that names them.
pub(super) fn position(items: &[FromTopicServer]) -> (u64, u64) {
    let position = |item: &FromTopicServer| match item {
        FromTopicServer::Subscribed { epoch, offset, .. }
        | FromTopicServer::Published { epoch, offset, .. } => Some((epoch.0, *offset)),
        _ => None,
    };
    items.iter().rev().find_map(position).unwrap_or_else(|| panic!("no position in {items:?}"))
}
