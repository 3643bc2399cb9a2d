//! What a merge holds when values repeat: lists are decoded flat, so a dictionary's size does not tell what they become.
//!
//! A test of its own process, since it looks at the memory of the process.

#![cfg(target_os = "linux")]

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use spanlake_block::{Merge, MergeInput, MergeOptions, WriteOptions, Written, write_block};
use spanlake_otlp::{Limits, index};

const EVENT_BYTES: usize = 5_000;
const SPANS_PER_BLOCK: usize = 8_192;
/// A fourth of the rows that a pass has where rows are small. Merged in one pass they add 355 MiB, the whole 1,360.
const BLOCKS: usize = 8;
/// What merging may add to what the inputs take.
const MOST_BYTES: u64 = 200 << 20;

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
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
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

#[test]
fn memory_is_bounded_where_events_repeat() {
    let blocks: Vec<Written> = (0..BLOCKS).map(block).collect();
    let open = |block: &Written| {
        let behind_rows = block.bytes.slice(block.meta.search_offset as usize..);
        MergeInput::open(&block.meta, behind_rows).expect("just written")
    };
    // The peak so far is that of writing the blocks.
    std::fs::write("/proc/self/clear_refs", "5").expect("a process may reset its own peak");
    let before = memory("VmRSS:");
    let mut merge = Merge::new(blocks.iter().map(open).collect(), MergeOptions::default()).expect("there are inputs");
    let (mut rows, mut passes) = (0, 0);
    while let Some(wanted) = merge.wanted() {
        passes += 1;
        let fetched = wanted.into_iter().map(|wanted| {
            let bytes = blocks[wanted.input].bytes.slice(wanted.range.start as usize..wanted.range.end as usize);
            (wanted, bytes)
        });
        rows += merge.step(fetched.collect()).expect("sound blocks").iter().map(|out| out.meta.span_count).sum::<u64>();
    }
    let end = merge.finish().expect("sound blocks");
    rows += end.blocks.iter().map(|out| out.meta.span_count).sum::<u64>();
    let added = memory("VmHWM:").saturating_sub(before);
    println!("{passes} passes over {rows} rows added {} MiB to {} MiB", added >> 20, before >> 20);
    assert_eq!(rows, (BLOCKS * SPANS_PER_BLOCK) as u64);
    assert!(added < MOST_BYTES, "merging added {} MiB", added >> 20);
}
