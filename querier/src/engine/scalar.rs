//! What TraceQL's operators do to values. The rules are those of `docs/traceql.md`; nothing here knows where values come from.

use std::borrow::Cow;
use std::cmp::Ordering;

use spanlake_block::AttributeValue;
use spanlake_traceql::{FieldOp, Kind, Status, Value};

/// How the integers of a column are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Integers.
    Plain,
    /// Nanoseconds.
    Duration,
    /// Status codes.
    Status,
    /// Span kinds.
    Kind,
}

/// One value that is not a list, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Duration(i64),
    Text(&'a str),
    Status(Status),
    Kind(Kind),
}

impl<'a> Scalar<'a> {
    /// An integer under its unit.
    pub(super) fn int(int: i64, unit: Unit) -> Self {
        match unit {
            Unit::Plain => Self::Int(int),
            Unit::Duration => Self::Duration(int),
            Unit::Status => Self::Status(Status::from_number(int as i32)),
            Unit::Kind => Self::Kind(Kind::from_number(int as i32)),
        }
    }

    pub(super) fn of(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Nil | Value::Array(_) => return None,
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Int(int) => Self::Int(*int),
            Value::Float(float) => Self::Float(*float),
            Value::String(text) => Self::Text(text),
            Value::Duration(nanos) => Self::Duration(*nanos),
            Value::Status(status) => Self::Status(*status),
            Value::Kind(kind) => Self::Kind(*kind),
        })
    }

    pub(super) fn of_attribute(value: &'a AttributeValue, unit: Unit) -> Option<Self> {
        Some(match value {
            AttributeValue::Text(text) => Self::Text(text),
            AttributeValue::Int(int) => Self::int(*int, unit),
            AttributeValue::Double(double) => Self::Float(*double),
            AttributeValue::Bool(bool) => Self::Bool(*bool),
            AttributeValue::List(_) | AttributeValue::Several(_) => return None,
        })
    }

    pub(super) fn to_value(self) -> Value {
        match self {
            Self::Bool(bool) => Value::Bool(bool),
            Self::Int(int) => Value::Int(int),
            Self::Float(float) => Value::Float(float),
            Self::Duration(nanos) => Value::Duration(nanos),
            Self::Text(text) => Value::String(text.to_owned()),
            Self::Status(status) => Value::Status(status),
            Self::Kind(kind) => Value::Kind(kind),
        }
    }
}

/// Calls `see` with each scalar of an attribute's value, lists entered, until it says stop.
pub(super) fn any_scalar(value: &AttributeValue, unit: Unit, see: &mut dyn FnMut(Scalar<'_>) -> bool) -> bool {
    match value {
        // Events' values may be arrays, whose elements are scalars: two levels and no more.
        AttributeValue::List(values) | AttributeValue::Several(values) => values.iter().any(|value| match value {
            AttributeValue::List(values) => {
                values.iter().any(|value| Scalar::of_attribute(value, unit).is_some_and(&mut *see))
            }
            value => Scalar::of_attribute(value, unit).is_some_and(&mut *see),
        }),
        value => Scalar::of_attribute(value, unit).is_some_and(see),
    }
}

/// The one value of a field: an array as it is, of several events or links the first.
pub(super) fn one_value(value: &AttributeValue, unit: Unit) -> Value {
    match value {
        AttributeValue::Several(values) => values.first().map_or(Value::Nil, |value| one_value(value, unit)),
        AttributeValue::List(values) => {
            let scalars = values.iter().filter_map(|value| Scalar::of_attribute(value, unit));
            Value::Array(scalars.map(Scalar::to_value).collect())
        }
        value => Scalar::of_attribute(value, unit).map_or(Value::Nil, Scalar::to_value),
    }
}

/// What a comparison says of two scalars; nothing when they are not comparable.
pub(super) fn compare(op: FieldOp, left: Scalar<'_>, right: Scalar<'_>) -> Option<bool> {
    use Scalar::{Bool, Duration, Float, Int, Kind, Status, Text};
    Some(match (left, right) {
        (Int(a) | Duration(a), Int(b) | Duration(b)) => holds(op, a.cmp(&b)),
        (Float(a), Float(b)) => holds_float(op, a, b),
        (Int(a) | Duration(a), Float(b)) => holds_float(op, a as f64, b),
        (Float(a), Int(b) | Duration(b)) => holds_float(op, a, b as f64),
        (Text(a), Text(b)) => holds(op, a.cmp(b)),
        (Status(a), Status(b)) => holds(op, a.cmp(&b)),
        (Kind(a), Kind(b)) => holds(op, a.cmp(&b)),
        (Bool(a), Bool(b)) => match op {
            FieldOp::Eq => a == b,
            FieldOp::Ne => a != b,
            _ => false,
        },
        _ => return None,
    })
}

fn holds(op: FieldOp, ordering: Ordering) -> bool {
    match op {
        FieldOp::Eq => ordering.is_eq(),
        FieldOp::Ne => ordering.is_ne(),
        FieldOp::Lt => ordering.is_lt(),
        FieldOp::Le => ordering.is_le(),
        FieldOp::Gt => ordering.is_gt(),
        FieldOp::Ge => ordering.is_ge(),
        _ => false,
    }
}

pub(super) fn holds_float(op: FieldOp, a: f64, b: f64) -> bool {
    match op {
        FieldOp::Eq => a == b,
        FieldOp::Ne => a != b,
        FieldOp::Lt => a < b,
        FieldOp::Le => a <= b,
        FieldOp::Gt => a > b,
        FieldOp::Ge => a >= b,
        _ => false,
    }
}

/// A number with its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Duration(i64),
    Float(f64),
}

impl Number {
    /// The number that a scalar is, if it is one.
    pub(super) fn of(scalar: Scalar<'_>) -> Option<Self> {
        match scalar {
            Scalar::Int(int) => Some(Self::Int(int)),
            Scalar::Duration(nanos) => Some(Self::Duration(nanos)),
            Scalar::Float(float) => (!float.is_nan()).then_some(Self::Float(float)),
            _ => None,
        }
    }

    /// The number that a value is, of an array its first element.
    pub(super) fn of_value(value: &Value) -> Option<Self> {
        let value = match value {
            Value::Array(values) => values.first()?,
            value => value,
        };
        Self::of(Scalar::of(value)?)
    }

    pub(super) fn to_value(self) -> Value {
        match self {
            Self::Int(int) => Value::Int(int),
            Self::Duration(nanos) => Value::Duration(nanos),
            Self::Float(float) => Value::Float(float),
        }
    }

    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Int(int) | Self::Duration(int) => int as f64,
            Self::Float(float) => float,
        }
    }

    pub(super) fn scalar(self) -> Scalar<'static> {
        match self {
            Self::Int(int) => Scalar::Int(int),
            Self::Duration(nanos) => Scalar::Duration(nanos),
            Self::Float(float) => Scalar::Float(float),
        }
    }

    pub(super) fn cmp(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(a) | Self::Duration(a), Self::Int(b) | Self::Duration(b)) => a.cmp(&b),
            (a, b) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        }
    }
}

fn float(value: f64) -> Option<Number> {
    (!value.is_nan()).then_some(Number::Float(value))
}

/// `left op right`; nothing when it is not a number. Integers divide truncating, by zero to nothing; what does not fit into
/// 64 bits is a double.
pub(super) fn arithmetic(op: FieldOp, left: Number, right: Number) -> Option<Number> {
    let (Number::Int(a) | Number::Duration(a), Number::Int(b) | Number::Duration(b)) = (left, right) else {
        let (a, b) = (left.as_f64(), right.as_f64());
        return float(float_arithmetic(op, a, b)?);
    };
    let exact = match op {
        FieldOp::Add => a.checked_add(b),
        FieldOp::Sub => a.checked_sub(b),
        FieldOp::Mul => a.checked_mul(b),
        FieldOp::Div if b == 0 => return None,
        FieldOp::Mod if b == 0 => return None,
        FieldOp::Div => a.checked_div(b),
        // The smallest integer modulo -1 is 0, though the division overflows.
        FieldOp::Mod => Some(a.checked_rem(b).unwrap_or(0)),
        FieldOp::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        _ => return None,
    };
    let Some(exact) = exact else { return float(float_arithmetic(op, a as f64, b as f64)?) };
    let durations = [left, right].map(|number| matches!(number, Number::Duration(_)));
    let is_duration = match (op, durations) {
        (FieldOp::Div, [true, true]) => false,
        (_, [a, b]) => a || b,
    };
    Some(if is_duration { Number::Duration(exact) } else { Number::Int(exact) })
}

fn float_arithmetic(op: FieldOp, a: f64, b: f64) -> Option<f64> {
    Some(match op {
        FieldOp::Add => a + b,
        FieldOp::Sub => a - b,
        FieldOp::Mul => a * b,
        FieldOp::Div => a / b,
        FieldOp::Mod => a % b,
        FieldOp::Pow => a.powf(b),
        _ => return None,
    })
}

/// `-x`.
pub(super) fn negate(number: Number) -> Number {
    match number {
        Number::Int(int) => int.checked_neg().map_or(Number::Float(-(int as f64)), Number::Int),
        Number::Duration(nanos) => nanos.checked_neg().map_or(Number::Float(-(nanos as f64)), Number::Duration),
        Number::Float(float) => Number::Float(-float),
    }
}

/// Orders values for labels and groups: by type, then by value; equal only when type and value are the same.
pub(super) fn label_order(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Nil => 0,
        Value::Bool(_) => 1,
        Value::Int(_) => 2,
        Value::Float(_) => 3,
        Value::String(_) => 4,
        Value::Duration(_) => 5,
        Value::Status(_) => 6,
        Value::Kind(_) => 7,
        Value::Array(_) => 8,
    };
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        // Adding zero makes one zero of the two.
        (Value::Float(a), Value::Float(b)) => (a + 0.0).total_cmp(&(b + 0.0)),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Status(a), Value::Status(b)) => a.cmp(b),
        (Value::Kind(a), Value::Kind(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let pairs = a.iter().zip(b).map(|(a, b)| label_order(a, b));
            pairs.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

/// A value as a map's key: equal exactly when [`label_order`] says so.
#[derive(Debug, Clone)]
pub(super) struct Label(pub(super) Value);

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        label_order(&self.0, &other.0).is_eq()
    }
}

impl Eq for Label {}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> Ordering {
        label_order(&self.0, &other.0)
    }
}

/// A text beside an id of so many digits, in the form ids have: lower case, padded with zeros on the left.
pub(super) fn padded_id(text: &str, digits: usize) -> Cow<'_, str> {
    if (1..=digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Cow::Owned(format!("{:0>digits$}", text.to_ascii_lowercase()))
    } else {
        Cow::Borrowed(text)
    }
}
