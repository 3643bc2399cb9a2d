//! OTLP over HTTP: paths, methods, content types and encodings around [`Receiver::receive`].

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::Response;
use axum::routing::any;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::request::Parts;
use http::{HeaderMap, Method, Version};
use spanlake_otlp::answer::Encoding;

use crate::config::ReceiverConfig;
use crate::error::PushError;
use crate::ingester::{Accepted, Ingester};

use super::body::{BodyReader, Length};
use super::cors::{self, Cors};
use super::decompress::Compression;
use super::tenant::tenant;
use super::{Form, Receiver, answer, grpc};

/// The content types of OTLP/HTTP.
const OTLP_TYPES: &str = "application/x-protobuf or application/json";

/// The HTTP receiver: `POST /v1/traces`, the same under the configured prefix and at `/` for exporters whose endpoint
/// has no path, and gRPC calls unless that is turned off.
pub fn http_router(ingester: Ingester, config: ReceiverConfig) -> Router {
    let cors = Cors::new(&config.cors);
    let prefix = config.prefix().unwrap_or_default().to_owned();
    let grpc_on_http = config.grpc_on_http;
    let receiver = Receiver::new(ingester, config);
    let mut router = Router::new().route("/v1/traces", any(export)).route("/", any(export)).fallback(any(unknown));
    if !prefix.is_empty() {
        router = router.route(&format!("/{prefix}/v1/traces"), any(export));
    }
    if grpc_on_http {
        router = router.route(grpc::EXPORT_PATH, any(grpc::export));
    }
    let router = router.with_state(receiver);
    match cors {
        Some(cors) => router.layer(middleware::from_fn_with_state(Arc::new(cors), cors::answer)),
        None => router,
    }
}

async fn export(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut body = BodyReader::new(body, &receiver.config);
    let encoding = encoding(&parts.headers);
    let (transport, outcome) = match &encoding {
        _ if parts.method != Method::POST => ("http", Err(PushError::Method { found: parts.method.to_string() })),
        Err(error) => ("http", Err(error.clone())),
        Ok(encoding) => (transport(*encoding), call(&receiver, &parts, *encoding, &mut body).await),
    };
    receiver.ingester.shared().metrics.request(transport, answer::label(&outcome));
    // One that fell silent will not hear.
    let listens = !matches!(outcome, Err(PushError::SlowBody(_) | PushError::BrokenBody(_)));
    if outcome.is_err() && listens {
        discard(&receiver, &parts, body).await;
    }
    match (encoding, outcome) {
        (Ok(encoding), outcome) => answer::http_answer(&outcome, encoding),
        (Err(_), Err(error)) | (Err(error), Ok(_)) => answer::plain_answer(&error),
    }
}

/// Reads the rest of a refused body away where that must be: a refusal before its end would reach an HTTP/1 sender as a broken
/// connection. One that asks first has sent nothing until it hears, and HTTP/2 ends one stream without harm to the others.
async fn discard(receiver: &Receiver, parts: &Parts, body: BodyReader) {
    let sends = body.is_begun() || !parts.headers.contains_key(EXPECT);
    if parts.version < Version::HTTP_2 && sends {
        receiver.discard(body.into_unread()).await;
    }
}

async fn call(
    receiver: &Receiver,
    parts: &Parts,
    encoding: Encoding,
    body: &mut BodyReader,
) -> Result<Accepted, PushError> {
    let tenant = tenant(&parts.headers, &receiver.config)?;
    let compression = match parts.headers.get(CONTENT_ENCODING) {
        Some(name) => Compression::parse(name.as_bytes())?,
        None => Compression::Identity,
    };
    let declared = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    receiver.receive(tenant, Form { encoding, compression }, body, Length::Until(declared)).await
}

/// The encoding that the content type names; parameters do not matter.
fn encoding(headers: &HeaderMap) -> Result<Encoding, PushError> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(PushError::ContentType { found: "there is no content type".to_owned(), expected: OTLP_TYPES });
    };
    let text = value.to_str().unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/x-protobuf") {
        Ok(Encoding::Protobuf)
    } else if media_type.eq_ignore_ascii_case("application/json") {
        Ok(Encoding::Json)
    } else {
        Err(PushError::ContentType { found: format!("content type {value:?} is not supported"), expected: OTLP_TYPES })
    }
}

fn transport(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Protobuf => "http_protobuf",
        Encoding::Json => "http_json",
    }
}

/// Any other path: says where traces go.
async fn unknown(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if grpc::is_grpc(&parts.headers) {
        let request = Request::from_parts(parts, body);
        return grpc::unknown(State(receiver), request).await;
    }
    let path = parts.uri.path();
    let error = PushError::NotFound(if path.ends_with("/v1/logs") {
        "logs are not stored here: only traces are, at /v1/traces; set OTEL_LOGS_EXPORTER=none".to_owned()
    } else if path.ends_with("/v1/metrics") {
        "metrics are not stored here: only traces are, at /v1/traces; set OTEL_METRICS_EXPORTER=none".to_owned()
    } else if path.ends_with("/v1development/profiles") {
        "profiles are not stored here: only traces are, at /v1/traces".to_owned()
    } else {
        format!("there is nothing at {path}: send traces to /v1/traces (an endpoint with a path needs path_prefix)")
    });
    receiver.ingester.shared().metrics.request("http", answer::row(&error).label);
    let encoding = encoding(&parts.headers);
    discard(&receiver, &parts, BodyReader::new(body, &receiver.config)).await;
    match encoding {
        Ok(encoding) => answer::http_answer(&Err(error), encoding),
        Err(_) => answer::plain_answer(&error),
    }
}
