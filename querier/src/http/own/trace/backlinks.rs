//! `/api/v1/traces/{id}/backlinks`: spans of other traces that link to this one.

use ::http::{HeaderMap, Uri};
use axum::extract::{Path, State};
use axum::response::Response;
use spanlake_model::{SpanId, TimeRange, TraceId};
use spanlake_traceql::Value;

use super::load::{Asked, json as as_json, load};
use super::{FAILURES, parameters};
use crate::engine::FoundSpan;
use crate::http::own::describe::{HexSpan, HexTrace, UnixNanos, described};
use crate::http::own::openapi::{Document, integer, query};
use crate::http::params::{SearchAsked, traceql_search};
use crate::http::refusal::Refusal;
use crate::http::request::{Format, Observed, answer, now_unix_nanos};
use crate::querier::Querier;

/// Linking traces when the request does not say, and most that it may ask for.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1_000;
/// Spans of one trace that are told.
const SPANS_PER_TRACE: u32 = 100;
const HOUR_NANOS: u64 = 3_600_000_000_000;

described! {
    /// Spans of other traces that link to a trace.
    pub(crate) struct Backlinks {
        /// The spans, those of the newest trace first.
        links: Vec<Backlink>,
        /// Whether there may be more.
        truncated: bool,
    }

    /// A span that links to the trace.
    pub(crate) struct Backlink {
        /// Its trace.
        trace_id: HexTrace,
        /// The span.
        span_id: HexSpan,
        /// Its service; empty when it has none.
        service: String,
        /// Its name.
        name: String,
        /// Its start.
        start_unix_nanos: UnixNanos,
        /// The span that it links to, when it has but one link.
        to_span_id: Option<HexSpan>,
    }
}

/// `/api/v1/traces/{id}/backlinks`
pub(super) async fn backlinks(
    State(querier): State<Querier>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let observed = Observed::start(&querier, "trace_backlinks");
    let result = find(&querier, &id, &uri, &headers).await;
    observed.end(result)
}

/// Describes the endpoint.
pub(super) fn describe(document: &mut Document) {
    document
        .get("/api/v1/traces/{id}/backlinks", "traceBacklinks", "Spans of other traces that link to this one")
        .text(
            "Looks into the time from start to end; without them from an hour before the trace to a day after it, for which \
             the trace must be there.",
        )
        .parameters(parameters())
        .parameters([query("limit", "Most linking traces.", integer(1, MAX_LIMIT, DEFAULT_LIMIT))])
        .answers::<Backlinks>("The spans.")
        .fails(FAILURES)
        .add();
}

async fn find(querier: &Querier, id: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let asked = Asked::read(querier, id, uri, headers)?;
    let limit = asked.params.number("limit").map_err(Refusal::bad)?.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Refusal::bad(format!("invalid limit: {limit} is not from 1 to {MAX_LIMIT}")));
    }
    let range = match asked.params.range(now_unix_nanos()).map_err(Refusal::bad)? {
        Some(range) => Some(range),
        None => load(querier, &asked.tenants, asked.id, None).await?.range().map(|range| TimeRange {
            start_unix_nanos: range.start_unix_nanos.saturating_sub(HOUR_NANOS),
            end_unix_nanos: range.end_unix_nanos.saturating_add(24 * HOUR_NANOS),
        }),
    };
    let text = format!(
        "{{ link:traceID = \"{}\" && trace:id != \"{}\" }} | select(name, resource.service.name, link:spanID)",
        asked.id, asked.id
    );
    // One more than is told tells whether there are more.
    let asks = SearchAsked { range, limit: Some(limit + 1), spans_per_span_set: Some(SPANS_PER_TRACE) };
    let request = traceql_search(&text, asks).map_err(Refusal::bad)?;
    let found = querier.traceql_search(&asked.tenants, &request, None).await?;
    let mut truncated = found.stopped.is_some() || found.traces.len() as u64 > limit;
    let mut links = Vec::new();
    for trace in found.traces.iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        for set in &trace.span_sets {
            truncated |= set.matched as usize > set.spans.len();
            links.extend(set.spans.iter().map(|span| told(trace.trace_id, span)));
        }
    }
    Ok(answer(Format::Json, as_json(&Backlinks { links, truncated }, 1_024)?))
}

fn told(trace_id: TraceId, span: &FoundSpan) -> Backlink {
    let text = |key: &str| {
        let (_, value) = span.attributes.iter().find(|(name, _)| name == key)?;
        match value {
            Value::String(text) => Some(text.to_string()),
            _ => None,
        }
    };
    Backlink {
        trace_id: HexTrace(trace_id),
        span_id: HexSpan(SpanId(span.span_id)),
        service: text("service.name").or_else(|| text("resource.service.name")).unwrap_or_default(),
        name: span.name.clone().or_else(|| text("name")).unwrap_or_default(),
        start_unix_nanos: UnixNanos(span.start_unix_nanos),
        to_span_id: text("link:spanID").and_then(|id| SpanId::parse_hex(&id).ok()).map(HexSpan),
    }
}
