//! Damage is named, whatever byte it hits: never a wrong answer.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use spanlake_block::{Block, BlockMeta, Condition, Damage, Field, Literal, Op, Scope, SpanRow, WriteOptions, Written};
use spanlake_model::{TimeRange, TraceId};

use crate::{all_rows, small_options, write};

fn sample(spans: u64, options: &WriteOptions) -> Written {
    let event = |i: u64| Event {
        name: format!("event {}", i % 3),
        attributes: vec![KeyValue { key: format!("key {}", i % 5), ..KeyValue::default() }],
        ..Event::default()
    };
    let span = |i: u64| Span {
        trace_id: (1 + u128::from(i / 5)).to_be_bytes().to_vec(),
        span_id: (1 + i).to_be_bytes().to_vec(),
        name: format!("span {}", i % 7),
        start_time_unix_nano: 1_760_000_000_000_000_000 + i,
        end_time_unix_nano: 1_760_000_000_000_000_000 + 3 * i,
        attributes: vec![KeyValue {
            key: "user".to_owned(),
            value: Some(AnyValue { value: Some(Value::StringValue(format!("u{}", i % 50))) }),
            ..KeyValue::default()
        }],
        events: (0..i % 2).map(|_| event(i)).collect(),
        ..Span::default()
    };
    let scope_spans = ScopeSpans { spans: (0..spans).map(span).collect(), ..ScopeSpans::default() };
    let resource_spans = ResourceSpans { scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    write(&[ExportTraceServiceRequest { resource_spans: vec![resource_spans] }], options).expect("there are spans")
}

/// What a reader would answer from these bytes: all rows, all traces by id, a scan, every summary, what events have and how long
/// operations took.
type Answer = (Vec<SpanRow>, Vec<SpanRow>, Vec<u32>, usize, Vec<String>);

fn answer(meta: &BlockMeta, object: &Bytes) -> Result<Answer, Damage> {
    let cut = |range: std::ops::Range<u64>| {
        let end = (range.end as usize).min(object.len());
        object.slice((range.start as usize).min(end)..end)
    };
    let block = Block::open(meta, cut(meta.tail_offset..meta.object_bytes))?;
    let search = block.open_search(cut(block.search_range()))?;
    let condition = Condition {
        field: Field::Attribute { scope: Scope::Any, key: "user".to_owned() },
        op: Op::Eq,
        value: Literal::String("u7".to_owned()),
    };
    let mut matches = Vec::new();
    for plan in block.plan_scan(&search, &[condition]) {
        matches.extend(block.matching_rows(&plan, plan.ranges.iter().cloned().map(cut).collect())?);
    }
    let mut rows = Vec::new();
    for group in 0..block.row_group_count() {
        rows.extend(block.read_row_group(group, cut(block.row_group_range(group)))?);
    }
    let mut by_id = Vec::new();
    for trace in 1..=20_u128 {
        let id = TraceId(trace.to_be_bytes());
        for group in block.row_groups_for(&id) {
            by_id.extend(block.read_trace(group, cut(block.row_group_range(group)), &id)?);
        }
    }
    let keys = search.event_keys().into_iter().flatten();
    let names = (0..block.row_group_count()).filter_map(|group| search.event_names(group)).flatten();
    let baselines = search.baselines(TimeRange::ALL, |_, _, _| true)?;
    let told = keys.chain(names).map(str::to_owned).chain([format!("{baselines:?}")]).collect();
    Ok((rows, by_id, matches, search.summaries().len(), told))
}

#[test]
fn no_bit_flip_gives_a_wrong_answer() {
    let written = sample(300, &WriteOptions { level: 1, ..small_options(64, 10) });
    let truth = answer(&written.meta, &written.bytes).expect("the block is sound");
    let mut random = StdRng::seed_from_u64(0x5eed);
    let (mut named, mut harmless) = (0, 0);
    for _ in 0..1_000 {
        let mut object = written.bytes.to_vec();
        let at = random.random_range(0..object.len());
        object[at] ^= 1 << random.random_range(0..8);
        match answer(&written.meta, &Bytes::from(object)) {
            Err(_) => named += 1,
            // The leading magic is read by nobody but foreign Parquet readers.
            Ok(found) => {
                assert_eq!(found, truth, "a flip at byte {at} changed the answer");
                assert!(at < 4, "a flip at byte {at} of {} went unnoticed", written.bytes.len());
                harmless += 1;
            }
        }
    }
    println!("1000 bit flips: {named} named, {harmless} harmless, 0 wrong");
    assert!(named > 900);
}

/// What only a writer gone wrong could store: the fuzz target `block_reader` looks deeper.
#[test]
fn a_flip_in_the_tail_under_a_right_checksum_is_no_panic() {
    let written = sample(300, &WriteOptions { level: 1, ..small_options(64, 10) });
    let tail_offset = written.meta.tail_offset as usize;
    let mut random = StdRng::seed_from_u64(0x7a11);
    let (mut named, mut unnoticed) = (0, 0);
    for _ in 0..1_000 {
        let mut object = written.bytes.to_vec();
        let at = random.random_range(tail_offset..object.len());
        object[at] ^= 1 << random.random_range(0..8);
        let meta = BlockMeta { tail_crc32c: crc32c::crc32c(&object[tail_offset..]), ..written.meta.clone() };
        match answer(&meta, &Bytes::from(object)) {
            Err(_) => named += 1,
            Ok(_) => unnoticed += 1,
        }
    }
    println!("1000 bit flips under a right checksum: {named} named, {unnoticed} unnoticed");
    assert!(named > 0 && unnoticed > 0);
}

#[test]
fn a_truncated_object_is_named() {
    let written = sample(300, &WriteOptions { level: 1, ..small_options(64, 10) });
    for len in (0..written.bytes.len()).step_by(37) {
        let error = answer(&written.meta, &written.bytes.slice(..len)).expect_err("bytes are missing");
        assert!(error.to_string().starts_with("the block is damaged: "), "{error}");
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let written = sample(10, &WriteOptions::default());
    let meta = BlockMeta { format_version: 2, ..written.meta.clone() };
    let tail = written.bytes.slice(meta.tail_offset as usize..);
    let error = Block::open(&meta, tail).expect_err("version 2 is not known");
    assert_eq!(error, Damage::NewerVersion { found: 2 });
}

#[test]
fn the_same_spans_give_the_same_bytes() {
    let options = WriteOptions { level: 1, ..WriteOptions::default() };
    assert_eq!(sample(300, &options).bytes, sample(300, &options).bytes);
    assert_eq!(all_rows(&sample(300, &options)).len(), 300);
}
