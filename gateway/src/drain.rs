//! The orderly end of a gateway, in phases: take no new client, send the others away one by one, let the links go.

use std::time::Duration;

use campanile_process::shutdown::phase;
use tokio_util::sync::CancellationToken;

use crate::client::accept::{Clients, end_all};
use crate::client::close::Ending;

/// How often it is looked whether the last client has gone.
const LOOK: Duration = Duration::from_millis(5);

/// Ends the gateway within `deadline`, or at once when `now` is cancelled. Readiness is off already: it follows the
/// same signal.
pub(crate) async fn drain(
    clients: &Clients,
    stop_accepting: &CancellationToken,
    deadline: Duration,
    now: &CancellationToken,
) {
    stop_accepting.cancel();
    let all = clients.start_drain();
    tracing::info!(clients = all.len(), "sending clients away");
    // Clients of phoenix.js come back after 10 ms: all at once they would fall upon the other gateways. The last
    // tenth of the time is for the last ones to read their close.
    let spread = if all.len() > 1 {
        deadline.mul_f64(0.9).saturating_sub(Duration::from_millis(100))
    } else {
        Duration::ZERO
    };
    let work = async {
        end_all(all, Ending::Drain, spread).await;
        while !clients.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        _ = phase("send clients away", deadline, work) => {}
        () = now.cancelled() => {}
    }
}
