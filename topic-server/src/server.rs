//! A topic server from its listener to its orderly end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use campanile_process::admin::Readiness;
use campanile_process::metrics::Registry;
use campanile_process::shutdown::Shutdown;
use campanile_proto::Incarnation;
use campanile_proto::link::{
    CONNECTION_WINDOW, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, LinkServer, MESSAGE_BYTES, STREAM_WINDOW,
};
use campanile_ring_config::{Ring, TopicRules};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::config::Settings;
use crate::drain;
use crate::gateways::service::Service;
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
    service: Service,
    metrics: Arc<Metrics>,
    rings: watch::Receiver<Arc<Ring>>,
    shutdown: Shutdown,
}

impl TopicServer {
    /// A server under the ring that `rings` holds now and these topic rules; it follows the ones that come.
    pub fn new(
        settings: Settings,
        rings: watch::Receiver<Arc<Ring>>,
        rules: Arc<ArcSwap<TopicRules>>,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Self {
        let ring = Arc::clone(&rings.borrow());
        metrics.ring_version.set(i64::try_from(ring.version()).unwrap_or(i64::MAX));
        let ownership = Arc::new(Ownership::new(settings.name.clone(), ring));
        let limits = Limits { topics: settings.max_topics, history: settings.history_memory };
        let table = Arc::new(Table::new(Arc::clone(&ownership), Arc::clone(&metrics), rules, limits));
        let service = Service::new(
            Incarnation(fastrand::u64(1..)),
            Arc::clone(&table),
            Arc::clone(&ownership),
            Arc::clone(&metrics),
            settings.link_outbox,
            shutdown.clone(),
        );
        Self { settings, ownership, table, service, metrics, rings, shutdown }
    }

    /// Puts the server's numbers into a registry.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// What `/readyz` says: ready from the start until the drain.
    pub fn readiness(&self) -> impl Fn() -> Readiness + Send + Sync + 'static {
        let ownership = Arc::clone(&self.ownership);
        let drain = self.shutdown.drain.clone();
        move || {
            let ready = !drain.is_cancelled();
            let body = format!(
                r#"{{"ready":{ready},"role":"topic-server","standby":{},"ring_version":{}}}"#,
                !ownership.is_member(),
                ownership.ring_version()
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
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let service = LinkServer::new(self.service.clone())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES);
        let serve = Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .max_concurrent_streams(16)
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stop_accepting.clone().cancelled_owned());
        let serve = tokio::spawn(serve);
        let keep = tokio::spawn(keep(
            Arc::clone(&self.table),
            Arc::clone(&self.metrics),
            self.rings.clone(),
            self.shutdown.now.clone(),
        ));
        tokio::select! {
            () = self.shutdown.drain.cancelled() => {
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

/// Follows the ring and looks after the table until the process ends.
async fn keep(
    table: Arc<Table>,
    metrics: Arc<Metrics>,
    mut rings: watch::Receiver<Arc<Ring>>,
    end: CancellationToken,
) {
    let mut tick = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = tick.tick() => {
                table.sweep(Instant::now());
                metrics.topics.set(i64::try_from(table.len()).unwrap_or(i64::MAX));
                metrics.history_bytes.set(i64::try_from(table.history_bytes()).unwrap_or(i64::MAX));
            }
            // A dropped sender means that the ring stays as it is: wait for the end.
            Ok(()) = rings.changed() => {
                let ring = Arc::clone(&rings.borrow_and_update());
                metrics.ring_version.set(i64::try_from(ring.version()).unwrap_or(i64::MAX));
                tracing::info!(version = ring.version(), members = ring.members().len(), "ring adopted");
                table.adopt(ring);
            }
        }
    }
}
