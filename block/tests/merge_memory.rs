//! What a merge holds when values repeat, since lists are decoded flat and a dictionary's size does not tell what they become;
//! and when nothing repeats, so that rows are large, of thousands of resources.
//!
//! Tests of their own process, since they look at the memory of the process, one at a time.

#![cfg(target_os = "linux")]

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use spanlake_block::{Block, Merge, MergeInput, MergeOptions, SharedOrigins, WriteOptions, Written, write_block};
use spanlake_otlp::{Limits, index};

const EVENT_BYTES: usize = 5_000;
const SPANS_PER_BLOCK: usize = 8_192;
/// A fourth of the rows that a pass has where rows are small. Merged in one pass they add 355 MiB, the whole 1,360.
const BLOCKS: usize = 8;
/// What merging may add to what the inputs take.
const MOST_BYTES: u64 = 200 << 20;

/// Spans of a block of large rows: 20 MB of them. Each has a resource of its own, which all blocks share.
const LARGE_ROWS: usize = 4_096;
const LARGE_BYTES: usize = 5_000;

/// Only one test at a time.
static MEMORY: Mutex<()> = Mutex::new(());

/// A block of spans with one large event each, of a few texts.
fn block(number: usize) -> Written {
    let event = |text: usize| Event {
        time_unix_nano: 1,
        name: "exception".to_owned(),
        attributes: vec![KeyValue {
            key: "exception.stacktrace".to_owned(),
            value: Some(AnyValue { value: Some(Value::StringValue(format!("{text:05}").repeat(EVENT_BYTES / 5))) }),
            ..KeyValue::default()
        }],
        dropped_attributes_count: 0,
    };
    let span = |i: usize| {
        let id = ((number + i * BLOCKS) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Span {
            trace_id: [id.to_be_bytes(), [1; 8]].concat(),
            span_id: id.to_le_bytes().map(|byte| byte | 1).to_vec(),
            name: "charge".to_owned(),
            start_time_unix_nano: 1_000_000_000 + i as u64,
            end_time_unix_nano: 1_000_000_500 + i as u64,
            events: vec![event(i % 20)],
            ..Span::default()
        }
    };
    let scope_spans = vec![ScopeSpans { spans: (0..SPANS_PER_BLOCK).map(span).collect(), ..ScopeSpans::default() }];
    write(vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }])
}

/// A block of spans with a text that does not compress, and twenty more on the resource of each.
fn block_of_large_rows(number: usize) -> Written {
    let text = |key: &str, value: String| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(value)) }),
        ..KeyValue::default()
    };
    let noise = |seed: usize, bytes: usize| {
        let mut state = seed as u64 + 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b' ' + (state >> 33) as u8 % 90)
        };
        (0..bytes).map(|_| next()).collect::<String>()
    };
    let resource_spans = (0..LARGE_ROWS).map(|i| {
        let attributes = (0..20).map(|n| text(&format!("label.{n}"), noise(i * 20 + n, 60))).collect();
        let id = ((number + i * BLOCKS) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let span = Span {
            trace_id: [id.to_be_bytes(), [1; 8]].concat(),
            span_id: id.to_le_bytes().map(|byte| byte | 1).to_vec(),
            name: "charge".to_owned(),
            start_time_unix_nano: 1_000_000_000 + i as u64,
            end_time_unix_nano: 1_000_000_500 + i as u64,
            attributes: vec![text("noise", noise(number << 20 | i, LARGE_BYTES))],
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        let resource = Some(Resource { attributes, ..Resource::default() });
        ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }
    });
    write(resource_spans.collect())
}

fn write(resource_spans: Vec<ResourceSpans>) -> Written {
    let request = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let batch = index(Bytes::from(request), &Limits::default()).expect("it is a sound request");
    write_block(&[batch], &WriteOptions::default()).expect("it has spans")
}

/// A line of the process's memory figures, in bytes.
fn memory(figure: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with(figure)).expect("Linux tells it");
    let kibibytes = line.split_whitespace().nth(1).expect("it has a value");
    1024 * kibibytes.parse::<u64>().expect("a number")
}

/// Merges blocks, and says what that added to the memory of the process; and the outputs.
fn merge(blocks: &[Written]) -> (u64, Vec<Written>) {
    let mut origins = SharedOrigins::default();
    let open = |block: &Written| {
        let behind_rows = block.bytes.slice(block.meta.search_offset as usize..);
        MergeInput::open(&block.meta, behind_rows, &mut origins).expect("just written")
    };
    // The peak so far is that of writing the blocks.
    std::fs::write("/proc/self/clear_refs", "5").expect("a process may reset its own peak");
    let before = memory("VmRSS:");
    let mut merge = Merge::new(blocks.iter().map(open).collect(), MergeOptions::default()).expect("there are inputs");
    let (mut outputs, mut passes) = (Vec::new(), 0);
    while let Some(wanted) = merge.wanted() {
        passes += 1;
        let fetched = wanted.into_iter().map(|wanted| {
            let bytes = blocks[wanted.input].bytes.slice(wanted.range.start as usize..wanted.range.end as usize);
            (wanted, bytes)
        });
        outputs.extend(merge.step(fetched.collect()).expect("sound blocks"));
    }
    outputs.extend(merge.finish().expect("sound blocks").blocks);
    let added = memory("VmHWM:").saturating_sub(before);
    println!("{passes} passes added {} MiB to {} MiB", added >> 20, before >> 20);
    let rows: u64 = blocks.iter().map(|block| block.meta.span_count).sum();
    assert_eq!(outputs.iter().map(|out| out.meta.span_count).sum::<u64>(), rows);
    (added, outputs)
}

#[test]
fn memory_is_bounded_where_events_repeat() {
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let blocks: Vec<Written> = (0..BLOCKS).map(block).collect();
    let (added, _) = merge(&blocks);
    assert!(added < MOST_BYTES, "merging added {} MiB", added >> 20);
}

#[test]
fn large_rows_make_small_row_groups_and_resources_are_held_once() {
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let blocks: Vec<Written> = (0..BLOCKS).map(block_of_large_rows).collect();
    let (added, outputs) = merge(&blocks);
    for output in &outputs {
        let tail = output.bytes.slice(output.meta.tail_offset as usize..);
        let block = Block::open(&output.meta, tail).expect("just written");
        for row_group in 0..block.row_group_count() {
            let range = block.row_group_range(row_group);
            assert!(range.end - range.start < 8 << 20, "a row group of {} bytes", range.end - range.start);
        }
    }
    assert!(added < MOST_BYTES * 3 / 2, "merging added {} MiB", added >> 20);
}
