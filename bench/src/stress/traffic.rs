//! Requests whose trace ids say which request they belong to, so that what is stored can be counted against what was
//! acknowledged. Making the next one costs a copy of its bytes: the sender shares its cores with what it measures.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

use crate::dice::Dice;

/// Traces of a request.
pub(super) const TRACES: u64 = 10;
/// Spans of each.
pub(super) const SPANS: u64 = 10;
/// Spans of a request.
pub(super) const REQUEST_SPANS: u64 = TRACES * SPANS;

/// A request to be sent again and again, each time with other ids.
pub(super) struct Template {
    body: Vec<u8>,
    /// Where the trace ids of its spans lie, with the number of the trace.
    places: Vec<(usize, u64)>,
    salt: u64,
}

/// The id of a trace of a request.
pub(super) fn trace_id(salt: u64, request: u64, trace: u64) -> [u8; 16] {
    let id = u128::from(salt) << 64 | u128::from(request * TRACES + trace + 1);
    id.to_be_bytes()
}

impl Template {
    /// A request of a hundred spans as services send them, some attributes on each. Other salts never share a trace.
    pub(super) fn new(salt: u64, service: &str) -> Self {
        let mut dice = Dice::new(salt);
        let salt = dice.bits() | 1;
        // Found again by what no other bytes of the request hold.
        let mark = |trace: u64| trace_id(salt, u64::MAX / TRACES - 1, trace);
        let span = |dice: &mut Dice, trace: u64, place: u64| Span {
            trace_id: mark(trace).to_vec(),
            span_id: (place + 1).to_be_bytes().to_vec(),
            parent_span_id: if place == 0 { Vec::new() } else { (place.div_ceil(2)).to_be_bytes().to_vec() },
            name: format!("step {place}"),
            kind: 1 + (place % 3) as i32,
            start_time_unix_nano: now_unix_nanos() + place * 1_000_000,
            end_time_unix_nano: now_unix_nanos() + place * 1_000_000 + dice.below(50_000_000),
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
        };
        let mut spans = Vec::new();
        for trace in 0..TRACES {
            spans.extend((0..SPANS).map(|place| span(&mut dice, trace, place)));
        }
        let body = request(service, spans).encode_to_vec();
        let mut places = Vec::new();
        for trace in 0..TRACES {
            let found = body.windows(16).enumerate().filter(|(_, bytes)| *bytes == mark(trace));
            places.extend(found.map(|(at, _)| (at, trace)));
        }
        assert_eq!(places.len() as u64, REQUEST_SPANS, "every span has its trace id once");
        Self { body, places, salt }
    }

    /// The request of this number.
    pub(super) fn request(&self, number: u64) -> Bytes {
        let mut body = self.body.clone();
        for (at, trace) in &self.places {
            body[*at..*at + 16].copy_from_slice(&trace_id(self.salt, number, *trace));
        }
        body.into()
    }

    /// The first half of all its trace ids.
    pub(super) fn salt(&self) -> u64 {
        self.salt
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
        let template = Template::new(1, "test");
        let ids = |number| {
            let batch = spanlake_otlp::index(template.request(number), &spanlake_otlp::Limits::default());
            let batch = batch.expect("a good request");
            assert_eq!((batch.spans.len() as u64, batch.rejected.span_count), (REQUEST_SPANS, 0));
            batch.spans.iter().map(|span| span.trace_id).collect::<std::collections::BTreeSet<_>>()
        };
        let (first, second) = (ids(0), ids(1));
        assert_eq!((first.len() as u64, first.is_disjoint(&second)), (TRACES, true));
        assert!(first.contains(&spanlake_model::TraceId(trace_id(template.salt(), 0, 0))));
    }
}
