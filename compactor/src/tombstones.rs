//! Which blocks hold deleted traces, and when a deletion may be forgotten. It reads indexes, never rows.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use spanlake_catalog::{BlockRef, Catalog, Error, Snapshot};
use spanlake_model::TraceId;

use crate::memory::Memory;

/// Blocks looked at in one turn.
const CHECKED_A_TURN: usize = 1_000;

/// Blocks looked at at once.
const CHECKED_AT_ONCE: usize = 8;

/// Looks that may fail in one turn; then the store is in trouble, and another turn goes on.
const MAX_FAILED_LOOKS: usize = 16;

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

/// The live blocks of which it is not known whether they hold a deleted trace.
fn unknown<'a>(snapshot: &'a Snapshot, memory: &'a Memory) -> impl Iterator<Item = (&'a BlockRef, u64)> {
    let newest = newest(snapshot);
    snapshot.blocks.iter().filter_map(move |block| {
        let clean = memory.clean.get(&block.key).copied().unwrap_or(0);
        (newest > clean && !memory.holding.contains(&block.key)).then_some((block, clean))
    })
}

fn is_sound(snapshot: &Snapshot, memory: &Memory, block: &BlockRef) -> bool {
    let is_quarantined = snapshot.quarantined().iter().any(|one| one.key == block.key);
    !is_quarantined && !memory.left_out.contains(&block.key)
}

/// Whether there is anything to look at. A damaged block that cannot be read keeps the tombstones, and is not looked at again.
pub(crate) fn is_due(snapshot: &Snapshot, memory: &Memory) -> bool {
    !snapshot.deleted().is_empty() && unknown(snapshot, memory).any(|(block, _)| is_sound(snapshot, memory, block))
}

/// Looks at blocks that were not looked at since the newest deletion. A GET for each whose tail is not in memory, another one
/// where its filter says that it may hold the trace.
pub(crate) async fn check(catalog: &Catalog, snapshot: &Snapshot, memory: &mut Memory) -> Result<Checked, Error> {
    let newest = newest(snapshot);
    let looks: Vec<BoxFuture<'_, _>> = unknown(snapshot, memory)
        .filter(|(block, _)| is_sound(snapshot, memory, block))
        .take(CHECKED_A_TURN)
        .map(|(block, clean)| {
            let ids: Vec<TraceId> = snapshot.deleted().since(clean).copied().collect();
            let block = block.clone();
            async move {
                let found = holds(catalog, &block, &ids).await;
                (block, found)
            }
            .boxed()
        })
        .collect();
    let mut checked = Checked::default();
    let mut looks = stream::iter(looks).buffer_unordered(CHECKED_AT_ONCE);
    let mut found_all = Vec::new();
    let (mut gone, mut failed_count) = (Vec::new(), 0);
    while let Some((block, found)) = looks.next().await {
        match found {
            Ok(found) => found_all.push((block.key, found)),
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
    for block in gone {
        // Another compactor may have merged it since; where it is live the next time, too, its object is lost.
        if memory.missing.remove(&block.key) {
            checked.damaged.push((block, NOT_THERE.to_owned()));
        } else {
            memory.missing.insert(block.key);
        }
    }
    for (key, found) in found_all {
        if found {
            memory.holding.insert(key);
        } else {
            memory.clean.insert(key, newest);
        }
    }
    Ok(checked)
}

async fn holds(catalog: &Catalog, block: &BlockRef, ids: &[TraceId]) -> Result<bool, Error> {
    let opened = catalog.open_block(block).await?;
    let maybe: Vec<&TraceId> = ids.iter().filter(|id| !opened.row_groups_for(id).is_empty()).collect();
    if maybe.is_empty() {
        return Ok(false);
    }
    let search = catalog.open_search(block).await?;
    // Summaries are in order of trace id and name every trace of the block.
    let summaries = search.summaries();
    Ok(maybe.into_iter().any(|id| summaries.binary_search_by(|summary| summary.trace_id.cmp(id)).is_ok()))
}

/// Whether deletions could be forgotten, by the clocks of those who asked for them: worth a look at the store's clock.
pub(crate) fn may_be_forgotten(snapshot: &Snapshot, memory: &Memory, min_age: Duration, now_unix_nanos: u64) -> bool {
    let min_age = u64::try_from(min_age.as_nanos()).unwrap_or(u64::MAX);
    let oldest = snapshot.deleted().iter().map(|(_, tombstone)| tombstone.unix_nanos).min();
    oldest.is_some_and(|oldest| now_unix_nanos.saturating_sub(oldest) >= min_age) && none_holds(snapshot, memory)
}

fn none_holds(snapshot: &Snapshot, memory: &Memory) -> bool {
    let is_live = |key: &Arc<str>| snapshot.is_live(key);
    !memory.holding.iter().any(is_live) && unknown(snapshot, memory).next().is_none()
}

/// The deleted traces that no live block holds and whose deletion was committed before `written_before` by the store's clock,
/// each with the manifest that deleted it.
/// A LIST for each deletion.
pub(crate) async fn forgettable(
    catalog: &Catalog,
    snapshot: &Snapshot,
    memory: &Memory,
    written_before: SystemTime,
) -> Result<Vec<(TraceId, u64)>, Error> {
    if !none_holds(snapshot, memory) {
        return Ok(Vec::new());
    }
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
    Ok(tombstones.filter(|(_, sequence)| *sequence <= old).collect())
}
