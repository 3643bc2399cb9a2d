//! What may be asked of the engine, checked and typed. It knows the language, not HTTP.

use spanlake_model::TimeRange;
use spanlake_traceql::{Field, FieldExpr, Query};

/// A TraceQL search.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceqlSearch {
    /// The query; its metrics part must be absent.
    pub query: Query,
    /// Time that the whole trace must overlap; all time without.
    pub range: Option<TimeRange>,
    /// Most traces to answer, newest first.
    pub limit: usize,
    /// Most spans to answer for each spanset; all are counted.
    pub spans_per_span_set: usize,
}

/// A TraceQL metrics query.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsRequest {
    /// The query; its metrics part must be present.
    pub query: Query,
    /// First nanosecond asked about, as the client gave it.
    pub start_unix_nanos: u64,
    /// End of the time asked about.
    pub end_unix_nanos: u64,
    /// Width of a bucket; none for an instant query: one value over the whole time.
    pub step_nanos: Option<u64>,
    /// Most exemplars over all series.
    pub exemplars: usize,
    /// Most series; none: [`crate::Config`] decides.
    pub max_series: Option<usize>,
}

/// Whose tags are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TagScope {
    /// `resource`
    Resource,
    /// `span`
    Span,
    /// `event`
    Event,
    /// `link`
    Link,
    /// `instrumentation`
    Instrumentation,
    /// `intrinsic`
    Intrinsic,
}

/// Which tag names exist.
#[derive(Debug, Clone, PartialEq)]
pub struct TagNamesRequest {
    /// Only these; all scopes without. Intrinsics are the caller's own list, not the engine's.
    pub scope: Option<TagScope>,
    /// Blocks that overlap this time; all without.
    pub range: Option<TimeRange>,
    /// Only tags of spans that meet this (the filter of a possibly unfinished query).
    pub filter: Option<FieldExpr>,
    /// Most names for each scope.
    pub limit_per_scope: usize,
    /// Most bytes of names for each scope.
    pub max_bytes: u64,
}

/// Which values a field has.
#[derive(Debug, Clone, PartialEq)]
pub struct TagValuesRequest {
    /// The field.
    pub field: Field,
    /// Blocks that overlap this time; all without.
    pub range: Option<TimeRange>,
    /// Only values of spans that meet this.
    pub filter: Option<FieldExpr>,
    /// Most values.
    pub limit: usize,
    /// Most bytes of values.
    pub max_bytes: u64,
}
