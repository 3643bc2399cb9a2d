//! The distinct values of a field are those of a naive look at the same spans.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use spanlake_block::{Block, DistinctValues, SearchIndex, SpanRow, ValueField, Written};
use spanlake_otlp::arbitrary;

use crate::{fetch, open, small_options, write};

#[derive(Default)]
struct Naive {
    bools: BTreeSet<bool>,
    ints: BTreeSet<i64>,
    doubles: Vec<f64>,
    texts: BTreeSet<String>,
}

impl Naive {
    fn push(&mut self, value: &AnyValue) -> bool {
        match &value.value {
            Some(Value::BoolValue(bool)) => drop(self.bools.insert(*bool)),
            Some(Value::IntValue(int)) => drop(self.ints.insert(*int)),
            Some(Value::DoubleValue(double)) if !double.is_nan() => self.doubles.push(*double + 0.0),
            Some(Value::StringValue(text)) => drop(self.texts.insert(text.clone())),
            _ => return false,
        }
        true
    }

    fn push_first(&mut self, attributes: &[KeyValue], key: &str) {
        for attribute in attributes.iter().filter(|attribute| attribute.key == key) {
            let Some(value) = &attribute.value else { continue };
            let is_value = match &value.value {
                Some(Value::ArrayValue(array)) => {
                    array.values.iter().map(|element| self.push(element)).filter(|is_value| *is_value).count() > 0
                }
                _ => self.push(value),
            };
            if is_value {
                return;
            }
        }
    }

    fn push_keys(&mut self, attributes: &[KeyValue]) {
        self.texts.extend(attributes.iter().map(|attribute| attribute.key.clone()));
    }

    fn finish(mut self, limit: usize) -> DistinctValues {
        self.doubles.sort_by(f64::total_cmp);
        self.doubles.dedup_by(|a, b| a.to_bits() == b.to_bits());
        DistinctValues {
            bools: self.bools.into_iter().take(limit).collect(),
            ints: self.ints.into_iter().take(limit).collect(),
            doubles: self.doubles.into_iter().take(limit).collect(),
            texts: self.texts.into_iter().take(limit).collect(),
        }
    }
}

fn expect(block: &Block, field: &ValueField, rows: &[&SpanRow], limit: usize) -> DistinctValues {
    let mut naive = Naive::default();
    for SpanRow { span, resource, scope } in rows {
        match field {
            ValueField::Name => drop(naive.texts.insert(span.name.clone())),
            ValueField::StatusMessage => {
                let message = span.status.as_ref().map(|status| status.message.clone());
                naive.texts.extend(message.filter(|message| !message.is_empty()));
            }
            ValueField::SpanAttribute(key) => naive.push_first(&span.attributes, key),
            ValueField::EventName => naive.texts.extend(span.events.iter().map(|event| event.name.clone())),
            ValueField::EventAttribute(key) => {
                span.events.iter().for_each(|event| naive.push_first(&event.attributes, key));
            }
            ValueField::LinkAttribute(key) => {
                span.links.iter().for_each(|link| naive.push_first(&link.attributes, key))
            }
            ValueField::SpanKeys => naive.push_keys(&span.attributes),
            ValueField::EventKeys => span.events.iter().for_each(|event| naive.push_keys(&event.attributes)),
            ValueField::LinkKeys => span.links.iter().for_each(|link| naive.push_keys(&link.attributes)),
            ValueField::ResourceNumber => {
                let number = block.resources().iter().position(|other| other == resource).expect("it is of the block");
                naive.ints.insert(number as i64);
            }
            ValueField::ScopeNumber => {
                let number = block.scopes().iter().position(|other| other == scope).expect("it is of the block");
                naive.ints.insert(number as i64);
            }
        }
    }
    naive.finish(limit)
}

fn field(which: u8, rows: &[SpanRow], pick: Index, absent: String) -> ValueField {
    let key = |attributes: Vec<&Vec<KeyValue>>| {
        let keys: Vec<&String> = attributes.into_iter().flatten().map(|attribute| &attribute.key).collect();
        if keys.is_empty() { absent.clone() } else { keys[pick.index(keys.len())].clone() }
    };
    let events = || rows.iter().flat_map(|row| &row.span.events);
    let links = || rows.iter().flat_map(|row| &row.span.links);
    match which {
        0 => ValueField::Name,
        1 => ValueField::StatusMessage,
        2 => ValueField::EventName,
        3 => ValueField::EventAttribute(key(events().map(|event| &event.attributes).collect())),
        4 => ValueField::LinkAttribute(key(links().map(|link| &link.attributes).collect())),
        5 => ValueField::SpanKeys,
        6 => ValueField::EventKeys,
        7 => ValueField::LinkKeys,
        8 => ValueField::ResourceNumber,
        9 => ValueField::ScopeNumber,
        10 => ValueField::SpanAttribute(absent),
        _ => ValueField::SpanAttribute(key(rows.iter().map(|row| &row.span.attributes).collect())),
    }
}

fn found(
    written: &Written,
    search: &SearchIndex,
    group: usize,
    field: &ValueField,
    rows: Option<&[u32]>,
    limit: usize,
) -> DistinctValues {
    let block = open(written);
    let plan = block.plan_values(search, group, field);
    let bytes = plan.ranges.iter().map(|range| fetch(written, range.clone())).collect();
    block.distinct_values(&plan, rows, bytes, limit).expect("just written")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn agrees_with_a_naive_look(
        requests in vec(arbitrary::request(), 1..4),
        row_group_rows in 1_usize..12,
        columns in 0_usize..6,
        which in 0_u8..20,
        pick in any::<Index>(),
        absent in arbitrary::text(),
        chosen in any::<u64>(),
        limit in prop_oneof![Just(usize::MAX), 0_usize..4],
    ) {
        let Some(written) = write(&requests, &small_options(row_group_rows, columns)) else { return Ok(()) };
        let block = open(&written);
        let search = block.open_search(fetch(&written, block.search_range())).expect("just written");
        for group in 0..block.row_group_count() {
            let rows = block.read_row_group(group, fetch(&written, block.row_group_range(group))).expect("just written");
            let field = field(which, &rows, pick, absent.clone());
            let all: Vec<&SpanRow> = rows.iter().collect();
            prop_assert_eq!(found(&written, &search, group, &field, None, limit), expect(&block, &field, &all, limit));
            let numbers: Vec<u32> =
                block.rows_in(group).enumerate().filter(|(i, _)| chosen >> (i % 64) & 1 == 1).map(|(_, row)| row).collect();
            let first = block.rows_in(group).start;
            let some: Vec<&SpanRow> = numbers.iter().map(|row| &rows[(row - first) as usize]).collect();
            prop_assert_eq!(
                found(&written, &search, group, &field, Some(&numbers), limit),
                expect(&block, &field, &some, limit),
                "{:?} of rows {:?}", field, numbers
            );
        }
    }
}

#[test]
fn chunks_with_and_without_a_dictionary_give_the_same() {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    let attribute = |key: &str, value| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    // `long` outgrows its dictionary in the middle, `unique` has none from the start, `few` has one throughout.
    let span = |i: u64| Span {
        trace_id: (1 + u128::from(i)).to_be_bytes().to_vec(),
        span_id: (1 + i).to_be_bytes().to_vec(),
        attributes: vec![
            attribute("long", Value::StringValue(format!("{:0400}", i / 2 % 1_500))),
            attribute("unique", Value::StringValue(i.to_string())),
            attribute("few", Value::StringValue((i % 7).to_string())),
            attribute("int", Value::IntValue(i as i64 % 9)),
            attribute("double", Value::DoubleValue((i % 5) as f64 / 2.0)),
            attribute("bool", Value::BoolValue(i.is_multiple_of(2))),
        ],
        ..Span::default()
    };
    let scope_spans = ScopeSpans { spans: (0..6_000).map(span).collect(), ..ScopeSpans::default() };
    let resource_spans = ResourceSpans { scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    let requests = [ExportTraceServiceRequest { resource_spans: vec![resource_spans] }];
    let written = write(&requests, &small_options(usize::MAX, 10)).expect("there are spans");
    let block = open(&written);
    let search = block.open_search(fetch(&written, block.search_range())).expect("just written");
    let rows = block.read_row_group(0, fetch(&written, block.row_group_range(0))).expect("just written");
    let all: Vec<&SpanRow> = rows.iter().collect();
    for key in ["long", "unique", "few", "int", "double", "bool"] {
        let field = ValueField::SpanAttribute(key.to_owned());
        for limit in [10, 10_000] {
            assert_eq!(found(&written, &search, 0, &field, None, limit), expect(&block, &field, &all, limit), "{key}");
            let some = found(&written, &search, 0, &field, Some(&[0, 1, 2, 3_000]), limit);
            let rows: Vec<&SpanRow> = [0, 1, 2, 3_000].map(|row: usize| &rows[row]).into();
            assert_eq!(some, expect(&block, &field, &rows, limit), "{key}");
        }
    }
}
