//! Which traces of a block have spans that meet the filters of a query: what indexes do not rule out, row group by row group.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::{Damage, RowField};
use spanlake_catalog::BlockRef;

use super::batch::Opened;
use super::column::{Column, Origin, may_have, origin};
use super::eval::Rows;
use super::plan::Plan;
use super::prune::prune;
use crate::error::Error;
use crate::fetch::Reads;

/// Traces of a block by their summaries' places, ascending, each with a bit for every filter that one of its spans meets.
pub(super) type Hits = Vec<(u32, u64)>;

/// Opens a block and its search index: at most one ranged GET for both, none when the catalog holds them.
pub(super) async fn open(reads: &Reads<'_>, at: &BlockRef) -> Result<Opened, Error> {
    // The index first: it brings the block along.
    let search = reads.search_index(at).await?;
    let block = reads.open(at).await?;
    let held = reads.hold((block.memory_bytes() + search.memory_bytes()) as u64)?;
    Ok(Opened { at: at.clone(), block, search, _held: Arc::new(held) })
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

/// Fields of rows by the places of a plan, and what of a row group to read for them.
pub(super) struct Reading {
    fields: Vec<RowField>,
    origins: Vec<Option<Vec<usize>>>,
}

impl Reading {
    /// The fields at the given places, which are all of rows.
    pub(super) fn new(opened: &Opened, row_group: usize, plan: &Plan, places: impl Iterator<Item = usize>) -> Self {
        let mut fields: Vec<RowField> = Vec::new();
        let mut origins = vec![None; plan.fields.0.len()];
        for place in places {
            let Origin::Rows(rows) = origin(&plan.fields.0[place]) else { continue };
            let there = rows.into_iter().filter(|row| may_have(&opened.block, &opened.search, row_group, row));
            let places = there.map(|row| match fields.iter().position(|known| *known == row) {
                Some(at) => at,
                None => {
                    fields.push(row);
                    fields.len() - 1
                }
            });
            origins[place] = Some(places.collect());
        }
        Self { fields, origins }
    }

    /// What to read.
    pub(super) fn fields(&self) -> &[RowField] {
        &self.fields
    }

    /// The columns, from what was read.
    pub(super) fn columns(
        &self,
        plan: &Plan,
        read: Vec<spanlake_block::RowValues>,
        row_count: usize,
    ) -> Vec<Option<Column>> {
        let mut uses = vec![0_usize; self.fields.len()];
        self.origins.iter().flatten().flatten().for_each(|at| uses[*at] += 1);
        let mut read: Vec<Option<spanlake_block::RowValues>> = read.into_iter().map(Some).collect();
        let column = |(field, origins): (&spanlake_traceql::Field, &Option<Vec<usize>>)| {
            let values = origins.as_ref().filter(|origins| !origins.is_empty())?.iter().filter_map(|at| {
                uses[*at] -= 1;
                // The last use takes it.
                if uses[*at] == 0 { read[*at].take() } else { read[*at].clone() }
            });
            let values = values.collect();
            Some(Column::new(field, values, row_count))
        };
        plan.fields.0.iter().zip(&self.origins).map(column).collect()
    }
}

/// Scans a block for the filters. One ranged read for each row group that may hold a match.
pub(super) async fn scan(
    reads: &Reads<'_>,
    opened: &Opened,
    plan: &Arc<Plan>,
    filters: &[usize],
) -> Result<Hits, Error> {
    let jobs = alive(opened, plan, filters).into_iter().enumerate().filter(|(_, alive)| !alive.is_empty());
    let hits: Vec<Hits> = stream::iter(jobs.collect::<Vec<_>>())
        .map(|(row_group, filters)| scan_row_group(reads, opened, plan, row_group, filters))
        .buffered(reads.width())
        .try_collect()
        .await?;
    let mut all: Hits = Vec::new();
    for (ordinal, bits) in hits.into_iter().flatten() {
        match all.last_mut() {
            // A trace may lie in two row groups.
            Some((last, known)) if *last == ordinal => *known |= bits,
            _ => all.push((ordinal, bits)),
        }
    }
    Ok(all)
}

async fn scan_row_group(
    reads: &Reads<'_>,
    opened: &Opened,
    plan: &Arc<Plan>,
    row_group: usize,
    filters: Vec<usize>,
) -> Result<Hits, Error> {
    let mut places = Vec::new();
    for filter in &filters {
        if let Some(expr) = &plan.weak[*filter] {
            expr.each_field(&mut |place| places.push(place));
        }
    }
    let reading = Reading::new(opened, row_group, plan, places.into_iter());
    let fields = opened.block.plan_fields(&opened.search, row_group, reading.fields());
    let ranges = fields.ranges.clone();
    let row_count = opened.block.row_count(row_group);
    reads.inspect_spans(row_count as u64);
    let (plan, block, search) = (Arc::clone(plan), Arc::clone(&opened.block), Arc::clone(&opened.search));
    let decode = move |bytes: Vec<Bytes>| -> Result<Hits, Damage> {
        let read = block.read_fields(&search, &fields, None, bytes)?;
        let columns = reading.columns(&plan, read, row_count);
        let rows = Rows { row_count, columns: &columns };
        let first_row = block.rows_in(row_group).start;
        let summaries = search.summaries();
        let mut hits: Hits = Vec::new();
        for filter in &filters {
            let Some(expr) = &plan.weak[*filter] else { continue };
            let mut past_last = 0;
            let mut ordinal = 0;
            for row in rows.filter(expr).set_indices().map(|row| first_row + row as u32) {
                if row >= past_last {
                    ordinal += summaries[ordinal..].partition_point(|summary| summary.first_row <= row) - 1;
                    past_last = summaries[ordinal].first_row + summaries[ordinal].span_count;
                    hits.push((ordinal as u32, 1 << filter));
                }
            }
        }
        hits.sort_unstable();
        hits.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 |= later.1;
            }
            same
        });
        Ok(hits)
    };
    reads.read(&opened.at, ranges, decode).await
}
