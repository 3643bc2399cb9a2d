//! Zipkin's JSON of version 2: how a span becomes OTLP's. Tags that OpenTelemetry's exporters write for what Zipkin has no field
//! for become fields again, and the two halves of a span that client and server share become two spans.

mod shared;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use serde::Deserialize;
use spanlake_model::{SpanId, TraceId};

use crate::Parsed;
use crate::attribute::{Groups, from_json, kind, pair, take_tags, take_text, text};
use crate::document::Mistake;
use crate::lenient::{Element, micros_as_nanos, or_default};

/// Tags that say where a span ran rather than what it did.
const RESOURCE_PREFIXES: [&str; 9] =
    ["cloud.", "container.", "deployment.", "host.", "k8s.", "os.", "process.", "service.", "telemetry."];

/// An array of spans, or as the query API gives traces: an array of arrays of spans.
#[derive(Deserialize)]
struct File(Vec<OneOrMany>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Element<ZipkinSpan>>),
    One(Box<Element<ZipkinSpan>>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ZipkinSpan {
    trace_id: String,
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    parent_id: String,
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    kind: String,
    /// Microseconds.
    #[serde(default)]
    timestamp: serde_json::Value,
    /// Microseconds.
    #[serde(default)]
    duration: serde_json::Value,
    #[serde(default, deserialize_with = "or_default")]
    local_endpoint: Endpoint,
    #[serde(default, deserialize_with = "or_default")]
    remote_endpoint: Endpoint,
    #[serde(default, deserialize_with = "or_default")]
    annotations: Vec<Annotation>,
    #[serde(default, deserialize_with = "or_default")]
    tags: BTreeMap<String, serde_json::Value>,
    #[serde(default, deserialize_with = "or_default")]
    debug: bool,
    #[serde(default, deserialize_with = "or_default")]
    shared: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(default, deserialize_with = "or_default")]
    service_name: String,
    #[serde(default, deserialize_with = "or_default")]
    ipv4: String,
    #[serde(default, deserialize_with = "or_default")]
    ipv6: String,
    #[serde(default, deserialize_with = "or_default")]
    port: u16,
}

#[derive(Debug, Deserialize)]
struct Annotation {
    /// Microseconds.
    #[serde(default)]
    timestamp: serde_json::Value,
    #[serde(default, deserialize_with = "or_default")]
    value: String,
}

/// A span with what surrounds it.
struct Converted {
    span: Span,
    service: String,
    resource: Vec<KeyValue>,
    scope: Option<InstrumentationScope>,
    shared: bool,
}

pub(crate) fn read(parsed: &mut Parsed, document: &[u8], line: Option<usize>) -> Result<(), Mistake> {
    let File(file) = serde_json::from_slice(document)?;
    let mut converted = Vec::new();
    let elements = file.into_iter().flat_map(|element| match element {
        OneOrMany::Many(spans) => spans,
        OneOrMany::One(span) => vec![*span],
    });
    for Element(span) in elements {
        let index = parsed.next_index();
        match span.and_then(convert) {
            Ok(span) => converted.push(span),
            Err(message) => parsed.reject_span(line, index, message),
        }
    }
    shared::separate(&mut converted);
    let mut groups = Groups::default();
    for Converted { span, resource, scope, .. } in converted {
        groups.add(&format!("{resource:?}"), || resource, scope, span);
    }
    parsed.accept(groups.into_messages());
    Ok(())
}

fn convert(span: ZipkinSpan) -> Result<Converted, String> {
    let trace_id = TraceId::parse_hex(&span.trace_id).map_err(|error| format!("traceId: {error}"))?;
    let trace_id = TraceId::from_wire(&trace_id.0).ok_or("its trace id is zero")?;
    let id = SpanId::parse_hex(&span.id).map_err(|error| format!("id: {error}"))?;
    let id = SpanId::from_wire(&id.0).ok_or("its span id is zero")?;
    let parent = match span.parent_id.as_str() {
        "" => None,
        hex => Some(SpanId::parse_hex(hex).map_err(|error| format!("parentId: {error}"))?),
    };
    // Some senders name the span itself as the parent of a root.
    let parent = parent.filter(|parent| *parent != id && parent.0 != [0; 8]);
    let events: Vec<Event> = span.annotations.into_iter().map(event).collect();
    let first_event = events.iter().map(|event| event.time_unix_nano).filter(|time| *time > 0).min();
    let start = micros_as_nanos(&span.timestamp).or(first_event).unwrap_or(0);
    let duration = micros_as_nanos(&span.duration).unwrap_or(0);

    let tags = span.tags.into_iter().filter_map(|(key, value)| Some(pair(&key, from_json(value)?)));
    let (mut resource, mut attributes): (Vec<_>, Vec<_>) =
        tags.partition(|tag| RESOURCE_PREFIXES.iter().any(|prefix| tag.key.starts_with(prefix)));
    let service = span.local_endpoint.service_name.clone();
    if !service.is_empty() {
        resource.retain(|attribute| attribute.key != "service.name");
        resource.insert(0, text("service.name", &service));
    }
    let error = take_error(&mut attributes);
    let tags = take_tags(&mut attributes, error);
    if !span.remote_endpoint.service_name.is_empty() {
        attributes.push(text("peer.service", &span.remote_endpoint.service_name));
    }
    address(&mut attributes, "network.peer", &span.remote_endpoint);
    address(&mut attributes, "network.local", &span.local_endpoint);
    for (key, flag) in [("zipkin.debug", span.debug), ("zipkin.shared", span.shared)] {
        if flag {
            attributes.push(pair(key, Value::BoolValue(true)));
        }
    }
    let converted = Span {
        trace_id: trace_id.0.to_vec(),
        span_id: id.0.to_vec(),
        parent_span_id: parent.map(|id| id.0.to_vec()).unwrap_or_default(),
        trace_state: tags.trace_state,
        name: span.name,
        kind: kind(&span.kind).or(tags.kind).map_or(0, |kind| kind as i32),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(duration),
        attributes,
        events,
        status: tags.status,
        ..Span::default()
    };
    Ok(Converted { span: converted, service, resource, scope: tags.scope, shared: span.shared })
}

/// What the tag `error` says: that there was one, in words where it has some. Bridges from other formats write `false`.
fn take_error(attributes: &mut Vec<KeyValue>) -> Option<String> {
    let words = take_text(attributes, "error")?;
    match words.as_str() {
        "false" => {
            attributes.push(text("error", &words));
            None
        }
        "true" | "" => Some(String::new()),
        _ => {
            attributes.push(text("error", &words));
            Some(words)
        }
    }
}

fn address(attributes: &mut Vec<KeyValue>, side: &str, endpoint: &Endpoint) {
    let address = if endpoint.ipv4.is_empty() { &endpoint.ipv6 } else { &endpoint.ipv4 };
    if !address.is_empty() {
        attributes.push(text(&format!("{side}.address"), address));
    }
    if endpoint.port != 0 {
        attributes.push(pair(&format!("{side}.port"), Value::IntValue(endpoint.port.into())));
    }
}

/// An annotation as an event. OpenTelemetry's exporters put attributes behind the name: as `{"name":{..}}` or `name|{..}|0`.
fn event(annotation: Annotation) -> Event {
    let time_unix_nano = micros_as_nanos(&annotation.timestamp).unwrap_or(0);
    let (name, attributes, dropped_attributes_count) = match with_attributes(&annotation.value) {
        Some((name, object, dropped)) => {
            let pairs = object.into_iter().filter_map(|(key, value)| Some(pair(&key, from_json(value)?)));
            (name, pairs.collect(), dropped)
        }
        None => (annotation.value, Vec::new(), 0),
    };
    Event { time_unix_nano, name, attributes, dropped_attributes_count }
}

type Object = serde_json::Map<String, serde_json::Value>;

fn with_attributes(text: &str) -> Option<(String, Object, u32)> {
    use serde_json::Value as Json;
    if text.starts_with('{') {
        let Json::Object(outer) = serde_json::from_str(text).ok()? else { return None };
        let mut pairs = outer.into_iter();
        return match (pairs.next(), pairs.next()) {
            (Some((name, Json::Object(attributes))), None) => Some((name, attributes, 0)),
            _ => None,
        };
    }
    let (name, rest) = text.split_once('|')?;
    let (object, dropped) = rest.rsplit_once('|')?;
    match serde_json::from_str(object).ok()? {
        Json::Object(attributes) => Some((name.to_owned(), attributes, dropped.parse().ok()?)),
        _ => None,
    }
}
