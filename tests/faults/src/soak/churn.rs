//! Clients that come and go all the time, at a steady rate.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::cluster::Cluster;
use crate::soak::visits::{Did, KINDS, Kind, Place};

/// A visit takes no longer, even of who waits for the idle time.
const PATIENCE: Duration = Duration::from_secs(30);
/// Topics that visitors share at a time.
const SHARED: u64 = 20;

/// How it is visited.
#[derive(Debug)]
pub(crate) struct Visiting {
    /// In the names of all topics.
    pub(crate) name: String,
    /// Visits per second.
    pub(crate) rate: f64,
    /// So many read nothing, and come first.
    pub(crate) slow: u64,
    /// Whether some publishes carry keys.
    pub(crate) keys: bool,
}

/// What all visitors did.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    pub(crate) visits: u64,
    /// Topics that nobody had named before.
    pub(crate) topics: u64,
    pub(crate) connections: u64,
    pub(crate) joins: u64,
    pub(crate) publishes: u64,
    pub(crate) resumed: u64,
    pub(crate) redis: u64,
    pub(crate) refused: u64,
    pub(crate) bad: u64,
    pub(crate) silent: u64,
    pub(crate) slow: u64,
    /// Visits that did not go as they must, and the first few reasons.
    pub(crate) failed: u64,
    pub(crate) reasons: Vec<String>,
}

/// The visitors; they end with it.
#[derive(Debug)]
pub(crate) struct Churn {
    counts: Arc<Mutex<Counts>>,
    tasks: JoinSet<()>,
}

impl Churn {
    /// They come from now on.
    pub(crate) fn start(cluster: &Cluster, visiting: Visiting) -> Self {
        let counts = Arc::<Mutex<Counts>>::default();
        let gateways = cluster.gateways.iter().map(|node| (node.address, node.redis)).collect();
        let topic_servers = cluster.topic_servers.iter().map(|node| node.address).collect();
        let mut tasks = JoinSet::new();
        tasks.spawn(visitors(counts.clone(), gateways, topic_servers, visiting));
        Self { counts, tasks }
    }

    /// All who are there are gone at once, and nobody comes any more.
    pub(crate) async fn stop(mut self) -> Counts {
        self.tasks.shutdown().await;
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn visitors(
    counts: Arc<Mutex<Counts>>,
    gateways: Vec<(SocketAddr, SocketAddr)>,
    topic_servers: Vec<SocketAddr>,
    visiting: Visiting,
) {
    let Visiting { name, rate, slow, keys } = visiting;
    let mut tick = interval(Duration::from_secs_f64(1.0 / rate));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Dropped with this task, and with it all who are still there.
    let mut here = JoinSet::new();
    for number in 0_u64.. {
        tick.tick().await;
        while here.try_join_next().is_some() {}
        let first = fastrand::usize(..gateways.len());
        let [one, other] = [gateways[first], gateways[(first + 1) % gateways.len()]];
        let place = Place {
            gateways: [one.0, other.0],
            redis: [one.1, other.1],
            topic_server: topic_servers[fastrand::usize(..topic_servers.len())],
            new: format!("soak:{name}:{number}"),
            // Others take its place in time: shared topics are forgotten, too.
            shared: format!("soak:{name}:shared:{}:{}", number / 500, fastrand::u64(..SHARED)),
            keys,
        };
        // One of each first, however short this is.
        let kind = match number.checked_sub(slow) {
            None => Kind::Slow,
            Some(number) => KINDS.get(number as usize).map_or_else(Kind::any, |(kind, _)| *kind),
        };
        here.spawn(visit(kind, place, counts.clone()));
    }
}

async fn visit(kind: Kind, place: Place, counts: Arc<Mutex<Counts>>) {
    let done = timeout(PATIENCE, kind.visit(place)).await;
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    match done.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
        Ok(did) => counts.add(kind, did),
        Err(error) => {
            counts.failed += 1;
            if counts.reasons.len() < 5 {
                counts.reasons.push(format!("{kind:?}: {error}"));
            }
        }
    }
}

impl Counts {
    fn add(&mut self, kind: Kind, did: Did) {
        self.visits += 1;
        self.topics += u64::from(did.joins > 0);
        self.connections += did.connections;
        self.joins += did.joins;
        self.publishes += did.publishes;
        match kind {
            Kind::Orderly | Kind::Vanishing => {}
            Kind::Resuming => self.resumed += 1,
            Kind::Redis => self.redis += 1,
            Kind::Refused => self.refused += 1,
            Kind::Bad => self.bad += 1,
            Kind::Silent => self.silent += 1,
            Kind::Slow => self.slow += 1,
        }
    }

    /// The sum of both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.visits += other.visits;
        self.topics += other.topics;
        self.connections += other.connections;
        self.joins += other.joins;
        self.publishes += other.publishes;
        self.resumed += other.resumed;
        self.redis += other.redis;
        self.refused += other.refused;
        self.bad += other.bad;
        self.silent += other.silent;
        self.slow += other.slow;
        self.failed += other.failed;
        self.reasons.extend(other.reasons);
        self
    }
}
