//! The orderly end of a topic server: take nothing new, answer what is on its way, write what is queued, and let the
//! links go.

use std::time::Duration;

use campanile_process::shutdown::phase;
use tokio_util::sync::CancellationToken;

use crate::gateways::service::Service;
use crate::handoff::Handoff;
use crate::topics::Table;

/// How often it is looked whether the last link has ended.
const LOOK: Duration = Duration::from_millis(5);

/// How long handing topics over may take before the server ends.
const HAND_OVER: Duration = Duration::from_secs(30);

/// Hands over what the newest ring gives to others; everybody is served meanwhile. What the ring gives to this server
/// stays: it has not changed.
pub(crate) async fn hand_over(handoff: &Handoff, now: &CancellationToken) {
    if handoff.is_done() {
        return;
    }
    let done = async {
        while !handoff.is_done() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        _ = phase("hand topics over to their owners", HAND_OVER, done) => {}
        () = now.cancelled() => {}
    }
}

/// Ends the server within `deadline`, or at once when `now` is cancelled. Publishes that come meanwhile are
/// refused; what has been acknowledged is in the gateways' outboxes, and those are written before links end.
pub(crate) async fn drain(
    table: &Table,
    service: &Service,
    stop_accepting: &CancellationToken,
    deadline: Duration,
    now: &CancellationToken,
) {
    table.drain();
    stop_accepting.cancel();
    service.drain();
    let links_end = async {
        while service.links() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        _ = phase("answer what is on its way and end the links", deadline, links_end) => {}
        () = now.cancelled() => {}
    }
}
