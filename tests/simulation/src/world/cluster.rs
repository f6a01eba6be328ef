//! The world, its queue and its time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use campanile_proto::Incarnation;
use campanile_ring_config::Ring;
use parking_lot::Mutex;

use super::event::{Bell, Event, Woken};
use super::parted::owners;
use crate::checker::{Checker, Strictness};
use crate::client::Client;
use crate::gateway::Gateway;
use crate::network::{Micros, Network};
use crate::plan::{Plan, Process};
use crate::server::Server;

/// How often the checker looks for what has no answer.
const LOOK: Micros = 250_000;

/// The cluster.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(super) base: Instant,
    pub(crate) now: Micros,
    pub(super) queue: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    pub(super) order: u64,
    pub(crate) random: fastrand::Rng,
    pub(crate) network: Network,
    pub(crate) gateways: Vec<Option<Gateway>>,
    pub(crate) servers: Vec<Option<Server>>,
    /// Places whose host is gone: nobody refuses a connection there.
    pub(crate) gone: Vec<bool>,
    pub(crate) clients: Vec<Client>,
    pub(crate) checker: Checker,
    pub(crate) names: Vec<Bytes>,
    /// Attempts by the gateway's life and the publish's number there.
    pub(crate) numbers: HashMap<(Incarnation, u64), usize>,
    pub(crate) rings: Vec<Arc<Ring>>,
    /// Which spot each ring gives each topic to.
    pub(super) owners: Vec<Vec<Option<usize>>>,
    /// When a life of a topic server had a link to a spot last, or needed none.
    pub(super) linked: BTreeMap<(Incarnation, usize), Micros>,
    /// The newest ring that was saved.
    pub(super) newest: u64,
    /// The newest ring that lies where the process can read it.
    pub(super) files: BTreeMap<Process, u64>,
    pub(super) woken: Arc<Mutex<Vec<Woken>>>,
    pub(crate) calm: bool,
    pub(crate) rest: bool,
    pub(super) over: bool,
    pub(super) hash: u64,
    pub(super) tracing: bool,
    pub(crate) trace: Vec<String>,
    pub(crate) delivered: u64,
    pub(crate) events: u64,
}

impl World {
    pub(crate) fn new(plan: Plan, tracing: bool) -> Self {
        fastrand::seed(plan.seed ^ 0x5eed_0004);
        let strictness = Strictness {
            planned: plan.is_planned(),
            whole_history: plan.history >= 1_000 && plan.keeps >= 120,
        };
        let names: Vec<Bytes> = (0..plan.topics).map(|topic| format!("topic-{topic}").into()).collect();
        let mut world = Self {
            // In the future, so that whoever asks the real clock is seen to.
            base: Instant::now() + Duration::from_secs(86_400),
            now: 0,
            queue: BinaryHeap::new(),
            order: 0,
            random: fastrand::Rng::with_seed(plan.seed ^ 0x5eed_0005),
            network: Network::new(plan.seed),
            gateways: (0..plan.gateways).map(|_| None).collect(),
            servers: (0..plan.spots.len()).map(|_| None).collect(),
            gone: vec![false; plan.spots.len()],
            clients: (0..plan.clients).map(|_| Client::default()).collect(),
            checker: Checker::new(plan.topics, strictness),
            owners: owners(&plan, &names),
            names,
            linked: BTreeMap::new(),
            numbers: HashMap::new(),
            rings: plan.rings.iter().cloned().map(Arc::new).collect(),
            newest: 1,
            files: BTreeMap::new(),
            woken: Arc::default(),
            calm: false,
            rest: false,
            over: false,
            hash: 0xcbf2_9ce4_8422_2325,
            tracing,
            trace: Vec::new(),
            delivered: 0,
            events: 0,
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for spot in 0..self.servers.len() {
            if self.plan.spots[spot].running {
                self.start(Process::Server(spot));
            }
        }
        for gateway in 0..self.gateways.len() {
            self.start(Process::Gateway(gateway));
        }
        for client in 0..self.clients.len() {
            let at = self.random.u64(10_000..1_200_000);
            self.at(at, Event::Act(client));
        }
        for (index, (at, _)) in self.plan.operations.clone().iter().enumerate() {
            self.at(at * 1_000, Event::Operation(index));
        }
        for (topic, at) in self.plan.births.clone().into_iter().enumerate() {
            if at > 0 {
                self.at(at * 1_000, Event::Birth(topic));
            }
        }
        let calm = self.plan.lasts * 1_000;
        // A planned move is over soon; what broke takes its time: rule H4's, and the longest pauses between attempts.
        let (last_words, rest) =
            if self.plan.is_planned() { (2_500_000, 4_000_000) } else { (11_000_000, 13_500_000) };
        self.at(LOOK, Event::Look);
        self.at(calm, Event::Calm);
        self.at(calm + last_words, Event::LastWords);
        self.at(calm + rest, Event::Rest);
        self.at(calm + rest + 2_500_000, Event::End);
    }

    /// Runs until the end, or until something is violated.
    pub(crate) fn run(&mut self) {
        while !self.over
            && self.checker.violation.is_none()
            && let Some(Reverse((at, _, event))) = self.queue.pop()
        {
            self.now = self.now.max(at);
            self.checker.now = self.now;
            self.events += 1;
            self.checker.step = self.events;
            self.mix(self.now);
            self.happen(event);
            self.answer_bells();
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(line, end) => self.arrive(line, end),
            Event::Write(line, end) => self.write(line, end),
            Event::TickGateway(gateway, life) => self.tick_gateway(gateway, life),
            Event::TickServer(spot, life) => self.tick_server(spot, life),
            Event::Read(client, session) => self.read(client, session),
            Event::Act(client) => self.act(client),
            Event::Birth(topic) => self.be_born(topic),
            Event::Learn(client, topic) => self.learn(client, topic),
            Event::Burst(client) => self.burst(client),
            Event::Operation(index) => self.operate(index),
            Event::Reach(process, version) => self.reach(process, version),
            Event::Healed(one, other) => self.healed(one, other),
            Event::Look => {
                self.checker.look_at_the_clock();
                self.after(LOOK, Event::Look);
            }
            Event::Calm => self.calm_down(),
            Event::LastWords => self.last_words(),
            Event::Rest => self.come_to_rest(),
            Event::End => self.end(),
        }
    }

    pub(crate) fn at(&mut self, at: Micros, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((at.max(self.now), self.order, event)));
    }

    pub(crate) fn after(&mut self, wait: Micros, event: Event) {
        self.at(self.now + wait, event);
    }

    /// What the rules take for the time.
    pub(crate) fn instant(&self) -> Instant {
        self.base + Duration::from_micros(self.now)
    }

    pub(crate) fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        if self.tracing {
            let at = format!("{:>4}.{:06} ", self.now / 1_000_000, self.now % 1_000_000);
            self.trace.push(at + &line());
        }
    }

    pub(crate) fn bell(&self, what: Woken) -> Waker {
        Waker::from(Arc::new(Bell { what, list: Arc::clone(&self.woken) }))
    }

    pub(super) fn answer_bells(&mut self) {
        loop {
            let woken = std::mem::take(&mut *self.woken.lock());
            if woken.is_empty() {
                return;
            }
            for what in woken {
                match what {
                    Woken::Link(spot, line) => self.listen(spot, line),
                    Woken::Peer(line, end) => self.plan_write(line, end),
                    Woken::Client(client, session) => self.plan_read(client, session),
                }
            }
        }
    }

    /// Where a process may be reached, if one runs there.
    pub(crate) fn spot_at(&self, address: &str) -> Option<usize> {
        self.plan.spots.iter().position(|spot| spot.address == address)
    }
}
