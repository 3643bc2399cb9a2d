//! What the engine answers. It knows the language's values, not how they are written on the wire.

use std::sync::Arc;

use spanlake_table::Held;
use spanlake_traceql::Value;

use super::request::TagScope;
use crate::error::Error;
use crate::search::FoundTrace;

/// What a query cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Traces looked at; one that lies in several blocks counts once per block.
    pub inspected_traces: u64,
    /// Spans of row groups looked into.
    pub inspected_spans: u64,
    /// Bytes of objects looked into.
    pub inspected_bytes: u64,
    /// Blocks that may have to be looked into.
    pub block_count: u64,
    /// Blocks done with, looked into or not.
    pub blocks_done: u64,
    /// Size of the blocks that may have to be looked into.
    pub block_bytes: u64,
}

/// One span of a spanset.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundSpan {
    /// Its id.
    pub span_id: [u8; 8],
    /// Its name, when the query touched it.
    pub name: Option<String>,
    /// Its start.
    pub start_unix_nanos: u64,
    /// Its duration; zero for one that ends before it starts.
    pub duration_nanos: u64,
    /// What conditions and `select()` named and the span has, in the query's order, under Tempo's keys: attributes by their bare
    /// name, intrinsics by their canonical one.
    pub attributes: Vec<(String, Value)>,
}

/// Spans of one trace that match together.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanSet {
    /// The first of them by start, then span id; at most as many as asked for.
    pub spans: Vec<FoundSpan>,
    /// How many match.
    pub matched: u32,
    /// What `by()` and aggregates said: `by(resource.service.name)`, `count()`.
    pub attributes: Vec<(String, Value)>,
}

/// What a TraceQL search found.
#[derive(Debug, Clone)]
pub struct TraceqlAnswer {
    /// Newest start first, ties by trace id; each with its spansets.
    pub traces: Vec<FoundTrace>,
    /// What it cost.
    pub stats: Stats,
    /// The bound at which the search stopped early; the traces so far are right, but there may be more.
    pub stopped: Option<Error>,
    /// The memory that the query is charged for the traces.
    pub(crate) held: Arc<Vec<Held>>,
}

/// What a running search says. Traces come final, in the order of the answer, each once.
#[derive(Debug, Clone)]
pub enum SearchEvent {
    /// How far it is.
    Progress(Stats),
    /// More traces.
    Traces(Vec<FoundTrace>),
}

/// One example behind a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// `trace:id` and `span:id`, then as the series.
    pub labels: Vec<(String, Value)>,
    /// Its value, in the unit of the samples.
    pub value: f64,
    /// When the span started.
    pub timestamp_ms: i64,
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Vec<(String, Value)>,
    /// Milliseconds of each bucket's right edge, and its value; ascending. One sample for an instant query.
    pub samples: Vec<(i64, f64)>,
    /// Examples.
    pub exemplars: Vec<Exemplar>,
}

/// What a metrics query found.
#[derive(Debug, Clone)]
pub struct MetricsAnswer {
    /// By labels.
    pub series: Vec<Series>,
    /// What it cost.
    pub stats: Stats,
    /// Why there is not all of it, as a sentence: the bound it stopped at.
    pub partial: Option<String>,
}

/// Names of tags, and what finding them cost.
#[derive(Debug, Clone, PartialEq)]
pub struct TagNames {
    /// Scopes that have any, each with its names in order.
    pub scopes: Vec<(TagScope, Vec<String>)>,
    /// What it cost.
    pub stats: Stats,
}

/// Values of a field, and what finding them cost.
#[derive(Debug, Clone, PartialEq)]
pub struct TagValues {
    /// Distinct, ordered by type and value.
    pub values: Vec<Value>,
    /// What it cost.
    pub stats: Stats,
}
