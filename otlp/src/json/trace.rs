//! The messages of OTLP traces and where each JSON field goes.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde::de::{IgnoredAny, MapAccess};

use super::message::{Fields, List, One};
use super::scalar::{Base64, Bool, Double, Enum, Hex, Text, Texts, Whole};
use crate::limits::MAX_DEPTH;

/// Makes [`Fields::read`] from a table: keys, the seed that reads the value, and the place it goes to.
macro_rules! fields {
    ($message:ty, |$this:ident, $depth:pat_param|
        $($($key:literal)|+ => $seed:expr => |$value:pat_param| $store:expr;)*
    ) => {
        impl Fields for $message {
            const NAME: &'static str = stringify!($message);

            fn read<'de, A>(&mut self, key: &[u8], from: &mut A, $depth: u32) -> Result<bool, A::Error>
            where
                A: MapAccess<'de>,
            {
                let $this = self;
                match std::str::from_utf8(key).unwrap_or_default() {
                    $($($key)|+ => {
                        let $value = from.next_value_seed($seed)?;
                        $store;
                    })*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
}

fn id(value: Option<Hex>) -> Vec<u8> {
    value.map(|Hex(bytes)| bytes).unwrap_or_default()
}

fn kind_number(name: &str) -> Option<i32> {
    SpanKind::from_str_name(name).map(|kind| kind as i32)
}

fn status_code_number(name: &str) -> Option<i32> {
    StatusCode::from_str_name(name).map(|code| code as i32)
}

fields! { ExportTraceServiceRequest, |this, depth|
    "resourceSpans" | "resource_spans" => List::new("resourceSpans", depth) => |list| this.resource_spans = list;
}

fields! { ResourceSpans, |this, depth|
    "resource" => One::new(depth) => |resource| this.resource = resource;
    "scopeSpans" | "scope_spans" => List::new("scopeSpans", depth) => |list| this.scope_spans = list;
    "schemaUrl" | "schema_url" => Text::new("schemaUrl") => |text| this.schema_url = text.unwrap_or_default();
}

fields! { ScopeSpans, |this, depth|
    "scope" => One::new(depth) => |scope| this.scope = scope;
    "spans" => List::new("spans", depth) => |list| this.spans = list;
    "schemaUrl" | "schema_url" => Text::new("schemaUrl") => |text| this.schema_url = text.unwrap_or_default();
}

fields! { Resource, |this, depth|
    "attributes" => List::new("attributes", depth) => |list| this.attributes = list;
    "droppedAttributesCount" | "dropped_attributes_count" => Whole::new("droppedAttributesCount") =>
        |count| this.dropped_attributes_count = count.unwrap_or_default();
    "entityRefs" | "entity_refs" => List::new("entityRefs", depth) => |list| this.entity_refs = list;
}

fields! { InstrumentationScope, |this, depth|
    "name" => Text::new("name") => |text| this.name = text.unwrap_or_default();
    "version" => Text::new("version") => |text| this.version = text.unwrap_or_default();
    "attributes" => List::new("attributes", depth) => |list| this.attributes = list;
    "droppedAttributesCount" | "dropped_attributes_count" => Whole::new("droppedAttributesCount") =>
        |count| this.dropped_attributes_count = count.unwrap_or_default();
}

fields! { Span, |this, depth|
    "traceId" | "trace_id" => Text::new("traceId") => |hex| this.trace_id = id(hex);
    "spanId" | "span_id" => Text::new("spanId") => |hex| this.span_id = id(hex);
    "traceState" | "trace_state" => Text::new("traceState") => |text| this.trace_state = text.unwrap_or_default();
    "parentSpanId" | "parent_span_id" => Text::new("parentSpanId") => |hex| this.parent_span_id = id(hex);
    "flags" => Whole::new("flags") => |flags| this.flags = flags.unwrap_or_default();
    "name" => Text::new("name") => |text| this.name = text.unwrap_or_default();
    "kind" => Enum { field: "kind", number_of: kind_number } => |kind| this.kind = kind.unwrap_or_default();
    "startTimeUnixNano" | "start_time_unix_nano" => Whole::new("startTimeUnixNano") =>
        |time| this.start_time_unix_nano = time.unwrap_or_default();
    "endTimeUnixNano" | "end_time_unix_nano" => Whole::new("endTimeUnixNano") =>
        |time| this.end_time_unix_nano = time.unwrap_or_default();
    "attributes" => List::new("attributes", depth) => |list| this.attributes = list;
    "droppedAttributesCount" | "dropped_attributes_count" => Whole::new("droppedAttributesCount") =>
        |count| this.dropped_attributes_count = count.unwrap_or_default();
    "events" => List::new("events", depth) => |list| this.events = list;
    "droppedEventsCount" | "dropped_events_count" => Whole::new("droppedEventsCount") =>
        |count| this.dropped_events_count = count.unwrap_or_default();
    "links" => List::new("links", depth) => |list| this.links = list;
    "droppedLinksCount" | "dropped_links_count" => Whole::new("droppedLinksCount") =>
        |count| this.dropped_links_count = count.unwrap_or_default();
    "status" => One::new(depth) => |status| this.status = status;
}

fields! { Event, |this, depth|
    "timeUnixNano" | "time_unix_nano" => Whole::new("timeUnixNano") =>
        |time| this.time_unix_nano = time.unwrap_or_default();
    "name" => Text::new("name") => |text| this.name = text.unwrap_or_default();
    "attributes" => List::new("attributes", depth) => |list| this.attributes = list;
    "droppedAttributesCount" | "dropped_attributes_count" => Whole::new("droppedAttributesCount") =>
        |count| this.dropped_attributes_count = count.unwrap_or_default();
}

fields! { Link, |this, depth|
    "traceId" | "trace_id" => Text::new("traceId") => |hex| this.trace_id = id(hex);
    "spanId" | "span_id" => Text::new("spanId") => |hex| this.span_id = id(hex);
    "traceState" | "trace_state" => Text::new("traceState") => |text| this.trace_state = text.unwrap_or_default();
    "attributes" => List::new("attributes", depth) => |list| this.attributes = list;
    "droppedAttributesCount" | "dropped_attributes_count" => Whole::new("droppedAttributesCount") =>
        |count| this.dropped_attributes_count = count.unwrap_or_default();
    "flags" => Whole::new("flags") => |flags| this.flags = flags.unwrap_or_default();
}

fields! { Status, |this, _|
    "message" => Text::new("message") => |text| this.message = text.unwrap_or_default();
    "code" => Enum { field: "code", number_of: status_code_number } => |code| this.code = code.unwrap_or_default();
}

fields! { EntityRef, |this, _|
    "schemaUrl" | "schema_url" => Text::new("schemaUrl") => |text| this.schema_url = text.unwrap_or_default();
    "type" => Text::new("type") => |text| this.r#type = text.unwrap_or_default();
    "idKeys" | "id_keys" => Texts("idKeys") => |list| this.id_keys = list;
    "descriptionKeys" | "description_keys" => Texts("descriptionKeys") => |list| this.description_keys = list;
}

fields! { KeyValue, |this, depth|
    "key" => Text::new("key") => |text| this.key = text.unwrap_or_default();
    "value" => One::new(depth) => |value| this.value = value;
}

fields! { ArrayValue, |this, depth|
    "values" => List::with_null_element("values", depth, AnyValue::default) => |list| this.values = list;
}

fields! { KeyValueList, |this, depth|
    "values" => List::new("values", depth) => |list| this.values = list;
}

impl Fields for AnyValue {
    const NAME: &'static str = "AnyValue";

    fn read<'de, A: MapAccess<'de>>(&mut self, key: &[u8], from: &mut A, depth: u32) -> Result<bool, A::Error> {
        let value = match key {
            b"stringValue" | b"string_value" => from.next_value_seed(Text::new("stringValue"))?.map(Value::StringValue),
            b"boolValue" | b"bool_value" => from.next_value_seed(Bool)?.map(Value::BoolValue),
            b"intValue" | b"int_value" => from.next_value_seed(Whole::new("intValue"))?.map(Value::IntValue),
            b"doubleValue" | b"double_value" => from.next_value_seed(Double)?.map(Value::DoubleValue),
            b"bytesValue" | b"bytes_value" => {
                from.next_value_seed(Text::new("bytesValue"))?.map(|Base64(bytes)| Value::BytesValue(bytes))
            }
            // One level past the deepest that `index` accepts nothing is read any more: the span is refused anyway.
            b"arrayValue" | b"array_value" | b"kvlistValue" | b"kvlist_value" if depth >= MAX_DEPTH => {
                from.next_value::<IgnoredAny>()?;
                None
            }
            b"arrayValue" | b"array_value" => from.next_value_seed(One::new(depth + 1))?.map(Value::ArrayValue),
            b"kvlistValue" | b"kvlist_value" => from.next_value_seed(One::new(depth + 1))?.map(Value::KvlistValue),
            _ => return Ok(false),
        };
        if value.is_some() {
            self.value = value;
        }
        Ok(true)
    }
}
