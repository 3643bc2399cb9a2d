//! What many spans say together: services and their operations, the durations of everything as a picture.
//!
//! Each question is one [`Pass`](super::pass::Pass) over the spans of a window of time, reading no more columns than it needs. Answers
//! are plain data that serialises in the form of our API; it knows nothing of HTTP.

pub(crate) mod baseline;
pub(crate) mod breakdown;
mod examples;
pub(crate) mod heatmap;
pub(crate) mod learned;
pub(crate) mod map;
pub(crate) mod services;
pub(crate) mod tail;
mod traffic;
pub(crate) mod why;
mod window;

use spanlake_traceql::{Field, FieldExpr, FieldOp, Intrinsic, Pipeline, Query, Scope, SpansetExpr, Stage, Value};

pub use baseline::{Baselines, OperationBaseline, OperationBaselineRequest, OperationKey};
pub use breakdown::{
    AttributeValue, Beside, Breakdown, BreakdownRequest, Difference, MAX_DIFFERENCES, NumberShift, Quantiles,
    Selection, ValuePair,
};
pub use examples::Representative;
pub use heatmap::{Heatmap, HeatmapCell, HeatmapRequest, MAX_ROWS};
pub use map::{Connection, MapEdge, MapNode, MapRequest, NodeKind, ServiceMap};
pub use services::{
    Neighbour, Operation, OperationTraffic, Operations, OperationsRequest, Service, Services, ServicesRequest,
};
pub use tail::TailedSpan;
pub use traffic::{Traffic, TrafficSeries};
pub use why::{Why, WhyCondition, WhyRequest, Widen};
pub use window::{UnixNanos, Window};

/// Most columns of a window.
pub const MAX_COLUMNS: usize = 500;
/// Status of a span that failed, as OTLP numbers it.
const ERROR: i64 = 2;
/// Kinds that take requests, as OTLP numbers them: SERVER and CONSUMER.
const TAKES_REQUESTS: [i64; 2] = [2, 5];

/// Every span.
pub fn every_span() -> Query {
    query_of(None)
}

/// The spans of a service.
pub(crate) fn spans_of_service(service: &str) -> Query {
    let name = FieldExpr::Field(resource("service.name"));
    let literal = FieldExpr::Literal(Value::String(service.to_owned()));
    query_of(Some(FieldExpr::Binary { op: FieldOp::Eq, left: Box::new(name), right: Box::new(literal) }))
}

fn query_of(filter: Option<FieldExpr>) -> Query {
    let stages = vec![Stage::Spansets(SpansetExpr::Filter(filter))];
    Query { pipeline: Pipeline { stages }, metrics: None, hints: Vec::new() }
}

fn resource(key: &str) -> Field {
    Field::Attribute { of_parent: false, scope: Scope::Resource, key: key.to_owned() }
}

fn intrinsic(intrinsic: Intrinsic) -> Field {
    Field::Intrinsic(intrinsic)
}

/// Joins what two bounds said.
fn partial(first: Option<String>, second: Option<String>) -> Option<String> {
    match (first, second) {
        (Some(first), Some(second)) => Some(format!("{first} {second}")),
        (first, second) => first.or(second),
    }
}
