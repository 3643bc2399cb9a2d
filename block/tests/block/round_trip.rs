//! Whatever OTLP can say survives a block, and a trace is found whole.

use std::collections::BTreeMap;
use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::collection::vec;
use proptest::prelude::*;
use spanlake_block::{WriteOptions, write_block};
use spanlake_model::TraceId;
use spanlake_otlp::arbitrary;

use crate::{all_rows, as_request, batches, comparable, fetch, open, small_options, write};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 200 }))]

    #[test]
    fn every_span_comes_back_as_it_was_sent(
        requests in vec(arbitrary::request(), 1..4),
        row_group_rows in 1_usize..12,
        row_group_bytes in prop_oneof![0_usize..2_000, Just(usize::MAX)],
        columns in 0_usize..6,
    ) {
        let options = WriteOptions { row_group_bytes, ..small_options(row_group_rows, columns) };
        let Some(written) = write(&requests, &options) else {
            prop_assert!(requests.iter().all(|request| comparable(std::slice::from_ref(request)).is_empty()));
            return Ok(());
        };
        let rows = all_rows(&written);
        prop_assert_eq!(rows.len() as u64, written.meta.span_count);
        prop_assert_eq!(comparable(&[as_request(&rows)]), comparable(&requests));
    }

    #[test]
    fn a_trace_is_found_whole_and_only_that_trace(
        requests in vec(arbitrary::request(), 1..4),
        row_group_rows in 1_usize..12,
        absent in any::<[u8; 16]>(),
    ) {
        let Some(written) = write(&requests, &small_options(row_group_rows, 3)) else { return Ok(()) };
        let block = open(&written);
        let mut by_trace: BTreeMap<Vec<u8>, Vec<_>> = BTreeMap::new();
        for row in all_rows(&written) {
            by_trace.entry(row.span.trace_id.clone()).or_default().push(row);
        }
        let search = block.open_search(fetch(&written, block.search_range())).expect("just written");
        prop_assert_eq!(search.summaries().len(), by_trace.len());
        for (summary, (id, rows)) in search.summaries().iter().zip(&by_trace) {
            let id = TraceId::from_wire(id).expect("stored ids are sound");
            let mut found = Vec::new();
            for group in block.row_groups_for(&id) {
                found.extend(block.read_trace(group, fetch(&written, block.row_group_range(group)), &id).expect("sound"));
            }
            prop_assert_eq!(comparable(&[as_request(&found)]), comparable(&[as_request(rows)]));
            prop_assert_eq!(summary.trace_id, id);
            prop_assert_eq!(summary.span_count as usize, rows.len());
            let starts = rows.iter().map(|row| row.span.start_time_unix_nano).filter(|start| *start != 0);
            prop_assert_eq!(summary.start_unix_nanos, starts.min().unwrap_or(0));
            let errors = rows.iter().filter(|row| row.span.status.as_ref().is_some_and(|status| status.code == 2));
            prop_assert_eq!(summary.error_count as usize, errors.count());
            let roots = rows.iter().filter(|row| row.span.parent_span_id.iter().all(|byte| *byte == 0) || row.span.parent_span_id.len() != 8);
            let root = roots.min_by_key(|row| row.span.start_time_unix_nano);
            prop_assert_eq!(summary.root_name.is_some(), root.is_some());
        }
        let absent = TraceId(absent);
        for group in block.row_groups_for(&absent) {
            let rows = block.read_trace(group, fetch(&written, block.row_group_range(group)), &absent).expect("sound");
            prop_assert!(by_trace.contains_key(absent.0.as_slice()) || rows.is_empty());
        }
    }

    #[test]
    fn the_order_of_requests_does_not_matter(requests in vec(arbitrary::request(), 1..4)) {
        let options = WriteOptions::default();
        let mut reversed = batches(&requests);
        reversed.reverse();
        let forward = write_block(&batches(&requests), &options);
        let backward = write_block(&reversed, &options);
        prop_assert_eq!(forward.is_ok(), backward.is_ok());
        if let (Ok(forward), Ok(backward)) = (forward, backward) {
            prop_assert_eq!(forward.meta.span_count, backward.meta.span_count);
            let ids = |written| -> Vec<_> { all_rows(written).into_iter().map(|row| row.span.trace_id).collect() };
            prop_assert_eq!(ids(&forward), ids(&backward));
        }
    }
}

/// Traces without sound times exist: what is done for each span must not grow with their number.
#[test]
fn a_large_trace_of_one_start_and_many_services_is_written_in_time() {
    let span = |i: u64| Span {
        trace_id: vec![1; 16],
        span_id: (1 + i / 2).to_be_bytes().to_vec(),
        // Two spans of an id, and those of every tenth are the same span.
        name: format!("span {}", if (i / 2).is_multiple_of(10) { 0 } else { i % 2 }),
        ..Span::default()
    };
    let of_service = |number: u64| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![KeyValue {
                key: "service.name".to_owned(),
                value: Some(AnyValue { value: Some(Value::StringValue(number.to_string())) }),
                ..KeyValue::default()
            }],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans { spans: vec![span(2 * number), span(2 * number + 1)], ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    let request =
        |from: u64| ExportTraceServiceRequest { resource_spans: (from..from + 30_000).map(of_service).collect() };
    let batches = batches(&[request(0), request(30_000), request(60_000)]);
    let began = Instant::now();
    let written = write_block(&batches, &WriteOptions::default()).expect("there are spans");
    assert_eq!((written.meta.span_count, written.report.duplicate_count), (171_000, 9_000));
    let block = open(&written);
    let search = block.open_search(fetch(&written, block.search_range())).expect("just written");
    assert_eq!(search.services(&search.summaries()[0]).len(), 90_000);
    assert!(began.elapsed().as_secs() < 30, "it took {:?}", began.elapsed());
}
