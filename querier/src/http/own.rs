//! Our own endpoints under `/api/v1`: searches whose results stream, deletion, what a query says and does, and the description
//! of all of them. Tempo has none of these; what it has is not answered here.

mod check;
mod delete;
pub(crate) mod describe;
mod explain;
mod explore;
pub(crate) mod openapi;
pub(crate) mod queries;
mod search;
pub mod status;
mod tail;
mod trace;

use axum::Router;
use axum::routing::{any, get, post};

use crate::querier::Querier;

/// Media type of a stream of JSON lines.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// The routes. [`openapi`] describes each of them.
pub(crate) fn routes() -> Router<Querier> {
    Router::new()
        .route("/api/v1/search", any(search::search))
        .route("/api/v1/traces/{id}", axum::routing::delete(delete::one))
        .route("/api/v1/traces/delete", post(delete::selected))
        .route("/api/v1/query/check", any(check::check))
        .route("/api/v1/query/explain", any(explain::explain))
        .route("/api/v1/services", get(explore::services))
        .route("/api/v1/operations", get(explore::operations))
        .route("/api/v1/explore/heatmap", get(explore::heatmap))
        .route("/api/v1/explore/breakdown", post(explore::breakdown))
        .route("/api/v1/map", get(explore::map))
        .route("/api/v1/operations/baseline", get(explore::baseline))
        .route("/api/v1/query/why", get(explore::why))
        .route("/api/v1/tail", get(tail::tail))
        .route("/api/v1/queries", get(queries::list))
        .route("/api/v1/queries/{id}", axum::routing::delete(queries::end))
        .route("/api/v1/tenants", get(explore::tenant_names))
        .route("/api/v1/openapi.json", any(openapi::answer))
        .merge(trace::routes())
}
