//! Where in a query the cursor is, from the words before it. It never fails: words that make no sense are passed over.

use super::is_regex;
use crate::ast::{Field, Intrinsic};
use crate::check;
use crate::lexer::{Token, TokenKind};
use crate::parser::{METRICS_WORDS, SECOND_WORDS, field_op};
use crate::sign::Sign;

/// What is due at the cursor.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Context {
    /// Only a free choice, or nothing sound.
    Nothing,
    /// `{`
    Spanset,
    /// An operator between spansets, or what follows a stage.
    AfterSpanset { is_root: bool, is_open: bool },
    /// A stage, after a pipe.
    Stage { is_root: bool },
    /// A pipe or the end.
    AfterStage { is_root: bool, is_open: bool },
    /// An aggregate or a number.
    Scalar,
    /// A comparison.
    AfterAggregate,
    /// A stage after a metrics function and a pipe.
    SecondStage,
    /// Labels, a comparison, a pipe or the end.
    AfterMetrics { may_group: bool },
    /// The end.
    AfterCompare,
    /// The filter of `compare`.
    Selection,
    /// A field; or a value as well.
    Name { only_numbers: bool, or_value: bool },
    /// An operator.
    AfterName { field: Field, close: &'static str },
    /// A value to compare with.
    Value { field: Field, is_regex: bool },
    /// `&&`, `||` or the end of the filter.
    AfterCondition { close: &'static str },
    /// `,` or `)`
    AfterListed,
    /// `(`
    Call,
    /// The name of a hint.
    Hint,
    /// `=`
    HintSign,
    /// The value of a hint.
    HintValue,
}

/// A bracket that is not closed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// `{`
    Filter,
    /// `(` among conditions.
    Group,
    /// `(` among spansets.
    Spansets,
    /// `(` after an aggregate, or of `by` as a stage.
    Argument { only_numbers: bool },
    /// `(` of `select`, or of the labels of metrics.
    List,
    /// `(` of a metrics function; whether it measures a field.
    Metrics { measures: bool },
    /// `(` of `compare`.
    Compare,
    /// `(` of `with`.
    Hints,
    /// Any other.
    Other,
}

/// What the stage outside of all brackets is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StageKind {
    Spansets,
    Aggregate,
    Other,
    Metrics,
    Compare,
    Second,
}

/// What is due after the words.
pub(super) fn context(text: &str, words: &[Token]) -> Context {
    let mut walk = Walk { text, open: Vec::new(), stage: StageKind::Spansets, has_metrics: false, grouped: false };
    for position in 0..words.len() {
        walk.step(words, position);
    }
    walk.due(words)
}

struct Walk<'a> {
    text: &'a str,
    open: Vec<Open>,
    stage: StageKind,
    has_metrics: bool,
    grouped: bool,
}

impl<'a> Walk<'a> {
    fn word(&self, token: Option<&Token>) -> Option<&'a str> {
        let token = token?;
        matches!(token.kind, TokenKind::Word).then(|| &self.text[token.range.clone()])
    }

    fn is_among_stages(&self) -> bool {
        matches!(self.open.last(), None | Some(Open::Spansets))
    }

    /// Passes over one word.
    fn step(&mut self, words: &[Token], position: usize) {
        let before = position.checked_sub(1).and_then(|before| words.get(before));
        match words[position].kind {
            TokenKind::Sign(Sign::OpenBrace) => self.open.push(Open::Filter),
            TokenKind::Sign(Sign::OpenParen) => {
                let open = self.parenthesis(self.word(before));
                self.open.push(open);
            }
            TokenKind::Sign(Sign::CloseBrace | Sign::CloseParen) => {
                let closed = self.open.pop();
                if closed == Some(Open::Spansets) {
                    self.stage = StageKind::Spansets;
                }
            }
            TokenKind::Sign(Sign::Pipe) if self.is_among_stages() => self.stage = StageKind::Other,
            TokenKind::Word if self.is_among_stages() => match &self.text[words[position].range.clone()] {
                "count" | "min" | "max" | "avg" | "sum" => self.stage = StageKind::Aggregate,
                "by" if self.has_metrics => self.grouped = true,
                "compare" => {
                    self.stage = StageKind::Compare;
                    self.has_metrics = true;
                }
                word if METRICS_WORDS.contains(&word) => {
                    self.stage = StageKind::Metrics;
                    self.has_metrics = true;
                }
                word if SECOND_WORDS.contains(&word) => self.stage = StageKind::Second,
                _ => {}
            },
            _ => {}
        }
    }

    /// What a parenthesis after a word is.
    fn parenthesis(&self, before: Option<&str>) -> Open {
        if !self.is_among_stages() {
            return if matches!(self.open.last(), Some(Open::Filter | Open::Group)) {
                Open::Group
            } else {
                Open::Other
            };
        }
        match before {
            Some("min" | "max" | "avg" | "sum") => Open::Argument { only_numbers: true },
            Some("by") if self.has_metrics => Open::List,
            Some("by") => Open::Argument { only_numbers: false },
            Some("select") => Open::List,
            Some("with") => Open::Hints,
            Some("compare") => Open::Compare,
            Some("rate" | "count_over_time") => Open::Metrics { measures: false },
            Some(word) if METRICS_WORDS.contains(&word) => Open::Metrics { measures: true },
            Some(_) => Open::Other,
            None => Open::Spansets,
        }
    }

    /// What is due after all words.
    fn due(&self, words: &[Token]) -> Context {
        let last = words.last();
        let last_sign = last.and_then(|token| match token.kind {
            TokenKind::Sign(sign) => Some(sign),
            _ => None,
        });
        match self.open.last() {
            None => self.due_among_stages(last, last_sign, true),
            Some(Open::Spansets) => self.due_among_stages(last, last_sign, false),
            Some(Open::Filter) => self.due_in_condition(words, last_sign, "}", false),
            Some(Open::Group) => self.due_in_condition(words, last_sign, ")", false),
            Some(Open::Argument { only_numbers }) => self.due_in_condition(words, last_sign, ")", *only_numbers),
            Some(Open::List) => match last_sign {
                Some(Sign::OpenParen | Sign::Comma) => Context::Name { only_numbers: false, or_value: false },
                _ => Context::AfterListed,
            },
            Some(Open::Metrics { measures: true }) => match last_sign {
                Some(Sign::OpenParen) => Context::Name { only_numbers: true, or_value: false },
                Some(_) => Context::Nothing,
                None => Context::AfterListed,
            },
            Some(Open::Compare) => match last_sign {
                Some(Sign::OpenParen) => Context::Selection,
                Some(Sign::CloseBrace) => Context::AfterListed,
                _ => Context::Nothing,
            },
            Some(Open::Hints) => match (last_sign, last.map(|token| &token.kind)) {
                (Some(Sign::OpenParen | Sign::Comma), _) => Context::Hint,
                (Some(_), _) => Context::HintValue,
                (None, Some(TokenKind::Word)) if !is_after_sign(words, Sign::Eq) => Context::HintSign,
                _ => Context::AfterListed,
            },
            Some(Open::Metrics { measures: false } | Open::Other) => Context::Nothing,
        }
    }

    fn due_among_stages(&self, last: Option<&Token>, sign: Option<Sign>, is_root: bool) -> Context {
        let is_open = !is_root;
        let is_root = is_root && !self.has_metrics;
        match (last, sign) {
            (None, _) => Context::Spanset,
            (_, Some(Sign::Pipe)) if self.has_metrics => Context::SecondStage,
            (_, Some(Sign::Pipe)) => Context::Stage { is_root },
            (_, Some(Sign::CloseBrace)) => Context::AfterSpanset { is_root, is_open },
            (_, Some(Sign::CloseParen)) => match self.stage {
                StageKind::Spansets => Context::AfterSpanset { is_root, is_open },
                StageKind::Aggregate => Context::AfterAggregate,
                StageKind::Other => Context::AfterStage { is_root, is_open },
                StageKind::Metrics => Context::AfterMetrics { may_group: !self.grouped },
                StageKind::Second => Context::AfterMetrics { may_group: false },
                StageKind::Compare => Context::AfterCompare,
            },
            (_, Some(_)) if self.stage == StageKind::Aggregate => Context::Scalar,
            (_, Some(_)) if self.has_metrics => Context::Nothing,
            (_, Some(_)) => Context::Spanset,
            (Some(token), None) => match token.kind {
                TokenKind::Word => Context::Call,
                TokenKind::Number(_) if self.has_metrics => Context::AfterMetrics { may_group: false },
                TokenKind::Number(_) => Context::AfterStage { is_root, is_open },
                _ => Context::Nothing,
            },
        }
    }

    fn due_in_condition(
        &self,
        words: &[Token],
        sign: Option<Sign>,
        close: &'static str,
        only_numbers: bool,
    ) -> Context {
        let op = sign.and_then(field_op);
        if sign == Some(Sign::CloseParen) {
            return Context::AfterCondition { close };
        }
        if let Some(op) = op.filter(|&op| check::is_comparison(op) || is_regex(op)) {
            let compared = words.len().checked_sub(2).and_then(|position| self.field(&words[position]));
            return match compared {
                Some(field) => Context::Value { field, is_regex: is_regex(op) },
                None => Context::Name { only_numbers, or_value: true },
            };
        }
        match (sign, words.last()) {
            (Some(_), _) | (None, None) => Context::Name {
                only_numbers: only_numbers || op.is_some_and(check::is_arithmetic),
                or_value: !only_numbers,
            },
            (None, Some(last)) => match self.field(last) {
                // What is compared with another field is a whole condition already.
                Some(_) if is_after_comparison(words) => Context::AfterCondition { close },
                Some(field) => Context::AfterName { field, close },
                None => Context::AfterCondition { close },
            },
        }
    }

    /// The field that a word names.
    fn field(&self, token: &Token) -> Option<Field> {
        match &token.kind {
            TokenKind::Field(field) => Some(field.clone()),
            TokenKind::Word => Intrinsic::from_name(&self.text[token.range.clone()]).map(Field::Intrinsic),
            _ => None,
        }
    }
}

/// Whether the sign stands before the last word.
fn is_after_sign(words: &[Token], sign: Sign) -> bool {
    let before = words.len().checked_sub(2).and_then(|position| words.get(position));
    before.is_some_and(|token| token.kind == TokenKind::Sign(sign))
}

/// Whether a comparison stands before the last word.
fn is_after_comparison(words: &[Token]) -> bool {
    match words.len().checked_sub(2).map(|position| &words[position].kind) {
        Some(TokenKind::Sign(sign)) => field_op(*sign).is_some_and(|op| check::is_comparison(op) || is_regex(op)),
        _ => false,
    }
}
