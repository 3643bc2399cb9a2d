//! Milliseconds that questions about one trace take, and the bytes of their answers: `cargo bench --workspace --bench trace`.
//!
//! The trace lies in blocks in memory and is asked for over the HTTP router, all of it warm: reading, analysis and writing.
//! Each figure is the least of five passes in wall-clock time. Spans look like a shop's: requests that fan out into calls
//! and queries, with four attributes each.

use std::io::Write as _;
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;
use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prometheus_client::registry::Registry;
use prost::Message as _;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use spanlake_block::{WriteOptions, write_block};
use spanlake_catalog::Catalog;
use spanlake_model::Tenant;
use spanlake_otlp::Limits;
use spanlake_querier::{Config, Querier};
use spanlake_storage::Store;
use tower::ServiceExt as _;

const PASSES: usize = 5;
/// Spans of one block, below what one request may have.
const BLOCK_SPANS: u64 = 50_000;
const SERVICES: u64 = 9;
const START: u64 = 1_764_115_200_000_000_000;

#[tokio::main]
async fn main() {
    for span_count in [10_000, 50_000, 100_000] {
        let router = stored(span_count).await;
        println!("{span_count} spans");
        for what in ["skeleton", "diagnosis", "critical-path", "find?q=things", "text", "spans?ids=5,6,7"] {
            let path = format!("/api/v1/traces/{}/{what}", "01".repeat(16));
            let mut least = f64::MAX;
            let mut answer = Bytes::new();
            for _ in 0..PASSES {
                let started = Instant::now();
                answer = get(&router, &path).await;
                least = least.min(started.elapsed().as_secs_f64());
            }
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            packed.write_all(&answer).expect("written to memory");
            let packed = packed.finish().expect("written to memory").len();
            println!("  {what:16} {:8.1} ms {:10} bytes {packed:9} packed", least * 1e3, answer.len());
        }
    }
}

async fn get(router: &axum::Router, path: &str) -> Bytes {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = router.clone().oneshot(request).await.expect("an answer");
    assert!(response.status().is_success(), "{path}: {}", response.status());
    response.into_body().collect().await.expect("a body").to_bytes()
}

async fn stored(span_count: u64) -> axum::Router {
    let catalog = Catalog::new(Store::memory(), spanlake_catalog::Config::default());
    let mut random = SmallRng::seed_from_u64(1);
    let spans: Vec<(u64, Span)> =
        (0..span_count).map(|at| (at % SERVICES, span(at, span_count, &mut random))).collect();
    for part in spans.chunks(BLOCK_SPANS as usize) {
        let resource_spans = (0..SERVICES).map(|service| ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", format!("service-{service}")),
                    text("host.name", format!("node-{service}")),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: part.iter().filter(|(of, _)| *of == service).map(|(_, span)| span.clone()).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        });
        let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
        let batch =
            spanlake_otlp::index(Bytes::from(request.encode_to_vec()), &Limits::default()).expect("a good request");
        let written = write_block(&[batch], &WriteOptions::default()).expect("a block");
        catalog.publish_l0(&Tenant::single(), written).await.expect("published");
    }
    spanlake_querier::router(Querier::new(Config::default(), catalog, &mut Registry::default()))
}

/// Each span lies inside a parent that came before it.
fn span(at: u64, span_count: u64, random: &mut SmallRng) -> Span {
    let parent = if at == 0 { 0 } else { random.random_range(at.saturating_sub(200)..at) + 1 };
    let start = START + at * 20_000;
    let end = if at == 0 { START + span_count * 20_000 } else { start + random.random_range(10_000..2_000_000) };
    Span {
        trace_id: vec![1; 16],
        span_id: scattered(at + 1).to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { scattered(parent).to_vec() },
        name: format!("GET /api/things/{}", at % 60),
        kind: (at % 5) as i32 + 1,
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        flags: 0x101,
        attributes: vec![
            text("http.request.method", "GET".to_owned()),
            text("url.path", format!("/api/things/{at}")),
            text("db.query.text", format!("SELECT * FROM things WHERE id = {at}")),
            KeyValue {
                key: "http.response.status_code".to_owned(),
                value: Some(AnyValue { value: Some(Value::IntValue(200)) }),
                ..KeyValue::default()
            },
        ],
        status: (at % 20 == 7).then(|| Status { code: 2, message: "failed".to_owned() }),
        ..Span::default()
    }
}

/// Ids as random as real ones; the first few are small, so that they can be asked for.
fn scattered(id: u64) -> [u8; 8] {
    if id < 10 { id.to_be_bytes() } else { id.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes() }
}

fn text(key: &str, text: String) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(text)) }),
        ..KeyValue::default()
    }
}
