//! `/api/v1/traces/{id}/find`: spans of one trace by what is written on them, by one attribute, by a regular expression, or by
//! a TraceQL filter.

use std::collections::HashSet;

use ::http::{HeaderMap, Uri};
use axum::extract::{Path, State};
use axum::response::Response;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use regex::{Regex, RegexBuilder};
use serde_json::json;
use spanlake_analysis::OtlpTrace;
use spanlake_model::{SpanId, TimeRange, TraceId};
use spanlake_traceql::parse;

use super::load::{Asked, Loaded, answered, json as as_json, load};
use super::spans::plain_text;
use super::{FAILURES, parameters};
use crate::engine::TraceqlSearch;
use crate::http::own::describe::{HexSpan, described};
use crate::http::own::openapi::{Document, required};
use crate::http::params::{check_query_bytes, query};
use crate::http::refusal::Refusal;
use crate::http::request::Observed;
use crate::querier::Querier;

/// Most bytes of a compiled regular expression.
const MAX_REGEX_BYTES: usize = 1 << 20;
/// Spans that a TraceQL filter finds at most.
const MAX_FOUND: usize = 1_000_000;

described! {
    /// Spans of a trace that were found.
    pub(crate) struct FoundInTrace {
        /// Their numbers in the whole skeleton, in order.
        spans: Vec<u32>,
        /// Their ids, in the same order.
        ids: Vec<HexSpan>,
        /// How many there are.
        total: usize,
    }
}

/// `/api/v1/traces/{id}/find`
pub(super) async fn find(
    State(querier): State<Querier>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let observed = Observed::start(&querier, "trace_find");
    let result = found(&querier, &id, &uri, &headers).await;
    observed.end(result)
}

/// Describes the endpoint.
pub(super) fn describe(document: &mut Document) {
    let q = "A text that service, name, status message, `key=value` of an attribute, or an event contains, whatever its \
             case; `/re/` for a regular expression; `key=value` for exactly that attribute; `{ ... }` for a TraceQL filter.";
    document
        .get("/api/v1/traces/{id}/find", "findInTrace", "Spans of a trace by what is written on them")
        .parameters(parameters())
        .parameters([required("q", q, json!({ "type": "string" }))])
        .answers::<FoundInTrace>("What was found.")
        .fails(FAILURES)
        .add();
}

async fn found(querier: &Querier, id: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let asked = Asked::read(querier, id, uri, headers)?;
    let text = asked.params.get("q").ok_or_else(|| Refusal::bad("parameter q with what to find is needed"))?;
    let wanted = Wanted::read(text, asked.id)?;
    let loaded = load(querier, &asked.tenants, asked.id, asked.hint).await?;
    match wanted {
        Wanted::Filter(query) => {
            let request = TraceqlSearch { range: loaded.range(), ..query };
            let answer = querier.traceql_search(&asked.tenants, &request, None).await?;
            if let Some(bound) = answer.stopped {
                return Err(bound.into());
            }
            let sets = answer.traces.iter().flat_map(|trace| &trace.span_sets);
            let ids: HashSet<SpanId> = sets.flat_map(|set| &set.spans).map(|span| SpanId(span.span_id)).collect();
            answer_rows(querier, loaded, move |trace, row| {
                let id = trace.attributes.span(row).and_then(|span| SpanId::from_wire(&span.span_id));
                id.is_some_and(|id| ids.contains(&id))
            })
            .await
        }
        Wanted::Text(pattern) => {
            answered(querier, loaded, move |loaded| {
                let rows = rows(&loaded.spans().resource_spans, |resource, scope, span| {
                    span.map_or_else(
                        || any(resource, &pattern) || any(scope, &pattern),
                        |span| has_text(span, &pattern),
                    )
                });
                told(&loaded.trace()?, |row| rows.get(row as usize).copied().unwrap_or(false))
            })
            .await
        }
        Wanted::Attribute(key, value) => {
            answered(querier, loaded, move |loaded| {
                let has = |attributes: &[KeyValue]| {
                    attributes.iter().any(|one| one.key == key && value_text(one).is_some_and(|text| text == value))
                };
                let rows = rows(&loaded.spans().resource_spans, |resource, scope, span| {
                    span.map_or_else(|| has(resource) || has(scope), |span| has(&span.attributes))
                });
                told(&loaded.trace()?, |row| rows.get(row as usize).copied().unwrap_or(false))
            })
            .await
        }
    }
}

async fn answer_rows(
    querier: &Querier,
    loaded: Loaded,
    is_found: impl Fn(&OtlpTrace<'_>, u32) -> bool + Send + 'static,
) -> Result<Response, Refusal> {
    answered(querier, loaded, move |loaded| {
        let trace = loaded.trace()?;
        told(&trace, |row| is_found(&trace, row))
    })
    .await
}

fn told(found: &OtlpTrace<'_>, is_found: impl Fn(u32) -> bool) -> Result<Vec<u8>, Refusal> {
    let skeleton = &found.trace.skeleton;
    let spans: Vec<u32> = (0..skeleton.span_count()).filter(|span| is_found(skeleton.row(*span))).collect();
    let ids = spans.iter().map(|span| HexSpan(skeleton.span_id(*span))).collect();
    let found = FoundInTrace { total: spans.len(), ids, spans };
    as_json(&found, 64 + 32 * found.total)
}

/// What is looked for.
enum Wanted {
    /// What matches, anywhere.
    Text(Regex),
    /// Exactly this attribute.
    Attribute(String, String),
    /// What a filter says; the time is not set yet.
    Filter(TraceqlSearch),
}

impl Wanted {
    fn read(text: &str, id: TraceId) -> Result<Self, Refusal> {
        let trimmed = text.trim();
        if trimmed.starts_with('{') {
            return filter(trimmed, id);
        }
        if let Some(pattern) = trimmed.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'))
            && !pattern.is_empty()
        {
            return compiled(RegexBuilder::new(pattern)).map(Self::Text);
        }
        if let Some((key, value)) = text.split_once('=')
            && !key.is_empty()
            && !key.contains(char::is_whitespace)
        {
            return Ok(Self::Attribute(key.to_owned(), value.to_owned()));
        }
        let mut builder = RegexBuilder::new(&regex::escape(text));
        builder.case_insensitive(true);
        compiled(builder).map(Self::Text)
    }
}

fn compiled(mut builder: RegexBuilder) -> Result<Regex, Refusal> {
    let built = builder.size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES).build();
    built.map_err(|e| Refusal::bad(format!("invalid q: it is no regular expression that can be used: {e}")))
}

/// A filter, narrowed to one trace.
fn filter(text: &str, id: TraceId) -> Result<Wanted, Refusal> {
    check_query_bytes(text).map_err(Refusal::bad)?;
    let canonical = query(text).map_err(Refusal::bad)?.to_string();
    let no_filter = || Refusal::bad("invalid q: one filter in braces is expected, such as { status = error }");
    let inner = canonical.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(no_filter)?.trim();
    let narrowed = match inner {
        "" | "true" => format!("{{ trace:id = \"{id}\" }}"),
        inner => format!("{{ trace:id = \"{id}\" && ({inner}) }}"),
    };
    // What was more than one filter is none when it is put inside another.
    let query = parse(&narrowed).map_err(|_| no_filter())?;
    Ok(Wanted::Filter(TraceqlSearch { query, range: None::<TimeRange>, limit: 1, spans_per_span_set: MAX_FOUND }))
}

/// Of each span, in the order of rows, whether `matches` it, or its resource or scope, which are asked once each without a span.
fn rows(
    resource_spans: &[ResourceSpans],
    matches: impl Fn(&[KeyValue], &[KeyValue], Option<&Span>) -> bool,
) -> Vec<bool> {
    let mut rows = Vec::new();
    for resource_span in resource_spans {
        let resource = resource_span.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        for ScopeSpans { scope, spans, .. } in &resource_span.scope_spans {
            let scope = scope.as_ref().map_or(&[][..], |scope| &scope.attributes);
            let all = matches(resource, scope, None);
            rows.extend(spans.iter().map(|span| all || matches(resource, scope, Some(span))));
        }
    }
    rows
}

fn has_text(span: &Span, pattern: &Regex) -> bool {
    let status = span.status.as_ref().is_some_and(|status| pattern.is_match(&status.message));
    status
        || pattern.is_match(&span.name)
        || any(&span.attributes, pattern)
        || span.events.iter().any(|event| pattern.is_match(&event.name) || any(&event.attributes, pattern))
}

fn any(attributes: &[KeyValue], pattern: &Regex) -> bool {
    attributes.iter().any(|one| {
        let value = value_text(one).unwrap_or_default();
        pattern.is_match(&format!("{}={value}", one.key))
    })
}

fn value_text(attribute: &KeyValue) -> Option<String> {
    let value: &Wire = attribute.value.as_ref()?.value.as_ref()?;
    Some(plain_text(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for() {
        let read = |text: &str| Wanted::read(text, TraceId([1; 16]));
        assert!(matches!(read("Checkout"), Ok(Wanted::Text(pattern)) if pattern.is_match("a checkOUT b")));
        assert!(matches!(read("a.b*"), Ok(Wanted::Text(pattern)) if !pattern.is_match("axb")));
        assert!(matches!(read("/^a.b$/"), Ok(Wanted::Text(pattern)) if pattern.is_match("axb")));
        assert!(matches!(read("/"), Ok(Wanted::Text(_))));
        assert!(
            matches!(read("k=a=b"), Ok(Wanted::Attribute(key, value)) if (key.as_str(), value.as_str()) == ("k", "a=b"))
        );
        assert!(matches!(read("a b=c"), Ok(Wanted::Text(_))));
        for filter in ["{}", "{ status = error || name = \"x\" }", " { .a = 1 } "] {
            assert!(matches!(read(filter), Ok(Wanted::Filter(_))), "{filter}");
        }
        for wrong in [
            "/(/",
            "/(a{1000}){1000}/",
            "{",
            "{ .a = 1 } && { .b = 2 }",
            "{} | rate()",
            "{} | count() > 1",
            "{ .a } >> { .b }",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
