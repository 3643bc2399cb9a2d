//! One consistent view of a tenant's live blocks.

use std::collections::HashMap;
use std::sync::Arc;

use spanlake_model::{Tenant, TimeRange};
use spanlake_storage::Object;

use crate::block_ref::{BlockRef, newest_first};
use crate::error::Error;
use crate::keys;
use crate::manifest::{Manifest, Retired};

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
    pub blocks: Vec<BlockRef>,
    pub(crate) manifest: Option<Arc<Manifest>>,
    /// The live level-0 blocks, sorted by key: to build the next snapshot from.
    l0: Vec<BlockRef>,
    /// How many objects the listing had that are no blocks.
    pub(crate) unknown_names: Vec<String>,
}

impl Snapshot {
    /// The live blocks whose time range touches `range`, newest first.
    pub fn blocks_in(&self, range: TimeRange) -> impl Iterator<Item = &BlockRef> {
        self.blocks.iter().filter(move |block| block.meta.time_range().overlaps(&range))
    }

    /// The objects that are not live any more and wait for their deletion.
    pub fn retired(&self) -> impl Iterator<Item = &Retired> {
        self.manifest.iter().flat_map(|manifest| manifest.retired.values())
    }

    /// Puts a manifest and a level-0 listing (sorted by key) together, reusing what `before` has already parsed.
    pub(crate) fn build(
        tenant: &Tenant,
        manifest: Option<Arc<Manifest>>,
        listed: &[Object],
        before: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Error> {
        let retired = |key: &str| manifest.as_ref().is_some_and(|manifest| manifest.retired.contains_key(key));
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
        let from_manifest = manifest.iter().flat_map(|manifest| manifest.blocks.iter());
        let mut blocks: Vec<BlockRef> = from_manifest.chain(&l0).cloned().collect();
        blocks.sort_by(|a, b| newest_first(a).cmp(&newest_first(b)));
        let epoch = manifest.as_ref().map_or(0, |manifest| manifest.epoch);
        Ok(Arc::new(Self { tenant: tenant.clone(), manifest_sequence, epoch, blocks, manifest, l0, unknown_names }))
    }

    /// The live blocks by key.
    pub(crate) fn by_key(&self) -> HashMap<&str, &BlockRef> {
        self.blocks.iter().map(|block| (&*block.key, block)).collect()
    }
}
