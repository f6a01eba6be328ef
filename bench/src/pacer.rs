//! Waiting for a point in time more exactly than tokio's timer, whose steps of 1 ms would show in every latency
//! of an open loop.

use std::time::Instant;

#[cfg(target_os = "linux")]
pub(crate) use precise::Pacer;

#[cfg(not(target_os = "linux"))]
pub(crate) use coarse::Pacer;

#[cfg(target_os = "linux")]
mod precise {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    use super::Instant;

    /// One kernel timer.
    #[derive(Debug)]
    pub(crate) struct Pacer {
        timer: AsyncFd<OwnedFd>,
        armed: Option<Instant>,
    }

    impl Pacer {
        /// Needs one open file.
        pub(crate) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            #[expect(
                deprecated,
                reason = "its successor is unsafe, which is forbidden here; what that asks for, a descriptor \
                          that stays open and the same, an OwnedFd that is never taken out keeps"
            )]
            let timer = AsyncFd::new(timer)?;
            Ok(Self { timer, armed: None })
        }

        /// Returns at `due` or, if the system is busy, later. Cancel-safe: dropped and called again with the
        /// same `due`, the timer is still set.
        pub(crate) async fn wait_until(&mut self, due: Instant) -> io::Result<()> {
            loop {
                let now = Instant::now();
                if now >= due {
                    return Ok(());
                }
                if self.armed != Some(due) {
                    let left = due - now;
                    let value = Timespec {
                        tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                        tv_nsec: left.subsec_nanos().max(1).into(),
                    };
                    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
                    let spec = Itimerspec { it_interval: none, it_value: value };
                    timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)?;
                    self.armed = Some(due);
                }
                // Setting the timer anew takes back an expiry that nobody read, so none needs reading here.
                self.timer.readable().await?.clear_ready();
                self.armed = None;
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod coarse {
    use std::io;

    use super::Instant;

    /// Tokio's timer, in steps of 1 ms.
    #[derive(Debug)]
    pub(crate) struct Pacer;

    impl Pacer {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Returns at `due` or up to some milliseconds later. Cancel-safe.
        pub(crate) async fn wait_until(&mut self, due: Instant) -> io::Result<()> {
            tokio::time::sleep_until(due.into()).await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn never_early_and_again_and_again() {
        let mut pacer = Pacer::new().unwrap();
        let begun = Instant::now();
        for step in 1..=20 {
            let due = begun + Duration::from_micros(700) * step;
            pacer.wait_until(due).await.unwrap();
            assert!(Instant::now() >= due);
        }
        pacer.wait_until(begun).await.unwrap();
    }

    #[tokio::test]
    async fn a_dropped_wait_can_be_taken_up_again() {
        let mut pacer = Pacer::new().unwrap();
        let due = Instant::now() + Duration::from_millis(5);
        for _ in 0..3 {
            tokio::select! {
                biased;
                waited = pacer.wait_until(due) => waited.unwrap(),
                () = std::future::ready(()) => {}
            }
        }
        pacer.wait_until(due).await.unwrap();
        assert!(Instant::now() >= due);
    }
}
