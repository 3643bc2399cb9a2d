//! What can go wrong with an object, in the words a caller acts on.

use std::fmt;
use std::sync::Arc;

/// The five things that can be done with objects, as they are counted and named in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Reading a whole object.
    Get,
    /// Reading a part of an object.
    GetRange,
    /// Creating an object.
    Put,
    /// Listing the keys under a prefix.
    List,
    /// Deleting an object.
    Delete,
}

impl Operation {
    /// Every operation, in the order of the variants.
    pub const ALL: [Self; 5] = [Self::Get, Self::GetRange, Self::Put, Self::List, Self::Delete];

    /// The name used in metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetRange => "get_range",
            Self::Put => "put",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kinds of failure a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// There is no such object.
    NotFound,
    /// Another object has the name already.
    AlreadyExists,
    /// The store asks to slow down (429, 503 SlowDown).
    Throttled,
    /// The store did not answer, or answered that it cannot now: timeouts, resets, 5xx.
    Unavailable,
    /// The store refused the credentials or their rights.
    Denied,
    /// There is no room left: disk full or quota reached.
    Full,
    /// An object is shorter than the range asked of it, or its transfer was cut.
    Damaged,
    /// The request can never succeed as it is: a bad key, an object too large, a listing past its bound.
    Invalid,
}

impl Kind {
    /// Every kind, in the order of the variants.
    pub const ALL: [Self; 8] = [
        Self::NotFound,
        Self::AlreadyExists,
        Self::Throttled,
        Self::Unavailable,
        Self::Denied,
        Self::Full,
        Self::Damaged,
        Self::Invalid,
    ];

    /// The name used in metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Denied => "denied",
            Self::Full => "full",
            Self::Damaged => "damaged",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed operation on one key (or, for listings, one prefix). Cheap to clone, so that callers who shared one request
/// can share its failure.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation} of {key:?}: {message}")]
pub struct Error {
    kind: Kind,
    operation: Operation,
    key: Arc<str>,
    message: Arc<str>,
    may_have_happened: bool,
    read_back_proves: bool,
    #[source]
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure that certainly had no effect.
    pub fn new(kind: Kind, operation: Operation, key: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            operation,
            key: Arc::from(key),
            message: Arc::from(message.into()),
            may_have_happened: false,
            read_back_proves: true,
            source: None,
        }
    }

    /// The same failure, of which it is unknown whether it had an effect.
    #[must_use]
    pub fn that_may_have_happened(mut self) -> Self {
        self.may_have_happened = true;
        self
    }

    /// The same failure, of which it is unknown whether it had a *lasting* effect: reading the object back proves
    /// nothing, because the bytes may be seen now and be gone after a crash (a directory that could not be synced).
    #[must_use]
    pub fn that_reading_back_cannot_settle(mut self) -> Self {
        self.may_have_happened = true;
        self.read_back_proves = false;
        self
    }

    /// The same failure with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What was being done.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The object's key, or the prefix of a listing.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What happened, without the operation and the key.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the operation may have taken effect all the same. A create for which this is true must not be repeated
    /// under another name by a caller that cannot live with both.
    pub fn may_have_happened(&self) -> bool {
        self.may_have_happened
    }

    pub(crate) fn read_back_proves(&self) -> bool {
        self.read_back_proves
    }
}
