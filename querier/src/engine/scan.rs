//! Which traces of a block have spans that meet the filters of a query: what indexes do not rule out, row group by row group.

use std::sync::Arc;

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_catalog::BlockRef;

use super::batch::Opened;
use super::plan::Plan;
use super::prune::prune;
use super::reading::{ReadRows, Reading};
use crate::error::Error;
use crate::fetch::Reads;

/// Traces of a block by their summaries' places, ascending, each with a bit for every filter that one of its spans meets.
pub(super) type Hits = Vec<(u32, u64)>;

/// What a scan found in a block.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) hits: Hits,
    /// For each row whether it meets the filter; where a scan for one filter was to keep them.
    pub(super) rows: Option<BooleanBuffer>,
}

/// Opens a block and its search index: at most one ranged GET for both, none when the catalog holds them.
pub(super) async fn open(reads: &Reads<'_>, at: &BlockRef) -> Result<Opened, Error> {
    // The index first: it brings the block along.
    let search = reads.search_index(at).await?;
    let block = reads.open(at).await?;
    let held = reads.hold_open(&at.key, (block.memory_bytes() + search.memory_bytes()) as u64)?;
    let hidden = reads.hidden(at, &block, &search);
    Ok(Opened { at: at.clone(), block, search, hidden, _held: held })
}

/// For each row group the filters (of those given) that a row of it may meet.
pub(super) fn alive(opened: &Opened, plan: &Plan, filters: &[usize]) -> Vec<Vec<usize>> {
    let mut alive = vec![Vec::new(); opened.block.row_group_count()];
    for filter in filters {
        let Some(expr) = &plan.weak[*filter] else { continue };
        let groups = opened.block.prune(&opened.search, &prune(opened, &plan.fields.0, expr));
        for (alive, _) in alive.iter_mut().zip(groups).filter(|(_, may)| *may) {
            alive.push(*filter);
        }
    }
    alive
}

/// Scans a block for the filters. One ranged read for each row group that may hold a match. Keeps which rows match, if asked to
/// and there is one filter.
pub(super) async fn scan(
    reads: &Reads<'_>,
    opened: &Opened,
    plan: &Arc<Plan>,
    filters: &[usize],
    keeps_rows: bool,
) -> Result<Found, Error> {
    let keeps_rows = keeps_rows && filters.len() == 1;
    let jobs = alive(opened, plan, filters).into_iter().enumerate().filter(|(_, alive)| !alive.is_empty());
    let found: Vec<(usize, Found)> = stream::iter(jobs.collect::<Vec<_>>())
        .map(|(row_group, filters)| async move {
            Ok::<_, Error>((row_group, scan_row_group(reads, opened, plan, row_group, filters, keeps_rows).await?))
        })
        .buffered(reads.width())
        .try_collect()
        .await?;
    let mut all = Found::default();
    let mut rows = keeps_rows.then(|| BooleanBufferBuilder::new(opened.at.meta.span_count as usize));
    let mut next = 0;
    for (row_group, Found { hits, rows: of_group }) in found {
        for (ordinal, bits) in hits {
            match all.hits.last_mut() {
                // A trace may lie in two row groups.
                Some((last, known)) if *last == ordinal => *known |= bits,
                _ => all.hits.push((ordinal, bits)),
            }
        }
        if let (Some(rows), Some(of_group)) = (&mut rows, of_group) {
            (next..row_group).for_each(|without| rows.append_n(opened.block.row_count(without), false));
            rows.append_buffer(&of_group);
            next = row_group + 1;
        }
    }
    all.hits.retain(|(ordinal, _)| !opened.hidden.contains(*ordinal as usize));
    all.rows = rows.map(|mut rows| {
        (next..opened.block.row_group_count())
            .for_each(|without| rows.append_n(opened.block.row_count(without), false));
        rows.finish()
    });
    Ok(all)
}

async fn scan_row_group(
    reads: &Reads<'_>,
    opened: &Opened,
    plan: &Arc<Plan>,
    row_group: usize,
    filters: Vec<usize>,
    keeps_rows: bool,
) -> Result<Found, Error> {
    let reading = Reading::of(opened, row_group, plan, filters.iter().filter_map(|filter| plan.weak[*filter].as_ref()));
    let first_row = opened.block.rows_in(row_group).start;
    let (plan, search) = (Arc::clone(plan), Arc::clone(&opened.search));
    let found = move |read: ReadRows| {
        let rows = read.rows();
        let mut kept = None;
        let summaries = search.summaries();
        let mut hits: Hits = Vec::new();
        for filter in &filters {
            let Some(expr) = &plan.weak[*filter] else { continue };
            let mut past_last = 0;
            let mut ordinal = 0;
            let met = rows.filter(expr);
            for row in met.set_indices().map(|row| first_row + row as u32) {
                if row >= past_last {
                    ordinal += summaries[ordinal..].partition_point(|summary| summary.first_row <= row) - 1;
                    past_last = summaries[ordinal].first_row + summaries[ordinal].span_count;
                    hits.push((ordinal as u32, 1 << filter));
                }
            }
            kept = keeps_rows.then_some(met);
        }
        hits.sort_unstable();
        hits.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 |= later.1;
            }
            same
        });
        Ok(Found { hits, rows: kept })
    };
    reading.read(reads, &[], found).await
}
