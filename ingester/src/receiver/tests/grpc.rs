//! OTLP over gRPC as tonic's client sees it, and as bytes where a client cannot be made to err.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use spanlake_model::{ByteSize, HumanDuration};
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

use super::{gzip, rpc, serve};
use crate::Ingester;
use crate::config::{Config, ReceiverConfig};
use crate::flush::FlushFailure;
use crate::receiver::grpc::EXPORT_PATH;
use crate::receiver::{grpc_router, http_router};
use crate::testing::{Account, Act, ScriptedSink, account, ingester, request_of, span};

async fn start(config: Config, receiver: ReceiverConfig) -> (SocketAddr, Ingester, Arc<ScriptedSink>) {
    let (ingester, sink) = ingester(config);
    (serve(grpc_router(ingester.clone(), receiver)).await, ingester, sink)
}

async fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

fn spans(span_count: usize) -> ExportTraceServiceRequest {
    request_of((0..span_count).map(|i| span([7; 16], i)).collect())
}

struct Call {
    path: &'static str,
    encoding: Option<CompressionEncoding>,
    tenant: Option<&'static str>,
}

const PLAIN: Call = Call { path: EXPORT_PATH, encoding: None, tenant: None };

impl Call {
    async fn send(
        &self,
        channel: &Channel,
        message: ExportTraceServiceRequest,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut client = tonic::client::Grpc::new(channel.clone());
        if let Some(encoding) = self.encoding {
            client = client.send_compressed(encoding);
        }
        client.ready().await.unwrap();
        let mut request = Request::new(message);
        if let Some(tenant) = self.tenant {
            request.metadata_mut().insert("x-scope-orgid", tenant.parse().unwrap());
        }
        let codec = ProstCodec::<ExportTraceServiceRequest, ExportTraceServiceResponse>::default();
        client.unary(request, PathAndQuery::from_static(self.path), codec).await
    }
}

/// Both hints, in the details and bare, when there are any.
fn hints(status: &Status) -> Option<(Duration, Duration)> {
    let delay = |info: rpc::RetryInfo| {
        let delay = info.retry_delay.unwrap();
        Duration::new(delay.seconds as u64, delay.nanos as u32)
    };
    let bare = status.metadata().get_bin("google.rpc.retryinfo-bin")?;
    let bare = rpc::RetryInfo::decode(bare.to_bytes().unwrap()).unwrap();
    let details = rpc::Status::decode(status.details()).unwrap();
    assert_eq!((details.code, details.message.as_str()), (status.code() as i32, status.message()));
    assert_eq!(details.details[0].type_url, "type.googleapis.com/google.rpc.RetryInfo");
    let standard = rpc::RetryInfo::decode(details.details[0].value.as_slice()).unwrap();
    Some((delay(standard), delay(bare)))
}

#[track_caller]
fn check_retryable(status: &Status, code: Code) {
    assert_eq!(status.code(), code, "{status:?}");
    let (standard, bare) = hints(status).expect("a retryable status has both trailers");
    assert_eq!(standard, bare);
    assert!(standard >= Duration::from_secs(1) && standard <= Duration::from_secs(5));
}

#[tokio::test]
async fn good_calls_are_stored() {
    let (address, ingester, sink) = start(Config::default(), ReceiverConfig::default()).await;
    let channel = connect(address).await;
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let answer = Call { encoding, ..PLAIN }.send(&channel, spans(5)).await.unwrap();
        assert_eq!(answer.into_inner().partial_success, None);
    }
    let empty = PLAIN.send(&channel, ExportTraceServiceRequest::default()).await.unwrap();
    assert_eq!(empty.into_inner().partial_success, None);
    assert_eq!(sink.published_spans(), 15);

    let mixed = request_of(vec![span([0; 16], 1), span([1; 16], 2)]);
    let partial = PLAIN.send(&channel, mixed).await.unwrap().into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert_eq!(account(&ingester), Account { received: 17, acked: 16, rejected: 1, failed: 0 });
    let counted = ingester.shared().metrics.requests.clone();
    let label = |status| crate::metrics::RequestLabel { transport: "grpc", status };
    assert_eq!(counted.get_or_create(&label("ok")).get(), 4);
    assert_eq!(counted.get_or_create(&label("partial")).get(), 1);
}

#[tokio::test]
async fn the_http_port_answers_grpc_too() {
    let (ingester, sink) = ingester(Config::default());
    let address = serve(http_router(ingester, ReceiverConfig::default())).await;
    let channel = connect(address).await;
    PLAIN.send(&channel, spans(2)).await.unwrap();
    assert_eq!(sink.published_spans(), 2);
    let logs = Call { path: "/opentelemetry.proto.collector.logs.v1.LogsService/Export", ..PLAIN };
    assert_eq!(logs.send(&channel, spans(2)).await.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn trouble_is_retryable_with_both_trailers() {
    let (address, ingester, sink) = start(Config::default(), ReceiverConfig::default()).await;
    let channel = connect(address).await;
    sink.then([
        Act::Fail(FlushFailure::Unavailable(Arc::from("away"))),
        Act::Fail(FlushFailure::Full(Arc::from("no space"))),
    ]);
    check_retryable(&PLAIN.send(&channel, spans(1)).await.unwrap_err(), Code::Unavailable);
    check_retryable(&PLAIN.send(&channel, spans(1)).await.unwrap_err(), Code::Unavailable);
    PLAIN.send(&channel, spans(1)).await.unwrap();
    ingester.shutdown().await;
    check_retryable(&PLAIN.send(&channel, spans(1)).await.unwrap_err(), Code::Unavailable);
    assert_eq!(account(&ingester), Account { received: 3, acked: 1, rejected: 0, failed: 2 });
}

#[tokio::test]
async fn pressure_is_throttled_with_both_trailers() {
    let config = Config {
        max_in_flight_bytes: ByteSize::kib(64),
        max_tenant_in_flight_bytes: Some(ByteSize::kib(32)),
        max_hold: HumanDuration::from_millis(100),
        ..Config::default()
    };
    let (address, _ingester, sink) = start(config, ReceiverConfig::default()).await;
    let channel = connect(address).await;
    sink.then([Act::Succeed(Duration::from_millis(500))]);
    let (first, second) = tokio::join!(PLAIN.send(&channel, spans(200)), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        PLAIN.send(&channel, spans(200)).await
    });
    first.unwrap();
    check_retryable(&second.unwrap_err(), Code::ResourceExhausted);
    PLAIN.send(&channel, spans(200)).await.unwrap();
}

#[tokio::test]
async fn what_is_too_large_is_not_retryable() {
    let config =
        Config { max_request_bytes: ByteSize::kib(64), max_decompressed_bytes: ByteSize::kib(64), ..Config::default() };
    let (address, _ingester, _sink) = start(config, ReceiverConfig::default()).await;
    let channel = connect(address).await;
    for encoding in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let status = Call { encoding, ..PLAIN }.send(&channel, spans(5_000)).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(hints(&status).is_none() && status.details().is_empty(), "{status:?}");
    }
}

#[tokio::test]
async fn other_services_are_unimplemented() {
    let (address, _ingester, _sink) = start(Config::default(), ReceiverConfig::default()).await;
    let channel = connect(address).await;
    let metrics = Call { path: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", ..PLAIN };
    assert_eq!(metrics.send(&channel, spans(1)).await.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn tenants() {
    let receiver = ReceiverConfig { tenancy_enabled: true, ..ReceiverConfig::default() };
    let (address, _ingester, sink) = start(Config::default(), receiver).await;
    let channel = connect(address).await;
    let send = |tenant| {
        let channel = channel.clone();
        async move { Call { tenant, ..PLAIN }.send(&channel, spans(1)).await.map_err(|status| status.code()) }
    };
    assert!(send(Some("team-a")).await.is_ok());
    assert_eq!(send(None).await.unwrap_err(), Code::Unauthenticated);
    assert_eq!(send(Some("../x")).await.unwrap_err(), Code::InvalidArgument);
    assert_eq!(*sink.published.lock().unwrap(), [("team-a".to_owned(), 1)]);
}

/// Sends bytes as a call and returns its status.
async fn raw(address: SocketAddr, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Option<Status>) {
    use http_body_util::{BodyExt, Full};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let mut request = http::Request::post(format!("http://{address}{EXPORT_PATH}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client.request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned();
    let status =
        trailers.as_ref().and_then(Status::from_header_map).or_else(|| Status::from_header_map(&parts.headers));
    (parts.status.as_u16(), status)
}

fn frame(flag: u8, declared: u32, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &declared.to_be_bytes(), message].concat()
}

/// What it is, its headers, its body, the expected status.
type RawCase = (&'static str, Vec<(&'static str, &'static str)>, Vec<u8>, Code);

#[tokio::test]
async fn bad_calls() {
    let (address, ingester, _sink) = start(Config::default(), ReceiverConfig::default()).await;
    let good = spans(3).encode_to_vec();
    let len = good.len() as u32;
    let grpc = ("content-type", "application/grpc");
    let cases: Vec<RawCase> = vec![
        ("good", vec![grpc], frame(0, len, &good), Code::Ok),
        ("good with parameters", vec![("content-type", "application/grpc+proto")], frame(0, len, &good), Code::Ok),
        (
            "gzip",
            vec![grpc, ("grpc-encoding", "gzip")],
            {
                let small = gzip(&good);
                frame(1, small.len() as u32, &small)
            },
            Code::Ok,
        ),
        ("announced but not used", vec![grpc, ("grpc-encoding", "gzip")], frame(0, len, &good), Code::Ok),
        ("no message", vec![grpc], Vec::new(), Code::InvalidArgument),
        ("half a prefix", vec![grpc], vec![0, 0], Code::InvalidArgument),
        ("less than declared", vec![grpc], frame(0, len + 1, &good), Code::InvalidArgument),
        ("two messages", vec![grpc], [frame(0, len, &good), frame(0, len, &good)].concat(), Code::InvalidArgument),
        ("malformed", vec![grpc], frame(0, len - 2, &good[..good.len() - 2]), Code::InvalidArgument),
        ("compressed by nothing", vec![grpc], frame(1, len, &good), Code::InvalidArgument),
        ("unknown flag", vec![grpc], frame(7, len, &good), Code::InvalidArgument),
        ("not gzip", vec![grpc, ("grpc-encoding", "gzip")], frame(1, len, &good), Code::InvalidArgument),
        ("snappy", vec![grpc, ("grpc-encoding", "snappy")], frame(1, len, &good), Code::Unimplemented),
        ("gigantic length", vec![grpc], frame(0, u32::MAX, &good), Code::ResourceExhausted),
        (
            "gzip bomb",
            vec![grpc, ("grpc-encoding", "gzip")],
            {
                let bomb = gzip(&vec![0; 100 << 20]);
                frame(1, bomb.len() as u32, &bomb)
            },
            Code::ResourceExhausted,
        ),
    ];
    for (what, headers, body, code) in cases {
        let (http, status) = raw(address, &headers, body).await;
        let status = status.unwrap_or_else(|| panic!("{what}: no status"));
        assert_eq!((http, status.code()), (200, code), "{what}: {status:?}");
        assert!(code == Code::Ok || !status.message().is_empty(), "{what}");
        assert!(hints(&status).is_none(), "{what}");
    }
    let (http, _) = raw(address, &[("content-type", "application/json")], b"{}".to_vec()).await;
    assert_eq!(http, 415);
    assert_eq!(ingester.shared().metrics.in_flight.held.get(), 0);
}
