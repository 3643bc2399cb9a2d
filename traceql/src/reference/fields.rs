//! What a span has under a field, by the rules of "Values". Knows no operators but padding of ids.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

use super::operators::{float, scalars};
use super::trace::{Trace, duration_nanos, names_no_parent};
use crate::ast::{Field, Intrinsic, Scope};
use crate::value::{Kind, Status, Value};

/// The one value of a field.
pub(super) fn one_value(trace: &Trace, at: usize, field: &Field) -> Value {
    values(trace, at, field).into_iter().next().unwrap_or(Value::Nil)
}

/// All scalars of a field.
pub(super) fn all_scalars(trace: &Trace, at: usize, field: &Field) -> Vec<Value> {
    values(trace, at, field).into_iter().flat_map(scalars).collect()
}

/// The one value of a field that series are told apart by: `.x` is of span or resource only.
pub(super) fn label_value(trace: &Trace, at: usize, field: &Field) -> Value {
    let Field::Attribute { of_parent, scope: Scope::Any, key } = field else { return one_value(trace, at, field) };
    let scoped = |scope| Field::Attribute { of_parent: *of_parent, scope, key: key.clone() };
    match one_value(trace, at, &scoped(Scope::Span)) {
        Value::Nil => one_value(trace, at, &scoped(Scope::Resource)),
        value => value,
    }
}

/// Values that are not nil: one, but of events and links one for each that has any.
fn values(trace: &Trace, at: usize, field: &Field) -> Vec<Value> {
    match field {
        Field::Intrinsic(intrinsic) => intrinsic_values(trace, at, *intrinsic),
        Field::Attribute { of_parent: false, scope, key } => attribute_values(trace, at, *scope, key),
        Field::Attribute { of_parent: true, scope, key } => match trace.parents[at] {
            Some(parent) => attribute_values(trace, parent, *scope, key),
            None => vec![],
        },
    }
}

fn attribute_values(trace: &Trace, at: usize, scope: Scope, key: &str) -> Vec<Value> {
    let stored = &trace.spans[at];
    let places: Vec<&[KeyValue]> = match scope {
        Scope::Any => {
            for scope in [Scope::Span, Scope::Resource, Scope::Event, Scope::Link, Scope::Instrumentation] {
                let found = attribute_values(trace, at, scope, key);
                if !found.is_empty() {
                    return found;
                }
            }
            vec![]
        }
        Scope::Span => vec![&stored.span.attributes],
        Scope::Resource => vec![&stored.resource.attributes],
        Scope::Event => stored.span.events.iter().map(|event| event.attributes.as_slice()).collect(),
        Scope::Link => stored.span.links.iter().map(|link| link.attributes.as_slice()).collect(),
        Scope::Instrumentation => stored.scope.iter().map(|scope| scope.attributes.as_slice()).collect(),
    };
    let mut found = Vec::new();
    for attributes in places {
        let named = attributes.iter().filter(|attribute| attribute.key == key);
        found.extend(named.map(|attribute| from_wire(attribute.value.as_ref())).find(|value| *value != Value::Nil));
    }
    found
}

/// An attribute's value.
pub(super) fn from_wire(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Wire::ArrayValue(array)) => {
            let elements: Vec<Value> = array.values.iter().map(scalar_from_wire).filter(|v| *v != Value::Nil).collect();
            if elements.is_empty() { Value::Nil } else { Value::Array(elements) }
        }
        Some(_) => value.map_or(Value::Nil, scalar_from_wire),
        None => Value::Nil,
    }
}

fn scalar_from_wire(value: &AnyValue) -> Value {
    match &value.value {
        Some(Wire::StringValue(text)) => Value::String(text.clone()),
        Some(Wire::BoolValue(flag)) => Value::Bool(*flag),
        Some(Wire::IntValue(number)) => Value::Int(*number),
        Some(Wire::DoubleValue(number)) => float(*number),
        _ => Value::Nil,
    }
}

fn intrinsic_values(trace: &Trace, at: usize, intrinsic: Intrinsic) -> Vec<Value> {
    let stored = &trace.spans[at];
    let span = &stored.span;
    let text = |text: &str| vec![Value::String(text.to_owned())];
    let maybe_text = |text: Option<String>| text.map(Value::String).into_iter().collect();
    let unless_empty = |text: String| maybe_text(Some(text).filter(|text| !text.is_empty()));
    let scope = || stored.scope.clone().unwrap_or_default();
    match intrinsic {
        Intrinsic::Duration => vec![Value::Duration(duration_nanos(span))],
        Intrinsic::Name => text(&span.name),
        Intrinsic::Status => {
            vec![Value::Status(Status::from_number(span.status.as_ref().map_or(0, |status| status.code)))]
        }
        Intrinsic::StatusMessage => text(span.status.as_ref().map_or("", |status| &status.message)),
        Intrinsic::Kind => vec![Value::Kind(Kind::from_number(span.kind))],
        Intrinsic::SpanId => text(&hex(&span.span_id)),
        Intrinsic::ParentId if names_no_parent(span) => text(""),
        Intrinsic::ParentId => text(&hex(&span.parent_span_id)),
        Intrinsic::ChildCount => vec![Value::Int(trace.child_count(at))],
        Intrinsic::RootName => maybe_text(trace.root_name()),
        Intrinsic::RootServiceName => maybe_text(trace.root_service()),
        Intrinsic::TraceDuration => {
            let nanos = trace.end_unix_nanos - trace.start_unix_nanos;
            vec![Value::Duration(i64::try_from(nanos).unwrap_or(i64::MAX))]
        }
        Intrinsic::TraceId => text(&hex(&trace.id)),
        Intrinsic::NestedSetLeft => vec![Value::Int(trace.nested_left[at])],
        Intrinsic::NestedSetRight => vec![Value::Int(trace.nested_right[at])],
        Intrinsic::NestedSetParent => {
            vec![Value::Int(trace.parents[at].map_or(-1, |parent| trace.nested_left[parent]))]
        }
        Intrinsic::EventName => span.events.iter().map(|event| Value::String(event.name.clone())).collect(),
        Intrinsic::EventTimeSinceStart => {
            let since = |time: u64| Value::Duration(time.wrapping_sub(span.start_time_unix_nano) as i64);
            span.events.iter().map(|event| since(event.time_unix_nano)).collect()
        }
        Intrinsic::LinkTraceId => span.links.iter().map(|link| Value::String(hex(&link.trace_id))).collect(),
        Intrinsic::LinkSpanId => span.links.iter().map(|link| Value::String(hex(&link.span_id))).collect(),
        Intrinsic::InstrumentationName => unless_empty(scope().name),
        Intrinsic::InstrumentationVersion => unless_empty(scope().version),
    }
}

/// How many digits the ids of a field have, if they are ids.
pub(super) fn id_digits(field: &Field) -> Option<usize> {
    match field {
        Field::Intrinsic(Intrinsic::TraceId | Intrinsic::LinkTraceId) => Some(32),
        Field::Intrinsic(Intrinsic::SpanId | Intrinsic::ParentId | Intrinsic::LinkSpanId) => Some(16),
        _ => None,
    }
}

/// A literal beside an id field, as ids are written.
pub(super) fn as_id(text: &str, digits: usize) -> String {
    let is_id = !text.is_empty() && text.len() <= digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { format!("{:0>digits$}", text.to_ascii_lowercase()) } else { text.to_owned() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
