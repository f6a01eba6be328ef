//! Clients that have been silent for the idle time are closed, by one task for all of them: a timer per client would
//! cost memory, and time whenever the client is woken.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::client::accept::Clients;
use crate::client::close::Ending;

/// Clients that are looked at without a pause, so that nobody who comes or goes waits for long.
const STEP: usize = 1024;

/// Bounds of the time between two looks at a client, which is a twentieth of the idle time.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Milliseconds of a clock that does not jump, since the process began to use it.
pub(crate) fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_millis() as u64
}

/// Closes those that have been silent for the idle time, at most a twentieth of that later, until it is dropped. Also gives back
/// the memory of queues that are empty.
pub(crate) async fn watch(clients: Arc<Clients>) {
    let idle = clients.idle();
    let mut pause = tokio::time::interval((idle / 20).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        let mut from = 0;
        loop {
            let now = now();
            let next = clients.look_at(from..from + STEP, |outbox| {
                if outbox.silent(now) >= idle {
                    outbox.end(Ending::Idle);
                }
                outbox.shrink();
            });
            if !next {
                break;
            }
            from += STEP;
            tokio::task::yield_now().await;
        }
    }
}
