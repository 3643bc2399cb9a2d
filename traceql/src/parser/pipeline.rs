//! The query as a whole, its stages, and spansets with the operators between them.

use super::scalar::aggregate;
use super::{Parser, metrics};
use crate::ast::{Field, FieldExpr, Hint, Pipeline, Query, Relation, SpansetExpr, SpansetOp, Stage, StructuralMode};
use crate::error::ParseError;
use crate::lexer::TokenKind;
use crate::limits::MAX_NESTING;
use crate::sign::Sign;
use crate::suggest;

/// Words that start a stage, with and without metrics.
pub(crate) const STAGE_WORDS: [&str; 8] = ["count", "min", "max", "avg", "sum", "by", "coalesce", "select"];
const SPANSET: &[&str] = &["`{`"];
const STAGE: &[&str] = &["a stage such as `count() > 2`, `by(...)`, `select(...)` or `rate()`"];

impl Parser<'_> {
    /// Everything.
    pub(super) fn query(&mut self) -> Result<Query, ParseError> {
        let (pipeline, _) = self.pipeline(true)?;
        let metrics = if self.sign() == Some(Sign::Pipe) {
            self.advance();
            Some(self.metrics()?)
        } else {
            None
        };
        let hints = if self.word() == Some("with") { self.hints()? } else { Vec::new() };
        let expected: &[&str] = match &metrics {
            Some(_) => &["`by(...)`", "`|`", "a comparison", "`with(...)`", "the end"],
            None => &["an operator", "`|`", "`with(...)`", "the end"],
        };
        self.end(expected).map_err(|error| self.after_query(error))?;
        Ok(Query { pipeline, metrics, hints })
    }

    /// A likely fix for what stands where a query should be over.
    fn after_query(&self, error: ParseError) -> ParseError {
        match (self.word(), self.sign()) {
            (Some(word), _) if STAGE_WORDS.contains(&word) || metrics::WORDS.contains(&word) => {
                error.hint(format!("put a pipe before it: `| {word}(...)`"))
            }
            (_, Some(Sign::OpenBrace)) => error.hint("join spansets by `&&`, `||`, `>`, `>>` or another operator"),
            (_, Some(Sign::CloseBrace)) => error.hint("there is one `}` too many"),
            (_, Some(Sign::CloseParen)) => error.hint("there is one `)` too many"),
            (_, Some(Sign::And | Sign::Or)) => error.hint("put the pipeline on each side in parentheses"),
            (Some(word), _) => {
                let known = STAGE_WORDS.into_iter().chain(metrics::WORDS).chain(["with"]);
                error.maybe_hint(suggest::nearest(word, known).map(|name| format!("did you mean `{name}`?")))
            }
            _ => error,
        }
    }

    /// Stages up to something else; at the root also up to a metrics function, with its pipe not yet taken. With the
    /// height of the tree.
    fn pipeline(&mut self, is_root: bool) -> Result<(Pipeline, usize), ParseError> {
        let mut stages = Vec::new();
        let (first, mut height) = self.stage(true)?;
        if !matches!(first, Stage::Spansets(_)) {
            stages.push(Stage::Spansets(SpansetExpr::Filter(None)));
        }
        stages.push(first);
        while self.sign() == Some(Sign::Pipe) {
            if is_root && self.word_at(self.position + 1).is_some_and(|word| metrics::WORDS.contains(&word)) {
                break;
            }
            self.advance();
            self.count_node(&self.range())?;
            let (stage, stage_height) = self.stage(false)?;
            stages.push(stage);
            height = height.max(stage_height);
        }
        Ok((Pipeline { stages }, height))
    }

    fn stage(&mut self, is_first: bool) -> Result<(Stage, usize), ParseError> {
        let expected = if is_first { SPANSET } else { STAGE };
        match self.sign() {
            Some(Sign::OpenBrace) => return self.spansets(),
            Some(Sign::OpenParen) if self.is_scalar_ahead() => return self.scalar_stage(),
            Some(Sign::OpenParen) => return self.spansets(),
            Some(Sign::Sub) => return self.scalar_stage(),
            _ => {}
        }
        match (&self.token().kind, self.word()) {
            (TokenKind::Number(_), _) | (_, Some("minInt" | "maxInt")) => self.scalar_stage(),
            (_, Some("by")) => self.by(),
            (_, Some("coalesce")) if !is_first => {
                self.advance();
                self.expect(Sign::OpenParen, &["`(`"])?;
                self.expect(Sign::CloseParen, &["`)`"])?;
                Ok((Stage::Coalesce, 1))
            }
            (_, Some("select")) if !is_first => {
                self.advance();
                Ok((Stage::Select(self.fields()?), 1))
            }
            (_, Some(word)) if aggregate(word).is_some() => self.scalar_stage(),
            (_, Some(word)) => Err(self.not_a_stage(word, is_first, expected)),
            (TokenKind::Field(_), _) if is_first => {
                Err(self.unexpected(expected).hint("put conditions in braces: `{ .x = 1 }`"))
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn not_a_stage(&self, word: &str, is_first: bool, expected: &[&str]) -> ParseError {
        let error = self.unexpected(expected);
        if error.hint.is_some() {
            error
        } else if metrics::WORDS.contains(&word) && !is_first {
            let message = format!("`{word}` cannot stand in parentheses");
            self.error(&self.range(), message).hint("metrics come last in the query, outside of all parentheses")
        } else if is_first && (STAGE_WORDS.contains(&word) || metrics::WORDS.contains(&word)) {
            error.hint(format!("say of which spans: `{{ }} | {word}(...)`"))
        } else if ["topk", "bottomk"].contains(&word) {
            error.hint(format!("`{word}` follows a metrics function: `| rate() by(.x) | {word}(10)`"))
        } else if is_first {
            error.hint("put conditions in braces: `{ .x = 1 }`")
        } else {
            let known = STAGE_WORDS.into_iter().chain(metrics::WORDS);
            error.maybe_hint(suggest::nearest(word, known).map(|name| format!("did you mean `{name}`?")))
        }
    }

    /// Whether the parenthesis here is around numbers, not around spansets.
    fn is_scalar_ahead(&self) -> bool {
        let mut position = self.position;
        while self.token_at(position).kind == TokenKind::Sign(Sign::OpenParen) {
            position += 1;
            // This will be refused, whatever is inside.
            if position - self.position > MAX_NESTING {
                return false;
            }
        }
        if self.token_at(position).kind == TokenKind::Sign(Sign::OpenBrace) {
            return false;
        }
        // A comparison or a pipe inside means that a whole pipeline is in the parentheses.
        let mut open = 0_usize;
        for token in &self.tokens[self.position..] {
            let TokenKind::Sign(sign) = token.kind else { continue };
            match sign {
                Sign::OpenParen | Sign::OpenBrace => open += 1,
                Sign::CloseParen | Sign::CloseBrace => open = open.saturating_sub(1),
                Sign::Eq | Sign::Ne | Sign::Lt | Sign::Le | Sign::Gt | Sign::Ge | Sign::Pipe => return false,
                _ => {}
            }
            if open == 0 {
                break;
            }
        }
        true
    }

    fn spansets(&mut self) -> Result<(Stage, usize), ParseError> {
        let (spansets, height) = self.spanset_expr(0)?;
        Ok((Stage::Spansets(spansets), height))
    }

    fn scalar_stage(&mut self) -> Result<(Stage, usize), ParseError> {
        let (filter, height) = self.scalar_filter()?;
        Ok((Stage::Scalar(filter), height))
    }

    /// Operators that hold at least as tightly as `least`, and the spansets between them; with the tree's height.
    fn spanset_expr(&mut self, least: u8) -> Result<(SpansetExpr, usize), ParseError> {
        let (mut left, mut height) = self.spanset_operand()?;
        while let Some(op) = self.sign().and_then(spanset_op).filter(|op| op.level() >= least) {
            let range = self.range();
            self.count_node(&range)?;
            self.advance();
            let (right, right_height) = self.spanset_expr(op.level() + 1)?;
            height = self.height_above(height.max(right_height), &range)?;
            left = SpansetExpr::Binary { op, left: Box::new(left), right: Box::new(right) };
        }
        Ok((left, height))
    }

    fn spanset_operand(&mut self) -> Result<(SpansetExpr, usize), ParseError> {
        if self.sign() == Some(Sign::OpenBrace) {
            let (condition, height) = self.filter()?;
            return Ok((SpansetExpr::Filter(condition), height));
        }
        self.expect(Sign::OpenParen, &["`{`", "`(`"])?;
        let (mut inner, height) = self.nested(|parser| parser.pipeline(false))?;
        let close = self.expect(Sign::CloseParen, &["an operator", "`|`", "`)`"])?;
        match (inner.stages.pop(), inner.stages.is_empty()) {
            // Parentheses around spansets only group them.
            (Some(Stage::Spansets(spansets)), true) => Ok((spansets, height)),
            (last, _) => {
                inner.stages.extend(last);
                Ok((SpansetExpr::Pipeline(Box::new(inner)), self.height_above(height, &close)?))
            }
        }
    }

    /// `{ condition }`, with the height of the tree.
    pub(super) fn filter(&mut self) -> Result<(Option<FieldExpr>, usize), ParseError> {
        let open = self.expect(Sign::OpenBrace, SPANSET)?;
        self.count_node(&open)?;
        if self.take(Sign::CloseBrace) {
            return Ok((None, 1));
        }
        let condition = self.condition()?;
        if self.take(Sign::CloseBrace) {
            return Ok((Some(condition.tree), self.height_above(condition.height, &open)?));
        }
        let error = self.unexpected(&["an operator", "`}`"]);
        if error.hint.is_some() {
            return Err(error);
        }
        Err(match self.token().kind {
            TokenKind::End => {
                let place = self.error(&open, "");
                error.hint(format!("close the `{{` of line {}, column {}", place.line, place.column))
            }
            TokenKind::Field(_) | TokenKind::Word | TokenKind::Sign(Sign::OpenParen) => {
                let unit = matches!(self.token_at(self.position - 1).kind, TokenKind::Number(_))
                    && self.word().is_some_and(|word| ["ns", "us", "ms", "s", "m", "h", "d"].contains(&word));
                error.hint(if unit {
                    "write a duration without a space: `5s`"
                } else {
                    "join conditions by `&&` or `||`"
                })
            }
            _ => error,
        })
    }

    fn by(&mut self) -> Result<(Stage, usize), ParseError> {
        self.advance();
        self.expect(Sign::OpenParen, &["`(`"])?;
        let value = self.nested(|parser| parser.field_expr(0))?;
        if self.sign() == Some(Sign::Comma) {
            return Err(self
                .unexpected(&["an operator", "`)`"])
                .hint("this `by` takes one value; for several, chain them: `| by(.a) | by(.b)`"));
        }
        self.expect(Sign::CloseParen, &["an operator", "`)`"])?;
        if !value.varies {
            return Err(self.error(&value.range, "`by` takes a value of the spans, and this is a constant"));
        }
        Ok((Stage::By(value.tree), value.height))
    }

    /// `(a, b)`
    pub(super) fn fields(&mut self) -> Result<Vec<Field>, ParseError> {
        self.expect(Sign::OpenParen, &["`(`"])?;
        let mut fields = Vec::new();
        loop {
            let field = self.field()?;
            self.count_node(&field.range)?;
            fields.push(field.tree);
            if !self.take(Sign::Comma) {
                self.expect(Sign::CloseParen, &["`,`", "`)`"])?;
                return Ok(fields);
            }
        }
    }

    /// `with(name=value, ...)`. Names are not looked at: a query must not fail for a hint.
    fn hints(&mut self) -> Result<Vec<Hint>, ParseError> {
        self.advance();
        self.expect(Sign::OpenParen, &["`(`"])?;
        let mut hints = Vec::new();
        loop {
            let name = self.word().ok_or_else(|| self.unexpected(&["the name of a hint"]))?.to_owned();
            self.advance();
            self.expect(Sign::Eq, &["`=`"])?;
            let value = self.signed_literal(&["a value"])?;
            self.count_node(&value.range)?;
            hints.push(Hint { name, value: value.tree });
            if !self.take(Sign::Comma) {
                self.expect(Sign::CloseParen, &["`,`", "`)`"])?;
                return Ok(hints);
            }
        }
    }
}

/// The operator between spansets that a sign is.
fn spanset_op(sign: Sign) -> Option<SpansetOp> {
    let (relation, mode) = match sign {
        Sign::And => return Some(SpansetOp::And),
        Sign::Or => return Some(SpansetOp::Or),
        Sign::Gt => (Relation::Child, StructuralMode::Plain),
        Sign::Descendant => (Relation::Descendant, StructuralMode::Plain),
        Sign::Lt => (Relation::Parent, StructuralMode::Plain),
        Sign::Ancestor => (Relation::Ancestor, StructuralMode::Plain),
        Sign::Sibling => (Relation::Sibling, StructuralMode::Plain),
        Sign::NotChild => (Relation::Child, StructuralMode::Not),
        Sign::NotDescendant => (Relation::Descendant, StructuralMode::Not),
        Sign::NotParent => (Relation::Parent, StructuralMode::Not),
        Sign::NotAncestor => (Relation::Ancestor, StructuralMode::Not),
        Sign::NotMatches => (Relation::Sibling, StructuralMode::Not),
        Sign::UnionChild => (Relation::Child, StructuralMode::Union),
        Sign::UnionDescendant => (Relation::Descendant, StructuralMode::Union),
        Sign::UnionParent => (Relation::Parent, StructuralMode::Union),
        Sign::UnionAncestor => (Relation::Ancestor, StructuralMode::Union),
        Sign::UnionSibling => (Relation::Sibling, StructuralMode::Union),
        _ => return None,
    };
    Some(SpansetOp::Structural { relation, mode })
}
