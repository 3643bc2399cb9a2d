//! What one trace is and why it took so long: `/api/v1/traces/{id}/...`. The analysis itself is `spanlake_analysis`; here a
//! trace is fetched, analysed on a thread for computation, and written as JSON.

mod backlinks;
mod compare;
mod critical;
mod diagnosis;
mod find;
mod load;
mod open;
mod skeleton;
mod spans;
mod text;
mod usual;

use axum::Router;
use axum::routing::{get, post};
use serde_json::Value;

use super::openapi::{Document, shared};
use crate::http::params::Params;
use crate::http::refusal::Refusal;
use crate::querier::Querier;

/// What an endpoint about one trace may answer instead.
const FAILURES: &[&str] = &["400", "401", "404", "422", "429", "500", "503", "504"];

/// Describes the endpoints.
pub(crate) fn describe(document: &mut Document) {
    skeleton::describe(document);
    spans::describe(document);
    diagnosis::describe(document);
    find::describe(document);
    critical::describe(document);
    backlinks::describe(document);
    text::describe(document);
    compare::describe(document);
    open::describe(document);
}

/// The parameters that all of them have.
fn parameters() -> [Value; 4] {
    ["tenant", "traceId", "start", "end"].map(shared)
}

/// A parameter that is true or false.
fn flag(params: &Params, name: &'static str, default: bool) -> Result<bool, Refusal> {
    match params.get(name) {
        None => Ok(default),
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(Refusal::bad(format!("invalid {name}: {other:?} is neither true nor false"))),
    }
}

/// The routes.
pub(crate) fn routes() -> Router<Querier> {
    Router::new()
        .route("/api/v1/traces/{id}/skeleton", get(skeleton::skeleton))
        .route("/api/v1/traces/{id}/spans", get(spans::by_url).post(spans::by_body))
        .route("/api/v1/traces/{id}/diagnosis", get(diagnosis::diagnosis))
        .route("/api/v1/traces/{id}/find", get(find::find))
        .route("/api/v1/traces/{id}/critical-path", get(critical::path))
        .route("/api/v1/traces/{id}/backlinks", get(backlinks::backlinks))
        .route("/api/v1/traces/{id}/text", get(text::text))
        .route("/api/v1/traces/compare", get(compare::compare))
        .route("/api/v1/open", post(open::open))
}
