//! Attributes on demand: rules ask for the few they need of the few spans they suspect. Knows no storage.

use std::borrow::Cow;

/// The value of an attribute, as far as rules read it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// True or false.
    Bool(bool),
}

impl<'a> Value<'a> {
    /// The value as text, as it would be written.
    pub fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Int(number) => number.to_string().into(),
            Self::Double(number) => number.to_string().into(),
            Self::Bool(flag) => flag.to_string().into(),
        }
    }

    /// The value as a whole number, if it is one or is written as one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Double(_) | Self::Bool(_) => None,
        }
    }
}

/// An exception that a span recorded as an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exception<'a> {
    /// `exception.type`; empty when not said.
    pub kind: Cow<'a, str>,
    /// `exception.message`; empty when not said.
    pub message: Cow<'a, str>,
    /// `exception.stacktrace`; empty when not said.
    pub stacktrace: Cow<'a, str>,
}

/// Where rules look attributes up. Spans are named by their row, the order in which they were pushed into the
/// [`SkeletonBuilder`](crate::SkeletonBuilder). Answers must not change during an analysis.
pub trait Attributes {
    /// The attribute of that key: the span's own, else its resource's.
    fn attribute(&self, row: u32, key: &str) -> Option<Value<'_>>;

    /// The first exception that the span recorded.
    fn exception(&self, _row: u32) -> Option<Exception<'_>> {
        None
    }

    /// The message of the span's status.
    fn status_message(&self, _row: u32) -> Option<Cow<'_, str>> {
        None
    }
}

/// A trace of which only the skeleton is at hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAttributes;

impl Attributes for NoAttributes {
    fn attribute(&self, _row: u32, _key: &str) -> Option<Value<'_>> {
        None
    }
}
