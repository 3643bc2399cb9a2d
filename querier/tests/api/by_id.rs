//! Traces by id: shapes, merging over blocks, duplicates, bounds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use spanlake_model::{ByteSize, Tenant, TraceId};
use spanlake_querier::Config;
use spanlake_storage::Store;

use crate::world::*;

/// `tempopb.TraceByIDResponse`, as a client has it.
#[derive(Clone, PartialEq, prost::Message)]
struct Wrapped {
    #[prost(message, optional, tag = "1")]
    trace: Option<TracesData>,
    #[prost(message, optional, tag = "2")]
    metrics: Option<WrappedMetrics>,
    #[prost(int32, tag = "3")]
    status: i32,
    #[prost(string, tag = "4")]
    message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WrappedMetrics {
    #[prost(uint64, tag = "1")]
    inspected_bytes: u64,
}

const PROTOBUF: (&str, &str) = ("accept", "application/protobuf");

#[tokio::test]
async fn a_trace_over_three_blocks_is_one_trace() {
    let world = World::new();
    world.block(&[span(1, 1, 0, "web", "GET /", 0, 50), span(2, 1, 0, "web", "other", 0, 5)]).await;
    world.block(&[span(1, 3, 2, "db", "SELECT", 20, 5)]).await;
    world.block(&[span(1, 2, 1, "cart", "add", 10, 30), span(1, 4, 1, "web", "render", 45, 5)]).await;
    let v1 = world.get(&format!("/api/traces/{}", hex(1))).await.json();
    let batches = v1["batches"].as_array().expect("batches");
    let services: Vec<_> = batches
        .iter()
        .map(|b| b["resource"]["attributes"][0]["value"]["stringValue"].as_str().expect("text"))
        .collect();
    assert_eq!(services, ["web", "cart", "db"]);
    let web = &batches[0]["scopeSpans"];
    assert_eq!(web.as_array().map(Vec::len), Some(1));
    assert_eq!(web[0]["scope"], serde_json::json!({"name": "lib", "version": "1"}));
    let first = &web[0]["spans"][0];
    assert_eq!(first["traceId"], STANDARD.encode(trace_id(1)));
    assert_eq!(first["kind"], "SPAN_KIND_SERVER");
    assert_eq!(first["startTimeUnixNano"], EPOCH.to_string());
    assert_eq!(first.get("parentSpanId"), None);
    assert_eq!(web[0]["spans"][1]["parentSpanId"], STANDARD.encode([0, 0, 0, 0, 0, 0, 1, 1]));

    let v2 = world.get(&format!("/api/v2/traces/{}", hex(1))).await.json();
    assert_eq!(v2["trace"]["resourceSpans"], v1["batches"]);
    assert!(v2["metrics"]["inspectedBytes"].as_str().expect("a string").parse::<u64>().expect("a number") > 0);
    assert_eq!(v2.get("status"), None);

    let plain = world.ask(&format!("/api/traces/{}", hex(1)), &[PROTOBUF]).await;
    assert_eq!(plain.headers["content-type"], "application/protobuf");
    let plain = TracesData::decode(plain.body).expect("protobuf");
    assert_eq!(plain.resource_spans.len(), 3);
    let wrapped =
        world.ask(&format!("/api/v2/traces/{}", hex(1)), &[("accept", "application/protobuf;q=1, */*")]).await;
    let wrapped = Wrapped::decode(wrapped.body).expect("protobuf");
    assert_eq!(wrapped.trace, Some(plain));
    assert!(wrapped.metrics.expect("metrics").inspected_bytes > 0);
    assert_eq!((wrapped.status, wrapped.message), (0, String::new()));
}

#[tokio::test]
async fn an_absent_trace() {
    let world = World::new();
    for _ in 0..2 {
        let v1 = world.get("/api/traces/abc").await;
        assert_eq!((v1.status, v1.body.len()), (StatusCode::NOT_FOUND, 0));
        let v2 = world.get("/api/v2/traces/abc").await;
        assert_eq!((v2.status, v2.text()), (StatusCode::OK, r#"{"trace":{},"metrics":{}}"#));
        let v2 = world.ask("/api/v2/traces/abc", &[PROTOBUF]).await;
        // The trace is there though empty (field 1, length 0), as is the message of metrics (field 2).
        assert_eq!(v2.body.as_ref(), [0x0a, 0, 0x12, 0]);
        world.block(&[span(1, 1, 0, "web", "GET /", 0, 50)]).await;
    }
}

#[tokio::test]
async fn ids_are_padded_and_checked() {
    let world = World::new();
    let mut short = span(1, 1, 0, "web", "64-bit id", 0, 50);
    short.span.trace_id = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
    world.block(&[short]).await;
    for id in
        ["23456789abcdef", "023456789abcdef", "0023456789ABCDEF", "000000000000000000123456789abcdef", "xyz", "12-4"]
    {
        let status = world.get(&format!("/api/traces/{id}")).await.status;
        let expect = match id.len() {
            14..=16 => StatusCode::OK,
            _ => StatusCode::BAD_REQUEST,
        };
        assert_eq!(status, expect, "{id}");
    }
    let refused = world.get("/api/v2/traces/xyz").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.headers["content-type"].to_str().expect("text").starts_with("text/plain"));
    assert!(refused.text().contains("'x'"), "{}", refused.text());
}

#[tokio::test]
async fn copies_in_three_blocks_answer_once() {
    let world = World::new();
    let spans = [span(1, 1, 0, "web", "GET /", 0, 50).text("k", "v"), span(1, 2, 1, "db", "SELECT", 10, 5).failed()];
    for _ in 0..3 {
        world.block(&spans).await;
    }
    assert_eq!(world.names(1).await, ["GET /", "SELECT"]);
    // A different span with the same id is not a copy.
    world.block(&[span(1, 2, 1, "db", "UPDATE", 10, 5)]).await;
    assert_eq!(world.names(1).await, ["GET /", "SELECT", "UPDATE"]);
}

#[tokio::test]
async fn a_block_is_seen_by_the_first_query_after_it() {
    let world = World::new();
    for i in 1..=20 {
        world.block(&[span(i, 1, 0, "web", "GET /", u64::from(i), 1)]).await;
        assert_eq!(world.names(i).await, ["GET /"]);
    }
}

#[tokio::test]
async fn a_time_hint_leaves_blocks_out() {
    let world = World::new();
    world.block(&[span(1, 1, 0, "web", "early", 0, 50)]).await;
    world.block(&[span(1, 2, 1, "web", "late", 100_000, 50)]).await;
    let count = async |hint: &str| {
        let json = world.get(&format!("/api/v2/traces/{}?{hint}", hex(1))).await.json();
        spans_of(&json["trace"]["resourceSpans"]).len()
    };
    assert_eq!(count("").await, 2);
    assert_eq!(count("start=1700000000&end=1700000200").await, 2);
    assert_eq!(count("start=1700000050&end=1700000200").await, 1);
    assert_eq!(count("start=1699990000&end=1700000000").await, 1);
    assert_eq!(count("start=1700000050000000000&end=2023-11-14T23:13:20Z").await, 1);
    assert_eq!(count("start=1600000000.5&end=1600000001").await, 0);
    assert_eq!(world.get(&format!("/api/traces/{}?start=2&end=1", hex(1))).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_trace_beyond_the_bound_is_answered_in_part_or_refused() {
    let config = Config { max_trace_bytes: ByteSize(2_000), ..Config::default() };
    let world = World::with(Store::memory(), config);
    let spans: Vec<_> = (1..=200).map(|i| span(1, i, 0, "web", "a span of some length", u64::from(i), 1)).collect();
    world.block(&spans).await;
    let v1 = world.get(&format!("/api/traces/{}", hex(1))).await;
    assert_eq!(v1.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(v1.text().contains("2000"), "{}", v1.text());
    let v2 = world.get(&format!("/api/v2/traces/{}", hex(1))).await.json();
    assert_eq!(v2["status"], "PARTIAL");
    assert_eq!(v2["message"], "Trace exceeds maximum size of 2000 bytes, a partial trace is returned");
    let kept = spans_of(&v2["trace"]["resourceSpans"]).len();
    assert!((5..100).contains(&kept), "{kept}");
    let again = world.get(&format!("/api/v2/traces/{}", hex(1))).await.json();
    assert_eq!(again["trace"], v2["trace"]);
}

#[tokio::test]
async fn gzip_when_the_client_takes_it() {
    let world = World::new();
    let spans: Vec<_> = (1..=50).map(|i| span(1, i, 0, "web", "GET /", u64::from(i), 1)).collect();
    world.block(&spans).await;
    let path = format!("/api/traces/{}", hex(1));
    let plain = world.get(&path).await;
    let packed = world.ask(&path, &[("accept-encoding", "gzip")]).await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(packed.body.len() < plain.body.len() / 4);
    let mut unpacked = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(packed.body.as_ref()), &mut unpacked).expect("gzip");
    assert_eq!(unpacked, plain.body);
}

#[tokio::test]
async fn a_large_trace_of_many_row_groups_in_several_blocks_is_whole() {
    let world = World::new();
    let mut expect = 0;
    for part in 0..3_u32 {
        let spans: Vec<_> = (0..3_000_u32)
            .map(|i| {
                let mut stored = span(1, 1, 0, "web", "step", u64::from(part * 3_000 + i), 1);
                stored.span.span_id = u64::from(part * 3_000 + i + 1).to_be_bytes().to_vec();
                stored
            })
            .collect();
        expect += spans.len() as u64;
        world.block(&spans).await;
        world.block(&spans[..100]).await;
    }
    let id = TraceId(trace_id(1));
    let answer = world.querier.trace(&[Tenant::single()], id, None).await.expect("found");
    assert_eq!((answer.span_count, answer.truncated), (expect, false));
    let json = world.get(&format!("/api/traces/{}", hex(1))).await.json();
    assert_eq!(spans_of(&json["batches"]).len() as u64, expect);
}
