//! OTLP/JSON in the specification's own form: hexadecimal ids, 64-bit numbers as texts, enums as numbers, absent fields left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::{Map, Value as Json, json};
use spanlake_otlp::MAX_DEPTH;

use crate::otlp_json::hex;

/// Spans as OTLP/JSON lines, the file format of the OpenTelemetry Collector: a line for each `ResourceSpans`, and one line
/// that says so when there are none.
///
/// [`parse`](crate::parse) gives exactly the same messages back, but for what no receiver keeps: spans without ids, and values
/// nested deeper than [`MAX_DEPTH`].
pub fn write_otlp_json_lines(spans: &[ResourceSpans]) -> Vec<u8> {
    let mut lines = Vec::new();
    for message in spans {
        let line = json!({ "resourceSpans": [resource_spans(message)] });
        serde_json::to_writer(&mut lines, &line).expect("texts and numbers can be written to memory");
        lines.push(b'\n');
    }
    if lines.is_empty() {
        lines.extend_from_slice(b"{\"resourceSpans\":[]}\n");
    }
    lines
}

/// A value as JSON that a reader would write: texts and numbers as they are, arrays and maps nested.
pub(crate) fn plain_json(value: &AnyValue) -> String {
    plain(value, 1).to_string()
}

/// Recursion is bounded: below [`MAX_DEPTH`] nothing is written.
fn plain(value: &AnyValue, depth: u32) -> Json {
    match &value.value {
        Some(Value::StringValue(text)) => json!(text),
        Some(Value::BoolValue(flag)) => json!(flag),
        Some(Value::IntValue(number)) => json!(number),
        Some(Value::DoubleValue(number)) => double(*number),
        Some(Value::BytesValue(bytes)) => json!(STANDARD.encode(bytes)),
        Some(Value::ArrayValue(array)) if depth < MAX_DEPTH => {
            array.values.iter().map(|value| plain(value, depth + 1)).collect()
        }
        Some(Value::KvlistValue(list)) if depth < MAX_DEPTH => {
            let pair = |pair: &KeyValue| {
                (pair.key.clone(), pair.value.as_ref().map_or(Json::Null, |value| plain(value, depth + 1)))
            };
            Json::Object(list.values.iter().map(pair).collect())
        }
        _ => Json::Null,
    }
}

/// An object that leaves out what is absent.
#[derive(Default)]
struct Object(Map<String, Json>);

impl Object {
    fn put(&mut self, key: &str, value: Json) {
        self.0.insert(key.to_owned(), value);
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.put(key, text.into());
        }
    }

    fn id(&mut self, key: &str, id: &[u8]) {
        if !id.is_empty() {
            self.put(key, hex(id).into());
        }
    }

    fn count(&mut self, key: &str, count: u32) {
        if count != 0 {
            self.put(key, count.into());
        }
    }

    fn list<T>(&mut self, key: &str, list: &[T], of: impl Fn(&T) -> Json) {
        if !list.is_empty() {
            self.put(key, list.iter().map(of).collect());
        }
    }

    fn attributes(&mut self, attributes: &[KeyValue]) {
        self.list("attributes", attributes, |attribute| key_value(attribute, 1));
    }
}

fn resource_spans(message: &ResourceSpans) -> Json {
    let mut object = Object::default();
    if let Some(inner) = &message.resource {
        object.put("resource", resource(inner));
    }
    object.list("scopeSpans", &message.scope_spans, scope_spans);
    object.text("schemaUrl", &message.schema_url);
    Json::Object(object.0)
}

fn resource(resource: &Resource) -> Json {
    let mut object = Object::default();
    object.attributes(&resource.attributes);
    object.count("droppedAttributesCount", resource.dropped_attributes_count);
    object.list("entityRefs", &resource.entity_refs, entity_ref);
    Json::Object(object.0)
}

fn entity_ref(entity: &EntityRef) -> Json {
    let mut object = Object::default();
    object.text("schemaUrl", &entity.schema_url);
    object.text("type", &entity.r#type);
    object.list("idKeys", &entity.id_keys, |key| json!(key));
    object.list("descriptionKeys", &entity.description_keys, |key| json!(key));
    Json::Object(object.0)
}

fn scope_spans(message: &ScopeSpans) -> Json {
    let mut object = Object::default();
    if let Some(inner) = &message.scope {
        object.put("scope", scope(inner));
    }
    object.list("spans", &message.spans, span);
    object.text("schemaUrl", &message.schema_url);
    Json::Object(object.0)
}

fn scope(scope: &InstrumentationScope) -> Json {
    let mut object = Object::default();
    object.text("name", &scope.name);
    object.text("version", &scope.version);
    object.attributes(&scope.attributes);
    object.count("droppedAttributesCount", scope.dropped_attributes_count);
    Json::Object(object.0)
}

fn span(span: &Span) -> Json {
    let mut object = Object::default();
    object.id("traceId", &span.trace_id);
    object.id("spanId", &span.span_id);
    object.text("traceState", &span.trace_state);
    object.id("parentSpanId", &span.parent_span_id);
    object.count("flags", span.flags);
    object.text("name", &span.name);
    object.put("kind", span.kind.into());
    object.put("startTimeUnixNano", span.start_time_unix_nano.to_string().into());
    object.put("endTimeUnixNano", span.end_time_unix_nano.to_string().into());
    object.attributes(&span.attributes);
    object.count("droppedAttributesCount", span.dropped_attributes_count);
    object.list("events", &span.events, event);
    object.count("droppedEventsCount", span.dropped_events_count);
    object.list("links", &span.links, link);
    object.count("droppedLinksCount", span.dropped_links_count);
    if let Some(inner) = &span.status {
        object.put("status", status(inner));
    }
    Json::Object(object.0)
}

fn status(status: &Status) -> Json {
    let mut object = Object::default();
    object.text("message", &status.message);
    if status.code != 0 {
        object.put("code", status.code.into());
    }
    Json::Object(object.0)
}

fn event(event: &Event) -> Json {
    let mut object = Object::default();
    object.put("timeUnixNano", event.time_unix_nano.to_string().into());
    object.text("name", &event.name);
    object.attributes(&event.attributes);
    object.count("droppedAttributesCount", event.dropped_attributes_count);
    Json::Object(object.0)
}

fn link(link: &Link) -> Json {
    let mut object = Object::default();
    object.id("traceId", &link.trace_id);
    object.id("spanId", &link.span_id);
    object.text("traceState", &link.trace_state);
    object.attributes(&link.attributes);
    object.count("droppedAttributesCount", link.dropped_attributes_count);
    object.count("flags", link.flags);
    Json::Object(object.0)
}

fn key_value(pair: &KeyValue, depth: u32) -> Json {
    let mut object = Object::default();
    object.put("key", pair.key.as_str().into());
    if let Some(inner) = &pair.value {
        object.put("value", value(inner, depth));
    }
    Json::Object(object.0)
}

/// Recursion is bounded: below [`MAX_DEPTH`] a value is empty.
fn value(value: &AnyValue, depth: u32) -> Json {
    match &value.value {
        Some(Value::StringValue(text)) => json!({ "stringValue": text }),
        Some(Value::BoolValue(flag)) => json!({ "boolValue": flag }),
        Some(Value::IntValue(number)) => json!({ "intValue": number.to_string() }),
        Some(Value::DoubleValue(number)) => json!({ "doubleValue": double(*number) }),
        Some(Value::BytesValue(bytes)) => json!({ "bytesValue": STANDARD.encode(bytes) }),
        Some(Value::ArrayValue(array)) if depth <= MAX_DEPTH => {
            let values: Vec<Json> = array.values.iter().map(|element| self::value(element, depth + 1)).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Some(Value::KvlistValue(list)) if depth <= MAX_DEPTH => {
            let values: Vec<Json> = list.values.iter().map(|pair| key_value(pair, depth + 1)).collect();
            json!({ "kvlistValue": { "values": values } })
        }
        _ => json!({}),
    }
}

/// A number, or the names that proto3 JSON has for what JSON cannot write.
fn double(number: f64) -> Json {
    if number.is_finite() {
        return json!(number);
    }
    match number {
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        _ => json!("NaN"),
    }
}
