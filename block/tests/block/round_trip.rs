//! Whatever OTLP can say survives a block, and a trace is found whole.

use std::collections::BTreeMap;

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
        columns in 0_usize..6,
    ) {
        let Some(written) = write(&requests, &small_options(row_group_rows, columns)) else {
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
            let starts = rows.iter().map(|row| row.span.start_time_unix_nano);
            prop_assert_eq!(Some(summary.start_unix_nanos), starts.min());
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
