//! OTLP spans as Jaeger's JSON: what has no field there becomes the tag that OpenTelemetry gave it.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use serde::Serialize;
use serde_json::json;

use super::{JaegerSpan, Log, Process, REF_TYPE, Reference, Tag};
use crate::attribute::value_of;
use crate::otlp_json::hex;
use crate::write_otlp;

/// Largest whole number that JavaScript holds exactly.
const MAX_SAFE_INT: i64 = (1 << 53) - 1;

#[derive(Serialize)]
struct Envelope {
    data: Vec<Trace>,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<()>,
}

#[derive(Serialize)]
struct Trace {
    #[serde(rename = "traceID")]
    trace_id: String,
    spans: Vec<JaegerSpan>,
    processes: BTreeMap<String, Process>,
    warnings: Option<()>,
}

/// Spans as Jaeger's JSON, `{"data":[..]}` with a trace for each trace id, which Jaeger's page opens as a file.
///
/// Jaeger has microseconds, so nanoseconds are cut; arrays and maps become their JSON text; schema URLs, dropped counts and the
/// attributes of scopes and links are lost. Everything else comes back from [`parse`](crate::parse).
pub fn write_jaeger_json(spans: &[ResourceSpans]) -> Vec<u8> {
    let mut traces: Vec<Trace> = Vec::new();
    let mut at_of: HashMap<&[u8], usize> = HashMap::new();
    for (number, message) in spans.iter().enumerate() {
        let attributes = message.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        for scope in &message.scope_spans {
            for span in &scope.spans {
                let at = *at_of.entry(&span.trace_id).or_insert_with(|| {
                    traces.push(Trace {
                        trace_id: hex(&span.trace_id),
                        spans: Vec::new(),
                        processes: BTreeMap::new(),
                        warnings: None,
                    });
                    traces.len() - 1
                });
                let process_id = format!("p{}", number + 1);
                traces[at].processes.entry(process_id.clone()).or_insert_with(|| process(attributes));
                traces[at].spans.push(convert(span, scope.scope.as_ref(), process_id));
            }
        }
    }
    let envelope = Envelope { total: traces.len(), data: traces, limit: 0, offset: 0, errors: None };
    serde_json::to_vec(&envelope).expect("texts and numbers can be written to memory")
}

fn process(attributes: &[KeyValue]) -> Process {
    let service_name = match value_of(attributes, "service.name") {
        Some(Value::StringValue(name)) => name.clone(),
        _ => String::new(),
    };
    let is_name = |tag: &Tag| tag.key == "service.name" && tag.kind == "string";
    Process { service_name, tags: attributes.iter().filter_map(tag).filter(|tag| !is_name(tag)).collect() }
}

fn convert(span: &Span, scope: Option<&InstrumentationScope>, process_id: String) -> JaegerSpan {
    let mut tags: Vec<Tag> = span.attributes.iter().filter_map(tag).collect();
    if let Some(word) = kind(span.kind) {
        tags.push(string("span.kind", word));
    }
    if let Some(status) = &span.status {
        match status.code {
            1 => tags.push(string("otel.status_code", "OK")),
            2 => {
                tags.push(string("otel.status_code", "ERROR"));
                // Jaeger's page looks for it; a text of the span's own says the same.
                if value_of(&span.attributes, "error").is_none() {
                    tags.push(Tag { key: "error".to_owned(), kind: "bool".to_owned(), value: json!(true) });
                }
            }
            _ => {}
        }
        if !status.message.is_empty() {
            tags.push(string("otel.status_description", &status.message));
        }
    }
    for (key, value) in [
        ("w3c.tracestate", span.trace_state.as_str()),
        ("otel.scope.name", scope.map_or("", |scope| &scope.name)),
        ("otel.scope.version", scope.map_or("", |scope| &scope.version)),
    ] {
        if !value.is_empty() {
            tags.push(string(key, value));
        }
    }
    JaegerSpan {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: String::new(),
        flags: span.flags & 1,
        operation_name: span.name.clone(),
        references: references(span),
        start_time: json!(span.start_time_unix_nano / 1_000),
        duration: json!(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1_000),
        tags,
        logs: span.events.iter().map(log).collect(),
        process_id,
        process: None,
    }
}

fn references(span: &Span) -> Vec<Reference> {
    let parent = (span.parent_span_id.len() == 8 && span.parent_span_id != [0; 8]).then(|| Reference {
        ref_type: "CHILD_OF".to_owned(),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.parent_span_id),
    });
    let valid = span.links.iter().filter(|link| link.trace_id.len() == 16 && link.span_id.len() == 8);
    let valid = valid.filter(|link| link.trace_id != [0; 16] && link.span_id != [0; 8]);
    let links = valid.map(|link| Reference {
        ref_type: match value_of(&link.attributes, REF_TYPE) {
            Some(Value::StringValue(word)) if word == "child_of" => "CHILD_OF".to_owned(),
            _ => "FOLLOWS_FROM".to_owned(),
        },
        trace_id: hex(&link.trace_id),
        span_id: hex(&link.span_id),
    });
    parent.into_iter().chain(links).collect()
}

fn log(event: &Event) -> Log {
    let name = (!event.name.is_empty()).then(|| string("event", &event.name));
    let fields = name.into_iter().chain(event.attributes.iter().filter_map(tag)).collect();
    Log { timestamp: json!(event.time_unix_nano / 1_000), fields }
}

fn kind(kind: i32) -> Option<&'static str> {
    Some(match SpanKind::try_from(kind).ok()? {
        SpanKind::Unspecified => return None,
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    })
}

fn string(key: &str, value: &str) -> Tag {
    Tag { key: key.to_owned(), kind: "string".to_owned(), value: json!(value) }
}

fn tag(attribute: &KeyValue) -> Option<Tag> {
    let value = attribute.value.as_ref()?;
    let (kind, value) = match value.value.as_ref()? {
        Value::StringValue(text) => ("string", json!(text)),
        Value::BoolValue(flag) => ("bool", json!(flag)),
        Value::IntValue(number) if (-MAX_SAFE_INT..=MAX_SAFE_INT).contains(number) => ("int64", json!(number)),
        Value::IntValue(number) => ("int64", json!(number.to_string())),
        Value::DoubleValue(number) if number.is_finite() => ("float64", json!(number)),
        Value::DoubleValue(number) => ("float64", json!(number.to_string())),
        Value::BytesValue(bytes) => ("binary", json!(STANDARD.encode(bytes))),
        Value::ArrayValue(_) | Value::KvlistValue(_) => ("string", json!(write_otlp::plain_json(value))),
        Value::StringValueStrindex(_) => return None,
    };
    Some(Tag { key: attribute.key.clone(), kind: kind.to_owned(), value })
}
