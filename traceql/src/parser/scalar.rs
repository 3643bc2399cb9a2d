//! Numbers of spansets: aggregates, the arithmetic on them, and the comparison that makes them a filter.

use std::ops::Range;

use super::{Node, Parser, field_op};
use crate::ast::{Aggregate, FieldOp, ScalarExpr, ScalarFilter};
use crate::check::{self, Type};
use crate::error::ParseError;
use crate::fold::{self, Folded};
use crate::lexer::TokenKind;
use crate::operators::NEGATE_LEVEL;
use crate::sign::Sign;
use crate::value::Value;

const OPERAND: &[&str] = &["an aggregate such as `count()`", "a number"];

/// The aggregate that a word names.
pub(super) fn aggregate(word: &str) -> Option<Aggregate> {
    [Aggregate::Count, Aggregate::Min, Aggregate::Max, Aggregate::Avg, Aggregate::Sum]
        .into_iter()
        .find(|aggregate| aggregate.name() == word)
}

impl Parser<'_> {
    /// `count() > 2`, with the height of the tree.
    pub(super) fn scalar_filter(&mut self) -> Result<(ScalarFilter, usize), ParseError> {
        let left = self.scalar_expr(FieldOp::Add.level())?;
        let Some(op) = self.sign().and_then(field_op).filter(|&op| check::is_comparison(op)) else {
            let error = self.unexpected(&["a comparison such as `> 2`"]);
            return Err(match self.sign() {
                Some(Sign::CloseParen) => error.hint(
                    "compare inside the parentheses; combining the numbers of several pipelines is not supported",
                ),
                _ => error,
            });
        };
        self.advance();
        let right = self.scalar_expr(FieldOp::Add.level())?;
        if !left.varies && !right.varies {
            let range = left.range.start..right.range.end;
            return Err(self
                .error(&range, "this compares two constants")
                .hint("one side must use an aggregate: `count() > 2`, `avg(duration) > 1s`"));
        }
        let height = self.height_above(left.height.max(right.height), &left.range)?;
        Ok((ScalarFilter { left: left.tree, op, right: right.tree }, height))
    }

    /// Operators that hold at least as tightly as `least`, and what is between them.
    fn scalar_expr(&mut self, least: u8) -> Result<Node<ScalarExpr>, ParseError> {
        let mut left = self.scalar_operand()?;
        let arithmetic = |op: &FieldOp| check::is_arithmetic(*op) && op.level() >= least;
        while let Some(op) = self.sign().and_then(field_op).filter(arithmetic) {
            self.advance();
            let right = if op.is_right_associative() {
                self.nested(|parser| parser.scalar_expr(op.level()))?
            } else {
                self.scalar_expr(op.level() + 1)?
            };
            left = self.combine_scalars(op, left, right)?;
        }
        Ok(left)
    }

    fn scalar_operand(&mut self) -> Result<Node<ScalarExpr>, ParseError> {
        let range = self.range();
        if self.take(Sign::OpenParen) {
            let mut inner = self.nested(|parser| parser.scalar_expr(FieldOp::Add.level()))?;
            let close = self.expect(Sign::CloseParen, &["an operator", "`)`"])?;
            inner.range = range.start..close.end;
            return Ok(inner);
        }
        if self.take(Sign::Sub) {
            let operand = self.nested(|parser| parser.scalar_expr(NEGATE_LEVEL + 1))?;
            let range = range.start..operand.range.end;
            return match &operand.tree {
                ScalarExpr::Literal(value) => match fold::negate(value) {
                    Folded::Value(value) => self.scalar_literal(value, range),
                    Folded::Invalid(message) => Err(self.error(&range, message)),
                    Folded::Stays => Err(self.error(&range, "only numbers and durations may be negative")),
                },
                _ => Err(self
                    .error(&range, "a minus sign before an aggregate is not supported")
                    .hint("subtract it: `0 - count()`")),
            };
        }
        if let Some(function) = self.word().and_then(aggregate) {
            self.advance();
            return self.aggregate(function, &range);
        }
        let is_number = matches!(self.token().kind, TokenKind::Number(_))
            || self.word().is_some_and(|word| ["minInt", "maxInt"].contains(&word));
        match self.literal() {
            Some(value) if is_number => self.scalar_literal(value, range),
            Some(_) => Err(self.error(&range, "aggregates are compared with numbers and durations")),
            None if self.sign() == Some(Sign::OpenBrace) => {
                Err(self.unexpected(OPERAND).hint("to combine pipelines, put each in parentheses"))
            }
            None => Err(self.unexpected(OPERAND)),
        }
    }

    fn scalar_literal(&mut self, value: Value, range: Range<usize>) -> Result<Node<ScalarExpr>, ParseError> {
        self.count_node(&range)?;
        Ok(Node { tree: ScalarExpr::Literal(value), kind: Type::Number, range, height: 1, varies: false })
    }

    /// What follows the name of an aggregate.
    fn aggregate(&mut self, function: Aggregate, name: &Range<usize>) -> Result<Node<ScalarExpr>, ParseError> {
        self.count_node(name)?;
        self.expect(Sign::OpenParen, &["`(`"])?;
        if function == Aggregate::Count {
            let close = self.expect(Sign::CloseParen, &["`)`"]).map_err(|error| {
                error.hint("`count()` takes nothing; count what has an attribute by `{ .x != nil } | count()`")
            })?;
            let tree = ScalarExpr::Aggregate { function, argument: None };
            return Ok(Node { tree, kind: Type::Number, range: name.start..close.end, height: 1, varies: true });
        }
        if self.sign() == Some(Sign::CloseParen) {
            return Err(self
                .unexpected(&["a field"])
                .hint(format!("say of what: `{function}(duration)`, `{function}(.x)`")));
        }
        let argument = self.nested(|parser| parser.field_expr(0))?;
        let close = self.expect(Sign::CloseParen, &["an operator", "`)`"])?;
        if !argument.kind.may_be(Type::Number) {
            let message = format!("`{function}` takes numbers and durations, and this is {}", argument.kind.words());
            return Err(self.error(&argument.range, message));
        }
        if !argument.varies {
            let message = format!("`{function}` takes a value of the spans, and this is a constant");
            return Err(self.error(&argument.range, message));
        }
        let height = self.height_above(argument.height, &argument.range)?;
        let tree = ScalarExpr::Aggregate { function, argument: Some(argument.tree) };
        Ok(Node { tree, kind: Type::Number, range: name.start..close.end, height, varies: true })
    }

    fn combine_scalars(
        &mut self,
        op: FieldOp,
        left: Node<ScalarExpr>,
        right: Node<ScalarExpr>,
    ) -> Result<Node<ScalarExpr>, ParseError> {
        let range = left.range.start..right.range.end;
        self.count_node(&range)?;
        let folded = match (&left.tree, &right.tree) {
            (ScalarExpr::Literal(left), ScalarExpr::Literal(right)) => fold::binary(op, left, right),
            _ => Folded::Stays,
        };
        let (tree, height) = match folded {
            Folded::Value(value) => (ScalarExpr::Literal(value), 1),
            Folded::Invalid(message) => return Err(self.error(&range, message)),
            Folded::Stays => {
                let height = self.height_above(left.height.max(right.height), &range)?;
                (ScalarExpr::Binary { op, left: Box::new(left.tree), right: Box::new(right.tree) }, height)
            }
        };
        Ok(Node { tree, kind: Type::Number, range, height, varies: left.varies || right.varies })
    }
}
