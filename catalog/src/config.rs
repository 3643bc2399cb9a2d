//! The settings of the catalog, each with its unit, default and reason.

use serde::{Deserialize, Serialize};
use spanlake_model::ByteSize;

/// Settings of the catalog: section `catalog`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Memory for the tails of blocks (trace-id filter and row-group directory). Default 64 MiB: about 30 million
    /// traces at 2 bytes each, read once and then found without a request.
    pub tail_cache_bytes: ByteSize,
    /// Memory for the search indexes of blocks (trace summaries and value filters). Default 256 MiB: about 25 million spans. A
    /// query over more reads and parses indexes again each time, which takes longer than all else it does.
    pub search_cache_bytes: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self { tail_cache_bytes: ByteSize(64 << 20), search_cache_bytes: ByteSize(256 << 20) }
    }
}
