//! Grafana Tempo's query API over HTTP: routes, tenants, content negotiation, and what each failure becomes.
//!
//! | failure | status |
//! |---|---|
//! | a parameter, id or tenant name is wrong | 400 |
//! | no tenant named although tenancy is on | 401 |
//! | no such trace (v1 only), unknown path | 404 |
//! | the trace or the work is larger than a bound | 422 |
//! | too many queries | 429 |
//! | client gone (in the metrics only) | 499 |
//! | damaged or missing object, fault of ours | 500 |
//! | object store out of reach | 503 |
//! | time limit | 504 |
//!
//! Bodies of failures are plain text.

mod clock;
mod jsonpb;
mod logfmt;
mod params;
mod tempopb;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use ::http::{HeaderMap, StatusCode, Uri};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use prost::Message as _;
use spanlake_model::{Tenant, TenantError, TraceId};
use tower_http::compression::CompressionLayer;

use crate::error::Error;
use crate::fetch::compute;
use crate::metrics::Metrics;
use crate::querier::Querier;
use params::Params;
use tempopb::{SearchResponse, TraceByIdResponse};

/// The header that names the tenant, or several joined by `|`.
const TENANT_HEADER: &str = "x-scope-orgid";
/// Most tenants of one query.
const MAX_TENANTS: usize = 64;
/// When a client that met a full queue may come again.
const RETRY_AFTER_SECONDS: &str = "1";
/// From this many spans on, writing the answer is worth another thread.
const INLINE_ENCODE_SPANS: u64 = 2_000;

/// The query API: `/api/traces/{id}`, `/api/v2/traces/{id}`, `/api/search`; any other path under `/api` that no one else
/// serves is 404. Every method is accepted, as Tempo does; answers are compressed with gzip when the client takes it.
pub fn router(querier: Querier) -> Router {
    Router::new()
        .route("/api/traces/{id}", any(trace_v1))
        .route("/api/v2/traces/{id}", any(trace_v2))
        .route("/api/search", any(search))
        .route("/api/{*rest}", any(unknown))
        .layer(CompressionLayer::new())
        .with_state(querier)
}

/// A refusal: a status and a sentence.
struct Refusal(StatusCode, String);

impl Refusal {
    fn bad(text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, text.into())
    }
}

impl From<Error> for Refusal {
    fn from(e: Error) -> Self {
        let status = match &e {
            Error::Damaged { .. } | Error::Missing { .. } | Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Error::TooManyBlocks { .. } | Error::TooManyBytes { .. } | Error::TooManyTraces { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Error::TooManyTags { .. } => StatusCode::BAD_REQUEST,
            Error::Busy => StatusCode::TOO_MANY_REQUESTS,
            Error::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
        };
        Self(status, e.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.0, self.1).into_response();
        if matches!(self.0, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, ::http::HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

/// Counts one request, also when the client goes away and the handler is dropped.
struct Observed<'a> {
    metrics: &'a Metrics,
    route: &'static str,
    started: Instant,
    status: u16,
}

impl<'a> Observed<'a> {
    fn start(querier: &'a Querier, route: &'static str) -> Self {
        Self { metrics: querier.metrics(), route, started: Instant::now(), status: 499 }
    }

    fn end(mut self, result: Result<Response, Refusal>) -> Response {
        let response = result.unwrap_or_else(Refusal::into_response);
        self.status = response.status().as_u16();
        response
    }
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        self.metrics.answered(self.route, self.status, self.started.elapsed());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Protobuf,
}

/// Tempo looks for the media type anywhere in the header; JSON is the default.
fn format(headers: &HeaderMap) -> Format {
    let wants = |value: &::http::HeaderValue| value.to_str().is_ok_and(|text| text.contains("application/protobuf"));
    if headers.get_all(ACCEPT).iter().any(wants) { Format::Protobuf } else { Format::Json }
}

fn answer(format: Format, body: Vec<u8>) -> Response {
    let content_type = match format {
        Format::Json => "application/json",
        Format::Protobuf => "application/protobuf",
    };
    ([(CONTENT_TYPE, content_type)], body).into_response()
}

fn tenants(querier: &Querier, headers: &HeaderMap) -> Result<Vec<Tenant>, Refusal> {
    if !querier.config().tenancy_enabled {
        return Ok(vec![Tenant::single()]);
    }
    let absent = || Refusal(StatusCode::UNAUTHORIZED, TenantError::Absent.to_string());
    let value = headers.get(TENANT_HEADER).filter(|value| !value.is_empty()).ok_or_else(absent)?;
    let names = value.to_str().map_err(|_| Refusal::bad("tenant ID has characters that are not ASCII"))?;
    let tenants = Tenant::parse_many(names).map_err(|e| Refusal::bad(e.to_string()))?;
    if tenants.len() > MAX_TENANTS {
        return Err(Refusal::bad(format!("{} tenants are named: at most {MAX_TENANTS} fit a query", tenants.len())));
    }
    Ok(tenants)
}

fn params(uri: &Uri) -> Result<Params, Refusal> {
    Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map(|Query(pairs)| Params::new(pairs))
        .map_err(|e| Refusal::bad(e.body_text()))
}

fn trace_id(text: &str) -> Result<TraceId, Refusal> {
    TraceId::parse_hex(text).map_err(|e| Refusal::bad(format!("invalid trace id: {e}")))
}

async fn trace_v1(State(querier): State<Querier>, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
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
    let body = encode(found.span_count, move || match format {
        Format::Protobuf => found.trace.encode_to_vec(),
        Format::Json => {
            let mut out = Vec::new();
            jsonpb::write_trace(&mut out, "batches", &found.trace.resource_spans);
            out
        }
    });
    Ok(answer(format, body.await?))
}

async fn trace_v2(State(querier): State<Querier>, Path(id): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "trace_v2");
    let result = find_v2(&querier, &id, &uri, &headers).await;
    observed.end(result)
}

async fn find_v2(querier: &Querier, id: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let (id, hint) = (trace_id(id)?, params(uri)?.hint().map_err(Refusal::bad)?);
    let found = querier.trace(&tenants, id, hint).await?;
    let (format, span_count) = (format(headers), found.span_count);
    let message = TraceByIdResponse::new(found, querier.config().max_trace_bytes.bytes());
    let body = encode(span_count, move || match format {
        Format::Protobuf => message.encode_to_vec(),
        Format::Json => message.to_json(),
    });
    Ok(answer(format, body.await?))
}

async fn encode(span_count: u64, work: impl FnOnce() -> Vec<u8> + Send + 'static) -> Result<Vec<u8>, Error> {
    if span_count < INLINE_ENCODE_SPANS { Ok(work()) } else { compute(work).await }
}

async fn search(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "search");
    let result = find_traces(&querier, &uri, &headers).await;
    observed.end(result)
}

async fn find_traces(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_unix_nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let request = params(uri)?.search(now_unix_nanos).map_err(Refusal::bad)?;
    let found = SearchResponse::from(querier.search(&tenants, &request).await?);
    let format = format(headers);
    let body = match format {
        Format::Protobuf => found.encode_to_vec(),
        Format::Json => serde_json::to_vec(&found).map_err(|e| Error::Internal(e.to_string()))?,
    };
    Ok(answer(format, body))
}

async fn unknown(uri: Uri) -> Response {
    (StatusCode::NOT_FOUND, format!("404 page not found: {} is not a path of this API", uri.path())).into_response()
}
