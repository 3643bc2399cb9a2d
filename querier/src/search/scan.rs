//! Reads one block for a search: its summaries, and which of its traces have a span that matches each tag.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::{Block, RowGroupPlan, SearchIndex};
use spanlake_catalog::BlockRef;
use spanlake_table::HiddenTraces;

use super::candidates::Summary;
use super::tag::{Matcher, Tag};
use crate::error::Error;
use crate::fetch::Reads;

/// What deciding a condition takes for each row, about.
const CONDITION_ROW_BYTES: u64 = 16;

/// What a search knows of one block.
pub(super) struct Scanned {
    pub(super) block: Arc<Block>,
    pub(super) index: Arc<SearchIndex>,
    /// Its traces that are deleted.
    hidden: HiddenTraces,
    /// For each summary: bit i is set when a span of the trace in this block matches tag i.
    matched: Vec<u64>,
}

impl Scanned {
    /// The block's summaries, those of deleted traces left out, each with its place.
    pub(super) fn summaries(&self) -> impl Iterator<Item = (usize, Summary)> + '_ {
        self.hidden.shown(&self.index).map(|(ordinal, summary)| {
            let summary = Summary {
                trace_id: summary.trace_id,
                start_unix_nanos: summary.start_unix_nanos,
                end_unix_nanos: summary.end_unix_nanos,
                matched: self.matched[ordinal],
            };
            (ordinal, summary)
        })
    }
}

/// Scans a block: its tail and search index if they are not in memory, then one read per row group that may match.
pub(super) async fn scan(reads: &Reads<'_>, at: BlockRef, tags: &[Tag]) -> Result<Scanned, Error> {
    let at = &at;
    // The index first: it brings the block along.
    let index = reads.search_index(at).await?;
    let block = reads.open(at).await?;
    let mut matched = vec![0u64; index.summaries().len()];
    let mut plans = Vec::new();
    for (i, tag) in tags.iter().enumerate() {
        let bit = 1u64 << i;
        match tag.matcher() {
            Matcher::Span(conditions) => {
                for condition in conditions {
                    let found = block.plan_scan(&index, std::slice::from_ref(condition));
                    plans.extend(found.into_iter().map(|plan| (bit, plan)));
                }
            }
            Matcher::RootName(part) => {
                for (bits, summary) in matched.iter_mut().zip(index.summaries()) {
                    let matches = summary.root_name.as_deref().is_some_and(|name| name.contains(part));
                    *bits |= if matches { bit } else { 0 };
                }
            }
            Matcher::RootService(part) => {
                for (bits, summary) in matched.iter_mut().zip(index.summaries()) {
                    let matches = summary.root_service.as_deref().is_some_and(|name| name.contains(part));
                    *bits |= if matches { bit } else { 0 };
                }
            }
        }
    }
    let hits: Vec<(u64, Vec<u32>)> = stream::iter(plans)
        .map(|(bit, plan)| {
            let (block, index) = (Arc::clone(&block), Arc::clone(&index));
            async move { Ok::<_, Error>((bit, matching(reads, at, block, index, plan).await?)) }
        })
        .buffer_unordered(reads.width())
        .try_collect()
        .await?;
    for (bit, ordinals) in hits {
        for ordinal in ordinals {
            let bits = matched.get_mut(ordinal as usize).ok_or_else(|| Error::Damaged {
                key: Arc::clone(&at.key),
                damage: format!("a row names trace {ordinal} of {}", index.summaries().len()),
            })?;
            *bits |= bit;
        }
    }
    let hidden = reads.hidden(at, &block, &index);
    Ok(Scanned { block, index, hidden, matched })
}

async fn matching(
    reads: &Reads<'_>,
    at: &BlockRef,
    block: Arc<Block>,
    index: Arc<SearchIndex>,
    plan: RowGroupPlan,
) -> Result<Vec<u32>, Error> {
    let ranges = plan.ranges.clone();
    let decoded_bytes = CONDITION_ROW_BYTES * block.row_count(plan.row_group) as u64;
    reads.read(at, ranges, decoded_bytes, move |bytes| block.matching_traces(&index, &plan, bytes)).await
}
