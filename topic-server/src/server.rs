//! A topic server from its listener to its orderly end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use campanile_process::admin::Readiness;
use campanile_process::metrics::Registry;
use campanile_process::shutdown::Shutdown;
use campanile_proto::Incarnation;
use campanile_proto::handoff::HandoffServer;
use campanile_proto::link::{
    CONNECTION_WINDOW, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, LinkServer, MESSAGE_BYTES, STREAM_WINDOW,
};
use campanile_ring_config::{Feed, Ring, TopicRules};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::config::Settings;
use crate::drain;
use crate::gateways::link;
use crate::gateways::service::Service;
use crate::handoff::{self, Handoff};
use crate::metrics::Metrics;
use crate::topics::table::Limits;
use crate::topics::{Ownership, Table};

/// How often topics are looked through for those to forget, and gauges are set.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// One topic server. [`TopicServer::run`] makes it serve.
#[derive(Debug)]
pub struct TopicServer {
    settings: Settings,
    ownership: Arc<Ownership>,
    table: Arc<Table>,
    handoff: Arc<Handoff>,
    service: Service,
    metrics: Arc<Metrics>,
    feed: Feed,
    shutdown: Shutdown,
}

impl TopicServer {
    /// A server under the ring that `feed` holds now and these topic rules; it follows the ones that come.
    pub fn new(
        settings: Settings,
        feed: Feed,
        rules: Arc<ArcSwap<TopicRules>>,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Self {
        let ring = Arc::clone(&feed.rings.borrow());
        metrics.ring_version.set(i64::try_from(ring.version()).unwrap_or(i64::MAX));
        let ownership = Arc::new(match settings.listen {
            // Whether that is where the ring has the name is seen when somebody comes by the ring's address (H7).
            Some(listen) => Ownership::elsewhere(settings.name.clone(), ring, Some(listen.to_string())),
            None => Ownership::new(settings.name.clone(), ring),
        });
        let limits = Limits { topics: settings.max_topics, history: settings.history_memory };
        let table = Table::new(Arc::clone(&ownership), Arc::clone(&metrics), rules, limits);
        let table = Arc::new(table.guarded(settings.topic_publishes, settings.memory.clone()));
        let handoff = Arc::new(Handoff::new(
            Incarnation(fastrand::u64(1..)),
            Arc::clone(&table),
            Arc::clone(&ownership),
            Arc::clone(&metrics),
            Instant::now(),
        ));
        let server = link::Server {
            table: Arc::clone(&table),
            handoff: Arc::clone(&handoff),
            metrics: Arc::clone(&metrics),
            shutdown: shutdown.clone(),
        };
        let service = Service::new(server, Arc::clone(&ownership), settings.link_outbox);
        Self { settings, ownership, table, handoff, service, metrics, feed, shutdown }
    }

    /// Puts the server's numbers into a registry.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// What `/readyz` says: ready from the start until the drain, also while memory is short: nobody could take its
    /// topics over.
    pub fn readiness(&self) -> impl Fn() -> Readiness + Send + Sync + 'static {
        let ownership = Arc::clone(&self.ownership);
        let drain = self.shutdown.drain.clone();
        let open = self.metrics.handoffs_open.clone();
        let memory = self.settings.memory.clone();
        move || {
            let ready = !drain.is_cancelled();
            let body = format!(
                r#"{{"ready":{ready},"role":"topic-server","standby":{},"memory_short":{},"ring_version":{},"handoffs_open":{}}}"#,
                !ownership.is_member(),
                memory.is_high(),
                ownership.ring_version(),
                open.get()
            );
            Readiness { ready, body }
        }
    }

    /// Serves gateways on this listener until the shutdown says otherwise.
    ///
    /// # Errors
    /// What the transport says when it fails while running.
    pub async fn run(self, listener: TcpListener) -> Result<(), tonic::transport::Error> {
        let stop_accepting = CancellationToken::new();
        if let Ok(address) = listener.local_addr() {
            self.ownership.learn_address(&address.to_string());
        }
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let service = LinkServer::new(self.service.clone())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        let peers = handoff::link::Shared {
            handoff: Arc::clone(&self.handoff),
            ownership: Arc::clone(&self.ownership),
            metrics: Arc::clone(&self.metrics),
            offers: self.feed.offers.clone(),
            shutdown: self.shutdown.clone(),
            links: Arc::default(),
        };
        let peer_service = HandoffServer::new(handoff::service::Service::new(peers.clone()))
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        let serve = Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .max_concurrent_streams(16)
            .add_service(service)
            .add_service(peer_service)
            .serve_with_incoming_shutdown(incoming, stop_accepting.clone().cancelled_owned());
        let serve = tokio::spawn(serve);
        let end = CancellationToken::new();
        // However this ends, the tasks end with it.
        let _end = end.clone().drop_guard();
        let upkeep = Upkeep {
            table: Arc::clone(&self.table),
            handoff: Arc::clone(&self.handoff),
            metrics: Arc::clone(&self.metrics),
        };
        let keep = tokio::spawn(upkeep.run(self.feed.rings.clone(), end.clone()));
        tokio::spawn(handoff::link::keep(peers, end));
        tokio::select! {
            () = self.shutdown.drain.cancelled() => {
                let mut rings = self.feed.rings.clone();
                rings.mark_unchanged();
                self.shutdown.request_reload();
                let _ = tokio::time::timeout(self.settings.edit_grace, rings.changed()).await;
                let newest = Arc::clone(&rings.borrow());
                self.handoff.adopt(newest, Instant::now());
                drain::hand_over(&self.handoff, &self.shutdown.now).await;
                drain::drain(&self.table, &self.service, &stop_accepting, self.settings.drain, &self.shutdown.now)
                    .await;
            }
            () = self.shutdown.now.cancelled() => {}
        }
        keep.abort();
        serve.abort();
        match serve.await {
            Ok(result) => result,
            // Aborted by the line above.
            Err(_) => Ok(()),
        }
    }
}

/// Follows the ring and looks after the table.
struct Upkeep {
    table: Arc<Table>,
    handoff: Arc<Handoff>,
    metrics: Arc<Metrics>,
}

impl Upkeep {
    async fn run(self, mut rings: watch::Receiver<Arc<Ring>>, end: CancellationToken) {
        let mut tick = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                _ = tick.tick() => {
                    self.table.sweep(Instant::now());
                    let Self { table, metrics, .. } = &self;
                    for (gauge, now) in [
                        (&metrics.topics, table.len()),
                        (&metrics.topics_waiting, table.waiting()),
                        (&metrics.history_bytes, table.history_bytes()),
                        (&metrics.histories, table.histories()),
                    ] {
                        gauge.set(i64::try_from(now).unwrap_or(i64::MAX));
                    }
                }
                // A dropped sender means that the ring stays as it is: wait for the end.
                Ok(()) = rings.changed() => {
                    let ring = Arc::clone(&rings.borrow_and_update());
                    self.metrics.ring_version.set(i64::try_from(ring.version()).unwrap_or(i64::MAX));
                    tracing::info!(version = ring.version(), members = ring.members().len(), "ring adopted");
                    self.handoff.adopt(ring, Instant::now());
                }
            }
        }
    }
}
