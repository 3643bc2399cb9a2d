//! Field expressions over one span of a trace. Operators are `operators`'.

use super::fields::{all_scalars, as_id, id_digits, one_value};
use super::operators::{arithmetic, compare, first, negate, scalars};
use super::trace::Trace;
use crate::ast::{FieldExpr, FieldOp};
use crate::value::Value;

/// Whether the expression is true for the span.
pub(super) fn is_true(trace: &Trace, at: usize, expr: &FieldExpr) -> bool {
    list(trace, at, expr).contains(&Value::Bool(true))
}

/// The one value of the expression.
pub(super) fn one(trace: &Trace, at: usize, expr: &FieldExpr) -> Value {
    match expr {
        FieldExpr::Literal(value) => value.clone(),
        FieldExpr::Field(field) => one_value(trace, at, field),
        FieldExpr::Negate(inner) => negate(&first(one(trace, at, inner))),
        FieldExpr::Not(inner) => {
            let values = list(trace, at, inner);
            let has_boolean = values.iter().any(|value| matches!(value, Value::Bool(_)));
            if has_boolean { Value::Bool(!values.contains(&Value::Bool(true))) } else { Value::Nil }
        }
        FieldExpr::Binary { op, left, right } => match op {
            FieldOp::And => Value::Bool(is_true(trace, at, left) && is_true(trace, at, right)),
            FieldOp::Or => Value::Bool(is_true(trace, at, left) || is_true(trace, at, right)),
            FieldOp::Add | FieldOp::Sub | FieldOp::Mul | FieldOp::Div | FieldOp::Mod | FieldOp::Pow => {
                arithmetic(*op, &first(one(trace, at, left)), &first(one(trace, at, right)))
            }
            _ => Value::Bool(comparison(trace, at, *op, left, right)),
        },
    }
}

/// All scalars of the expression: none for nil.
fn list(trace: &Trace, at: usize, expr: &FieldExpr) -> Vec<Value> {
    match expr {
        FieldExpr::Field(field) => all_scalars(trace, at, field),
        expr => scalars(one(trace, at, expr)),
    }
}

fn comparison(trace: &Trace, at: usize, op: FieldOp, left: &FieldExpr, right: &FieldExpr) -> bool {
    let is_nil = |expr: &FieldExpr| *expr == FieldExpr::Literal(Value::Nil);
    match (is_nil(left), is_nil(right)) {
        (true, true) => return false,
        (false, false) => {}
        (left_is_nil, _) => {
            let has_value = !list(trace, at, if left_is_nil { right } else { left }).is_empty();
            return match op {
                FieldOp::Eq => !has_value,
                FieldOp::Ne => has_value,
                _ => false,
            };
        }
    }
    let mut a = list(trace, at, left);
    let mut b = list(trace, at, right);
    if !matches!(op, FieldOp::Matches | FieldOp::NotMatches) {
        write_ids(left, right, &mut b);
        write_ids(right, left, &mut a);
    }
    compare(op, &a, &b)
}

/// Writes the values of a text literal as ids are written, if `beside` is an id field.
fn write_ids(beside: &FieldExpr, literal: &FieldExpr, values: &mut [Value]) {
    let (FieldExpr::Field(field), FieldExpr::Literal(Value::String(_))) = (beside, literal) else { return };
    let Some(digits) = id_digits(field) else { return };
    for value in values {
        if let Value::String(text) = value {
            *text = as_id(text, digits);
        }
    }
}
