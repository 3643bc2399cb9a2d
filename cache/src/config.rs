//! The settings of the read caches, each with its unit, default and reason.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spanlake_model::ByteSize;

/// Settings of the read caches: section `cache`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Memory for decoded columns of row groups, and for row groups that were looked into by id, so that a query that is asked
    /// again does not read, check and decode what it needs again. Default 64 MiB: about the columns that ten queries over a million spans name. 0 turns it off.
    pub memory_bytes: ByteSize,
    /// Directory for a file with pages of objects, made when it is not there; empty (the default) for none. It pays where the
    /// store is a bucket and the disk is local. For a store in a directory the system's page cache does the same already. No two
    /// processes may share one.
    pub disk_path: PathBuf,
    /// Most bytes of that file. Default 10 GiB. A disk that is full or fails costs hits, never a query.
    pub disk_bytes: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self { memory_bytes: ByteSize::mib(64), disk_path: PathBuf::new(), disk_bytes: ByteSize::gib(10) }
    }
}
