//! An exporter of OTLP over either of its transports: one connection, one request at a time, no second attempt.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use clap::ValueEnum;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::TokioExecutor;
use prost::Message as _;

use crate::Error;
use crate::client::{Answer, Client, Endpoint, dial, retry_after, timed};

const TENANT_HEADER: HeaderName = HeaderName::from_static("x-scope-orgid");
/// The statuses by which gRPC says that a call is to be made again later (OTLP 1.11, "Failures").
const RESOURCE_EXHAUSTED: &str = "8";
const UNAVAILABLE: &str = "14";

/// How spans are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Transport {
    /// OTLP over HTTP/1.1.
    Http,
    /// OTLP over gRPC, what collectors use unless they are told otherwise.
    Grpc,
}

/// What a server said to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    /// To be sent again, after so long if it said when.
    Refused(Option<Duration>),
    /// Anything else, in its words.
    Other(String),
}

/// A connection, opened when first needed and again when it breaks.
pub(super) enum Exporter {
    Http { client: Client, headers: HeaderMap },
    Grpc(Grpc),
}

impl Exporter {
    /// To `address`, a host and a port.
    pub(super) fn new(transport: Transport, address: &str, tenant: Option<&'static str>) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        if let Some(tenant) = tenant {
            headers.insert(TENANT_HEADER, HeaderValue::from_static(tenant));
        }
        let mut add = |name, value| headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        match transport {
            Transport::Http => {
                add("content-type", "application/x-protobuf");
                let endpoint = Endpoint::parse(&format!("http://{address}"), "/v1/traces")?;
                Ok(Self::Http { client: Client::new(endpoint), headers })
            }
            Transport::Grpc => {
                add("content-type", "application/grpc");
                add("te", "trailers");
                Ok(Self::Grpc(Grpc { address: address.to_owned(), headers, sender: None }))
            }
        }
    }

    /// Sends one request.
    ///
    /// # Errors
    /// [`Error::Server`] if the call broke: what became of the request is not known.
    pub(super) async fn export(&mut self, request: Bytes) -> Result<Outcome, Error> {
        match self {
            Self::Http { client, headers } => {
                let answer = client.call(Method::POST, "/v1/traces", headers, request).await?;
                Ok(match answer.status.as_u16() {
                    200..300 => Outcome::Accepted,
                    429 | 503 => Outcome::Refused(retry_after(&answer.headers)),
                    _ => Outcome::Other(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body))),
                })
            }
            Self::Grpc(grpc) => {
                let mut message = BytesMut::with_capacity(request.len() + 5);
                message.put_u8(0);
                message.put_u32(u32::try_from(request.len()).expect("a request is far below 4 GiB"));
                message.put(request);
                let answer = timed(grpc.call(message.freeze())).await.map_err(|problem| {
                    grpc.sender = None;
                    Error::Server { endpoint: grpc.address.clone(), problem }
                })?;
                Ok(grpc_outcome(&answer))
            }
        }
    }
}

/// A gRPC connection: the one method, the framing of one message.
pub(super) struct Grpc {
    address: String,
    headers: HeaderMap,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Grpc {
    /// The answer with its trailers among the headers.
    async fn call(&mut self, message: Bytes) -> Result<Answer, String> {
        let text = |error: hyper::Error| error.to_string();
        if self.sender.as_ref().is_none_or(SendRequest::is_closed) {
            let stream = dial(&self.address).await?;
            let (sender, connection) = handshake(TokioExecutor::new(), stream).await.map_err(text)?;
            // The connection's own errors come back through the sender.
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        let sender = self.sender.as_mut().expect("the lines above put it there");
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let uri: Uri = format!("http://{}{path}", self.address).parse().map_err(|_| "not an address".to_owned())?;
        let mut request = Request::new(Full::new(message));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (Method::POST, uri, self.headers.clone());
        sender.ready().await.map_err(text)?;
        let (parts, body) = sender.send_request(request).await.map_err(text)?.into_parts();
        let body = body.collect().await.map_err(text)?;
        let mut headers = parts.headers;
        headers.extend(body.trailers().cloned().unwrap_or_default());
        Ok(Answer { status: parts.status, headers, body: body.to_bytes() })
    }
}

fn grpc_outcome(answer: &Answer) -> Outcome {
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match header("grpc-status") {
        "0" => Outcome::Accepted,
        RESOURCE_EXHAUSTED | UNAVAILABLE => Outcome::Refused(retry_info(header("google.rpc.retryinfo-bin"))),
        status => Outcome::Other(format!("{}, gRPC status {status}: {}", answer.status, header("grpc-message"))),
    }
}

/// `google.rpc.RetryInfo` as a header carries it.
fn retry_info(header: &str) -> Option<Duration> {
    let bytes = STANDARD_NO_PAD.decode(header.trim_end_matches('=')).ok()?;
    let delay = RetryInfo::decode(bytes.as_slice()).ok()?.retry_delay?;
    Some(Duration::new(u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?))
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, prost::Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_grpc_server_says() {
        let check = |headers: &[(&'static str, &'static str)], expect: Outcome| {
            let headers = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            let answer = Answer { status: http::StatusCode::OK, headers, body: Bytes::new() };
            assert_eq!(grpc_outcome(&answer), expect, "{:?}", answer.headers);
        };
        const HINT: &str = "google.rpc.retryinfo-bin";
        check(&[("grpc-status", "0")], Outcome::Accepted);
        // RetryInfo { retry_delay: 1.5 s }
        let told = Outcome::Refused(Some(Duration::from_millis(1_500)));
        check(&[("grpc-status", "8"), (HINT, "CggIARCAyrXuAQ")], told);
        let told = Outcome::Refused(Some(Duration::from_millis(1_500)));
        check(&[("grpc-status", "14"), (HINT, "CggIARCAyrXuAQ==")], told);
        check(&[("grpc-status", "8")], Outcome::Refused(None));
        check(&[("grpc-status", "8"), (HINT, "no base64")], Outcome::Refused(None));
        // -1 s
        check(&[("grpc-status", "8"), (HINT, "CgsI////////////AQ")], Outcome::Refused(None));
        check(&[], Outcome::Other("200 OK, gRPC status : ".to_owned()));
        let other = Outcome::Other("200 OK, gRPC status 13: a defect".to_owned());
        check(&[("grpc-status", "13"), ("grpc-message", "a defect")], other);
    }
}
