//! A checked query made ready to run: fields numbered, regular expressions compiled, chains flattened.
//!
//! It reads nothing; what a block can rule out is decided in `prune`.

use regex::{Regex, RegexBuilder};
use spanlake_traceql::{Field, FieldExpr, FieldOp, Intrinsic, Value};

use super::scalar::padded_id;
use crate::error::Error;

/// Deepest expression that is run: each level is a frame of the stack. Chains of `&&` and `||` count as one.
const MAX_DEPTH: usize = 200;
/// Most memory of a compiled regular expression, and of its lazily built automaton.
const MAX_REGEX_BYTES: usize = 4 << 20;

/// A value of one span. Fields are places in [`Fields`].
#[derive(Debug, Clone)]
pub(super) enum Expr {
    Literal(Value),
    Field(usize),
    Negate(Box<Expr>),
    Not(Box<Expr>),
    All(Vec<Expr>),
    Any(Vec<Expr>),
    /// `x = nil`, or `x != nil`.
    IsNil {
        of: Box<Expr>,
        negated: bool,
    },
    Matches {
        of: Box<Expr>,
        regex: Box<Regex>,
        negated: bool,
    },
    Compare {
        op: FieldOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Arithmetic {
        op: FieldOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
}

impl Expr {
    /// Calls `see` with the place of each field.
    pub(super) fn each_field(&self, see: &mut dyn FnMut(usize)) {
        match self {
            Self::Literal(_) => {}
            Self::Field(place) => see(*place),
            Self::Negate(of) | Self::Not(of) | Self::IsNil { of, .. } | Self::Matches { of, .. } => of.each_field(see),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.each_field(see)),
            Self::Compare { left, right, .. } | Self::Arithmetic { left, right, .. } => {
                left.each_field(see);
                right.each_field(see);
            }
        }
    }
}

/// The distinct fields of a query, each once, in the order they are met.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(pub(super) Vec<Field>);

impl Fields {
    pub(super) fn place(&mut self, field: &Field) -> usize {
        match self.0.iter().position(|known| known == field) {
            Some(place) => place,
            None => {
                self.0.push(field.clone());
                self.0.len() - 1
            }
        }
    }

    /// Compiles an expression whose fields join these.
    ///
    /// # Errors
    /// [`Error::BadQuery`] if it is too deep, or a regular expression too large.
    pub(super) fn compile(&mut self, expr: &FieldExpr) -> Result<Expr, Error> {
        self.expr(expr, 0)
    }

    fn expr(&mut self, expr: &FieldExpr, depth: usize) -> Result<Expr, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::BadQuery(format!("the expression is nested more than {MAX_DEPTH} levels deep")));
        }
        let depth = depth + 1;
        Ok(match expr {
            FieldExpr::Literal(value) => Expr::Literal(value.clone()),
            FieldExpr::Field(field) => Expr::Field(self.place(field)),
            FieldExpr::Negate(of) => Expr::Negate(Box::new(self.expr(of, depth)?)),
            FieldExpr::Not(of) => Expr::Not(Box::new(self.expr(of, depth)?)),
            FieldExpr::Binary { op: op @ (FieldOp::And | FieldOp::Or), .. } => {
                let parts = chain(expr, *op);
                let parts = parts.into_iter().map(|part| self.expr(part, depth)).collect::<Result<Vec<_>, _>>()?;
                if *op == FieldOp::And { Expr::All(parts) } else { Expr::Any(parts) }
            }
            FieldExpr::Binary { op: op @ (FieldOp::Matches | FieldOp::NotMatches), left, right } => {
                let FieldExpr::Literal(Value::String(pattern)) = right.as_ref() else {
                    return Err(Error::BadQuery("a regular expression must be a text in quotes".to_owned()));
                };
                let of = Box::new(self.expr(left, depth)?);
                Expr::Matches { of, regex: Box::new(anchored(pattern)?), negated: *op == FieldOp::NotMatches }
            }
            FieldExpr::Binary {
                op: op @ (FieldOp::Add | FieldOp::Sub | FieldOp::Mul | FieldOp::Div | FieldOp::Mod | FieldOp::Pow),
                left,
                right,
            } => {
                let (left, right) = (Box::new(self.expr(left, depth)?), Box::new(self.expr(right, depth)?));
                Expr::Arithmetic { op: *op, left, right }
            }
            FieldExpr::Binary { op, left, right } => {
                let is_nil = |side: &FieldExpr| matches!(side, FieldExpr::Literal(Value::Nil));
                match (is_nil(left), is_nil(right), op) {
                    (false, true, FieldOp::Eq | FieldOp::Ne) => {
                        Expr::IsNil { of: Box::new(self.expr(left, depth)?), negated: *op == FieldOp::Ne }
                    }
                    (true, false, FieldOp::Eq | FieldOp::Ne) => {
                        Expr::IsNil { of: Box::new(self.expr(right, depth)?), negated: *op == FieldOp::Ne }
                    }
                    (true, _, _) | (_, true, _) => Expr::Literal(Value::Bool(false)),
                    _ => {
                        let (mut a, mut b) = (self.expr(left, depth)?, self.expr(right, depth)?);
                        pad_literal(left, &mut b);
                        pad_literal(right, &mut a);
                        Expr::Compare { op: *op, left: Box::new(a), right: Box::new(b) }
                    }
                }
            }
        })
    }
}

/// The parts of a chain of one operator, left to right, without recursion along the chain.
fn chain(expr: &FieldExpr, op: FieldOp) -> Vec<&FieldExpr> {
    let mut parts = Vec::new();
    let mut rest = vec![expr];
    while let Some(next) = rest.pop() {
        match next {
            FieldExpr::Binary { op: found, left, right } if *found == op => {
                rest.push(right);
                rest.push(left);
            }
            part => parts.push(part),
        }
    }
    parts
}

/// Regular expressions match the whole text. Linear in the text, whatever the pattern.
fn anchored(pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(&spanlake_traceql::whole_text_regex(pattern))
        .size_limit(MAX_REGEX_BYTES)
        .dfa_size_limit(MAX_REGEX_BYTES)
        .build()
        .map_err(|error| Error::BadQuery(format!("the regular expression {pattern:?} cannot be used: {error}")))
}

/// How many hexadecimal digits the ids in a field have.
pub(super) fn id_digits(field: &Field) -> Option<usize> {
    match field {
        Field::Intrinsic(Intrinsic::TraceId | Intrinsic::LinkTraceId) => Some(32),
        Field::Intrinsic(Intrinsic::SpanId | Intrinsic::ParentId | Intrinsic::LinkSpanId) => Some(16),
        _ => None,
    }
}

/// A text beside an id is put into the form that ids have.
fn pad_literal(beside: &FieldExpr, literal: &mut Expr) {
    if let (FieldExpr::Field(field), Expr::Literal(Value::String(text))) = (beside, literal)
        && let Some(digits) = id_digits(field)
    {
        *text = padded_id(text, digits).into_owned();
    }
}
