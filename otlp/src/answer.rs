//! What a receiver says back: the OTLP response and `google.rpc.Status`, in protobuf and in their JSON mapping. Which
//! status goes with which outcome, and every header, is the receiver's business.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;
use serde_json::{Value, json};

/// The encoding of a message: always that of the request it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Binary protobuf.
    Protobuf,
    /// OTLP/JSON.
    Json,
}

impl Encoding {
    /// The exact `Content-Type` of an answer. Exporters compare it literally: nothing may be appended to it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// The response to an export that was accepted, wholly or in part.
///
/// With no rejected span and no message `partial_success` stays unset, as the specification demands of a full success.
/// A message without rejected spans is a warning.
pub fn response(rejected_span_count: u64, message: &str) -> ExportTraceServiceResponse {
    let partial = rejected_span_count > 0 || !message.is_empty();
    ExportTraceServiceResponse {
        partial_success: partial.then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(rejected_span_count).unwrap_or(i64::MAX),
            error_message: message.to_owned(),
        }),
    }
}

/// A response as the body of an HTTP answer.
pub fn encode_response(response: &ExportTraceServiceResponse, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => response.encode_to_vec(),
        Encoding::Json => {
            let mut body = json!({});
            if let Some(partial) = &response.partial_success {
                body["partialSuccess"] = json!({});
                if partial.rejected_spans != 0 {
                    body["partialSuccess"]["rejectedSpans"] = partial.rejected_spans.to_string().into();
                }
                if !partial.error_message.is_empty() {
                    body["partialSuccess"]["errorMessage"] = partial.error_message.as_str().into();
                }
            }
            body.to_string().into_bytes()
        }
    }
}

/// `google.rpc.Code`: the status codes of gRPC that a receiver uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// The request itself is wrong.
    InvalidArgument = 3,
    /// Work took longer than the caller waits.
    DeadlineExceeded = 4,
    /// No such method or path.
    NotFound = 5,
    /// The caller is known and may not.
    PermissionDenied = 7,
    /// Too much: too large, or, with a retry hint, too fast.
    ResourceExhausted = 8,
    /// The method, or an encoding it was called with, is not there.
    Unimplemented = 12,
    /// A fault of ours.
    Internal = 13,
    /// Cannot be served now.
    Unavailable = 14,
    /// The caller is not known.
    Unauthenticated = 16,
}

/// A `google.rpc.Status`: the body of every HTTP error answer, and the content of `grpc-status-details-bin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The gRPC status code.
    pub code: Code,
    /// A sentence for the developer who reads it.
    pub message: String,
    /// When to try again: becomes a `RetryInfo` detail.
    pub retry_delay: Option<Duration>,
    /// What is wrong with which part of the request: becomes a `BadRequest` detail.
    pub violations: Vec<Violation>,
}

/// One entry of a `google.rpc.BadRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, or name of the header.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl Status {
    /// A status with a message and no details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_delay: None, violations: Vec::new() }
    }

    /// The same with a retry hint.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_delay = Some(delay);
        self
    }

    /// The same with one more violation.
    #[must_use]
    pub fn violation(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.violations.push(Violation { field: field.into(), description: description.into() });
        self
    }

    /// The status as the body of an HTTP answer.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Protobuf => self.encode_protobuf(),
            Encoding::Json => self.to_json().to_string().into_bytes(),
        }
    }

    /// The content of the gRPC trailer `grpc-status-details-bin`.
    pub fn encode_protobuf(&self) -> Vec<u8> {
        let mut details = Vec::new();
        if let Some(delay) = self.retry_delay {
            details.push(rpc::Any { type_url: RETRY_INFO.to_owned(), value: retry_info(delay) });
        }
        if !self.violations.is_empty() {
            let field_violations = self.violations.iter().map(|violation| rpc::FieldViolation {
                field: violation.field.clone(),
                description: violation.description.clone(),
            });
            let bad_request = rpc::BadRequest { field_violations: field_violations.collect() };
            details.push(rpc::Any { type_url: BAD_REQUEST.to_owned(), value: bad_request.encode_to_vec() });
        }
        rpc::Status { code: self.code as i32, message: self.message.clone(), details }.encode_to_vec()
    }

    fn to_json(&self) -> Value {
        let mut details = Vec::new();
        if let Some(delay) = self.retry_delay {
            details.push(json!({ "@type": RETRY_INFO, "retryDelay": duration_text(delay) }));
        }
        if !self.violations.is_empty() {
            let violations = self.violations.iter().map(|v| json!({ "field": v.field, "description": v.description }));
            details.push(json!({ "@type": BAD_REQUEST, "fieldViolations": violations.collect::<Vec<_>>() }));
        }
        let mut body = json!({ "code": self.code as i32, "message": self.message });
        if !details.is_empty() {
            body["details"] = Value::Array(details);
        }
        body
    }
}

/// A bare `google.rpc.RetryInfo`: the content of the gRPC trailer `google.rpc.retryinfo-bin`, the only hint that the
/// Python exporter reads.
pub fn retry_info(delay: Duration) -> Vec<u8> {
    let delay = rpc::Duration {
        seconds: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
        nanos: delay.subsec_nanos().cast_signed(),
    };
    rpc::RetryInfo { retry_delay: Some(delay) }.encode_to_vec()
}

/// A duration in proto3 JSON: seconds with 0, 3, 6 or 9 decimals.
fn duration_text(delay: Duration) -> String {
    let (seconds, nanos) = (delay.as_secs(), delay.subsec_nanos());
    match nanos {
        0 => format!("{seconds}s"),
        _ if nanos % 1_000_000 == 0 => format!("{seconds}.{:03}s", nanos / 1_000_000),
        _ if nanos % 1_000 == 0 => format!("{seconds}.{:06}s", nanos / 1_000),
        _ => format!("{seconds}.{nanos:09}s"),
    }
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

/// The few messages of `google/rpc/status.proto` and `error_details.proto` that are spoken here.
mod rpc {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Status {
        #[prost(int32, tag = "1")]
        pub(super) code: i32,
        #[prost(string, tag = "2")]
        pub(super) message: String,
        #[prost(message, repeated, tag = "3")]
        pub(super) details: Vec<Any>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Any {
        #[prost(string, tag = "1")]
        pub(super) type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        pub(super) retry_delay: Option<Duration>,
    }

    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub(super) struct Duration {
        #[prost(int64, tag = "1")]
        pub(super) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(super) nanos: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct BadRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) field_violations: Vec<FieldViolation>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct FieldViolation {
        #[prost(string, tag = "1")]
        pub(super) field: String,
        #[prost(string, tag = "2")]
        pub(super) description: String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn responses() {
        let check = |rejected: u64, message: &str, protobuf: &str, json: &str| {
            let response = response(rejected, message);
            assert_eq!(hex(&encode_response(&response, Encoding::Protobuf)), protobuf);
            assert_eq!(encode_response(&response, Encoding::Json), json.as_bytes());
        };
        check(0, "", "", "{}");
        check(
            3,
            "no",
            "0a0608031202 6e6f".replace(' ', "").as_str(),
            r#"{"partialSuccess":{"errorMessage":"no","rejectedSpans":"3"}}"#,
        );
        check(0, "hm", "0a041202686d", r#"{"partialSuccess":{"errorMessage":"hm"}}"#);
    }

    #[test]
    fn statuses() {
        let plain = Status::new(Code::InvalidArgument, "no");
        assert_eq!(hex(&plain.encode(Encoding::Protobuf)), "080312026e6f");
        assert_eq!(plain.encode(Encoding::Json), br#"{"code":3,"message":"no"}"#);

        let throttled = Status::new(Code::ResourceExhausted, "slow").retry_after(Duration::from_millis(1500));
        let decoded = rpc::Status::decode(throttled.encode_protobuf().as_slice()).expect("own encoding");
        assert_eq!(decoded.code, 8);
        assert_eq!(decoded.details[0].type_url, RETRY_INFO);
        assert_eq!(hex(&decoded.details[0].value), hex(&retry_info(Duration::from_millis(1500))));
        assert_eq!(hex(&retry_info(Duration::from_millis(1500))), "0a0808011080cab5ee01");
        assert_eq!(
            String::from_utf8(throttled.encode(Encoding::Json)).expect("JSON is UTF-8"),
            r#"{"code":8,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500s"}],"message":"slow"}"#
        );

        let bad = Status::new(Code::InvalidArgument, "no").violation("X-Scope-OrgID", "has a slash");
        let decoded = rpc::Status::decode(bad.encode_protobuf().as_slice()).expect("own encoding");
        let detail = rpc::BadRequest::decode(decoded.details[0].value.as_slice()).expect("own encoding");
        assert_eq!(detail.field_violations[0].field, "X-Scope-OrgID");
        assert!(
            String::from_utf8(bad.encode(Encoding::Json)).expect("JSON is UTF-8").contains(r#""fieldViolations":[{"#)
        );
    }

    #[test]
    fn durations() {
        let check = |delay: Duration, expect: &str| assert_eq!(duration_text(delay), expect);
        check(Duration::from_secs(1), "1s");
        check(Duration::from_micros(2_000_300), "2.000300s");
        check(Duration::from_nanos(5), "0.000000005s");
    }
}
