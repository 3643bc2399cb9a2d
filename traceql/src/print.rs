//! Trees to text: the one way to write each query. What is printed reads back as the same tree.

use std::fmt::{self, Display};

use crate::ast::{
    FieldExpr, FieldOp, Hint, Metrics, MetricsFunction, Pipeline, Query, ScalarExpr, ScalarFilter, SecondStage,
    SpansetExpr, Stage,
};
use crate::number::write_duration;
use crate::operators::{NEGATE_LEVEL, NOT_LEVEL};
use crate::quoted::write_string;
use crate::value::Value;

/// What needs no parentheses anywhere.
const ATOM_LEVEL: u8 = 7;

/// As a literal of the language; texts are quoted. Arrays, which are no literals, are in brackets.
impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(i64::MIN) => f.write_str("minInt"),
            Self::Int(value) => value.fmt(f),
            // Unlike `Display`, `Debug` always has a point or an exponent.
            Self::Float(value) => write!(f, "{value:?}"),
            Self::String(value) => write_string(f, value),
            Self::Duration(nanos) => write_duration(f, *nanos),
            Self::Status(value) => value.fmt(f),
            Self::Kind(value) => value.fmt(f),
            Self::Array(values) => {
                f.write_str("[")?;
                write_list(f, values)?;
                f.write_str("]")
            }
        }
    }
}

impl Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pipeline.fmt(f)?;
        if let Some(metrics) = &self.metrics {
            write!(f, " | {metrics}")?;
        }
        if !self.hints.is_empty() {
            f.write_str(" with(")?;
            write_list(f, &self.hints)?;
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, stage) in self.stages.iter().enumerate() {
            if position > 0 {
                f.write_str(" | ")?;
            }
            stage.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spansets(spansets) => spansets.fmt(f),
            Self::Scalar(filter) => filter.fmt(f),
            Self::By(value) => write!(f, "by({value})"),
            Self::Coalesce => f.write_str("coalesce()"),
            Self::Select(fields) => {
                f.write_str("select(")?;
                write_list(f, fields)?;
                f.write_str(")")
            }
        }
    }
}

impl Display for SpansetExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Chains lean to the left and may be long: a loop goes down there.
        let mut chain = Vec::new();
        let mut first = self;
        while let Self::Binary { op, left, right } = first {
            let parenthesised = matches!(&**left, Self::Binary { op: inner, .. } if inner.level() < op.level());
            chain.push((op, right, parenthesised));
            first = left;
        }
        let opened = chain.iter().filter(|(_, _, parenthesised)| *parenthesised).count();
        f.write_str(&"(".repeat(opened))?;
        match first {
            Self::Filter(None) => f.write_str("{}")?,
            Self::Filter(Some(condition)) => write!(f, "{{ {condition} }}")?,
            Self::Pipeline(pipeline) => write!(f, "({pipeline})")?,
            Self::Binary { .. } => {}
        }
        for (op, right, parenthesised) in chain.into_iter().rev() {
            let close = if parenthesised { ")" } else { "" };
            match &**right {
                Self::Binary { op: inner, .. } if inner.level() <= op.level() => write!(f, "{close} {op} ({right})")?,
                _ => write!(f, "{close} {op} {right}")?,
            }
        }
        Ok(())
    }
}

impl Display for ScalarFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.left, self.op, self.right)
    }
}

/// What [`write_tree`] must know of an expression.
trait Tree: Display {
    /// How tightly its outermost operator holds.
    fn level(&self) -> u8;
    /// Its operator and sides, if it has two.
    fn sides(&self) -> Option<(FieldOp, &Self, &Self)>;
    /// Writes it, if it has not two sides.
    fn write_single(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// Writes an expression with as few parentheses as read back the same.
fn write_tree<T: Tree>(tree: &T, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // Chains lean to the left and may be long: a loop goes down there.
    let mut chain = Vec::new();
    let mut first = tree;
    while let Some((op, left, right)) = first.sides() {
        let bound = if op.is_right_associative() { left.level() > op.level() } else { left.level() >= op.level() };
        chain.push((op, right, !bound));
        first = left;
    }
    let opened = chain.iter().filter(|(_, _, parenthesised)| *parenthesised).count();
    f.write_str(&"(".repeat(opened))?;
    first.write_single(f)?;
    for (op, right, parenthesised) in chain.into_iter().rev() {
        let close = if parenthesised { ")" } else { "" };
        let bound = if op.is_right_associative() { right.level() >= op.level() } else { right.level() > op.level() };
        if bound {
            write!(f, "{close} {op} {right}")?;
        } else {
            write!(f, "{close} {op} ({right})")?;
        }
    }
    Ok(())
}

/// A negative number is read as a minus sign and a number.
fn literal_level(value: &Value) -> u8 {
    match value {
        Value::Int(value) if *value < 0 && *value > i64::MIN => NEGATE_LEVEL,
        Value::Duration(value) if *value < 0 => NEGATE_LEVEL,
        Value::Float(value) if value.is_sign_negative() => NEGATE_LEVEL,
        _ => ATOM_LEVEL,
    }
}

impl Tree for FieldExpr {
    fn level(&self) -> u8 {
        match self {
            Self::Literal(value) => literal_level(value),
            Self::Field(_) => ATOM_LEVEL,
            Self::Negate(_) => NEGATE_LEVEL,
            Self::Not(_) => NOT_LEVEL,
            Self::Binary { op, .. } => op.level(),
        }
    }

    fn sides(&self) -> Option<(FieldOp, &Self, &Self)> {
        match self {
            Self::Binary { op, left, right } => Some((*op, left, right)),
            _ => None,
        }
    }

    fn write_single(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, level, operand) = match self {
            Self::Literal(value) => return value.fmt(f),
            Self::Field(field) => return field.fmt(f),
            Self::Negate(operand) => ("-", NEGATE_LEVEL, operand),
            Self::Not(operand) => ("!", NOT_LEVEL, operand),
            Self::Binary { .. } => return Ok(()),
        };
        let is_prefixed = matches!(**operand, Self::Negate(_) | Self::Not(_));
        if operand.level() > level || (is_prefixed && operand.level() == level) {
            write!(f, "{sign}{operand}")
        } else {
            write!(f, "{sign}({operand})")
        }
    }
}

impl Tree for ScalarExpr {
    fn level(&self) -> u8 {
        match self {
            Self::Aggregate { .. } => ATOM_LEVEL,
            Self::Literal(value) => literal_level(value),
            Self::Binary { op, .. } => op.level(),
        }
    }

    fn sides(&self) -> Option<(FieldOp, &Self, &Self)> {
        match self {
            Self::Binary { op, left, right } => Some((*op, left, right)),
            _ => None,
        }
    }

    fn write_single(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aggregate { function, argument: None } => write!(f, "{function}()"),
            Self::Aggregate { function, argument: Some(argument) } => write!(f, "{function}({argument})"),
            Self::Literal(value) => value.fmt(f),
            Self::Binary { .. } => Ok(()),
        }
    }
}

impl Display for FieldExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tree(self, f)
    }
}

impl Display for ScalarExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_tree(self, f)
    }
}

impl Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.function.fmt(f)?;
        if !self.by.is_empty() {
            f.write_str(" by(")?;
            write_list(f, &self.by)?;
            f.write_str(")")?;
        }
        self.second.iter().try_for_each(|stage| write!(f, " {stage}"))
    }
}

impl Display for MetricsFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Rate | Self::CountOverTime => f.write_str("()"),
            Self::MinOverTime(field)
            | Self::MaxOverTime(field)
            | Self::SumOverTime(field)
            | Self::AvgOverTime(field)
            | Self::HistogramOverTime(field) => write!(f, "({field})"),
            Self::QuantileOverTime { field, quantiles } => {
                write!(f, "({field}")?;
                quantiles.iter().try_for_each(|quantile| write!(f, ", {quantile:?}"))?;
                f.write_str(")")
            }
            Self::Compare { selection, top, range } => {
                match selection {
                    None => f.write_str("({}")?,
                    Some(condition) => write!(f, "({{ {condition} }}")?,
                }
                write!(f, ", {top}")?;
                if let Some((start, end)) = range {
                    write!(f, ", {start}, {end}")?;
                }
                f.write_str(")")
            }
        }
    }
}

/// With the pipe, where one belongs before it.
impl Display for SecondStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopK(count) => write!(f, "| topk({count})"),
            Self::BottomK(count) => write!(f, "| bottomk({count})"),
            Self::Filter { op, value } => write!(f, "{op} {value:?}"),
        }
    }
}

/// `a, b, c`
fn write_list<T: Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            f.write_str(", ")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}
