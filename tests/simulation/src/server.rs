//! A topic server of the simulation: the real table and the real handoff, between simulated links. What is simulated
//! here is what tasks and sockets do in the real one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use campanile_process::backoff::Backoff;
use campanile_process::settings::ConfigFile;
use campanile_proto::message::{Hello, Place};
use campanile_proto::transit::Transit;
use campanile_proto::wire::decode_topic_server_item;
use campanile_proto::{Epoch, FromGateway, FromTopicServer, Incarnation, Subscription};
use campanile_ring_config::{Ring, TopicRules};
use campanile_topic_server::Metrics;
use campanile_topic_server::gateways::outbox::{Ending, Outbox};
use campanile_topic_server::gateways::requests::Requests;
use campanile_topic_server::handoff::{Handoff, PeerOutbox};
use campanile_topic_server::topics::table::Limits;
use campanile_topic_server::topics::{Ownership, Table};

use crate::network::{Line, Micros};

/// One life of a topic server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) life: Incarnation,
    pub(crate) place: Place,
    pub(crate) table: Arc<Table>,
    pub(crate) ownership: Arc<Ownership>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) handoff: Handoff,
    pub(crate) links: BTreeMap<Line, Link>,
    newest: BTreeMap<Incarnation, (u64, Line)>,
    /// Links that this server opened, and what is needed to open them anew.
    pub(crate) dialed: BTreeMap<Place, Dialed>,
    /// Links that others opened.
    pub(crate) accepted: BTreeMap<Line, Peer>,
    pub(crate) numbers: u64,
    /// What gateways were told last of rings.
    told_rings: u64,
}

/// A link to another topic server that this one opens.
#[derive(Debug)]
pub(crate) struct Dialed {
    /// The connection and the link's number, while there is one.
    pub(crate) line: Option<(Line, u64)>,
    pub(crate) peer: Option<Peer>,
    pub(crate) next: Micros,
    pub(crate) backoff: Backoff,
}

/// An open link to another topic server.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) place: Place,
    pub(crate) incarnation: Incarnation,
    pub(crate) number: u64,
    pub(crate) outbox: PeerOutbox,
    pub(crate) waker: Waker,
    pub(crate) heard: Micros,
    pub(crate) pinged: Micros,
}

/// A gateway's link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) gateway: Incarnation,
    pub(crate) outbox: Outbox,
    pub(crate) waker: Waker,
    /// Said, and not on its way yet.
    pub(crate) staged: VecDeque<(u64, Vec<FromTopicServer>)>,
    requests: Requests,
    /// What subscriptions are of, and the epoch that they were told.
    asked: BTreeMap<(u32, u32), Asked>,
    /// Which topic servers its gateway sees, when it has said so.
    pub(crate) sees: Option<Vec<Place>>,
    transit: Transit,
    started: Micros,
    pub(crate) heard: Micros,
    pub(crate) pinged: Micros,
}

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) topic: usize,
    pub(crate) epoch: Option<Epoch>,
}

fn key(subscription: Subscription) -> (u32, u32) {
    (subscription.slot, subscription.generation)
}

/// The number in a topic's name.
pub(crate) fn number_of(topic: &[u8]) -> usize {
    let text = std::str::from_utf8(topic).expect("a name of ours");
    text.trim_start_matches("topic-").parse().expect("a name of ours")
}

impl Server {
    pub(crate) fn new(
        life: Incarnation,
        place: Place,
        ring: Arc<Ring>,
        history: (usize, u64),
        now: Instant,
    ) -> Self {
        let ownership = Arc::new(Ownership::elsewhere(place.name.clone(), ring, Some(place.address.clone())));
        let metrics = Arc::new(Metrics::default());
        let (messages, seconds) = history;
        let text = format!(
            "[[topics]]\npattern = \"*\"\nhistory_messages = {messages}\nhistory_seconds = {seconds}\n"
        );
        let file = ConfigFile::parse("simulation", text, &[], &["topics"]).expect("a good config");
        let rules = TopicRules::from_config(&file).expect("good rules");
        let limits = Limits { topics: usize::MAX, history: 256 << 20 };
        let rules = Arc::new(ArcSwap::from_pointee(rules));
        let table = Arc::new(Table::new(Arc::clone(&ownership), Arc::clone(&metrics), rules, limits));
        let handoff =
            Handoff::new(life, Arc::clone(&table), Arc::clone(&ownership), Arc::clone(&metrics), now);
        Self {
            life,
            place,
            table,
            ownership,
            metrics,
            handoff,
            links: BTreeMap::new(),
            newest: BTreeMap::new(),
            dialed: BTreeMap::new(),
            accepted: BTreeMap::new(),
            numbers: 0,
            told_rings: 0,
        }
    }

    /// Whether a link may be opened.
    pub(crate) fn accepts(&self, hello: &Hello) -> bool {
        let ring = self.ownership.ring();
        let address = ring.member(&self.place.name).map(|member| member.address());
        let same = ring.version() == hello.ring_version;
        hello.member == self.place.name
            && !(same && address.is_some_and(|address| address != hello.address))
            && !(same && ring.digest() != hello.ring_digest)
            && self.newest.get(&hello.incarnation).is_none_or(|(number, _)| *number < hello.link_number)
    }

    /// Makes this the newest link of its gateway. Returns the older one, which has ended (L2).
    pub(crate) fn register(
        &mut self,
        hello: &Hello,
        line: Line,
        waker: Waker,
        at: Micros,
        now: Instant,
    ) -> Option<Line> {
        let older = self.newest.insert(hello.incarnation, (hello.link_number, line)).map(|(_, line)| line);
        if let Some(older) = older {
            self.end(older, Ending::Replaced, now);
        }
        let link = Link::new(hello.incarnation, Arc::clone(&self.table), waker, at);
        self.links.insert(line, link);
        older
    }

    /// A link ends, and all that it had set up with it.
    pub(crate) fn end(&mut self, line: Line, ending: Ending, now: Instant) {
        let Some(mut link) = self.links.remove(&line) else { return };
        link.outbox.end(ending);
        link.requests.undo(now);
        if self.newest.get(&link.gateway).is_some_and(|(_, newest)| *newest == line) {
            self.newest.remove(&link.gateway);
        }
    }

    /// Runs what came over a link.
    pub(crate) fn run(&mut self, line: Line, items: Vec<FromGateway>, age_us: u64, at: Micros, now: Instant) {
        let Some(link) = self.links.get_mut(&line) else { return };
        link.heard = at;
        let late = link.transit.lateness(Duration::from_micros(at - link.started), age_us);
        for item in items {
            if let FromGateway::Subscribe { subscription, topic, .. } = &item {
                link.asked.insert(key(*subscription), Asked { topic: number_of(topic), epoch: None });
            }
            if let FromGateway::Sees(places) = &item {
                link.sees = Some(places.clone());
            }
            link.requests.run(item, late, now).expect("a gateway that keeps to the protocol");
        }
        if self.table.take_news() {
            self.handoff.settle(now);
        }
    }

    /// Tells gateways what has changed of rings (R1).
    pub(crate) fn tell_rings(&mut self) {
        let generation = self.ownership.generation();
        if std::mem::replace(&mut self.told_rings, generation) != generation {
            let rings = self.ownership.offers();
            for link in self.links.values() {
                link.outbox.push(FromTopicServer::Rings(rings.clone()));
            }
        }
    }

    /// The open peer link of this connection.
    pub(crate) fn peer(&mut self, line: Line) -> Option<&mut Peer> {
        let dialed = self.dialed.values_mut().find(|dialed| dialed.line.is_some_and(|(own, _)| own == line));
        match dialed {
            Some(dialed) => dialed.peer.as_mut(),
            None => self.accepted.get_mut(&line),
        }
    }

    /// What was said on a link since this was asked before, over the wire's own types and back.
    pub(crate) fn listen(&mut self, line: Line) -> Vec<FromTopicServer> {
        let version = self.ownership.ring_version();
        let Some(link) = self.links.get_mut(&line) else { return Vec::new() };
        let mut said = Vec::new();
        while let Poll::Ready(Some(batch)) =
            link.outbox.poll_batch(&mut Context::from_waker(&link.waker), version)
        {
            let items =
                batch.items.into_iter().map(|item| decode_topic_server_item(item).expect("what was encoded"));
            let items: Vec<_> = items.collect();
            said.extend(items.iter().cloned());
            link.staged.push_back((version, items));
        }
        said
    }

    /// What this subscription is of.
    pub(crate) fn asked(&mut self, line: Line, subscription: Subscription) -> Option<&mut Asked> {
        self.links.get_mut(&line)?.asked.get_mut(&key(subscription))
    }
}

impl Link {
    fn new(gateway: Incarnation, table: Arc<Table>, waker: Waker, at: Micros) -> Self {
        let outbox = Outbox::new(8 << 20);
        Self {
            gateway,
            requests: Requests::new(gateway, outbox.clone(), table),
            outbox,
            waker,
            staged: VecDeque::new(),
            asked: BTreeMap::new(),
            sees: None,
            transit: Transit::default(),
            started: at,
            heard: at,
            pinged: at,
        }
    }
}
