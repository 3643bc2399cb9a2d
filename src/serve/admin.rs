//! The routes that every process has, whatever its roles: readiness, metrics, status, versions. All else goes to the routes of
//! the roles.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

use super::blocks::{self, BlockSource};
use super::process::Process;
use super::readiness::Readiness;
use super::status::StatusSource;

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const JSON: &str = "application/json";
/// The version of Tempo whose API we answer. Clients compare it to decide what they may ask: streams from 2.2 on, streams of
/// metrics from 2.7 on.
const TEMPO_VERSION: &str = "2.9.0";

/// The routes of the process in front of the routes of its roles.
pub fn router(
    readiness: Readiness,
    registry: Registry,
    status: StatusSource,
    of_blocks: BlockSource,
    roles: Option<Router>,
) -> Router {
    let mut process = Registry::default();
    process.register_collector(Box::new(Process));
    let registries = Arc::new([process, registry]);
    let (status, of_status) = (Arc::new(status), (Arc::clone(&registries), readiness.clone()));
    let status = move || {
        let (registries, readiness) = &of_status;
        let body = serde_json::to_string(&status.read(registries.as_ref(), readiness)).unwrap_or_default();
        std::future::ready(text(StatusCode::OK, JSON, body))
    };
    let routes = Router::new()
        .route("/api/v1/status/blocks", get(blocks::list))
        .route("/api/v1/status/blocks/{*key}", get(blocks::show))
        .with_state(of_blocks)
        .route("/api/v1/status", get(status))
        .route("/ready", get(move || std::future::ready(ready(&readiness))))
        .route("/metrics", get(move || std::future::ready(metrics(registries.as_ref()))))
        .route("/status/version", get(|| std::future::ready(text(StatusCode::OK, TEXT, version_text()))))
        .route("/api/echo", get(|| std::future::ready(text(StatusCode::OK, TEXT, "echo"))))
        .route("/api/status/buildinfo", get(|| std::future::ready(text(StatusCode::OK, JSON, build_info()))));
    match roles {
        Some(roles) => routes.fallback_service(roles.fallback(|| std::future::ready(not_found("this path")))),
        None => routes.fallback(|| std::future::ready(not_found("this path without the role querier"))),
    }
}

fn not_found(what: &str) -> Response {
    text(StatusCode::NOT_FOUND, TEXT, format!("nothing is served under {what}\n"))
}

fn text(status: StatusCode, content_type: &'static str, body: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, content_type)], body.into()).into_response()
}

fn ready(readiness: &Readiness) -> Response {
    match readiness.check() {
        Ok(()) => text(StatusCode::OK, TEXT, "ready\n"),
        Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {reason}\n")),
    }
}

fn metrics(registries: &[Registry; 2]) -> Response {
    match write_metrics(registries) {
        Ok(body) => text(StatusCode::OK, OPEN_METRICS, body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("metrics cannot be written: {error}\n")),
    }
}

fn write_metrics(registries: &[Registry; 2]) -> Result<String, fmt::Error> {
    let mut body = String::new();
    for registry in registries {
        encode_registry(&mut body, registry)?;
    }
    encode_eof(&mut body)?;
    Ok(body)
}

fn version_text() -> String {
    format!("spanlake, version {}\n", env!("CARGO_PKG_VERSION"))
}

/// The fields Grafana's Tempo data source looks for; those that describe a Go build are empty.
fn build_info() -> String {
    serde_json::json!({
        "version": TEMPO_VERSION,
        "spanlakeVersion": env!("CARGO_PKG_VERSION"),
        "revision": option_env!("SPANLAKE_BUILD_REVISION").unwrap_or_default(),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_document_says_of_the_process_is_served() {
        use spanlake_catalog::Catalog;
        use spanlake_storage::Store;
        use tower::ServiceExt as _;

        let config = crate::config::Config::default();
        let catalog = Catalog::new(Store::memory(), config.catalog.clone());
        let source = StatusSource::new(config.clone(), None);
        let blocks = BlockSource::new(catalog, config);
        let router = router(Readiness::new(), Registry::default(), source, blocks, None);
        for (path, status) in [("", 200), ("/blocks", 200), ("/blocks?limit=0", 400), ("/blocks/none", 404)] {
            let request = axum::http::Request::get(format!("/api/v1/status{path}")).body(axum::body::Body::empty());
            let answer = router.clone().oneshot(request.expect("a request")).await.expect("an answer");
            assert_eq!(answer.status().as_u16(), status, "{path}");
        }
    }

    #[test]
    fn build_info_names_both_versions() {
        let info: serde_json::Value = serde_json::from_str(&build_info()).expect("JSON");
        let numbers: Vec<u32> =
            TEMPO_VERSION.split('.').map(|number| number.parse().expect("a number of a version")).collect();
        assert!(numbers >= vec![2, 9, 0], "{TEMPO_VERSION}");
        assert_eq!(
            (&info["version"], &info["spanlakeVersion"]),
            (&TEMPO_VERSION.into(), &env!("CARGO_PKG_VERSION").into())
        );
        for name in ["revision", "branch", "buildUser", "buildDate", "goVersion"] {
            assert!(info[name].is_string(), "{name}");
        }
    }
}
