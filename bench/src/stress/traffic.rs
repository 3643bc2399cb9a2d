//! Requests whose trace ids say which request they belong to, so that what is stored can be counted against what was
//! acknowledged. Making the next one costs a copy of its bytes and the time on a few of them: the sender shares its cores with
//! what it measures.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

use crate::dice::Dice;

/// Spans of each trace.
pub(super) const TRACE_SPANS: u64 = 10;
/// Traces of a usual request: a hundred spans, what a service's own exporter sends.
pub(super) const USUAL_TRACES: u64 = 10;

/// How long before a request is made its first span starts; the last one ends before it is made.
pub(super) const AGE_NANOS: u64 = 100_000_000;

/// A request to be sent again and again, each time with other ids and the time of day.
pub(super) struct Template {
    body: Vec<u8>,
    places: Vec<Place>,
    ids: Ids,
}

/// Where in the body one span has what changes.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    trace_id_at: usize,
    /// The number of the trace.
    trace: u64,
    start_at: usize,
    /// After the request's first.
    start_nanos: u64,
    end_at: usize,
    end_nanos: u64,
}

/// Which traces belong to the requests of a template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    /// The first half of them all.
    pub(super) salt: u64,
    /// Traces of a request.
    pub(super) traces: u64,
}

impl Ids {
    /// The id of a trace of a request.
    pub(super) fn trace_id(self, request: u64, trace: u64) -> [u8; 16] {
        let id = u128::from(self.salt) << 64 | u128::from(request * self.traces + trace + 1);
        id.to_be_bytes()
    }

    /// Spans of a request.
    pub(super) fn request_spans(self) -> u64 {
        self.traces * TRACE_SPANS
    }
}

impl Template {
    /// A request of so many traces as services send them, some attributes on each span. Other salts never share a trace.
    pub(super) fn new(salt: u64, service: &str, traces: u64) -> Self {
        let mut dice = Dice::new(salt);
        let ids = Ids { salt: dice.bits() | 1, traces };
        // Found again by what no other bytes of the request hold.
        let mark = |trace: u64| ids.trace_id(u64::MAX / traces - 1, trace);
        // Two times a span from here on, found again in the same way.
        let first_mark = dice.bits() >> 1;
        let mut places = Vec::new();
        let mut span = |dice: &mut Dice, trace: u64, place: u64| {
            let number = places.len() as u64;
            let (start_nanos, length_nanos) = (place * 1_000_000, dice.below(50_000_000));
            places.push(Place { trace, start_nanos, end_nanos: start_nanos + length_nanos, ..Place::default() });
            Span {
                trace_id: mark(trace).to_vec(),
                span_id: (place + 1).to_be_bytes().to_vec(),
                parent_span_id: if place == 0 { Vec::new() } else { (place.div_ceil(2)).to_be_bytes().to_vec() },
                name: format!("step {place}"),
                kind: 1 + (place % 3) as i32,
                start_time_unix_nano: first_mark + 2 * number,
                end_time_unix_nano: first_mark + 2 * number + 1,
                attributes: vec![
                    text("http.request.method", dice.pick::<&str>(&["GET", "POST", "PUT"])),
                    text("http.route", &format!("/api/{}", dice.below(40))),
                    text("user.id", &format!("user {}", dice.below(100_000))),
                    text("request.id", &dice.uuid()),
                    KeyValue {
                        key: "http.response.status_code".to_owned(),
                        value: Some(AnyValue { value: Some(Value::IntValue(200 + dice.below(4) as i64)) }),
                        ..KeyValue::default()
                    },
                ],
                ..Span::default()
            }
        };
        let mut spans = Vec::new();
        for trace in 0..traces {
            spans.extend((0..TRACE_SPANS).map(|place| span(&mut dice, trace, place)));
        }
        let body = request(service, spans).encode_to_vec();
        // A trace has its spans side by side: of each trace, the place of the span that is found next.
        let mut marks: HashMap<[u8; 16], usize> =
            (0..traces).map(|trace| (mark(trace), (trace * TRACE_SPANS) as usize)).collect();
        let mut seen = vec![0; places.len()];
        for (at, bytes) in body.windows(16).enumerate() {
            if let Some(place) = marks.get_mut(bytes) {
                (places[*place].trace_id_at, seen[*place]) = (at, seen[*place] + 1);
                *place += 1;
            }
        }
        for (at, bytes) in body.windows(8).enumerate() {
            let time = u64::from_le_bytes(bytes.try_into().expect("a window of eight")).wrapping_sub(first_mark);
            if let Some(place) = places.get_mut((time / 2) as usize) {
                *(if time % 2 == 0 { &mut place.start_at } else { &mut place.end_at }) = at;
                seen[(time / 2) as usize] += 1;
            }
        }
        assert!(seen.iter().all(|count| *count == 3), "every span has its trace id, its start and its end once");
        Self { body, places, ids }
    }

    /// The request of this number, as of now.
    pub(super) fn request(&self, number: u64) -> Bytes {
        let mut body = self.body.clone();
        let first_nanos = now_unix_nanos() - AGE_NANOS;
        for place in &self.places {
            let mut put = |at: usize, bytes: &[u8]| body[at..at + bytes.len()].copy_from_slice(bytes);
            put(place.trace_id_at, &self.ids.trace_id(number, place.trace));
            put(place.start_at, &(first_nanos + place.start_nanos).to_le_bytes());
            put(place.end_at, &(first_nanos + place.end_nanos).to_le_bytes());
        }
        body.into()
    }

    /// The traces of its requests.
    pub(super) fn ids(&self) -> Ids {
        self.ids
    }
}

/// A request of one resource.
pub(super) fn request(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Resource { attributes: vec![text("service.name", service)], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

/// A text attribute.
pub(super) fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// What the clock says.
pub(super) fn now_unix_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_traces_of_its_own() {
        for traces in [1, USUAL_TRACES, 1_000] {
            let template = Template::new(1, "test", traces);
            let ids = |number| {
                let batch = spanlake_otlp::index(template.request(number), &spanlake_otlp::Limits::default());
                let batch = batch.expect("a good request");
                let spans = template.ids().request_spans();
                assert_eq!((batch.spans.len() as u64, batch.rejected.span_count), (spans, 0));
                let now = now_unix_nanos();
                assert!(batch.spans.iter().all(|span| {
                    let is_recent = |nanos: u64| (now - 60_000_000_000..now).contains(&nanos);
                    span.start_unix_nanos <= span.end_unix_nanos
                        && is_recent(span.start_unix_nanos)
                        && is_recent(span.end_unix_nanos)
                }));
                batch.spans.iter().map(|span| span.trace_id).collect::<std::collections::BTreeSet<_>>()
            };
            let (first, second) = (ids(0), ids(1));
            assert_eq!((first.len() as u64, first.is_disjoint(&second)), (traces, true));
            assert!(first.contains(&spanlake_model::TraceId(template.ids().trace_id(0, 0))));
        }
    }
}
