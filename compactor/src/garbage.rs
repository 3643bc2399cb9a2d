//! Deletes what nobody needs: retired objects after their grace, orphans of crashed writers, old manifests. What may go is
//! found by the catalog; how much and when is said here.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use spanlake_catalog::{Catalog, Error};
use spanlake_model::Tenant;

use crate::Config;
use crate::memory::Memory;
use crate::metrics::{Metrics, Why};

/// Objects deleted at once.
const DELETED_AT_ONCE: usize = 16;

/// Most retired objects, or old manifests, deleted in one turn.
const DELETED_A_TURN: usize = 1_000;

/// Manifests that stay whatever their age.
const KEPT_MANIFESTS: usize = 100;

/// Orphans deleted in one sweep: this many, or [`ORPHAN_PERCENT`] of the objects where that is more. More at once is a
/// mistake somewhere rather than a crash.
const MIN_ORPHANS_A_SWEEP: usize = 100;
const ORPHAN_PERCENT: usize = 5;

/// Deletes objects, and gives back those that are gone for sure.
pub(crate) async fn delete(catalog: &Catalog, metrics: &Metrics, why: Why, keys: Vec<Arc<str>>) -> Vec<Arc<str>> {
    let deletes: Vec<BoxFuture<'_, _>> = keys
        .into_iter()
        .map(|key| {
            async move {
                let deleted = catalog.store().delete(&key).await;
                (key, deleted)
            }
            .boxed()
        })
        .collect();
    let mut gone = Vec::new();
    let mut deletes = stream::iter(deletes).buffer_unordered(DELETED_AT_ONCE);
    while let Some((key, deleted)) = deletes.next().await {
        match deleted {
            Ok(()) => {
                metrics.count_deletion(why);
                gone.push(key);
            }
            Err(error) => tracing::warn!(%error, "an object was not deleted: it is tried again later"),
        }
    }
    gone
}

/// Whether a retired object is one of level 0, which goes sooner than others: every query lists what lies there.
pub(crate) fn is_l0(key: &str) -> bool {
    key.rsplit('/').nth(1) == Some("l0")
}

/// Retired objects that are to be deleted now.
pub(crate) struct Past {
    /// Those past the grace of all: once they are deleted, the manifest may forget them.
    pub(crate) old: Vec<Arc<str>>,
    /// Those of level 0 that are past their own, shorter one. The manifest names them until they are past the other: a PUT
    /// that is still under way could bring them back, and they would count as live. So they are deleted once more then.
    pub(crate) early: Vec<Arc<str>>,
    /// There are more of them than one turn deletes.
    pub(crate) is_cut: bool,
}

/// The retired objects that are past their grace by the store's clock, and are not known to be deleted.
pub(crate) async fn past_grace(
    catalog: &Catalog,
    tenant: &Tenant,
    config: &Config,
    memory: &Memory,
    store_now: SystemTime,
) -> Result<Past, Error> {
    let before = |grace: Duration| store_now.checked_sub(grace).unwrap_or(SystemTime::UNIX_EPOCH);
    let forgetting: HashSet<&str> = memory.forget.iter().map(|key| &**key).collect();
    let mut old = catalog.retired_before(tenant, before(config.grace()), |key| !forgetting.contains(key)).await?;
    let mut early = Vec::new();
    if config.l0_grace() < config.grace() {
        let known: HashSet<&str> = forgetting.iter().copied().chain(old.iter().map(|key| &**key)).collect();
        let is_asked = |key: &str| is_l0(key) && !memory.gone.contains(key) && !known.contains(key);
        early = catalog.retired_before(tenant, before(config.l0_grace()), is_asked).await?;
    }
    let is_cut = old.len() + early.len() > DELETED_A_TURN;
    early.truncate(DELETED_A_TURN);
    old.truncate(DELETED_A_TURN - early.len());
    Ok(Past { old, early, is_cut })
}

/// Deletes orphans, as many as one sweep may; how many. With `config.dry_run` it only tells.
pub(crate) async fn sweep(
    catalog: &Catalog,
    tenant: &Tenant,
    config: &Config,
    metrics: &Metrics,
    store_now: SystemTime,
) -> Result<usize, Error> {
    let before = store_now.checked_sub(config.orphan_min_age.get()).unwrap_or(SystemTime::UNIX_EPOCH);
    let found = catalog.orphans(tenant, before).await?;
    metrics.orphans.set(i64::try_from(found.keys.len()).unwrap_or(i64::MAX));
    let most = (found.object_count * ORPHAN_PERCENT / 100).max(MIN_ORPHANS_A_SWEEP);
    let (orphan_count, dry_run) = (found.keys.len(), config.dry_run);
    if orphan_count > most {
        tracing::warn!(%tenant, orphan_count, most, "many objects that nothing refers to: not all are deleted now");
    }
    if let Some(first) = found.keys.first() {
        tracing::info!(%tenant, orphan_count, first, dry_run, "objects that nothing refers to");
    }
    if dry_run {
        return Ok(0);
    }
    let orphans = found.keys.into_iter().take(most).map(Arc::from).collect();
    Ok(delete(catalog, metrics, Why::Orphan, orphans).await.len())
}

/// What a sweep of old manifests came to.
pub(crate) struct Swept {
    pub(crate) deleted_count: usize,
    /// There may be more of them.
    pub(crate) is_full: bool,
}

/// Deletes old manifests, the oldest first, as many as one turn may. With `config.dry_run` it only tells.
pub(crate) async fn sweep_manifests(
    catalog: &Catalog,
    tenant: &Tenant,
    config: &Config,
    metrics: &Metrics,
    store_now: SystemTime,
) -> Result<Swept, Error> {
    let before = store_now.checked_sub(config.manifest_min_age.get()).unwrap_or(SystemTime::UNIX_EPOCH);
    let manifests = catalog.old_manifests(tenant, KEPT_MANIFESTS, before, DELETED_A_TURN).await?;
    let (manifest_count, dry_run) = (manifests.len(), config.dry_run);
    if manifest_count > 0 {
        tracing::info!(%tenant, manifest_count, dry_run, "old manifests");
    }
    if dry_run {
        return Ok(Swept { deleted_count: 0, is_full: false });
    }
    let deleted = delete(catalog, metrics, Why::Manifest, manifests.into_iter().map(Arc::from).collect()).await;
    Ok(Swept { deleted_count: deleted.len(), is_full: manifest_count >= DELETED_A_TURN })
}
