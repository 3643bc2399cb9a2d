//! CPU seconds per million spans of indexing and reading requests, beside what prost takes for the same bytes:
//! `cargo bench -p spanlake-otlp`.
//!
//! The requests look like a shop's: a resource of ten attributes, spans of about 346 bytes with eight attributes, an
//! event on one of thirty. Each figure is the least of five passes over the same 200,000 spans, in CPU time of this
//! process, which is single-threaded.

use std::fs;
use std::hint::black_box;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use spanlake_otlp::{Batch, Limits, SpanField, ValueRef, event_fields, index, resource_fields, span_fields};

const REQUESTS: usize = 400;
const SPANS_PER_REQUEST: usize = 500;
const PASSES: usize = 5;

fn main() {
    let mut dice = SmallRng::seed_from_u64(7);
    let requests: Vec<Bytes> = (0..REQUESTS).map(|_| request(&mut dice).encode_to_vec().into()).collect();
    let request_bytes: usize = requests.iter().map(Bytes::len).sum();
    let span_count = REQUESTS * SPANS_PER_REQUEST;
    println!("{span_count} spans, {} bytes each with their share of the rest", request_bytes / span_count);

    let limits = Limits::default();
    measure("index", span_count, || {
        for request in &requests {
            black_box(index(request.clone(), &limits).expect("well formed"));
        }
    });
    let batches: Vec<Batch> =
        requests.iter().map(|request| index(request.clone(), &limits).expect("well formed")).collect();
    measure("read every field in place", span_count, || {
        for batch in &batches {
            black_box(read(batch));
        }
    });
    measure("prost decode and drop", span_count, || {
        for request in &requests {
            black_box(ExportTraceServiceRequest::decode(request.clone()).expect("well formed"));
        }
    });
}

/// Visits every field of every span and adds something of it up, so that nothing can be left out.
fn read(batch: &Batch) -> u64 {
    let mut sum = 0u64;
    for group in &batch.groups {
        sum += resource_fields(batch.resource_bytes(group)).count() as u64;
    }
    for entry in &batch.spans {
        for field in span_fields(batch.span_bytes(entry)) {
            sum = sum.wrapping_add(match field {
                SpanField::Attribute(attribute) => {
                    attribute.key.len() as u64
                        + match attribute.value {
                            ValueRef::String(text) => text.len() as u64,
                            ValueRef::Int(number) => number.cast_unsigned(),
                            ValueRef::Double(number) => number.to_bits(),
                            ValueRef::Bool(flag) => u64::from(flag),
                            _ => 0,
                        }
                }
                SpanField::Event(event) => event_fields(event).count() as u64,
                SpanField::Name(text) | SpanField::TraceState(text) => text.len() as u64,
                SpanField::StartUnixNanos(time) | SpanField::EndUnixNanos(time) => time,
                _ => 1,
            });
        }
    }
    sum
}

fn measure(what: &str, span_count: usize, mut work: impl FnMut()) {
    let mut least = f64::INFINITY;
    for _ in 0..PASSES {
        let before = cpu_seconds();
        work();
        least = least.min(cpu_seconds() - before);
    }
    println!("{what:28} {:.3} CPU-s per million spans", least / span_count as f64 * 1e6);
}

/// CPU seconds this process has used: nanoseconds from the scheduler, field 1 of `/proc/self/schedstat`.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/schedstat").expect("the benchmark runs on Linux");
    let nanos: f64 =
        stat.split(' ').next().and_then(|field| field.parse().ok()).expect("schedstat begins with a number");
    nanos / 1e9
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
}

fn request(dice: &mut SmallRng) -> ExportTraceServiceRequest {
    let attributes = vec![
        text("service.name", "checkout"),
        text("service.namespace", "shop"),
        text("service.version", "4.12.1"),
        text("service.instance.id", "9f6ec2b0-6a52-4b55-8a0f-3c1b7f5d2e10"),
        text("k8s.pod.name", "checkout-6d9c7b5f4-x2v8q"),
        text("k8s.namespace.name", "shop"),
        text("host.name", "node-17"),
        text("telemetry.sdk.language", "java"),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.version", "1.54.0"),
    ];
    let scope = InstrumentationScope { name: "io.opentelemetry.tomcat-10.0".to_owned(), ..Default::default() };
    let spans = (0..SPANS_PER_REQUEST).map(|_| span(dice)).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }],
            schema_url: "https://opentelemetry.io/schemas/1.37.0".to_owned(),
        }],
    }
}

fn span(dice: &mut SmallRng) -> Span {
    let start = 1_760_000_000_000_000_000 + dice.random_range(0..60_000_000_000);
    let order = dice.random_range(100_000..1_000_000);
    let failed = dice.random_ratio(1, 30);
    let event = || Event {
        time_unix_nano: start + 1_000,
        name: "exception".to_owned(),
        attributes: vec![text("exception.type", "java.io.IOException"), text("exception.message", "Broken pipe")],
        ..Event::default()
    };
    Span {
        trace_id: dice.random_range(1..u128::MAX).to_be_bytes().to_vec(),
        span_id: dice.random_range(1..u64::MAX).to_be_bytes().to_vec(),
        parent_span_id: dice.random_range(1..u64::MAX).to_be_bytes().to_vec(),
        flags: 0x101,
        name: "GET /api/orders/{id}".to_owned(),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + dice.random_range(100_000..900_000_000),
        attributes: vec![
            text("http.request.method", "GET"),
            text("http.route", "/api/orders/{id}"),
            text("url.path", format!("/api/orders/{order}")),
            pair("http.response.status_code", Value::IntValue(if failed { 500 } else { 200 })),
            text("server.address", "checkout.shop.svc"),
            pair("server.port", Value::IntValue(8080)),
            text("client.address", format!("10.3.{}.{}", order % 200, order % 251)),
            text("user.id", format!("user-{order}")),
        ],
        events: if failed { vec![event()] } else { Vec::new() },
        status: failed.then(|| Status { message: "500".to_owned(), code: 2 }),
        ..Span::default()
    }
}
