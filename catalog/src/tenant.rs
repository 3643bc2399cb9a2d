//! Taking snapshots of one tenant, with concurrent callers sharing a listing.
//!
//! A snapshot must show every block whose publish returned before the caller asked, so a caller may share only a listing
//! that *begins after* it asked. Callers draw a number when they ask and when a listing begins; whoever gets the lock next
//! either finds a finished listing with a number above its own, or begins one, which serves all who wait behind it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use spanlake_model::{Tenant, world};
use spanlake_storage::{Error as StorageError, Kind, Operation, Store};
use tokio::time::Instant;

use crate::error::Error;
use crate::keys;
use crate::manifest::{Head, Manifest};
use crate::metrics::Metrics;
use crate::part::Part;
use crate::snapshot::Snapshot;

/// How often a manifest that vanished between listing and reading is looked for anew: each time a newer one has replaced
/// it, and old ones are kept for days.
const MAX_HEAD_READS: usize = 3;

/// Longest time from the beginning of a snapshot to its end. What it lists may be retired meanwhile, and is deleted minutes
/// later: with less time than this nothing can be missing from it.
const MAX_SNAPSHOT: Duration = Duration::from_secs(60);

/// Parts of a manifest read at once.
const PARALLEL_PARTS: usize = 8;

/// What a process remembers of one tenant.
#[derive(Debug)]
pub(crate) struct TenantState {
    tenant: Tenant,
    numbers: AtomicU64,
    last_listing: tokio::sync::Mutex<Listing>,
    /// The manifest of the newest snapshot that [`TenantState::is_first_with`] was asked about.
    told_sequence: AtomicU64,
    /// The newest manifest seen. It never goes back to an older one, whatever a listing says.
    head: Mutex<Option<Arc<Manifest>>>,
}

#[derive(Debug, Default)]
struct Listing {
    begun: u64,
    outcome: Option<Result<Arc<Snapshot>, Error>>,
    /// The last one that succeeded: to build the next from.
    good: Option<Arc<Snapshot>>,
}

impl TenantState {
    pub(crate) fn new(tenant: Tenant) -> Self {
        Self {
            tenant,
            numbers: AtomicU64::new(1),
            last_listing: Default::default(),
            told_sequence: AtomicU64::new(0),
            head: Mutex::default(),
        }
    }

    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Whether no snapshot with this manifest or a newer one was asked about before: once for each manifest.
    pub(crate) fn is_first_with(&self, snapshot: &Snapshot) -> bool {
        self.told_sequence.fetch_max(snapshot.manifest_sequence, Ordering::Relaxed) < snapshot.manifest_sequence
    }

    /// A snapshot that shows everything published before the call.
    pub(crate) async fn snapshot(&self, store: &Store, metrics: &Metrics) -> Result<Arc<Snapshot>, Error> {
        let asked = self.numbers.fetch_add(1, Ordering::SeqCst);
        let mut last = self.last_listing.lock().await;
        if last.begun > asked
            && let Some(outcome) = &last.outcome
        {
            metrics.shared.inc();
            return outcome.clone();
        }
        let begun = self.numbers.fetch_add(1, Ordering::SeqCst);
        let outcome = self.take(store, metrics, last.good.as_ref()).await;
        if let Ok(snapshot) = &outcome {
            last.good = Some(Arc::clone(snapshot));
        }
        last.begun = begun;
        last.outcome = Some(outcome.clone());
        outcome
    }

    /// Lists level 0 and looks for a newer manifest, both at once. Every block published before is seen: if it was retired
    /// after the manifest found here, it still lies among level 0, because objects are deleted only long after they are
    /// retired, and a snapshot that takes longer than [`MAX_SNAPSHOT`] fails; if before, the manifest has what it was merged into.
    async fn take(
        &self,
        store: &Store,
        metrics: &Metrics,
        before: Option<&Arc<Snapshot>>,
    ) -> Result<Arc<Snapshot>, Error> {
        metrics.listings.inc();
        let prefix = keys::l0(&self.tenant);
        // A machine that sleeps may stop the one clock and not the other.
        let (begun, begun_at) = (Instant::now(), world::now());
        let listing = async { store.list(&prefix, None).await.map_err(Error::from) };
        let (manifest, listed) = futures::future::try_join(self.newest_manifest(store), listing).await?;
        let elapsed = begun.elapsed().max(world::now().duration_since(begun_at).unwrap_or_default());
        if elapsed > MAX_SNAPSHOT {
            let message = format!("a snapshot took {} s: blocks may be missing from it", elapsed.as_secs());
            return Err(StorageError::new(Kind::Unavailable, Operation::List, &prefix, message).into());
        }
        let snapshot = Snapshot::build(&self.tenant, manifest, &listed, before)?;
        self.report_unknown(&snapshot, before, metrics);
        Ok(snapshot)
    }

    /// The newest manifest, or none. One listing behind the newest one seen, and a read if there is a newer one.
    pub(crate) async fn newest_manifest(&self, store: &Store) -> Result<Option<Arc<Manifest>>, Error> {
        let mut reads = 0;
        let mut was_damaged = false;
        loop {
            let seen = self.seen();
            let after = seen.as_ref().map(|manifest| keys::manifest(&self.tenant, manifest.sequence));
            let listed = store.list(&keys::manifests(&self.tenant), after.as_deref()).await?;
            let Some(sequence) = listed.iter().rev().find_map(|object| keys::manifest_sequence(&object.key)) else {
                return Ok(seen);
            };
            match self.read(store, sequence, seen.as_deref()).await {
                Ok(manifest) => return Ok(Some(self.saw(Arc::new(manifest)))),
                // Damage may have come in on the way, so it is looked at twice.
                Err(error) if error.is_damage() && !was_damaged => was_damaged = true,
                Err(error) if error.is_gone() && reads < MAX_HEAD_READS => reads += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a manifest and those of its parts that the one before did not have.
    async fn read(&self, store: &Store, sequence: u64, before: Option<&Manifest>) -> Result<Manifest, Error> {
        let bytes = store.get(&keys::manifest(&self.tenant, sequence)).await?;
        let head = Head::decode(&self.tenant, sequence, &bytes)?;
        let mut parts: HashMap<String, Arc<Part>> =
            before.iter().flat_map(|before| before.parts()).map(|part| (part.id.clone(), Arc::clone(part))).collect();
        let missing = head.parts()?.into_iter().filter(|(id, _)| !parts.contains_key(id));
        let reads: Vec<BoxFuture<'_, Result<Part, Error>>> =
            missing.map(|(id, crc32c)| self.read_part(store, id, crc32c).boxed()).collect();
        let read: Vec<Part> = stream::iter(reads).buffer_unordered(PARALLEL_PARTS).try_collect().await?;
        parts.extend(read.into_iter().map(|part| (part.id.clone(), Arc::new(part))));
        head.assemble(&parts)
    }

    async fn read_part(&self, store: &Store, id: String, crc32c: u32) -> Result<Part, Error> {
        let bytes = store.get(&keys::manifest_part(&self.tenant, &id)).await?;
        Part::decode(&self.tenant, &id, crc32c, &bytes)
    }

    /// Remembers a manifest if it is newer than what is remembered; gives back the newer of the two.
    pub(crate) fn saw(&self, manifest: Arc<Manifest>) -> Arc<Manifest> {
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        match &*head {
            Some(seen) if seen.sequence >= manifest.sequence => Arc::clone(seen),
            _ => {
                *head = Some(Arc::clone(&manifest));
                manifest
            }
        }
    }

    fn seen(&self) -> Option<Arc<Manifest>> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts and logs names that are no blocks when they are first seen.
    fn report_unknown(&self, snapshot: &Snapshot, before: Option<&Arc<Snapshot>>, metrics: &Metrics) {
        let known = before.map(|before| before.unknown_names.as_slice()).unwrap_or_default();
        let new: Vec<&String> = snapshot.unknown_names.iter().filter(|name| !known.contains(name)).collect();
        if let Some(first) = new.first() {
            metrics.unknown_names.inc_by(new.len() as u64);
            tracing::warn!(tenant = %self.tenant, count = new.len(), first, "objects that are no blocks lie among level 0");
        }
    }
}
