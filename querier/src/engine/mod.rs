//! The TraceQL engine: checked queries over whole traces of all blocks.
//!
//! Data goes one way: a query becomes a plan (`plan`, `compile`), indexes rule out row groups (`prune`), what is left is scanned for
//! traces that may match (`scan`), those are loaded whole (`batch`, `tree`), decided (`eval`, `pipeline`), and answered (`search`,
//! `metrics`). It knows blocks and the language, not HTTP.

mod answer;
mod batch;
mod column;
mod compile;
mod eval;
pub(crate) mod explain;
pub(crate) mod explore;
pub(crate) mod metrics;
mod pass;
mod pipeline;
mod plan;
mod prune;
mod reading;
mod request;
mod scalar;
mod scan;
pub(crate) mod search;
mod selection;
pub(crate) mod tags;
mod tree;

pub use answer::{
    Exemplar, FoundSpan, MetricsAnswer, SearchEvent, Series, SpanSet, Stats, TagNames, TagValues, TraceqlAnswer,
};
pub use request::{MetricsRequest, TagNamesRequest, TagScope, TagValuesRequest, TraceqlSearch};
