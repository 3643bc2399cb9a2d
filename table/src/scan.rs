//! One block as a stream of batches: indexes first, then the column chunks of the conditions, then, only where rows were
//! found, those of the projection.

use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::{Column, Condition, Projection, RowGroupPlan};
use spanlake_catalog::BlockRef;
use spanlake_model::TraceId;

use crate::distinct::Distinct;
use crate::error::Error;
use crate::metrics::ScanMetrics;
use crate::source::{Opened, Source};

/// Row groups of one block that are being read at once: while one is decoded the next arrives. Each holds the column
/// chunks it needs, at most a row group's bytes (about 2 MB).
pub const READ_AHEAD_ROW_GROUPS: usize = 2;

/// What is wanted of each block.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// A row is wanted if it meets all of them ...
    pub(crate) conditions: Vec<Condition>,
    /// ... and, if given, belongs to one of these traces, ascending.
    pub(crate) traces: Option<Arc<[TraceId]>>,
    /// ... and, if given, is not a copy of a span in an earlier block.
    pub(crate) distinct: Option<Arc<Distinct>>,
    pub(crate) columns: Vec<Column>,
    pub(crate) batch_rows: usize,
}

/// A row group to read.
struct Step {
    plan: RowGroupPlan,
    /// The only rows that may be wanted, if that is known already.
    rows: Option<Vec<u32>>,
}

/// The wanted rows of a block, in row order, so ascending by trace id.
pub(crate) fn scan_block(
    source: Arc<dyn Source>,
    at: BlockRef,
    request: Arc<Request>,
    metrics: ScanMetrics,
) -> impl Stream<Item = Result<RecordBatch, Error>> + Send {
    let open = async move {
        let opened = source.open(&at).await?;
        let steps = plan(&opened, &request, &metrics);
        let batches =
            stream::iter(steps)
                .map(move |step| {
                    let key = Arc::clone(&at.key);
                    let read = read_row_group(
                        Arc::clone(&source),
                        at.clone(),
                        opened.clone(),
                        step,
                        Arc::clone(&request),
                        metrics.clone(),
                    );
                    // A task of its own goes on while the consumer is busy elsewhere, so that a request under way never waits,
                    // with its place in the store's queue, for a consumer that waits for another block. Dropping it aborts it.
                    let task = SpawnedTask::spawn(read);
                    async move {
                        task.await.unwrap_or_else(|error| Err(Error::Interrupted { key, problem: error.to_string() }))
                    }
                })
                .buffered(READ_AHEAD_ROW_GROUPS)
                .map_ok(|found| stream::iter(found.into_iter().flatten()))
                .try_flatten();
        Ok::<_, Error>(batches)
    };
    stream::once(open).try_flatten()
}

fn plan(opened: &Opened, request: &Request, metrics: &ScanMetrics) -> Vec<Step> {
    let Opened { block, search, .. } = opened;
    let plans = block.plan_scan(search, &request.conditions);
    let steps: Vec<Step> = match &request.traces {
        None => plans.into_iter().map(|plan| Step { plan, rows: None }).collect(),
        Some(traces) => {
            let mut wanted = rows_of_traces(opened, traces).into_iter().peekable();
            let mut steps = Vec::new();
            for plan in plans {
                let range = block.rows_in(plan.row_group);
                while wanted.next_if(|row| *row < range.start).is_some() {}
                let rows: Vec<u32> = std::iter::from_fn(|| wanted.next_if(|row| *row < range.end)).collect();
                if !rows.is_empty() {
                    steps.push(Step { plan, rows: Some(rows) });
                }
            }
            steps
        }
    };
    metrics.row_groups_scanned.add(steps.len());
    metrics.row_groups_pruned.add(block.row_group_count() - steps.len());
    steps
}

/// Rows of the block's pieces of the traces, ascending. Both sides are ordered by trace id.
fn rows_of_traces(opened: &Opened, traces: &[TraceId]) -> Vec<u32> {
    let mut rows = Vec::new();
    let mut summaries = opened.search.summaries();
    for id in traces {
        summaries = &summaries[summaries.partition_point(|summary| summary.trace_id < *id)..];
        if let Some(summary) = summaries.first().filter(|summary| summary.trace_id == *id) {
            rows.extend(summary.first_row..summary.first_row + summary.span_count);
        }
    }
    rows
}

struct Found {
    at: BlockRef,
    projection: Projection,
}

impl Iterator for Found {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.projection.next()?.map_err(|damage| Error::damaged(&self.at.key, damage)))
    }
}

async fn read_row_group(
    source: Arc<dyn Source>,
    at: BlockRef,
    opened: Opened,
    step: Step,
    request: Arc<Request>,
    metrics: ScanMetrics,
) -> Result<Option<Found>, Error> {
    let Opened { block, search, hidden } = &opened;
    let Step { plan, rows: known } = step;
    let damaged = |damage| Error::damaged(&at.key, damage);
    let filter_bytes = source.fetch(&at, &plan.ranges).await?;
    metrics.bytes_fetched.add(total(&filter_bytes));
    let mut rows = block.matching_rows(&plan, filter_bytes.clone()).map_err(damaged)?;
    if let Some(known) = known {
        rows = common(&rows, &known);
    }
    hidden.retain_shown(search, &mut rows);
    if let Some(distinct) = request.distinct.as_ref().filter(|_| !rows.is_empty()) {
        rows = distinct.retain(&at, &opened, plan.row_group, rows).await?;
    }
    if rows.is_empty() {
        metrics.row_groups_without_match.add(1);
        return Ok(None);
    }
    metrics.rows_found.add(rows.len());
    let projected = block.plan_projection(search, &plan, &request.columns);
    let bytes = source.fetch(&at, &projected.ranges).await?;
    metrics.bytes_fetched.add(total(&bytes));
    let projection = block.project(&projected, &rows, filter_bytes, bytes, request.batch_rows).map_err(damaged)?;
    Ok(Some(Found { at, projection }))
}

fn total(parts: &[Bytes]) -> usize {
    parts.iter().map(Bytes::len).sum()
}

/// What two ascending lists share.
fn common(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut b = b.iter().copied().peekable();
    a.iter()
        .copied()
        .filter(|row| {
            while b.next_if(|other| other < row).is_some() {}
            b.peek() == Some(row)
        })
        .collect()
}
