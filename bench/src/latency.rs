//! Latency histograms: bounded memory, three significant digits.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(3_600);

/// A histogram of durations, up to one hour.
#[derive(Debug)]
pub(crate) struct Latency(Option<Histogram<u64>>);

impl Default for Latency {
    fn default() -> Self {
        // The bounds are constants that hdrhistogram accepts, so there always is a histogram.
        Self(Histogram::new_with_bounds(1, LONGEST.as_nanos() as u64, 3).ok())
    }
}

impl Latency {
    /// In steps of 1 µs with two significant digits: some 25 KB, for a histogram per topic.
    pub(crate) fn coarse() -> Self {
        Self(Histogram::new_with_bounds(1_000, LONGEST.as_nanos() as u64, 2).ok())
    }

    /// Adds what another one has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        if let (Some(histogram), Some(other)) = (&mut self.0, &other.0) {
            // Both have the same upper bound, so every value fits.
            let _ = histogram.add(other);
        }
    }

    /// Counts one duration; longer than an hour counts as an hour.
    pub(crate) fn record(&mut self, latency: Duration) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// The figures to show.
    pub(crate) fn summary(&self) -> Summary {
        let Some(histogram) = &self.0 else {
            return Summary::default();
        };
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        Summary {
            count: histogram.len(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1_000.0,
        }
    }
}

/// A histogram's figures, in microseconds; all zero if nothing was counted.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_known_row() {
        let mut latency = Latency::default();
        (1..=1_000).for_each(|millis| latency.record(Duration::from_millis(millis)));
        let summary = latency.summary();
        assert_eq!(summary.count, 1_000);
        for (got, want) in
            [(summary.p50, 500e3), (summary.p99, 990e3), (summary.p999, 999e3), (summary.max, 1e6)]
        {
            assert!((got - want).abs() <= want * 0.001, "{got} for {want}");
        }
    }

    #[test]
    fn coarse_ones_add_up() {
        let mut all = Latency::default();
        for millis in [10, 30] {
            let mut coarse = Latency::coarse();
            coarse.record(Duration::from_millis(millis));
            coarse.record(LONGEST * 2);
            all.add(&coarse);
        }
        assert_eq!(all.summary().count, 4);
        assert!((all.summary().p50 / 30e3 - 1.0).abs() < 0.01, "{:?}", all.summary());
    }

    #[test]
    fn beyond_the_bound_counts_as_the_bound() {
        let mut latency = Latency::default();
        latency.record(LONGEST * 3);
        let summary = latency.summary();
        assert_eq!(summary.count, 1);
        assert!((summary.max / 3_600e6 - 1.0).abs() < 0.001);
        assert_eq!(Latency::default().summary(), Summary::default());
    }
}
