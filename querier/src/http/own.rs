//! Our own endpoints under `/api/v1`: searches whose results stream, deletion, what a query says and does, and the description
//! of all of them. Tempo has none of these; what it has is not answered here.

mod check;
mod delete;
mod explain;
mod openapi;
mod search;

use axum::Router;
use axum::routing::{any, post};

use crate::querier::Querier;

/// Media type of a stream of JSON lines.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// The routes. `openapi.json` describes each of them.
pub(crate) fn routes() -> Router<Querier> {
    Router::new()
        .route("/api/v1/search", any(search::search))
        .route("/api/v1/traces/{id}", axum::routing::delete(delete::one))
        .route("/api/v1/traces/delete", post(delete::selected))
        .route("/api/v1/query/check", any(check::check))
        .route("/api/v1/query/explain", any(explain::explain))
        .route("/api/v1/openapi.json", any(openapi::document))
}
