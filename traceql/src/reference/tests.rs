//! A trace by hand for each rule, and short ways to build spans and queries.

mod metrics;
mod random;
mod spansets;
mod structure;
mod values;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Status;

use super::*;
use crate::ast::*;
use crate::value::Value;

const SECOND: u64 = 1_000_000_000;

/// Span `id` below `parent` (0: none), begun at `start` seconds, one second long, of service `s`.
fn span(id: u8, parent: u8, start: u64) -> StoredSpan {
    let id_of = |id: u8| vec![0, 0, 0, 0, 0, 0, 0, id];
    let mut trace_id = vec![0; 16];
    trace_id[15] = 0xab;
    StoredSpan {
        resource: Resource { attributes: vec![pair("service.name", text("s"))], ..Resource::default() },
        scope: None,
        span: Span {
            trace_id,
            span_id: id_of(id),
            parent_span_id: if parent == 0 { vec![] } else { id_of(parent) },
            name: format!("span {id}"),
            start_time_unix_nano: start * SECOND,
            end_time_unix_nano: (start + 1) * SECOND,
            ..Span::default()
        },
    }
}

impl StoredSpan {
    fn with(mut self, key: &str, value: Wire) -> Self {
        self.span.attributes.push(pair(key, value));
        self
    }

    fn kind(mut self, kind: i32) -> Self {
        self.span.kind = kind;
        self
    }

    fn change(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn of_trace(mut self, last: u8) -> Self {
        self.span.trace_id[15] = last;
        self
    }

    fn failed(mut self) -> Self {
        self.span.status = Some(Status { code: 2, message: "boom".to_owned() });
        self
    }
}

fn pair(key: &str, value: Wire) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(text: &str) -> Wire {
    Wire::StringValue(text.to_owned())
}

fn array(values: Vec<Wire>) -> Wire {
    let values = values.into_iter().map(|value| AnyValue { value: Some(value) }).collect();
    Wire::ArrayValue(ArrayValue { values })
}

fn field(scope: Scope, key: &str) -> Field {
    Field::Attribute { of_parent: false, scope, key: key.to_owned() }
}

/// `.key`
fn attr(key: &str) -> FieldExpr {
    FieldExpr::Field(field(Scope::Any, key))
}

fn intrinsic(intrinsic: Intrinsic) -> FieldExpr {
    FieldExpr::Field(Field::Intrinsic(intrinsic))
}

fn lit(value: Value) -> FieldExpr {
    FieldExpr::Literal(value)
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn bin(left: FieldExpr, op: FieldOp, right: FieldExpr) -> FieldExpr {
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

fn not(inner: FieldExpr) -> FieldExpr {
    FieldExpr::Not(Box::new(inner))
}

fn filter(condition: FieldExpr) -> SpansetExpr {
    SpansetExpr::Filter(Some(condition))
}

fn query(stages: Vec<Stage>) -> Query {
    Query { pipeline: Pipeline { stages }, metrics: None, hints: vec![] }
}

/// The ids (last bytes) of the spans of each spanset of each trace.
fn found(stored: &[StoredSpan], stages: Vec<Stage>) -> Vec<Vec<u8>> {
    let traces = search(stored, &query(stages), None, usize::MAX);
    let ids = |set: SpanSet| set.spans.into_iter().map(|span| span.span_id[7]).collect();
    traces.into_iter().flat_map(|trace| trace.span_sets).map(ids).collect()
}

/// The ids of the spans for which a condition is true.
fn matching(stored: &[StoredSpan], condition: FieldExpr) -> Vec<u8> {
    found(stored, vec![Stage::Spansets(filter(condition))]).into_iter().flatten().collect()
}
