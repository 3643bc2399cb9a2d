//! The querier: traces by id, by tags and by TraceQL, over Grafana Tempo's API and our own.
//!
//! It reads objects through the catalog and nothing else: no ingester is asked, no state outlives a request but caches of
//! immutable objects. Every answer is about whole traces, merged over all blocks that hold a piece of them.
//!
//! [`Querier`] is the engine; [`router`] puts it on HTTP, [`grpc_router`] its gRPC service on a port of its own. The crate knows nothing of how spans arrive or blocks are written.

mod admission;
mod config;
mod engine;
mod error;
mod fetch;
mod fields;
mod grpc;
mod http;
mod kept;
mod merge;
mod metrics;
mod querier;
mod search;
mod sql;
mod trace;

pub use config::{Config, DiagnosisConfig};
pub use engine::explore::{
    AttributeValue, Baselines, Beside, Breakdown, BreakdownRequest, Connection, Difference, Heatmap, HeatmapCell,
    HeatmapRequest, MapEdge, MapNode, MapRequest, Neighbour, NodeKind, NumberShift, Operation, OperationBaseline,
    OperationBaselineRequest, OperationKey, OperationTraffic, Operations, OperationsRequest, Quantiles, Representative,
    Selection, Service, ServiceMap, Services, ServicesRequest, TailedSpan, Traffic, TrafficSeries, UnixNanos,
    ValuePair, Why, WhyCondition, WhyRequest, Widen, Window, every_span,
};
pub use engine::{
    Exemplar, FoundSpan, MetricsAnswer, MetricsRequest, SearchEvent, Series, SpanSet, Stats, TagNames, TagNamesRequest,
    TagScope, TagValues, TagValuesRequest, TraceqlAnswer, TraceqlSearch,
};
pub use error::Error;
pub use grpc::grpc_router;
pub use http::own::status;
pub use http::router;
pub use querier::Querier;
pub use search::{FoundTrace, SearchAnswer, SearchRequest, ServiceSpans, Tag, TagError};
pub use trace::TraceAnswer;
