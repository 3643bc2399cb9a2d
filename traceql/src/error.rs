//! What is wrong with a query, where, and how it is likely meant. It does not know the grammar.

use std::fmt;
use std::ops::Range;

/// A query that is not valid. Its `Display` is the sentence to show to the person who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Where the wrong part starts, in bytes from the start of the text.
    pub offset: usize,
    /// Length of the wrong part in bytes; 0 at the end of the text.
    pub length: usize,
    /// The wrong part, cut short when it is long; empty at the end of the text.
    pub found: String,
    /// What could have stood there; empty where the words are right and their meaning is not.
    pub expected: Vec<String>,
    /// A likely fix.
    pub hint: Option<String>,
    /// What is wrong, without the place and the hint.
    pub message: String,
}

/// Longest part of the query that a message repeats, in characters.
const MAX_FOUND_CHARS: usize = 40;

impl ParseError {
    /// What is wrong with the part of `text` in `range`.
    pub(crate) fn new(text: &str, range: Range<usize>, message: impl Into<String>) -> Self {
        let start = floor_boundary(text, range.start);
        let end = floor_boundary(text, range.end.max(start));
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |position| position + 1);
        Self {
            line: from_one(before.matches('\n').count()),
            column: from_one(before[line_start..].chars().count()),
            offset: start,
            length: end - start,
            found: shorten(&text[start..end]),
            expected: Vec::new(),
            hint: None,
            message: message.into(),
        }
    }

    /// Something else should have stood at `range`; an empty range is the end of the text.
    pub(crate) fn unexpected(text: &str, range: Range<usize>, expected: &[&str]) -> Self {
        let mut error = Self::new(text, range, "");
        let found = if error.length == 0 { "the end of the query".to_owned() } else { format!("\"{}\"", error.found) };
        error.message = format!("expected {}, found {found}", any_of(expected));
        error.expected = expected.iter().map(|&what| what.to_owned()).collect();
        error
    }

    /// The same with a likely fix.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a likely fix, if there is one.
    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Counts from one; texts are far shorter than 4 GiB.
fn from_one(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1)
}

/// The last boundary between characters at or before `position`.
pub(crate) fn floor_boundary(text: &str, position: usize) -> usize {
    let mut position = position.min(text.len());
    while !text.is_char_boundary(position) {
        position -= 1;
    }
    position
}

/// The first characters of a text.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_FOUND_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// `a`, `a or b`, `a, b or c`.
pub(crate) fn any_of(words: &[&str]) -> String {
    match words {
        [] => "something else".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
