//! Changing the manifest: one create-only PUT of the next number, which exactly one of those who race for it wins.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use spanlake_storage::{Kind, Store};

use crate::block_ref::BlockRef;
use crate::error::Error;
use crate::keys;
use crate::manifest::{Draft, Manifest, Retired};
use crate::metrics::{CommitLabels, Metrics, Outcome};
use crate::snapshot::Snapshot;
use crate::tenant::TenantState;

/// A change to a tenant's live blocks, committed whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// Blocks above level 0 that become live. Their objects must exist already.
    pub add: Vec<BlockRef>,
    /// Live blocks of any level that are retired. Their objects stay until they are deleted and forgotten.
    pub remove: Vec<BlockRef>,
    /// The epoch in which this compactor owns the tenant; 0 where nobody has claimed it.
    pub epoch: u64,
    /// Keys of retired objects that are deleted: dropped from the manifest. Unknown keys do no harm.
    pub forget: Vec<Arc<str>>,
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// The edit is in force.
    Won {
        /// The sequence number of the manifest that holds it.
        sequence: u64,
    },
    /// Another commit came first; this one had no effect. Committing the same edit again checks it anew.
    Lost {
        /// The sequence number that the other commit took.
        sequence: u64,
    },
    /// It could not be found out. The edit may be in force: delete nothing of what it adds or removes, and take a new
    /// snapshot when the store answers again.
    Unknown {
        /// The key of the manifest that may exist.
        key: String,
    },
}

/// Checks an edit against the newest snapshot and commits it.
pub(crate) async fn commit(
    state: &TenantState,
    store: &Store,
    metrics: &Metrics,
    edit: &Edit,
) -> Result<Committed, Error> {
    let snapshot = state.snapshot(store, metrics).await?;
    let draft = apply(&snapshot, edit, unix_nanos_now())?;
    put(state, store, metrics, draft).await
}

/// Writes a manifest under its number and finds out whether it is the one that counts.
pub(crate) async fn put(
    state: &TenantState,
    store: &Store,
    metrics: &Metrics,
    draft: Draft<'_>,
) -> Result<Committed, Error> {
    let (manifest, bytes) = Manifest::encode(draft);
    let committed = create(state, store, manifest, bytes).await?;
    let outcome = match committed {
        Committed::Won { .. } => Outcome::Won,
        Committed::Lost { .. } => Outcome::Lost,
        Committed::Unknown { .. } => Outcome::Unknown,
    };
    metrics.commits.get_or_create(&CommitLabels { outcome }).inc();
    Ok(committed)
}

async fn create(state: &TenantState, store: &Store, manifest: Manifest, bytes: Bytes) -> Result<Committed, Error> {
    let sequence = manifest.sequence;
    let key = keys::manifest(state.tenant(), sequence);
    match store.create(&key, bytes).await {
        Ok(_) => {}
        Err(error) if error.kind() == Kind::AlreadyExists => return Ok(Committed::Lost { sequence }),
        Err(error) if error.may_have_happened() => {
            tracing::warn!(%error, "the outcome of a commit is unknown");
            return Ok(Committed::Unknown { key });
        }
        Err(error) => return Err(error.into()),
    }
    match successor_is_ours(state, store, &manifest).await {
        Ok(true) => {
            state.saw(Arc::new(manifest));
            Ok(Committed::Won { sequence })
        }
        Ok(false) => Ok(Committed::Lost { sequence }),
        Err(error) => {
            tracing::warn!(%error, "the outcome of a commit is unknown");
            Ok(Committed::Unknown { key })
        }
    }
}

/// Whether what follows a manifest, if anything, was built on it. It is not if this writer slept so long that the number
/// it has just taken had been taken before, and that manifest deleted as an old one.
async fn successor_is_ours(state: &TenantState, store: &Store, manifest: &Manifest) -> Result<bool, Error> {
    let tenant = state.tenant();
    let after = keys::manifest(tenant, manifest.sequence);
    let later = store.list_up_to(&keys::manifests(tenant), Some(&after), 1).await?;
    let Some(next) = later.iter().find_map(|object| keys::manifest_sequence(&object.key)) else {
        return Ok(true);
    };
    if next != manifest.sequence + 1 {
        return Ok(false);
    }
    let bytes = store.get(&keys::manifest(tenant, next)).await?;
    Ok(Manifest::decode(tenant, next, &bytes)?.previous == manifest.link)
}

/// The manifest after a snapshot's, saying the same.
pub(crate) fn draft_after(snapshot: &Snapshot, written_unix_nanos: u64) -> Draft<'_> {
    let head = snapshot.manifest.as_deref();
    Draft {
        tenant: &snapshot.tenant,
        sequence: snapshot.manifest_sequence + 1,
        epoch: snapshot.epoch,
        previous: head.map(|head| head.link.clone()).unwrap_or_default(),
        written_unix_nanos,
        blocks: head.map(|head| head.blocks.clone()).unwrap_or_default(),
        retired: head.map(|head| head.retired.clone()).unwrap_or_default(),
    }
}

/// What an edit makes of a snapshot: the next manifest. Pure.
fn apply<'a>(snapshot: &'a Snapshot, edit: &Edit, now_unix_nanos: u64) -> Result<Draft<'a>, Error> {
    if edit.epoch != snapshot.epoch {
        let tenant = snapshot.tenant.clone();
        return Err(Error::Fenced { tenant, epoch: edit.epoch, current: snapshot.epoch });
    }
    let mut draft = draft_after(snapshot, now_unix_nanos);
    let live = snapshot.by_key();
    let invalid = |problem: String| Error::InvalidEdit { problem };
    for key in &edit.forget {
        draft.retired.remove(key);
    }
    let mut removed = HashSet::new();
    for block in &edit.remove {
        if !live.contains_key(&*block.key) {
            return Err(Error::NotLive { key: Arc::clone(&block.key) });
        }
        if !removed.insert(&*block.key) {
            return Err(invalid(format!("it removes {:?} twice", block.key)));
        }
        let retired =
            Retired { key: Arc::clone(&block.key), sequence: draft.sequence, unix_nanos: draft.written_unix_nanos };
        draft.retired.insert(Arc::clone(&block.key), retired);
    }
    draft.blocks.retain(|block| !removed.contains(&*block.key));
    let prefix = keys::blocks(&snapshot.tenant);
    let mut added = HashSet::new();
    for block in &edit.add {
        let below = block.key.strip_prefix(&prefix).filter(|name| !name.contains('/'));
        if below.is_none() || keys::block_meta(&block.key)?.as_ref() != Some(&block.meta) {
            return Err(invalid(format!("{:?} is not a block under {prefix:?} with these facts", block.key)));
        }
        if live.contains_key(&*block.key) || draft.retired.contains_key(&block.key) || !added.insert(&*block.key) {
            return Err(invalid(format!("it adds {:?}, which is there already", block.key)));
        }
        draft.blocks.push(block.clone());
    }
    Ok(draft)
}

pub(crate) fn unix_nanos_now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
