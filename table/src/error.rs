//! Why spans could not be read. It knows storage and blocks, not what the reader wanted to know of them.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use spanlake_block::Damage;

/// What stops a scan or a merge. Neither goes on past it: an answer without a block would be a wrong one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object store failed.
    #[error(transparent)]
    Storage(#[from] spanlake_storage::Error),
    /// A block could not be opened; the message names its key.
    #[error(transparent)]
    Catalog(#[from] spanlake_catalog::Error),
    /// A block's spans are not what was written.
    #[error("{key:?}: {damage}")]
    Damaged {
        /// The block's key.
        key: Arc<str>,
        /// What is wrong with it.
        damage: Damage,
    },
    /// More traces match than a merge may hold at once.
    #[error("more than {max} traces match: narrow the conditions or the time range")]
    TooManyTraces {
        /// The bound.
        max: usize,
    },
    /// The [`Source`](crate::Source) refused to read on, by a bound of its own.
    #[error("{0}")]
    Refused(Box<dyn std::error::Error + Send + Sync>),
    /// A task that read a row group ended early: the runtime is shutting down.
    #[error("reading {key:?} was cut short: {problem}")]
    Interrupted {
        /// The block's key.
        key: Arc<str>,
        /// What the runtime says.
        problem: String,
    },
}

impl Error {
    /// Whether an object's bytes cannot be trusted. Trying again does not help; the message names the key.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Catalog(error) => error.is_damage(),
            Self::Storage(error) => error.kind() == spanlake_storage::Kind::Damaged,
            Self::TooManyTraces { .. } | Self::Refused(_) | Self::Interrupted { .. } => false,
        }
    }

    /// Whether an object is gone: it was merged and deleted after the snapshot was taken. Take a new one and try again.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Catalog(error) => error.is_gone(),
            Self::Storage(error) => error.kind() == spanlake_storage::Kind::NotFound,
            _ => false,
        }
    }

    /// Names the object that is damaged.
    pub(crate) fn damaged(key: &Arc<str>, damage: Damage) -> Self {
        Self::Damaged { key: Arc::clone(key), damage }
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}
