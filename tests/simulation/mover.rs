//! The smallest thing that uses the catalog as a compactor does: it copies blocks to new names, swaps them in one commit,
//! and deletes what it retired after a grace period. The rows stay as they are: what is tried here are the steps.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use spanlake_block::Written;
use spanlake_catalog::{BlockRef, Committed, Edit, Error, Snapshot};
use spanlake_model::Tenant;
use spanlake_model::world::{Rule, is_broken, now, on_clock};

use crate::cluster::{Cluster, GRACE, Process};

/// Most blocks moved in one commit.
const MAX_MOVED: usize = 6;

/// How often an owner claims a tenant anew for no reason.
const RESTLESSNESS: f64 = 0.05;

/// Epochs that were handed out in this run, and to whom: each to one claim.
pub type Claims = std::cell::RefCell<HashSet<(Tenant, u64)>>;

/// One mover's memory: gone when its process dies.
pub struct Mover {
    pub process: Process,
    name: String,
    epochs: BTreeMap<Tenant, u64>,
}

impl Mover {
    pub fn new(cluster: &Cluster, name: &str) -> Self {
        Self { process: cluster.boot(name), name: name.to_owned(), epochs: BTreeMap::new() }
    }

    /// One round over a tenant: own it, move blocks, delete what is old enough.
    pub async fn pass(
        &mut self,
        cluster: &Cluster,
        claims: &Claims,
        tenant: &Tenant,
        random: &mut StdRng,
    ) -> Result<(), Error> {
        if !self.epochs.contains_key(tenant) || random.random_bool(RESTLESSNESS) {
            let epoch = self.process.catalog.claim(tenant).await?;
            if !claims.borrow_mut().insert((tenant.clone(), epoch)) {
                cluster.history.violate(format!("epoch {epoch} of tenant {tenant} was given to two owners"));
            }
            self.epochs.insert(tenant.clone(), epoch);
        }
        let epoch = self.epochs[tenant];
        let outcome = self.move_and_delete(cluster, tenant, epoch, random).await;
        if let Err(Error::Fenced { .. }) = &outcome {
            self.epochs.remove(tenant);
        }
        outcome
    }

    async fn move_and_delete(
        &self,
        cluster: &Cluster,
        tenant: &Tenant,
        epoch: u64,
        random: &mut StdRng,
    ) -> Result<(), Error> {
        let snapshot = self.process.catalog.snapshot(tenant).await?;
        let mut remove: Vec<BlockRef> = snapshot.blocks.iter().cloned().collect();
        remove.reverse();
        remove.truncate(MAX_MOVED);
        if remove.len() >= 2 && random.random_bool(0.7) {
            let mut add = Vec::new();
            for block in &remove {
                add.push(self.copy(cluster, tenant, block).await?);
            }
            self.commit(cluster, tenant, Edit { add, remove, epoch, ..Edit::default() }).await?;
        }
        let deletable = self.deletable(tenant, &snapshot).await?;
        if deletable.is_empty() {
            return Ok(());
        }
        for key in &deletable {
            self.process.catalog.store().delete(key).await?;
        }
        self.commit(cluster, tenant, Edit { forget: deletable, epoch, ..Edit::default() }).await
    }

    /// Copies a block under a new name; no reader knows of it yet.
    async fn copy(&self, cluster: &Cluster, tenant: &Tenant, block: &BlockRef) -> Result<BlockRef, Error> {
        let store = self.process.catalog.store();
        let mut bytes = store.get(&block.key).await?;
        // A merge compares checksums as it reads; whole copies have none, so the truth is asked.
        if let Ok(true_bytes) = cluster.truth.get(&block.key).await {
            bytes = true_bytes;
        }
        let written = Written { bytes, meta: block.meta.clone(), report: Default::default() };
        self.process.catalog.stage_block(tenant, written).await
    }

    /// Commits, and checks that what won was committed by the owner.
    async fn commit(&self, cluster: &Cluster, tenant: &Tenant, edit: Edit) -> Result<(), Error> {
        let epoch = edit.epoch;
        let committed = self.process.catalog.commit(tenant, edit).await?;
        cluster.history.note(format_args!("{} commits to {tenant} in epoch {epoch}: {committed:?}", self.name));
        let Committed::Won { sequence } = committed else { return Ok(()) };
        let key = format!("tenants/{tenant}/manifest/{sequence:020}.json");
        let bytes = cluster.truth.get(&key).await?;
        let manifest: serde_json::Value = serde_json::from_slice(&bytes).expect("a manifest is JSON");
        if manifest["epoch"].as_u64() != Some(epoch) {
            let what = format!("{} committed number {sequence} of {tenant} in epoch {epoch}, which is over", self.name);
            cluster.history.violate(what);
        }
        Ok(())
    }

    /// Retired objects that no reader can need any more, by the store's clock.
    async fn deletable(&self, tenant: &Tenant, snapshot: &Snapshot) -> Result<Vec<Arc<str>>, Error> {
        let store_now = on_clock(None, async { now() }).await;
        let grace = if is_broken(Rule::WaitBeforeDelete) { Duration::ZERO } else { GRACE.get() };
        let listed = self.process.catalog.store().list(&format!("tenants/{tenant}/manifest/"), None).await?;
        let is_old = |sequence: u64| {
            let name = format!("/{sequence:020}.json");
            let manifest = listed.iter().find(|object| object.key.ends_with(&name));
            manifest.is_some_and(|object| store_now.duration_since(object.last_modified).is_ok_and(|age| age >= grace))
        };
        let old = snapshot.retired().filter(|retired| is_old(retired.sequence));
        Ok(old.map(|retired| Arc::clone(&retired.key)).collect())
    }
}
