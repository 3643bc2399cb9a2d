//! Grafana Tempo's query API over HTTP, and our own beside it: routes, and what each failure becomes.
//!
//! | failure | HTTP | gRPC |
//! |---|---|---|
//! | a parameter, query, id or tenant name is wrong | 400 | `InvalidArgument` |
//! | no tenant named although tenancy is on | 401 | `Unauthenticated` |
//! | no such trace (v1 only), unknown path | 404 | `NotFound`, `Unimplemented` |
//! | the trace or the work is larger than a bound | 422 | `ResourceExhausted` |
//! | too many queries | 429 | `ResourceExhausted` |
//! | client gone (in the metrics only) | 499 | `Canceled` |
//! | damaged or missing object, fault of ours | 500 | `Internal` |
//! | object store out of reach | 503 | `Unavailable` |
//! | time limit | 504 | `DeadlineExceeded` |
//!
//! Bodies of failures are plain text.

mod clock;
mod jsonpb;
pub(crate) mod live;
mod logfmt;
mod metrics;
pub(crate) mod own;
pub(crate) mod params;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod search;
mod sql;
pub(crate) mod tags;
pub(crate) mod tempopb;
mod trace;

use ::http::{StatusCode, Uri};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate as _};

use crate::grpc;
use crate::querier::Querier;

/// The query API: Tempo's paths under `/api`, our own under `/api/v1`, and the gRPC service `tempopb.StreamingQuerier`, which
/// Grafana looks for on this port. Any other path under `/api` that no one else serves is 404. Every method is accepted, as
/// Tempo does; answers are compressed with gzip when the client takes it.
pub fn router(querier: Querier) -> Router {
    // Lines of a stream are to arrive when they are written, not when enough of them fill a compressor.
    let compressed = DefaultPredicate::new().and(NotForContentType::const_new(own::NDJSON));
    Router::new()
        .route("/api/traces/{id}", any(trace::v1))
        .route("/api/v2/traces/{id}", any(trace::v2))
        .route("/api/search", any(search::search))
        .route("/api/search/tags", any(tags::names_v1))
        .route("/api/v2/search/tags", any(tags::names_v2))
        .route("/api/search/tag/{*name}", any(tags::values_v1))
        .route("/api/v2/search/tag/{*name}", any(tags::values_v2))
        .route("/api/metrics/query_range", any(metrics::range))
        .route("/api/metrics/query", any(metrics::instant))
        .merge(own::routes())
        .route("/api/v1/sql", any(sql::answer))
        .route("/api/{*rest}", any(unknown))
        .layer(from_fn_with_state(querier.clone(), own::queries::watch))
        .layer(CompressionLayer::new().compress_when(compressed))
        .with_state(querier.clone())
        .merge(grpc::routes(querier))
}

async fn unknown(uri: Uri) -> Response {
    (StatusCode::NOT_FOUND, format!("404 page not found: {} is not a path of this API", uri.path())).into_response()
}
