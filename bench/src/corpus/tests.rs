//! What every corpus must keep: its bytes, its averages, and that servers take all of it.

use std::collections::{HashMap, HashSet};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use super::*;

fn small(kind: Kind) -> Spec {
    let span_count = if kind == Kind::Entropy { 2_000 } else { 30_000 };
    Spec { large_trace_span_count: 6_000, ..Spec::new(kind, span_count, 7) }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for kind in [Kind::Shop, Kind::Entropy, Kind::Large] {
        let spec = Spec { span_count: 2_000, ..small(kind) };
        let once: Vec<Request> = Corpus::new(&spec).collect();
        assert!(once == Corpus::new(&spec).collect::<Vec<_>>(), "{kind:?}");
        let other = Spec { seed: 8, ..spec };
        assert!(once != Corpus::new(&other).collect::<Vec<_>>(), "{kind:?}");
    }
}

#[test]
fn every_request_is_accepted_whole_and_the_figures_hold() {
    for kind in [Kind::Shop, Kind::Entropy, Kind::Large] {
        let mut corpus = Corpus::new(&small(kind));
        let mut spans_of: HashMap<Vec<u8>, HashSet<Vec<u8>>> = HashMap::new();
        let mut sent = 0;
        for request in corpus.by_ref() {
            assert!(request.span_count <= 1000, "{kind:?}");
            let batch = spanlake_otlp::index(request.body.clone().into(), &spanlake_otlp::Limits::default());
            let batch = batch.expect("a corpus is valid OTLP");
            assert_eq!((batch.spans.len() as u32, batch.rejected.span_count), (request.span_count, 0), "{kind:?}");
            let decoded = ExportTraceServiceRequest::decode(request.body.as_slice()).expect("it is protobuf");
            assert_eq!(decoded.encode_to_vec(), request.body);
            let scopes = decoded.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            for span in scopes.flat_map(|scope| scope.spans) {
                assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
                sent += 1;
                spans_of.entry(span.trace_id).or_default().insert(span.span_id);
            }
        }
        let figures = corpus.figures();
        assert_eq!(figures.sent_span_count, sent, "{kind:?}");
        assert_eq!(figures.span_count, spans_of.values().map(|spans| spans.len() as u64).sum::<u64>(), "{kind:?}");
        assert_eq!(figures.trace_count, spans_of.len() as u64, "{kind:?}");
        for known in figures.known_traces() {
            let spans = spans_of.get(known.trace_id.0.as_slice()).map(HashSet::len);
            assert_eq!(spans, Some(known.span_count as usize), "{kind:?} {}", known.trace_id);
        }
        if kind == Kind::Large {
            assert!(sent > figures.span_count, "some come twice");
            assert_eq!(figures.largest_trace_span_count, 6_000);
        }
    }
}

#[test]
fn the_shop_has_the_averages_it_promises() {
    // Past the first job of 5,000 spans, short of the second.
    let mut corpus = Corpus::new(&Spec::new(Kind::Shop, 100_000, 1));
    let requests = corpus.by_ref().count();
    let figures = corpus.figures();
    let check = |what: &str, value: f64, low: f64, high: f64| {
        assert!((low..=high).contains(&value), "{what} is {value:.3}, not of {low}..={high}");
    };
    check("bytes per span", figures.bytes_per_span(), 325.0, 370.0);
    check("attributes per span", figures.attributes_per_span(), 7.0, 8.0);
    check("spans per trace", figures.spans_per_trace(), 15.5, 19.0);
    check("errors", figures.error_share(), 0.01, 0.02);
    check("attributes per resource", figures.resource_attributes, 17.0, 20.0);
    check("spans per request", figures.span_count as f64 / requests as f64, 500.0, 1000.0);
    assert_eq!(figures.largest_trace_span_count, 5_000);
    assert!(figures.link_count > 0 && figures.event_count > 0 && figures.key_count > 300);
}

#[test]
fn a_trace_of_the_shop_has_one_root_and_no_orphans() {
    let mut parents: HashMap<Vec<u8>, (Vec<u8>, Vec<u8>)> = HashMap::new();
    for request in Corpus::new(&Spec::new(Kind::Shop, 3_000, 3)) {
        let decoded = ExportTraceServiceRequest::decode(request.body.as_slice()).expect("it is protobuf");
        let scopes = decoded.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            parents.insert(span.span_id, (span.trace_id, span.parent_span_id));
        }
    }
    let mut roots: HashMap<&[u8], u32> = HashMap::new();
    for (trace_id, parent) in parents.values() {
        if parent.is_empty() {
            *roots.entry(trace_id).or_default() += 1;
        } else {
            assert_eq!(parents.get(parent).map(|(of, _)| of), Some(trace_id), "a parent in the same trace");
        }
    }
    let traces: HashSet<&Vec<u8>> = parents.values().map(|(trace_id, _)| trace_id).collect();
    assert!(roots.values().all(|count| *count == 1) && roots.len() == traces.len());
}

#[test]
fn files_round_trip_compressed_or_not() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let bodies: Vec<Vec<u8>> = Corpus::new(&Spec::new(Kind::Shop, 1_500, 2)).map(|request| request.body).collect();
    for gzip in [false, true] {
        let path = dir.path().join(format!("corpus-{gzip}"));
        let mut writer = Writer::create(&path, gzip).expect("it can be created");
        bodies.iter().for_each(|body| writer.write(body).expect("it can be written"));
        writer.finish().expect("it can be flushed");
        let read = Reader::open(&path).expect("it exists").map(|m| m.expect("whole").into_plain().expect("sound"));
        assert!(read.eq(bodies.iter().cloned()), "gzip {gzip}");
        let known = KnownTrace { trace_id: TraceId([3; 16]), span_count: 17 };
        write_ids(&path, [known].iter()).expect("it can be written");
        assert_eq!(read_ids(&path).expect("it can be read"), [known]);
    }
    std::fs::write(dir.path().join("cut"), [9, 0, 0, 0, 1]).expect("it can be written");
    assert!(Reader::open(&dir.path().join("cut")).expect("it exists").next().expect("a message").is_err());
}
