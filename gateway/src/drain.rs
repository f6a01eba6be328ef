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
    clients: &[&Clients],
    stop_accepting: &CancellationToken,
    deadline: Duration,
    now: &CancellationToken,
) {
    stop_accepting.cancel();
    let all: Vec<_> = clients.iter().flat_map(|clients| clients.start_drain()).collect();
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
        while clients.iter().any(|clients| !clients.is_empty()) {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        _ = phase("send clients away", deadline, work) => {}
        () = now.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::client::outbox::Outbox;

    #[tokio::test(start_paused = true)]
    async fn closes_are_spread_evenly() {
        let outboxes: Vec<_> = (0..100).map(|_| Outbox::new(1 << 10)).collect();
        // Whatever the ending: this one can be seen from here.
        let work = tokio::spawn(end_all(outboxes.clone(), Ending::Idle, Duration::from_secs(10)));
        let mut before = 0;
        for second in 1..=10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let is_over =
                |outbox: &&Outbox| outbox.poll_end(&mut Context::from_waker(Waker::noop())).is_ready();
            let over = outboxes.iter().filter(is_over).count();
            assert!((9..=11).contains(&(over - before)), "{} in second {second}", over - before);
            before = over;
        }
        assert_eq!(before, 100);
        work.await.expect("ends");
    }
}
