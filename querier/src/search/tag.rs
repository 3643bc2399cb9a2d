//! What a tag of a search means: which spans match it, or which root spans.

use spanlake_block::{Condition, Field, Literal, Op, Scope};

/// Why a tag cannot be searched for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// `status.code` has a value that is no status.
    #[error("status.code is {value:?}: it can be error, ok or unset")]
    Status {
        /// The value given.
        value: String,
    },
}

/// One `key=value` of a search. The value matches as a substring, case-sensitive; an empty one matches all that have the key.
#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    key: String,
    matcher: Matcher,
}

/// What a trace needs so that a tag matches.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Matcher {
    /// A span that meets one of the conditions.
    Span(Vec<Condition>),
    /// A root span with this in its name.
    RootName(String),
    /// A root span whose service has this in its name.
    RootService(String),
}

impl Tag {
    /// Reads a tag. `name`, `root.name`, `root.service.name`, `status.code` and `error` are about the span itself; any other
    /// key is an attribute of the span or of its resource.
    ///
    /// # Errors
    /// [`TagError`] if the value cannot be.
    pub fn new(key: String, value: String) -> Result<Self, TagError> {
        let matcher = match key.as_str() {
            "name" => Matcher::Span(vec![contains(Field::Name, value)]),
            "root.name" => Matcher::RootName(value),
            "root.service.name" => Matcher::RootService(value),
            "status.code" => match status_number(&value) {
                Some(number) => Matcher::Span(vec![status(number)]),
                None => return Err(TagError::Status { value }),
            },
            // `error=true` finds failed spans, and those that older tracers marked with an attribute of that name.
            "error" if value == "true" => Matcher::Span(vec![status(2), contains(attribute(&key), value)]),
            _ => Matcher::Span(vec![contains(attribute(&key), value)]),
        };
        Ok(Self { key, matcher })
    }

    /// The key as written.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn matcher(&self) -> &Matcher {
        &self.matcher
    }
}

fn attribute(key: &str) -> Field {
    Field::Attribute { scope: Scope::Any, key: key.to_owned() }
}

fn contains(field: Field, value: String) -> Condition {
    if value.is_empty() {
        Condition { field, op: Op::Exists, value: Literal::None }
    } else {
        Condition { field, op: Op::Contains, value: Literal::String(value) }
    }
}

fn status(number: i64) -> Condition {
    Condition { field: Field::StatusCode, op: Op::Eq, value: Literal::Int(number) }
}

/// OTLP's numbers of the status codes.
fn status_number(word: &str) -> Option<i64> {
    match word {
        "unset" => Some(0),
        "ok" => Some(1),
        "error" => Some(2),
        _ => None,
    }
}
