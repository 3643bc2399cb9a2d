//! OTLP over gRPC: the framing of unary calls (gRPC over HTTP/2, `PROTOCOL-HTTP2.md`) around [`Receiver::receive`].
//!
//! The framing is our own, some lines long, because a message must be refused by its length prefix and charged to its
//! tenant before it is read or decompressed; a gRPC library hands it over afterwards. Statuses and their trailers are
//! tonic's.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, post};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use spanlake_otlp::answer::Encoding;

use crate::config::ReceiverConfig;
use crate::error::PushError;
use crate::ingester::{Accepted, Ingester};

use super::answer::{self, GRPC_PREFIX_BYTES};
use super::body::{BodyReader, Length};
use super::decompress::Compression;
use super::tenant::tenant;
use super::{Form, Receiver};

/// The only method served.
pub(crate) const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The gRPC receiver for a port of its own: cleartext HTTP/2 with prior knowledge, or HTTP/2 under TLS.
pub fn grpc_router(ingester: Ingester, config: ReceiverConfig) -> Router {
    let receiver = Receiver::new(ingester, config);
    Router::new().route(EXPORT_PATH, post(export)).fallback(any(unknown)).with_state(receiver)
}

/// Whether the headers are those of a gRPC call.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return false };
    match value.as_bytes().strip_prefix(b"application/grpc") {
        Some(rest) => rest.is_empty() || rest.starts_with(b"+proto") || rest.starts_with(b";"),
        None => false,
    }
}

pub(crate) async fn export(State(receiver): State<Arc<Receiver>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    if !is_grpc(&parts.headers) {
        let found = parts.headers.get(CONTENT_TYPE).map_or_else(String::new, |v| format!("content type {v:?}"));
        let error = PushError::ContentType {
            found: format!("{found} is not gRPC's"),
            expected: "application/grpc here, or OTLP/HTTP to its own port (4318 by default)",
        };
        receiver.ingester.shared().metrics.request("grpc", answer::row(&error).label);
        return answer::plain_answer(&error);
    }
    let mut body = BodyReader::new(body, &receiver.config);
    let outcome = call(&receiver, &parts, &mut body).await;
    receiver.ingester.shared().metrics.request("grpc", answer::label(&outcome));
    answer::grpc_answer(&outcome)
}

async fn call(receiver: &Receiver, parts: &Parts, body: &mut BodyReader) -> Result<Accepted, PushError> {
    let tenant = tenant(&parts.headers, &receiver.config)?;
    let declared = match parts.headers.get("grpc-encoding") {
        Some(name) => Compression::parse(name.as_bytes())?,
        None => Compression::Identity,
    };
    let Some([flag, length @ ..]) = body.prefix::<GRPC_PREFIX_BYTES>().await? else {
        return Err(PushError::Malformed("the call has no message".to_owned()));
    };
    let compression = match flag {
        0 => Compression::Identity,
        1 if declared == Compression::Identity => {
            return Err(PushError::Malformed("the message is compressed but grpc-encoding is absent".to_owned()));
        }
        1 => declared,
        _ => return Err(PushError::Malformed(format!("{flag} is not a compressed flag: 0 and 1 are"))),
    };
    let form = Form { encoding: Encoding::Protobuf, compression };
    let length = Length::Exact(u32::from_be_bytes(length) as usize);
    receiver.receive(tenant, form, body, length).await
}

/// Any other service or method.
pub(crate) async fn unknown(State(receiver): State<Arc<Receiver>>, request: axum::extract::Request) -> Response {
    let path = request.uri().path();
    let error = PushError::NotFound(format!("{path} is not served here: only traces are, at {EXPORT_PATH}"));
    receiver.ingester.shared().metrics.request("grpc", answer::row(&error).label);
    if is_grpc(request.headers()) { answer::grpc_answer(&Err(error)) } else { answer::plain_answer(&error) }
}
