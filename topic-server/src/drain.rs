//! The orderly end of a topic server: take nothing new, answer what is on its way, write what is queued, and let the
//! links go.

use std::time::Duration;

use campanile_process::shutdown::phase;
use tokio_util::sync::CancellationToken;

use crate::gateways::service::Service;
use crate::topics::Table;

/// How often it is looked whether the last link has ended.
const LOOK: Duration = Duration::from_millis(5);

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
