//! Takes connections: HTTP for what is small, and the upgrade for clients that stay.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use slab::Slab;
use socket2::SockRef;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use crate::client::admission::{Admission, Place, Turned};
use crate::client::close::Ending;
use crate::client::direct::Line;
use crate::client::outbox::Outbox;
use crate::client::session::{self, Connection, Front};
use crate::client::socket::Socket;
use crate::client::turn_away::TurnAway;
use crate::metrics::Metrics;

/// A connection that has not sent a whole request by then is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest request head.
pub(crate) const HEADER_BYTES: usize = 16 * 1024;

/// What every client connection of a gateway may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest frame and largest message, in bytes.
    pub frame: usize,
    /// Bytes queued for one client.
    pub outbox: usize,
    /// The kernel's send buffer, so that a client that does not read shows in the outbox soon.
    pub send_buffer: usize,
    /// The kernel's receive buffer; it takes twice as much for its own needs. What lies there is not known to anybody
    /// yet, and would be worked off behind everything else.
    pub receive_buffer: usize,
    /// A client that sends nothing for so long is closed.
    pub idle: Duration,
}

/// A connection that is about to be upgraded.
#[derive(Debug)]
pub struct Upgrade {
    upgrade: OnUpgrade,
    /// `None` where nobody counts.
    place: Option<Arc<Place>>,
}

/// The client connections that are open.
#[derive(Debug)]
pub struct Clients {
    limits: Limits,
    metrics: Arc<Metrics>,
    open: Mutex<Slab<Outbox>>,
    /// The gateway is ending: who comes now is sent away at once.
    draining: AtomicBool,
}

impl Clients {
    /// No connections yet.
    pub fn new(limits: Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { limits, metrics, open: Mutex::default(), draining: AtomicBool::new(false) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The outboxes of all, to end them one by one. Who comes later ends at once.
    pub(crate) fn start_drain(&self) -> Vec<Outbox> {
        self.draining.store(true, Ordering::SeqCst);
        self.open.lock().iter().map(|(_, outbox)| outbox.clone()).collect()
    }

    /// How long a client may be silent.
    pub(crate) fn idle(&self) -> Duration {
        self.limits.idle
    }

    /// Looks at the clients in these places, as far as there are so many; false if the last place is among them.
    pub(crate) fn look_at(&self, places: Range<usize>, mut look: impl FnMut(&Outbox)) -> bool {
        let open = self.open.lock();
        let last = open.capacity();
        places.start < last && {
            for place in places.start..places.end.min(last) {
                if let Some(outbox) = open.get(place) {
                    look(outbox);
                }
            }
            places.end < last
        }
    }

    /// Runs a session on a connection once it has been upgraded. The connection's place in the gateway is the session's
    /// from then on.
    pub fn welcome<F: Front<Received = Message> + 'static>(
        self: &Arc<Self>,
        upgrade: Upgrade,
        front: impl FnOnce(Outbox) -> F + Send + 'static,
    ) {
        let clients = Arc::clone(self);
        tokio::spawn(async move {
            let Upgrade { upgrade, place } = upgrade;
            let Some((io, read)) = upgraded(upgrade).await else {
                return;
            };
            let (reading, outbox, front) = clients.prepare(io, front);
            let socket = Socket::new(reading, read, clients.limits.frame, outbox.clone()).await;
            // A task of its own: this one has held the upgrade, and would stay as large for the connection's life.
            clients.start(socket, outbox, front, place);
        });
    }

    /// The kernel's buffers, the queue and the front of a connection, whose writing end the queue gets.
    pub(crate) fn prepare<F: Front>(
        &self,
        io: TcpStream,
        front: impl FnOnce(Outbox) -> F,
    ) -> (OwnedReadHalf, Outbox, F) {
        let _ = SockRef::from(&io).set_send_buffer_size(self.limits.send_buffer);
        // The client has sent a request and no more: its window has not grown yet, and will not.
        let _ = SockRef::from(&io).set_recv_buffer_size(self.limits.receive_buffer);
        let outbox = Outbox::counting(self.limits.outbox, self.metrics.dropped.clone());
        let front = front(outbox.clone());
        let (reading, writing) = io.into_split();
        match front.direct() {
            Some(event) => outbox.connect(Line::new(writing, event)),
            None => writing.forget(),
        }
        (reading, outbox, front)
    }

    /// Runs a session in a task of its own. The connection's place is free again when it has ended.
    pub(crate) fn start<C, F>(
        self: &Arc<Self>,
        socket: C,
        outbox: Outbox,
        front: F,
        place: Option<Arc<Place>>,
    ) where
        C: Connection + 'static,
        F: Front<Received = C::Received> + 'static,
    {
        let clients = Arc::clone(self);
        let key = clients.open.lock().insert(outbox.clone());
        if clients.draining.load(Ordering::SeqCst) {
            outbox.end(Ending::Drain);
        }
        clients.metrics.sessions.inc();
        let ended = move |ending: Ending| {
            clients.open.lock().remove(key);
            clients.metrics.sessions.dec();
            clients.metrics.ended(ending);
            drop(place);
            tracing::debug!(reason = ending.word(), "session ended");
        };
        tokio::spawn(session::run(socket, outbox, front, ended));
    }
}

/// The bare socket behind an upgrade, and what came with the request. hyper's buffer is copied and let go: it would
/// stay as large as it is for the connection's life.
async fn upgraded(upgrade: OnUpgrade) -> Option<(TcpStream, Bytes)> {
    let upgraded = upgrade.await.ok()?;
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    let read = Bytes::copy_from_slice(&parts.read_buf);
    Some((parts.io.into_inner(), read))
}

/// The upgrade that a request carries, if it is one, and the place of its connection.
pub fn upgrade_of(request: &mut Request<Body>) -> Option<Upgrade> {
    let extensions = request.extensions_mut();
    let (upgrade, place) = (extensions.remove(), extensions.remove());
    Some(Upgrade { upgrade: upgrade?, place })
}

/// Accepts connections, as many and as fast as `admission` says, and serves the router on them until `end` is cancelled.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    admission: Arc<Admission>,
    metrics: Arc<Metrics>,
    end: CancellationToken,
) {
    let turn_away = TurnAway::new();
    let each = |io, from, place| match place {
        Ok(place) => {
            tokio::spawn(connection(io, from, place, router.clone(), end.clone()));
        }
        Err(why) => {
            metrics.connection_refused(why);
            turn_away.turn_away(io, why);
        }
    };
    take(&listener, &admission, &end, each).await;
}

/// Takes connections until `end` is cancelled: each with its place, or why there is none for it.
pub(crate) async fn take(
    listener: &TcpListener,
    admission: &Arc<Admission>,
    end: &CancellationToken,
    mut each: impl FnMut(TcpStream, SocketAddr, Result<Arc<Place>, Turned>),
) {
    loop {
        let accepted = async {
            // Those who wait lie in the kernel's queue.
            while let Err(wait) = admission.pace(Instant::now().into_std()) {
                tokio::time::sleep(wait).await;
            }
            campanile_process::listen::accept(listener).await
        };
        let (io, from) = tokio::select! {
            () = end.cancelled() => return,
            accepted = accepted => accepted,
        };
        let _ = io.set_nodelay(true);
        each(io, from, admission.admit(from.ip()));
    }
}

async fn connection(
    io: TcpStream,
    from: SocketAddr,
    place: Arc<Place>,
    router: Router,
    end: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&place));
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        // Between requests it ends at once, otherwise after the answer.
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%from, %error, "HTTP connection ended");
    }
}

/// Ends these clients one after the other, evenly over `spread`.
pub(crate) async fn end_all(outboxes: Vec<Outbox>, ending: Ending, spread: Duration) {
    let Ok(count) = u32::try_from(outboxes.len()) else {
        return;
    };
    let start = Instant::now();
    for (index, outbox) in (0_u32..).zip(outboxes) {
        tokio::time::sleep_until(start + spread * index / count.max(1)).await;
        outbox.end(ending);
    }
}
