//! The admin port: `/metrics` for Prometheus, `/healthz` and `/readyz` for who starts and watches the process.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::listen;
use crate::metrics::{self, Registry};

/// How long a request's head may take, an idle connection included.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// How long one connection may live, so that a reader that stops reading does not stay for ever.
const CONNECTION_TIME: Duration = Duration::from_secs(300);

/// How long answers under way may take once the end has come.
const END_TIME: Duration = Duration::from_secs(1);

/// How many connections there may be at a time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 64;

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the port shows.
#[derive(Clone)]
pub struct Admin {
    /// The metrics; families of the same name are shown as one.
    pub registries: Vec<Arc<Registry>>,
    /// Asked at each `/readyz`; must not block.
    pub ready: Arc<dyn Fn() -> Readiness + Send + Sync>,
}

/// Whether the process is ready for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// 200 or 503.
    pub ready: bool,
    /// Details as JSON text.
    pub body: String,
}

impl fmt::Debug for Admin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Admin").field("registries", &self.registries.len()).finish_non_exhaustive()
    }
}

/// Serves until `end` is cancelled; then answers under way have 1 s.
pub async fn serve(listener: TcpListener, admin: Admin, end: CancellationToken) {
    let service = TowerToHyperService::new(router(admin));
    let mut connections = JoinSet::new();
    loop {
        // Nothing is lost when an arm is dropped: `accept` and `join_next` are cancel safe.
        tokio::select! {
            () = end.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (stream, _) = listen::accept(&listener), if connections.len() < MOST_CONNECTIONS => {
                connections.spawn(connection(stream, service.clone(), end.clone()));
            }
        }
    }
    drop(listener);
    let all_done = async { while connections.join_next().await.is_some() {} };
    // What is left then is cut when the set is dropped.
    let _ = timeout(END_TIME, all_done).await;
}

async fn connection(stream: TcpStream, service: TowerToHyperService<Router>, end: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // An error is the peer's: it went away, was too slow or does not speak HTTP.
    tokio::select! {
        _ = served.as_mut() => return,
        () = end.cancelled() => {}
        () = sleep(CONNECTION_TIME) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = timeout(END_TIME, served).await;
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(show_readiness))
        .fallback(|| async {
            (StatusCode::NOT_FOUND, "not here; this port has /metrics, /healthz and /readyz\n")
        })
        .with_state(admin)
}

async fn show_metrics(State(admin): State<Admin>) -> Response {
    match metrics::encode(&admin.registries) {
        Ok(text) => ([(CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(fmt::Error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "a metric cannot be written\n").into_response()
        }
    }
}

async fn show_readiness(State(admin): State<Admin>) -> Response {
    let Readiness { ready, body } = (admin.ready)();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests;
