//! Looks into the row groups of one block: which rows meet a filter, and which values they have.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::{DistinctValues, ValueField};

use super::super::batch::Opened;
use super::super::plan::Plan;
use super::super::reading::{ReadRows, Reading};
use super::super::scan::alive;
use crate::error::Error;
use crate::fetch::Reads;

/// Rows of a row group, counted from the block's first row and ascending; none: all of them.
pub(super) type Chosen = Option<Arc<[u32]>>;

/// Rows of a block, by row groups that have any.
pub(super) struct ChosenRows {
    pub(super) row_groups: Vec<(usize, Chosen)>,
    /// Whether they were looked for, and counted, in the row groups themselves.
    are_counted: bool,
}

/// What listing the values of a field takes for each row while it is decoded, about.
const VALUE_ROW_BYTES: u64 = 16;

/// The filter of a plan that has one filter only.
const FILTER: usize = 0;

/// The rows that meet the plan's filter as far as each can be decided alone, by row groups that have any: one read for
/// each row group that may have one. Without a plan, all rows of all row groups and no read.
pub(super) async fn choose(reads: &Reads<'_>, opened: &Opened, plan: Option<&Arc<Plan>>) -> Result<ChosenRows, Error> {
    let Some(plan) = plan.filter(|plan| plan.weak[FILTER].is_some()) else {
        let shown = |row_group| (row_group, shown_rows(opened, row_group));
        let row_groups = (0..opened.block.row_group_count()).map(shown);
        let row_groups = row_groups.filter(|(_, rows)| rows.as_ref().is_none_or(|rows| !rows.is_empty())).collect();
        return Ok(ChosenRows { row_groups, are_counted: false });
    };
    let row_groups = alive(opened, plan, &[FILTER]).into_iter().enumerate().filter(|(_, alive)| !alive.is_empty());
    let chosen: Vec<(usize, Chosen)> = stream::iter(row_groups.map(|(row_group, _)| row_group).collect::<Vec<_>>())
        .map(|row_group| async move { Ok::<_, Error>((row_group, filter(reads, opened, plan, row_group).await?)) })
        .buffered(reads.width())
        .try_collect()
        .await?;
    let row_groups = chosen.into_iter().filter(|(_, rows)| rows.as_ref().is_none_or(|rows| !rows.is_empty())).collect();
    Ok(ChosenRows { row_groups, are_counted: true })
}

async fn filter(reads: &Reads<'_>, opened: &Opened, plan: &Arc<Plan>, row_group: usize) -> Result<Chosen, Error> {
    let reading = Reading::of(opened, row_group, plan, &plan.weak[FILTER]);
    let first_row = opened.block.rows_in(row_group).start;
    let (plan, shown) = (Arc::clone(plan), opened.shown_rows(row_group));
    let chosen = move |read: ReadRows| {
        let Some(expr) = &plan.weak[FILTER] else { return Ok(None) };
        let met = read.rows().filter(expr);
        let met = match &shown {
            Some(shown) => &met & shown,
            None => met,
        };
        let are_all = met.count_set_bits() == read.row_count;
        Ok((!are_all).then(|| met.set_indices().map(|row| first_row + row as u32).collect()))
    };
    reading.read(reads, &[], chosen).await
}

/// The rows of a row group that may be shown; none when all may.
fn shown_rows(opened: &Opened, row_group: usize) -> Chosen {
    let first_row = opened.block.rows_in(row_group).start;
    let shown = opened.shown_rows(row_group)?;
    Some(shown.set_indices().map(|row| first_row + row as u32).collect())
}

fn is_number(field: &ValueField) -> bool {
    matches!(field, ValueField::ResourceNumber | ValueField::ScopeNumber)
}

/// Lists the distinct values of fields on the chosen rows, of each type and row group the `limit` smallest: one read for
/// each field and row group that may have any. Hands them to `each` with the field's position, in any order.
pub(super) async fn list(
    reads: &Reads<'_>,
    opened: &Opened,
    chosen: &ChosenRows,
    fields: &[ValueField],
    limit: usize,
    mut each: impl FnMut(usize, DistinctValues),
) -> Result<(), Error> {
    let mut plans = Vec::new();
    for (row_group, rows) in &chosen.row_groups {
        let before = plans.len();
        for (position, field) in fields.iter().enumerate() {
            let plan = opened.block.plan_values(&opened.search, *row_group, field);
            if !plan.ranges.is_empty() {
                // Resources and scopes come as numbers, whose order means nothing.
                let limit = if is_number(field) { usize::MAX } else { limit };
                plans.push((position, plan, rows.clone(), limit));
            }
        }
        if !chosen.are_counted && plans.len() > before {
            reads.inspect_spans(opened.block.row_count(*row_group) as u64);
        }
    }
    let mut found = std::pin::pin!(
        stream::iter(plans)
            .map(|(position, plan, rows, limit)| {
                let block = Arc::clone(&opened.block);
                async move {
                    let ranges = plan.ranges.clone();
                    let decoded_bytes = VALUE_ROW_BYTES * block.row_count(plan.row_group) as u64;
                    let decode = move |bytes| block.distinct_values(&plan, rows.as_deref(), bytes, limit);
                    Ok::<_, Error>((position, reads.read(&opened.at, ranges, decoded_bytes, decode).await?))
                }
            })
            .buffer_unordered(reads.width())
    );
    while let Some((position, values)) = found.try_next().await? {
        each(position, values);
    }
    Ok(())
}
