//! Operators and functions: how each is written, and how tightly operators hold.

use std::fmt::{self, Display};

use crate::ast::{Aggregate, FieldOp, MetricsFunction, Relation, SpansetOp, StructuralMode};

/// How tightly the minus sign before a value holds it.
pub(crate) const NEGATE_LEVEL: u8 = 3;
/// How tightly `!` holds.
pub(crate) const NOT_LEVEL: u8 = 4;
impl FieldOp {
    /// How tightly it holds its sides; the higher first.
    pub(crate) fn level(self) -> u8 {
        match self {
            Self::And | Self::Or => 1,
            Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge | Self::Matches | Self::NotMatches => 2,
            Self::Add | Self::Sub => 3,
            Self::Mul | Self::Div | Self::Mod => 5,
            Self::Pow => 6,
        }
    }

    /// Whether `a op b op c` is `a op (b op c)`.
    pub(crate) fn is_right_associative(self) -> bool {
        self == Self::Pow
    }

    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::And => "&&",
            Self::Or => "||",
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
        }
    }
}

impl SpansetOp {
    /// How tightly it holds its sides; the higher first.
    pub(crate) fn level(self) -> u8 {
        match self {
            Self::And | Self::Or => 1,
            Self::Structural { .. } => 2,
        }
    }
}

impl Aggregate {
    /// The name of the function.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Sum => "sum",
        }
    }
}

impl MetricsFunction {
    /// The name of the function; series without labels are called by it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::CountOverTime => "count_over_time",
            Self::MinOverTime(_) => "min_over_time",
            Self::MaxOverTime(_) => "max_over_time",
            Self::SumOverTime(_) => "sum_over_time",
            Self::AvgOverTime(_) => "avg_over_time",
            Self::QuantileOverTime { .. } => "quantile_over_time",
            Self::HistogramOverTime(_) => "histogram_over_time",
            Self::Compare { .. } => "compare",
        }
    }
}

impl Display for FieldOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sign())
    }
}

impl Display for SpansetOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (relation, mode) = match self {
            Self::And => return f.write_str("&&"),
            Self::Or => return f.write_str("||"),
            Self::Structural { relation, mode } => (relation, mode),
        };
        f.write_str(match mode {
            StructuralMode::Plain => "",
            StructuralMode::Not => "!",
            StructuralMode::Union => "&",
        })?;
        f.write_str(match relation {
            Relation::Child => ">",
            Relation::Descendant => ">>",
            Relation::Parent => "<",
            Relation::Ancestor => "<<",
            Relation::Sibling => "~",
        })
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
