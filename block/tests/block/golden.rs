//! Blocks of every released version, and from before and after each optional section, read for ever. `SPANLAKE_BLESS=1`
//! writes the block of the present writer if it is not there yet; a golden file is never changed.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use spanlake_block::{Block, BlockMeta, FORMAT_VERSION, SearchIndex, SpanRow, WriteOptions, Written};
use spanlake_model::{TimeRange, TraceId};

use crate::{as_request, comparable, small_options, write};

/// The ids of the golden blocks, sorted; the last one is of the present writer.
const GOLDEN: [&str; 3] = ["golden-v1", "golden-v1-item-keys", "golden-v1-operations"];

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

/// Every kind of value, a tree, an orphan, a cycle, events, links, zero and inverted times, over three traces.
fn golden_request() -> ExportTraceServiceRequest {
    let any = |value| AnyValue { value: Some(value) };
    let values = vec![
        attribute("string", text("naïve \"quotes\" \n and ☃")),
        attribute("int", Value::IntValue(i64::MIN)),
        attribute("double", Value::DoubleValue(0.1)),
        attribute("whole.double", Value::DoubleValue(1.0)),
        attribute("nan", Value::DoubleValue(f64::NAN)),
        attribute("odd.nan", Value::DoubleValue(f64::from_bits(0x7ff8_0000_dead_beef))),
        attribute("minus.infinity", Value::DoubleValue(f64::NEG_INFINITY)),
        attribute("bool", Value::BoolValue(false)),
        attribute("bytes", Value::BytesValue(vec![0, 255, 7])),
        attribute(
            "array",
            Value::ArrayValue(ArrayValue {
                values: vec![
                    any(Value::IntValue(1)),
                    any(text("two")),
                    AnyValue::default(),
                    any(Value::DoubleValue(3.0)),
                ],
            }),
        ),
        attribute(
            "list",
            Value::KvlistValue(KeyValueList {
                values: vec![attribute("$bytes", text("not bytes")), attribute("again", Value::BoolValue(true))],
            }),
        ),
        attribute("repeated", text("first")),
        attribute("repeated", Value::IntValue(2)),
        attribute("repeated", text("third")),
        KeyValue { key: "empty".to_owned(), value: Some(AnyValue::default()), ..KeyValue::default() },
        attribute("", text("")),
    ];
    let base = 1_767_225_600_000_000_000_u64;
    let span = |trace: u128, id: u64, parent: u64, start: u64, end: u64| Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        name: format!("operation {}", id % 3),
        kind: (id % 6) as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes: vec![
            attribute("user.id", text(&format!("user-{}", id % 4))),
            attribute("n", Value::IntValue(id as i64)),
        ],
        ..Span::default()
    };
    let event = Event {
        time_unix_nano: base + 5,
        name: "exception".to_owned(),
        attributes: vec![attribute("exception.type", text("java.lang.NullPointerException"))],
        dropped_attributes_count: 2,
    };
    let link = Link {
        trace_id: vec![7; 16],
        span_id: vec![9; 8],
        trace_state: "a=b".to_owned(),
        attributes: values.clone(),
        dropped_attributes_count: 1,
        flags: 0x301,
    };
    let rich = Span {
        attributes: values.clone(),
        events: vec![event.clone(), Event::default()],
        links: vec![link, Link::default()],
        status: Some(Status { code: 2, message: "it failed".to_owned() }),
        trace_state: "vendor=1".to_owned(),
        flags: 0x101,
        dropped_attributes_count: 3,
        dropped_events_count: 4,
        dropped_links_count: 5,
        name: String::new(),
        ..span(1, 1, 0, base, base + 1_000)
    };
    let odd_parent = Span { parent_span_id: vec![1, 2, 3], ..span(3, 7, 0, 0, 0) };
    let resource = Resource { attributes: values, dropped_attributes_count: 1, ..Resource::default() };
    let service =
        |name: &str| Resource { attributes: vec![attribute("service.name", text(name))], ..Resource::default() };
    let scope = InstrumentationScope {
        name: "lib".to_owned(),
        version: "1.2".to_owned(),
        attributes: vec![attribute("scope.key", text("v"))],
        dropped_attributes_count: 0,
    };
    ExportTraceServiceRequest {
        resource_spans: vec![
            ResourceSpans {
                resource: Some(service("cart")),
                schema_url: "https://opentelemetry.io/schemas/1.37.0".to_owned(),
                scope_spans: vec![ScopeSpans {
                    scope: Some(scope),
                    schema_url: "https://example.com/scope".to_owned(),
                    spans: vec![rich, span(1, 2, 1, base + 10, base + 90), span(1, 3, 2, base + 20, base + 15)],
                }],
            },
            ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![ScopeSpans {
                    spans: vec![
                        span(1, 4, 99, base + 30, base + 40),
                        span(2, 5, 6, base, base + 1),
                        span(2, 6, 5, base + 1, base + 2),
                    ],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            },
            ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans: vec![odd_parent, span(3, 8, 7, u64::MAX, u64::MAX)],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            },
        ],
    }
}

fn golden_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

fn golden_write() -> Written {
    let options = WriteOptions { level: 1, max_attribute_columns: 6, ..small_options(5, 6) };
    write(&[golden_request()], &options).expect("there are spans")
}

fn read_all(meta: &BlockMeta, object: &Bytes) -> Vec<SpanRow> {
    let cut = |range: std::ops::Range<u64>| object.slice(range.start as usize..range.end as usize);
    let block = Block::open(meta, cut(meta.tail_offset..meta.object_bytes)).expect("golden blocks are sound");
    let search = block.open_search(cut(block.search_range())).expect("golden blocks are sound");
    assert_eq!(search.summaries().len(), 3);
    let mut by_id = Vec::new();
    for trace in 1..=3_u128 {
        let id = TraceId(trace.to_be_bytes());
        for group in block.row_groups_for(&id) {
            by_id.extend(
                block.read_trace(group, cut(block.row_group_range(group)), &id).expect("golden blocks are sound"),
            );
        }
    }
    by_id
}

#[test]
fn every_released_version_is_read() {
    let expect = comparable(&[golden_request()]);
    let (mut ids, mut versions) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(golden_dir()).expect("tests/golden is in the repository") {
        let path = entry.expect("tests/golden can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("golden names are texts").to_owned();
        if !name.ends_with(".parquet") {
            // Golden manifests are read by the catalog's tests.
            continue;
        }
        let (id, meta) = BlockMeta::parse_name(&name).expect("golden blocks have block names");
        let object = Bytes::from(fs::read(&path).expect("golden files can be read"));
        let rows = read_all(&meta, &object);
        assert_eq!(comparable(&[as_request(&rows)]), expect, "{name}");
        let search = open_search(&meta, &object);
        check_item_keys(&search, id != "golden-v1");
        check_baselines(&search, !["golden-v1", "golden-v1-item-keys"].contains(&id));
        ids.push(id.to_owned());
        versions.push(meta.format_version);
    }
    let present = GOLDEN[GOLDEN.len() - 1];
    if std::env::var_os("SPANLAKE_BLESS").is_some() && !ids.iter().any(|id| id == present) {
        let written = golden_write();
        let name = written.meta.to_name(present);
        fs::write(golden_dir().join(name), &written.bytes).expect("tests/golden can be written");
        ids.push(present.to_owned());
        versions.push(FORMAT_VERSION);
    }
    ids.sort_unstable();
    assert_eq!(ids, GOLDEN, "all golden blocks are there, and no others");
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions, (1..=FORMAT_VERSION).collect::<Vec<_>>(), "there is a golden block of each version");
}

fn open_search(meta: &BlockMeta, object: &Bytes) -> SearchIndex {
    let cut = |range: std::ops::Range<u64>| object.slice(range.start as usize..range.end as usize);
    let block = Block::open(meta, cut(meta.tail_offset..meta.object_bytes)).expect("golden blocks are sound");
    block.open_search(cut(block.search_range())).expect("golden blocks are sound")
}

/// A block without the section says that anything may be anywhere.
fn check_item_keys(search: &SearchIndex, is_known: bool) {
    let event_keys = search.event_keys().map(|keys| keys.collect::<Vec<_>>());
    assert_eq!(event_keys, is_known.then(|| vec!["exception.type"]));
    let link_keys = search.link_keys().map(|keys| keys.map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(link_keys.is_some_and(|keys| keys.contains(&"odd.nan".to_owned())), is_known);
    let names = search.event_names(0).map(|names| names.collect::<Vec<_>>());
    assert_eq!(names, is_known.then(|| vec!["", "exception"]));
    assert!(search.may_have_event_key("exception.type", 0) && search.may_have_link_key("array", 0));
    assert!(search.may_have_event_name("exception", 0));
    assert_eq!(search.may_have_event_key("absent", 0), !is_known);
    assert_eq!(search.may_have_link_key("array", 1), !is_known);
    assert_eq!(search.may_have_event_name("exception", 1), !is_known);
}

/// A block without the section does not tell how long operations took.
fn check_baselines(search: &SearchIndex, is_known: bool) {
    let told = search.baselines(TimeRange::ALL, |_, _, _| true).expect("golden blocks are sound");
    assert_eq!(told.is_some(), is_known);
    let Some(told) = told else { return };
    let counts = told.operations.iter().flat_map(|one| &one.slots).flat_map(|slot| &slot.counts);
    let spans: u64 = counts.map(|(_, count)| count).sum();
    let rows: u64 = search.summaries().iter().map(|trace| u64::from(trace.span_count)).sum();
    assert_eq!((spans, told.left_out), (rows, 0));
    let durations = golden_request().resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans);
    let longest = durations.map(|span| span.end_time_unix_nano.wrapping_sub(span.start_time_unix_nano) as i64).max();
    let told = told.operations.iter().flat_map(|one| &one.slots).filter_map(|slot| slot.counts.last()).max();
    let (longest, told) = (longest.expect("there are spans") as u64, told.expect("there are spans").0);
    assert!(longest.abs_diff(told) <= longest / 32, "{told}, not {longest}");
}

#[test]
fn the_present_writer_agrees_with_the_golden_request() {
    let written = golden_write();
    let rows = read_all(&written.meta, &written.bytes);
    assert_eq!(comparable(&[as_request(&rows)]), comparable(&[golden_request()]));
    let search = open_search(&written.meta, &written.bytes);
    check_item_keys(&search, true);
    check_baselines(&search, true);
}
