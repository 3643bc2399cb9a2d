//! What is known beside the trace itself: how the service usually behaves, and how complete the trace is. Knows no storage;
//! whoever calls an analysis says what was observed.

use crate::baseline::Baseline;
use crate::skeleton::Kind;
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

/// How often an operation is usually called in one trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsualCalls {
    /// Traces observed of the entry point.
    pub traces: u64,
    /// Median number of calls.
    pub median: u64,
    /// 95th percentile.
    pub p95: u64,
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

    /// How often the span's call path occurs in a trace.
    fn usual_calls(&self, _trace: &Trace, _span: u32) -> Option<UsualCalls> {
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
