//! Real signals. In a binary of its own with one test, since a signal reaches the whole process.

use std::time::Duration;

use campanile_process::shutdown::Shutdown;
use rustix::process::{Signal, getpid, kill_process};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn hangup_reloads_then_drain_then_now() {
    let mut shutdown = Shutdown::on_signals().unwrap();
    kill_process(getpid(), Signal::HUP).unwrap();
    timeout(LONG, shutdown.reload.changed()).await.expect("SIGHUP reloads").unwrap();
    assert!(!shutdown.drain.is_cancelled());

    kill_process(getpid(), Signal::TERM).unwrap();
    timeout(LONG, shutdown.drain.cancelled()).await.expect("SIGTERM drains");
    assert!(!shutdown.now.is_cancelled());

    // Still heard while draining.
    kill_process(getpid(), Signal::HUP).unwrap();
    timeout(LONG, shutdown.reload.changed()).await.expect("SIGHUP reloads").unwrap();
    assert_eq!(*shutdown.reload.borrow(), 2);

    kill_process(getpid(), Signal::INT).unwrap();
    timeout(LONG, shutdown.now.cancelled()).await.expect("a second signal ends at once");
}
