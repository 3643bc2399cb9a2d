//! A replay against a small server that throttles, rejects a span, and drops a connection.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message as _;
use tokio::net::TcpListener;

use super::*;
use crate::corpus::{Corpus, Message, Spec};

/// Its second request is throttled, its third throttled without a hint, its fourth has one rejected span.
async fn serve(listener: TcpListener, calls: Arc<AtomicU32>, spans: Arc<std::sync::atomic::AtomicU64>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (calls, spans) = (Arc::clone(&calls), Arc::clone(&spans));
        let service = service_fn(move |request: Request<Incoming>| {
            let (calls, spans) = (Arc::clone(&calls), Arc::clone(&spans));
            async move {
                assert_eq!(request.uri().path(), "/v1/traces");
                assert_eq!(request.headers()["content-type"], "application/x-protobuf");
                let gzip = request.headers().contains_key("content-encoding");
                let body = request.into_body().collect().await?.to_bytes();
                let call = calls.fetch_add(1, Ordering::SeqCst);
                if call == 1 || call == 2 {
                    let mut answer = Response::new(Full::new(Bytes::from_static(b"busy")));
                    *answer.status_mut() =
                        if call == 1 { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::SERVICE_UNAVAILABLE };
                    if call == 1 {
                        answer.headers_mut().insert("retry-after", http::HeaderValue::from_static("0"));
                    }
                    return Ok::<_, hyper::Error>(answer);
                }
                let message = Message::plain(body.to_vec());
                assert_eq!(gzip, body.starts_with(&[0x1f, 0x8b]));
                let count = crate::corpus::span_count(message.into_plain().expect("it is sound").into());
                spans.fetch_add(count, Ordering::SeqCst);
                let partial = ExportTracePartialSuccess { rejected_spans: 1, error_message: "a bad span".to_owned() };
                let partial_success = (call == 3).then_some(partial);
                Ok(Response::new(Full::new(ExportTraceServiceResponse { partial_success }.encode_to_vec().into())))
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn args(endpoint: String, gzip: bool, preload: bool) -> ReplayArgs {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        replay: ReplayArgs,
    }
    let pid = std::process::id().to_string();
    let mut line = vec!["x", "--spans=6000", "--connections=2", "--pid", &pid, "--endpoint", &endpoint];
    line.extend(gzip.then_some("--gzip"));
    line.extend(preload.then_some("--preload"));
    <Line as clap::Parser>::parse_from(line).replay
}

#[tokio::test(flavor = "multi_thread")]
async fn every_span_is_counted_once_and_hints_are_honoured() {
    let expect: u64 =
        Corpus::new(&Spec::new(crate::Kind::Shop, 6000, 1)).map(|request| u64::from(request.span_count)).sum();
    for (gzip, preload) in [(false, false), (true, true)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (calls, spans) = (Arc::new(AtomicU32::new(0)), Arc::default());
        let server = tokio::spawn(serve(listener, Arc::clone(&calls), Arc::clone(&spans)));
        let report = replay(&args(endpoint, gzip, preload)).await.expect("the server answers");
        server.abort();
        assert_eq!((report.accepted_spans, report.rejected_spans, report.lost_spans), (expect - 1, 1, 0));
        assert_eq!((spans.load(Ordering::SeqCst), report.retries), (expect, 2));
        assert_eq!(report.acknowledgement.count as u64, report.acknowledged_requests);
        assert_eq!(calls.load(Ordering::SeqCst) as u64, report.acknowledged_requests + 2);
        assert!(report.server_peak_rss_bytes.is_some() && report.first_problem.is_some());
    }
}
