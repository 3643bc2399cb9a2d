//! Requests, failures and durations by column of time, and what they come to. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use spanlake_analysis::Histogram;

use super::window::Window;

/// What passed in one column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Passed {
    requests: u64,
    errors: u64,
    durations: Histogram,
}

/// What passed, by column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    columns: BTreeMap<u32, Passed>,
}

impl Passed {
    /// Counts a request.
    pub(crate) fn record(&mut self, duration_nanos: u64, is_error: bool) {
        self.requests += 1;
        self.errors += u64::from(is_error);
        self.durations.record(duration_nanos);
    }

    /// Adds another's.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.durations.merge(&other.durations);
    }

    /// The counted durations.
    pub(crate) fn durations(&self) -> &Histogram {
        &self.durations
    }

    /// Requests and failed ones.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.requests, self.errors)
    }
}

impl Counts {
    /// Adds what passed in a column.
    pub(crate) fn add(&mut self, column: u32, passed: &Passed) {
        self.columns.entry(column).or_default().merge(passed);
    }

    /// What passed in a column.
    pub(crate) fn column(&self, column: u32) -> Option<&Passed> {
        self.columns.get(&column)
    }

    /// What passed in all of them.
    pub(crate) fn all(&self) -> Passed {
        let mut all = Passed::default();
        self.columns.values().for_each(|passed| all.merge(passed));
        all
    }

    /// The memory it takes, about.
    pub(crate) fn held_bytes(&self) -> u64 {
        // A histogram of a column is some dozens of buckets of 16 bytes.
        768 * self.columns.len() as u64 + 64
    }

    /// What they come to.
    pub(crate) fn traffic(&self, window: &Window) -> Traffic {
        let all = self.all();
        let columns = || (0..window.column_count as u32).map(|column| self.columns.get(&column));
        let quantile = |share| all.durations.quantile(share);
        Traffic {
            requests: all.requests,
            errors: all.errors,
            rate: all.requests as f64 / window.seconds(),
            error_share: all.errors as f64 / all.requests.max(1) as f64,
            p50_nanos: quantile(0.5),
            p90_nanos: quantile(0.9),
            p99_nanos: quantile(0.99),
            series: TrafficSeries {
                requests: columns().map(|passed| passed.map_or(0, |passed| passed.requests)).collect(),
                errors: columns().map(|passed| passed.map_or(0, |passed| passed.errors)).collect(),
                p99: columns().map(|passed| passed?.durations.quantile(0.99)).collect(),
            },
        }
    }
}

/// How many requests there were, how many failed, and how long they took.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Requests.
    pub requests: u64,
    /// Those with status ERROR.
    pub errors: u64,
    /// Requests a second, over the whole window.
    pub rate: f64,
    /// Errors of all requests, 0 to 1; 0 when there are none.
    pub error_share: f64,
    /// Median duration in nanoseconds, within 1.6 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_nanos: Option<u64>,
    /// The duration that nine of ten do not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p90_nanos: Option<u64>,
    /// The duration that 99 of 100 do not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_nanos: Option<u64>,
    /// The same by column of the window.
    pub series: TrafficSeries,
}

/// One value for each column of a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrafficSeries {
    /// Requests.
    pub requests: Vec<u64>,
    /// Those with status ERROR.
    pub errors: Vec<u64>,
    /// The duration that 99 of 100 do not exceed, in nanoseconds; null where there are no requests.
    pub p99: Vec<Option<u64>>,
}
