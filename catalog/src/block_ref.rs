//! A block and where it lies, without having read it.

use std::cmp::Reverse;
use std::sync::Arc;

use spanlake_block::BlockMeta;
use spanlake_model::Tenant;

use crate::id::unix_millis;

/// A block and where it lies. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRef {
    /// Whose it is.
    pub tenant: Tenant,
    /// The object's key.
    pub key: Arc<str>,
    /// What is known of it without reading it.
    pub meta: BlockMeta,
}

impl BlockRef {
    /// When the object was made, in Unix milliseconds, by the clock of who made it: its name tells. No request.
    pub fn made_unix_millis(&self) -> Option<u64> {
        let name = self.key.rsplit('/').next()?;
        unix_millis(name.split('_').next()?)
    }
}

/// The order of blocks in snapshots and manifests; the key makes it the same for every reader.
pub(crate) fn newest_first(block: &BlockRef) -> (Reverse<u64>, Reverse<&str>) {
    (Reverse(block.meta.max_end_unix_nanos), Reverse(&block.key))
}
