//! Spans of a selection to look at: the slowest, failed ones, and some of usual duration.

use std::cmp::Reverse;

use serde::Serialize;
use spanlake_analysis::Histogram;
use spanlake_model::TraceId;

use super::super::pass::{SpanAt, SpanRows};
use super::ERROR;
use super::window::UnixNanos;

/// How many slow ones, failed ones and usual ones are chosen.
const SLOWEST: usize = 4;
const FAILED: usize = 3;
const USUAL: usize = 3;
/// Spans of which the usual ones are chosen, of a chunk and of all.
const SAMPLED: usize = 16;
const MAX_SAMPLED: usize = 512;

/// A span to look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Representative {
    /// Its trace, in hexadecimal.
    pub trace_id: String,
    /// Its id, in hexadecimal.
    pub span_id: String,
    /// Its `service.name`; empty for none.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its duration.
    pub duration_nanos: u64,
    /// Its start.
    pub start_unix_nanos: UnixNanos,
    /// Whether its status is ERROR.
    pub error: bool,
}

/// A span that may be chosen.
#[derive(Debug, Clone)]
pub(super) struct Example {
    pub(super) at: SpanAt,
    service: String,
    name: String,
    nanos: u64,
    start_unix_nanos: u64,
    is_error: bool,
}

impl Example {
    /// As it is answered.
    pub(super) fn named(self, trace_id: TraceId, span_id: u64) -> Representative {
        Representative {
            trace_id: trace_id.to_string(),
            span_id: format!("{span_id:016x}"),
            service: self.service,
            name: self.name,
            duration_nanos: self.nanos,
            start_unix_nanos: UnixNanos(self.start_unix_nanos),
            error: self.is_error,
        }
    }
}

/// Spans that may be chosen, so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Examples {
    slowest: Vec<Example>,
    failed: Vec<Example>,
    sampled: Vec<Example>,
    durations: Histogram,
}

impl Examples {
    /// Looks at rows of a chunk. `places` are those of service, name, duration and status.
    pub(super) fn see(&mut self, rows: &SpanRows<'_>, counting: &[usize], places: [usize; 4]) {
        let [service, name, duration, status] = places;
        let nanos = |row: usize| rows.number(duration, row) as u64;
        let example = |row: &usize| Example {
            at: rows.at(*row),
            service: rows.text(service, *row).unwrap_or_default(),
            name: rows.text(name, *row).unwrap_or_default(),
            nanos: nanos(*row),
            start_unix_nanos: rows.starts[*row] as u64,
            is_error: rows.number(status, *row) == ERROR,
        };
        counting.iter().for_each(|row| self.durations.record(nanos(*row)));
        let mut slow: Vec<usize> = counting.to_vec();
        slow.sort_by_key(|row| Reverse(nanos(*row)));
        self.slowest = slow.iter().take(SLOWEST).map(example).collect();
        let failed = slow.iter().filter(|row| rows.number(status, **row) == ERROR);
        self.failed = failed.take(FAILED + SLOWEST).map(example).collect();
        let stride = counting.len().div_ceil(SAMPLED).max(1);
        self.sampled = counting.iter().step_by(stride).map(example).collect();
    }

    /// Adds another chunk's.
    pub(super) fn merge(&mut self, other: Self) {
        self.durations.merge(&other.durations);
        self.slowest.extend(other.slowest);
        self.slowest.sort_by_key(|example| Reverse(example.nanos));
        self.slowest.truncate(SLOWEST);
        self.failed.extend(other.failed);
        self.failed.sort_by_key(|example| Reverse(example.nanos));
        self.failed.truncate(FAILED + SLOWEST);
        let room = MAX_SAMPLED.saturating_sub(self.sampled.len());
        self.sampled.extend(other.sampled.into_iter().take(room));
    }

    /// The chosen ones: the slowest first, then failed ones, then usual ones.
    pub(super) fn chosen(mut self) -> Vec<Example> {
        let median = self.durations.median();
        self.sampled.sort_by_key(|example| example.nanos.abs_diff(median));
        let mut chosen: Vec<Example> = Vec::new();
        for (from, most) in [(self.slowest, SLOWEST), (self.failed, FAILED), (self.sampled, USUAL)] {
            let more = from.into_iter().filter(|example| !chosen.iter().any(|known| known.at == example.at));
            let more: Vec<Example> = more.take(most).collect();
            chosen.extend(more);
        }
        chosen
    }
}
