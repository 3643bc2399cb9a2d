//! Spans out over OTLP, to any receiver: over HTTP with retries as the specification has them, over gRPC once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message as _;
use url::Url;

use super::failure::Failure;
use super::network::{base, client, innermost, shown, unreachable};

/// Where a receiver on this machine listens for OTLP/HTTP.
pub const DEFAULT_HTTP: &str = "http://127.0.0.1:4318";
/// Where it listens for OTLP/gRPC.
pub const DEFAULT_GRPC: &str = "http://127.0.0.1:4317";
/// Longest a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Attempts for one request.
const MAX_ATTEMPTS: u32 = 12;
/// Attempts for one request whose connection is lost. Spans that come twice are stored once.
const MAX_LOST: u32 = 6;
/// The pause after the first failure when the receiver names none; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause, also when the receiver asks for more.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// What a receiver did with a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Spans it did not take.
    pub rejected: u64,
    /// Why.
    pub reason: String,
    /// Attempts after the first.
    pub retries: u32,
}

/// A receiver of OTLP over HTTP.
#[derive(Debug, Clone)]
pub struct Receiver {
    url: Url,
    /// For people: without a password.
    shown: String,
    client: reqwest::Client,
    headers: HeaderMap,
    /// Whether anybody has answered yet: until then, nobody is there to be waited for.
    has_answered: Arc<AtomicBool>,
}

impl Receiver {
    /// The receiver at a URL; without a path of its own, `/v1/traces` is added, as exporters do. Nothing is sent yet.
    ///
    /// # Errors
    /// If the text is no URL of a server.
    pub fn new(url: &str, headers: HeaderMap) -> Result<Self, Failure> {
        let mut url = base(url)?;
        if !url.path().ends_with("/v1/traces") {
            let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        Ok(Self { shown: shown(&url), url, client: client()?, headers, has_answered: Arc::default() })
    }

    /// Where requests go, for people.
    pub fn url(&self) -> &str {
        &self.shown
    }

    /// Sends one request, again when the receiver asks for patience or the connection is lost.
    ///
    /// # Errors
    /// If nobody answers, or the request is refused.
    pub async fn send(&self, request: &ExportTraceServiceRequest) -> Result<Sent, Failure> {
        let body = Bytes::from(request.encode_to_vec());
        let mut pause = FIRST_PAUSE;
        let (mut retries, mut lost) = (0, 0);
        loop {
            let wait = match self.post(body.clone()).await? {
                Posted::Done(sent) => return Ok(Sent { retries, ..sent }),
                Posted::Lost(failure) => {
                    lost += 1;
                    if lost >= MAX_LOST || retries + 1 >= MAX_ATTEMPTS {
                        return Err(Failure::error(format!("{failure} ({lost} attempts)")));
                    }
                    tracing::debug!(%failure, "the connection is lost");
                    None
                }
                Posted::Later { wait, text } if retries + 1 < MAX_ATTEMPTS => {
                    tracing::debug!(text, "the receiver asks for patience");
                    wait
                }
                Posted::Later { text, .. } => {
                    let url = self.url();
                    return Err(Failure::error(format!("{url} took nothing in {MAX_ATTEMPTS} attempts: {text}")));
                }
            };
            // Whoever lost their connections together does not come back together.
            let own = pause.mul_f64(rand::random_range(0.5..1.0));
            tokio::time::sleep(wait.unwrap_or(own).min(MAX_PAUSE)).await;
            pause = (pause * 2).min(MAX_PAUSE);
            retries += 1;
        }
    }

    async fn post(&self, body: Bytes) -> Result<Posted, Failure> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).timeout(REQUEST_TIMEOUT);
        let request = request.header(http::header::CONTENT_TYPE, "application/x-protobuf").body(body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if self.is_lost(&error) => return Ok(Posted::Lost(self.unreachable(&error))),
            Err(error) => return Err(self.unreachable(&error)),
        };
        self.has_answered.store(true, Ordering::Relaxed);
        let (status, headers) = (response.status(), response.headers().clone());
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => {
                let text = format!("the answer of {} broke off: {}", self.url(), innermost(&error));
                return Ok(Posted::Lost(Failure::error(text)));
            }
        };
        if status.is_success() {
            let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            if content_type.is_some_and(|content_type| !content_type.contains("protobuf")) {
                return Err(self.not_otlp(status));
            }
            let answer = ExportTraceServiceResponse::decode(body).map_err(|_| self.not_otlp(status))?;
            let partial = answer.partial_success.unwrap_or_default();
            let rejected = u64::try_from(partial.rejected_spans).unwrap_or(0);
            return Ok(Posted::Done(Sent { rejected, reason: partial.error_message, retries: 0 }));
        }
        let text = message(&body);
        match status.as_u16() {
            429 | 502 | 503 | 504 => {
                Ok(Posted::Later { wait: retry_after(&headers), text: format!("{status}: {text}") })
            }
            401 => Err(Failure::error(format!("{}: {text} (--tenant and --token-file say who you are)", self.url()))),
            404 | 405 => Err(self.not_otlp(status)),
            _ => Err(Failure::error(format!("{} refuses the spans ({status}): {text}", self.url()))),
        }
    }

    /// Whether there was a connection, now or before, and it may be had again: a receiver that restarts, a balancer that moves on.
    fn is_lost(&self, error: &reqwest::Error) -> bool {
        let was_there = !error.is_connect() || self.has_answered.load(Ordering::Relaxed);
        was_there && !error.is_builder() && !error.is_redirect()
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let text = unreachable(self.url(), error).to_string();
        let port = "OTLP over HTTP is received on port 4318 by default, see `spanlake serve`";
        Failure::error(text.replace(
            "name another with --url, or read a store with --storage",
            &format!("or name another with --endpoint; {port}"),
        ))
    }

    fn not_otlp(&self, status: StatusCode) -> Failure {
        Failure::error(format!(
            "{} does not receive OTLP over HTTP ({status}): the port for it is 4318 by default, 4317 is gRPC and 3200 answers \
             queries",
            self.url()
        ))
    }
}

enum Posted {
    Done(Sent),
    Later {
        wait: Option<Duration>,
        text: String,
    },
    /// Whether it came is not known.
    Lost(Failure),
}

/// The sentence of a failure: OTLP's are a `Status` in protobuf, whose second field is the message.
fn message(body: &Bytes) -> String {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Status {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
    }
    let text = match Status::decode(body.clone()) {
        Ok(status) if !status.message.is_empty() => status.message,
        _ => String::from_utf8_lossy(body).chars().take(300).collect(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `Retry-After` in seconds; its other form, a date, is left to the pause of our own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Sends one request over gRPC, without TLS and without retries.
///
/// # Errors
/// If nobody answers, or the request is refused.
pub async fn send_grpc(url: &str, headers: &HeaderMap, request: ExportTraceServiceRequest) -> Result<Sent, Failure> {
    let base = base(url)?;
    if base.scheme() == "https" {
        return Err(Failure::usage(
            "gRPC is sent without TLS here: use --protocol http, which knows TLS, or an http:// endpoint",
        ));
    }
    let endpoint = tonic::transport::Endpoint::from_shared(url.to_owned())
        .map_err(|error| Failure::usage(format!("{url:?} is not an endpoint: {error}")))?
        .connect_timeout(Duration::from_secs(10))
        .timeout(REQUEST_TIMEOUT);
    let channel = endpoint.connect().await.map_err(|error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let port = "OTLP over gRPC is received on port 4317 by default, see `spanlake serve`";
        Failure::error(format!("{url} cannot be reached: {cause}; {port}"))
    })?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Failure::error(format!("{url} is not ready: {error}")))?;
    let mut request = tonic::Request::new(request);
    *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers.clone());
    let path = http::uri::PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    let codec: tonic_prost::ProstCodec<ExportTraceServiceRequest, ExportTraceServiceResponse> = Default::default();
    let answer = client.unary(request, path, codec).await.map_err(|status| {
        let fix = match status.code() {
            tonic::Code::Unimplemented | tonic::Code::Internal | tonic::Code::Unknown => {
                " (is it the port for OTLP over gRPC, 4317 by default?)"
            }
            tonic::Code::Unauthenticated => " (--tenant and --token-file say who you are)",
            _ => "",
        };
        Failure::error(format!("{url} refuses the span: {:?}: {}{fix}", status.code(), status.message()))
    })?;
    let partial = answer.into_inner().partial_success.unwrap_or_default();
    let rejected = u64::try_from(partial.rejected_spans).unwrap_or(0);
    Ok(Sent { rejected, reason: partial.error_message, retries: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_the_path_of_otlp() {
        let check = |url: &str, expect: &str| {
            assert_eq!(Receiver::new(url, HeaderMap::new()).expect("a receiver").url(), expect);
        };
        check(DEFAULT_HTTP, "http://127.0.0.1:4318/v1/traces");
        check("https://otlp.example.com/in/", "https://otlp.example.com/in/v1/traces");
        check("http://h/v1/traces", "http://h/v1/traces");
    }

    #[tokio::test]
    async fn a_lost_connection_is_tried_again() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let receiver = Receiver::new(&url, HeaderMap::new()).expect("a receiver");
        let server = tokio::spawn(async move {
            for attempt in 0..3 {
                let (mut connection, _) = listener.accept().await.expect("a connection");
                let mut read = [0; 4096];
                let _ = connection.read(&mut read).await;
                // Twice it closes without an answer.
                if attempt == 2 {
                    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
                    connection.write_all(answer.as_bytes()).await.expect("it is read");
                }
            }
        });
        let sent = receiver.send(&ExportTraceServiceRequest::default()).await.expect("it came in the end");
        assert_eq!((sent.retries, sent.rejected), (2, 0));
        server.await.expect("the server ends");
        // Where nobody ever answered, nobody is waited for.
        let nobody = Receiver::new("http://127.0.0.1:9", HeaderMap::new()).expect("a receiver");
        let failure = nobody.send(&ExportTraceServiceRequest::default()).await.expect_err("nobody is there");
        assert!(!failure.to_string().contains("attempts"), "{failure}");
    }

    #[test]
    fn refusals_are_read() {
        assert_eq!(message(&Bytes::from_static(b"\x08\x03\x12\x04no\nx")), "no x");
        assert_eq!(message(&Bytes::from_static(b"<html> hello")), "<html> hello");
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(http::header::RETRY_AFTER, "1.5".parse().expect("a value"));
        assert_eq!(retry_after(&headers), Some(Duration::from_millis(1500)));
    }
}
