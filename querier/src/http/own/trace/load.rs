//! Fetches a trace for an analysis and runs it where it disturbs nobody.

use std::sync::Arc;

use ::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use serde::Serialize;
use spanlake_analysis::{Completeness, OtlpTrace, from_otlp};
use spanlake_model::{Tenant, TimeRange, TraceId};
use spanlake_table::Held;

use crate::error::Error;
use crate::http::params::Params;
use crate::http::refusal::Refusal;
use crate::http::request::{Format, answer, now_unix_nanos, params, tenants, written};
use crate::querier::Querier;

const NANOS_PER_MILLI: u64 = 1_000_000;
/// Analysing a span takes about as long as writing so many.
const ANALYSIS_WEIGHT: u64 = 10;

/// What a request about one trace asks.
pub(super) struct Asked {
    pub(super) tenants: Vec<Tenant>,
    pub(super) id: TraceId,
    pub(super) hint: Option<TimeRange>,
    pub(super) params: Params,
}

impl Asked {
    /// Reads tenants, id, time and the other parameters.
    pub(super) fn read(querier: &Querier, id: &str, uri: &Uri, headers: &HeaderMap) -> Result<Self, Refusal> {
        let tenants = tenants(querier, headers)?;
        let id = trace_id(id)?;
        let params = params(uri)?;
        let hint = params.hint().map_err(Refusal::bad)?;
        Ok(Self { tenants, id, hint, params })
    }
}

/// A trace id from a request.
pub(super) fn trace_id(text: &str) -> Result<TraceId, Refusal> {
    TraceId::parse_hex(text).map_err(|e| Refusal::bad(format!("invalid trace id: {e}")))
}

/// A trace as it was fetched.
pub(super) struct Loaded {
    id: TraceId,
    spans: TracesData,
    pub(super) span_count: u64,
    pub(super) completeness: Completeness,
    /// The memory it is charged for, until what is made of it is written.
    _held: Option<Arc<Held>>,
}

/// Fetches a trace, within the bounds of any query.
///
/// # Errors
/// 404 when there is none; those of [`Querier::trace`].
pub(super) async fn load(
    querier: &Querier,
    tenants: &[Tenant],
    id: TraceId,
    hint: Option<TimeRange>,
) -> Result<Loaded, Refusal> {
    let found = querier.trace(tenants, id, hint).await?;
    if found.span_count == 0 {
        return Err(absent(id));
    }
    let now = now_unix_nanos();
    let since_stored =
        found.stored_unix_millis.map(|millis| now.saturating_sub(millis.saturating_mul(NANOS_PER_MILLI)));
    let spans = found.trace.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let last_end = spans.flat_map(|scope| &scope.spans).map(|span| span.end_time_unix_nano).max();
    // Merged blocks no longer tell when spans came, but nobody sends a span before it ended.
    let since_end = last_end.and_then(|end| now.checked_sub(end));
    let completeness = Completeness {
        truncated: found.truncated,
        since_newest_ingest_nanos: since_stored.into_iter().chain(since_end).min(),
        ..Completeness::default()
    };
    Ok(Loaded { id, spans: found.trace, span_count: found.span_count, completeness, _held: found.held })
}

/// There is no such trace.
pub(super) fn absent(id: TraceId) -> Refusal {
    let text = format!(
        "trace {id} was not found: it may be of another tenant, outside of start and end, past its retention, or not yet stored"
    );
    Refusal(StatusCode::NOT_FOUND, text)
}

impl Loaded {
    /// The same, when the work over it looks at so many spans beside its own.
    pub(super) fn beside(mut self, span_count: u64) -> Self {
        self.span_count = self.span_count.saturating_add(span_count);
        self
    }

    /// Its columns with attributes in place.
    ///
    /// # Errors
    /// 404 if no span has valid ids.
    pub(super) fn trace(&self) -> Result<OtlpTrace<'_>, Refusal> {
        from_otlp(&self.spans.resource_spans).into_iter().next().ok_or_else(|| absent(self.id))
    }

    /// From the earliest start to the latest end; nothing when no span has a start.
    pub(super) fn range(&self) -> Option<TimeRange> {
        let spans = || self.spans.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let spans = || spans().flat_map(|scope| &scope.spans).filter(|span| span.start_time_unix_nano > 0);
        let start_unix_nanos = spans().map(|span| span.start_time_unix_nano).min()?;
        let end_unix_nanos = spans().map(|span| span.end_time_unix_nano.max(span.start_time_unix_nano)).max()?;
        Some(TimeRange { start_unix_nanos, end_unix_nanos: end_unix_nanos.saturating_add(1) })
    }

    /// The spans as they were sent.
    pub(super) fn spans(&self) -> &TracesData {
        &self.spans
    }
}

/// Does `work` over a trace on a thread that may block.
pub(super) async fn analysed<T: Send + 'static>(
    querier: &Querier,
    loaded: Loaded,
    work: impl FnOnce(&Loaded) -> T + Send + 'static,
) -> Result<T, Error> {
    let weight = loaded.span_count.saturating_mul(ANALYSIS_WEIGHT);
    written(querier, weight, move || work(&loaded)).await
}

/// The same for work that gives the JSON of an answer.
pub(super) async fn answered(
    querier: &Querier,
    loaded: Loaded,
    work: impl FnOnce(&Loaded) -> Result<Vec<u8>, Refusal> + Send + 'static,
) -> Result<Response, Refusal> {
    Ok(answer(Format::Json, analysed(querier, loaded, work).await??))
}

/// A value as JSON.
pub(super) fn json(value: &impl Serialize, capacity: usize) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::with_capacity(capacity);
    serde_json::to_writer(&mut out, value).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(out)
}
