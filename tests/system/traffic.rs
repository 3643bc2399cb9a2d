//! Traces with ids of their own, senders that remember what was acknowledged, and the check that it is all there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::http::Connection;

/// One trace as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentTrace {
    pub trace_id: [u8; 16],
    pub span_ids: Vec<[u8; 8]>,
}

impl SentTrace {
    /// The id as the HTTP API takes it.
    pub fn hex(&self) -> String {
        hex(&self.trace_id)
    }
}

/// One export request and the traces in it.
#[derive(Clone)]
pub struct Batch {
    pub traces: Vec<SentTrace>,
    pub body: Vec<u8>,
}

impl Batch {
    /// Spans in the request.
    pub fn span_count(&self) -> u64 {
        self.traces.iter().map(|trace| trace.span_ids.len() as u64).sum()
    }
}

/// A request of `trace_count` traces with `span_count` spans each, all ids new, carrying the attribute
/// `test.marker = marker` on every span.
pub fn batch(random: &mut StdRng, trace_count: usize, span_count: usize, marker: &str) -> Batch {
    padded_batch(random, trace_count, span_count, marker, 0)
}

/// [`batch`] with `padding_bytes` of incompressible text on every span.
pub fn padded_batch(
    random: &mut StdRng,
    trace_count: usize,
    span_count: usize,
    marker: &str,
    padding_bytes: usize,
) -> Batch {
    let mut traces = Vec::with_capacity(trace_count);
    let mut spans = Vec::with_capacity(trace_count * span_count);
    let start = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos() as u64;
    for _ in 0..trace_count {
        let mut trace = SentTrace { trace_id: random.random(), span_ids: Vec::with_capacity(span_count) };
        for index in 0..span_count {
            let span_id: [u8; 8] = random.random();
            let mut attributes = vec![attribute("test.marker", marker), attribute("index", &index.to_string())];
            if padding_bytes > 0 {
                let text: String = (0..padding_bytes).map(|_| char::from(random.random_range(b'!'..=b'~'))).collect();
                attributes.push(attribute("padding", &text));
            }
            spans.push(Span {
                trace_id: trace.trace_id.to_vec(),
                span_id: span_id.to_vec(),
                parent_span_id: trace.span_ids.first().map(|root| root.to_vec()).unwrap_or_default(),
                name: if index == 0 { "GET /".to_owned() } else { format!("step {index}") },
                kind: if index == 0 { 2 } else { 1 },
                start_time_unix_nano: start + index as u64 * 1_000,
                end_time_unix_nano: start + 1_000_000,
                attributes,
                ..Span::default()
            });
            trace.span_ids.push(span_id);
        }
        traces.push(trace);
    }
    let scope = InstrumentationScope { name: "system-test".to_owned(), ..InstrumentationScope::default() };
    let resource = Resource { attributes: vec![attribute("service.name", "traffic")], ..Resource::default() };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    };
    Batch { traces, body: request.encode_to_vec() }
}

/// How a stored trace differs from what was sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Every span once and no other.
    Exactly,
    /// None of its spans.
    Nothing,
    /// Some spans are missing, repeated, or were never sent.
    Differs { missing: usize, duplicated: usize, unknown: usize },
}

/// Reads a trace back by id and compares its span ids.
pub fn find(connection: &mut Connection, trace: &SentTrace) -> Found {
    let answer = connection.get_as(&format!("/api/traces/{}", trace.hex()), "application/protobuf");
    match answer.status {
        404 => return Found::Nothing,
        200 => {}
        status => panic!("trace {}: {status} {}", trace.hex(), answer.text()),
    }
    let data = TracesData::decode(answer.body.as_slice()).expect("a protobuf trace");
    let mut counts: BTreeMap<&[u8], usize> = BTreeMap::new();
    for span in data.resource_spans.iter().flat_map(|group| &group.scope_spans).flat_map(|scope| &scope.spans) {
        assert_eq!(span.trace_id, trace.trace_id, "a span of another trace");
        *counts.entry(span.span_id.as_slice()).or_default() += 1;
    }
    let missing = trace.span_ids.iter().filter(|id| !counts.contains_key(id.as_slice())).count();
    let duplicated = counts.values().filter(|count| **count > 1).count();
    let unknown = counts.keys().filter(|id| !trace.span_ids.iter().any(|sent| sent == *id)).count();
    if missing + duplicated + unknown == 0 { Found::Exactly } else { Found::Differs { missing, duplicated, unknown } }
}

/// What senders got an acknowledgement for, and what they do not know the outcome of.
#[derive(Default)]
pub struct Ledger {
    acknowledged: Mutex<Vec<Batch>>,
    unknown: Mutex<Vec<Batch>>,
}

impl Ledger {
    /// Takes the batches acknowledged since the last call.
    pub fn take_acknowledged(&self) -> Vec<Batch> {
        std::mem::take(&mut self.acknowledged.lock().expect("no sender panicked"))
    }

    /// Takes the batches whose answer never came since the last call.
    pub fn take_unknown(&self) -> Vec<Batch> {
        std::mem::take(&mut self.unknown.lock().expect("no sender panicked"))
    }

    /// Sends one batch and notes the outcome. False when the connection broke.
    pub fn send(&self, connection: &mut Connection, batch: Batch) -> bool {
        match connection.export(&batch.body) {
            Ok(answer) if answer.status == 200 => {
                let response = ExportTraceServiceResponse::decode(answer.body.as_slice()).expect("an export response");
                assert_eq!(response.partial_success, None, "nothing in a good batch is rejected");
                self.acknowledged.lock().expect("no sender panicked").push(batch);
                true
            }
            Ok(answer) if matches!(answer.status, 429 | 503) => {
                // A refusal may still turn out to have been stored, so it counts as unknown.
                self.unknown.lock().expect("no sender panicked").push(batch);
                true
            }
            Ok(answer) => panic!("export answered {}: {}", answer.status, answer.text()),
            Err(_) => {
                self.unknown.lock().expect("no sender panicked").push(batch);
                false
            }
        }
    }

    /// Keeps `sender_count` senders busy until `stop` is set or their connection breaks, while `meanwhile` runs.
    pub fn send_while<T>(
        &self,
        address: SocketAddr,
        seed: u64,
        sender_count: u64,
        pause: Duration,
        meanwhile: impl FnOnce() -> T,
    ) -> T {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for sender in 0..sender_count {
                let stop = &stop;
                scope.spawn(move || {
                    let mut random = StdRng::seed_from_u64(seed ^ (sender + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
                    let mut connection = Connection::new(address);
                    while !stop.load(Ordering::Relaxed) {
                        let trace_count = random.random_range(1..=6);
                        let span_count = random.random_range(1..=12);
                        let made = batch(&mut random, trace_count, span_count, "load");
                        if !self.send(&mut connection, made) {
                            break;
                        }
                        std::thread::sleep(pause);
                    }
                });
            }
            let result = meanwhile();
            stop.store(true, Ordering::Relaxed);
            result
        })
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The seed of a random test: `SPANLAKE_TEST_SEED` when set, else new each time; printed so that a run can be repeated.
pub fn seed(test: &str) -> u64 {
    let seed = match std::env::var("SPANLAKE_TEST_SEED") {
        Ok(text) => text.parse().expect("SPANLAKE_TEST_SEED is a number"),
        Err(_) => rand::random(),
    };
    println!("{test}: SPANLAKE_TEST_SEED={seed}");
    seed
}

/// A text attribute.
pub fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}
