//! Random filters: as SQL, and decided on a value by SQL's three-valued logic.

use std::cmp::Ordering;

use proptest::prelude::*;
use proptest::sample::Index;
use spanlake_block::{Column, SpanRow};
use spanlake_otlp::arbitrary;

use crate::naive::{Value, value};

/// A filter.
#[derive(Debug, Clone)]
pub enum Predicate {
    Compare(Column, &'static str, Value),
    Flipped(Value, &'static str, Column),
    Like(Column, String),
    IsNotNull(Column),
    IsNull(Column),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
}

/// A name in SQL.
pub fn quoted(column: &Column) -> String {
    format!("\"{}\"", column.field().name().replace('"', "\"\""))
}

fn literal(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Int(int) => int.to_string(),
        Value::Double(double) => format!("CAST('{double:?}' AS DOUBLE)"),
        Value::Bool(bool) => bool.to_string(),
        Value::Bytes(bytes) => format!("X'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

impl Predicate {
    /// As SQL.
    pub fn sql(&self) -> String {
        match self {
            Self::Compare(column, op, value) => format!("{} {op} {}", quoted(column), literal(value)),
            Self::Flipped(value, op, column) => format!("{} {op} {}", literal(value), quoted(column)),
            Self::Like(column, pattern) => format!("{} LIKE '{}'", quoted(column), pattern.replace('\'', "''")),
            Self::IsNotNull(column) => format!("{} IS NOT NULL", quoted(column)),
            Self::IsNull(column) => format!("{} IS NULL", quoted(column)),
            Self::And(a, b) => format!("({} AND {})", a.sql(), b.sql()),
            Self::Or(a, b) => format!("({} OR {})", a.sql(), b.sql()),
            Self::Not(a) => format!("(NOT {})", a.sql()),
        }
    }

    /// True, false or unknown.
    pub fn decide(&self, row: &SpanRow) -> Option<bool> {
        match self {
            Self::Compare(column, op, literal) => Some(compare(op, order(&value(row, column)?, literal))),
            Self::Flipped(literal, op, column) => Some(compare(op, order(literal, &value(row, column)?))),
            Self::Like(column, pattern) => match value(row, column)? {
                Value::Text(text) => Some(like(&text, pattern)),
                _ => unreachable!("only texts are compared with patterns"),
            },
            Self::IsNotNull(column) => Some(value(row, column).is_some()),
            Self::IsNull(column) => Some(value(row, column).is_none()),
            Self::And(a, b) => match (a.decide(row), b.decide(row)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(a, b) => match (a.decide(row), b.decide(row)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Self::Not(a) => a.decide(row).map(|decided| !decided),
        }
    }
}

fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        // Adding a zero makes the negative zero the positive one: SQL holds them equal, and NaN above or below all.
        (Value::Double(a), Value::Double(b)) => (a + 0.0).total_cmp(&(b + 0.0)),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        _ => unreachable!("a column is compared with its own type"),
    }
}

fn compare(op: &str, order: Ordering) -> bool {
    match op {
        "=" => order.is_eq(),
        "<>" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        _ => unreachable!("no other operator is made"),
    }
}

/// Patterns here have `%` only at their ends.
fn like(text: &str, pattern: &str) -> bool {
    match (pattern.strip_prefix('%'), pattern.strip_suffix('%')) {
        (Some(_), Some(_)) => text.contains(pattern.trim_matches('%')),
        (None, Some(prefix)) => text.starts_with(prefix),
        (Some(suffix), None) => text.ends_with(suffix),
        (None, None) => text == pattern,
    }
}

/// What a leaf of a filter is made from, before there are rows to aim at.
pub type Aim = (Index, Index, u8, u8, u8, bool, String);

/// Aims for up to four leaves.
pub fn aims() -> BoxedStrategy<Vec<Aim>> {
    let aim = (any::<Index>(), any::<Index>(), any::<u8>(), any::<u8>(), any::<u8>(), any::<bool>(), arbitrary::text());
    proptest::collection::vec(aim, 1..5).boxed()
}

/// A filter that some rows are likely to pass: mostly values that occur.
pub fn aim(aims: &[Aim], rows: &[SpanRow], columns: &[Column]) -> Predicate {
    let mut leaves = aims.iter().map(|aim| (leaf(aim, rows, columns), aim.4));
    let (mut all, _) = leaves.next().expect("there is at least one aim");
    for (next, join) in leaves {
        all = match join % 4 {
            0 | 1 => Predicate::And(Box::new(all), Box::new(next)),
            2 => Predicate::Or(Box::new(all), Box::new(next)),
            _ => Predicate::And(Box::new(next), Box::new(Predicate::Not(Box::new(all)))),
        };
    }
    all
}

fn leaf(aim: &Aim, rows: &[SpanRow], columns: &[Column]) -> Predicate {
    let (column, row, op, form, _, occurs, text) = aim;
    let column = columns[column.index(columns.len())].clone();
    let seen = value(&rows[row.index(rows.len())], &column);
    let some = rows.iter().find_map(|row| value(row, &column));
    let literal = match (seen.or(some), occurs) {
        (None, _) => return Predicate::IsNull(column),
        (Some(Value::Text(_)), false) => Value::Text(text.clone()),
        (Some(Value::Double(_)), false) => {
            Value::Double([0.0, -0.0, 1.0, f64::INFINITY, f64::NEG_INFINITY][usize::from(*op) % 5])
        }
        (Some(Value::Int(int)), false) if !matches!(column, Column::Kind | Column::StatusCode) => {
            Value::Int(int.saturating_sub(1).max(0))
        }
        (Some(value), _) => value,
    };
    let ops = ["=", "=", "<>", "<", "<=", ">", ">="];
    let op = ops[usize::from(*op) % ops.len()];
    // Ids are not ordered by anything that a table promises to compare.
    let op = if matches!(literal, Value::Bytes(_)) { "=" } else { op };
    match (form % 6, &literal) {
        (0, Value::Text(text)) => {
            let piece: String = text.chars().filter(|c| !['%', '_', '\\'].contains(c)).take(3).collect();
            let pattern = [format!("%{piece}%"), format!("{piece}%"), format!("%{piece}")][text.len() % 3].clone();
            Predicate::Like(column, pattern)
        }
        (1, _) => Predicate::IsNotNull(column),
        (2, _) => Predicate::Flipped(literal, op, column),
        _ => Predicate::Compare(column, op, literal),
    }
}
