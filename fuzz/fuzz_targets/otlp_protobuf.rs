//! Any bytes as an OTLP protobuf request: no panic, and wherever prost takes the request, the index takes it too and its
//! readers give back the same spans.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use spanlake_otlp::{Batch, Limits, Reason, arbitrary, index, readable};

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    let roomy = Limits {
        max_attributes: usize::MAX,
        max_value_bytes: usize::MAX,
        max_events: usize::MAX,
        max_links: usize::MAX,
        ..Limits::default()
    };
    let indexed = index(bytes.clone(), &roomy);
    let decoded = ExportTraceServiceRequest::decode(data);
    if let (Err(malformed), Ok(_)) = (&indexed, &decoded) {
        panic!("prost takes what the index refuses: {malformed}");
    }
    if let Ok(batch) = &indexed {
        let read = readable::request(batch);
        check_entries(batch);
        if let Ok(decoded) = &decoded
            && batch.rejected.count(Reason::TooDeep) == 0
        {
            // Encodings are compared because NaN does not equal itself.
            assert_eq!(read.encode_to_vec(), arbitrary::canonical(decoded).encode_to_vec());
        }
    }

    let tight = Limits { max_attributes: 1, max_value_bytes: 4, max_events: 1, max_links: 1, ..Limits::default() };
    let cut = index(bytes, &tight);
    assert_eq!(cut.is_ok(), indexed.is_ok());
    if let (Ok(cut), Ok(whole)) = (&cut, &indexed) {
        assert_eq!(cut.spans.len(), whole.spans.len());
        check_entries(cut);
        check_limits(&readable::request(cut));
    }

    // The readers on their own, on what was never indexed.
    readable::span(data);
    readable::event(data);
    readable::link(data);
    readable::resource(data);
    readable::scope(data);
});

fn check_entries(batch: &Batch) {
    for entry in &batch.spans {
        let span = readable::span(batch.span_bytes(entry));
        assert_eq!(span.trace_id, entry.trace_id.0);
        assert_eq!(span.span_id, entry.span_id.0);
        let times = (span.start_time_unix_nano, span.end_time_unix_nano);
        assert_eq!(times, (entry.start_unix_nanos, entry.end_unix_nanos));
        assert!((entry.group as usize) < batch.groups.len());
    }
}

fn check_limits(request: &ExportTraceServiceRequest) {
    for span in request.resource_spans.iter().flat_map(|group| &group.scope_spans[0].spans) {
        // One attribute, and the mark.
        assert!(span.attributes.len() <= 2 && span.events.len() <= 1 && span.links.len() <= 1);
        assert!(span.name.len() <= 4 && span.trace_state.len() <= 4);
    }
}
