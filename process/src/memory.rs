//! The memory of this process against a watermark: above it, whoever asks is told to take nothing new, until it is
//! well below again. Better to refuse than to be killed by the kernel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::usage::{allocated, limit, used};

mod usage;

/// How often the memory is looked at.
pub const LOOK: Duration = Duration::from_millis(250);

/// The same while not even half of the watermark is in use.
const CALM_LOOK: Duration = Duration::from_secs(1);

/// Looking may take one part of the time in so many.
const REST: u32 = 20;

/// Of the limit, in percent, if nobody gives a watermark.
const SHARE: u64 = 80;

/// Whether the process takes nothing new. Cloning shares it; a default one never does unless it is told to.
#[derive(Clone, Debug, Default)]
pub struct Pressure(Arc<AtomicBool>);

impl Pressure {
    /// Whether memory is short.
    pub fn is_high(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Says whether memory is short.
    pub fn set(&self, high: bool) {
        self.0.store(high, Ordering::Relaxed);
    }
}

/// Two marks: pressure begins above the high one, and ends below the low one, 5 % lower, so that it does not come and
/// go with every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    high: u64,
    low: u64,
}

impl Watermark {
    /// With this high mark, in bytes.
    pub fn new(high: u64) -> Watermark {
        Watermark { high, low: high - high / 20 }
    }

    /// Whether there is pressure with so many bytes in use, if there was some before or not.
    pub fn judge(&self, was_high: bool, used: u64) -> bool {
        used > if was_high { self.low } else { self.high }
    }
}

/// Watches the memory of this process. Cloning shares all of it.
#[derive(Clone, Debug)]
pub struct MemoryGuard {
    watermark: Option<Watermark>,
    pressure: Pressure,
    refusing: Gauge,
    crossings: Counter,
}

impl MemoryGuard {
    /// With a watermark of so many bytes; with none for 0. `None` takes 80 % of what the cgroup allows or the machine
    /// has, and none where neither is known.
    pub fn new(watermark: Option<u64>) -> MemoryGuard {
        let bytes = watermark.or_else(|| limit().map(|limit| limit / 100 * SHARE));
        MemoryGuard {
            watermark: bytes.filter(|bytes| *bytes > 0).map(Watermark::new),
            pressure: Pressure::default(),
            refusing: Gauge::default(),
            crossings: Counter::default(),
        }
    }

    /// What those who might take something new ask.
    pub fn pressure(&self) -> Pressure {
        self.pressure.clone()
    }

    /// Adds its numbers to a registry without a prefix; one per process.
    pub fn register(&self, registry: &mut Registry) {
        let watermark = Gauge::<i64>::default();
        watermark.set(self.watermark.map_or(0, |mark| i64::try_from(mark.high).unwrap_or(i64::MAX)));
        registry.register(
            "process_memory_watermark_bytes",
            "Memory above which nothing new is taken; 0 for none",
            watermark,
        );
        registry.register(
            "process_memory_pressure",
            "1 while nothing new is taken for want of memory",
            self.refusing.clone(),
        );
        registry.register(
            "process_memory_crossings",
            "Times that memory rose above its watermark",
            self.crossings.clone(),
        );
    }

    /// Looks at the memory every 250 ms until `end` is cancelled; not at all where there is no watermark, or where `used`
    /// cannot say how many bytes are in use. It is given the low mark, below which it need not be exact. It may block; if
    /// it takes long, it is asked less often.
    pub async fn watch(
        self,
        mut used: impl FnMut(u64) -> Option<u64> + Send + 'static,
        end: CancellationToken,
    ) {
        let Some(Watermark { low, .. }) = self.watermark else { return };
        loop {
            let start = Instant::now();
            let look = tokio::task::spawn_blocking(move || {
                let bytes = used(low);
                (used, bytes)
            });
            // It fails if the process ends.
            let Ok((again, bytes)) = look.await else { return };
            used = again;
            let Some(bytes) = bytes else {
                tracing::info!("the memory in use cannot be read here: there is no watermark");
                return;
            };
            self.look(bytes);
            let pause = if bytes < low / 2 { CALM_LOOK } else { LOOK };
            tokio::select! {
                () = end.cancelled() => return,
                () = tokio::time::sleep(pause.max(start.elapsed() * REST)) => {}
            }
        }
    }

    /// So many bytes are in use now.
    fn look(&self, used: u64) {
        let Some(watermark) = self.watermark else { return };
        let was_high = self.pressure.is_high();
        let is_high = watermark.judge(was_high, used);
        if is_high == was_high {
            return;
        }
        self.pressure.set(is_high);
        self.refusing.set(i64::from(is_high));
        let Watermark { high, low } = watermark;
        if is_high {
            self.crossings.inc();
            tracing::warn!(
                used,
                watermark = high,
                "memory is short: nothing new is taken until it is below {low} bytes"
            );
        } else {
            tracing::info!(used, watermark = high, "memory is enough again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_begins_above_the_high_mark_and_ends_at_the_low_one() {
        let mark = Watermark::new(1000);
        assert!(!mark.judge(false, 1000));
        assert!(mark.judge(false, 1001));
        assert!(mark.judge(true, 1000), "between the marks it stays as it is");
        assert!(mark.judge(true, 951));
        assert!(!mark.judge(true, 950));
        assert!(!mark.judge(false, 951));
    }

    #[test]
    fn no_mark_for_zero_and_a_share_of_the_limit_for_none() {
        assert_eq!(MemoryGuard::new(Some(0)).watermark, None);
        assert_eq!(MemoryGuard::new(Some(5000)).watermark, Some(Watermark::new(5000)));
        let by_default = MemoryGuard::new(None).watermark.map(|mark| mark.high);
        assert_eq!(by_default, limit().map(|limit| limit / 100 * 80));
    }

    #[tokio::test(start_paused = true)]
    async fn each_crossing_is_seen_once_and_counted() {
        let guard = MemoryGuard::new(Some(1000));
        let (pressure, end) = (guard.pressure(), CancellationToken::new());
        // Seen at each look: what the memory is, and what the pressure was before it.
        let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let mut memory = [10, 2000, 1500, 960, 940, 990, 1001].into_iter();
        let (looks, shown, stop) = (Arc::clone(&seen), pressure.clone(), end.clone());
        let used = move |low| {
            assert_eq!(low, 950);
            looks.lock().push(shown.is_high());
            let next = memory.next();
            if next.is_none() {
                stop.cancel();
            }
            Some(next.unwrap_or(1001))
        };
        guard.clone().watch(used, end).await;
        assert_eq!(*seen.lock(), [false, false, true, true, true, false, false, true]);
        assert!(pressure.is_high());
        assert_eq!((guard.crossings.get(), guard.refusing.get()), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_watched_without_a_mark_or_a_reading() {
        let end = CancellationToken::new();
        MemoryGuard::new(Some(0)).watch(|_| panic!("nobody needs to know"), end.clone()).await;
        let guard = MemoryGuard::new(Some(1));
        guard.clone().watch(|_| None, end).await;
        assert!(!guard.pressure().is_high());
    }
}
