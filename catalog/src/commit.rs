//! Changing the manifest: one create-only PUT of the next number, which exactly one of those who race for it wins.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::{self, BoxFuture};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use spanlake_model::TraceId;
use spanlake_model::world::{self, Rule};
use spanlake_storage::{Error as StorageError, Kind, Operation, Store};

use crate::block_ref::BlockRef;
use crate::error::Error;
use crate::keys;
use crate::layout::{MAX_HEAD_BLOCKS, MAX_PART_BLOCKS, Slot, arrange};
use crate::manifest::{Contents, Draft, Head, Manifest, Retired};
use crate::metrics::{CommitLabels, Metrics, Outcome};
use crate::part::Part;
use crate::quarantine::{MAX_QUARANTINED, Quarantined, shortened};
use crate::snapshot::Snapshot;
use crate::tenant::TenantState;

/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// Parts written at once.
const PARALLEL_PARTS: usize = 8;

/// How long after its parts a head may be written at most. Orphans are swept much later.
const MAX_PART_AGE: Duration = Duration::from_secs(3_600);

/// A change to a tenant's live blocks, committed whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// Blocks above level 0 that become live. Their objects must exist already.
    pub add: Vec<BlockRef>,
    /// Live blocks of any level that are retired. Their objects stay until they are deleted and forgotten.
    pub remove: Vec<BlockRef>,
    /// Live blocks above level 0 that count as blocks of another level from now on, without being rewritten.
    pub relevel: Vec<(BlockRef, u8)>,
    /// The epoch in which this compactor owns the tenant; 0 where nobody has claimed it.
    pub epoch: u64,
    /// Keys of retired objects that are deleted: dropped from the manifest. Unknown keys do no harm.
    pub forget: Vec<Arc<str>>,
    /// Deleted traces that no live block holds any more, each with the manifest of the tombstone that was judged
    /// ([`Tombstone::sequence`](crate::Tombstone::sequence)): those tombstones are dropped. One that was renewed meanwhile
    /// stays, and unknown ids do no harm.
    pub forget_deleted: Vec<(TraceId, u64)>,
    /// Live blocks that are damaged. Those already named are left as they are; beyond [`MAX_QUARANTINED`] none is added.
    pub quarantine: Vec<Quarantined>,
    /// Keys of blocks that are not in quarantine any more. Unknown keys do no harm.
    pub release: Vec<Arc<str>>,
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

/// Writes a manifest under its number, its new parts before it, and finds out whether it is the one that counts.
pub(crate) async fn put(
    state: &TenantState,
    store: &Store,
    metrics: &Metrics,
    mut draft: Draft<'_>,
) -> Result<Committed, Error> {
    let begun = world::now();
    let parts = std::mem::take(&mut draft.new_parts);
    let parts: Vec<BoxFuture<'_, _>> =
        parts.into_iter().map(|(key, body)| async move { store.create(&key, body).await }.boxed()).collect();
    stream::iter(parts).buffer_unordered(PARALLEL_PARTS).try_for_each(|_| future::ready(Ok(()))).await?;
    let (manifest, bytes) = Manifest::encode(draft);
    // A process that was stopped here for a day would name parts that were swept as orphans meanwhile.
    let is_late = world::now().duration_since(begun).is_ok_and(|elapsed| elapsed > MAX_PART_AGE);
    let committed = if is_late {
        Committed::Lost { sequence: manifest.sequence }
    } else {
        create(state, store, manifest, bytes).await?
    };
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
    let unknown = |error: Error| {
        tracing::warn!(%error, "the outcome of a commit is unknown");
        Ok(Committed::Unknown { key: key.clone() })
    };
    match store.create(&key, bytes).await {
        Ok(_) => {}
        // What a store gives back may be spoilt or cut off, twice alike: only a sound manifest of another proves the loss.
        Err(error) if error.kind() == Kind::AlreadyExists && world::is_broken(Rule::BelieveSoundManifests) => {
            return Ok(Committed::Lost { sequence });
        }
        Err(error) if error.kind() == Kind::AlreadyExists => match who_has(state, store, sequence).await {
            Ok(link) if link == manifest.link => {}
            Ok(_) => return Ok(Committed::Lost { sequence }),
            Err(error) => return unknown(error),
        },
        Err(error) if error.may_have_happened() => return unknown(error.into()),
        Err(error) => return Err(error.into()),
    }
    match successor_is_ours(state, store, &manifest).await {
        Ok(true) => {
            state.saw(Arc::new(manifest));
            Ok(Committed::Won { sequence })
        }
        Ok(false) => Ok(Committed::Lost { sequence }),
        Err(error) => unknown(error),
    }
}

/// The link of the manifest that has a number.
async fn who_has(state: &TenantState, store: &Store, sequence: u64) -> Result<String, Error> {
    let bytes = store.get(&keys::manifest(state.tenant(), sequence)).await?;
    Ok(Head::decode(state.tenant(), sequence, &bytes)?.link())
}

/// Whether what follows a manifest, if anything, was built on it; an error where nothing tells. It is not if this writer slept
/// so long that the number it has just taken had been taken before, and that manifest deleted as an old one.
async fn successor_is_ours(state: &TenantState, store: &Store, manifest: &Manifest) -> Result<bool, Error> {
    let tenant = state.tenant();
    let after = keys::manifest(tenant, manifest.sequence);
    let later = store.list_up_to(&keys::manifests(tenant), Some(&after), 1).await?;
    let Some(next) = later.iter().find_map(|object| keys::manifest_sequence(&object.key)) else {
        return Ok(true);
    };
    if next != manifest.sequence + 1 {
        // The one in between is deleted. It may have been built on this one, or this one's number may have been taken before.
        let message = "what followed it is deleted already, so that nothing tells whether it counts";
        return Err(StorageError::new(Kind::Unavailable, Operation::List, &after, message).into());
    }
    let bytes = store.get(&keys::manifest(tenant, next)).await?;
    Ok(Head::decode(tenant, next, &bytes)?.previous() == manifest.link)
}

/// The manifest after a snapshot's, saying the same.
pub(crate) fn draft_after(snapshot: &Snapshot, written_unix_nanos: u64) -> Draft<'_> {
    let before = snapshot.manifest.as_deref();
    Draft {
        tenant: &snapshot.tenant,
        sequence: snapshot.manifest_sequence + 1,
        epoch: snapshot.epoch,
        previous: before.map(|before| before.link.clone()).unwrap_or_default(),
        written_unix_nanos,
        contents: before.map(|before| before.contents.clone()).unwrap_or_default(),
        new_parts: Vec::new(),
    }
}

/// What an edit makes of a snapshot: the next manifest. Pure.
fn apply<'a>(snapshot: &'a Snapshot, edit: &Edit, now_unix_nanos: u64) -> Result<Draft<'a>, Error> {
    if edit.epoch != snapshot.epoch && !world::is_broken(Rule::CheckEpoch) {
        let tenant = snapshot.tenant.clone();
        return Err(Error::Fenced { tenant, epoch: edit.epoch, current: snapshot.epoch });
    }
    let mut draft = draft_after(snapshot, now_unix_nanos);
    let contents = &mut draft.contents;
    contents.deleted = contents.deleted.without(&edit.forget_deleted);
    let leaving = leaving(snapshot, edit)?;
    let retired = edit.remove.iter().map(|block| Retired {
        key: Arc::clone(&block.key),
        sequence: draft.sequence,
        unix_nanos: now_unix_nanos,
    });
    contents.retired.extend(retired);
    let stay = std::mem::take(&mut contents.blocks).into_iter().filter(|block| !leaving.contains_key(&*block.key));
    let moved = edit.relevel.iter().map(|(block, level)| {
        let mut moved = block.clone();
        moved.meta.level = *level;
        moved
    });
    // A block of another level leaves its place and comes back among the head's own.
    let head = stay.chain(added(snapshot, edit, &leaving)?).chain(moved).collect();
    quarantine(contents, snapshot, edit);
    draft.arrange(head, &leaving, &edit.forget);
    Ok(draft)
}

/// The blocks that leave their place, by key: those that an edit removes, and those it gives another level.
fn leaving<'a>(snapshot: &Snapshot, edit: &'a Edit) -> Result<HashMap<&'a str, &'a BlockRef>, Error> {
    let mut leaving = HashMap::new();
    for block in edit.remove.iter().chain(edit.relevel.iter().map(|(block, _)| block)) {
        if snapshot.blocks.find(block).is_none() {
            return Err(Error::NotLive { key: Arc::clone(&block.key) });
        }
        if leaving.insert(&*block.key, block).is_some() {
            let problem = format!("it removes {:?} twice", block.key);
            return Err(Error::InvalidEdit { problem });
        }
    }
    let prefix = keys::blocks(&snapshot.tenant);
    if let Some((block, level)) = edit.relevel.iter().find(|(b, level)| *level == 0 || !b.key.starts_with(&prefix)) {
        let problem = format!("{:?} cannot be of level {level}", block.key);
        return Err(Error::InvalidEdit { problem });
    }
    Ok(leaving)
}

/// The blocks that an edit adds, checked.
fn added(snapshot: &Snapshot, edit: &Edit, leaving: &HashMap<&str, &BlockRef>) -> Result<Vec<BlockRef>, Error> {
    let invalid = |problem: String| Error::InvalidEdit { problem };
    let prefix = keys::blocks(&snapshot.tenant);
    let is_retired = |key: &str| snapshot.manifest.as_ref().is_some_and(|manifest| manifest.is_retired(key));
    let mut added = HashSet::new();
    for block in &edit.add {
        let below = block.key.strip_prefix(&prefix).filter(|name| !name.contains('/'));
        if below.is_none() || keys::block_meta(&block.key)?.as_ref() != Some(&block.meta) {
            return Err(invalid(format!("{:?} is not a block under {prefix:?} with these facts", block.key)));
        }
        let is_there =
            snapshot.blocks.find(block).is_some() || leaving.contains_key(&*block.key) || is_retired(&block.key);
        if is_there || !added.insert(&*block.key) {
            return Err(invalid(format!("it adds {:?}, which is there already", block.key)));
        }
    }
    Ok(edit.add.clone())
}

fn quarantine(contents: &mut Contents, snapshot: &Snapshot, edit: &Edit) {
    if edit.quarantine.is_empty() && edit.release.is_empty() && contents.quarantined.is_empty() {
        return;
    }
    let leaves = |key: &Arc<str>| edit.release.contains(key) || edit.remove.iter().any(|block| block.key == *key);
    let mut quarantined: Vec<Quarantined> =
        contents.quarantined.iter().filter(|one| !leaves(&one.key)).cloned().collect();
    for new in &edit.quarantine {
        let is_named = quarantined.iter().any(|one| one.key == new.key);
        if !is_named && quarantined.len() < MAX_QUARANTINED && snapshot.is_live(&new.key) {
            quarantined.push(Quarantined { problem: shortened(new.problem.clone()), ..new.clone() });
        }
    }
    contents.quarantined = quarantined.into();
}

impl Draft<'_> {
    /// Divides blocks and retired objects into parts, and encodes the parts that are new.
    fn arrange(&mut self, head: Vec<BlockRef>, leaving: &HashMap<&str, &BlockRef>, forgotten: &[Arc<str>]) {
        let (slots, head) = arrange(&self.contents.parts, head, leaving);
        self.contents.blocks = head;
        self.contents.parts = slots
            .into_iter()
            .map(|slot| match slot {
                Slot::Kept(part) => part,
                Slot::New(blocks) => self.new_part(blocks, Vec::new()),
            })
            .collect();
        let forgotten: HashSet<&str> = forgotten.iter().map(|key| &**key).collect();
        let is_forgotten = |retired: &Retired| forgotten.contains(&*retired.key);
        self.contents.retired.retain(|retired| !is_forgotten(retired));
        let mut parts = Vec::new();
        for part in std::mem::take(&mut self.contents.retired_parts) {
            if forgotten.is_empty() || !part.retired.iter().any(is_forgotten) {
                parts.push(part);
                continue;
            }
            let left: Vec<Retired> = part.retired.iter().filter(|retired| !is_forgotten(retired)).cloned().collect();
            if !left.is_empty() {
                parts.push(self.new_part(Vec::new(), left));
            }
        }
        if self.contents.retired.len() > MAX_HEAD_BLOCKS {
            let retired = std::mem::take(&mut self.contents.retired);
            parts.extend(retired.chunks(MAX_PART_BLOCKS).map(|some| self.new_part(Vec::new(), some.to_vec())));
        }
        self.contents.retired_parts = parts;
    }

    fn new_part(&mut self, blocks: Vec<BlockRef>, retired: Vec<Retired>) -> Arc<Part> {
        let (part, bytes) = Part::create(self.tenant, blocks, retired);
        self.new_parts.push((keys::manifest_part(self.tenant, &part.id), bytes));
        part
    }
}

/// Waits a moment of random length, so that those who race for a number do not race for the next one too.
pub(crate) async fn pause() {
    let chance = world::simulated_share().unwrap_or_else(rand::random);
    tokio::time::sleep(MAX_PAUSE.mul_f64(chance)).await;
}

pub(crate) fn unix_nanos_now() -> u64 {
    let since_epoch = world::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
