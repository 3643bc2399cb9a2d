//! One trace by its id, in Tempo's first and second version.

use ::http::{HeaderMap, StatusCode, Uri};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use prost::Message as _;
use spanlake_model::TraceId;

use super::jsonpb;
use super::refusal::Refusal;
use super::request::{Format, Observed, answer, encoded, format, params, tenants, written};
use super::tempopb::TraceByIdResponse;
use crate::querier::Querier;

fn trace_id(text: &str) -> Result<TraceId, Refusal> {
    TraceId::parse_hex(text).map_err(|e| Refusal::bad(format!("invalid trace id: {e}")))
}

/// `/api/traces/{id}`
pub(crate) async fn v1(
    State(querier): State<Querier>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let observed = Observed::start(&querier, "trace_v1");
    let result = find_v1(&querier, &id, &uri, &headers).await;
    observed.end(result)
}

async fn find_v1(querier: &Querier, id: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let (id, hint) = (trace_id(id)?, params(uri)?.hint().map_err(Refusal::bad)?);
    let found = querier.trace(&tenants, id, hint).await?;
    if found.truncated {
        let max = querier.config().max_trace_bytes.bytes();
        let text = format!("trace exceeds max size (max bytes: {max}): ask /api/v2/traces for a part of it");
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    if found.span_count == 0 {
        return Ok((StatusCode::NOT_FOUND, Body::empty()).into_response());
    }
    let format = format(headers);
    let body = written(querier, found.span_count, move || match format {
        Format::Protobuf => found.trace.encode_to_vec(),
        Format::Json => {
            let mut out = Vec::new();
            jsonpb::write_trace(&mut out, "batches", &found.trace.resource_spans);
            out
        }
    });
    Ok(answer(format, body.await?))
}

/// `/api/v2/traces/{id}`
pub(crate) async fn v2(
    State(querier): State<Querier>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let observed = Observed::start(&querier, "trace_v2");
    let result = find_v2(&querier, &id, &uri, &headers).await;
    observed.end(result)
}

async fn find_v2(querier: &Querier, id: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let (id, hint) = (trace_id(id)?, params(uri)?.hint().map_err(Refusal::bad)?);
    let found = querier.trace(&tenants, id, hint).await?;
    // Until the answer is written.
    let (span_count, _held) = (found.span_count, found.held.clone());
    let message = TraceByIdResponse::new(found, querier.config().max_trace_bytes.bytes());
    encoded(querier, headers, span_count, message, TraceByIdResponse::to_json).await
}
