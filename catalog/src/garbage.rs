//! Objects that nobody needs any more, and how they are found. What is deleted when is for the compactor to decide.
//!
//! Everything here lists first and reads the newest manifest afterwards, so that what became live meanwhile is not taken
//! for an orphan.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use spanlake_model::Tenant;
use spanlake_storage::Object;

use crate::catalog::Catalog;
use crate::error::Error;
use crate::keys;

/// Manifests looked at to find how old retired objects are: one page of a listing.
const MANIFESTS_A_LOOK: usize = 1_000;

/// What a sweep found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orphans {
    /// Keys of blocks above level 0 and parts of manifests that nothing refers to, oldest name first.
    pub keys: Vec<String>,
    /// How many objects were looked at.
    pub object_count: usize,
}

impl Catalog {
    /// The retired objects with keys that are `wanted` whose retiring manifest was written before `written_before` by the
    /// store's clock, oldest first. A snapshot and a LIST.
    ///
    /// # Errors
    /// As [`Catalog::snapshot`].
    pub async fn retired_before(
        &self,
        tenant: &Tenant,
        written_before: SystemTime,
        wanted: impl Fn(&str) -> bool + Send,
    ) -> Result<Vec<Arc<str>>, Error> {
        let snapshot = self.snapshot(tenant).await?;
        let retired = || snapshot.retired().filter(|retired| wanted(&retired.key));
        let Some(oldest) = retired().map(|retired| retired.sequence).min() else { return Ok(Vec::new()) };
        let after = keys::manifest(tenant, oldest.saturating_sub(1));
        let prefix = keys::manifests(tenant);
        let listed = self.inner.store.list_up_to(&prefix, Some(&after), MANIFESTS_A_LOOK).await?;
        // Manifests are swept only long after any grace, so one that is not there is old.
        let mut past = None;
        for object in &listed {
            let Some(sequence) = keys::manifest_sequence(&object.key) else { continue };
            if object.last_modified > written_before {
                past = past.or(sequence.checked_sub(1).filter(|before| *before >= oldest));
                break;
            }
            past = Some(sequence);
        }
        let Some(past) = past else { return Ok(Vec::new()) };
        Ok(retired().filter(|r| r.sequence <= past).map(|r| Arc::clone(&r.key)).collect())
    }

    /// Whether the manifest with a number was written before `written_before` by the store's clock; true for one that was
    /// swept. A LIST.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn is_manifest_older(
        &self,
        tenant: &Tenant,
        sequence: u64,
        written_before: SystemTime,
    ) -> Result<bool, Error> {
        let after = keys::manifest(tenant, sequence.saturating_sub(1));
        let listed = self.inner.store.list_up_to(&keys::manifests(tenant), Some(&after), 1).await?;
        Ok(listed.first().is_some_and(|object| {
            keys::manifest_sequence(&object.key) != Some(sequence) || object.last_modified <= written_before
        }))
    }

    /// The blocks above level 0 and the parts of manifests that were written before `written_before` by the store's clock and
    /// that neither the newest manifest names nor its list of retired objects. Two LISTs for each 1,000 objects, and a
    /// snapshot.
    ///
    /// # Errors
    /// As [`Catalog::snapshot`].
    pub async fn orphans(&self, tenant: &Tenant, written_before: SystemTime) -> Result<Orphans, Error> {
        let mut listed: Vec<Object> = Vec::new();
        for prefix in [keys::blocks(tenant), keys::manifest_parts(tenant)] {
            listed.extend(self.inner.store.list(&prefix, None).await?);
        }
        let object_count = listed.len();
        listed.retain(|object| object.last_modified <= written_before);
        let snapshot = self.snapshot(tenant).await?;
        let parts: HashSet<String> = snapshot.manifest_part_keys().collect();
        let live: HashSet<&str> = snapshot.blocks.iter().map(|block| &*block.key).collect();
        let retired: HashSet<&str> = snapshot.retired().map(|retired| &*retired.key).collect();
        let is_orphan = |key: &str| !live.contains(key) && !retired.contains(key) && !parts.contains(key);
        let keys = listed.into_iter().map(|object| object.key).filter(|key| is_orphan(key)).collect();
        Ok(Orphans { keys, object_count })
    }

    /// The manifests that are neither among the newest `keep` nor written after `written_before` by the store's clock,
    /// oldest first, at most `limit`: what lies behind the first `limit + keep` is left for another call. A LIST for each
    /// 1,000 of those.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn old_manifests(
        &self,
        tenant: &Tenant,
        keep: usize,
        written_before: SystemTime,
        limit: usize,
    ) -> Result<Vec<String>, Error> {
        let most = limit.saturating_add(keep);
        let listed = self.inner.store.list_up_to(&keys::manifests(tenant), None, most).await?;
        let mut manifests: Vec<Object> =
            listed.into_iter().filter(|object| keys::manifest_sequence(&object.key).is_some()).collect();
        manifests.truncate(manifests.len().saturating_sub(keep));
        let old = manifests.into_iter().take_while(|object| object.last_modified <= written_before);
        Ok(old.map(|object| object.key).collect())
    }
}
