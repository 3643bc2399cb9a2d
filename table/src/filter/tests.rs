//! Which filters become which conditions.

use datafusion::logical_expr::{Expr, cast, col, lit};
use spanlake_block::{AttributeColumn, Column, Condition, Field, Literal, Op, Scope, ValueType};

use super::*;

fn find(name: &str) -> Option<Column> {
    let attribute = |key: &str, value_type| AttributeColumn { key: key.to_owned(), value_type };
    let attributes = [
        Column::SpanAttribute(attribute("text", ValueType::String)),
        Column::SpanAttribute(attribute("int", ValueType::Int)),
        Column::SpanAttribute(attribute("double", ValueType::Double)),
        Column::SpanAttribute(attribute("bool", ValueType::Bool)),
        Column::ResourceAttribute(attribute("pod", ValueType::String)),
    ];
    Column::FIXED.into_iter().chain(attributes).find(|column| column.field().name() == name)
}

fn check(filter: Expr, expect: Option<(Field, Op, Literal, bool)>) {
    let expect = expect
        .map(|(field, op, value, is_exact)| Pushed { what: What::Condition(Condition { field, op, value }), is_exact });
    assert_eq!(push(&filter, &find), expect, "{filter}");
}

fn span(key: &str) -> Field {
    Field::Attribute { scope: Scope::Span, key: key.to_owned() }
}

#[test]
fn fixed_columns_are_exact() {
    let text = |text: &str| Literal::String(text.to_owned());
    check(col("name").eq(lit("a")), Some((Field::Name, Op::Eq, text("a"), true)));
    check(lit("a").lt(col("name")), Some((Field::Name, Op::Gt, text("a"), true)));
    check(col("name").like(lit("%a b%")), Some((Field::Name, Op::Contains, text("a b"), true)));
    check(col("name").like(lit("a%bcd_")), Some((Field::Name, Op::Contains, text("bcd"), false)));
    check(col("name").like(lit("%%")), None);
    check(col("name").like(lit(r"%\%%")), None);
    check(col("name").ilike(lit("%a%")), None);
    check(col("name").not_like(lit("%a%")), None);
    check(col("kind").not_eq(lit(2_i32)), Some((Field::Kind, Op::Ne, Literal::Int(2), true)));
    check(cast(col("kind"), DataType::Int64).gt(lit(2_i64)), Some((Field::Kind, Op::Gt, Literal::Int(2), true)));
    check(cast(col("duration_nanos"), DataType::Float64).gt(lit(2.0)), None);
    check(col("duration_nanos").gt_eq(lit(5_i64)), Some((Field::DurationNanos, Op::Ge, Literal::Int(5), true)));
    check(col("duration_nanos").is_not_null(), None);
    check(col("status_message").eq(lit("a")), None);
}

#[test]
fn starts_that_a_condition_cannot_tell_apart_are_not_pushed() {
    let start = |nanos: u64| col("start_unix_nanos").gt(lit(nanos));
    check(start(7), Some((Field::StartUnixNanos, Op::Gt, Literal::Int(7), true)));
    check(start(i64::MAX as u64 - 1), Some((Field::StartUnixNanos, Op::Gt, Literal::Int(i64::MAX - 1), true)));
    check(start(i64::MAX as u64), None);
    check(start(u64::MAX), None);
    check(col("start_unix_nanos").gt(lit(-1_i64)), None);
}

#[test]
fn attributes_are_inexact() {
    let text = |text: &str| Literal::String(text.to_owned());
    check(col("\"span.text\"").eq(lit("a")), Some((span("text"), Op::Eq, text("a"), false)));
    check(col("\"span.text\"").like(lit("%a%")), Some((span("text"), Op::Contains, text("a"), false)));
    check(col("\"span.text\"").is_not_null(), Some((span("text"), Op::Exists, Literal::None, false)));
    check(col("\"span.text\"").is_null(), None);
    check(col("\"span.int:int\"").lt(lit(3_i64)), Some((span("int"), Op::Lt, Literal::Int(3), false)));
    check(col("\"span.bool:bool\""), Some((span("bool"), Op::Eq, Literal::Bool(true), false)));
    check(!col("\"span.bool:bool\""), Some((span("bool"), Op::Eq, Literal::Bool(false), false)));
    let resource = |key: &str| Field::Attribute { scope: Scope::Resource, key: key.to_owned() };
    check(col("\"resource.pod\"").eq(lit("a")), Some((resource("pod"), Op::Eq, text("a"), false)));
    check(col("service_name").eq(lit("a")), Some((resource("service.name"), Op::Eq, text("a"), false)));
}

#[test]
fn of_doubles_only_equality_is_narrow() {
    check(col("\"span.double:double\"").eq(lit(0.5)), Some((span("double"), Op::Eq, Literal::Double(0.5), false)));
    check(col("\"span.double:double\"").gt(lit(0.5)), Some((span("double"), Op::Exists, Literal::None, false)));
    check(col("\"span.double:double\"").eq(lit(f64::NAN)), Some((span("double"), Op::Exists, Literal::None, false)));
}
