//! Filters of a query as conditions on blocks.
//!
//! A filter is *exact* when the conditions keep a row if and only if SQL would; then the engine drops the filter. It is
//! *inexact* when they keep at least the rows that SQL would; then the engine filters again what is left. An attribute is
//! never exact: a condition also looks into arrays, at repeated keys and at values of other types, a column shows the
//! first value of its type. What is neither is left to the engine altogether.

use arrow_schema::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Operator, TableProviderFilterPushDown};
use spanlake_block::{AttributeColumn, Column, Condition, Field, Literal, Op, Scope, ValueType};
use spanlake_model::{TimeRange, TraceId};

/// What blocks can decide of one filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pushed {
    pub(crate) what: What,
    pub(crate) is_exact: bool,
}

impl Pushed {
    /// What the engine is told of each filter that `push` decides as far as blocks can.
    pub(crate) fn support(filters: &[&Expr], push: impl Fn(&Expr) -> Option<Self>) -> Vec<TableProviderFilterPushDown> {
        let support = |filter: &&Expr| match push(filter) {
            Some(Self { is_exact: true, .. }) => TableProviderFilterPushDown::Exact,
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        filters.iter().map(support).collect()
    }
}

/// What is pushed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// Rows that meet the condition.
    Condition(Condition),
    /// Rows of these traces.
    Traces(Vec<TraceId>),
    /// Rows of blocks that touch the range.
    Time(TimeRange),
}

/// What blocks can decide of a filter over a table with these columns, or nothing.
pub(crate) fn push(filter: &Expr, find: &dyn Fn(&str) -> Option<Column>) -> Option<Pushed> {
    let column = |expr: &Expr| match expr {
        Expr::Column(column) => find(column.name()),
        // A cast that keeps every value and its order compares like the column itself.
        Expr::Cast(Cast { expr, field }) => match expr.as_ref() {
            Expr::Column(column) => {
                find(column.name()).filter(|column| keeps_values(column.field().data_type(), field.data_type()))
            }
            _ => None,
        },
        _ => None,
    };
    let truth = |expr: &Expr, value: bool| match column(expr)? {
        column @ (Column::SpanAttribute(_) | Column::ResourceAttribute(_)) => {
            compare(&column, Op::Eq, &ScalarValue::Boolean(Some(value)))
        }
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (left.as_ref(), right.as_ref()) {
            (left, Expr::Literal(literal, _)) => compare(&column(left)?, comparison(*op)?, literal),
            (Expr::Literal(literal, _), right) => compare(&column(right)?, mirrored(comparison(*op)?), literal),
            _ => None,
        },
        Expr::Like(Like { negated: false, expr, pattern, escape_char: None, case_insensitive: false }) => {
            match pattern.as_ref() {
                Expr::Literal(pattern, _) => like(&column(expr)?, pattern.try_as_str()??),
                _ => None,
            }
        }
        Expr::IsNotNull(expr) => {
            let (field, _) = attribute(&column(expr)?)?;
            inexact(field, Op::Exists, Literal::None)
        }
        Expr::InList(InList { expr, list, negated: false }) if matches!(column(expr)?, Column::TraceId) => {
            let ids = list.iter().map(|item| match item {
                Expr::Literal(literal, _) => trace_id(literal),
                _ => None,
            });
            Some(Pushed { what: What::Traces(ids.collect::<Option<Vec<_>>>()?), is_exact: true })
        }
        Expr::Column(_) => truth(filter, true),
        Expr::Not(expr) => truth(expr, false),
        _ => None,
    }
}

/// Whether every value of a column is another value of the type it is cast to, in the same order.
fn keeps_values(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Int32, DataType::Int64) => true,
        (DataType::Int32 | DataType::Int64 | DataType::UInt64, DataType::Decimal128(digits, 0)) => *digits >= 20,
        _ => false,
    }
}

pub(crate) fn comparison(op: Operator) -> Option<Op> {
    Some(match op {
        Operator::Eq => Op::Eq,
        Operator::NotEq => Op::Ne,
        Operator::Lt => Op::Lt,
        Operator::LtEq => Op::Le,
        Operator::Gt => Op::Gt,
        Operator::GtEq => Op::Ge,
        _ => return None,
    })
}

pub(crate) fn mirrored(op: Op) -> Op {
    match op {
        Op::Lt => Op::Gt,
        Op::Le => Op::Ge,
        Op::Gt => Op::Lt,
        Op::Ge => Op::Le,
        same => same,
    }
}

fn exact(field: Field, op: Op, value: Literal) -> Option<Pushed> {
    Some(Pushed { what: What::Condition(Condition { field, op, value }), is_exact: true })
}

fn inexact(field: Field, op: Op, value: Literal) -> Option<Pushed> {
    Some(Pushed { what: What::Condition(Condition { field, op, value }), is_exact: false })
}

fn attribute(column: &Column) -> Option<(Field, ValueType)> {
    let field = |scope, key: &str| Field::Attribute { scope, key: key.to_owned() };
    match column {
        Column::SpanAttribute(AttributeColumn { key, value_type }) => Some((field(Scope::Span, key), *value_type)),
        Column::ResourceAttribute(AttributeColumn { key, value_type }) => {
            Some((field(Scope::Resource, key), *value_type))
        }
        Column::ServiceName => Some((field(Scope::Resource, "service.name"), ValueType::String)),
        _ => None,
    }
}

fn compare(column: &Column, op: Op, literal: &ScalarValue) -> Option<Pushed> {
    match column {
        Column::Name => exact(Field::Name, op, text(literal)?),
        Column::Kind => exact(Field::Kind, op, Literal::Int(int(literal)?)),
        Column::StatusCode => exact(Field::StatusCode, op, Literal::Int(int(literal)?)),
        Column::DurationNanos => exact(Field::DurationNanos, op, Literal::Int(int(literal)?)),
        Column::StartUnixNanos => {
            // A condition sees starts beyond the largest i64 as that one: literals below it are told apart from them.
            let nanos = int(literal).filter(|nanos| (0..i64::MAX).contains(nanos))?;
            exact(Field::StartUnixNanos, op, Literal::Int(nanos))
        }
        Column::EndUnixNanos => {
            // Only a lower bound prunes: how early a block's spans end is not known.
            let nanos = u64::try_from(int(literal)?).ok()?;
            let range = TimeRange { start_unix_nanos: nanos, end_unix_nanos: u64::MAX };
            matches!(op, Op::Eq | Op::Gt | Op::Ge).then_some(Pushed { what: What::Time(range), is_exact: false })
        }
        Column::TraceId if op == Op::Eq => {
            Some(Pushed { what: What::Traces(vec![trace_id(literal)?]), is_exact: true })
        }
        column => {
            let (field, value_type) = attribute(column)?;
            match value_type {
                ValueType::String => inexact(field, op, text(literal)?),
                ValueType::Int => inexact(field, op, Literal::Int(int(literal)?)),
                ValueType::Double => match literal {
                    // SQL gives NaN a place in the order of doubles; conditions order them as IEEE 754 does.
                    // Equality with a number is the one comparison for which the second keeps what the first does.
                    ScalarValue::Float64(Some(double)) if op == Op::Eq && !double.is_nan() => {
                        inexact(field, op, Literal::Double(*double))
                    }
                    ScalarValue::Float64(Some(_)) => inexact(field, Op::Exists, Literal::None),
                    _ => None,
                },
                ValueType::Bool => match literal {
                    ScalarValue::Boolean(Some(bool)) if matches!(op, Op::Eq | Op::Ne) => {
                        inexact(field, op, Literal::Bool(*bool))
                    }
                    _ => None,
                },
            }
        }
    }
}

/// `%text%` is a substring; of any other pattern the longest piece without wildcards must occur.
fn like(column: &Column, pattern: &str) -> Option<Pushed> {
    if pattern.contains('\\') {
        return None;
    }
    let piece = pattern.split(['%', '_']).max_by_key(|piece| piece.len()).filter(|piece| !piece.is_empty())?;
    let is_substring = pattern.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')) == Some(piece);
    let value = Literal::String(piece.to_owned());
    match column {
        Column::Name if is_substring => exact(Field::Name, Op::Contains, value),
        Column::Name => inexact(Field::Name, Op::Contains, value),
        column => match attribute(column)? {
            (field, ValueType::String) => inexact(field, Op::Contains, value),
            _ => None,
        },
    }
}

fn text(literal: &ScalarValue) -> Option<Literal> {
    Some(Literal::String(literal.try_as_str()??.to_owned()))
}

fn int(literal: &ScalarValue) -> Option<i64> {
    match literal {
        ScalarValue::Int8(value) => value.map(i64::from),
        ScalarValue::Int16(value) => value.map(i64::from),
        ScalarValue::Int32(value) => value.map(i64::from),
        ScalarValue::Int64(value) => *value,
        ScalarValue::UInt8(value) => value.map(i64::from),
        ScalarValue::UInt16(value) => value.map(i64::from),
        ScalarValue::UInt32(value) => value.map(i64::from),
        ScalarValue::UInt64(value) => value.and_then(|value| i64::try_from(value).ok()),
        ScalarValue::Decimal128(value, _, 0) => value.and_then(|value| i64::try_from(value).ok()),
        _ => None,
    }
}

fn trace_id(literal: &ScalarValue) -> Option<TraceId> {
    match literal {
        ScalarValue::FixedSizeBinary(_, Some(bytes))
        | ScalarValue::Binary(Some(bytes))
        | ScalarValue::LargeBinary(Some(bytes))
        | ScalarValue::BinaryView(Some(bytes)) => Some(TraceId(bytes.as_slice().try_into().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
