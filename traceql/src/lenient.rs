//! What is sound in a query that is still being typed. It is a filter for suggestions, never a query to answer.

use crate::ast::{FieldExpr, FieldOp};
use crate::lexer::{Token, TokenKind, tolerant_tokens};
use crate::limits::{MAX_CONDITION_GROUPS, MAX_NESTING, MAX_TEXT_BYTES};
use crate::parser::parse_condition;
use crate::sign::Sign;

/// Most comparisons that a filter has, sound or not; with more it is dropped: it would cost too much.
const MAX_COMPARISONS: usize = 500;

/// A filter that would need too many lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the filter is {groups} groups of conditions with `||` between them, and {MAX_CONDITION_GROUPS} are allowed")]
pub struct TooManyGroups {
    /// How many groups remain when every `&&` is inside of every `||`.
    pub groups: usize,
}

/// The comparisons of the only spanset of a text that can already be read, joined as they were written:
/// `{ .a = 1 && span.b = ` gives `.a = 1`.
///
/// A lone attribute is taken for one that still lacks its operator, and dropped. None if nothing is left, or if the
/// text has several spansets, of which one cannot tell which is meant. The tree is at most 500 higher than
/// [`MAX_TREE_HEIGHT`](crate::limits::MAX_TREE_HEIGHT).
///
/// # Errors
/// If what remains is above [`MAX_CONDITION_GROUPS`].
pub fn parse_lenient(text: &str) -> Result<Option<FieldExpr>, TooManyGroups> {
    if text.len() > MAX_TEXT_BYTES {
        return Ok(None);
    }
    let words = tolerant_tokens(text);
    let Some(inside) = only_spanset(&words) else { return Ok(None) };
    let mut filter = Filter { text, comparisons: 0 };
    let kept = filter.keep(inside, 0).filter(|_| filter.comparisons <= MAX_COMPARISONS);
    let groups = kept.as_ref().map_or(0, groups);
    if groups > MAX_CONDITION_GROUPS { Err(TooManyGroups { groups }) } else { Ok(kept) }
}

fn is_sign(token: &Token, sign: Sign) -> bool {
    token.kind == TokenKind::Sign(sign)
}

/// What is inside the braces, which may not be closed yet.
fn only_spanset(words: &[Token]) -> Option<&[Token]> {
    let open = words.iter().position(|token| is_sign(token, Sign::OpenBrace))?;
    let (before, inside) = (&words[..open], &words[open + 1..]);
    let close = inside.iter().position(|token| is_sign(token, Sign::CloseBrace)).unwrap_or(inside.len());
    let (inside, after) = inside.split_at(close);
    let after = after.get(1..).unwrap_or_default();
    // What follows a pipe only takes away from what the first spanset found.
    let is_piped = before.is_empty() && after.first().is_some_and(|token| is_sign(token, Sign::Pipe));
    let has_more = inside.iter().chain(after).any(|token| is_sign(token, Sign::OpenBrace));
    (!has_more || is_piped).then_some(inside)
}

struct Filter<'a> {
    text: &'a str,
    comparisons: usize,
}

impl Filter<'_> {
    /// Splits at the operators outside of parentheses and keeps the parts that read.
    fn keep(&mut self, words: &[Token], nesting: usize) -> Option<FieldExpr> {
        let mut kept: Option<FieldExpr> = None;
        let mut rest = words;
        let mut joint = FieldOp::And;
        loop {
            let end = end_of_part(rest);
            if let Some(right) = self.part(&rest[..end], nesting) {
                kept = Some(match kept {
                    Some(left) => FieldExpr::Binary { op: joint, left: Box::new(left), right: Box::new(right) },
                    None => right,
                });
            }
            let Some(sign) = rest.get(end) else { return kept };
            joint = if is_sign(sign, Sign::Or) { FieldOp::Or } else { FieldOp::And };
            rest = &rest[end + 1..];
        }
    }

    /// One comparison, or parentheses around several, which may not be closed yet.
    fn part(&mut self, words: &[Token], nesting: usize) -> Option<FieldExpr> {
        // Enough is enough: nothing more is read, so that no tree gets too high.
        if self.comparisons > MAX_COMPARISONS {
            return None;
        }
        let is_group =
            |words: &[Token]| words.iter().any(|token| matches!(token.kind, TokenKind::Sign(Sign::And | Sign::Or)));
        if let Some(inside) = words.strip_prefix_sign(Sign::OpenParen).filter(|_| nesting < MAX_NESTING) {
            let inside = match inside.split_last() {
                Some((last, inside)) if is_sign(last, Sign::CloseParen) => inside,
                _ => inside,
            };
            if is_group(inside) && end_of_group(inside) == inside.len() {
                return self.keep(inside, nesting + 1);
            }
        }
        self.comparisons += 1;
        parse_condition(self.text, words).ok().filter(is_comparison)
    }
}

/// Words without the sign that they start with.
trait StripPrefix {
    fn strip_prefix_sign(&self, sign: Sign) -> Option<&[Token]>;
}

impl StripPrefix for [Token] {
    fn strip_prefix_sign(&self, sign: Sign) -> Option<&[Token]> {
        self.split_first().filter(|(first, _)| is_sign(first, sign)).map(|(_, rest)| rest)
    }
}

/// Where the next `&&` or `||` outside of parentheses is, or the end.
fn end_of_part(words: &[Token]) -> usize {
    let mut open = 0_usize;
    for (position, token) in words.iter().enumerate() {
        match token.kind {
            TokenKind::Sign(Sign::OpenParen) => open += 1,
            TokenKind::Sign(Sign::CloseParen) => open = open.saturating_sub(1),
            TokenKind::Sign(Sign::And | Sign::Or) if open == 0 => return position,
            _ => {}
        }
    }
    words.len()
}

/// Where the parenthesis before the words is closed, or the end.
fn end_of_group(words: &[Token]) -> usize {
    let mut open = 1_usize;
    for (position, token) in words.iter().enumerate() {
        match token.kind {
            TokenKind::Sign(Sign::OpenParen) => open += 1,
            TokenKind::Sign(Sign::CloseParen) if open == 1 => return position,
            TokenKind::Sign(Sign::CloseParen) => open -= 1,
            _ => {}
        }
    }
    words.len()
}

/// Whether it compares something of the span.
fn is_comparison(condition: &FieldExpr) -> bool {
    match condition {
        FieldExpr::Not(operand) => matches!(**operand, FieldExpr::Binary { .. }),
        FieldExpr::Binary { .. } => true,
        FieldExpr::Literal(_) | FieldExpr::Field(_) | FieldExpr::Negate(_) => false,
    }
}

/// How many groups remain when every `&&` is moved inside of every `||`.
fn groups(condition: &FieldExpr) -> usize {
    match condition {
        FieldExpr::Binary { op: FieldOp::And, left, right } => groups(left).saturating_mul(groups(right)),
        FieldExpr::Binary { op: FieldOp::Or, left, right } => groups(left).saturating_add(groups(right)),
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
