//! `/api/v1/traces/{id}/spans`: everything that was sent of some spans of a trace.

use std::collections::HashSet;

use ::http::{HeaderMap, StatusCode, Uri};
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;
use serde::Deserialize;
use serde_json::{Value, json};
use spanlake_analysis::Kind;
use spanlake_model::{SpanId, TraceId};

use super::load::{Asked, answered, json as as_json, load};
use super::{FAILURES, parameters};
use crate::http::own::describe::{HexSpan, HexTrace, Nanos, UnixNanos, described};
use crate::http::own::openapi::{Document, required};
use crate::http::refusal::Refusal;
use crate::http::request::Observed;
use crate::querier::Querier;

/// Spans that one request may name.
const MAX_IDS: usize = 1_000;
/// Most bytes of a body: room for that many ids.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Most bytes, as protobuf, of spans with their resources that are answered: a resource may be large and is told with each.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Values inside values are written to this depth; what lies deeper is `null`.
const MAX_DEPTH: usize = 64;
/// Whole numbers up to this are numbers inside arrays and maps too; larger ones are texts.
const MAX_SAFE: u64 = (1 << 53) - 1;

described! {
    /// Which spans.
    #[derive(Deserialize)]
    pub(crate) struct SpanIds {
        /// Span ids, at most 1,000.
        ids: Vec<String>,
    }

    /// Spans with all that was sent of them.
    pub(crate) struct SpanList {
        /// The spans that were asked for and are there, in the trace's order of resources and scopes.
        spans: Vec<SpanDetail>,
    }

    /// A span with all that was sent of it.
    pub(crate) struct SpanDetail {
        /// Its id.
        id: HexSpan,
        /// Its parent's id; absent for a root.
        parent_id: Option<HexSpan>,
        /// W3C trace state.
        trace_state: Option<String>,
        /// Name.
        name: String,
        /// `unspecified`, `internal`, `server`, `client`, `producer` or `consumer`.
        kind: &'static str,
        /// `service.name` of its resource; empty when it has none.
        service: String,
        /// Start.
        start_unix_nanos: UnixNanos,
        /// Nanoseconds from start to end; 0 when it ends before it starts.
        duration_nanos: Nanos,
        /// How it ended.
        status: SpanStatus,
        /// OTLP flags.
        flags: u32,
        /// Its own attributes.
        attributes: Vec<SpanAttribute>,
        /// Attributes of its resource.
        resource: Vec<SpanAttribute>,
        /// The instrumentation that made it.
        scope: SpanScope,
        /// Its events.
        events: Vec<SpanEvent>,
        /// Its links.
        links: Vec<SpanLink>,
        /// Attributes that its SDK dropped.
        dropped_attributes: Option<u32>,
        /// Events that its SDK dropped.
        dropped_events: Option<u32>,
        /// Links that its SDK dropped.
        dropped_links: Option<u32>,
    }

    /// How a span ended.
    pub(crate) struct SpanStatus {
        /// `unset`, `ok` or `error`.
        code: &'static str,
        /// What was said about it.
        message: Option<String>,
    }

    /// The instrumentation that made a span.
    pub(crate) struct SpanScope {
        /// Name.
        name: String,
        /// Version.
        version: String,
        /// Attributes.
        attributes: Vec<SpanAttribute>,
    }

    /// An attribute. Whole numbers are texts, bytes are base64, numbers that are none (`NaN`, `Infinity`) are texts.
    pub(crate) struct SpanAttribute {
        /// Key.
        key: String,
        /// `string`, `int`, `double`, `bool`, `bytes`, `array`, `map` or `empty`.
        kind as "type": &'static str,
        /// Value.
        value: Value,
    }

    /// An event of a span.
    pub(crate) struct SpanEvent {
        /// Name.
        name: String,
        /// Nanoseconds after the span's start; negative before it.
        offset_nanos: Nanos,
        /// Attributes.
        attributes: Vec<SpanAttribute>,
        /// Attributes that the SDK dropped.
        dropped_attributes: Option<u32>,
    }

    /// A link to a span of this or another trace.
    pub(crate) struct SpanLink {
        /// Its trace.
        trace_id: HexTrace,
        /// The span.
        span_id: HexSpan,
        /// W3C trace state.
        trace_state: Option<String>,
        /// Attributes.
        attributes: Vec<SpanAttribute>,
        /// Attributes that the SDK dropped.
        dropped_attributes: Option<u32>,
    }
}

/// `GET /api/v1/traces/{id}/spans`
pub(super) async fn by_url(
    State(querier): State<Querier>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let observed = Observed::start(&querier, "trace_spans");
    let result = find_by_url(&querier, &id, &uri, &headers).await;
    observed.end(result)
}

/// Describes the endpoints.
pub(super) fn describe(document: &mut Document) {
    let path = "/api/v1/traces/{id}/spans";
    let text = json!({ "type": "string" });
    let told = "Those of the spans that are there.";
    document
        .get(path, "traceSpansByUrl", "Everything that was sent of some spans, named in the URL")
        .parameters(parameters())
        .parameters([required("ids", "Span ids, at most 1,000, joined by commas.", text)])
        .answers::<SpanList>(told)
        .fails(FAILURES)
        .add();
    document
        .post(path, "traceSpans", "Everything that was sent of some spans")
        .parameters(parameters())
        .takes::<SpanIds>()
        .answers::<SpanList>(told)
        .fails(FAILURES)
        .add();
}

async fn find_by_url(querier: &Querier, id: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let asked = Asked::read(querier, id, uri, headers)?;
    let ids = asked.params.get("ids").ok_or_else(|| Refusal::bad("parameter ids with span ids is needed"))?;
    let ids = span_ids(ids.split(','))?;
    find(querier, asked, ids).await
}

/// `POST /api/v1/traces/{id}/spans`
pub(super) async fn by_body(
    State(querier): State<Querier>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let observed = Observed::start(&querier, "trace_spans");
    let result = find_by_body(&querier, &id, &uri, &headers, body).await;
    observed.end(result)
}

async fn find_by_body(
    querier: &Querier,
    id: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let asked = Asked::read(querier, id, uri, headers)?;
    let refused = |_| Refusal::bad(format!("the body is longer than {MAX_BODY_BYTES} bytes, or did not arrive whole"));
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(refused)?;
    let SpanIds { ids } = serde_json::from_slice(&body)
        .map_err(|e| Refusal::bad(format!("invalid body: {e}: {{\"ids\":[\"0123456789abcdef\"]}} is expected")))?;
    let ids = span_ids(ids.iter().map(String::as_str))?;
    find(querier, asked, ids).await
}

fn span_ids<'a>(texts: impl Iterator<Item = &'a str>) -> Result<HashSet<SpanId>, Refusal> {
    let mut ids = HashSet::new();
    for text in texts {
        ids.insert(SpanId::parse_hex(text.trim()).map_err(|e| Refusal::bad(format!("invalid span id: {e}")))?);
        if ids.len() > MAX_IDS {
            return Err(Refusal::bad(format!("more than {MAX_IDS} span ids are named: ask for them in parts")));
        }
    }
    Ok(ids)
}

async fn find(querier: &Querier, asked: Asked, ids: HashSet<SpanId>) -> Result<Response, Refusal> {
    let loaded = load(querier, &asked.tenants, asked.id, asked.hint).await?;
    answered(querier, loaded, move |loaded| {
        let is_named = |span: &Span| SpanId::from_wire(&span.span_id).is_some_and(|id| ids.contains(&id));
        let (spans, is_whole) = details(&loaded.spans().resource_spans, is_named);
        if !is_whole {
            let text = format!("the spans with their resources have more than {MAX_ANSWER_BYTES} bytes: ask for fewer");
            return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        as_json(&SpanList { spans }, 2_048 * ids.len())
    })
    .await
}

/// All that was sent of the spans that are wanted, and whether there is no more than fits an answer.
pub(super) fn details(
    resource_spans: &[ResourceSpans],
    mut is_wanted: impl FnMut(&Span) -> bool,
) -> (Vec<SpanDetail>, bool) {
    let mut found = Vec::new();
    let mut room = MAX_ANSWER_BYTES;
    for resource_span in resource_spans {
        let resource = resource_span.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let shared_bytes = resource_span.resource.as_ref().map_or(0, Message::encoded_len);
        for scope_spans in &resource_span.scope_spans {
            let shared_bytes = shared_bytes + scope_spans.scope.as_ref().map_or(0, Message::encoded_len);
            for span in scope_spans.spans.iter().filter(|span| is_wanted(span)) {
                let Some(left) = room.checked_sub(span.encoded_len() + shared_bytes) else { return (found, false) };
                room = left;
                found.push(detail(span, resource, scope_spans.scope.as_ref()));
            }
        }
    }
    (found, true)
}

fn detail(span: &Span, resource: &[KeyValue], scope: Option<&InstrumentationScope>) -> SpanDetail {
    let service = resource.iter().find(|attribute| attribute.key == "service.name");
    let service = match service.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Wire::StringValue(text)) => text.clone(),
        _ => String::new(),
    };
    let status = span.status.clone().unwrap_or_default();
    SpanDetail {
        id: HexSpan(SpanId::from_wire(&span.span_id).unwrap_or_default()),
        parent_id: SpanId::from_wire(&span.parent_span_id).map(HexSpan),
        trace_state: some_text(&span.trace_state),
        name: span.name.clone(),
        kind: kind_word(Kind::from_otlp(span.kind)),
        service,
        start_unix_nanos: UnixNanos(span.start_time_unix_nano),
        duration_nanos: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano).into(),
        status: SpanStatus { code: status_word(status.code), message: some_text(&status.message) },
        flags: span.flags,
        attributes: attributes(&span.attributes),
        resource: attributes(resource),
        scope: SpanScope {
            name: scope.map(|scope| scope.name.clone()).unwrap_or_default(),
            version: scope.map(|scope| scope.version.clone()).unwrap_or_default(),
            attributes: attributes(scope.map_or(&[][..], |scope| &scope.attributes)),
        },
        events: span.events.iter().map(|event| told(event, span.start_time_unix_nano)).collect(),
        links: span.links.iter().map(linked).collect(),
        dropped_attributes: some_count(span.dropped_attributes_count),
        dropped_events: some_count(span.dropped_events_count),
        dropped_links: some_count(span.dropped_links_count),
    }
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn some_count(count: u32) -> Option<u32> {
    (count > 0).then_some(count)
}

/// A kind in lower case.
pub(super) fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "unspecified",
        Kind::Internal => "internal",
        Kind::Server => "server",
        Kind::Client => "client",
        Kind::Producer => "producer",
        Kind::Consumer => "consumer",
    }
}

fn status_word(code: i32) -> &'static str {
    match code {
        1 => "ok",
        2 => "error",
        _ => "unset",
    }
}

fn told(event: &Event, span_start: u64) -> SpanEvent {
    SpanEvent {
        name: event.name.clone(),
        offset_nanos: Nanos::between(span_start, event.time_unix_nano),
        attributes: attributes(&event.attributes),
        dropped_attributes: some_count(event.dropped_attributes_count),
    }
}

fn linked(link: &Link) -> SpanLink {
    SpanLink {
        trace_id: HexTrace(TraceId::from_wire(&link.trace_id).unwrap_or_default()),
        span_id: HexSpan(SpanId::from_wire(&link.span_id).unwrap_or_default()),
        trace_state: some_text(&link.trace_state),
        attributes: attributes(&link.attributes),
        dropped_attributes: some_count(link.dropped_attributes_count),
    }
}

fn attributes(attributes: &[KeyValue]) -> Vec<SpanAttribute> {
    let read = |attribute: &KeyValue| {
        let (kind, value) = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Wire::IntValue(number)) => ("int", json!(number.to_string())),
            Some(value) => (type_word(value), plain(value, MAX_DEPTH)),
            None => ("empty", Value::Null),
        };
        SpanAttribute { key: attribute.key.clone(), kind, value }
    };
    attributes.iter().map(read).collect()
}

fn type_word(value: &Wire) -> &'static str {
    match value {
        Wire::StringValue(_) => "string",
        Wire::BoolValue(_) => "bool",
        Wire::IntValue(_) => "int",
        Wire::DoubleValue(_) => "double",
        Wire::BytesValue(_) => "bytes",
        Wire::ArrayValue(_) => "array",
        Wire::KvlistValue(_) => "map",
        Wire::StringValueStrindex(_) => "empty",
    }
}

/// A value as JSON, to a depth.
fn plain(value: &Wire, depth: usize) -> Value {
    let inner = |value: Option<&AnyValue>| match value.and_then(|value| value.value.as_ref()) {
        Some(value) if depth > 0 => plain(value, depth - 1),
        _ => Value::Null,
    };
    match value {
        Wire::StringValue(text) => json!(text),
        Wire::BoolValue(flag) => json!(flag),
        Wire::IntValue(number) if number.unsigned_abs() > MAX_SAFE => json!(number.to_string()),
        Wire::IntValue(number) => json!(number),
        Wire::DoubleValue(number) => double(*number),
        Wire::BytesValue(bytes) => json!(STANDARD.encode(bytes)),
        Wire::ArrayValue(array) => array.values.iter().map(|value| inner(Some(value))).collect(),
        Wire::KvlistValue(list) => {
            let member = |pair: &KeyValue| (pair.key.clone(), inner(pair.value.as_ref()));
            Value::Object(list.values.iter().map(member).collect())
        }
        Wire::StringValueStrindex(_) => Value::Null,
    }
}

/// A value as text: texts as they are, lists as JSON.
pub(super) fn plain_text(value: &Wire) -> String {
    match value {
        Wire::StringValue(text) => text.clone(),
        Wire::IntValue(number) => number.to_string(),
        value => match plain(value, MAX_DEPTH) {
            Value::String(text) => text,
            other => other.to_string(),
        },
    }
}

fn double(number: f64) -> Value {
    match number {
        number if number.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        number => json!(number),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};

    use super::*;

    fn check(value: Option<Wire>, kind: &str, expect: Value) {
        let pair = KeyValue { key: "k".to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() };
        let found = &attributes(&[pair])[0];
        assert_eq!((found.kind, &found.value), (kind, &expect));
    }

    #[test]
    fn values_of_every_type() {
        check(Some(Wire::StringValue("a\u{0}\"".to_owned())), "string", json!("a\u{0}\""));
        check(Some(Wire::IntValue(i64::MIN)), "int", json!(i64::MIN.to_string()));
        check(Some(Wire::DoubleValue(f64::NAN)), "double", json!("NaN"));
        check(Some(Wire::DoubleValue(f64::NEG_INFINITY)), "double", json!("-Infinity"));
        check(Some(Wire::DoubleValue(0.5)), "double", json!(0.5));
        check(Some(Wire::BytesValue(vec![0, 255])), "bytes", json!("AP8="));
        check(None, "empty", Value::Null);
        let values = vec![AnyValue { value: Some(Wire::IntValue(7)) }, AnyValue { value: None }];
        check(Some(Wire::ArrayValue(ArrayValue { values })), "array", json!([7, null]));
        let value = Some(AnyValue { value: Some(Wire::IntValue(1 << 60)) });
        let values = vec![KeyValue { key: "n".to_owned(), value, ..KeyValue::default() }];
        check(Some(Wire::KvlistValue(KeyValueList { values })), "map", json!({ "n": (1_u64 << 60).to_string() }));
    }

    #[test]
    fn deep_values_are_cut() {
        let deep = (0..1_000).fold(Wire::BoolValue(true), |inner, _| {
            Wire::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(inner) }] })
        });
        let text = plain(&deep, MAX_DEPTH).to_string();
        assert!(text.contains("null") && text.len() < 200, "{text}");
        // A deep value is dropped level by level, which a test's stack holds.
        drop(deep);
    }
}
