//! What every request has: its tenants, its parameters, the form of answer it wants, and its line in the metrics.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ::http::header::{ACCEPT, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use prost::Message;
use spanlake_model::{Tenant, TenantError};

use super::params::Params;
use super::refusal::{CLIENT_GONE, Refusal};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::querier::Querier;

/// The header (over gRPC the metadata) that names the tenant, or several joined by `|`.
pub(crate) const TENANT_HEADER: &str = "x-scope-orgid";
/// Most tenants of one query.
const MAX_TENANTS: usize = 64;
/// From this many spans, traces or samples on, writing the answer is worth another thread.
const INLINE_ENCODE_ITEMS: u64 = 2_000;
/// Media type of JSON.
pub(crate) const JSON: &str = "application/json";
/// Media type of protobuf.
const PROTOBUF: &str = "application/protobuf";

/// Counts one request, also when the client goes away and what answers it is dropped.
pub(crate) struct Observed {
    metrics: Metrics,
    route: &'static str,
    started: Instant,
    status: u16,
}

impl Observed {
    /// Begins to count; until it ends, the client may yet go away.
    pub(crate) fn start(querier: &Querier, route: &'static str) -> Self {
        Self { metrics: querier.metrics().clone(), route, started: Instant::now(), status: CLIENT_GONE }
    }

    /// Counts with the status of the answer.
    pub(crate) fn end(self, result: Result<Response, Refusal>) -> Response {
        let response = result.unwrap_or_else(Refusal::into_response);
        self.end_as(response.status());
        response
    }

    /// Counts with this status.
    pub(crate) fn end_as(mut self, status: StatusCode) {
        self.status = status.as_u16();
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.metrics.answered(self.route, self.status, self.started.elapsed());
    }
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Protobuf,
}

/// Tempo looks for the media type anywhere in the header; JSON is the default.
pub(crate) fn format(headers: &HeaderMap) -> Format {
    if accepts(headers, PROTOBUF) { Format::Protobuf } else { Format::Json }
}

/// Whether the client names this media type.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let names = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains(media_type));
    headers.get_all(ACCEPT).iter().any(names)
}

/// An answer in this form.
pub(crate) fn answer(format: Format, body: Vec<u8>) -> Response {
    let content_type = match format {
        Format::Json => JSON,
        Format::Protobuf => PROTOBUF,
    };
    ([(CONTENT_TYPE, content_type)], body).into_response()
}

/// A message in the form the client wants. `item_count` says how much there is to write.
pub(crate) async fn encoded<M: Message + 'static>(
    querier: &Querier,
    headers: &HeaderMap,
    item_count: u64,
    message: M,
    to_json: fn(&M) -> Vec<u8>,
) -> Result<Response, Refusal> {
    let format = format(headers);
    let write = move || match format {
        Format::Protobuf => message.encode_to_vec(),
        Format::Json => to_json(&message),
    };
    Ok(answer(format, written(querier, item_count, write).await?))
}

/// Does the work of writing here, or on a thread for it when it is much.
pub(crate) async fn written<T: Send + 'static>(
    querier: &Querier,
    item_count: u64,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    if item_count < INLINE_ENCODE_ITEMS { Ok(work()) } else { querier.inner.shared.compute(work).await }
}

/// The tenants that a request is about.
pub(crate) fn tenants(querier: &Querier, headers: &HeaderMap) -> Result<Vec<Tenant>, Refusal> {
    if !querier.config().tenancy_enabled {
        return Ok(vec![Tenant::single()]);
    }
    let absent = || Refusal(StatusCode::UNAUTHORIZED, TenantError::Absent.to_string());
    let value = headers.get(TENANT_HEADER).filter(|value| !value.is_empty());
    if value.is_none() && !querier.config().default_tenants.is_empty() {
        return Ok(querier.config().default_tenants.clone());
    }
    let value = value.ok_or_else(absent)?;
    let names = value.to_str().map_err(|_| Refusal::bad("tenant ID has characters that are not ASCII"))?;
    let tenants = Tenant::parse_many(names).map_err(|e| Refusal::bad(e.to_string()))?;
    if tenants.len() > MAX_TENANTS {
        return Err(Refusal::bad(format!("{} tenants are named: at most {MAX_TENANTS} fit a query", tenants.len())));
    }
    Ok(tenants)
}

/// A page of another site can make a reader's browser send a request, though not read its answer: it may not change anything.
///
/// # Errors
/// 403 for what a browser says comes from another site. Other clients say nothing of it.
pub(crate) fn refuse_other_sites(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        let text = "a page of another site asks for this: only this server's own pages and other programs may";
        return Err(Refusal(StatusCode::FORBIDDEN, text.to_owned()));
    }
    Ok(())
}

/// The parameters of a request.
pub(crate) fn params(uri: &Uri) -> Result<Params, Refusal> {
    Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map(|Query(pairs)| Params::new(pairs))
        .map_err(|e| Refusal::bad(e.body_text()))
}

/// The time now.
pub(crate) fn now_unix_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
