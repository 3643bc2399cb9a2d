//! Counts spans of traces that are loaded whole, some at a time, ordered by trace id.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_buffer::BooleanBuffer;
use foldhash::fast::RandomState;
use spanlake_model::TimeRange;

use super::super::batch::{Batch, Load, Wanted, load};
use super::super::compile::Expr;
use super::super::plan::Plan;
use super::super::selection::{batches, chosen_rows, matching_traces};
use super::buckets::Buckets;
use super::compare::Comparison;
use super::count::{Counted, Counting, Example};
use super::{NamedExample, Run};
use crate::error::Error;

impl Run<'_> {
    /// Each trace decided whole.
    pub(super) async fn whole(&mut self, range: TimeRange) -> Result<(), Error> {
        self.count_traces();
        let wanted = matching_traces(self.reads, &self.plan, &self.opened, range).await?;
        self.batches(wanted).await
    }

    /// Loads and counts whole traces, some at a time.
    pub(super) async fn batches(&mut self, wanted: Vec<Wanted>) -> Result<(), Error> {
        for batch in batches(&self.opened, wanted, self.plan.fields.0.len())? {
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
