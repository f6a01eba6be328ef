//! A gateway from its listener to its orderly end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use axum::routing::any;
use campanile_process::admin::Readiness;
use campanile_process::metrics::Registry;
use campanile_process::shutdown::Shutdown;
use campanile_proto::Incarnation;
use campanile_ring_config::{Feed, Ring, TopicRules};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::client::accept::{self, Clients, Limits, upgrade_of};
use crate::client::admission::Admission;
use crate::client::origin::Origins;
use crate::client::{idle, turn_away};
use crate::config::Settings;
use crate::drain;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::page;
use crate::phoenix::{handshake, session};
use crate::redis::decode::Bounds;
use crate::redis::info::Facts;
use crate::redis::{self, connection};
use crate::upstream::link::{self, Identity};
use crate::upstream::links::Upstream;
use crate::upstream::{Links, MemberState};

/// The shortest time between two looks for topics that are due.
const TICK: Duration = Duration::from_millis(20);

/// How often it is looked which members are in use and in sight.
const MEMBERS_CHECK: Duration = Duration::from_secs(1);

/// One gateway. [`Gateway::run`] makes it serve.
#[derive(Debug)]
pub struct Gateway {
    settings: Settings,
    admission: Arc<Admission>,
    clients: Arc<Clients>,
    hub: Arc<Hub>,
    links: Arc<Links>,
    /// Members that have no task yet.
    new_members: Vec<Arc<Upstream>>,
    rules: Arc<ArcSwap<TopicRules>>,
    metrics: Arc<Metrics>,
    feed: Feed,
    shutdown: Shutdown,
    /// Where Redis clients come, if they may.
    redis: Option<TcpListener>,
}

/// What the routes share.
#[derive(Debug)]
struct Web {
    admission: Arc<Admission>,
    clients: Arc<Clients>,
    phoenix: Arc<session::Shared>,
    origins: Origins,
    metrics: Arc<Metrics>,
}

impl Gateway {
    /// A gateway under the ring that `feed` holds now and these topic rules; it follows the ones that come, and offers
    /// newer ones that topic servers tell it of.
    pub fn new(
        settings: Settings,
        feed: Feed,
        rules: Arc<ArcSwap<TopicRules>>,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Self {
        let ring = Arc::clone(&feed.rings.borrow());
        metrics.ring_version.set(i64::try_from(ring.version()).unwrap_or(i64::MAX));
        let (links, new_members) = Links::new(ring, settings.owner_outbox);
        let links = Arc::new(links);
        let hub = Hub::new(Arc::clone(&links), Arc::clone(&metrics), settings.owner_deadline);
        let hub = Arc::new(hub.heeding(settings.memory.clone()));
        let clients = Clients::new(settings.client, Arc::clone(&metrics));
        let admission = Admission::new(settings.admission, settings.memory.clone());
        Self {
            settings,
            admission,
            clients,
            hub,
            links,
            new_members,
            rules,
            metrics,
            feed,
            shutdown,
            redis: None,
        }
    }

    /// The same, serving Redis clients on this listener, too.
    pub fn with_redis(self, listener: Option<TcpListener>) -> Self {
        Self { redis: listener, ..self }
    }

    /// Puts the gateway's numbers into a registry.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// What `/readyz` says: ready once every member of the ring was tried and one link at least is up, until the
    /// drain; and not while memory is short, so that a balancer sends new clients elsewhere.
    pub fn readiness(&self) -> impl Fn() -> Readiness + Send + Sync + 'static {
        let links = Arc::clone(&self.links);
        let drain = self.shutdown.drain.clone();
        let memory = self.settings.memory.clone();
        // An edit that adds a member makes no gateway unready that was ready before.
        let all_tried = AtomicBool::new(false);
        move || {
            let mut states = links.states();
            if all_tried.load(Ordering::Relaxed) {
                states.iter_mut().for_each(|state| state.tried = true);
            } else if states.iter().all(|state| state.tried) {
                all_tried.store(true, Ordering::Relaxed);
            }
            readiness(&states, links.ring().version(), drain.is_cancelled(), memory.is_high())
        }
    }

    /// Serves clients on this listener until the shutdown says otherwise.
    pub async fn run(mut self, listener: TcpListener) {
        let stop_accepting = CancellationToken::new();
        let (redis_clients, redis_accept) = self.start_redis(&stop_accepting);
        let accept = accept::serve(
            listener,
            self.router(),
            Arc::clone(&self.admission),
            Arc::clone(&self.metrics),
            stop_accepting.clone(),
        );
        let accept = tokio::spawn(accept);
        let shared = link::Shared {
            identity: Arc::new(Identity {
                name: self.settings.name.clone().unwrap_or_else(|| "gateway".to_owned()),
                incarnation: Incarnation(fastrand::u64(1..u64::MAX)),
                links: AtomicU64::new(0),
            }),
            hub: Arc::clone(&self.hub),
            links: Arc::clone(&self.links),
            metrics: Arc::clone(&self.metrics),
            shutdown: self.shutdown.clone(),
            offers: self.feed.offers,
        };
        let mut link_tasks = JoinSet::new();
        for upstream in self.new_members {
            link_tasks.spawn(link::keep(upstream, shared.clone()));
        }
        let mut upkeep = JoinSet::new();
        upkeep.spawn(tick(Arc::clone(&self.hub), Arc::clone(&self.links)));
        upkeep.spawn(idle::watch(Arc::clone(&self.clients)));
        upkeep.spawn(idle::watch(Arc::clone(&redis_clients)));
        upkeep.spawn(follow_ring(self.feed.rings, shared));
        tokio::select! {
            () = self.shutdown.drain.cancelled() => {
                let clients = [&*self.clients, &*redis_clients];
                drain::drain(&clients, &stop_accepting, self.settings.drain, &self.shutdown.now).await;
            }
            () = self.shutdown.now.cancelled() => {}
        }
        stop_accepting.cancel();
        let _ = accept.await;
        if let Some(accept) = redis_accept {
            let _ = accept.await;
        }
        upkeep.shutdown().await;
        // Topic servers see the links end and undo what they set up.
        self.links.stop();
        while link_tasks.join_next().await.is_some() {}
    }

    /// Takes Redis clients, if there is a listener for them. Their connections, too, which nobody closes for being silent.
    fn start_redis(&mut self, end: &CancellationToken) -> (Arc<Clients>, Option<JoinHandle<()>>) {
        let connection::Limits { outbox, bulk, subscriptions } = self.settings.redis;
        let limits = Limits { outbox, idle: Duration::MAX, ..self.settings.client };
        let clients = Clients::new(limits, Arc::clone(&self.metrics));
        let Some(listener) = self.redis.take() else { return (clients, None) };
        let facts = Facts {
            port: listener.local_addr().map_or(0, |address| address.port()),
            max_connections: self.settings.admission.connections,
            bulk,
            outbox,
            ..Facts::default()
        };
        let shared = redis::session::Shared {
            hub: Arc::clone(&self.hub),
            rules: Arc::clone(&self.rules),
            metrics: Arc::clone(&self.metrics),
            clients: Arc::clone(&clients),
            publishes: self.settings.session_publishes,
            subscriptions,
            outbox,
            facts,
            start: Instant::now(),
            last_id: AtomicU64::new(0),
        };
        // The longest command that makes sense subscribes to all that it may.
        let bounds = Bounds { bulk, arguments: subscriptions + 1 };
        let accept = redis::accept::serve(
            listener,
            Arc::new(shared),
            bounds,
            Arc::clone(&self.admission),
            end.clone(),
        );
        (clients, Some(tokio::spawn(accept)))
    }

    fn router(&self) -> Router {
        let phoenix = session::Shared {
            hub: Arc::clone(&self.hub),
            rules: Arc::clone(&self.rules),
            metrics: Arc::clone(&self.metrics),
            limits: self.settings.session,
            publishes: self.settings.session_publishes,
        };
        let web = Web {
            admission: Arc::clone(&self.admission),
            clients: Arc::clone(&self.clients),
            phoenix: Arc::new(phoenix),
            origins: self.settings.origins.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        Router::new()
            .route("/socket/websocket", any(phoenix_socket))
            .with_state(Arc::new(web))
            .merge(page::routes())
    }
}

async fn phoenix_socket(State(web): State<Arc<Web>>, mut request: Request<Body>) -> Response<Body> {
    let (version, response) = match handshake::check(&request, &web.origins) {
        Ok(checked) => checked,
        Err(refused) => {
            web.metrics.upgrade_refused(refused.word);
            return *refused.response;
        }
    };
    // Its connection was taken when there was memory.
    if let Err(why) = web.admission.check_memory() {
        web.metrics.upgrade_refused(why.word());
        return turn_away::answer(why);
    }
    let Some(upgrade) = upgrade_of(&mut request) else {
        web.metrics.upgrade_refused("upgrade");
        let mut response = Response::new(Body::from("this connection cannot be upgraded"));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    let phoenix = Arc::clone(&web.phoenix);
    web.clients.welcome(upgrade, move |outbox| session::Session::new(version, phoenix, outbox));
    response
}

async fn tick(hub: Arc<Hub>, links: Arc<Links>) {
    let mut check = Instant::now() + MEMBERS_CHECK;
    loop {
        // What falls due together is done together.
        tokio::time::sleep(TICK).await;
        hub.wait_for_due(check).await;
        let now = Instant::now();
        hub.tick(now);
        if now >= check {
            check = now + MEMBERS_CHECK;
            if links.let_go(|member| hub.uses(member)) {
                // Somebody may have begun to use one in that moment.
                hub.settle();
            }
            links.look_around(now);
        }
    }
}

/// Adopts the rings that come, and gives every new member a task.
async fn follow_ring(mut rings: watch::Receiver<Arc<Ring>>, shared: link::Shared) {
    while rings.changed().await.is_ok() {
        let ring = Arc::clone(&rings.borrow_and_update());
        shared.metrics.ring_version.set(i64::try_from(ring.version()).unwrap_or(i64::MAX));
        tracing::info!(version = ring.version(), members = ring.members().len(), "ring adopted");
        for upstream in shared.links.adopt(ring) {
            tokio::spawn(link::keep(upstream, shared.clone()));
        }
        shared.hub.settle();
    }
    // The ring stays as it is.
    std::future::pending::<()>().await;
}

fn readiness(states: &[MemberState], ring_version: u64, draining: bool, memory_short: bool) -> Readiness {
    let tried = states.iter().all(|state| state.tried);
    let up = states.iter().any(|state| state.up);
    let ready = tried && up && !draining && !memory_short;
    let missing: Vec<_> = states.iter().filter(|state| !state.up).map(|state| &state.name).collect();
    let body = format!(
        r#"{{"ready":{ready},"role":"gateway","draining":{draining},"memory_short":{memory_short},"ring_version":{ring_version},"missing":{missing:?}}}"#
    );
    Readiness { ready, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, up: bool, tried: bool) -> MemberState {
        MemberState { name: name.to_owned(), up, tried }
    }

    #[test]
    fn ready_needs_every_member_tried_and_one_up() {
        let ready = |states: &[MemberState], draining| readiness(states, 1, draining, false).ready;
        assert!(ready(&[state("a", true, true), state("b", true, true)], false));
        assert!(ready(&[state("a", true, true), state("b", false, true)], false));
        assert!(!ready(&[state("a", true, true), state("b", false, false)], false));
        assert!(!ready(&[state("a", false, true), state("b", false, true)], false));
        assert!(!ready(&[state("a", true, true)], true));
    }

    #[test]
    fn the_body_lists_who_is_missing() {
        let body = readiness(&[state("a", true, true), state("b", false, true)], 3, false, false).body;
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(body["missing"], serde_json::json!(["b"]));
        assert_eq!(body["ring_version"], 3);
    }
}
