//! Every block that a tenant has in the store and how it counts, for people who look after them.
//!
//! It knows nothing of what is in a block.

use std::collections::HashSet;
use std::sync::Arc;

use spanlake_model::Tenant;

use crate::block_ref::BlockRef;
use crate::catalog::Catalog;
use crate::error::Error;
use crate::keys;

/// How a block counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockState {
    /// Queries read it.
    Live,
    /// It is live and was found damaged: queries read what they can of it, and nothing merges it.
    Quarantined,
    /// It was merged, expired or replaced, and waits for its deletion.
    Retired,
    /// It lies beside the live ones and no manifest names it: a compactor is about to commit it, or died before it did.
    Orphan,
    /// It was damaged, was replaced by what could be read of it, and is kept for people to look at.
    Kept,
}

impl BlockState {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Quarantined => "quarantined",
            Self::Retired => "retired",
            Self::Orphan => "orphan",
            Self::Kept => "kept",
        }
    }
}

impl Catalog {
    /// Every block of the tenant, by state and then by key. A snapshot and a LIST of each of two prefixes.
    ///
    /// # Errors
    /// As [`Catalog::snapshot`].
    pub async fn inventory(&self, tenant: &Tenant) -> Result<Vec<(BlockRef, BlockState)>, Error> {
        // Listed before the snapshot, so that what is committed between the two is live and not an orphan.
        let listed = self.inner.store.list(&keys::blocks(tenant), None).await?;
        let kept = self.inner.store.list(&keys::damaged(tenant), None).await?;
        let snapshot = self.snapshot(tenant).await?;
        let block = |key: &str| -> Result<Option<BlockRef>, Error> {
            let meta = keys::block_meta(key)?;
            Ok(meta.map(|meta| BlockRef { tenant: tenant.clone(), key: Arc::from(key), meta }))
        };
        let mut found: Vec<(BlockRef, BlockState)> =
            snapshot.blocks.iter().map(|block| (block.clone(), BlockState::Live)).collect();
        let quarantined: HashSet<&str> = snapshot.quarantined().iter().map(|one| &*one.key).collect();
        for (_, state) in found.iter_mut().filter(|(block, _)| quarantined.contains(&*block.key)) {
            *state = BlockState::Quarantined;
        }
        for retired in snapshot.retired() {
            found.extend(block(&retired.key)?.map(|block| (block, BlockState::Retired)));
        }
        let known: HashSet<Arc<str>> = found.iter().map(|(block, _)| Arc::clone(&block.key)).collect();
        for object in listed.iter().filter(|object| !known.contains(object.key.as_str())) {
            found.extend(block(&object.key)?.map(|block| (block, BlockState::Orphan)));
        }
        for object in &kept {
            found.extend(block(&object.key)?.map(|block| (block, BlockState::Kept)));
        }
        found.sort_by(|a, b| (a.1, &a.0.key).cmp(&(b.1, &b.0.key)));
        Ok(found)
    }

    /// Copies a block, damaged as it is, to where nothing reads or deletes it, and gives back the key of the copy. Copying it
    /// again changes nothing. A GET and a PUT; the whole object is in memory meanwhile.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn keep_damaged(&self, block: &BlockRef) -> Result<String, Error> {
        let name = block.key.rsplit('/').next().unwrap_or_default();
        let key = format!("{}{name}", keys::damaged(&block.tenant));
        let bytes = self.inner.store.get(&block.key).await?;
        self.inner.store.create(&key, bytes).await?;
        Ok(key)
    }
}
