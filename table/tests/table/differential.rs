//! Three ways to the same answer: filters pushed into blocks, filters left to the engine, and a naive filter in memory.

use datafusion::arrow::array::cast::AsArray as _;
use datafusion::arrow::array::types::{Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::collection::vec;
use proptest::prelude::*;
use spanlake_block::Column;
use spanlake_otlp::arbitrary;

use crate::naive::{Value, attribute_columns, compared, line};
use crate::predicate::{self, Predicate, quoted};
use crate::world::{World, options, query, run};

fn cell(array: &ArrayRef, at: usize) -> String {
    if array.is_null(at) {
        return "null".to_owned();
    }
    let value = match array.data_type() {
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(at).to_owned()),
        DataType::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(at).into()),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(at).into()),
        DataType::UInt32 => Value::Int(array.as_primitive::<UInt32Type>().value(at).into()),
        DataType::UInt64 => Value::Int(array.as_primitive::<UInt64Type>().value(at).into()),
        DataType::Float64 => Value::Double(array.as_primitive::<Float64Type>().value(at)),
        DataType::Boolean => Value::Bool(array.as_boolean().value(at)),
        DataType::Binary => Value::Bytes(array.as_binary::<i32>().value(at).to_vec()),
        DataType::FixedSizeBinary(_) => Value::Bytes(array.as_fixed_size_binary().value(at).to_vec()),
        other => panic!("no test reads {other}"),
    };
    value.text()
}

/// The rows of an answer as lines.
pub fn lines(batch: &RecordBatch) -> Vec<String> {
    let row = |at| batch.columns().iter().map(|array| cell(array, at)).collect::<Vec<_>>().join(" | ");
    (0..batch.num_rows()).map(row).collect()
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

/// Random spans rarely have them in the right places: values that SQL and IEEE 754 order differently, arrays, repeated
/// keys and one key with several types, each in a column of its own and in the residual text.
#[test]
fn odd_values_are_found_as_sql_says() {
    let any = |value| Some(AnyValue { value: Some(value) });
    let list = |values: Vec<Any>| {
        Any::ArrayValue(ArrayValue {
            values: values.into_iter().map(|value| AnyValue { value: Some(value) }).collect(),
        })
    };
    let text = |text: &str| Any::StringValue(text.to_owned());
    let attributes: Vec<Vec<Any>> = vec![
        vec![Any::DoubleValue(f64::NAN)],
        vec![Any::DoubleValue(-f64::NAN)],
        vec![Any::DoubleValue(0.0)],
        vec![Any::DoubleValue(-0.0)],
        vec![Any::DoubleValue(f64::INFINITY)],
        vec![Any::DoubleValue(1.0), Any::DoubleValue(2.0)],
        vec![Any::IntValue(1), Any::DoubleValue(2.0), text("a")],
        vec![Any::IntValue(i64::MAX), Any::IntValue(i64::MIN)],
        vec![text("a"), text("b")],
        vec![list(vec![text("a"), Any::DoubleValue(1.0), Any::IntValue(1), Any::BoolValue(true)])],
        vec![Any::BoolValue(true), Any::BoolValue(false)],
        vec![Any::BoolValue(false), text("1")],
        vec![],
    ];
    let span = |(i, values): (usize, Vec<Any>)| Span {
        trace_id: vec![1 + i as u8 % 3; 16],
        span_id: vec![1 + i as u8; 8],
        start_time_unix_nano: u64::MAX - 3 * i as u64,
        end_time_unix_nano: i as u64,
        attributes: values
            .into_iter()
            .map(|value| KeyValue { key: "k".to_owned(), value: any(value), ..KeyValue::default() })
            .collect(),
        ..Span::default()
    };
    let spans: Vec<Span> = attributes.into_iter().enumerate().map(span).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let request =
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
    run(async {
        let request = vec![request];
        let world = World::new(&[(request.clone(), options(2, 0)), (request.clone(), options(100, 9))]).await;
        let found = attribute_columns(&world.rows);
        let columns = compared(&found);
        let session = world.session(&found, 100);
        let names: Vec<String> = columns.iter().map(quoted).collect();
        let doubles = [f64::NAN, 0.0, -0.0, 1.0, 2.0, f64::INFINITY].map(Value::Double);
        let ints = [1, i64::MAX.into(), i64::MIN.into(), 0, (i64::MAX - 1).into(), u64::MAX.into()].map(Value::Int);
        for column in &columns {
            let field = column.field();
            let is_fixed = Column::FIXED.contains(column);
            let literals: Vec<Value> = match field.data_type() {
                DataType::Float64 => doubles.to_vec(),
                DataType::Int64 => ints[..5].to_vec(),
                DataType::UInt64 => ints.iter().filter(|int| !matches!(int, Value::Int(..0))).cloned().collect(),
                DataType::Boolean => vec![Value::Bool(true), Value::Bool(false)],
                DataType::Utf8 if !is_fixed => vec![Value::Text("a".to_owned()), Value::Text(String::new())],
                _ => continue,
            };
            let comparisons = literals.iter().flat_map(|literal| {
                let ops = ["=", "<>", "<", "<=", ">", ">="];
                ops.map(|op| Predicate::Compare(column.clone(), op, literal.clone()))
            });
            for filter in comparisons.chain([Predicate::IsNotNull(column.clone())]) {
                let matching = world.rows.iter().filter(|row| filter.decide(row) == Some(true));
                let expect = sorted(matching.map(|row| line(row, &columns)));
                for table in ["plain", "pushed"] {
                    let sql = format!("SELECT {} FROM {table} WHERE {}", names.join(", "), filter.sql());
                    let answer = query(&session, &sql).await;
                    assert_eq!(sorted(answer.iter().flat_map(lines)), expect, "{table}: {}", filter.sql());
                }
            }
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pushed_filters_plain_filters_and_a_naive_filter_agree(
        blocks in vec((vec(arbitrary::request(), 1..4), 1_usize..12, 0_usize..6), 1..4),
        aims in predicate::aims(),
        batch_size in 1_usize..20,
    ) {
        let blocks: Vec<_> =
            blocks.into_iter().map(|(requests, rows, columns)| (requests, options(rows, columns))).collect();
        run(async {
            let world = World::new(&blocks).await;
            if world.rows.is_empty() {
                return Ok(());
            }
            let attributes = attribute_columns(&world.rows);
            let columns = compared(&attributes);
            let filter = predicate::aim(&aims, &world.rows, &columns);
            let expect = sorted(
                world.rows.iter().filter(|row| filter.decide(row) == Some(true)).map(|row| line(row, &columns)),
            );
            let session = world.session(&attributes, batch_size);
            let names: Vec<String> = columns.iter().map(quoted).collect();
            for table in ["plain", "pushed"] {
                let sql = format!("SELECT {} FROM {table} WHERE {}", names.join(", "), filter.sql());
                let answer = query(&session, &sql).await;
                prop_assert_eq!(&sorted(answer.iter().flat_map(lines)), &expect, "{}: {}", table, filter.sql());
                let sql = format!("SELECT count(*) FROM {table} WHERE {}", filter.sql());
                let answer = query(&session, &sql).await;
                prop_assert_eq!(lines(&answer[0]), vec![expect.len().to_string()], "{}: {}", table, filter.sql());
            }
            Ok(())
        })?;
    }
}
