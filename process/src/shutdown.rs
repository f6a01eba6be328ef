//! The end of a process: asked for by signals, done in named phases with deadlines.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// What signals ask of a process. Clones share one state.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Cancelled by the first SIGTERM or SIGINT: end in good order. Also cancelled by `now`.
    pub drain: CancellationToken,
    /// Cancelled by the second one: end at once.
    pub now: CancellationToken,
    /// Counts the SIGHUPs: read all files again. Its sender lives as long as any clone.
    pub reload: watch::Receiver<u64>,
    bump: Arc<watch::Sender<u64>>,
}

impl Shutdown {
    /// Follows SIGTERM, SIGINT and SIGHUP from this call on. Call it once per process, within a tokio runtime.
    ///
    /// # Errors
    /// What the system says when a handler cannot be installed.
    pub fn on_signals() -> io::Result<Shutdown> {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let mut hup = signal(SignalKind::hangup())?;
        let shutdown = Shutdown::manual();
        let signals = shutdown.clone();
        tokio::spawn(async move {
            while !signals.now.is_cancelled() {
                // `recv` loses no signal when it is dropped; it ends only with the runtime.
                tokio::select! {
                    Some(()) = term.recv() => signals.end("SIGTERM"),
                    Some(()) = int.recv() => signals.end("SIGINT"),
                    Some(()) = hup.recv() => {
                        tracing::info!("SIGHUP: reading files again");
                        signals.request_reload();
                    }
                    else => return,
                }
            }
        });
        Ok(shutdown)
    }

    /// One that only the caller moves: by `drain.cancel()`, `now.cancel()` and [`Shutdown::request_reload`].
    pub fn manual() -> Shutdown {
        let now = CancellationToken::new();
        let (bump, reload) = watch::channel(0);
        Shutdown { drain: now.child_token(), now, reload, bump: Arc::new(bump) }
    }

    /// What SIGHUP does.
    pub fn request_reload(&self) {
        self.bump.send_modify(|count| *count += 1);
    }

    fn end(&self, signal: &str) {
        if self.drain.is_cancelled() {
            tracing::warn!("{signal} again: ending at once");
            self.now.cancel();
        } else {
            tracing::info!("{signal}: draining; a second signal ends at once");
            self.drain.cancel();
        }
    }
}

/// Runs one phase of an orderly end and logs its name and the time it took. Whether it was done before `deadline`;
/// otherwise it was dropped where it stood.
pub async fn phase(name: &str, deadline: Duration, work: impl Future<Output = ()>) -> bool {
    let start = Instant::now();
    let done = timeout(deadline, work).await.is_ok();
    let milliseconds = start.elapsed().as_millis() as u64;
    match done {
        true => tracing::info!(phase = name, milliseconds, "phase done"),
        false => tracing::warn!(phase = name, milliseconds, "phase cut at its deadline"),
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_drains_and_the_second_ends() {
        let shutdown = Shutdown::manual();
        shutdown.end("SIGTERM");
        assert!(shutdown.drain.is_cancelled() && !shutdown.now.is_cancelled());
        shutdown.end("SIGINT");
        assert!(shutdown.now.is_cancelled());
    }

    #[test]
    fn ending_now_drains_too() {
        let shutdown = Shutdown::manual();
        shutdown.now.cancel();
        assert!(shutdown.drain.is_cancelled());
    }

    #[test]
    fn every_waiter_sees_a_reload() {
        let shutdown = Shutdown::manual();
        let (mut one, mut two) = (shutdown.reload.clone(), shutdown.clone().reload);
        assert!(!one.has_changed().unwrap());
        shutdown.request_reload();
        assert!(one.has_changed().unwrap() && two.has_changed().unwrap());
        assert_eq!((*one.borrow_and_update(), *two.borrow_and_update()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_phase_ends_when_done_or_at_its_deadline() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        assert!(phase("quick", 2 * second, tokio::time::sleep(second)).await);
        assert_eq!(start.elapsed(), second);
        assert!(!phase("slow", second, std::future::pending()).await);
        assert_eq!(start.elapsed(), 2 * second);
    }
}
