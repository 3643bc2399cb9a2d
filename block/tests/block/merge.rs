//! Merging blocks gives what writing all their spans at once gives, whatever the order and grouping of the inputs.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::collection::vec;
use proptest::prelude::*;
use spanlake_block::{
    AttributeColumn, Block, Merge, MergeEnd, MergeError, MergeInput, MergeOptions, Problem, SearchIndex, SharedOrigins,
    Verifier, WriteOptions, Written,
};
use spanlake_model::{TimeRange, TraceId};
use spanlake_otlp::arbitrary;

use crate::{all_rows, as_request, comparable, fetch, open, small_options, write};

/// Merges blocks as a compactor does.
fn merge(blocks: &[Written], options: &MergeOptions) -> Result<MergeEnd, MergeError> {
    let behind_rows = |block: &Written| fetch(block, block.meta.search_offset..block.meta.object_bytes);
    let mut origins = SharedOrigins::default();
    let input = |block: &Written| {
        MergeInput::open(&block.meta, behind_rows(block), &mut origins).expect("the block was just written")
    };
    let mut merge = Merge::new(blocks.iter().map(input).collect(), options.clone())?;
    let mut done = Vec::new();
    while let Some(wanted) = merge.wanted() {
        let fetched = wanted.into_iter().map(|wanted| {
            let bytes = fetch(&blocks[wanted.input], wanted.range.clone());
            (wanted, bytes)
        });
        done.extend(merge.step(fetched.collect())?);
    }
    let end = merge.finish()?;
    done.extend(end.blocks);
    for block in &done {
        let verified = crate::verified(block);
        assert!(verified.is_sound(), "{:#?}", verified.problems);
    }
    Ok(MergeEnd { blocks: done, report: end.report })
}

fn options(write: WriteOptions, pass_rows: usize) -> MergeOptions {
    MergeOptions { write, pass_rows, max_block_rows: u64::MAX, max_block_bytes: u64::MAX, ..MergeOptions::default() }
}

fn search(written: &Written) -> (Block, SearchIndex) {
    let block = open(written);
    let search = block.open_search(fetch(written, block.search_range())).expect("just written");
    (block, search)
}

/// What the index of a block says that does not depend on which keys have columns.
fn facts(written: &Written) -> impl PartialEq + std::fmt::Debug + use<> {
    let (_, search) = search(written);
    let services: Vec<_> = search.summaries().iter().map(|trace| search.services(trace).to_vec()).collect();
    let summaries: Vec<String> = search
        .summaries()
        .iter()
        .map(|trace| {
            let mut text = format!("{trace:?}");
            text.truncate(text.find("services").unwrap_or(text.len()));
            text
        })
        .collect();
    let services: Vec<_> = services
        .into_iter()
        .map(|mut services| {
            services.sort_by(|a, b| a.service.cmp(&b.service));
            format!("{services:?}")
        })
        .collect();
    let keys: BTreeMap<AttributeColumn, u64> = search.keys().iter().cloned().collect();
    let event_keys: Vec<String> = search.event_keys().into_iter().flatten().map(str::to_owned).collect();
    let link_keys: Vec<String> = search.link_keys().into_iter().flatten().map(str::to_owned).collect();
    let baselines = search.baselines(TimeRange::ALL, |_, _, _| true).expect("just written");
    assert_eq!(baselines.is_some(), written.meta.level > 0);
    let counts = (written.meta.span_count, written.meta.trace_count);
    (summaries, services, keys, event_keys, link_keys, baselines, counts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 300 }))]

    #[test]
    fn a_merge_is_the_block_of_all_spans(
        requests in vec(arbitrary::request(), 1..6),
        order in any::<u64>(),
        row_group_rows in 1_usize..12,
        columns in 0_usize..6,
        pass_rows in 1_usize..20,
        twice in any::<bool>(),
    ) {
        let small = WriteOptions { level: 1, ..small_options(row_group_rows, columns) };
        let mut blocks: Vec<Written> = requests.iter().enumerate().filter_map(|(i, request)| {
            write(std::slice::from_ref(request), &small_options(1 + (row_group_rows + i) % 7, (columns + i) % 6))
        }).collect();
        prop_assume!(!blocks.is_empty());
        if twice {
            blocks.push(blocks[order as usize % blocks.len()].clone());
        }
        // Which copy of an identical span is kept depends on the order of inputs, so copies that differ are left out.
        let expect = comparable(&requests);
        let mut backward = requests.clone();
        backward.reverse();
        prop_assume!(expect == comparable(&backward));
        let rotate = order as usize % blocks.len();
        blocks.rotate_left(rotate);
        let whole = write(&requests, &small).expect("there are spans");
        let split = order as usize % blocks.len();

        let merged = merge(&blocks, &options(small.clone(), pass_rows)).expect("the blocks are sound");
        prop_assert_eq!(merged.blocks.len(), 1);
        let one = &merged.blocks[0];
        let rows = all_rows(one);
        prop_assert_eq!(comparable(&[as_request(&rows)]), expect.clone());
        prop_assert_eq!(rows.len(), expect.len(), "a span is there twice");
        let ids = |written: &Written| -> Vec<_> {
            all_rows(written).into_iter().map(|row| (row.span.trace_id, row.span.span_id, row.span.name)).collect()
        };
        prop_assert_eq!(ids(one), ids(&whole), "the order of rows");
        prop_assert_eq!(facts(one), facts(&whole));
        prop_assert_eq!(problems(one), []);
        prop_assert_eq!(merged.report.rows_read - merged.report.duplicate_count, merged.report.rows_written);

        // In two steps it is the same.
        let halves = [&blocks[..split], &blocks[split..]].into_iter().filter(|half| !half.is_empty()).flat_map(|half| {
            merge(half, &options(small_options(3, 4), pass_rows)).expect("the blocks are sound").blocks
        });
        let again = merge(&halves.collect::<Vec<_>>(), &options(small, pass_rows + 1)).expect("the blocks are sound");
        prop_assert_eq!(ids(&again.blocks[0]), ids(&whole));
        prop_assert_eq!(facts(&again.blocks[0]), facts(&whole));
        prop_assert_eq!(comparable(&[as_request(&all_rows(&again.blocks[0]))]), expect);
    }

    #[test]
    fn every_output_is_sound(
        requests in vec(arbitrary::request(), 1..5),
        row_group_rows in 1_usize..12,
        pass_rows in 1_usize..20,
        window_nanos in prop_oneof![Just(0_u64), 1..u64::MAX],
        max_block_rows in 1_u64..30,
    ) {
        let blocks: Vec<Written> =
            requests.iter().filter_map(|request| write(std::slice::from_ref(request), &small_options(5, 3))).collect();
        prop_assume!(!blocks.is_empty());
        let mut options = options(small_options(row_group_rows, 3), pass_rows);
        (options.window_nanos, options.max_block_rows) = (window_nanos, max_block_rows);
        let end = merge(&blocks, &options).expect("the blocks are sound");
        let mut rows = Vec::new();
        for written in &end.blocks {
            let problems = problems(written);
            prop_assert!(problems.is_empty(), "{problems:?}");
            rows.extend(all_rows(written));
        }
        let expect = comparable(&requests);
        prop_assert_eq!(rows.len(), expect.len());
        let ids = |spans: &[ExportTraceServiceRequest]| -> HashSet<Vec<u8>> {
            spans.iter().flat_map(|r| &r.resource_spans).flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans)
                .filter(|span| span.span_id.len() == 8 && span.trace_id.len() == 16)
                .map(|span| [span.trace_id.clone(), span.span_id.clone()].concat()).collect()
        };
        prop_assert!(ids(&[as_request(&rows)]).is_subset(&ids(&requests)));
    }
}

/// Everything that is wrong with a block.
fn problems(written: &Written) -> Vec<Problem> {
    let opened = Verifier::open(&written.meta, fetch(written, written.meta.tail_offset..written.meta.object_bytes));
    let mut verifier = match opened {
        Ok(verifier) => verifier,
        Err(verified) => return verified.problems,
    };
    verifier.search(fetch(written, verifier.search_range()));
    for group in 0..verifier.row_group_count() {
        verifier.row_group(fetch(written, verifier.row_group_range(group)));
    }
    verifier.finish().problems
}

fn request(
    trace: u8,
    spans: impl IntoIterator<Item = (u64, u64, Vec<(&'static str, Value)>)>,
) -> ExportTraceServiceRequest {
    let spans = spans.into_iter().map(|(id, start_time_unix_nano, attributes)| Span {
        trace_id: vec![trace; 16],
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if id > 1 { (id / 2).to_be_bytes().to_vec() } else { Vec::new() },
        start_time_unix_nano,
        end_time_unix_nano: start_time_unix_nano + 10,
        attributes: attributes
            .into_iter()
            .map(|(key, value)| KeyValue {
                key: key.to_owned(),
                value: Some(AnyValue { value: Some(value) }),
                ..KeyValue::default()
            })
            .collect(),
        ..Span::default()
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

#[test]
fn late_spans_go_to_the_window_of_their_own_time() {
    const HOUR: u64 = 3_600_000_000_000;
    let now = 500_000 * HOUR;
    let blocks: Vec<Written> = [
        request(1, [(1, now, vec![]), (2, now - 30 * HOUR, vec![]), (3, 0, vec![]), (4, now - HOUR, vec![])]),
        request(2, [(1, now - 30 * HOUR, vec![])]),
        request(3, [(1, 0, vec![])]),
    ]
    .iter()
    .map(|request| write(std::slice::from_ref(request), &WriteOptions::default()).expect("there are spans"))
    .collect();
    let mut options = options(WriteOptions::default(), 1_000);
    options.window_nanos = HOUR;
    let end = merge(&blocks, &options).expect("the blocks are sound");
    let counts: Vec<_> =
        end.blocks.iter().map(|block| (block.meta.max_end_unix_nanos / HOUR, block.meta.span_count)).collect();
    assert_eq!(counts, [(0, 1), (500_000 - 30, 2), (500_000, 3)]);
}

#[test]
fn deleted_traces_are_left_out_and_large_outputs_are_cut() {
    let blocks: Vec<Written> = (0..4_u64)
        .map(|i| {
            let requests: Vec<_> = (1..=50).map(|trace| request(trace, [(i + 1, 1_000 + i, vec![])])).collect();
            write(&requests, &WriteOptions::default()).expect("there are spans")
        })
        .collect();
    let mut options = options(WriteOptions::default(), 20);
    options.max_block_rows = 60;
    options.deleted = Arc::new([TraceId([7; 16]), TraceId([8; 16]), TraceId([99; 16])].into());
    let end = merge(&blocks, &options).expect("the blocks are sound");
    assert_eq!((end.report.rows_read, end.report.deleted_count, end.report.rows_written), (200, 8, 192));
    assert!(end.blocks.len() >= 3, "{} blocks", end.blocks.len());
    let mut last = None;
    for block in &end.blocks {
        let (_, search) = search(block);
        let ids: Vec<TraceId> = search.summaries().iter().map(|trace| trace.trace_id).collect();
        assert!(last < ids.first().copied(), "the ranges of trace ids are disjoint");
        last = ids.last().copied();
        assert!(!ids.contains(&TraceId([7; 16])));
    }
}

#[test]
fn values_move_between_columns_and_the_rest() {
    let text = |text: &str| Value::StringValue(text.to_owned());
    // Rare in the first block, frequent in the second, of two types, repeated, and one that only the first has.
    let rare = request(
        1,
        (1..300).map(|id| {
            let mut attributes = vec![("often", text("x")), ("first", Value::IntValue(id as i64))];
            if id < 4 {
                attributes.extend([("rare", text("r\"1")), ("mixed", Value::IntValue(1)), ("mixed", text("later"))]);
            }
            (id, 1_000 + id, attributes)
        }),
    );
    let frequent = request(
        2,
        (1..500).map(|id| {
            (id, 1_000 + id, vec![("rare", text("r2")), ("mixed", text("m")), ("often", Value::DoubleValue(1.5))])
        }),
    );
    let requests = [rare, frequent];
    let write_options = WriteOptions { min_values: 100, min_density: 4, ..WriteOptions::default() };
    let blocks: Vec<Written> = requests
        .iter()
        .map(|request| write(std::slice::from_ref(request), &write_options).expect("there are spans"))
        .collect();
    let columns = |written: &Written| -> Vec<String> {
        open(written).attribute_columns().iter().map(AttributeColumn::name).collect()
    };
    assert_eq!(columns(&blocks[0]), ["span.first:int", "span.often"]);
    let end = merge(&blocks, &options(WriteOptions { min_density: 2, ..write_options }, 100)).expect("sound");
    assert_eq!(columns(&end.blocks[0]), ["span.mixed", "span.often:double", "span.rare"]);
    assert_eq!(comparable(&[as_request(&all_rows(&end.blocks[0]))]), comparable(&requests));
    assert_eq!(facts(&end.blocks[0]), facts(&write(&requests, &WriteOptions::default()).expect("there are spans")));
}

#[test]
fn one_trace_of_large_spans_makes_its_own_row_groups_small() {
    let large = Value::StringValue("x".repeat(2_000));
    let requests: Vec<_> = (1..=100)
        .map(|trace| match trace {
            50 => request(trace, (1..=40).map(|id| (id, 1_000 + id, vec![("large", large.clone())]))),
            _ => request(trace, (1..=3).map(|id| (id, 1_000 + id, vec![]))),
        })
        .collect();
    let write_options = WriteOptions { row_group_bytes: 20_000, row_group_rows: 100, ..WriteOptions::default() };
    let blocks: Vec<Written> =
        requests.chunks(10).map(|requests| write(requests, &write_options).expect("there are spans")).collect();
    let end = merge(&blocks, &options(write_options, 10_000)).expect("the blocks are sound");
    let merged = &end.blocks[0];
    assert_eq!(problems(merged), []);
    assert_eq!(comparable(&[as_request(&all_rows(merged))]), comparable(&requests));
    let row_groups = open(merged).row_group_count();
    assert!((7..30).contains(&row_groups), "{row_groups} row groups");
}

#[test]
fn damage_is_named_with_its_input() {
    let blocks: Vec<Written> = [1, 2]
        .map(|trace| write(&[request(trace, (1..100).map(|id| (id, id, vec![])))], &WriteOptions::default()))
        .into_iter()
        .flatten()
        .collect();
    let mut damaged = blocks.clone();
    let mut bytes = damaged[1].bytes.to_vec();
    bytes[40] ^= 1;
    damaged[1].bytes = bytes.into();
    let error = merge(&damaged, &options(WriteOptions::default(), 1_000)).expect_err("a byte is wrong");
    assert!(matches!(error, MergeError::Damaged { input: 1, .. }), "{error}");
    let mut origins = SharedOrigins::default();
    let inputs = blocks.iter().map(|block| {
        let behind_rows = fetch(block, block.meta.search_offset..block.meta.object_bytes);
        MergeInput::open(&block.meta, behind_rows, &mut origins).expect("sound")
    });
    let mut forgetful = Merge::new(inputs.collect(), MergeOptions::default()).expect("two inputs");
    assert!(matches!(forgetful.step(Vec::new()), Err(MergeError::Missing { input: 0, row_group: 0 })));
    assert!(Merge::new(Vec::new(), MergeOptions::default()).is_err());
}
