//! Which traces may have a copy of a span in another block. Only those need to be seen whole to count each span once.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::{RowField, RowValues, TraceSummary};
use spanlake_model::TraceId;

use super::super::batch::Opened;
use crate::error::Error;
use crate::fetch::Reads;
use crate::fields::WhichRows;

/// The number of a trace that one block has alone.
const ALONE: u32 = u32::MAX;
/// Most rows of traces in several blocks whose span ids are compared (8 bytes each); past it all those traces are seen whole.
const MAX_COMPARED_ROWS: u64 = 8_000_000;

/// For each block, for each summary, whether its rows are not to be counted straight: the trace has a span id that another block
/// has of it too, or is deleted. One ranged read for each row
/// group with a trace that several blocks have.
pub(in crate::engine) async fn apart(reads: &Reads<'_>, opened: &[Option<Opened>]) -> Result<Vec<Vec<bool>>, Error> {
    let mut apart = repeated(reads, opened).await?;
    for (apart, of) in apart.iter_mut().zip(opened) {
        let Some(of) = of.as_ref().filter(|of| !of.hidden.is_empty()) else { continue };
        apart.iter_mut().enumerate().for_each(|(ordinal, apart)| *apart |= of.hidden.contains(ordinal));
    }
    Ok(apart)
}

/// For each block, for each summary, whether other blocks have spans of the trace too. Takes time in proportion to the traces.
pub(in crate::engine) fn shared(opened: &[Option<Opened>]) -> Vec<Vec<bool>> {
    let numbered = Numbered::new(opened);
    numbered.of_blocks.iter().map(|numbers| numbers.iter().map(|number| *number != ALONE).collect()).collect()
}

/// For each block, for each summary, whether the trace has a span id that another block has of it too.
async fn repeated(reads: &Reads<'_>, opened: &[Option<Opened>]) -> Result<Vec<Vec<bool>>, Error> {
    let trace_count: usize = opened.iter().map(|of| summaries(of).len()).sum();
    // While traces are told apart each takes a place in a table of ids.
    let telling = reads.hold(48 * trace_count as u64)?;
    let numbered = {
        let opened = opened.to_vec();
        reads.compute(move || Numbered::new(&opened)).await?
    };
    drop(telling);
    let in_several = |numbers: &Vec<u32>| numbers.iter().map(|number| *number != ALONE).collect();
    if numbered.row_count == 0 || numbered.row_count > MAX_COMPARED_ROWS {
        return Ok(numbered.of_blocks.iter().map(in_several).collect());
    }
    let _held = reads.hold(16 * numbered.row_count)?;
    let numbered = Arc::new(numbered);
    let row_groups = opened.iter().enumerate().flat_map(|(block, of)| {
        let row_groups = 0..of.as_ref().map_or(0, |of| of.block.row_group_count());
        row_groups.map(move |row_group| (block, row_group))
    });
    let parts: Vec<Vec<(u32, u64)>> = stream::iter(row_groups.collect::<Vec<_>>())
        .map(|(block, row_group)| ids_of(reads, opened, &numbered, block, row_group))
        .buffered(reads.width())
        .try_collect()
        .await?;
    let repeated = {
        let numbered = Arc::clone(&numbered);
        reads.compute(move || numbered.repeated(&parts)).await?
    };
    let apart = |numbers: &Vec<u32>| {
        numbers.iter().map(|number| repeated.get(*number as usize).copied().unwrap_or(false)).collect()
    };
    Ok(numbered.of_blocks.iter().map(apart).collect())
}

fn summaries(of: &Option<Opened>) -> &[TraceSummary] {
    of.as_ref().map_or(&[], |of| of.search.summaries())
}

/// Traces that several blocks have, numbered.
struct Numbered {
    /// For each block, for each summary, the trace's number.
    of_blocks: Vec<Vec<u32>>,
    /// For each number, how many rows the trace has in all blocks.
    rows: Vec<u32>,
    row_count: u64,
}

impl Numbered {
    fn new(opened: &[Option<Opened>]) -> Self {
        let mut of_blocks: Vec<Vec<u32>> = opened.iter().map(|of| vec![ALONE; summaries(of).len()]).collect();
        let mut rows: Vec<u32> = Vec::new();
        if opened.len() > 1 {
            let count = of_blocks.iter().map(Vec::len).sum();
            let mut first: HashMap<TraceId, (u32, u32), RandomState> =
                HashMap::with_capacity_and_hasher(count, RandomState::default());
            for (block, of) in opened.iter().enumerate() {
                for (ordinal, summary) in summaries(of).iter().enumerate() {
                    let (other, at) = *first.entry(summary.trace_id).or_insert((block as u32, ordinal as u32));
                    if other as usize == block {
                        continue;
                    }
                    let number = &mut of_blocks[other as usize][at as usize];
                    if *number == ALONE {
                        *number = rows.len() as u32;
                        rows.push(summaries(&opened[other as usize])[at as usize].span_count);
                    }
                    let number = *number;
                    rows[number as usize] = rows[number as usize].saturating_add(summary.span_count);
                    of_blocks[block][ordinal] = number;
                }
            }
        }
        let row_count = rows.iter().map(|rows| u64::from(*rows)).sum();
        Self { of_blocks, rows, row_count }
    }

    /// For each number whether a span id comes twice.
    fn repeated(&self, parts: &[Vec<(u32, u64)>]) -> Vec<bool> {
        let mut ends = Vec::with_capacity(self.rows.len());
        let mut end = 0_usize;
        for rows in &self.rows {
            ends.push(end);
            end += *rows as usize;
        }
        let mut ids = vec![0_u64; end];
        // Each trace's place moves on as it is filled, from where it begins to where the next one begins.
        for (number, id) in parts.iter().flatten() {
            let place = &mut ends[*number as usize];
            if let Some(slot) = ids.get_mut(*place) {
                *slot = *id;
                *place += 1;
            }
        }
        let mut begin = 0;
        let repeats = |end: &usize| {
            let of_trace = &mut ids[begin..(*end).max(begin)];
            begin = (*end).max(begin);
            of_trace.sort_unstable();
            of_trace.windows(2).any(|pair| pair[0] == pair[1])
        };
        ends.iter().map(repeats).collect()
    }
}

/// Numbers and span ids of the rows of a row group whose traces have a number.
async fn ids_of(
    reads: &Reads<'_>,
    opened: &[Option<Opened>],
    numbered: &Arc<Numbered>,
    block: usize,
    row_group: usize,
) -> Result<Vec<(u32, u64)>, Error> {
    let Some(of) = &opened[block] else { return Ok(Vec::new()) };
    let rows_in = of.block.rows_in(row_group);
    let all = of.search.summaries();
    let first = all.partition_point(|summary| summary.first_row + summary.span_count <= rows_in.start);
    let last = all.partition_point(|summary| summary.first_row < rows_in.end);
    if numbered.of_blocks[block][first..last].iter().all(|number| *number == ALONE) {
        return Ok(Vec::new());
    }
    let (numbered, search) = (Arc::clone(numbered), Arc::clone(&of.search));
    let pair = move |read: Vec<RowValues>| {
        let Some(RowValues::Ids(ids)) = read.first() else { return Ok(Vec::new()) };
        let mut pairs = Vec::new();
        for (summary, number) in search.summaries()[first..last].iter().zip(&numbered.of_blocks[block][first..last]) {
            if *number != ALONE {
                let start = summary.first_row.max(rows_in.start) - rows_in.start;
                let end = (summary.first_row + summary.span_count).min(rows_in.end) - rows_in.start;
                pairs.extend(ids[start as usize..end as usize].iter().map(|id| (*number, *id)));
            }
        }
        Ok(pairs)
    };
    reads.fields(of.parts(), row_group, vec![RowField::SpanId], WhichRows::All, pair).await
}
