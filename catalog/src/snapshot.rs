//! One consistent view of a tenant's live blocks.

use std::sync::Arc;

use spanlake_model::{Tenant, TimeRange};
use spanlake_storage::Object;

use crate::block_ref::BlockRef;
use crate::deleted::DeletedTraces;
use crate::error::Error;
use crate::keys;
use crate::live_blocks::LiveBlocks;
use crate::manifest::{Manifest, Retired};
use crate::quarantine::Quarantined;

/// The live blocks of a tenant at one moment. Never changes.
#[derive(Debug)]
pub struct Snapshot {
    /// Whose blocks these are.
    pub tenant: Tenant,
    /// Sequence number of the manifest; 0 while there is none.
    pub manifest_sequence: u64,
    /// The epoch in that manifest: who may commit.
    pub epoch: u64,
    /// The live blocks, newest end of the time range first.
    pub blocks: LiveBlocks,
    deleted: DeletedTraces,
    pub(crate) manifest: Option<Arc<Manifest>>,
    /// The live level-0 blocks, sorted by key: to build the next snapshot from.
    l0: Vec<BlockRef>,
    /// How many objects the listing had that are no blocks.
    pub(crate) unknown_names: Vec<String>,
}

impl Snapshot {
    /// The live blocks whose time range touches `range`, newest first.
    pub fn blocks_in(&self, range: TimeRange) -> impl Iterator<Item = &BlockRef> {
        self.blocks.overlapping(range)
    }

    /// The traces that were deleted: no answer may show a span of them, whatever block it lies in.
    pub fn deleted(&self) -> &DeletedTraces {
        &self.deleted
    }

    /// The objects that are not live any more and wait for their deletion.
    pub fn retired(&self) -> impl Iterator<Item = &Retired> {
        self.manifest.iter().flat_map(|manifest| manifest.contents.all_retired())
    }

    /// Puts a manifest and a level-0 listing (sorted by key) together, reusing what `before` has already parsed.
    pub(crate) fn build(
        tenant: &Tenant,
        manifest: Option<Arc<Manifest>>,
        listed: &[Object],
        before: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Error> {
        let retired = |key: &str| manifest.as_ref().is_some_and(|manifest| manifest.is_retired(key));
        let known = before.map(|before| before.l0.as_slice()).unwrap_or_default();
        let mut l0 = Vec::with_capacity(listed.len());
        let mut unknown_names = Vec::new();
        let mut reused = 0;
        for object in listed {
            if retired(&object.key) {
                continue;
            }
            while known.get(reused).is_some_and(|block| *block.key < *object.key) {
                reused += 1;
            }
            if let Some(block) = known.get(reused).filter(|block| *block.key == *object.key) {
                l0.push(block.clone());
                continue;
            }
            match keys::block_meta(&object.key)? {
                Some(meta) => {
                    l0.push(BlockRef { tenant: tenant.clone(), key: Arc::from(object.key.as_str()), meta });
                }
                None => unknown_names.push(object.key.clone()),
            }
        }
        let manifest_sequence = manifest.as_ref().map_or(0, |manifest| manifest.sequence);
        if let Some(before) = before
            && before.manifest_sequence == manifest_sequence
            && before.l0.len() == l0.len()
            && before.unknown_names == unknown_names
            && before.l0.iter().zip(&l0).all(|(a, b)| Arc::ptr_eq(&a.key, &b.key))
        {
            return Ok(Arc::clone(before));
        }
        let contents = manifest.as_ref().map(|manifest| &manifest.contents);
        let recent = contents.iter().flat_map(|contents| contents.blocks.iter()).chain(&l0).cloned().collect();
        let parts = contents.map(|contents| contents.parts.clone()).unwrap_or_default();
        let blocks = LiveBlocks::new(parts, recent);
        let epoch = manifest.as_ref().map_or(0, |manifest| manifest.epoch);
        let deleted = contents.map(|contents| contents.deleted.clone()).unwrap_or_default();
        let tenant = tenant.clone();
        Ok(Arc::new(Self { tenant, manifest_sequence, epoch, blocks, deleted, manifest, l0, unknown_names }))
    }

    /// The damaged blocks, which nothing merges or deletes before their retention is over.
    pub fn quarantined(&self) -> &[Quarantined] {
        self.manifest.as_ref().map(|manifest| &*manifest.contents.quarantined).unwrap_or_default()
    }

    /// The keys of the manifest's parts.
    pub fn manifest_part_keys(&self) -> impl Iterator<Item = String> {
        let parts = self.manifest.iter().flat_map(|manifest| manifest.parts());
        parts.map(|part| keys::manifest_part(&self.tenant, &part.id))
    }

    /// Whether the block under a key is live. Takes logarithmic time.
    pub fn is_live(&self, key: &str) -> bool {
        let Ok(Some(meta)) = keys::block_meta(key) else { return false };
        self.blocks.find(&BlockRef { tenant: self.tenant.clone(), key: Arc::from(key), meta }).is_some()
    }
}
