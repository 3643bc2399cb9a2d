//! Latencies of many calls, and their quantiles.

use std::time::Duration;

use serde::Serialize;

/// Every latency seen: 8 bytes each.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    nanos: Vec<u64>,
}

/// The usual quantiles, in milliseconds. All zero if there was no call.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Quantiles {
    /// Calls.
    pub count: usize,
    /// Median.
    pub p50_millis: f64,
    /// 95th percentile.
    pub p95_millis: f64,
    /// 99th percentile.
    pub p99_millis: f64,
    /// The slowest.
    pub max_millis: f64,
}

impl Latencies {
    /// Counts one call.
    pub fn add(&mut self, latency: Duration) {
        self.nanos.push(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts the calls of another too.
    pub fn merge(&mut self, other: Self) {
        self.nanos.extend(other.nanos);
    }

    /// Quantiles by nearest rank.
    pub fn quantiles(mut self) -> Quantiles {
        self.nanos.sort_unstable();
        let at = |quantile: f64| {
            let rank = (quantile * self.nanos.len() as f64).ceil() as usize;
            self.nanos.get(rank.saturating_sub(1)).map_or(0.0, |nanos| *nanos as f64 / 1e6)
        };
        let count = self.nanos.len();
        Quantiles { count, p50_millis: at(0.5), p95_millis: at(0.95), p99_millis: at(0.99), max_millis: at(1.0) }
    }
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { p50_millis, p95_millis, p99_millis, max_millis, .. } = self;
        write!(f, "p50 {p50_millis:.3} ms, p95 {p95_millis:.3} ms, p99 {p99_millis:.3} ms, max {max_millis:.3} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let mut latencies = Latencies::default();
        (1..=100).rev().for_each(|millis| latencies.add(Duration::from_millis(millis)));
        let quantiles = latencies.quantiles();
        let found = (quantiles.p50_millis, quantiles.p95_millis, quantiles.p99_millis, quantiles.max_millis);
        assert_eq!(found, (50.0, 95.0, 99.0, 100.0));
        assert_eq!(Latencies::default().quantiles().p99_millis, 0.0);
    }
}
