//! Filters over the columns of views as conditions on blocks: ids as text, words and timestamps become what blocks store.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use spanlake_block::{Column, Condition, Field, Literal, Op};
use spanlake_model::{TimeRange, TraceId};

use super::view::ViewColumn;
use crate::filter::{self, Pushed, What, comparison, mirrored};
use crate::shape::Form;

/// What blocks can decide of a filter over a view, or nothing.
pub(super) fn push<'a>(filter: &Expr, find: &dyn Fn(&str) -> Option<&'a ViewColumn>) -> Option<Pushed> {
    if let Some(ids) = traces(filter, find) {
        return Some(Pushed { what: What::Traces(ids), is_exact: true });
    }
    let shown = |expr: &Expr| match expr {
        Expr::Column(column) => find(column.name()).filter(|column| column.is_of_span()),
        _ => None,
    };
    if let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter {
        let compared = match (left.as_ref(), right.as_ref()) {
            (left, Expr::Literal(literal, _)) => Some((shown(left), comparison(*op), literal)),
            (Expr::Literal(literal, _), right) => Some((shown(right), comparison(*op).map(mirrored), literal)),
            _ => None,
        };
        if let Some((Some(column), Some(op), literal)) = compared
            && column.form != Form::Stored
        {
            return compare(column, op, literal);
        }
    }
    let stored = |name: &str| {
        let column = find(name).filter(|column| column.is_of_span() && column.form == Form::Stored)?;
        Some(column.column.clone())
    };
    filter::push(filter, &stored)
}

/// Comparisons with what is shown in another form than it is stored in.
fn compare(column: &ViewColumn, op: Op, literal: &ScalarValue) -> Option<Pushed> {
    let exact = |field, value| Pushed {
        what: What::Condition(Condition { field, op, value: Literal::Int(value) }),
        is_exact: true,
    };
    match (&column.column, column.form) {
        (Column::Kind, Form::Word(words)) if matches!(op, Op::Eq | Op::Ne) => {
            Some(exact(Field::Kind, number(words, literal)?))
        }
        (Column::StatusCode, Form::Word(words)) if matches!(op, Op::Eq | Op::Ne) => {
            Some(exact(Field::StatusCode, number(words, literal)?))
        }
        // A start that is too late for a timestamp is shown as the last one that fits, and a condition sees it so too.
        (Column::StartUnixNanos, Form::Time) => {
            let nanos = nanos(literal).filter(|nanos| (0..i64::MAX).contains(nanos))?;
            Some(exact(Field::StartUnixNanos, nanos))
        }
        (Column::EndUnixNanos, Form::Time) if matches!(op, Op::Eq | Op::Gt | Op::Ge) => {
            let nanos = u64::try_from(nanos(literal)?).ok()?;
            let range = TimeRange { start_unix_nanos: nanos, end_unix_nanos: u64::MAX };
            Some(Pushed { what: What::Time(range), is_exact: false })
        }
        _ => None,
    }
}

fn number(words: &[&str], literal: &ScalarValue) -> Option<i64> {
    let word = literal.try_as_str()??;
    let at = words.iter().position(|known| *known == word)?;
    i64::try_from(at).ok()
}

fn nanos(literal: &ScalarValue) -> Option<i64> {
    match literal {
        ScalarValue::TimestampNanosecond(nanos, _) => *nanos,
        _ => None,
    }
}

/// The traces that a filter asks for: `trace_id` equal to a text, or to one of several.
pub(super) fn traces<'a>(filter: &Expr, find: &dyn Fn(&str) -> Option<&'a ViewColumn>) -> Option<Vec<TraceId>> {
    let is_id = |expr: &Expr| match expr {
        Expr::Column(column) => {
            find(column.name()).is_some_and(|column| column.is_of_span() && column.column == Column::TraceId)
        }
        _ => false,
    };
    asked(filter, &is_id)
}

/// As [`traces`], for an expression that says which column holds ids.
pub(super) fn asked(filter: &Expr, is_id: &dyn Fn(&Expr) -> bool) -> Option<Vec<TraceId>> {
    let mut ids = Vec::new();
    let mut pending = vec![filter];
    while let Some(expr) = pending.pop() {
        match expr {
            // The engine makes this of short lists.
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => pending.extend([&**left, &**right]),
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.as_ref(), right.as_ref()) {
                (column, Expr::Literal(literal, _)) | (Expr::Literal(literal, _), column) if is_id(column) => {
                    ids.extend(trace_id(literal)?);
                }
                _ => return None,
            },
            Expr::InList(InList { expr, list, negated: false }) if is_id(expr) => {
                for item in list {
                    let Expr::Literal(literal, _) = item else { return None };
                    ids.extend(trace_id(literal)?);
                }
            }
            _ => return None,
        }
    }
    Some(ids)
}

/// The trace of a text; inside nothing if no id is shown like it, nothing if it is no text.
fn trace_id(literal: &ScalarValue) -> Option<Option<TraceId>> {
    let text = literal.try_as_str()??;
    let is_shown = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    Some(if is_shown { TraceId::parse_hex(text).ok() } else { None })
}
