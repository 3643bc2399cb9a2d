//! OTLP over HTTP as clients see it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use spanlake_model::{ByteSize, HumanDuration, Tenant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{gzip, rpc, serve, zlib, zstd};
use crate::config::{Config, CorsConfig, ReceiverConfig};
use crate::flush::FlushFailure;
use crate::receiver::http_router;
use crate::testing::{Account, Act, ScriptedSink, account, ingester, request, request_of, span};
use crate::{Ingester, PushError};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let response = client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

async fn start(config: Config, receiver: ReceiverConfig) -> (SocketAddr, Ingester, Arc<ScriptedSink>) {
    let (ingester, sink) = ingester(config);
    (serve(http_router(ingester.clone(), receiver)).await, ingester, sink)
}

const JSON_REQUEST: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C",
    "spanId":"EEE19B7EC3C1B174","name":"I","kind":2,"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":1544712661000000000}]}]}]}"#;

#[tokio::test]
async fn every_form_of_a_good_request_is_stored_and_answered_in_kind() {
    let receiver = ReceiverConfig { path_prefix: "/otel/".to_owned(), ..ReceiverConfig::default() };
    let (address, ingester, sink) = start(Config::default(), receiver).await;
    let plain = request(3);
    let cases: [(&str, &str, &str, Vec<u8>); 11] = [
        ("/v1/traces", PROTOBUF, "", plain.to_vec()),
        ("/", PROTOBUF, "identity", plain.to_vec()),
        ("/otel/v1/traces", PROTOBUF, "gzip", gzip(&plain)),
        ("/v1/traces", "Application/X-Protobuf; charset=utf-8", "zstd", zstd(&plain)),
        ("/v1/traces", PROTOBUF, "deflate", zlib(&plain)),
        ("/v1/traces", PROTOBUF, "", Vec::new()),
        ("/v1/traces", JSON, "", JSON_REQUEST.into()),
        ("/", "application/json;charset=utf-8", "GZIP", gzip(JSON_REQUEST.as_bytes())),
        ("/v1/traces", JSON, "zstd", zstd(JSON_REQUEST.as_bytes())),
        ("/v1/traces", JSON, "", b"{}".to_vec()),
        ("/v1/traces", PROTOBUF, "gzip", gzip(b"")),
    ];
    for (path, content_type, encoding, body) in cases {
        let headers = [("content-type", content_type), ("content-encoding", encoding)];
        let answer = send(address, "POST", path, &headers, body).await;
        assert_eq!(answer.status, 200, "{path} {content_type} {encoding}: {}", answer.text());
        if content_type.to_ascii_lowercase().contains("json") {
            assert_eq!((answer.header("content-type"), answer.text().as_str()), (JSON, "{}"));
        } else {
            assert_eq!((answer.header("content-type"), answer.body.len()), (PROTOBUF, 0));
        }
    }
    assert_eq!(sink.published_spans(), 5 * 3 + 3);
    assert_eq!(account(&ingester).acked, 18);
}

/// What it is; method, path, content type, content encoding and body; the expected status and a part of its text.
type BadCase = (&'static str, &'static str, &'static str, &'static str, &'static str, Vec<u8>, u16, &'static str);

#[tokio::test]
async fn bad_input_gets_its_answer_in_its_own_encoding() {
    let config =
        Config { max_request_bytes: ByteSize::mib(1), max_decompressed_bytes: ByteSize::mib(16), ..Config::default() };
    let (address, ingester, sink) = start(config, ReceiverConfig::default()).await;
    let plain = request(3);
    let mut lying_bomb = gzip(&vec![0; 12 << 20]);
    let end = lying_bomb.len();
    lying_bomb[end - 4..].copy_from_slice(&100u32.to_le_bytes());
    let deep = format!(r#"{{"resourceSpans":{}"#, "[".repeat(100_000));
    let cases: Vec<BadCase> = vec![
        ("truncated protobuf", "POST", "/v1/traces", PROTOBUF, "", plain[..plain.len() - 3].to_vec(), 400, "at byte"),
        ("garbage protobuf", "POST", "/v1/traces", PROTOBUF, "", b"\xff\xff\xff\xff hello".to_vec(), 400, "at byte"),
        ("JSON called protobuf", "POST", "/v1/traces", PROTOBUF, "", b"{}".to_vec(), 400, "malformed"),
        ("garbage JSON", "POST", "/v1/traces", JSON, "", b"{\"resourceSpans\": nope".to_vec(), 400, "line 1 column"),
        ("empty JSON", "POST", "/v1/traces", JSON, "", Vec::new(), 400, "malformed"),
        ("protobuf called JSON", "POST", "/v1/traces", JSON, "", plain.to_vec(), 400, "malformed"),
        ("JSON of nothing but brackets", "POST", "/v1/traces", JSON, "", deep.into_bytes(), 400, "malformed"),
        ("not gzip", "POST", "/v1/traces", PROTOBUF, "gzip", plain.to_vec(), 400, "gzip body is damaged"),
        (
            "truncated gzip",
            "POST",
            "/v1/traces",
            PROTOBUF,
            "gzip",
            gzip(&plain)[..20].to_vec(),
            400,
            "gzip body is damaged",
        ),
        (
            "truncated zstd",
            "POST",
            "/v1/traces",
            JSON,
            "zstd",
            zstd(&plain)[..20].to_vec(),
            400,
            "zstd body is damaged",
        ),
        ("not zlib", "POST", "/v1/traces", PROTOBUF, "deflate", plain.to_vec(), 400, "deflate body is damaged"),
        ("too large as sent", "POST", "/v1/traces", PROTOBUF, "", vec![0; (1 << 20) + 1], 413, "max_request_bytes"),
        ("gzip bomb", "POST", "/v1/traces", PROTOBUF, "gzip", gzip(&vec![0; 64 << 20]), 413, "max_decompressed_bytes"),
        ("gzip bomb that lies", "POST", "/v1/traces", JSON, "gzip", lying_bomb, 413, "ratio"),
        ("zstd bomb", "POST", "/v1/traces", PROTOBUF, "zstd", zstd(&vec![0; 12 << 20]), 413, "ratio"),
        ("zlib bomb", "POST", "/v1/traces", PROTOBUF, "deflate", zlib(&vec![0; 64 << 20]), 413, "ratio"),
        (
            "JSON of many nothings",
            "POST",
            "/v1/traces",
            JSON,
            "gzip",
            gzip("{},".repeat(2_000_000).as_bytes()),
            413,
            "max_in_flight_bytes",
        ),
        ("unknown encoding", "POST", "/v1/traces", PROTOBUF, "br", plain.to_vec(), 415, "gzip"),
        ("two encodings", "POST", "/v1/traces", JSON, "gzip, zstd", plain.to_vec(), 415, "identity"),
        ("unknown type", "POST", "/v1/traces", "text/html", "", plain.to_vec(), 415, "application/x-protobuf"),
        ("no type", "POST", "/", "", "", plain.to_vec(), 415, "application/x-protobuf"),
        ("GET", "GET", "/v1/traces", "", "", Vec::new(), 405, "POST"),
        ("PUT", "PUT", "/v1/traces", PROTOBUF, "", plain.to_vec(), 405, "POST"),
        ("OPTIONS without CORS", "OPTIONS", "/v1/traces", "", "", Vec::new(), 405, "POST"),
        ("logs", "POST", "/v1/logs", PROTOBUF, "", plain.to_vec(), 404, "OTEL_LOGS_EXPORTER"),
        ("metrics", "POST", "/v1/metrics", JSON, "", plain.to_vec(), 404, "OTEL_METRICS_EXPORTER"),
        ("profiles", "POST", "/v1development/profiles", JSON, "", plain.to_vec(), 404, "profiles"),
        ("elsewhere", "POST", "/x/v1/traces", PROTOBUF, "", plain.to_vec(), 404, "path_prefix"),
    ];
    for (what, method, path, content_type, encoding, body, status, text) in cases {
        let mut headers = vec![("content-encoding", encoding)];
        if !content_type.is_empty() {
            headers.push(("content-type", content_type));
        }
        let started = Instant::now();
        let answer = send(address, method, path, &headers, body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert!(answer.text().contains(text), "{what}: {}", answer.text());
        assert!(started.elapsed() < Duration::from_secs(2), "{what}: {:?}", started.elapsed());
        match content_type {
            PROTOBUF => {
                assert_eq!(answer.header("content-type"), PROTOBUF, "{what}");
                assert!(!rpc::Status::decode(answer.body.as_ref()).unwrap().message.is_empty(), "{what}");
            }
            JSON => {
                assert_eq!(answer.header("content-type"), JSON, "{what}");
                let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                assert!(status["message"].is_string() && status["code"].is_u64(), "{what}");
            }
            _ => assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "{what}"),
        }
        assert_eq!(answer.header("allow"), if status == 405 { "POST" } else { "" }, "{what}");
        assert_eq!(answer.header("retry-after"), "", "{what}: repeating cannot help");
    }
    assert_eq!(sink.sealed(), [0usize; 0]);
    assert_eq!(ingester.shared().metrics.in_flight.held.get(), 0);
    let good = send(address, "POST", "/v1/traces", &[("content-type", PROTOBUF)], plain).await;
    assert_eq!(good.status, 200, "the next request is served");
}

#[tokio::test]
async fn bad_spans_are_reported_and_the_rest_is_kept() {
    let (address, ingester, _sink) = start(Config::default(), ReceiverConfig::default()).await;
    let mixed = request_of(vec![span([0; 16], 1), span([1; 16], 2), span([0; 16], 3)]).encode_to_vec();
    let answer = send(address, "POST", "/v1/traces", &[("content-type", PROTOBUF)], mixed).await;
    assert_eq!(answer.status, 200);
    let partial = ExportTraceServiceResponse::decode(answer.body).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 2);
    assert!(partial.error_message.contains("2 spans rejected"));

    let bad = JSON_REQUEST.replace("EEE19B7EC3C1B174", "00");
    let answer = send(address, "POST", "/v1/traces", &[("content-type", JSON)], bad).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains(r#""rejectedSpans":"1""#), "{}", answer.text());
    assert_eq!(account(&ingester), Account { received: 4, acked: 1, rejected: 3, failed: 0 });
}

#[tokio::test]
async fn tenants() {
    let receiver = ReceiverConfig { tenancy_enabled: true, ..ReceiverConfig::default() };
    let (address, _ingester, sink) = start(Config::default(), receiver).await;
    let cases = [("team-a", 200), ("", 401), ("../x", 400), ("a|b", 400), ("a/b", 400)];
    for (tenant, status) in cases {
        let headers = [("content-type", PROTOBUF), ("X-Scope-OrgID", tenant)];
        assert_eq!(send(address, "POST", "/v1/traces", &headers, request(1)).await.status, status, "{tenant:?}");
    }
    let absent = send(address, "POST", "/v1/traces", &[("content-type", JSON)], JSON_REQUEST).await;
    assert_eq!(absent.status, 401);
    assert!(absent.text().contains("X-Scope-OrgID"));
    assert_eq!(*sink.published.lock().unwrap(), [("team-a".to_owned(), 1)]);

    let (address, _ingester, sink) = start(Config::default(), ReceiverConfig::default()).await;
    let headers = [("content-type", PROTOBUF), ("X-Scope-OrgID", "../x")];
    assert_eq!(send(address, "POST", "/v1/traces", &headers, request(1)).await.status, 200);
    assert_eq!(*sink.published.lock().unwrap(), [("single-tenant".to_owned(), 1)]);
}

#[tokio::test]
async fn trouble_with_the_store_is_retryable_and_says_when() {
    let (address, ingester, sink) = start(Config::default(), ReceiverConfig::default()).await;
    sink.then([
        Act::Fail(FlushFailure::Unavailable(Arc::from("put of \"tenants/a/l0/x\": http://secret-host:9000"))),
        Act::Fail(FlushFailure::Full(Arc::from("put of \"tenants/a/l0/x\": no space left"))),
        Act::Fail(FlushFailure::Defect(Arc::from("bug"))),
    ]);
    for (status, text) in [(503, "could not be stored"), (503, "disk is full"), (500, "defect")] {
        let answer = send(address, "POST", "/v1/traces", &[("content-type", PROTOBUF)], request(2)).await;
        assert_eq!(answer.status, status);
        assert!(answer.text().contains(text));
        assert!(!answer.text().contains("secret-host") && !answer.text().contains("tenants/"), "{}", answer.text());
        let retry_after = answer.header("retry-after");
        if status == 503 {
            assert!((1..=5).contains(&retry_after.parse::<u32>().unwrap()));
            let status = rpc::Status::decode(answer.body).unwrap();
            assert!(status.details[0].type_url.ends_with("google.rpc.RetryInfo"));
        } else {
            assert_eq!(retry_after, "");
        }
    }
    ingester.shutdown().await;
    let answer = send(address, "POST", "/v1/traces", &[("content-type", JSON)], JSON_REQUEST).await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("shutting down"));
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(account(&ingester), Account { received: 6, acked: 0, rejected: 0, failed: 6 });
}

#[tokio::test]
async fn pressure_is_held_then_throttled_and_passes() {
    let config = Config {
        max_in_flight_bytes: ByteSize::kib(64),
        max_tenant_in_flight_bytes: Some(ByteSize::kib(32)),
        max_hold: HumanDuration::from_millis(200),
        ..Config::default()
    };
    let (address, _ingester, sink) = start(config, ReceiverConfig::default()).await;
    sink.then([Act::Succeed(Duration::from_millis(600))]);
    let push = || async { send(address, "POST", "/v1/traces", &[("content-type", PROTOBUF)], request(200)).await };
    let (first, second) = tokio::join!(push(), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let started = Instant::now();
        (push().await, started.elapsed())
    });
    assert_eq!(first.status, 200);
    let (second, held) = second;
    assert_eq!(second.status, 429, "{}", second.text());
    assert!((1..=5).contains(&second.header("retry-after").parse::<u32>().unwrap()));
    assert!(held >= Duration::from_millis(200) && held < Duration::from_millis(500), "{held:?}");
    assert_eq!(push().await.status, 200, "the pressure has passed");
}

#[tokio::test]
async fn bodies_may_come_in_chunks_but_not_for_ever() {
    let config = Config { max_request_bytes: ByteSize::kib(64), ..Config::default() };
    let receiver = ReceiverConfig { body_idle_timeout: HumanDuration::from_millis(150), ..ReceiverConfig::default() };
    let (address, ingester, sink) = start(config, receiver).await;

    let chunks = request(50)
        .chunks(100)
        .map(|chunk| Ok::<_, PushError>(Frame::data(Bytes::copy_from_slice(chunk))))
        .collect::<Vec<_>>();
    let client = Client::builder(TokioExecutor::new()).build_http::<StreamBody<_>>();
    let chunked = Request::post(format!("http://{address}/v1/traces")).header("content-type", PROTOBUF);
    let response = client.request(chunked.body(StreamBody::new(futures::stream::iter(chunks))).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(sink.published_spans(), 50);

    let exchange = |request: String, body: Vec<u8>| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        let mut answer = vec![0; 64];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await.unwrap().unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    };
    let head = format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\n");
    let slow = exchange(format!("{head}content-length: 1000\r\n\r\n"), vec![1; 10]).await;
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    let declared = exchange(format!("{head}content-length: 99999999999\r\n\r\n"), Vec::new()).await;
    assert!(declared.starts_with("HTTP/1.1 413"), "{declared}");
    let mut body = format!("{:x}\r\n", 70_000).into_bytes();
    body.extend(vec![0; 70_000]);
    let undeclared = exchange(format!("{head}transfer-encoding: chunked\r\n\r\n"), body).await;
    assert!(undeclared.starts_with("HTTP/1.1 413"), "{undeclared}");
    assert_eq!(ingester.shared().metrics.in_flight.held.get(), 0);
}

#[tokio::test]
async fn browsers_are_answered_when_allowed() {
    let cors = CorsConfig {
        allowed_origins: vec!["https://*.example.com".to_owned()],
        allowed_headers: vec!["x-api-key".to_owned()],
        ..CorsConfig::default()
    };
    let receiver = ReceiverConfig { cors, ..ReceiverConfig::default() };
    let (address, _ingester, _sink) = start(Config::default(), receiver).await;
    let preflight = |origin: &'static str| async move {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        send(address, "OPTIONS", "/v1/traces", &headers, "").await
    };
    let good = preflight("https://shop.example.com").await;
    assert_eq!(good.status, 204);
    assert_eq!(good.header("access-control-allow-origin"), "https://shop.example.com");
    assert_eq!(good.header("access-control-allow-methods"), "POST");
    assert!(good.header("access-control-allow-headers").contains("x-api-key"));
    assert!(good.header("access-control-allow-headers").contains("content-type"));
    assert_eq!(good.header("access-control-max-age"), "7200");
    let foreign = preflight("https://evil.example.org").await;
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (204, ""));

    let headers = [("origin", "https://shop.example.com"), ("content-type", JSON)];
    let stored = send(address, "POST", "/v1/traces", &headers, JSON_REQUEST).await;
    assert_eq!((stored.status, stored.header("access-control-allow-origin")), (200, "https://shop.example.com"));
    let refused = send(address, "POST", "/v1/traces", &headers, "nope").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (400, "https://shop.example.com"));
    let absent = send(address, "OPTIONS", "/v1/traces", &[], "").await;
    assert_eq!(absent.status, 405, "without its headers it is no preflight");
}

#[tokio::test]
async fn what_is_acknowledged_is_in_the_store() {
    use prometheus_client::registry::Registry;
    let store = spanlake_storage::Store::memory();
    let catalog = spanlake_catalog::Catalog::new(store, spanlake_catalog::Config::default());
    let ingester = Ingester::new(Config::default(), catalog.clone(), &mut Registry::default());
    let address = serve(http_router(ingester, ReceiverConfig::default())).await;
    let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    assert_eq!(send(address, "POST", "/v1/traces", &headers, gzip(&request(20))).await.status, 200);
    let snapshot = catalog.snapshot(&Tenant::single()).await.unwrap();
    assert_eq!(snapshot.blocks.iter().map(|block| block.meta.span_count).sum::<u64>(), 20);
}
