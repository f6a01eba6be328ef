//! Takes connections of the Redis front, as many and as fast as the gateway takes others.

use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::client::accept;
use crate::client::admission::{Admission, Turned};
use crate::client::turn_away::TurnAway;
use crate::redis::decode::Bounds;
use crate::redis::session::{Session, Shared};
use crate::redis::socket::Socket;

/// After so much silence TCP asks whether the other end is still there, as Redis has it.
const KEEPALIVE: Duration = Duration::from_secs(300);

/// Serves connections until `end` is cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    bounds: Bounds,
    admission: Arc<Admission>,
    end: CancellationToken,
) {
    let turn_away = TurnAway::new();
    let each = |io: TcpStream, _, place| match place {
        Ok(place) => {
            // Nobody is closed for being silent: this is how a client is found gone that could not say so.
            let _ = SockRef::from(&io).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
            let session = |outbox| Session::new(Arc::clone(&shared), outbox);
            let (reading, outbox, session) = shared.clients.prepare(io, session);
            let socket = Socket::new(reading, bounds, outbox.clone());
            shared.clients.start(socket, outbox, session, Some(place));
        }
        Err(why) => {
            shared.metrics.connection_refused(why);
            turn_away.answer(refuse(io, why));
        }
    };
    accept::take(&listener, &admission, &end, each).await;
}

/// Says why, as Redis does before anything was asked.
async fn refuse(mut io: TcpStream, why: Turned) {
    let text = match why {
        Turned::Full => "max number of clients reached",
        other => other.text(),
    };
    if io.write_all(format!("-ERR {text}\r\n").as_bytes()).await.is_ok() && io.shutdown().await.is_ok() {
        // Closed at once, the connection would be reset by what the client has sent, and the words lost.
        let mut bytes = [0; 1024];
        while io.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    }
}
