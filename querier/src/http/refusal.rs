//! What each failure becomes: a status of HTTP, a status of gRPC, and a sentence.

use ::http::header::RETRY_AFTER;
use ::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tonic::{Code, Status};

use crate::error::Error;

/// When a client that met a full queue may come again.
const RETRY_AFTER_SECONDS: &str = "1";
/// What the metrics say of a client that went away.
pub(crate) const CLIENT_GONE: u16 = 499;

/// A refusal: a status and a sentence.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

impl Refusal {
    /// The request is wrong.
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, text.into())
    }

    /// The same over gRPC.
    pub(crate) fn into_status(self) -> Status {
        let code = match self.0 {
            StatusCode::BAD_REQUEST => Code::InvalidArgument,
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            StatusCode::GATEWAY_TIMEOUT => Code::DeadlineExceeded,
            status if status.as_u16() == CLIENT_GONE => Code::Cancelled,
            status if status.is_server_error() => Code::Internal,
            _ => Code::Unknown,
        };
        Status::new(code, self.1)
    }
}

impl From<Error> for Refusal {
    fn from(e: Error) -> Self {
        let status = match &e {
            Error::Damaged { .. } | Error::Missing { .. } | Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Error::TooManyBlocks { .. }
            | Error::TooManyBytes { .. }
            | Error::TooManyTraces { .. }
            | Error::OutOfMemory { .. }
            | Error::TooManyResultBytes { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Error::TooManyTags { .. } | Error::BadQuery(_) | Error::InvalidSql(_) => StatusCode::BAD_REQUEST,
            Error::Busy | Error::TooManyDeleted(_) => StatusCode::TOO_MANY_REQUESTS,
            Error::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
            Error::Cancelled => StatusCode::from_u16(CLIENT_GONE).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
        Self(status, e.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.0, self.1).into_response();
        if matches!(self.0, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn failures_become_statuses() {
        let check = |error: Error, http: u16, grpc: Code| {
            let refusal = Refusal::from(error.clone());
            assert_eq!(refusal.0.as_u16(), http, "{error}");
            let status = refusal.into_status();
            assert_eq!((status.code(), status.message()), (grpc, error.to_string().as_str()));
        };
        let key = || "a".into();
        check(Error::Damaged { key: key(), damage: "x".into() }, 500, Code::Internal);
        check(Error::Missing { key: key() }, 500, Code::Internal);
        check(Error::Internal("x".into()), 500, Code::Internal);
        check(Error::Unavailable { problem: "x".into() }, 503, Code::Unavailable);
        check(Error::TooManyBlocks { block_count: 2, max: 1 }, 422, Code::ResourceExhausted);
        check(Error::TooManyTags { tag_count: 2, max: 1 }, 400, Code::InvalidArgument);
        check(Error::Busy, 429, Code::ResourceExhausted);
        check(Error::TimedOut { limit: Duration::from_secs(1) }, 504, Code::DeadlineExceeded);
        assert_eq!(Refusal(StatusCode::NOT_FOUND, String::new()).into_status().code(), Code::NotFound);
        assert_eq!(Refusal(StatusCode::UNAUTHORIZED, String::new()).into_status().code(), Code::Unauthenticated);
        let gone = StatusCode::from_u16(CLIENT_GONE).expect("three digits");
        assert_eq!(Refusal(gone, String::new()).into_status().code(), Code::Cancelled);
    }
}
