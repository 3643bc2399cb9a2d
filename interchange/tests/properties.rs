//! For arbitrary spans and files: what is written comes back exactly, and no file makes the reader panic.

use opentelemetry_proto::tonic::trace::v1::TracesData;
use proptest::prelude::*;
use prost::Message;
use spanlake_interchange::{Format, parse, write_jaeger_json, write_otlp_json_lines};
use spanlake_otlp::arbitrary;

const CORPUS: [&[u8]; 5] = [
    include_bytes!("../corpus/otlp.json"),
    include_bytes!("../corpus/collector-lines.jsonl"),
    include_bytes!("../corpus/tempo-batches.json"),
    include_bytes!("../corpus/jaeger-ui.json"),
    include_bytes!("../corpus/zipkin-v2.json"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn otlp_json_comes_back_exactly(request in arbitrary::request()) {
        let written = write_otlp_json_lines(&request.resource_spans);
        let parsed = parse(&written).expect("our own file is good");
        prop_assert_eq!(&parsed.spans, &request.resource_spans);
        prop_assert!(parsed.rejected.is_empty() && parsed.format != Format::TempoJson);
        let again = write_otlp_json_lines(&parsed.spans);
        prop_assert_eq!(again, written);
    }

    #[test]
    fn protobuf_comes_back(request in arbitrary::request_with_bad_ids()) {
        let canonical = arbitrary::canonical(&request).resource_spans;
        let bytes = TracesData { resource_spans: request.resource_spans }.encode_to_vec();
        if !canonical.is_empty() {
            let parsed = parse(&bytes).expect("a message with spans");
            prop_assert_eq!((parsed.format, parsed.spans), (Format::OtlpProtobuf, canonical));
        }
    }

    #[test]
    fn jaeger_keeps_every_span(request in arbitrary::request()) {
        let spans = |messages: &[opentelemetry_proto::tonic::trace::v1::ResourceSpans]| {
            let spans = messages.iter().flat_map(|message| &message.scope_spans).flat_map(|scope| &scope.spans);
            let mut spans: Vec<_> = spans.map(|span| (span.trace_id.clone(), span.span_id.clone(), span.name.clone())).collect();
            spans.sort();
            spans
        };
        let parsed = parse(&write_jaeger_json(&request.resource_spans)).expect("our own file is good");
        prop_assert_eq!(spans(&parsed.spans), spans(&request.resource_spans));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), head in 0usize..6) {
        let heads: [&[u8]; 6] = [b"", b"{", b"[{", b"\x0a", b"\x1f\x8b\x08", b"\0\0\0\x04"];
        drop(parse(&[heads[head], &bytes].concat()));
    }

    #[test]
    fn no_damage_panics(
        file in 0..CORPUS.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = CORPUS[file].to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            // Mostly JSON's own marks, which change the meaning rather than end it.
            bytes[at] = if byte < 128 { b"{}[]\",:0"[usize::from(byte) % 8] } else { byte };
        }
        drop(parse(&bytes));
        drop(parse(&bytes[..cut.index(bytes.len())]));
    }
}
