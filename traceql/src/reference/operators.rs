//! Operators between values, by the rules of "Comparing", "Conditions" and "Arithmetic". Knows no spans.

use std::cmp::Ordering;

use regex::Regex;

use crate::ast::FieldOp;
use crate::value::Value;

/// What two lists of scalars are to each other. Nil is the empty list.
pub(super) fn compare(op: FieldOp, left: &[Value], right: &[Value]) -> bool {
    let positive = match op {
        FieldOp::Ne => FieldOp::Eq,
        FieldOp::NotMatches => FieldOp::Matches,
        op => op,
    };
    let mut some_comparable = false;
    let mut some_holds = false;
    for a in left {
        for b in right {
            if let Some(holds) = compare_scalars(positive, a, b) {
                some_comparable = true;
                some_holds |= holds;
            }
        }
    }
    if op == positive { some_holds } else { some_comparable && !some_holds }
}

/// None for scalars that are not comparable.
fn compare_scalars(op: FieldOp, a: &Value, b: &Value) -> Option<bool> {
    match (a, b) {
        (Value::String(a), Value::String(b)) if op == FieldOp::Matches => Some(matches(a, b)),
        (Value::String(a), Value::String(b)) => Some(holds(op, Some(a.as_bytes().cmp(b.as_bytes())))),
        (Value::Bool(a), Value::Bool(b)) => Some(op == FieldOp::Eq && a == b),
        (Value::Status(a), Value::Status(b)) => Some(holds(op, Some((*a as u8).cmp(&(*b as u8))))),
        (Value::Kind(a), Value::Kind(b)) => Some(holds(op, Some((*a as u8).cmp(&(*b as u8))))),
        (a, b) => Some(holds(op, compare_numbers(a, b)?)),
    }
}

/// None when one is no number; the inner is none when one is not-a-number.
pub(super) fn compare_numbers(a: &Value, b: &Value) -> Option<Option<Ordering>> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(Some(a.cmp(&b))),
        _ => Some(double(a)?.partial_cmp(&double(b)?)),
    }
}

/// Whether an order is what the operator asks for.
pub(super) fn holds(op: FieldOp, order: Option<Ordering>) -> bool {
    match op {
        FieldOp::Eq => order == Some(Ordering::Equal),
        FieldOp::Ne => order.is_some_and(|order| order != Ordering::Equal),
        FieldOp::Lt => order == Some(Ordering::Less),
        FieldOp::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        FieldOp::Gt => order == Some(Ordering::Greater),
        FieldOp::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        _ => false,
    }
}

fn matches(text: &str, pattern: &str) -> bool {
    Regex::new(&crate::whole_text_regex(pattern)).is_ok_and(|regex| regex.is_match(text))
}

/// An integer or the nanoseconds of a duration.
pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) | Value::Duration(number) => Some(*number),
        _ => None,
    }
}

/// A number as a double.
pub(super) fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        value => Some(integer(value)? as f64),
    }
}

/// `left op right`, of numbers; nil of anything else.
pub(super) fn arithmetic(op: FieldOp, left: &Value, right: &Value) -> Value {
    let (Some(a), Some(b)) = (double(left), double(right)) else { return Value::Nil };
    let in_doubles = match op {
        FieldOp::Add => a + b,
        FieldOp::Sub => a - b,
        FieldOp::Mul => a * b,
        FieldOp::Div => a / b,
        FieldOp::Mod => a % b,
        FieldOp::Pow => a.powf(b),
        _ => return Value::Nil,
    };
    let (Some(a), Some(b)) = (integer(left), integer(right)) else { return float(in_doubles) };
    let in_integers = match op {
        FieldOp::Add => a.checked_add(b),
        FieldOp::Sub => a.checked_sub(b),
        FieldOp::Mul => a.checked_mul(b),
        FieldOp::Div | FieldOp::Mod if b == 0 => return Value::Nil,
        FieldOp::Div => a.checked_div(b),
        FieldOp::Mod => a.checked_rem(b),
        _ => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
    };
    let is_duration = |value: &Value| matches!(value, Value::Duration(_));
    match in_integers {
        None => float(in_doubles),
        Some(number) if op == FieldOp::Div && is_duration(left) && is_duration(right) => Value::Int(number),
        Some(number) if is_duration(left) || is_duration(right) => Value::Duration(number),
        Some(number) => Value::Int(number),
    }
}

/// `-value`
pub(super) fn negate(value: &Value) -> Value {
    let negated = |number: i64, make: fn(i64) -> Value| number.checked_neg().map_or(float(-(number as f64)), make);
    match value {
        Value::Int(number) => negated(*number, Value::Int),
        Value::Duration(number) => negated(*number, Value::Duration),
        Value::Float(number) => float(-number),
        _ => Value::Nil,
    }
}

/// A double, or nil for one that is not a number.
pub(super) fn float(number: f64) -> Value {
    if number.is_nan() { Value::Nil } else { Value::Float(number) }
}

/// The first element of an array; any other value as it is.
pub(super) fn first(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().next().unwrap_or(Value::Nil),
        value => value,
    }
}

/// The scalars of a value.
pub(super) fn scalars(value: Value) -> Vec<Value> {
    match value {
        Value::Nil => vec![],
        Value::Array(values) => values,
        value => vec![value],
    }
}

/// Label order of values: by type, then value. Values that are the same are equal.
pub(super) fn value_order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => (a + 0.0).total_cmp(&(b + 0.0)),
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Status(a), Value::Status(b)) => a.cmp(b),
        (Value::Kind(a), Value::Kind(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let different = a.iter().zip(b).map(|(a, b)| value_order(a, b)).find(|order| order.is_ne());
            different.unwrap_or(a.len().cmp(&b.len()))
        }
        (a, b) => type_rank(a).cmp(&type_rank(b)),
    }
}

fn type_rank(value: &Value) -> u8 {
    match value {
        Value::Nil => 0,
        Value::Bool(_) => 1,
        Value::Int(_) => 2,
        Value::Float(_) => 3,
        Value::String(_) => 4,
        Value::Duration(_) => 5,
        Value::Status(_) => 6,
        Value::Kind(_) => 7,
        Value::Array(_) => 8,
    }
}

/// Label order of lists of labels.
pub(super) fn label_order(a: &[(String, Value)], b: &[(String, Value)]) -> Ordering {
    for ((a_key, a_value), (b_key, b_value)) in a.iter().zip(b) {
        let order = a_key.as_bytes().cmp(b_key.as_bytes()).then_with(|| value_order(a_value, b_value));
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}
