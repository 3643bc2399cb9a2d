//! What can go wrong with the catalog.

use std::sync::Arc;

use spanlake_block::Damage;
use spanlake_model::Tenant;
use spanlake_storage::Kind;

use crate::deleted::MAX_DELETED_TRACES;

/// Why the catalog could not do what was asked. Cheap to clone: callers who shared one request share its failure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The object store failed; [`Error::storage_kind`] says how.
    #[error(transparent)]
    Storage(#[from] spanlake_storage::Error),
    /// A manifest is not what was written. Nothing of the tenant can be read until it is restored.
    #[error("the manifest {key:?} is damaged: {problem}")]
    DamagedManifest {
        /// Its key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A block's index is not what was written.
    #[error("{key:?}: {source}")]
    DamagedBlock {
        /// The block's key.
        key: Arc<str>,
        /// What is wrong with it.
        source: Damage,
    },
    /// An object was written by a newer Spanlake, and leaving it out would give wrong answers.
    #[error("{key:?} has format version {found}, this build reads versions up to {supported}: upgrade spanlake")]
    NewerFormat {
        /// The object's key.
        key: String,
        /// Its version.
        found: u64,
        /// The newest version this build reads.
        supported: u64,
    },
    /// The edit comes from a compactor whose ownership of the tenant has passed to another.
    #[error("epoch {epoch} of tenant {tenant} is over, the manifest is at epoch {current}: claim the tenant again")]
    Fenced {
        /// The tenant.
        tenant: Tenant,
        /// The epoch the edit was made in.
        epoch: u64,
        /// The epoch of the newest manifest.
        current: u64,
    },
    /// An edit removes a block that is not live: it was merged or expired meanwhile. Plan anew from a new snapshot.
    #[error("the block {key:?} is not live any more: plan anew")]
    NotLive {
        /// The block's key.
        key: Arc<str>,
    },
    /// Too many deleted traces wait for their removal from storage.
    #[error(
        "{waiting} deleted traces of tenant {tenant} wait for the compactor, at most {MAX_DELETED_TRACES} may: \
         delete again when it has caught up"
    )]
    TooManyDeleted {
        /// The tenant.
        tenant: Tenant,
        /// How many wait.
        waiting: usize,
    },
    /// An edit that could never be committed.
    #[error("the edit cannot be: {problem}")]
    InvalidEdit {
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    /// How the object store failed, if it was the object store.
    pub fn storage_kind(&self) -> Option<Kind> {
        match self {
            Self::Storage(error) => Some(error.kind()),
            _ => None,
        }
    }

    /// Whether an object is gone. A reader of a block takes a new snapshot, once, and tries again: the block was merged and
    /// deleted after its snapshot.
    pub fn is_gone(&self) -> bool {
        self.storage_kind() == Some(Kind::NotFound)
    }

    /// Whether an object's bytes cannot be trusted. Trying again does not help; the message names the key.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::DamagedManifest { .. } | Self::DamagedBlock { .. })
            || self.storage_kind() == Some(Kind::Damaged)
    }

    /// Whether a failed write may have taken effect all the same.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Storage(error) if error.may_have_happened())
    }
}
