//! Values of TraceQL: what literals are, what fields of spans have, what labels of series say.

use std::fmt;

/// A span's status, as OTLP numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Status {
    /// `unset`
    Unset = 0,
    /// `ok`
    Ok = 1,
    /// `error`
    Error = 2,
}

/// A span's kind, as OTLP numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// `unspecified`
    Unspecified = 0,
    /// `internal`
    Internal = 1,
    /// `server`
    Server = 2,
    /// `client`
    Client = 3,
    /// `producer`
    Producer = 4,
    /// `consumer`
    Consumer = 5,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: a missing attribute.
    Nil,
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Float(f64),
    /// A text.
    String(String),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A status.
    Status(Status),
    /// A kind.
    Kind(Kind),
    /// Several values: an array attribute, or what the events or links of a span have. Never a literal.
    Array(Vec<Value>),
}

impl Status {
    /// The word of the language.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Ok => "ok",
            Self::Error => "error",
        }
    }

    /// From OTLP's number; what is unknown is unset.
    pub fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }
}

impl Kind {
    /// The word of the language.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// From OTLP's number; what is unknown is unspecified.
    pub fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
