//! Which blocks hold deleted traces, and when a deletion may be forgotten. It reads indexes, never rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use spanlake_catalog::{BlockRef, Catalog, Error, Snapshot};
use spanlake_model::TraceId;
use spanlake_model::world::{self, Rule};

use crate::candidate::unix_nanos;
use crate::memory::Memory;

/// Blocks looked at in one turn.
const CHECKED_A_TURN: usize = 1_000;

/// Blocks looked at at once.
const CHECKED_AT_ONCE: usize = 8;

/// Looks that may fail in one turn; then the store is in trouble, and another turn goes on.
const MAX_FAILED_LOOKS: usize = 16;

/// How long a damaged block of which not even the trace ids can be read keeps all deletions, in nanoseconds: 7 days. Nobody can read a
/// row of it, unless its object is put back; after that who puts it back deletes anew.
const UNREADABLE_KEEPS_NANOS: u64 = 7 * 24 * 3_600 * 1_000_000_000;

/// What is wrong with a live block whose object is missing.
pub(crate) const NOT_THERE: &str = "its object is not there";

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Of how many blocks it is known now whether they hold a deleted trace.
    pub(crate) settled_count: usize,
    /// Blocks whose index is damaged or whose object is missing for the second time, and what is wrong.
    pub(crate) damaged: Vec<(BlockRef, String)>,
}

/// The newest manifest that deleted a trace.
fn newest(snapshot: &Snapshot) -> u64 {
    snapshot.deleted().iter().map(|(_, tombstone)| tombstone.sequence).max().unwrap_or(0)
}

/// The quarantined blocks, and since when.
fn quarantined(snapshot: &Snapshot) -> HashMap<&str, u64> {
    snapshot.quarantined().iter().map(|one| (&*one.key, one.unix_nanos)).collect()
}

/// The live blocks of which it is not known which of the deleted traces they hold, each with the manifest up to which it is. One that is
/// rewritten because it holds some need not be looked at again; a damaged one never is rewritten.
fn unknown<'a>(
    snapshot: &'a Snapshot,
    memory: &'a Memory,
    quarantined: &'a HashMap<&'a str, u64>,
) -> impl Iterator<Item = (&'a BlockRef, u64)> {
    let newest = newest(snapshot);
    snapshot.blocks.iter().filter_map(move |block| {
        let clean = memory.clean.get(&block.key).copied().unwrap_or(0);
        let is_rewritten = memory.holding.contains_key(&block.key) && !quarantined.contains_key(&*block.key);
        (newest > clean && !is_rewritten).then_some((block, clean))
    })
}

fn may_look(memory: &Memory, block: &BlockRef) -> bool {
    !memory.unreadable.contains(&block.key) && !memory.left_out.contains(&block.key)
}

/// Whether there is anything to look at. A damaged block that cannot be read is not looked at again before the next sweep.
pub(crate) fn is_due(snapshot: &Snapshot, memory: &Memory) -> bool {
    if snapshot.deleted().is_empty() {
        return false;
    }
    unknown(snapshot, memory, &quarantined(snapshot)).any(|(block, _)| may_look(memory, block))
}

/// Looks at blocks that were not looked at since the newest deletion. A GET for each whose tail is not in memory, another one
/// where its filter says that it may hold the trace.
pub(crate) async fn check(catalog: &Catalog, snapshot: &Snapshot, memory: &mut Memory) -> Result<Checked, Error> {
    let newest = newest(snapshot);
    let quarantined = quarantined(snapshot);
    let looks: Vec<BoxFuture<'_, _>> = unknown(snapshot, memory, &quarantined)
        .filter(|(block, _)| may_look(memory, block))
        .take(CHECKED_A_TURN)
        .map(|(block, clean)| {
            let ids: Vec<TraceId> = snapshot.deleted().since(clean).copied().collect();
            let block = block.clone();
            let is_damaged = quarantined.contains_key(&*block.key);
            async move {
                let found = held(catalog, &block, ids, is_damaged).await;
                (block, found)
            }
            .boxed()
        })
        .collect();
    let mut checked = Checked::default();
    let mut looks = stream::iter(looks).buffer_unordered(CHECKED_AT_ONCE);
    let mut found_all = Vec::new();
    let (mut gone, mut unreadable, mut failed_count) = (Vec::new(), Vec::new(), 0);
    while let Some((block, found)) = looks.next().await {
        match found {
            Ok(found) => found_all.push((block.key, found)),
            Err(error) if quarantined.contains_key(&*block.key) && (error.is_gone() || error.is_damage()) => {
                unreadable.push(block.key);
            }
            Err(error) if error.is_gone() => gone.push(block),
            Err(error) if error.is_damage() => checked.damaged.push((block, error.to_string())),
            Err(error) => {
                tracing::warn!(key = %block.key, %error, "a block was not searched for deleted traces: it is tried again");
                failed_count += 1;
                if failed_count >= MAX_FAILED_LOOKS {
                    break;
                }
            }
        }
    }
    drop(looks);
    checked.settled_count = found_all.len();
    memory.unreadable.extend(unreadable);
    for block in gone {
        // Another compactor may have merged it since; where it is live the next time, too, its object is lost.
        if memory.missing.remove(&block.key) {
            checked.damaged.push((block, NOT_THERE.to_owned()));
        } else {
            memory.missing.insert(block.key);
        }
    }
    for (key, found) in found_all {
        if !found.is_empty() {
            memory.holding.entry(Arc::clone(&key)).or_default().extend(found);
        }
        memory.clean.insert(key, newest);
    }
    Ok(checked)
}

/// Which of the traces a block holds.
async fn held(
    catalog: &Catalog,
    block: &BlockRef,
    mut ids: Vec<TraceId>,
    is_damaged: bool,
) -> Result<Vec<TraceId>, Error> {
    let opened = catalog.open_block(block).await?;
    ids.retain(|id| !opened.row_groups_for(id).is_empty());
    if ids.is_empty() {
        return Ok(ids);
    }
    let search = match catalog.open_search(block).await {
        Ok(search) => search,
        // Its filter may name a trace that it has not, and never leaves one out.
        Err(error) if is_damaged && error.is_damage() => return Ok(ids),
        Err(error) => return Err(error),
    };
    // Summaries are in order of trace id and name every trace of the block.
    let summaries = search.summaries();
    ids.retain(|id| summaries.binary_search_by(|summary| summary.trace_id.cmp(id)).is_ok());
    Ok(ids)
}

/// Whether deletions could be forgotten, by the clocks of those who asked for them: worth a look at the store's clock. One that
/// was asked for by a clock that is ahead of this one counts as old: how far ahead it is, is not known.
pub(crate) fn may_be_forgotten(snapshot: &Snapshot, memory: &Memory, min_age: Duration, now_unix_nanos: u64) -> bool {
    let min_age = u64::try_from(min_age.as_nanos()).unwrap_or(u64::MAX);
    let is_old = |asked: u64| now_unix_nanos.checked_sub(asked).is_none_or(|age| age >= min_age);
    snapshot.deleted().iter().any(|(_, tombstone)| is_old(tombstone.unix_nanos))
        && kept(snapshot, memory, now_unix_nanos).is_some_and(|kept| kept.len() < snapshot.deleted().len())
}

/// The deleted traces that damaged blocks hold. None while another live block holds one, or may.
fn kept(snapshot: &Snapshot, memory: &Memory, now_unix_nanos: u64) -> Option<HashSet<TraceId>> {
    if world::is_broken(Rule::LookBeforeForgetting) {
        return Some(HashSet::new());
    }
    let quarantined = quarantined(snapshot);
    let is_given_up = |block: &BlockRef| {
        let since = quarantined.get(&*block.key);
        memory.unreadable.contains(&block.key)
            && since.is_some_and(|since| now_unix_nanos.saturating_sub(*since) >= UNREADABLE_KEEPS_NANOS)
    };
    if unknown(snapshot, memory, &quarantined).any(|(block, _)| !is_given_up(block)) {
        return None;
    }
    let mut kept = HashSet::new();
    for (key, ids) in memory.holding.iter().filter(|(key, _)| snapshot.is_live(key)) {
        if !quarantined.contains_key(&**key) {
            return None;
        }
        kept.extend(ids);
    }
    Some(kept)
}

/// The deleted traces that no live block of the snapshot holds, and whose deletion had been committed for `min_age` when the
/// snapshot was taken, each with the manifest that deleted it. `taken_at` is when that was, or before, by the store's clock: what was
/// stored since is not in the snapshot, and a look may take long. A LIST for each deletion.
pub(crate) async fn forgettable(
    catalog: &Catalog,
    snapshot: &Snapshot,
    memory: &Memory,
    min_age: Duration,
    taken_at: SystemTime,
) -> Result<Vec<(TraceId, u64)>, Error> {
    let Some(kept) = kept(snapshot, memory, unix_nanos(taken_at)) else { return Ok(Vec::new()) };
    let written_before = taken_at.checked_sub(min_age).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut sequences: Vec<u64> = snapshot.deleted().iter().map(|(_, tombstone)| tombstone.sequence).collect();
    sequences.sort_unstable();
    sequences.dedup();
    let mut old = 0;
    for sequence in sequences {
        if !catalog.is_manifest_older(&snapshot.tenant, sequence, written_before).await? {
            break;
        }
        old = sequence;
    }
    let tombstones = snapshot.deleted().iter().map(|(id, tombstone)| (*id, tombstone.sequence));
    Ok(tombstones.filter(|(id, sequence)| *sequence <= old && !kept.contains(id)).collect())
}
