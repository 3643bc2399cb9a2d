//! Each check can fail: blocks with one thing wrong, under right checksums where the thing lies behind one.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Int32Builder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, Int32Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow_select::take::take_record_batch;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowWriterOptions, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use spanlake_otlp::arbitrary;

use super::*;
use crate::directory::Directory;
use crate::filter::Filter;
use crate::section::{Kind, Sections, Writer, write_sections};
use crate::{SEARCH_MAGIC, TAIL_MAGIC, WriteOptions, Written, schema, write_block};

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    value_of(key, Value::StringValue(value.into()))
}

fn value_of(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Ten traces of six spans: a root, four children and a grandchild, in two services, with attributes, events and links.
fn request() -> ExportTraceServiceRequest {
    let span = |i: u64| {
        let (trace, place) = (i / 6, i % 6);
        let id = |place: u64| (trace * 6 + place + 1).to_be_bytes().to_vec();
        let event =
            Event { name: format!("event {place}"), attributes: vec![text("event key", "x")], ..Event::default() };
        let link = Link { span_id: vec![1; 8], attributes: vec![text("link key", "x")], ..Link::default() };
        let array = ArrayValue { values: vec![AnyValue { value: Some(Value::IntValue(trace as i64)) }] };
        Span {
            trace_id: u128::from(trace + 1).to_be_bytes().to_vec(),
            span_id: id(place),
            parent_span_id: match place {
                0 => Vec::new(),
                5 => id(1),
                _ => id(0),
            },
            name: format!("span {place} of {trace}"),
            kind: 1 + place as i32 % 3,
            start_time_unix_nano: 1_760_000_000_000_000_000 + 1_000 * trace + 10 * place,
            end_time_unix_nano: 1_760_000_000_000_000_000 + 1_000 * trace + 500 + place,
            attributes: vec![
                text("user", format!("u{i}")),
                value_of("count", Value::IntValue(i as i64)),
                value_of("list", Value::ArrayValue(array)),
                value_of("user", Value::DoubleValue(i as f64)),
            ],
            events: if place == 2 { vec![event] } else { Vec::new() },
            links: if place == 3 { vec![link] } else { Vec::new() },
            status: (place == 4).then(|| Status { code: 2, message: "bad".to_owned() }),
            ..Span::default()
        }
    };
    let of_service = |service: &str, places: std::ops::Range<u64>| ResourceSpans {
        resource: Some(Resource { attributes: vec![text("service.name", service)], ..Resource::default() }),
        scope_spans: vec![ScopeSpans {
            spans: (0..60).filter(|i| places.contains(&(i % 6))).map(span).collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![of_service("front", 0..3), of_service("back", 3..6)] }
}

fn options() -> WriteOptions {
    WriteOptions { row_group_rows: 16, min_values: 20, min_density: 2, page_rows: 5, ..WriteOptions::default() }
}

fn written(request: &ExportTraceServiceRequest, options: &WriteOptions) -> Option<Written> {
    let body = Bytes::from(request.encode_to_vec());
    let batch = spanlake_otlp::index(body, &spanlake_otlp::Limits::default()).expect("a good request");
    write_block(&[batch], options).ok()
}

fn sample() -> Written {
    written(&request(), &options()).expect("there are spans")
}

fn cut(object: &Bytes, range: Range<u64>) -> Bytes {
    let end = (range.end as usize).min(object.len());
    object.slice((range.start as usize).min(end)..end)
}

fn verify(meta: &BlockMeta, object: &Bytes) -> Verified {
    let mut verifier = match Verifier::open(meta, cut(object, meta.tail_offset..meta.object_bytes)) {
        Ok(verifier) => verifier,
        Err(verified) => return verified,
    };
    verifier.search(cut(object, verifier.search_range()));
    for row_group in 0..verifier.row_group_count() {
        verifier.row_group(cut(object, verifier.row_group_range(row_group)));
    }
    verifier.finish()
}

/// The checks that fail, each once.
fn failed(verified: &Verified) -> Vec<Check> {
    let mut checks: Vec<Check> = verified.problems.iter().map(|problem| problem.check).collect();
    checks.sort_unstable();
    checks.dedup();
    checks
}

/// A block taken apart.
struct Parts {
    rows: Vec<RecordBatch>,
    search: Vec<(Kind, Vec<u8>)>,
    tail: Vec<(Kind, Vec<u8>)>,
}

impl Parts {
    fn of(written: &Written) -> Self {
        let tail = cut(&written.bytes, written.meta.tail_offset..written.meta.object_bytes);
        let block = Block::open(&written.meta, tail.clone()).expect("just written");
        let rows = (0..block.row_group_count()).map(|group| {
            let range = block.row_group_range(group);
            let fetched = Fetched::new(written.meta.object_bytes, vec![(range.start, cut(&written.bytes, range))]);
            let mut reader = block.reader(&block.plain, group, fetched, None, None, 1 << 20).expect("just written");
            reader.next().expect("it has rows").expect("just written")
        });
        let search = cut(&written.bytes, block.search_range());
        let sections = |part, magic, bytes: &Bytes, kinds: &[Kind]| -> Vec<(Kind, Vec<u8>)> {
            let sections = Sections::open(part, magic, bytes).expect("just written");
            let there = kinds.iter().filter_map(|kind| Some((*kind, sections.find(*kind).expect("just written")?)));
            there.collect()
        };
        let search_kinds =
            [Kind::Summaries, Kind::ValueFilters, Kind::Keys, Kind::ResourceSets, Kind::ItemKeys, Kind::Baselines]
                .as_slice();
        let tail_kinds =
            [Kind::Directory, Kind::TraceFilter, Kind::Resources, Kind::Scopes, Kind::AttributeColumns].as_slice();
        Self {
            rows: rows.collect(),
            search: sections("search index", SEARCH_MAGIC, &search, search_kinds),
            tail: sections("tail", TAIL_MAGIC, &tail, tail_kinds),
        }
    }

    fn section(&mut self, kind: Kind) -> &mut Vec<u8> {
        let all = self.search.iter_mut().chain(&mut self.tail);
        all.into_iter().find(|(found, _)| *found == kind).map(|(_, bytes)| bytes).expect("every kind is there")
    }

    fn directory(&mut self, edit: impl FnOnce(&mut Directory)) {
        let section = self.section(Kind::Directory);
        let mut directory = Directory::read(section).expect("just written");
        edit(&mut directory);
        *section = directory.write();
    }

    /// Changes a column of the first row group.
    fn column(&mut self, name: &str, edit: impl FnOnce(&ArrayRef) -> ArrayRef) {
        let batch = &self.rows[0];
        let index = batch.schema().index_of(name).expect("a column");
        let mut columns = batch.columns().to_vec();
        columns[index] = edit(&columns[index]);
        self.rows[0] = RecordBatch::try_new(batch.schema(), columns).expect("a column of the same type");
    }

    /// Puts it together again, with checksums that are right.
    fn written(mut self, meta: &BlockMeta) -> Written {
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let schema = self.rows[0].schema();
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema.clone(), options).expect("a schema");
        let (mut writer, columns_of) = writer.into_serialized_writer().expect("a fresh writer");
        for (group, batch) in self.rows.iter().enumerate() {
            let mut leaves = columns_of.create_column_writers(group).expect("a fresh group").into_iter();
            let mut row_group = writer.next_row_group().expect("a fresh group");
            for (field, column) in schema.fields().iter().zip(batch.columns()) {
                for (leaf, mut leaf_writer) in
                    compute_leaves(field, column).expect("arrays").into_iter().zip(&mut leaves)
                {
                    leaf_writer.write(&leaf).expect("arrays");
                    let chunk = leaf_writer.close().expect("arrays");
                    chunk.append_to_row_group(&mut row_group).expect("arrays");
                }
            }
            row_group.close().expect("a group");
        }
        writer.flush().expect("a vector");
        let search = write_sections(SEARCH_MAGIC, &self.search, &mut Vec::new()).expect("small sections");
        let crcs: Vec<Vec<u32>> = writer
            .flushed_row_groups()
            .iter()
            .map(|group| {
                let ranges = group.columns().iter().map(|chunk| chunk.byte_range());
                ranges
                    .map(|(from, len)| crc32c::crc32c(&writer.inner()[from as usize..(from + len) as usize]))
                    .collect()
            })
            .collect();
        self.directory(|directory| {
            directory.search_crc32c = crc32c::crc32c(&search);
            for (group, crcs) in directory.row_groups.iter_mut().zip(crcs) {
                group.chunk_crc32c = crcs;
            }
        });
        let tail = write_sections(TAIL_MAGIC, &self.tail, &mut Vec::new()).expect("small sections");
        let search_offset = writer.inner().len() as u64;
        writer.write_all(&search).expect("a vector");
        writer.write_all(&tail).expect("a vector");
        let bytes = Bytes::from(writer.into_inner().expect("a vector"));
        let tail_offset = search_offset + search.len() as u64;
        let meta = BlockMeta {
            object_bytes: bytes.len() as u64,
            search_offset,
            tail_offset,
            tail_crc32c: crc32c::crc32c(&bytes[tail_offset as usize..]),
            ..meta.clone()
        };
        Written { bytes, meta, report: crate::WriteReport::default() }
    }
}

/// The block with one thing changed fails just these checks.
fn check(what: &str, expect: &[Check], edit: impl FnOnce(&mut Parts)) {
    check_of(&sample(), what, expect, edit);
}

fn check_of(sound: &Written, what: &str, expect: &[Check], edit: impl FnOnce(&mut Parts)) {
    let mut parts = Parts::of(sound);
    edit(&mut parts);
    let changed = parts.written(&sound.meta);
    let verified = verify(&changed.meta, &changed.bytes);
    assert_eq!(failed(&verified), expect, "{what}: {:#?}", verified.problems);
}

/// Values of a column with one changed.
fn changed<T: Clone>(mut values: Vec<T>, at: usize, value: T) -> Vec<T> {
    values[at] = value;
    values
}

fn ints(array: &ArrayRef) -> Vec<i32> {
    array.as_primitive::<Int32Type>().values().to_vec()
}

#[test]
fn a_sound_block_is_sound_also_when_put_together_anew() {
    let sound = sample();
    let verified = verify(&sound.meta, &sound.bytes);
    assert!(verified.is_sound(), "{:#?}", verified.problems);
    assert_eq!((verified.row_count, verified.lost_row_count), (60, 0));
    check("nothing", &[], |_| {});
}

#[test]
fn flipped_bytes_are_named_by_the_part_they_lie_in() {
    let sound = sample();
    let flip = |at: u64| {
        let mut object = sound.bytes.to_vec();
        object[at as usize] ^= 4;
        verify(&sound.meta, &Bytes::from(object))
    };
    let tail = flip(sound.meta.tail_offset + 30);
    assert_eq!((failed(&tail), tail.lost_row_count), (vec![Check::TailChecksum], 60));
    let search = flip(sound.meta.search_offset + 30);
    assert_eq!((failed(&search), search.row_count), (vec![Check::SearchChecksum], 60));
    let chunk = flip(10);
    assert_eq!(failed(&chunk), [Check::ChunkChecksum]);
    assert_eq!(chunk.problems[0].place, "row group 0, column trace_id");
    assert_eq!((chunk.lost_row_groups.as_slice(), chunk.lost_row_count, chunk.row_count), ([0].as_slice(), 12, 48));

    let short = verify(&sound.meta, &sound.bytes.slice(..sound.bytes.len() - 1));
    assert_eq!(failed(&short), [Check::TailChecksum]);
    let mut verifier =
        Verifier::open(&sound.meta, sound.bytes.slice(sound.meta.tail_offset as usize..)).expect("a sound tail");
    verifier.search(Bytes::new());
    assert!(!verifier.row_group(sound.bytes.slice(4..5)));
    let none = verifier.finish();
    assert_eq!(failed(&none), [Check::SearchChecksum, Check::ChunkChecksum]);
    assert_eq!((none.row_count, none.lost_row_count, none.lost_row_groups.len()), (0, 60, 5));
}

#[test]
fn parts_that_do_not_fit_each_other_are_named() {
    check("a row group missing in the directory", &[Check::Tail], |parts| {
        parts.directory(|directory| directory.row_groups.truncate(4));
    });
    check("a filter missing in the search index", &[Check::Search], |parts| {
        let filters = parts.section(Kind::ValueFilters);
        let mut fewer = Writer::default();
        fewer.varint(0);
        *filters = fewer.0;
    });
}

#[test]
fn numbers_that_rows_do_not_have_are_named() {
    type Edit = fn(&mut RowGroup);
    let edits: [(&str, Edit); 6] = [
        ("earliest start", |group| group.min_start_unix_nanos += 1),
        ("latest end", |group| group.max_end_unix_nanos -= 1),
        ("shortest", |group| group.min_duration_nanos += 1),
        ("longest", |group| group.max_duration_nanos += 1),
        ("stride", |group| group.stride_trace_ids[0].0[0] = 1),
        ("first trace", |group| group.first_trace_id.0[15] -= 1),
    ];
    for (what, edit) in edits {
        // Another row group has the block's earliest start and latest end.
        check(what, &[Check::RowGroupFacts], |parts| parts.directory(|all| edit(&mut all.row_groups[2])));
    }
    type Change = fn(&mut BlockMeta);
    let changes: [Change; 3] =
        [|meta| meta.trace_count += 1, |meta| meta.min_start_unix_nanos -= 1, |meta| meta.max_end_unix_nanos += 1];
    for change in changes {
        let mut sound = sample();
        change(&mut sound.meta);
        assert_eq!(failed(&verify(&sound.meta, &sound.bytes)), [Check::Counts]);
    }
    let mut sound = sample();
    sound.meta.span_count += 1;
    assert_eq!(failed(&verify(&sound.meta, &sound.bytes)), [Check::Tail]);
}

#[test]
fn rows_in_another_order_are_named() {
    // The two traces of the first row group, the second before the first.
    let swapped: Vec<u32> = (6..12).chain(0..6).collect();
    check("traces", &[Check::RowOrder, Check::RowGroupFacts, Check::Summaries, Check::Origins], |parts| {
        let order = UInt32Array::from(swapped);
        parts.rows[0] = take_record_batch(&parts.rows[0], &order).expect("rows of the batch");
        parts.directory(|directory| {
            let last = directory.row_groups[0].last_trace_id;
            directory.row_groups[0].stride_trace_ids[0] = last;
        });
    });
    check("siblings", &[Check::Tree], |parts| {
        // Rows 3 and 4 are childless children of row 0.
        let rows: Vec<u32> = (0..12).map(|row| [0, 1, 2, 4, 3, 5, 6, 7, 8, 9, 10, 11][row]).collect();
        parts.rows[0] = take_record_batch(&parts.rows[0], &UInt32Array::from(rows)).expect("rows of the batch");
        parts.column(schema::PARENT_ROW, |rows| {
            let rows = rows.as_primitive::<Int32Type>().iter().enumerate();
            Arc::new(rows.map(|(i, back)| if i == 3 || i == 4 { Some(i as i32) } else { back }).collect::<Int32Array>())
        });
    });
}

#[test]
fn a_wrong_tree_is_named() {
    let parents = |at: usize, back: Option<i32>| {
        move |rows: &ArrayRef| -> ArrayRef {
            let mut builder = Int32Builder::new();
            for (row, found) in rows.as_primitive::<Int32Type>().iter().enumerate() {
                builder.append_option(if row == at { back } else { found });
            }
            Arc::new(builder.finish())
        }
    };
    check("another parent", &[Check::Tree], |parts| parts.column(schema::PARENT_ROW, parents(2, Some(2))));
    // Without a parent, the row is a root to its trace's summary too.
    check("no parent", &[Check::Tree], |parts| parts.column(schema::PARENT_ROW, parents(3, None)));
    let counts = |at: usize, count: i32| {
        move |column: &ArrayRef| -> ArrayRef { Arc::new(Int32Array::from(changed(ints(column), at, count))) }
    };
    check("too few descendants", &[Check::Tree], |parts| parts.column(schema::DESCENDANT_COUNT, counts(0, 4)));
    check("descendants in another trace", &[Check::Tree], |parts| {
        parts.column(schema::DESCENDANT_COUNT, counts(0, 6));
    });
    check("more than the parent has", &[Check::Tree], |parts| parts.column(schema::DESCENDANT_COUNT, counts(5, 1)));
    check("a negative count", &[Check::Tree], |parts| parts.column(schema::DESCENDANT_COUNT, counts(5, -1)));
    check("an id beside the parent's row", &[Check::Tree], |parts| {
        parts.column(schema::PARENT_SPAN_ID, |ids| {
            let mut builder = BinaryBuilder::new();
            (0..ids.len()).for_each(|row| builder.append_option((row == 4).then_some([0, 0, 0, 0, 0, 0, 0, 1])));
            Arc::new(builder.finish())
        });
    });
}

#[test]
fn the_same_span_twice_is_named() {
    check("span", &[Check::Duplicates], |parts| {
        let same = |column: &ArrayRef| -> ArrayRef {
            let rows: Vec<u32> = (0..12).map(|row| if row == 4 { 3 } else { row }).collect();
            arrow_select::take::take(column, &UInt32Array::from(rows), None).expect("rows of the column")
        };
        for name in [schema::SPAN_ID, schema::NAME, schema::KIND, schema::START_UNIX_NANOS, schema::DURATION_NANOS] {
            parts.column(name, same);
        }
    });
}

/// The section with an empty filter for the first row group.
fn empty_filter_first(section: &[u8]) -> Vec<u8> {
    let mut reader = crate::section::Reader::new("value filters", section);
    let count = reader.count(1).expect("just written");
    let mut out = Writer::default();
    out.varint(count as u64);
    for number in 0..count {
        let bytes = reader.bytes().expect("just written");
        let mut empty = Vec::new();
        Filter::with_room_for(1, 8).write(&mut empty);
        out.bytes(if number == 0 { &empty } else { bytes });
    }
    out.0
}

#[test]
fn filters_that_lie_are_named() {
    check("trace filter", &[Check::TraceFilter], |parts| {
        let mut empty = Vec::new();
        Filter::with_room_for(10, 12).write(&mut empty);
        *parts.section(Kind::TraceFilter) = empty;
    });
    check("value filters", &[Check::ValueFilters], |parts| {
        let filters = parts.section(Kind::ValueFilters);
        *filters = empty_filter_first(filters);
    });
    // One value only, of each kind that is in a filter: a name, a column's value, one outside columns, one in an array.
    check("a name", &[Check::ValueFilters], |parts| {
        parts.column(schema::NAME, |names| {
            let names = names.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
            Arc::new(StringArray::from(changed(names, 4, "never seen".to_owned())))
        });
    });
    check("a column's value", &[Check::ValueFilters], |parts| {
        parts.column("span.user", |users| {
            let users = users.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
            Arc::new(StringArray::from(changed(users, 4, "never seen".to_owned())))
        });
    });
    for (from, to) in [("[0]", "[77]"), ("\"user\":4.0", "\"user\":77.5")] {
        check(to, &[Check::ValueFilters], |parts| {
            parts.column(schema::ATTRIBUTES_REST, |rests| {
                let rests = rests.as_string::<i32>().iter().flatten();
                Arc::new(StringArray::from_iter_values(rests.map(|rest| rest.replace(from, to))))
            });
        });
    }
}

#[test]
fn summaries_that_rows_do_not_bear_out_are_named() {
    check("an error more", &[Check::Summaries], |parts| {
        parts.column(schema::STATUS_CODE, |codes| Arc::new(Int32Array::from(changed(ints(codes), 1, 2))));
    });
    check("an earlier start", &[Check::Summaries], |parts| {
        parts.column(schema::START_UNIX_NANOS, |starts| {
            let starts = starts.as_primitive::<UInt64Type>().values().to_vec();
            let start = starts[6] - 500;
            Arc::new(UInt64Array::from(changed(starts, 6, start)))
        });
    });
    // Another service of the same row group, so that nothing but the services of the trace differ.
    check("another service", &[Check::Summaries], |parts| {
        parts.column(schema::RESOURCE_ID, |ids| Arc::new(Int32Array::from(changed(ints(ids), 11, 1 - ints(ids)[11]))));
    });
    // The last trace of the block under another id, of which nothing knows.
    check("another trace", &[Check::RowGroupFacts, Check::TraceFilter, Check::Summaries], |parts| {
        let last = parts.rows.len() - 1;
        parts.rows.swap(0, last);
        parts.column(schema::TRACE_ID, |ids| {
            let ids = ids.as_fixed_size_binary();
            let other = |row: usize| if row >= 6 { [255_u8; 16].to_vec() } else { ids.value(row).to_vec() };
            Arc::new(FixedSizeBinaryArray::try_from_iter((0..ids.len()).map(other)).expect("16 bytes each"))
        });
        parts.rows.swap(0, last);
    });
}

#[test]
fn keys_that_rows_do_not_have_are_named() {
    check("a residual key", &[Check::Keys], |parts| {
        parts.column(schema::ATTRIBUTES_REST, |rests| {
            let rests = rests.as_string::<i32>().iter().flatten();
            Arc::new(StringArray::from_iter_values(rests.map(|rest| rest.replace("\"list\"", "\"other\""))))
        });
        let filters = parts.section(Kind::ValueFilters);
        *filters = full_filters(filters);
    });
    check("a count", &[Check::Keys], |parts| {
        let keys = parts.section(Kind::Keys);
        let at = keys.windows(5).position(|bytes| bytes == b"count").expect("a key") + 5;
        assert_eq!(keys[at], 60);
        keys[at] = 61;
    });
    check("a resource", &[Check::ResourceSets], |parts| {
        let mut sets = Writer::default();
        sets.varint(5);
        (0..5).for_each(|group| sets.ascending((0..if group == 3 { 1 } else { 2 }).collect::<Vec<_>>().into_iter()));
        *parts.section(Kind::ResourceSets) = sets.0;
    });
    for key in ["event key", "link key", "event 2"] {
        check(key, &[Check::ItemKeys], |parts| {
            let keys = parts.section(Kind::ItemKeys);
            let at = keys.windows(key.len()).position(|bytes| bytes == key.as_bytes()).expect("a key");
            keys[at] = b'x';
        });
    }
}

#[test]
fn durations_that_rows_do_not_have_are_named() {
    let sound = written(&request(), &WriteOptions { level: 1, ..options() }).expect("there are spans");
    let check = |what, edit: fn(&mut Parts)| check_of(&sound, what, &[Check::Baselines], edit);
    check_of(&sound, "nothing", &[], |_| {});
    check("a count more", |parts| *parts.section(Kind::Baselines).last_mut().expect("it has counts") += 1);
    check("spans left out", |parts| parts.section(Kind::Baselines)[0] = 1);
    check("another service", |parts| {
        let section = parts.section(Kind::Baselines);
        let at = section.windows(5).position(|bytes| bytes == b"front").expect("a service");
        section[at] = b'F';
    });
    check("no section", |parts| parts.section(Kind::Baselines).truncate(9));
}

/// Filters that rule nothing out.
fn full_filters(section: &[u8]) -> Vec<u8> {
    let mut reader = crate::section::Reader::new("value filters", section);
    let count = reader.count(1).expect("just written");
    let mut out = Writer::default();
    out.varint(count as u64);
    (0..count).for_each(|_| out.bytes(&[255; 32]));
    out.0
}

#[test]
fn what_rows_carry_for_foreign_readers_is_held_against_them() {
    for name in [schema::EVENT_COUNT, schema::LINK_COUNT] {
        check(name, &[Check::Items], |parts| {
            parts.column(name, |counts| Arc::new(Int32Array::from(changed(ints(counts), 1, 7))));
        });
    }
    for name in [schema::RESOURCE, schema::SCOPE] {
        check(name, &[Check::Origins], |parts| {
            parts.column(name, |texts| Arc::new(StringArray::new_null(texts.len())));
        });
    }
    check("a resource that is not there", &[Check::Rows], |parts| {
        parts.column(schema::RESOURCE_ID, |ids| Arc::new(Int32Array::from(changed(ints(ids), 3, 9))));
    });
}

#[test]
fn a_block_that_is_wrong_everywhere_is_told_in_bounded_words() {
    let sound = sample();
    let mut parts = Parts::of(&sound);
    let filters = parts.section(Kind::ValueFilters);
    let count = 5;
    let mut empty = Writer::default();
    empty.varint(count);
    (0..count).for_each(|_| empty.bytes(&[0; 32]));
    *filters = empty.0;
    let changed = parts.written(&sound.meta);
    let verified = verify(&changed.meta, &changed.bytes);
    assert!(verified.problem_count > 150 && verified.problems.len() == 100, "{}", verified.problem_count);
    let first = verified.problems[0].to_string();
    assert!(first.starts_with("value filters: row 0, row group 0: expected the value of \"name\""), "{first}");
    let names: std::collections::BTreeSet<&str> = Check::ALL.iter().map(|check| check.name()).collect();
    assert_eq!(names.len(), Check::ALL.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 200 }))]

    /// Nothing that a writer makes of anything that OTLP can say is called wrong.
    #[test]
    fn no_sound_block_is_accused(
        request in vec(arbitrary::request(), 1..4),
        row_group_rows in 1_usize..12,
        columns in 0_usize..6,
    ) {
        let resource_spans = request.into_iter().flat_map(|request| request.resource_spans).collect();
        let request = ExportTraceServiceRequest { resource_spans };
        let options = WriteOptions {
            level: 1,
            row_group_rows,
            max_attribute_columns: columns,
            min_values: 1,
            page_rows: 3,
            ..WriteOptions::default()
        };
        let Some(sound) = written(&request, &options) else { return Ok(()) };
        let verified = verify(&sound.meta, &sound.bytes);
        prop_assert!(verified.is_sound(), "{:#?}", verified.problems);
    }
}
