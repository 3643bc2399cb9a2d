//! Works out what is the same for every span. Whatever it leaves alone is worked out for each span instead.

use std::cmp::Ordering;

use crate::ast::FieldOp;
use crate::value::Value;

/// What became of an operator on two constants.
#[derive(Debug, PartialEq)]
pub(crate) enum Folded {
    /// It has this value.
    Value(Value),
    /// It has none that a literal could say; it stays as it is.
    Stays,
    /// It has none at all.
    Invalid(&'static str),
}

const TOO_LARGE: &str = "this constant does not fit into 64 bits";
const ZERO: &str = "this divides an integer by zero";

/// An operator on two constants that [`crate::check::binary`] takes.
pub(crate) fn binary(op: FieldOp, left: &Value, right: &Value) -> Folded {
    match op {
        FieldOp::And | FieldOp::Or => match (left, right) {
            (Value::Bool(left), Value::Bool(right)) => {
                Folded::Value(Value::Bool(if op == FieldOp::And { *left && *right } else { *left || *right }))
            }
            _ => Folded::Stays,
        },
        FieldOp::Eq | FieldOp::Ne | FieldOp::Lt | FieldOp::Le | FieldOp::Gt | FieldOp::Ge => {
            compare(op, left, right).map_or(Folded::Stays, |holds| Folded::Value(Value::Bool(holds)))
        }
        FieldOp::Matches | FieldOp::NotMatches => Folded::Stays,
        FieldOp::Add | FieldOp::Sub | FieldOp::Mul | FieldOp::Div | FieldOp::Mod | FieldOp::Pow => {
            arithmetic(op, left, right)
        }
    }
}

/// `-x`
pub(crate) fn negate(value: &Value) -> Folded {
    match value {
        Value::Int(value) => {
            value.checked_neg().map_or(Folded::Invalid(TOO_LARGE), |value| Folded::Value(Value::Int(value)))
        }
        Value::Float(value) => Folded::Value(Value::Float(-value)),
        Value::Duration(value) => value.checked_neg().map_or(Folded::Invalid(TOO_LARGE), duration),
        _ => Folded::Stays,
    }
}

fn compare(op: FieldOp, left: &Value, right: &Value) -> Option<bool> {
    let ordering = match (left, right) {
        // Nothing is neither the same as nothing nor different from it.
        (Value::Nil, Value::Nil) => return Some(false),
        (Value::Nil, _) | (_, Value::Nil) => return Some(op == FieldOp::Ne),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Status(left), Value::Status(right)) => left.cmp(right),
        (Value::Kind(left), Value::Kind(right)) => left.cmp(right),
        (Value::Int(left) | Value::Duration(left), Value::Int(right) | Value::Duration(right)) => left.cmp(right),
        _ => as_float(left)?.partial_cmp(&as_float(right)?)?,
    };
    Some(match op {
        FieldOp::Eq => ordering == Ordering::Equal,
        FieldOp::Ne => ordering != Ordering::Equal,
        FieldOp::Lt => ordering == Ordering::Less,
        FieldOp::Le => ordering != Ordering::Greater,
        FieldOp::Gt => ordering == Ordering::Greater,
        FieldOp::Ge => ordering != Ordering::Less,
        _ => return None,
    })
}

/// As the same operators are worked out for each span: with a float it is a float; what an integer is with a duration is a
/// duration, but how often one duration fits into another is an integer.
fn arithmetic(op: FieldOp, left: &Value, right: &Value) -> Folded {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => integers(op, *left, *right),
        (Value::Duration(left), Value::Duration(right)) if op == FieldOp::Div => integers(op, *left, *right),
        (Value::Int(left) | Value::Duration(left), Value::Int(right) | Value::Duration(right)) => {
            match integers(op, *left, *right) {
                Folded::Value(Value::Int(nanos)) => duration(nanos),
                other => other,
            }
        }
        _ => match (as_float(left), as_float(right)) {
            (Some(left), Some(right)) => {
                let value = floats(op, left, right);
                if value.is_finite() { Folded::Value(Value::Float(value)) } else { Folded::Stays }
            }
            _ => Folded::Stays,
        },
    }
}

fn integers(op: FieldOp, left: i64, right: i64) -> Folded {
    let value = match op {
        FieldOp::Add => left.checked_add(right),
        FieldOp::Sub => left.checked_sub(right),
        FieldOp::Mul => left.checked_mul(right),
        FieldOp::Div | FieldOp::Mod if right == 0 => return Folded::Invalid(ZERO),
        FieldOp::Div => left.checked_div(right),
        // The least integer is a multiple of -1 too, though the quotient does not fit.
        FieldOp::Mod => Some(left.wrapping_rem(right)),
        FieldOp::Pow => match u32::try_from(right) {
            Ok(right) => left.checked_pow(right),
            // Below one and no longer an integer.
            Err(_) if right < 0 => {
                let value = floats(op, left as f64, right as f64);
                return if value.is_finite() { Folded::Value(Value::Float(value)) } else { Folded::Invalid(ZERO) };
            }
            Err(_) => None,
        },
        _ => return Folded::Stays,
    };
    // What does not fit is a double, worked out where spans are.
    value.map_or(Folded::Stays, |value| Folded::Value(Value::Int(value)))
}

fn floats(op: FieldOp, left: f64, right: f64) -> f64 {
    match op {
        FieldOp::Add => left + right,
        FieldOp::Sub => left - right,
        FieldOp::Mul => left * right,
        FieldOp::Div => left / right,
        FieldOp::Mod => left % right,
        FieldOp::Pow => left.powf(right),
        _ => f64::NAN,
    }
}

/// The least integer is left out, because no literal says it.
fn duration(nanos: i64) -> Folded {
    if nanos > i64::MIN { Folded::Value(Value::Duration(nanos)) } else { Folded::Stays }
}

fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) | Value::Duration(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}
