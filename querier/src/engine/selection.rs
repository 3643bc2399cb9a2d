//! Which rows and traces a count over spans looks at, whatever it counts: row groups in time, traces to see whole, and the rows of
//! those that are in spansets.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::{Condition, Field as BlockField, Literal, Op, Prune};
use spanlake_model::{TimeRange, TraceId};

use super::batch::{Batch, Opened, Piece, Wanted, block_of};
use super::plan::Plan;
use super::scan::{Hits, scan};
use crate::error::Error;
use crate::fetch::Reads;

/// What the traces that are loaded in one go may take. Each batch reads the chunks of all blocks that its trace ids lie in, so that
/// fewer batches read less.
const BATCH_BYTES: u64 = 24 << 20;
/// What a row takes beside its columns.
const ROW_BYTES: u64 = 48;
/// What a column takes of a row, about.
const COLUMN_ROW_BYTES: u64 = 8;
/// Of a wide row so many are loaded at least.
const MIN_BATCH_ROWS: u64 = 8_192;

/// Rows that start in the range, as far as row groups tell.
pub(super) fn in_time(range: TimeRange) -> Prune {
    let bound = |op, nanos: u64| match i64::try_from(nanos) {
        Ok(nanos) => Prune::Condition(Condition { field: BlockField::StartUnixNanos, op, value: Literal::Int(nanos) }),
        Err(_) => Prune::Unknown,
    };
    Prune::All(vec![bound(Op::Ge, range.start_unix_nanos), bound(Op::Le, range.end_unix_nanos)])
}

/// The traces that may have a span of the range in a spanset of the plan, ordered by id: found by a scan of every row group that
/// may meet a filter, or from summaries alone where no filter tells.
pub(super) async fn matching_traces(
    reads: &Reads<'_>,
    plan: &Arc<Plan>,
    opened: &[Option<Opened>],
    range: TimeRange,
) -> Result<Vec<Wanted>, Error> {
    let filters = plan.scanned_for().unwrap_or_default();
    if filters.is_empty() {
        let piece = |block: usize, ordinal: usize| Piece { block: block as u32, ordinal: ordinal as u32 };
        return Ok(wanted(opened, |block, ordinal| overlaps(opened, &[piece(block, ordinal)], range)));
    }
    let filters = &filters;
    let hits: Vec<Hits> = stream::iter(0..opened.len())
        .map(|block| async move {
            Ok::<_, Error>(scan(reads, block_of(opened, block as u32)?, plan, filters, false).await?.hits)
        })
        .buffered(reads.width())
        .try_collect()
        .await?;
    let bits = |piece: &Piece| {
        let hits = &hits[piece.block as usize];
        hits.binary_search_by_key(&piece.ordinal, |(ordinal, _)| *ordinal).map_or(0, |at| hits[at].1)
    };
    let mut wanted =
        wanted(opened, |block, ordinal| bits(&Piece { block: block as u32, ordinal: ordinal as u32 }) != 0);
    wanted.retain(|wanted| {
        let all = wanted.pieces.iter().map(bits).fold(plan.unscannable(), |all, bits| all | bits);
        plan.need.may_match(all, u64::MAX) && overlaps(opened, &wanted.pieces, range)
    });
    Ok(wanted)
}

/// Whether a span of the pieces may start in the range.
fn overlaps(opened: &[Option<Opened>], pieces: &[Piece], range: TimeRange) -> bool {
    pieces.iter().any(|piece| {
        opened[piece.block as usize].as_ref().is_none_or(|of| {
            let summary = &of.search.summaries()[piece.ordinal as usize];
            let end_unix_nanos = summary.end_unix_nanos.max(summary.start_unix_nanos);
            TimeRange { start_unix_nanos: summary.start_unix_nanos, end_unix_nanos }.overlaps(&range)
        })
    })
}

/// Traces of which some piece is chosen (by block and summary), with all their pieces, ordered by id.
pub(super) fn wanted(opened: &[Option<Opened>], choose: impl Fn(usize, usize) -> bool) -> Vec<Wanted> {
    let mut chosen: HashMap<TraceId, Vec<Piece>, RandomState> = HashMap::default();
    for (block, of) in opened.iter().enumerate() {
        for (ordinal, summary) in of.iter().flat_map(|of| of.hidden.shown(&of.search)) {
            if choose(block, ordinal) {
                chosen.entry(summary.trace_id).or_default();
            }
        }
    }
    if chosen.is_empty() {
        return Vec::new();
    }
    for (block, of) in opened.iter().enumerate() {
        for (ordinal, summary) in of.iter().flat_map(|of| of.hidden.shown(&of.search)) {
            if let Some(pieces) = chosen.get_mut(&summary.trace_id) {
                pieces.push(Piece { block: block as u32, ordinal: ordinal as u32 });
            }
        }
    }
    let mut wanted: Vec<Wanted> = chosen.into_iter().map(|(trace_id, pieces)| Wanted { trace_id, pieces }).collect();
    wanted.sort_unstable_by_key(|wanted| wanted.trace_id);
    wanted
}

/// Traces put together to be loaded in one go, in their order, for a plan of so many fields.
pub(super) fn batches(
    opened: &[Option<Opened>],
    wanted: Vec<Wanted>,
    field_count: usize,
) -> Result<Vec<Vec<Wanted>>, Error> {
    let row_bytes = ROW_BYTES + COLUMN_ROW_BYTES * field_count as u64;
    let batch_rows = (BATCH_BYTES / row_bytes).max(MIN_BATCH_ROWS);
    let mut batches: Vec<Vec<Wanted>> = Vec::new();
    let mut rows = batch_rows;
    for next in wanted {
        if rows >= batch_rows {
            batches.push(Vec::new());
            rows = 0;
        }
        for piece in &next.pieces {
            rows += u64::from(block_of(opened, piece.block)?.search.summaries()[piece.ordinal as usize].span_count);
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(next);
        }
    }
    Ok(batches)
}

/// The rows of each chunk that are in spansets, ascending; a span counts once for each spanset.
pub(super) fn chosen_rows(batch: &Batch, plan: &Plan) -> Vec<Vec<u32>> {
    let mut chosen: Vec<Vec<u32>> = vec![Vec::new(); batch.chunks.len()];
    for (trace, spansets) in batch.traces.iter().zip(batch.run(plan)) {
        for place in spansets.iter().flat_map(|spans| &spans.places) {
            let at = trace.rows[*place as usize];
            chosen[at.chunk as usize].push(at.row);
        }
    }
    chosen.iter_mut().for_each(|rows| rows.sort_unstable());
    chosen
}
