//! Writes protobuf JSON the way Tempo's marshaller (gogo `jsonpb`) does: camelCase names, zero fields left out,
//! 64-bit integers as strings, bytes as base64, enums as names, not-a-number as a string.
//!
//! This is not OTLP/JSON, whose ids are hexadecimal and whose enums are numbers.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// `{"<key>":[...]}` over resource spans; `{}` when there are none. The key is `batches` in v1, `resourceSpans` in v2.
pub(crate) fn write_trace(out: &mut Vec<u8>, key: &'static str, resource_spans: &[ResourceSpans]) {
    let mut object = Object::open(out);
    object.list(key, resource_spans, write_resource_spans);
    object.close();
}

/// One JSON object being written: names its fields and puts the commas.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(crate) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    pub(crate) fn close(self) {
        self.out.push(b'}');
    }

    /// Writes the name of a field and gives the buffer for its value.
    pub(crate) fn field(&mut self, name: &'static str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(crate) fn string(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            write_string(self.field(name), value);
        }
    }

    pub(crate) fn u64(&mut self, name: &'static str, value: u64) {
        if value != 0 {
            write_quoted(self.field(name), value);
        }
    }

    pub(crate) fn u32(&mut self, name: &'static str, value: u32) {
        if value != 0 {
            write_display(self.field(name), value);
        }
    }

    pub(crate) fn i64(&mut self, name: &'static str, value: i64) {
        if value != 0 {
            write_quoted(self.field(name), value);
        }
    }

    pub(crate) fn f64(&mut self, name: &'static str, value: f64) {
        if value != 0.0 {
            write_double(self.field(name), value);
        }
    }

    fn bytes(&mut self, name: &'static str, value: &[u8]) {
        if !value.is_empty() {
            write_bytes(self.field(name), value);
        }
    }

    /// An enum by name; a number that has none is written as it is.
    fn enumeration(&mut self, name: &'static str, number: i32, text: Option<&'static str>) {
        match text {
            _ if number == 0 => {}
            Some(text) => write_string(self.field(name), text),
            None => write_display(self.field(name), number),
        }
    }

    pub(crate) fn list<T>(&mut self, name: &'static str, values: &[T], write: fn(&mut Vec<u8>, &T)) {
        if !values.is_empty() {
            self.whole_list(name, values, write);
        }
    }

    /// A list that is there also when it is empty, as `[]`.
    pub(crate) fn whole_list<T>(&mut self, name: &'static str, values: &[T], write: fn(&mut Vec<u8>, &T)) {
        write_list(self.field(name), values, write);
    }

    /// A map from texts; nothing when it is empty.
    pub(crate) fn map<T>(&mut self, name: &'static str, values: &BTreeMap<String, T>, write: fn(&mut Vec<u8>, &T)) {
        if values.is_empty() {
            return;
        }
        let out = self.field(name);
        out.push(b'{');
        for (i, (key, value)) in values.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_string(out, key);
            out.push(b':');
            write(out, value);
        }
        out.push(b'}');
    }

    pub(crate) fn message<T>(&mut self, name: &'static str, value: Option<&T>, write: fn(&mut Vec<u8>, &T)) {
        if let Some(value) = value {
            write(self.field(name), value);
        }
    }
}

fn write_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    use std::io::Write as _;
    write!(out, "{value}").expect("writing to a Vec cannot fail");
}

fn write_quoted(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    out.push(b'"');
    write_display(out, value);
    out.push(b'"');
}

pub(crate) fn write_string(out: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(out, value).expect("a string written to a Vec cannot fail");
}

fn write_bytes(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    let start = out.len();
    let len = base64::encoded_len(value.len(), true).expect("a value in memory is far below the limit of base64");
    out.resize(start + len, 0);
    STANDARD.encode_slice(value, &mut out[start..]).expect("the buffer has exactly the length needed");
    out.push(b'"');
}

fn write_double(out: &mut Vec<u8>, value: f64) {
    // Whole numbers below 2^53 are written as Go does, without a fraction; the rest in the shortest form that reads back.
    if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    } else if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        write_display(out, value);
    } else {
        serde_json::to_writer(out, &value).expect("a number written to a Vec cannot fail");
    }
}

fn write_list<T>(out: &mut Vec<u8>, values: &[T], write: fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, value);
    }
    out.push(b']');
}

fn write_resource_spans(out: &mut Vec<u8>, value: &ResourceSpans) {
    let mut object = Object::open(out);
    object.message("resource", value.resource.as_ref(), write_resource);
    object.list("scopeSpans", &value.scope_spans, write_scope_spans);
    object.string("schemaUrl", &value.schema_url);
    object.close();
}

fn write_resource(out: &mut Vec<u8>, value: &Resource) {
    let mut object = Object::open(out);
    object.list("attributes", &value.attributes, write_key_value);
    object.u32("droppedAttributesCount", value.dropped_attributes_count);
    object.list("entityRefs", &value.entity_refs, write_entity_ref);
    object.close();
}

fn write_entity_ref(out: &mut Vec<u8>, value: &EntityRef) {
    let write_text = |out: &mut Vec<u8>, value: &String| write_string(out, value);
    let mut object = Object::open(out);
    object.string("schemaUrl", &value.schema_url);
    object.string("type", &value.r#type);
    object.list("idKeys", &value.id_keys, write_text);
    object.list("descriptionKeys", &value.description_keys, write_text);
    object.close();
}

fn write_scope_spans(out: &mut Vec<u8>, value: &ScopeSpans) {
    let mut object = Object::open(out);
    object.message("scope", value.scope.as_ref(), write_scope);
    object.list("spans", &value.spans, write_span);
    object.string("schemaUrl", &value.schema_url);
    object.close();
}

fn write_scope(out: &mut Vec<u8>, value: &InstrumentationScope) {
    let mut object = Object::open(out);
    object.string("name", &value.name);
    object.string("version", &value.version);
    object.list("attributes", &value.attributes, write_key_value);
    object.u32("droppedAttributesCount", value.dropped_attributes_count);
    object.close();
}

fn write_span(out: &mut Vec<u8>, value: &Span) {
    let mut object = Object::open(out);
    object.bytes("traceId", &value.trace_id);
    object.bytes("spanId", &value.span_id);
    object.string("traceState", &value.trace_state);
    object.bytes("parentSpanId", &value.parent_span_id);
    object.u32("flags", value.flags);
    object.string("name", &value.name);
    object.enumeration("kind", value.kind, SpanKind::try_from(value.kind).ok().map(|kind| kind.as_str_name()));
    object.u64("startTimeUnixNano", value.start_time_unix_nano);
    object.u64("endTimeUnixNano", value.end_time_unix_nano);
    object.list("attributes", &value.attributes, write_key_value);
    object.u32("droppedAttributesCount", value.dropped_attributes_count);
    object.list("events", &value.events, write_event);
    object.u32("droppedEventsCount", value.dropped_events_count);
    object.list("links", &value.links, write_link);
    object.u32("droppedLinksCount", value.dropped_links_count);
    object.message("status", value.status.as_ref(), write_status);
    object.close();
}

fn write_event(out: &mut Vec<u8>, value: &Event) {
    let mut object = Object::open(out);
    object.u64("timeUnixNano", value.time_unix_nano);
    object.string("name", &value.name);
    object.list("attributes", &value.attributes, write_key_value);
    object.u32("droppedAttributesCount", value.dropped_attributes_count);
    object.close();
}

fn write_link(out: &mut Vec<u8>, value: &Link) {
    let mut object = Object::open(out);
    object.bytes("traceId", &value.trace_id);
    object.bytes("spanId", &value.span_id);
    object.string("traceState", &value.trace_state);
    object.list("attributes", &value.attributes, write_key_value);
    object.u32("droppedAttributesCount", value.dropped_attributes_count);
    object.u32("flags", value.flags);
    object.close();
}

fn write_status(out: &mut Vec<u8>, value: &Status) {
    let mut object = Object::open(out);
    object.string("message", &value.message);
    object.enumeration("code", value.code, StatusCode::try_from(value.code).ok().map(|code| code.as_str_name()));
    object.close();
}

pub(crate) fn write_key_value(out: &mut Vec<u8>, value: &KeyValue) {
    let mut object = Object::open(out);
    object.string("key", &value.key);
    object.message("value", value.value.as_ref(), write_any_value);
    object.close();
}

/// The set member is written even when it is zero: that it is set is what it says.
fn write_any_value(out: &mut Vec<u8>, value: &AnyValue) {
    let mut object = Object::open(out);
    match &value.value {
        None | Some(Value::StringValueStrindex(_)) => {}
        Some(Value::StringValue(text)) => write_string(object.field("stringValue"), text),
        Some(Value::BoolValue(truth)) => write_display(object.field("boolValue"), truth),
        Some(Value::IntValue(number)) => write_quoted(object.field("intValue"), number),
        Some(Value::DoubleValue(number)) => write_double(object.field("doubleValue"), *number),
        Some(Value::BytesValue(bytes)) => write_bytes(object.field("bytesValue"), bytes),
        Some(Value::ArrayValue(array)) => {
            let mut inner = Object::open(object.field("arrayValue"));
            inner.list("values", &array.values, write_any_value);
            inner.close();
        }
        Some(Value::KvlistValue(list)) => {
            let mut inner = Object::open(object.field("kvlistValue"));
            inner.list("values", &list.values, write_key_value);
            inner.close();
        }
    }
    object.close();
}

#[cfg(test)]
#[path = "jsonpb/tests.rs"]
mod tests;
