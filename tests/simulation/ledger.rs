//! What was sent, what was acknowledged, and what was ever seen: the memory that answers are held against.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use spanlake_model::{Tenant, TraceId};

pub type SpanId = [u8; 8];

/// When all traces began: 2023-11-14T22:13:20Z.
pub const EPOCH_NANOS: u64 = 1_700_000_000_000_000_000;

/// Share of spans that join a trace that other requests have spans of.
const JOINS: f64 = 0.3;

/// One export request.
pub struct Request {
    pub tenant: Tenant,
    pub body: Bytes,
    pub spans: BTreeMap<TraceId, BTreeSet<SpanId>>,
    /// On every span of the request and on no other: the attribute `marker`.
    pub marker: String,
    pub is_acknowledged: bool,
}

/// All requests of a run.
#[derive(Default)]
pub struct Ledger {
    pub requests: Vec<Request>,
    traces: BTreeMap<(Tenant, TraceId), Trace>,
}

/// One tenant's trace.
#[derive(Default)]
struct Trace {
    requests: BTreeSet<usize>,
    /// Spans that some answer has shown.
    seen: BTreeSet<SpanId>,
}

/// What an answer must contain, noted before the question.
pub struct Expected {
    tenant: Tenant,
    id: TraceId,
    due: BTreeSet<SpanId>,
}

impl Ledger {
    /// Makes a request of a few traces, some of which other requests have spans of too. Returns its number.
    pub fn make(&mut self, random: &mut StdRng, tenant: &Tenant) -> usize {
        let number = self.requests.len();
        let marker = format!("m{number}-{tenant}");
        let mut spans: BTreeMap<TraceId, BTreeSet<SpanId>> = BTreeMap::new();
        let mut encoded = Vec::new();
        let known: Vec<TraceId> = self.traces.keys().filter(|(of, _)| of == tenant).map(|(_, id)| *id).collect();
        for _ in 0..random.random_range(1..=3) {
            let joins = !known.is_empty() && random.random_bool(JOINS);
            let id = if joins { known[random.random_range(0..known.len())] } else { TraceId(random.random()) };
            for _ in 0..random.random_range(1..=4) {
                let span_id: SpanId = random.random();
                encoded.push(span(&id, &span_id, &marker, random.random_range(1..50)));
                spans.entry(id).or_default().insert(span_id);
            }
            self.traces.entry((tenant.clone(), id)).or_default().requests.insert(number);
        }
        let resource = Resource { attributes: vec![text("service.name", tenant.as_str())], ..Resource::default() };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![ScopeSpans { spans: encoded, ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            }],
        };
        let body = Bytes::from(request.encode_to_vec());
        self.requests.push(Request { tenant: tenant.clone(), body, spans, marker, is_acknowledged: false });
        number
    }

    /// The traces that have any span, in order.
    pub fn traces(&self) -> Vec<(Tenant, TraceId)> {
        self.traces.keys().cloned().collect()
    }

    /// What a question about the trace that begins now must be answered with at least.
    pub fn expect(&self, tenant: &Tenant, id: TraceId) -> Expected {
        let trace = &self.traces[&(tenant.clone(), id)];
        let acknowledged = trace.requests.iter().map(|number| &self.requests[*number]);
        let acknowledged = acknowledged.filter(|request| request.is_acknowledged);
        let mut due: BTreeSet<SpanId> = acknowledged.flat_map(|request| request.spans[&id].iter().copied()).collect();
        due.extend(&trace.seen);
        Expected { tenant: tenant.clone(), id, due }
    }

    /// Compares an answer with what was expected and sent, and remembers what it showed. What is wrong with it, if anything.
    pub fn check(&mut self, expected: &Expected, found: &[Span]) -> Result<(), String> {
        let Expected { tenant, id, due } = expected;
        let wrong = |what: String| Err(format!("trace {id} of tenant {tenant}: {what}"));
        let trace = self.traces.get_mut(&(tenant.clone(), *id)).expect("it was expected");
        let mut shown: BTreeSet<SpanId> = BTreeSet::new();
        for span in found {
            let Ok(span_id) = SpanId::try_from(span.span_id.as_slice()) else {
                return wrong(format!("a span id of {} bytes", span.span_id.len()));
            };
            let sent = trace.requests.iter().map(|number| &self.requests[*number]);
            let Some(sent) = sent.into_iter().find(|request| request.spans[id].contains(&span_id)) else {
                return wrong(format!("span {} was never sent", hex(&span_id)));
            };
            let marker = Some(text("marker", &sent.marker));
            let is_right =
                span.trace_id == id.0 && span.name == hex(&span_id) && span.attributes.first() == marker.as_ref();
            if !is_right {
                return wrong(format!("span {} is not what was sent: {span:?}", hex(&span_id)));
            }
            if !shown.insert(span_id) {
                return wrong(format!("span {} is answered twice", hex(&span_id)));
            }
        }
        if let Some(missing) = due.iter().find(|span_id| !shown.contains(*span_id)) {
            return wrong(format!("span {} is missing; {} of {} are there", hex(missing), shown.len(), due.len()));
        }
        for number in &trace.requests {
            let sent = &self.requests[*number].spans[id];
            let count = sent.iter().filter(|span_id| shown.contains(*span_id)).count();
            if count != 0 && count != sent.len() {
                return wrong(format!("{count} of the {} spans of request {number} are there", sent.len()));
            }
        }
        trace.seen.extend(shown);
        Ok(())
    }

    /// Requests that are neither whole nor absent, by all that was ever seen of them.
    pub fn torn_request(&self) -> Option<String> {
        self.requests.iter().enumerate().find_map(|(number, request)| {
            let seen_count = request.spans.keys().filter(|id| self.shows(request, **id)).count();
            let torn = seen_count != 0 && seen_count != request.spans.len();
            torn.then(|| format!("{seen_count} of the {} traces of request {number} are there", request.spans.len()))
        })
    }

    /// Whether the request's spans of the trace were seen.
    pub fn shows(&self, request: &Request, id: TraceId) -> bool {
        let seen = &self.traces[&(request.tenant.clone(), id)].seen;
        request.spans[&id].iter().all(|span_id| seen.contains(span_id))
    }

    /// Spans seen of a trace.
    pub fn seen_count(&self, tenant: &Tenant, id: TraceId) -> usize {
        self.traces[&(tenant.clone(), id)].seen.len()
    }
}

fn span(trace_id: &TraceId, span_id: &SpanId, marker: &str, offset_millis: u64) -> Span {
    let start = EPOCH_NANOS + offset_millis * 1_000_000;
    Span {
        trace_id: trace_id.0.to_vec(),
        span_id: span_id.to_vec(),
        name: hex(span_id),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_000_000,
        attributes: vec![text("marker", marker)],
        ..Span::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
