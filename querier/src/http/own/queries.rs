//! `/api/v1/queries`: which queries run, which were slow, and the end of one. Every request that reads data passes `watch`.

use ::http::{HeaderMap, Request, StatusCode};
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Path, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::{Stream, StreamExt as _, stream};
use serde::Serialize;

use crate::error::Error;
use crate::http::refusal::Refusal;
use crate::http::request::{Format, Observed, TENANT_HEADER, answer, now_unix_nanos, params, refuse_other_sites};
use crate::querier::Querier;
use crate::querier::watched::{Asked, CURRENT, Place, WatchedQuery};

/// The one that has no end of its own, and may name its tenant in the URL.
const TAIL: &str = "/api/v1/tail";

/// Queries of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Queries {
    /// Those that run, the oldest first.
    pub(crate) running: Vec<WatchedQuery>,
    /// The last ones that took longer than a second, the newest first.
    pub(crate) slow: Vec<WatchedQuery>,
}

/// `GET /api/v1/queries`. Where tenancy is on, of the tenants that the request names, as it names them.
pub(crate) async fn list(State(querier): State<Querier>, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "queries");
    let (mut running, mut slow) = querier.inner.watched.told();
    if querier.config().tenancy_enabled {
        let tenant = tenant(&headers);
        // Queries that name no tenant are recorded as such, where they may.
        if tenant.is_empty() && querier.config().default_tenants.is_empty() {
            let absent = spanlake_model::TenantError::Absent.to_string();
            return observed.end(Err(Refusal(StatusCode::UNAUTHORIZED, absent)));
        }
        running.retain(|query| query.tenant == tenant);
        slow.retain(|query| query.tenant == tenant);
    }
    let body = serde_json::to_vec(&Queries { running, slow }).unwrap_or_default();
    observed.end(Ok(answer(Format::Json, body)))
}

/// `DELETE /api/v1/queries/{id}`
pub(crate) async fn end(State(querier): State<Querier>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "end_query");
    observed.end(ended(&querier, &id, &headers))
}

fn ended(querier: &Querier, id: &str, headers: &HeaderMap) -> Result<Response, Refusal> {
    refuse_other_sites(headers)?;
    let number: u64 = id.parse().map_err(|_| Refusal::bad(format!("invalid query id: {id:?} is not a number")))?;
    let watched = &querier.inner.watched;
    let is_theirs = |query: &WatchedQuery| {
        query.id == number.to_string() && (!querier.config().tenancy_enabled || query.tenant == tenant(headers))
    };
    // Who may not see a query may not end it.
    if watched.told().0.iter().any(is_theirs) && watched.cancel(number) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(Refusal(StatusCode::NOT_FOUND, format!("no query {number} is running")))
}

fn tenant(headers: &HeaderMap) -> String {
    headers.get(TENANT_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Watches a request until its answer is there, or sent where it is sent as it is found, and ends it when somebody asks for that.
pub(crate) async fn watch(State(querier): State<Querier>, request: Request<Body>, next: Next) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/v1/queries") || path.starts_with("/api/v1/openapi") || !path.starts_with("/api/") {
        return next.run(request).await;
    }
    let params = params(request.uri()).ok();
    let text = |names: &[&str]| {
        let text = names.iter().find_map(|name| params.as_ref()?.get(name));
        text.map(str::to_owned).unwrap_or_default()
    };
    let mut tenant = tenant(request.headers());
    if tenant.is_empty() && path == TAIL {
        tenant = text(&["tenant"]);
    }
    // Who watches spans come is not slow.
    let asked = Asked { kind: path.to_owned(), query: text(&["q", "query", "tags"]), tenant, has_end: path != TAIL };
    let place = querier.inner.watched.begin(asked, now_unix_nanos());
    let cancel = std::sync::Arc::clone(&place.cancel);
    let work = CURRENT.scope(std::sync::Arc::clone(&place.effort), next.run(request));
    let response = tokio::select! {
        response = work => response,
        () = cancel.notified() => Refusal::from(Error::Cancelled).into_response(),
    };
    let status = response.status().as_u16();
    if response.body().size_hint().exact().is_some() {
        place.end(status);
        return response;
    }
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, Body::from_stream(watched(body, place, status)))
}

/// The parts of an answer while the query is watched. One that is ended breaks off: it must not look whole.
fn watched(body: Body, place: Place, status: u16) -> impl Stream<Item = Result<Bytes, axum::Error>> {
    stream::unfold(Some((body.into_data_stream(), place)), move |running| async move {
        let (mut parts, place) = running?;
        let part = tokio::select! {
            part = parts.next() => part,
            () = place.cancel.notified() => Some(Err(axum::Error::new(Error::Cancelled))),
        };
        match part {
            Some(Ok(part)) => Some((Ok(part), Some((parts, place)))),
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                place.end(status);
                None
            }
        }
    })
}
