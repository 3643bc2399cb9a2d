//! Jaeger's JSON, as its query API and the download of its page give it: the messages, and how a span becomes OTLP's. Tags
//! that OpenTelemetry writes for what Jaeger has no field for become fields again.

#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use serde::{Deserialize, Serialize};
use spanlake_model::{SpanId, TraceId};

use crate::Parsed;
use crate::attribute::{Groups, from_json, take_tags, take_text, text};
use crate::document::Mistake;
use crate::lenient::{Element, micros_as_nanos, or_default};
pub use write::write_jaeger_json;

/// The attribute of a link that says how Jaeger's reference was called.
const REF_TYPE: &str = "opentracing.ref_type";

/// `{"data":[..]}`, or a trace by itself.
#[derive(Deserialize)]
struct Document {
    data: Option<Vec<Trace>>,
    #[serde(rename = "traceID", default, deserialize_with = "or_default")]
    trace_id: String,
    #[serde(default, deserialize_with = "or_default")]
    spans: Vec<Element<JaegerSpan>>,
    #[serde(default, deserialize_with = "or_default")]
    processes: BTreeMap<String, Process>,
}

#[derive(Deserialize)]
struct Trace {
    #[serde(rename = "traceID", default, deserialize_with = "or_default")]
    trace_id: String,
    #[serde(default, deserialize_with = "or_default")]
    spans: Vec<Element<JaegerSpan>>,
    #[serde(default, deserialize_with = "or_default")]
    processes: BTreeMap<String, Process>,
}

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    #[serde(default, deserialize_with = "or_default")]
    service_name: String,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<Tag>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JaegerSpan {
    #[serde(rename = "traceID", default, deserialize_with = "or_default")]
    trace_id: String,
    #[serde(rename = "spanID", default, deserialize_with = "or_default")]
    span_id: String,
    /// How old versions name the parent.
    #[serde(
        rename = "parentSpanID",
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    parent_span_id: String,
    #[serde(default, deserialize_with = "or_default")]
    flags: u32,
    #[serde(default, deserialize_with = "or_default")]
    operation_name: String,
    #[serde(default, deserialize_with = "or_default")]
    references: Vec<Reference>,
    /// Microseconds.
    #[serde(default)]
    start_time: serde_json::Value,
    /// Microseconds.
    #[serde(default)]
    duration: serde_json::Value,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<Tag>,
    #[serde(default, deserialize_with = "or_default")]
    logs: Vec<Log>,
    #[serde(rename = "processID", default, deserialize_with = "or_default")]
    process_id: String,
    /// In place of a process id, in what Jaeger stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process: Option<Process>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    #[serde(default, deserialize_with = "or_default")]
    ref_type: String,
    #[serde(rename = "traceID", default, deserialize_with = "or_default")]
    trace_id: String,
    #[serde(rename = "spanID", default, deserialize_with = "or_default")]
    span_id: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Tag {
    key: String,
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default)]
    value: serde_json::Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct Log {
    /// Microseconds.
    #[serde(default)]
    timestamp: serde_json::Value,
    #[serde(default, deserialize_with = "or_default")]
    fields: Vec<Tag>,
}

pub(crate) fn read(parsed: &mut Parsed, document: &[u8], line: Option<usize>) -> Result<(), Mistake> {
    let traces = if document.trim_ascii_start().first() == Some(&b'[') {
        serde_json::from_slice::<Vec<Trace>>(document)?
    } else {
        let Document { data, trace_id, spans, processes } = serde_json::from_slice(document)?;
        data.unwrap_or_else(|| vec![Trace { trace_id, spans, processes }])
    };
    for trace in traces {
        read_trace(parsed, trace, line);
    }
    Ok(())
}

fn read_trace(parsed: &mut Parsed, trace: Trace, line: Option<usize>) {
    let mut groups = Groups::default();
    for Element(span) in trace.spans {
        let index = parsed.next_index();
        let converted = span.and_then(|span| {
            let process = span.process.clone();
            let key = match process {
                Some(_) => format!("{process:?}"),
                None => span.process_id.clone(),
            };
            Ok((key, process, convert(span, &trace.trace_id)?))
        });
        match converted {
            Ok((key, process, (scope, span))) => {
                let process = process.or_else(|| trace.processes.get(&key).cloned()).unwrap_or_default();
                groups.add(&key, || resource(process), scope, span);
            }
            Err(message) => parsed.reject_span(line, index, message),
        }
    }
    parsed.accept(groups.into_messages());
}

fn resource(process: Process) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    if !process.service_name.is_empty() {
        attributes.push(text("service.name", &process.service_name));
    }
    for mut attribute in process.tags.into_iter().filter_map(attribute) {
        if attribute.key == "hostname" {
            "host.name".clone_into(&mut attribute.key);
        }
        attributes.push(attribute);
    }
    attributes
}

/// A span and the scope that recorded it.
type Converted = (Option<InstrumentationScope>, Span);

fn convert(span: JaegerSpan, trace_of_file: &str) -> Result<Converted, String> {
    let own = if span.trace_id.is_empty() { trace_of_file } else { &span.trace_id };
    let trace_id = trace_id(own)?;
    let span_id = span_id(&span.span_id)?;
    let start = micros_as_nanos(&span.start_time).ok_or("it has no startTime in microseconds")?;
    let duration = micros_as_nanos(&span.duration).unwrap_or(0);
    let (parent, links) = references(&span, trace_id)?;
    let mut attributes: Vec<KeyValue> = span.tags.into_iter().filter_map(attribute).collect();
    let error = take_error(&mut attributes);
    let tags = take_tags(&mut attributes, error);
    let converted = Span {
        trace_id: trace_id.0.to_vec(),
        span_id: span_id.0.to_vec(),
        parent_span_id: parent.map(|id| id.0.to_vec()).unwrap_or_default(),
        trace_state: tags.trace_state,
        // Of Jaeger's flags only "sampled" is W3C's too.
        flags: span.flags & 1,
        name: span.operation_name,
        kind: tags.kind.map_or(0, |kind| kind as i32),
        start_time_unix_nano: start,
        end_time_unix_nano: start.saturating_add(duration),
        attributes,
        events: span.logs.into_iter().map(event).collect(),
        links,
        status: tags.status,
        ..Span::default()
    };
    Ok((tags.scope, converted))
}

fn trace_id(hex: &str) -> Result<TraceId, String> {
    let id = TraceId::parse_hex(hex).map_err(|error| format!("traceID: {error}"))?;
    TraceId::from_wire(&id.0).ok_or_else(|| "its trace id is zero".to_owned())
}

fn span_id(hex: &str) -> Result<SpanId, String> {
    let id = SpanId::parse_hex(hex).map_err(|error| format!("spanID: {error}"))?;
    SpanId::from_wire(&id.0).ok_or_else(|| "its span id is zero".to_owned())
}

/// The parent, and what is referred to beside it. The parent is the first CHILD_OF in the same trace; without one the first
/// FOLLOWS_FROM there, as Jaeger draws it, which stays a link too.
fn references(span: &JaegerSpan, own: TraceId) -> Result<(Option<SpanId>, Vec<Link>), String> {
    let mut parent = None;
    let mut follows = None;
    let mut links = Vec::new();
    if !span.parent_span_id.is_empty() && span.references.is_empty() {
        parent = SpanId::parse_hex(&span.parent_span_id).ok().filter(|id| id.0 != [0; 8]);
    }
    for reference in &span.references {
        let to_trace = if reference.trace_id.is_empty() { own } else { trace_id(&reference.trace_id)? };
        let to = span_id(&reference.span_id).map_err(|what| format!("a reference: {what}"))?;
        let child_of = reference.ref_type != "FOLLOWS_FROM";
        if child_of && to_trace == own && parent.is_none() {
            parent = Some(to);
            continue;
        }
        if !child_of && to_trace == own {
            follows = follows.or(Some(to));
        }
        let name = if child_of { "child_of" } else { "follows_from" };
        links.push(Link {
            trace_id: to_trace.0.to_vec(),
            span_id: to.0.to_vec(),
            attributes: vec![text(REF_TYPE, name)],
            ..Link::default()
        });
    }
    Ok((parent.or(follows), links))
}

/// What the tag `error` says: nothing when it is absent or false, else the description that comes with it.
fn take_error(attributes: &mut Vec<KeyValue>) -> Option<String> {
    let at = attributes.iter().position(|attribute| attribute.key == "error")?;
    let value = attributes[at].value.as_ref()?.value.clone()?;
    match value {
        Value::BoolValue(false) => {
            attributes.remove(at);
            None
        }
        Value::BoolValue(true) => {
            attributes.remove(at);
            Some(String::new())
        }
        Value::StringValue(text) if text.eq_ignore_ascii_case("false") || text.is_empty() => {
            attributes.remove(at);
            None
        }
        Value::StringValue(text) if text.eq_ignore_ascii_case("true") => {
            attributes.remove(at);
            Some(String::new())
        }
        // A text of its own: it stays, and describes the status.
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn event(log: Log) -> Event {
    let mut attributes: Vec<KeyValue> = log.fields.into_iter().filter_map(attribute).collect();
    let name = take_text(&mut attributes, "event").unwrap_or_default();
    let time_unix_nano = micros_as_nanos(&log.timestamp).unwrap_or(0);
    Event { time_unix_nano, name, attributes, ..Event::default() }
}

/// A tag by its declared type; where the value is of another one, the value decides.
fn attribute(tag: Tag) -> Option<KeyValue> {
    use serde_json::Value as Json;
    let value = match (tag.kind.as_str(), tag.value) {
        ("int64", Json::String(digits)) => match digits.parse() {
            Ok(number) => Value::IntValue(number),
            Err(_) => Value::StringValue(digits),
        },
        ("float64", Json::Number(number)) => Value::DoubleValue(number.as_f64()?),
        ("float64", Json::String(digits)) => match digits.parse() {
            Ok(number) => Value::DoubleValue(number),
            Err(_) => Value::StringValue(digits),
        },
        ("bool", Json::String(word)) => match word.parse() {
            Ok(flag) => Value::BoolValue(flag),
            Err(_) => Value::StringValue(word),
        },
        ("binary", Json::String(encoded)) => match STANDARD.decode(&encoded) {
            Ok(bytes) => Value::BytesValue(bytes),
            Err(_) => Value::StringValue(encoded),
        },
        (_, other) => from_json(other)?,
    };
    Some(crate::attribute::pair(&tag.key, value))
}
