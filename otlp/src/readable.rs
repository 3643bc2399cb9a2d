//! From indexed bytes to the readable prost types, for tests, tools and cold paths. Whatever is hot reads the fields in
//! place instead.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use crate::batch::{Batch, Group};
use crate::fields::{
    EventField, LinkField, ResourceField, ScopeField, SpanField, event_fields, link_fields, resource_fields,
    scope_fields, span_fields,
};
use crate::value::{KeyValueRef, ValueRef};

/// The accepted spans as a request: one `ResourceSpans` with one `ScopeSpans` for each group. Copies everything.
pub fn request(batch: &Batch) -> ExportTraceServiceRequest {
    let mut resource_spans: Vec<ResourceSpans> = batch.groups.iter().map(|group| surroundings(batch, group)).collect();
    for entry in &batch.spans {
        if let Some(group) = resource_spans.get_mut(entry.group as usize) {
            group.scope_spans[0].spans.push(span(batch.span_bytes(entry)));
        }
    }
    ExportTraceServiceRequest { resource_spans }
}

fn surroundings(batch: &Batch, group: &Group) -> ResourceSpans {
    let scope = ScopeSpans {
        scope: (group.scope != (0..0)).then(|| scope(batch.scope_bytes(group))),
        spans: Vec::new(),
        schema_url: batch.scope_schema_url(group).to_owned(),
    };
    ResourceSpans {
        resource: (group.resource != (0..0)).then(|| resource(batch.resource_bytes(group))),
        scope_spans: vec![scope],
        schema_url: batch.resource_schema_url(group).to_owned(),
    }
}

/// An encoded `Span`, decoded.
pub fn span(encoded: &[u8]) -> Span {
    let mut span = Span::default();
    for field in span_fields(encoded) {
        match field {
            SpanField::TraceId(id) => span.trace_id = id.to_vec(),
            SpanField::SpanId(id) => span.span_id = id.to_vec(),
            SpanField::TraceState(text) => text.clone_into(&mut span.trace_state),
            SpanField::ParentSpanId(id) => span.parent_span_id = id.to_vec(),
            SpanField::Name(text) => text.clone_into(&mut span.name),
            SpanField::Kind(kind) => span.kind = kind,
            SpanField::StartUnixNanos(time) => span.start_time_unix_nano = time,
            SpanField::EndUnixNanos(time) => span.end_time_unix_nano = time,
            SpanField::Attribute(attribute) => span.attributes.push(key_value(attribute)),
            SpanField::DroppedAttributesCount(count) => span.dropped_attributes_count = count,
            SpanField::Event(encoded) => span.events.push(event(encoded)),
            SpanField::DroppedEventsCount(count) => span.dropped_events_count = count,
            SpanField::Link(encoded) => span.links.push(link(encoded)),
            SpanField::DroppedLinksCount(count) => span.dropped_links_count = count,
            SpanField::StatusMessage(text) => {
                text.clone_into(&mut span.status.get_or_insert_with(Status::default).message);
            }
            SpanField::StatusCode(code) => span.status.get_or_insert_with(Status::default).code = code,
            SpanField::Flags(flags) => span.flags = flags,
        }
    }
    span
}

/// An encoded `Span.Event`, decoded.
pub fn event(encoded: &[u8]) -> Event {
    let mut event = Event::default();
    for field in event_fields(encoded) {
        match field {
            EventField::TimeUnixNanos(time) => event.time_unix_nano = time,
            EventField::Name(text) => text.clone_into(&mut event.name),
            EventField::Attribute(attribute) => event.attributes.push(key_value(attribute)),
            EventField::DroppedAttributesCount(count) => event.dropped_attributes_count = count,
        }
    }
    event
}

/// An encoded `Span.Link`, decoded.
pub fn link(encoded: &[u8]) -> Link {
    let mut link = Link::default();
    for field in link_fields(encoded) {
        match field {
            LinkField::TraceId(id) => link.trace_id = id.to_vec(),
            LinkField::SpanId(id) => link.span_id = id.to_vec(),
            LinkField::TraceState(text) => text.clone_into(&mut link.trace_state),
            LinkField::Attribute(attribute) => link.attributes.push(key_value(attribute)),
            LinkField::DroppedAttributesCount(count) => link.dropped_attributes_count = count,
            LinkField::Flags(flags) => link.flags = flags,
        }
    }
    link
}

/// An encoded `Resource`, decoded.
pub fn resource(encoded: &[u8]) -> Resource {
    let mut resource = Resource::default();
    for field in resource_fields(encoded) {
        match field {
            ResourceField::Attribute(attribute) => resource.attributes.push(key_value(attribute)),
            ResourceField::DroppedAttributesCount(count) => resource.dropped_attributes_count = count,
            ResourceField::EntityRef(encoded) => {
                resource.entity_refs.push(EntityRef::decode(encoded).unwrap_or_default());
            }
        }
    }
    resource
}

/// An encoded `InstrumentationScope`, decoded.
pub fn scope(encoded: &[u8]) -> InstrumentationScope {
    let mut scope = InstrumentationScope::default();
    for field in scope_fields(encoded) {
        match field {
            ScopeField::Name(text) => text.clone_into(&mut scope.name),
            ScopeField::Version(text) => text.clone_into(&mut scope.version),
            ScopeField::Attribute(attribute) => scope.attributes.push(key_value(attribute)),
            ScopeField::DroppedAttributesCount(count) => scope.dropped_attributes_count = count,
        }
    }
    scope
}

/// An attribute, decoded. It always has a value, which is empty where the wire has none.
pub fn key_value(attribute: KeyValueRef<'_>) -> KeyValue {
    KeyValue { key: attribute.key.to_owned(), value: Some(value(attribute.value)), key_strindex: 0 }
}

/// An attribute value, decoded.
pub fn value(value: ValueRef<'_>) -> AnyValue {
    let value = match value {
        ValueRef::Empty => None,
        ValueRef::String(text) => Some(Value::StringValue(text.to_owned())),
        ValueRef::Bool(flag) => Some(Value::BoolValue(flag)),
        ValueRef::Int(number) => Some(Value::IntValue(number)),
        ValueRef::Double(number) => Some(Value::DoubleValue(number)),
        ValueRef::Bytes(bytes) => Some(Value::BytesValue(bytes.to_vec())),
        ValueRef::Array(array) => {
            Some(Value::ArrayValue(ArrayValue { values: array.iter().map(self::value).collect() }))
        }
        ValueRef::KvList(list) => {
            Some(Value::KvlistValue(KeyValueList { values: list.iter().map(key_value).collect() }))
        }
    };
    AnyValue { value }
}
