//! What is known beside the trace itself: how the service usually behaves, and how complete the trace is. Knows no storage;
//! whoever calls an analysis says what was observed.

use crate::baseline::Baseline;
use crate::skeleton::Kind;
use crate::storm::{Edge, Traffic, UsualTraffic};
use crate::trace::Trace;

/// Calls of one edge in a past window, a day say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EdgeCalls {
    /// Client spans.
    pub calls: u64,
    /// Those of them that have a server span.
    pub answered: u64,
}

/// In which order two sibling operations ran, over traces of one call path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SiblingOrder {
    /// Traces that have both.
    pub traces: u64,
    /// Those in which they overlapped, or the second came first: neither needs the other.
    pub refuted: u64,
    /// Those in which the second began within a millisecond of the first one's end.
    pub close: u64,
}

/// What one trace usually has of a call path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsualCalls {
    /// Traces observed of the entry point.
    pub traces: u64,
    /// Median number of calls.
    pub median: u64,
    /// 95th percentile.
    pub p95: u64,
    /// Median of what all of them together take of the critical path by themselves, in nanoseconds.
    pub path_nanos: u64,
}

/// What was observed before. Every answer may be "nothing is known"; then the rules that need it are silent or less sure.
pub trait History {
    /// Calls of the client operation of that service and name.
    fn edge(&self, _service: &str, _name: &str) -> Option<EdgeCalls> {
        None
    }

    /// The service that usually calls this operation.
    fn usual_caller(&self, _service: &str, _name: &str) -> Option<String> {
        None
    }

    /// The order of two sibling spans' operations on this call path.
    fn order(&self, _trace: &Trace, _first: u32, _second: u32) -> Option<SiblingOrder> {
        None
    }

    /// Durations and self times of an operation.
    fn baseline(&self, _service: &str, _name: &str, _kind: Kind) -> Option<&Baseline> {
        None
    }

    /// How often the span's call path occurs in a trace. Nothing for a span that is not below the root that stands for the
    /// trace: a path that begins in the middle tells nothing.
    fn usual_calls(&self, _trace: &Trace, _span: u32) -> Option<UsualCalls> {
        None
    }

    /// The same of several spans, in their order. What is asked of many spans of a deep trace need not walk up from each.
    fn usual_calls_of(&self, trace: &Trace, spans: &[u32]) -> Vec<Option<UsualCalls>> {
        spans.iter().map(|span| self.usual_calls(trace, *span)).collect()
    }

    /// What passed on edges in the minutes around the trace, in traces of its entry point.
    fn traffic(&self) -> Option<&Traffic> {
        None
    }

    /// What passes on an edge in as many minutes when nothing is wrong.
    fn usual_traffic(&self, _edge: &Edge) -> Option<UsualTraffic> {
        None
    }
}

/// Nothing was observed before.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHistory;

impl History for NoHistory {}

/// How complete the trace is, as far as whoever fetched it can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Completeness {
    /// Spans were left out to stay inside a limit.
    pub truncated: bool,
    /// Nanoseconds since the newest of its spans was stored, if known.
    pub since_newest_ingest_nanos: Option<u64>,
    /// How long a span may wait before it is stored.
    pub flush_interval_nanos: u64,
}
