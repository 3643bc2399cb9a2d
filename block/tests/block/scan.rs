//! A scan answers what a naive filter over the same spans answers.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use spanlake_block::{Condition, Field, Literal, Op, Scope, SpanRow};
use spanlake_otlp::arbitrary;

use crate::{all_rows, fetch, open, small_options, write};

fn compare<T: PartialOrd>(op: Op, value: &T, literal: &T) -> bool {
    match op {
        Op::Eq => value == literal,
        Op::Ne => value != literal,
        Op::Lt => value < literal,
        Op::Le => value <= literal,
        Op::Gt => value > literal,
        Op::Ge => value >= literal,
        Op::Exists | Op::Contains => unreachable!("handled before"),
    }
}

fn value_meets(condition: &Condition, value: &AnyValue) -> bool {
    let (op, literal) = (condition.op, &condition.value);
    if op == Op::Exists {
        return true;
    }
    let text = match &value.value {
        Some(Value::ArrayValue(array)) => return array.values.iter().any(|element| value_meets(condition, element)),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(int)) => int.to_string(),
        Some(Value::DoubleValue(double)) => double.to_string(),
        Some(Value::BoolValue(bool)) => bool.to_string(),
        _ => return false,
    };
    if op == Op::Contains {
        return matches!(literal, Literal::String(part) if text.contains(part));
    }
    match (&value.value, literal) {
        (Some(Value::StringValue(text)), Literal::String(literal)) => compare(op, text, literal),
        (Some(Value::IntValue(int)), Literal::Int(literal)) => compare(op, int, literal),
        (Some(Value::IntValue(int)), Literal::Double(literal)) => compare(op, &(*int as f64), literal),
        (Some(Value::DoubleValue(double)), Literal::Int(literal)) => compare(op, double, &(*literal as f64)),
        (Some(Value::DoubleValue(double)), Literal::Double(literal)) => compare(op, double, literal),
        (Some(Value::BoolValue(bool)), Literal::Bool(literal)) if matches!(op, Op::Eq | Op::Ne) => {
            compare(op, bool, literal)
        }
        _ => false,
    }
}

fn meets(condition: &Condition, row: &SpanRow) -> bool {
    let int = |int: i64| value_meets(condition, &AnyValue { value: Some(Value::IntValue(int)) });
    let span = &row.span;
    match &condition.field {
        Field::Name => value_meets(condition, &AnyValue { value: Some(Value::StringValue(span.name.clone())) }),
        Field::Kind => int(span.kind.into()),
        Field::StatusCode => int(span.status.as_ref().map_or(0, |status| status.code).into()),
        Field::DurationNanos => int(span.end_time_unix_nano.wrapping_sub(span.start_time_unix_nano) as i64),
        Field::StartUnixNanos => int(i64::try_from(span.start_time_unix_nano).unwrap_or(i64::MAX)),
        Field::Attribute { scope, key } => {
            let on = |attributes: &[KeyValue]| {
                let empty = AnyValue::default();
                let mut values = attributes.iter().filter(|attribute| attribute.key == *key);
                values.any(|attribute| value_meets(condition, attribute.value.as_ref().unwrap_or(&empty)))
            };
            (*scope != Scope::Resource && on(&span.attributes))
                || (*scope != Scope::Span && on(&row.resource.resource.attributes))
        }
    }
}

fn literal() -> BoxedStrategy<Literal> {
    prop_oneof![
        arbitrary::text().prop_map(Literal::String),
        (-3_i64..4).prop_map(Literal::Int),
        any::<i64>().prop_map(Literal::Int),
        (-3_i64..4).prop_map(|int| Literal::Double(int as f64 / 2.0)),
        any::<bool>().prop_map(Literal::Bool),
    ]
    .boxed()
}

fn op() -> BoxedStrategy<Op> {
    prop::sample::select(vec![Op::Eq, Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::Contains, Op::Exists]).boxed()
}

/// A condition that some span is likely to meet: half take a key and a value that occur.
fn aim(rows: &[SpanRow], field: u8, pick: Index, scope: Scope, op: Op, literal: Literal, exact: bool) -> Condition {
    let all: Vec<&KeyValue> =
        rows.iter().flat_map(|row| row.span.attributes.iter().chain(&row.resource.resource.attributes)).collect();
    let field = match field {
        0 => Field::Name,
        1 => Field::Kind,
        2 => Field::StatusCode,
        3 => Field::DurationNanos,
        4 => Field::StartUnixNanos,
        _ if all.is_empty() => Field::Attribute { scope, key: "absent".to_owned() },
        _ => Field::Attribute { scope, key: all[pick.index(all.len())].key.clone() },
    };
    let seen = (!all.is_empty()).then(|| all[pick.index(all.len())].value.clone()).flatten();
    let value = match (exact, &field, seen.and_then(|value| value.value)) {
        (true, Field::Name, _) => Literal::String(rows[pick.index(rows.len())].span.name.clone()),
        (true, Field::StartUnixNanos, _) => {
            Literal::Int(i64::try_from(rows[pick.index(rows.len())].span.start_time_unix_nano).unwrap_or(i64::MAX))
        }
        (true, Field::Attribute { .. }, Some(Value::StringValue(text))) => Literal::String(text),
        (true, Field::Attribute { .. }, Some(Value::IntValue(int))) => Literal::Int(int),
        (true, Field::Attribute { .. }, Some(Value::DoubleValue(double))) => Literal::Double(double),
        (true, Field::Attribute { .. }, Some(Value::BoolValue(bool))) => Literal::Bool(bool),
        _ => literal,
    };
    Condition { field, op, value }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn agrees_with_a_naive_filter(
        requests in vec(arbitrary::request(), 1..4),
        row_group_rows in 1_usize..12,
        columns in 0_usize..6,
        aims in vec((0_u8..12, any::<Index>(), prop::sample::select(vec![Scope::Any, Scope::Span, Scope::Resource]), op(), literal(), any::<bool>()), 1..3),
    ) {
        let Some(written) = write(&requests, &small_options(row_group_rows, columns)) else { return Ok(()) };
        let block = open(&written);
        let rows = all_rows(&written);
        let search = block.open_search(fetch(&written, block.search_range())).expect("just written");
        let conditions: Vec<Condition> = aims
            .into_iter()
            .map(|(field, pick, scope, op, literal, exact)| aim(&rows, field, pick, scope, op, literal, exact))
            .collect();
        let expect: BTreeSet<u32> = (0..rows.len())
            .filter(|row| conditions.iter().all(|condition| meets(condition, &rows[*row])))
            .map(|row| row as u32)
            .collect();
        let mut found = BTreeSet::new();
        let mut traces = BTreeSet::new();
        for plan in block.plan_scan(&search, &conditions) {
            let bytes = || plan.ranges.iter().map(|range| fetch(&written, range.clone())).collect();
            found.extend(block.matching_rows(&plan, bytes()).expect("just written"));
            traces.extend(block.matching_traces(&search, &plan, bytes()).expect("just written"));
        }
        prop_assert_eq!(&found, &expect, "{:?}", conditions);
        let ids = |rows: &BTreeSet<u32>| -> BTreeSet<u32> {
            let trace = |row: &u32| search.summaries().partition_point(|summary| summary.first_row <= *row) as u32 - 1;
            rows.iter().map(trace).collect()
        };
        prop_assert_eq!(traces, ids(&expect));
    }
}

#[test]
fn a_resource_attribute_without_a_value_exists() {
    let resource = Resource {
        attributes: vec![KeyValue { key: String::new(), value: None, ..KeyValue::default() }],
        ..Resource::default()
    };
    let span = Span { trace_id: vec![1; 16], span_id: vec![1; 8], ..Span::default() };
    let scope_spans = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource_spans =
        ResourceSpans { resource: Some(resource), scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    let request = ExportTraceServiceRequest { resource_spans: vec![resource_spans] };
    let written = write(&[request], &small_options(10, 3)).expect("there is a span");
    let block = open(&written);
    let search = block.open_search(fetch(&written, block.search_range())).expect("just written");
    let field = Field::Attribute { scope: Scope::Any, key: String::new() };
    let plans = block.plan_scan(&search, &[Condition { field, op: Op::Exists, value: Literal::None }]);
    assert_eq!(plans.len(), 1);
    let bytes = plans[0].ranges.iter().map(|range| fetch(&written, range.clone())).collect();
    assert_eq!(block.matching_rows(&plans[0], bytes), Ok(vec![0]));
}
