//! Traces from decoded OTLP messages: the one place that knows OTLP's types.

use std::borrow::Cow;
use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use spanlake_model::{SpanId, TraceId};

use crate::attributes::{Attributes, Exception, Value};
use crate::skeleton::{Kind, SkeletonBuilder, SpanRow, Status};
use crate::trace::Trace;

/// Resource attributes that name whose clock timed a span, the nearest to a clock first.
const HOST_KEYS: [&str; 5] = ["host.name", "k8s.node.name", "k8s.pod.name", "container.id", "service.instance.id"];

/// One trace of some OTLP messages.
#[derive(Debug, Clone)]
pub struct OtlpTrace<'a> {
    /// The trace.
    pub trace: Trace,
    /// Its attributes, in place.
    pub attributes: OtlpAttributes<'a>,
}

/// The spans of a trace with their resources, by row.
#[derive(Debug, Clone, Default)]
pub struct OtlpAttributes<'a> {
    spans: Vec<(&'a Span, &'a [KeyValue])>,
}

impl<'a> OtlpAttributes<'a> {
    /// The span of a row.
    pub fn span(&self, row: u32) -> Option<&'a Span> {
        self.spans.get(row as usize).map(|(span, _)| *span)
    }

    /// The attributes of a row's resource.
    pub fn resource(&self, row: u32) -> &'a [KeyValue] {
        self.spans.get(row as usize).map_or(&[], |(_, resource)| *resource)
    }
}

/// The traces of decoded messages, by id. Spans without a valid trace or span id belong to none and are left out; no receiver
/// would have taken them.
pub fn from_otlp(messages: &[ResourceSpans]) -> Vec<OtlpTrace<'_>> {
    let mut by_trace: BTreeMap<TraceId, Vec<(&Span, &[KeyValue])>> = BTreeMap::new();
    for message in messages {
        let resource = message.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        for span in message.scope_spans.iter().flat_map(|scope| &scope.spans) {
            if let (Some(trace_id), Some(_)) = (TraceId::from_wire(&span.trace_id), SpanId::from_wire(&span.span_id)) {
                by_trace.entry(trace_id).or_default().push((span, resource));
            }
        }
    }
    by_trace.into_iter().map(|(trace_id, spans)| build(trace_id, spans)).collect()
}

fn build<'a>(trace_id: TraceId, spans: Vec<(&'a Span, &'a [KeyValue])>) -> OtlpTrace<'a> {
    let mut builder = SkeletonBuilder::with_capacity(trace_id, spans.len());
    for (span, resource) in &spans {
        builder.push(row(span, resource));
    }
    OtlpTrace { trace: Trace::new(builder.finish()), attributes: OtlpAttributes { spans } }
}

/// The service that a resource's attributes name; empty when they name none.
pub fn service_name(resource: &[KeyValue]) -> &str {
    text(resource, "service.name").unwrap_or("")
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match find(attributes, key) {
        Some(Wire::StringValue(text)) => Some(text.as_str()),
        _ => None,
    }
}

fn row<'a>(span: &'a Span, resource: &'a [KeyValue]) -> SpanRow<'a> {
    SpanRow {
        span_id: SpanId::from_wire(&span.span_id).unwrap_or_default(),
        parent_span_id: SpanId::from_wire(&span.parent_span_id),
        start_unix_nanos: span.start_time_unix_nano,
        end_unix_nanos: span.end_time_unix_nano,
        kind: Kind::from_otlp(span.kind),
        status: Status::from_otlp(span.status.as_ref().map_or(0, |status| status.code)),
        service: service_name(resource),
        name: &span.name,
        host: HOST_KEYS.into_iter().find_map(|key| text(resource, key)).unwrap_or(""),
        flags: span.flags,
    }
}

fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Wire> {
    let found = attributes.iter().find(|attribute| attribute.key == key && attribute.value.is_some());
    found?.value.as_ref()?.value.as_ref()
}

/// Scalars as they are; of bytes, arrays and lists there is no value to compare.
fn value(wire: &Wire) -> Option<Value<'_>> {
    match wire {
        Wire::StringValue(text) => Some(Value::Text(Cow::Borrowed(text))),
        Wire::IntValue(number) => Some(Value::Int(*number)),
        Wire::DoubleValue(number) => Some(Value::Double(*number)),
        Wire::BoolValue(flag) => Some(Value::Bool(*flag)),
        // Some instrumentations write one statement as an array of one.
        Wire::ArrayValue(array) => match &array.values[..] {
            [AnyValue { value: Some(Wire::StringValue(text)) }] => Some(Value::Text(Cow::Borrowed(text))),
            _ => None,
        },
        _ => None,
    }
}

impl Attributes for OtlpAttributes<'_> {
    fn attribute(&self, row: u32, key: &str) -> Option<Value<'_>> {
        let (span, resource) = self.spans.get(row as usize)?;
        find(&span.attributes, key).or_else(|| find(resource, key)).and_then(value)
    }

    fn exception(&self, row: u32) -> Option<Exception<'_>> {
        let (span, _) = self.spans.get(row as usize)?;
        let event = span.events.iter().find(|event| event.name == "exception")?;
        let text = |key: &str| Cow::Borrowed(text(&event.attributes, key).unwrap_or(""));
        Some(Exception {
            kind: text("exception.type"),
            message: text("exception.message"),
            stacktrace: text("exception.stacktrace"),
        })
    }

    fn status_message(&self, row: u32) -> Option<Cow<'_, str>> {
        let (span, _) = self.spans.get(row as usize)?;
        let message = &span.status.as_ref()?.message;
        (!message.is_empty()).then_some(Cow::Borrowed(message.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::span::Event;
    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Status as WireStatus};

    use super::*;

    fn pair(key: &str, value: Wire) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
    }

    fn text(key: &str, value: &str) -> KeyValue {
        pair(key, Wire::StringValue(value.to_owned()))
    }

    #[test]
    fn spans_resources_and_events() {
        let span = |trace: u8, id: u8, parent: &[u8]| Span {
            trace_id: vec![trace; 16],
            span_id: vec![id; 8],
            parent_span_id: parent.to_vec(),
            name: format!("op {id}"),
            kind: 2,
            start_time_unix_nano: 10,
            end_time_unix_nano: 20,
            flags: 0x301,
            attributes: vec![pair("http.response.status_code", Wire::IntValue(503)), text("host.name", "own")],
            events: vec![Event {
                name: "exception".to_owned(),
                attributes: vec![text("exception.type", "E")],
                ..Event::default()
            }],
            status: Some(WireStatus { message: "down".to_owned(), code: 2 }),
            ..Span::default()
        };
        let attributes = vec![text("service.name", "shop"), text("host.name", "h1")];
        let spans = vec![span(2, 1, &[]), span(1, 2, &[1; 8]), span(1, 1, &[]), span(0, 9, &[]), span(3, 0, &[])];
        let messages = vec![ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }];
        let traces = from_otlp(&messages);
        assert_eq!(traces.len(), 2, "spans without ids are in no trace");
        let OtlpTrace { trace, attributes } = &traces[0];
        let skeleton = &trace.skeleton;
        assert_eq!((skeleton.trace_id(), skeleton.span_count()), (TraceId([1; 16]), 2));
        assert_eq!((skeleton.label(1).as_str(), skeleton.host(1), skeleton.flags(1)), ("shop op 2", "h1", 0x301));
        assert_eq!(trace.tree.parent(1), Some(0));
        assert!(skeleton.is_error(0) && skeleton.kind(0) == Kind::Server);
        let row = skeleton.row(1);
        assert_eq!(attributes.span(row).map(|span| span.name.as_str()), Some("op 2"));
        assert_eq!(attributes.attribute(row, "http.response.status_code"), Some(Value::Int(503)));
        assert_eq!(attributes.attribute(row, "host.name"), Some(Value::Text("own".into())));
        assert_eq!(attributes.attribute(row, "service.name"), Some(Value::Text("shop".into())));
        assert_eq!(attributes.exception(row).map(|exception| exception.kind.into_owned()).as_deref(), Some("E"));
        assert_eq!(attributes.status_message(row).as_deref(), Some("down"));
        assert_eq!(attributes.attribute(99, "x"), None);
    }
}
