//! Counts spans straight from row groups, where one filter decides each span alone.

use std::sync::Arc;

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use futures::{StreamExt as _, stream};
use spanlake_block::{Damage, Prune, RowField, RowValues};
use spanlake_model::TimeRange;
use spanlake_table::Held;

use super::super::batch::{Opened, block_of};
use super::super::plan::Plan;
use super::super::prune::prune;
use super::super::reading::{ReadRows, Reading};
use super::super::selection::{in_time, wanted};
use super::count::{Counted, Counting, Example};
use super::table::Table;
use super::{NamedExample, Run};
use crate::error::Error;
use crate::fetch::Reads;

/// Row groups that are read for examples: each costs a column of span ids.
const EXAMPLE_ROW_GROUPS: usize = 4;

/// What one read gives.
#[derive(Default)]
struct Part {
    counted: Counted,
    examples: Vec<NamedExample>,
    /// Traces set apart that have a matching span, by their summaries' places.
    apart_hits: Vec<u32>,
}

impl Run<'_> {
    /// Each span decided alone.
    pub(super) async fn simple(&mut self, range: TimeRange) -> Result<(), Error> {
        self.count_traces();
        let filter = self.plan.only_filter().and_then(|filter| self.plan.filters[filter].as_ref());
        let mut jobs = Vec::new();
        for (block, of) in self.opened.iter().enumerate() {
            let Some(of) = of else { continue };
            let mut wanted = vec![in_time(range)];
            wanted.extend(filter.map(|expr| prune(of, &self.plan.fields.0, expr)));
            let alive = of.block.prune(&of.search, &Prune::All(wanted));
            let row_groups = alive.iter().enumerate().filter(|(_, alive)| **alive);
            jobs.extend(row_groups.map(|(row_group, _)| (block, row_group)));
        }
        let has_filter = filter.is_some();
        let mut hits: Vec<Vec<u32>> = vec![Vec::new(); self.opened.len()];
        let (reads, plan, counting) = (self.reads, &self.plan, &self.counting);
        let (opened, apart) = (&self.opened, &self.apart);
        let examples = self.max_examples.div_ceil(EXAMPLE_ROW_GROUPS);
        let mut parts = Box::pin(
            stream::iter(jobs.into_iter().enumerate())
                .map(|(number, (block, row_group))| async move {
                    let of = block_of(opened, block as u32)?;
                    let examples = if number < EXAMPLE_ROW_GROUPS { examples } else { 0 };
                    let part = count_row_group(reads, of, plan, counting, &apart[block], row_group, examples).await?;
                    Ok::<_, Error>((block, part))
                })
                .buffered(reads.width()),
        );
        let mut table = Table::new(self.table.kind, counting.max_groups);
        let mut found = Vec::new();
        let mut outcome = Ok(());
        let mut held: Option<Held> = None;
        while let Some(next) = parts.next().await {
            match next {
                Ok((block, part)) => {
                    hits[block].extend(part.apart_hits);
                    found.extend(part.examples);
                    table.overflowed |= part.counted.overflowed;
                    part.counted.groups.into_iter().for_each(|(key, cells)| table.add(key, cells));
                    held = None;
                    match reads.hold(table.held_bytes) {
                        Ok(now) => held = Some(now),
                        Err(error) => {
                            outcome = Err(error);
                            break;
                        }
                    }
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        drop(parts);
        self.table = table;
        self.examples = found;
        self.held = held;
        outcome?;
        // Without a filter every trace has matching spans.
        let wanted = wanted(&self.opened, |block, ordinal| {
            self.apart[block][ordinal] && (!has_filter || hits[block].binary_search(&(ordinal as u32)).is_ok())
        });
        self.batches(wanted).await
    }
}

/// Counts the rows of a row group, but for those of traces that are set apart.
async fn count_row_group(
    reads: &Reads<'_>,
    of: &Opened,
    plan: &Arc<Plan>,
    counting: &Arc<Counting>,
    apart: &[bool],
    row_group: usize,
    examples: usize,
) -> Result<Part, Error> {
    let filter = plan.only_filter().filter(|filter| plan.filters[*filter].is_some());
    let rows_in = of.block.rows_in(row_group);
    let row_count = of.block.row_count(row_group);
    let summaries = of.search.summaries();
    let first = summaries.partition_point(|summary| summary.first_row + summary.span_count <= rows_in.start);
    let last = summaries.partition_point(|summary| summary.first_row < rows_in.end);
    let any_apart = apart[first..last].contains(&true);
    if filter.is_none() && !apart[first..last].contains(&false) {
        return Ok(Part::default());
    }
    let mut places: Vec<usize> = counting.by.iter().flat_map(|by| by.places.iter().copied()).collect();
    places.extend(counting.value);
    if let Some(expr) = filter.and_then(|filter| plan.filters[filter].as_ref()) {
        expr.each_field(&mut |place| places.push(place));
    }
    let reading = Reading::new(of, row_group, plan, places);
    let mut beside = vec![RowField::StartUnixNanos];
    beside.extend((examples > 0).then_some(RowField::SpanId));
    let (plan, counting, search) = (Arc::clone(plan), Arc::clone(counting), Arc::clone(&of.search));
    let not_apart = any_apart.then(|| {
        let mut mask = BooleanBufferBuilder::new(row_count);
        for ordinal in first..last {
            let summary = &summaries[ordinal];
            let start = summary.first_row.max(rows_in.start);
            let end = (summary.first_row + summary.span_count).min(rows_in.end);
            mask.append_n((end - start) as usize, !apart[ordinal]);
        }
        mask.finish()
    });
    let count = move |read: ReadRows| {
        let starts = match read.beside.first() {
            Some(RowValues::Numbers(starts)) => starts,
            _ => return Err(Damage::Corrupt { part: "row group", problem: "starts are missing".to_owned() }),
        };
        let matching = match filter.and_then(|filter| plan.filters[filter].as_ref()) {
            Some(expr) => read.rows().filter(expr),
            None => BooleanBuffer::new_set(row_count),
        };
        let mut part = Part::default();
        let alone = match &not_apart {
            None => matching,
            Some(not_apart) => {
                // Without a filter all of their traces are wanted, whatever is found here.
                if filter.is_some() {
                    let apart = &matching & &!not_apart;
                    let (mut ordinal, mut past_last) = (first, 0);
                    let summaries = search.summaries();
                    for row in apart.set_indices().map(|row| rows_in.start + row as u32) {
                        if row >= past_last {
                            ordinal += summaries[ordinal..].partition_point(|summary| summary.first_row <= row) - 1;
                            past_last = summaries[ordinal].first_row + summaries[ordinal].span_count;
                            part.apart_hits.push(ordinal as u32);
                        }
                    }
                }
                &matching & not_apart
            }
        };
        let rows: Vec<u32> = alone.set_indices().map(|row| row as u32).collect();
        part.counted = counting.count(&read.columns, starts, &rows, examples);
        if let Some(RowValues::Ids(span_ids)) = read.beside.get(1) {
            let summaries = search.summaries();
            for Example { row, key, value } in std::mem::take(&mut part.counted.examples) {
                let of_block = rows_in.start + row;
                let ordinal = summaries.partition_point(|summary| summary.first_row <= of_block) - 1;
                part.examples.push(NamedExample {
                    trace_id: summaries[ordinal].trace_id,
                    span_id: span_ids[row as usize],
                    start_unix_nanos: starts[row as usize] as u64,
                    key,
                    value,
                });
            }
        }
        Ok(part)
    };
    reading.read(reads, &beside, count).await
}
