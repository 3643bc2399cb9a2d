//! The one table from outcomes to status codes, and answers in either protocol's words.
//!
//! It decides nothing else: an outcome has its row, and senders that retry by the OTLP specification do the right thing.

use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};
use prost::Message;
use spanlake_model::TenantError;
use spanlake_otlp::answer::{self, Code, Encoding};
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::error::PushError;
use crate::ingester::Accepted;

use super::decompress::Compression;

/// Bytes before a gRPC message: the compressed flag and the length.
pub(crate) const GRPC_PREFIX_BYTES: usize = 5;

/// Longest text in an answer: gRPC puts it into a header, and peers limit those to 8 KiB or so.
const MAX_MESSAGE_BYTES: usize = 1_024;

/// How an outcome is said in HTTP, in gRPC and in the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub http: StatusCode,
    pub grpc: Code,
    pub label: &'static str,
}

/// The table (OTLP 1.11, "Failures" of both transports). Only rows whose error has a retry hint are retryable.
pub(crate) fn row(error: &PushError) -> Row {
    let (http, grpc, label) = match error {
        PushError::Malformed(_) => (400, Code::InvalidArgument, "malformed"),
        PushError::BrokenBody(_) => (400, Code::InvalidArgument, "broken_body"),
        PushError::Tenant(TenantError::Absent) => (401, Code::Unauthenticated, "no_tenant"),
        PushError::Tenant(_) => (400, Code::InvalidArgument, "bad_tenant"),
        PushError::NotFound(_) => (404, Code::Unimplemented, "not_found"),
        PushError::Method { .. } => (405, Code::Unimplemented, "bad_method"),
        PushError::SlowBody(_) => (408, Code::DeadlineExceeded, "slow_body"),
        PushError::TooLarge { .. } => (413, Code::ResourceExhausted, "too_large"),
        PushError::ContentType { .. } => (415, Code::Unimplemented, "bad_content_type"),
        PushError::ContentEncoding { .. } => (415, Code::Unimplemented, "bad_content_encoding"),
        PushError::Throttled { .. } => (429, Code::ResourceExhausted, "throttled"),
        PushError::Unavailable { .. } => (503, Code::Unavailable, "unavailable"),
        PushError::Full { .. } => (503, Code::Unavailable, "disk_full"),
        PushError::ShuttingDown { .. } => (503, Code::Unavailable, "shutting_down"),
        PushError::Internal(_) => (500, Code::Internal, "internal"),
    };
    Row { http: StatusCode::from_u16(http).expect("the table has valid codes"), grpc, label }
}

/// The outcome as a metric label.
pub(crate) fn label(outcome: &Result<Accepted, PushError>) -> &'static str {
    match outcome {
        Ok(accepted) if accepted.rejected_count > 0 => "partial",
        Ok(_) => "ok",
        Err(error) => row(error).label,
    }
}

fn status(error: &PushError) -> answer::Status {
    let mut message = error.to_string();
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        message.push('…');
    }
    let status = answer::Status::new(row(error).grpc, message);
    match (error, error.retry_after()) {
        (_, Some(delay)) => status.retry_after(delay),
        (PushError::Tenant(problem), None) => status.violation("X-Scope-OrgID", problem.to_string()),
        _ => status,
    }
}

/// The HTTP answer to an export in this encoding.
pub(crate) fn http_answer(outcome: &Result<Accepted, PushError>, encoding: Encoding) -> Response {
    let (code, body) = match outcome {
        Ok(accepted) => {
            let response = answer::response(accepted.rejected_count, &accepted.message);
            (StatusCode::OK, answer::encode_response(&response, encoding))
        }
        Err(error) => (row(error).http, status(error).encode(encoding)),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(encoding.content_type()));
    if let Err(error) = outcome {
        hint(error, response.headers_mut());
    }
    response
}

/// The HTTP answer when the request is in no encoding that an answer could follow.
pub(crate) fn plain_answer(error: &PushError) -> Response {
    let mut response = Response::new(Body::from(format!("{error}\n")));
    *response.status_mut() = row(error).http;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    hint(error, response.headers_mut());
    response
}

/// What HTTP says in headers about how to do better.
fn hint(error: &PushError, headers: &mut HeaderMap) {
    if let Some(delay) = error.retry_after() {
        // Whole seconds: some exporters parse nothing else.
        headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_millis().div_ceil(1_000) as u64));
    }
    match error {
        PushError::Method { .. } => headers.insert(ALLOW, HeaderValue::from_static("POST")),
        PushError::ContentEncoding { .. } => {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(Compression::SUPPORTED))
        }
        _ => None,
    };
}

/// The gRPC answer: a message and trailers, or trailers only.
pub(crate) fn grpc_answer(outcome: &Result<Accepted, PushError>) -> Response {
    let mut response = match outcome {
        Ok(accepted) => grpc_message(accepted),
        Err(error) => grpc_status(error).into_http(),
    };
    let encodings = HeaderValue::from_static("gzip,zstd,deflate,identity");
    response.headers_mut().insert(HeaderName::from_static("grpc-accept-encoding"), encodings);
    response
}

fn grpc_message(accepted: &Accepted) -> Response {
    let message = answer::response(accepted.rejected_count, &accepted.message);
    let message_bytes = message.encoded_len();
    let mut body = BytesMut::with_capacity(GRPC_PREFIX_BYTES + message_bytes);
    body.put_u8(0);
    body.put_u32(u32::try_from(message_bytes).expect("the message is some hundred bytes long"));
    message.encode(&mut body).expect("the buffer has room for the message");
    let mut trailers = HeaderMap::new();
    trailers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    let body = Full::<Bytes>::new(body.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn grpc_status(error: &PushError) -> tonic::Status {
    let status = status(error);
    let code = tonic::Code::from(status.code as i32);
    let mut metadata = MetadataMap::new();
    let details = if let Some(delay) = status.retry_delay {
        // Read by the Python exporter, which knows no other hint; the details are for everybody else.
        metadata.insert_bin("google.rpc.retryinfo-bin", MetadataValue::from_bytes(&answer::retry_info(delay)));
        Bytes::from(status.encode_protobuf())
    } else if status.violations.is_empty() {
        Bytes::new()
    } else {
        Bytes::from(status.encode_protobuf())
    };
    tonic::Status::with_details_and_metadata(code, status.message, details, metadata)
}
