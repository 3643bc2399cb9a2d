//! Counts spans of traces that are loaded whole, some at a time, ordered by trace id.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_buffer::BooleanBuffer;
use foldhash::fast::RandomState;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_model::{TimeRange, TraceId};

use super::super::batch::{Batch, Load, Piece, Wanted, block_of, load};
use super::super::compile::Expr;
use super::super::plan::Plan;
use super::super::scan::{Hits, scan};
use super::buckets::Buckets;
use super::compare::Comparison;
use super::count::{Counted, Counting, Example};
use super::{NamedExample, Run};
use crate::error::Error;

/// What the traces that are loaded in one go may take. Each batch reads the chunks of all blocks that its trace ids lie in, so that
/// fewer batches read less.
const BATCH_BYTES: u64 = 24 << 20;
/// What a row takes beside its columns.
const ROW_BYTES: u64 = 48;
/// What a column takes of a row, about.
const COLUMN_ROW_BYTES: u64 = 8;
/// Of a wide row so many are loaded at least.
const MIN_BATCH_ROWS: u64 = 8_192;

impl Run<'_> {
    /// Each trace decided whole.
    pub(super) async fn whole(&mut self, range: TimeRange) -> Result<(), Error> {
        self.count_traces();
        let filters = self.plan.scanned_for().unwrap_or_default();
        if filters.is_empty() {
            let piece = |block: usize, ordinal: usize| Piece { block: block as u32, ordinal: ordinal as u32 };
            let near = self.wanted(|block, ordinal| self.overlaps(&[piece(block, ordinal)], range));
            return self.batches(near).await;
        }
        let (reads, plan, opened, filters) = (self.reads, &self.plan, &self.opened, &filters);
        let hits: Vec<Hits> = stream::iter(0..self.opened.len())
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
            self.wanted(|block, ordinal| bits(&Piece { block: block as u32, ordinal: ordinal as u32 }) != 0);
        wanted.retain(|wanted| {
            let all = wanted.pieces.iter().map(bits).fold(self.plan.unscannable(), |all, bits| all | bits);
            self.plan.need.may_match(all, u64::MAX) && self.overlaps(&wanted.pieces, range)
        });
        self.batches(wanted).await
    }

    /// Whether a span of the pieces may start in the range.
    fn overlaps(&self, pieces: &[Piece], range: TimeRange) -> bool {
        pieces.iter().any(|piece| {
            let of = self.opened[piece.block as usize].as_ref();
            of.is_none_or(|of| {
                let summary = &of.search.summaries()[piece.ordinal as usize];
                let end_unix_nanos = summary.end_unix_nanos.max(summary.start_unix_nanos);
                TimeRange { start_unix_nanos: summary.start_unix_nanos, end_unix_nanos }.overlaps(&range)
            })
        })
    }

    /// Traces of which some piece is chosen, with all their pieces, ordered by id.
    pub(super) fn wanted(&self, choose: impl Fn(usize, usize) -> bool) -> Vec<Wanted> {
        let mut chosen: HashMap<TraceId, Vec<Piece>, RandomState> = HashMap::default();
        for (block, of) in self.opened.iter().enumerate() {
            for (ordinal, summary) in of.iter().flat_map(|of| of.hidden.shown(&of.search)) {
                if choose(block, ordinal) {
                    chosen.entry(summary.trace_id).or_default();
                }
            }
        }
        if chosen.is_empty() {
            return Vec::new();
        }
        for (block, of) in self.opened.iter().enumerate() {
            for (ordinal, summary) in of.iter().flat_map(|of| of.hidden.shown(&of.search)) {
                if let Some(pieces) = chosen.get_mut(&summary.trace_id) {
                    pieces.push(Piece { block: block as u32, ordinal: ordinal as u32 });
                }
            }
        }
        let mut wanted: Vec<Wanted> =
            chosen.into_iter().map(|(trace_id, pieces)| Wanted { trace_id, pieces }).collect();
        wanted.sort_unstable_by_key(|wanted| wanted.trace_id);
        wanted
    }

    /// Loads and counts whole traces, some at a time.
    pub(super) async fn batches(&mut self, wanted: Vec<Wanted>) -> Result<(), Error> {
        let row_bytes = ROW_BYTES + COLUMN_ROW_BYTES * self.plan.fields.0.len() as u64;
        let batch_rows = (BATCH_BYTES / row_bytes).max(MIN_BATCH_ROWS);
        let mut wanted = wanted.into_iter().peekable();
        while wanted.peek().is_some() {
            let (mut batch, mut rows) = (Vec::new(), 0);
            while let Some(next) = wanted.next_if(|_| rows < batch_rows) {
                for piece in &next.pieces {
                    let of = block_of(&self.opened, piece.block)?;
                    rows += u64::from(of.search.summaries()[piece.ordinal as usize].span_count);
                }
                batch.push(next);
            }
            let loaded = load(self.reads, &self.opened, &self.plan, batch, Load::default()).await?;
            let (plan, counting) = (Arc::clone(&self.plan), Arc::clone(&self.counting));
            let examples = self.max_examples.saturating_sub(self.examples.len());
            if let Some((mut comparison, selection, times)) = self.comparison.take() {
                let work = move || {
                    compare_batch(&loaded, &plan, &counting.buckets, &mut comparison, selection.as_ref(), times);
                    (comparison, selection, times)
                };
                let compared = self.reads.compute(work).await?;
                let held_bytes = compared.0.held_bytes();
                self.comparison = Some(compared);
                self.held = None;
                self.held = Some(self.reads.hold(held_bytes)?);
                continue;
            }
            let parts = self.reads.compute(move || count_batch(&loaded, &plan, &counting, examples)).await?;
            for (counted, examples) in parts {
                self.examples.extend(examples);
                self.table.overflowed |= counted.overflowed;
                counted.groups.into_iter().for_each(|(key, cells)| self.table.add(key, cells));
            }
            self.hold_table()?;
        }
        Ok(())
    }
}

/// The rows of each chunk that are in spansets, ascending; a span counts once for each spanset.
fn chosen_rows(batch: &Batch, plan: &Plan) -> Vec<Vec<u32>> {
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

fn count_batch(batch: &Batch, plan: &Plan, counting: &Counting, examples: usize) -> Vec<(Counted, Vec<NamedExample>)> {
    let chosen = chosen_rows(batch, plan);
    let mut left = examples;
    let mut parts = Vec::with_capacity(batch.chunks.len());
    let mut named: HashMap<(u32, u32), Example, RandomState> = HashMap::default();
    for (number, (chunk, rows)) in batch.chunks.iter().zip(&chosen).enumerate() {
        let mut counted = counting.count(&chunk.columns, &chunk.starts, rows, left.min(EXAMPLES_OF_CHUNK));
        left = left.saturating_sub(counted.examples.len());
        let examples = std::mem::take(&mut counted.examples).into_iter();
        named.extend(examples.map(|example| ((number as u32, example.row), example)));
        parts.push((counted, Vec::new()));
    }
    for trace in batch.traces.iter().filter(|_| !named.is_empty()) {
        for at in &trace.rows {
            let Some(Example { row, key, value }) = named.get(&(at.chunk, at.row)).cloned() else { continue };
            let chunk = &batch.chunks[at.chunk as usize];
            let (span_id, start) = (chunk.span_ids[row as usize], chunk.starts[row as usize]);
            let (_, examples) = &mut parts[at.chunk as usize];
            let trace_id = trace.trace_id;
            examples.push(NamedExample { trace_id, span_id, start_unix_nanos: start as u64, key, value });
        }
    }
    parts
}

/// Examples of one chunk of whole traces.
const EXAMPLES_OF_CHUNK: usize = 8;

fn compare_batch(
    batch: &Batch,
    plan: &Plan,
    buckets: &Buckets,
    comparison: &mut Comparison,
    selection: Option<&Expr>,
    times: Option<(i64, i64)>,
) {
    for (chunk, rows) in batch.chunks.iter().zip(chosen_rows(batch, plan)) {
        let mut selected = match selection {
            Some(expr) => chunk.rows().filter(expr),
            None => BooleanBuffer::new_set(chunk.row_count),
        };
        if let Some((from, to)) = times {
            let inside = |row: usize| i64::try_from(chunk.starts[row] as u64).is_ok_and(|at| (from..=to).contains(&at));
            selected = &selected & &BooleanBuffer::collect_bool(chunk.row_count, inside);
        }
        comparison.count(&chunk.columns, &chunk.starts, &rows, &selected, buckets);
    }
}
