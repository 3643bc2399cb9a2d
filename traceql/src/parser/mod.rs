//! Words to a checked tree, by recursive descent. Each part of the language has its file; here is what they share: the
//! place in the text, the bounds, and how errors are made.

mod field;
mod metrics;
mod pipeline;
mod scalar;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub(crate) use metrics::{SECOND_WORDS, WORDS as METRICS_WORDS};

use crate::ast::{Field, FieldExpr, FieldOp, Query};
use crate::check::Type;
use crate::error::ParseError;
use crate::lexer::{Token, TokenKind, tokens};
use crate::limits::{MAX_NESTING, MAX_NODES, MAX_TEXT_BYTES, MAX_TREE_HEIGHT};
use crate::sign::Sign;
use crate::suggest;

/// Reads and checks a query.
///
/// Takes time in proportion to the length of the text, and none for a text above [`crate::limits::MAX_TEXT_BYTES`].
///
/// # Errors
/// The first thing that is wrong: bad words, bad order, types that cannot fit, or one of the bounds in
/// [`crate::limits`].
pub fn parse(text: &str) -> Result<Query, ParseError> {
    let mut parser = Parser::new(text)?;
    parser.query()
}

impl Field {
    /// Reads one field: `resource.service.name`, `.foo`, `span."a b"`, `status`.
    ///
    /// # Errors
    /// As [`parse`], also if anything else is in the text.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::new(text)?;
        let field = parser.field()?.tree;
        parser.end(&["the end of the name"])?;
        Ok(field)
    }
}

/// Reads words that are one condition and nothing more, as in a pair of braces. The words need no end.
pub(crate) fn parse_condition(text: &str, words: &[Token]) -> Result<FieldExpr, ParseError> {
    let mut tokens = words.to_vec();
    let end = words.last().map_or(0, |token| token.range.end);
    tokens.push(Token { kind: TokenKind::End, range: end..end });
    let mut parser = Parser { text, tokens, position: 0, nesting: 0, nodes: 0, regex_states: 0 };
    let condition = parser.condition()?;
    parser.end(&["an operator"])?;
    Ok(condition.tree)
}

/// A part of the tree and what is known of it.
pub(crate) struct Node<T> {
    pub(crate) tree: T,
    /// Of what it gives.
    pub(crate) kind: Type,
    /// Where it stands.
    pub(crate) range: Range<usize>,
    /// How many frames a walk by recursion takes.
    height: usize,
    /// Whether it can differ from span to span, or from spanset to spanset.
    pub(crate) varies: bool,
}

/// The place in the text.
struct Parser<'a> {
    text: &'a str,
    /// The last is the end, or is bad.
    tokens: Vec<Token>,
    position: usize,
    nesting: usize,
    nodes: usize,
    /// Of all regular expressions so far.
    regex_states: u64,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, ParseError> {
        if text.len() > MAX_TEXT_BYTES {
            let message = format!("a query has at most {MAX_TEXT_BYTES} bytes, not {}", text.len());
            return Err(ParseError::new(text, 0..0, message));
        }
        Ok(Self { text, tokens: tokens(text), position: 0, nesting: 0, nodes: 0, regex_states: 0 })
    }

    fn token_at(&self, position: usize) -> &Token {
        // The last word stays for ever.
        &self.tokens[position.min(self.tokens.len() - 1)]
    }

    fn token(&self) -> &Token {
        self.token_at(self.position)
    }

    fn range(&self) -> Range<usize> {
        self.token().range.clone()
    }

    fn advance(&mut self) {
        self.position += 1;
    }

    /// The bracket, comma or operator here, if it is one.
    fn sign(&self) -> Option<Sign> {
        match self.token().kind {
            TokenKind::Sign(sign) => Some(sign),
            _ => None,
        }
    }

    fn word_at(&self, position: usize) -> Option<&'a str> {
        let token = self.token_at(position);
        matches!(token.kind, TokenKind::Word).then(|| &self.text[token.range.clone()])
    }

    /// The plain word here, if it is one.
    fn word(&self) -> Option<&'a str> {
        self.word_at(self.position)
    }

    /// Takes the sign if it is here.
    fn take(&mut self, sign: Sign) -> bool {
        let is_here = self.sign() == Some(sign);
        if is_here {
            self.advance();
        }
        is_here
    }

    /// Takes the sign, which must be here, and gives its place.
    fn expect(&mut self, sign: Sign, expected: &[&str]) -> Result<Range<usize>, ParseError> {
        let range = self.range();
        if self.take(sign) { Ok(range) } else { Err(self.unexpected(expected)) }
    }

    /// Nothing may follow.
    fn end(&self, expected: &[&str]) -> Result<(), ParseError> {
        if self.token().kind == TokenKind::End { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// Something else should be here.
    fn unexpected(&self, expected: &[&str]) -> ParseError {
        if let TokenKind::Bad(error) = &self.token().kind {
            return (**error).clone();
        }
        let hint = match (self.sign(), self.word()) {
            (Some(Sign::Pipe), _) if expected.contains(&"an operator") => Some("write `||` for or"),
            (Some(Sign::Comma), _) if expected.contains(&"an operator") => Some("join conditions by `&&` or `||`"),
            (_, Some(word)) => suggest::foreign_operator(word),
            _ => None,
        };
        ParseError::unexpected(self.text, self.range(), expected).maybe_hint(hint.map(str::to_owned))
    }

    /// Something is wrong with what stands at `range`.
    fn error(&self, range: &Range<usize>, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, range.clone(), message)
    }

    /// Goes one level deeper for as long as `inner` reads.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.nesting == MAX_NESTING {
            let message = format!("this query nests deeper than {MAX_NESTING} levels");
            return Err(self.error(&self.range(), message));
        }
        self.nesting += 1;
        let result = inner(self);
        self.nesting -= 1;
        result
    }

    /// Counts one more part of the query.
    fn count_node(&mut self, range: &Range<usize>) -> Result<(), ParseError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("this query has more than {MAX_NODES} operators, fields and values");
            return Err(self
                .error(range, message)
                .hint("join values of one field by a regular expression: `=~ \"a|b\"`"));
        }
        Ok(())
    }

    /// The height of a tree on top of others.
    fn height_above(&self, below: usize, range: &Range<usize>) -> Result<usize, ParseError> {
        if below >= MAX_TREE_HEIGHT {
            let message = format!("more than {MAX_TREE_HEIGHT} operators in a row");
            return Err(self
                .error(range, message)
                .hint("join values of one field by a regular expression: `=~ \"a|b\"`"));
        }
        Ok(below + 1)
    }

    /// Whether the word before this one compares, so that a value is due.
    fn is_after_comparison(&self) -> bool {
        let Some(before) = self.position.checked_sub(1) else { return false };
        match self.token_at(before).kind {
            TokenKind::Sign(sign) => field_op(sign).is_some_and(|op| op.level() == FieldOp::Eq.level()),
            _ => false,
        }
    }
}

/// The operator between values that a sign is.
pub(crate) fn field_op(sign: Sign) -> Option<FieldOp> {
    Some(match sign {
        Sign::And => FieldOp::And,
        Sign::Or => FieldOp::Or,
        Sign::Eq => FieldOp::Eq,
        Sign::Ne => FieldOp::Ne,
        Sign::Lt => FieldOp::Lt,
        Sign::Le => FieldOp::Le,
        Sign::Gt => FieldOp::Gt,
        Sign::Ge => FieldOp::Ge,
        Sign::Matches => FieldOp::Matches,
        Sign::NotMatches => FieldOp::NotMatches,
        Sign::Add => FieldOp::Add,
        Sign::Sub => FieldOp::Sub,
        Sign::Mul => FieldOp::Mul,
        Sign::Div => FieldOp::Div,
        Sign::Mod => FieldOp::Mod,
        Sign::Pow => FieldOp::Pow,
        _ => return None,
    })
}
