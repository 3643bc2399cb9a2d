//! Any bytes as a block: no panic, no allocation beyond what the bytes can hold. A sound block that was changed gives
//! damage or the sound answer; one that was changed and has its checksums made right again gives anything but a panic.
#![no_main]

mod block_object;

use std::ops::Range;
use std::sync::OnceLock;

use block_object::Object;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use spanlake_block::{
    Block, BlockMeta, Condition, Damage, Field, Literal, Op, Scope, SpanRow, WriteOptions, Written, write_block,
};
use spanlake_model::{TimeRange, TraceId};
use spanlake_otlp::{Limits, index};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    match input.u8() % 8 {
        0 => any_name(&input),
        1 => any_bytes(&mut input),
        2 | 3 => changed(&mut input),
        _ => changed_behind_checksums(&mut input),
    }
});

/// Choices made from the fuzzer's bytes; zeros when they are used up.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    fn u16(&mut self) -> usize {
        u16::from_le_bytes(self.array()).into()
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut found = [0; N];
        let bytes = self.take(N);
        found[..bytes.len()].copy_from_slice(bytes);
        found
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    fn text(&mut self) -> String {
        let len = self.u8() % 16;
        String::from_utf8_lossy(self.take(len.into())).into_owned()
    }

    /// Changes bytes in up to four places.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.u8() % 4 {
            let op = self.u8();
            let at = self.u16() % (bytes.len() + 1);
            let rest = bytes.len() - at;
            match op % 8 {
                0 => bytes.truncate(at),
                1 if rest > 0 => bytes[at] ^= 1 << (op / 8 % 8),
                2 if rest > 0 => bytes[at] = self.u8(),
                3 => {
                    let len = usize::from(op / 8);
                    let new = self.take(len.min(rest));
                    bytes[at..at + new.len()].copy_from_slice(new);
                }
                4 => {
                    let len = usize::from(op / 8);
                    bytes.splice(at..at, self.take(len).iter().copied());
                }
                5 => drop(bytes.drain(at..at + usize::from(op / 8).min(rest))),
                6 => {
                    let (from, len) = (self.u16() % (bytes.len() + 1), self.u16());
                    let copied = bytes[from..from.saturating_add(len).min(bytes.len())].to_vec();
                    let end = (at + copied.len()).min(bytes.len());
                    bytes.splice(at..end, copied);
                }
                _ => {
                    let len = usize::from(op / 8).min(rest);
                    bytes[at..at + len].fill(0xff);
                }
            }
        }
    }
}

fn any_name(input: &Input<'_>) {
    let text = String::from_utf8_lossy(input.0);
    if let Ok((id, meta)) = BlockMeta::parse_name(&text) {
        assert_eq!(meta.to_name(id), text, "a block has one name");
        assert!(meta.time_range().start_unix_nanos <= meta.time_range().end_unix_nanos);
    }
}

fn any_bytes(input: &mut Input<'_>) {
    let question = Question::choose(input);
    let fits = input.u8();
    let mut meta = BlockMeta {
        format_version: 1 + u16::from(fits == 255),
        level: input.u8(),
        span_count: input.u64(),
        trace_count: input.u64(),
        min_start_unix_nanos: input.u64(),
        max_end_unix_nanos: input.u64(),
        object_bytes: input.u64(),
        search_offset: input.u16() as u64,
        tail_offset: input.u16() as u64,
        tail_crc32c: 0,
    };
    let mut object = input.0.to_vec();
    if fits % 4 > 0 {
        let tail_offset = meta.tail_offset as usize % (object.len() + 1);
        meta.search_offset %= tail_offset as u64 + 1;
        meta.tail_offset = tail_offset as u64;
        if fits % 4 > 1 {
            object.splice(tail_offset..tail_offset, *b"SLTAIL01");
        }
        meta.object_bytes = object.len() as u64;
        meta.tail_crc32c = crc32c::crc32c(&object[tail_offset..]);
    }
    let _ = question.ask(&meta, &Bytes::from(object));
}

fn changed(input: &mut Input<'_>) {
    let question = Question::choose(input);
    let Some(base) = Base::choose(input) else { return };
    let Written { meta, bytes, .. } = base.written();
    let sound = question.ask(meta, bytes).expect("the block is sound");
    let mut object = bytes.to_vec();
    input.change(&mut object);
    if let Ok(answer) = question.ask(meta, &Bytes::from(object)) {
        assert_eq!(answer, sound, "{question:?}: damage changed the answer");
    }
}

fn changed_behind_checksums(input: &mut Input<'_>) {
    let question = Question::choose(input);
    let Some(base) = Base::choose(input) else { return };
    let mut object = Object::take_apart(base.written());
    let part = input.u8();
    if part & 1 != 0 {
        input.change(&mut object.footer);
    }
    if part & 2 != 0 {
        input.change(&mut object.data);
    }
    if part & 4 != 0 {
        let section = usize::from(input.u8()) % object.search.len();
        input.change(&mut object.search[section].raw);
    }
    if part & 8 != 0 {
        let section = 1 + usize::from(input.u8()) % (object.tail.len() - 1);
        input.change(&mut object.tail[section].raw);
    }
    let (meta, bytes) = object.put_together(|stage, bytes| {
        if part >> 4 & 1 << stage != 0 {
            input.change(bytes);
        }
    });
    let answer = question.ask(&meta, &bytes);
    assert!(part > 0 || answer.is_ok(), "{question:?}: nothing was changed: {answer:?}");
}

/// The block that is changed: one made once, or one of the fuzzer's own spans.
enum Base {
    Made(&'static Written),
    Own(Box<Written>),
}

impl Base {
    fn choose(input: &mut Input<'_>) -> Option<Self> {
        static MADE: OnceLock<Vec<Written>> = OnceLock::new();
        let made = MADE.get_or_init(|| [(8, 0, 100), (40, 3, 16), (14, 10, 5)].map(|(n, c, r)| made(n, c, r)).into());
        let chosen = usize::from(input.u8()) % (made.len() + 1);
        if let Some(made) = made.get(chosen) {
            return Some(Self::Made(made));
        }
        let len = input.u16() % 1024;
        let batch = index(Bytes::copy_from_slice(input.take(len)), &Limits::default()).ok()?;
        write_block(&[batch], &options(10, 3)).ok().map(|written| Self::Own(Box::new(written)))
    }

    fn written(&self) -> &Written {
        match self {
            Self::Made(written) => written,
            Self::Own(written) => written,
        }
    }
}

fn options(max_attribute_columns: usize, row_group_rows: usize) -> WriteOptions {
    WriteOptions { row_group_rows, max_attribute_columns, min_values: 1, page_rows: 3, ..WriteOptions::default() }
}

fn made(spans: u64, max_attribute_columns: usize, row_group_rows: usize) -> Written {
    let any = |value| Some(AnyValue { value: Some(value) });
    let pair = |key: &str, value| KeyValue { key: key.to_owned(), value: any(value), ..KeyValue::default() };
    let text = |text: &str| Value::StringValue(text.to_owned());
    let span = |i: u64| {
        let attributes = vec![
            pair("user", text(&format!("u{}", i % 5))),
            pair("n", Value::IntValue(i as i64)),
            pair("d", Value::DoubleValue(i as f64 / 2.0)),
            pair("b", Value::BoolValue(i % 2 == 0)),
            pair("n", Value::BytesValue(vec![i as u8; 3])),
            pair("list", Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: None }] })),
            pair("tree", Value::KvlistValue(KeyValueList { values: vec![pair("$bytes", text("x"))] })),
        ];
        let attributes = attributes.into_iter().take(1 + (i % 8) as usize).collect::<Vec<_>>();
        Span {
            trace_id: trace(i / 4).0.to_vec(),
            span_id: (1 + i).to_be_bytes().to_vec(),
            parent_span_id: if i % 4 > 0 { i.to_be_bytes().to_vec() } else { Vec::new() },
            trace_state: "s=1".repeat((i % 2) as usize),
            name: format!("span {}", i % 3),
            start_time_unix_nano: 1_760_000_000_000_000_000 + i,
            end_time_unix_nano: 1_760_000_000_000_000_000 + 3 * i,
            events: vec![
                Event { name: "e".to_owned(), attributes: attributes.clone(), ..Event::default() };
                (i % 3) as usize
            ],
            links: vec![Link { trace_id: vec![7; 16], span_id: vec![7; 8], ..Link::default() }; (i % 2) as usize],
            status: Some(Status { message: "m".repeat((i % 2) as usize), code: (i % 3) as i32 }),
            attributes,
            ..Span::default()
        }
    };
    let resource_spans = (0..2).map(|service| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![pair("service.name", text(&format!("service {service}")))],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            spans: (0..spans).filter(|i| i % 2 == service).map(span).collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    });
    let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
    let batch = index(Bytes::from(request.encode_to_vec()), &Limits::default()).expect("the request is sound");
    write_block(&[batch], &options(max_attribute_columns, row_group_rows)).expect("there are spans")
}

fn trace(number: u64) -> TraceId {
    TraceId((1 + u128::from(number)).to_be_bytes())
}

/// One thing that a reader asks of a block.
#[derive(Debug)]
enum Question {
    Trace(TraceId),
    TraceIn(usize, TraceId),
    RowGroup(usize),
    Summaries,
    Scan(Vec<Condition>),
}

impl Question {
    fn choose(input: &mut Input<'_>) -> Self {
        let which = input.u8();
        let number = usize::from(input.u8());
        let id = if which >= 128 { TraceId(input.array()) } else { trace(number as u64 % 10) };
        match which % 8 {
            0 | 1 => Self::Trace(id),
            2 => Self::TraceIn(number, id),
            3 | 4 => Self::RowGroup(number),
            5 => Self::Summaries,
            _ => Self::Scan((0..1 + number % 2).map(|_| condition(input)).collect()),
        }
    }

    /// The answer in comparable form.
    fn ask(&self, meta: &BlockMeta, object: &Bytes) -> Result<Vec<Vec<u8>>, Damage> {
        let cut = |range: Range<u64>| {
            let bound = |at: u64| at.min(object.len() as u64) as usize;
            object.slice(bound(range.start)..bound(range.end).max(bound(range.start)))
        };
        let block = Block::open(meta, cut(meta.tail_offset..meta.object_bytes))?;
        block.memory_bytes();
        let mut answer = Vec::new();
        match self {
            Self::Trace(id) => {
                for group in block.row_groups_for(id) {
                    answer.extend(block.read_trace(group, cut(block.row_group_range(group)), id)?.iter().map(encode));
                }
            }
            Self::TraceIn(number, id) if block.row_group_count() > 0 => {
                let group = number % block.row_group_count();
                answer.extend(block.read_trace(group, cut(block.row_group_range(group)), id)?.iter().map(encode));
            }
            Self::RowGroup(number) if block.row_group_count() > 0 => {
                let group = number % block.row_group_count();
                answer.extend(block.read_row_group(group, cut(block.row_group_range(group)))?.iter().map(encode));
            }
            Self::TraceIn(..) | Self::RowGroup(_) => {}
            Self::Summaries => {
                let search = block.open_search(cut(block.search_range()))?;
                search.memory_bytes();
                for summary in search.summaries() {
                    answer.push(format!("{summary:?} {:?}", search.services(summary)).into_bytes());
                }
                answer.push(format!("{:?}", search.keys()).into_bytes());
                for keys in [search.event_keys().map(Vec::from_iter), search.link_keys().map(Vec::from_iter)] {
                    answer.push(format!("{keys:?}").into_bytes());
                }
                answer.push(format!("{:?}", search.baselines(TimeRange::ALL, |_, _, _| true)?).into_bytes());
                for group in 0..block.row_group_count() {
                    answer.push(format!("{:?}", search.event_names(group).map(Vec::from_iter)).into_bytes());
                }
            }
            Self::Scan(conditions) => {
                let search = block.open_search(cut(block.search_range()))?;
                for plan in block.plan_scan(&search, conditions) {
                    let fetch = || plan.ranges.iter().cloned().map(cut).collect::<Vec<_>>();
                    let rows = block.matching_rows(&plan, fetch())?;
                    answer.extend(rows.iter().map(|row| row.to_le_bytes().to_vec()));
                    let traces = block.matching_traces(&search, &plan, fetch())?;
                    answer.extend(traces.iter().map(|trace| trace.to_le_bytes().to_vec()));
                }
            }
        }
        Ok(answer)
    }
}

fn encode(row: &SpanRow) -> Vec<u8> {
    // Encodings are compared because NaN does not equal itself.
    let mut bytes = row.span.encode_to_vec();
    bytes.extend(row.resource.resource.encode_to_vec());
    bytes.extend(row.scope.scope.iter().flat_map(Message::encode_to_vec));
    bytes
}

fn condition(input: &mut Input<'_>) -> Condition {
    let keys = ["user", "n", "d", "b", "list", "tree", "service.name"];
    let scopes = [Scope::Any, Scope::Span, Scope::Resource];
    let choice = usize::from(input.u8());
    let key = keys.get(choice / 8 % 8).map_or_else(|| input.text(), |key| (*key).to_owned());
    let field = match choice % 8 {
        0 => Field::Name,
        1 => Field::Kind,
        2 => Field::StatusCode,
        3 => Field::DurationNanos,
        4 => Field::StartUnixNanos,
        _ => Field::Attribute { scope: scopes[choice / 64 % 3], key },
    };
    let choice = usize::from(input.u8());
    let op = [Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::Contains, Op::Exists][choice % 8];
    let value = match choice / 8 % 8 {
        0 => Literal::String("u2".to_owned()),
        1 => Literal::String(input.text()),
        2 => Literal::Int(input.u8().into()),
        3 => Literal::Int(input.u64() as i64),
        4 => Literal::Double(f64::from_bits(input.u64())),
        5 => Literal::Bool(true),
        6 => Literal::Double(f64::from(input.u8()) / 2.0),
        _ => Literal::None,
    };
    Condition { field, op, value }
}
