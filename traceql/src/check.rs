//! Which values may stand where: the types of fields and the operators that take them. It knows no text and no places.

use crate::ast::{Field, FieldOp, Intrinsic, Scope};
use crate::value::Value;

/// What is known of a value before any span is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// An attribute: anything.
    Unknown,
    Nil,
    Bool,
    /// Integers, floats and durations compare and mix.
    Number,
    String,
    Status,
    Kind,
}

impl Type {
    pub(crate) fn of_value(value: &Value) -> Self {
        match value {
            Value::Nil => Self::Nil,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) | Value::Float(_) | Value::Duration(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Status(_) => Self::Status,
            Value::Kind(_) => Self::Kind,
            Value::Array(_) => Self::Unknown,
        }
    }

    pub(crate) fn of_field(field: &Field) -> Self {
        match field {
            Field::Attribute { .. } => Self::Unknown,
            Field::Intrinsic(intrinsic) => match intrinsic {
                Intrinsic::Status => Self::Status,
                Intrinsic::Kind => Self::Kind,
                Intrinsic::Duration
                | Intrinsic::TraceDuration
                | Intrinsic::EventTimeSinceStart
                | Intrinsic::ChildCount
                | Intrinsic::NestedSetLeft
                | Intrinsic::NestedSetRight
                | Intrinsic::NestedSetParent => Self::Number,
                Intrinsic::Name
                | Intrinsic::StatusMessage
                | Intrinsic::SpanId
                | Intrinsic::ParentId
                | Intrinsic::RootName
                | Intrinsic::RootServiceName
                | Intrinsic::TraceId
                | Intrinsic::EventName
                | Intrinsic::LinkTraceId
                | Intrinsic::LinkSpanId
                | Intrinsic::InstrumentationName
                | Intrinsic::InstrumentationVersion => Self::String,
            },
        }
    }

    /// With its article, for messages.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Unknown => "an attribute",
            Self::Nil => "nil",
            Self::Bool => "a boolean",
            Self::Number => "a number or duration",
            Self::String => "a text",
            Self::Status => "a status",
            Self::Kind => "a kind",
        }
    }

    /// Whether it may turn out to be `other`.
    pub(crate) fn may_be(self, other: Self) -> bool {
        self == other || self == Self::Unknown || other == Self::Unknown
    }
}

/// Whether the operator gives a number.
pub(crate) fn is_arithmetic(op: FieldOp) -> bool {
    matches!(op, FieldOp::Add | FieldOp::Sub | FieldOp::Mul | FieldOp::Div | FieldOp::Mod | FieldOp::Pow)
}

/// Whether the operator compares: `= != < <= > >=`.
pub(crate) fn is_comparison(op: FieldOp) -> bool {
    matches!(op, FieldOp::Eq | FieldOp::Ne | FieldOp::Lt | FieldOp::Le | FieldOp::Gt | FieldOp::Ge)
}

/// What the operator gives, or why it does not take these two.
pub(crate) fn binary(op: FieldOp, left: Type, right: Type) -> Result<Type, String> {
    for side in [left, right] {
        if !takes(op, side) {
            return Err(format!("`{op}` does not take {}", side.words()));
        }
    }
    let nil_test = left == Type::Nil || right == Type::Nil;
    if !left.may_be(right) && !nil_test {
        return Err(format!("`{op}` cannot combine {} and {}", left.words(), right.words()));
    }
    Ok(if is_arithmetic(op) { Type::Number } else { Type::Bool })
}

fn takes(op: FieldOp, side: Type) -> bool {
    match side {
        Type::Unknown => true,
        Type::Nil | Type::Status | Type::Kind => matches!(op, FieldOp::Eq | FieldOp::Ne),
        Type::Bool => matches!(op, FieldOp::And | FieldOp::Or | FieldOp::Eq | FieldOp::Ne),
        Type::Number => is_arithmetic(op) || is_comparison(op),
        Type::String => is_comparison(op) || matches!(op, FieldOp::Matches | FieldOp::NotMatches),
    }
}

/// Whether every span has the field, so that asking for spans without it makes no sense.
pub(crate) fn is_always_there(field: &Field) -> bool {
    match field {
        Field::Intrinsic(_) => true,
        Field::Attribute { of_parent, scope, key } => !of_parent && *scope == Scope::Resource && key == "service.name",
    }
}
