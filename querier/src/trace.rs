//! A trace by id: blocks by time, row groups by trace id, rows merged.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use spanlake_block::Block;
use spanlake_catalog::BlockRef;
use spanlake_model::{Tenant, TimeRange, TraceId};

use crate::error::Error;
use crate::fetch::{Reads, compute};
use crate::merge::{Merged, TraceMerger};

/// From this many spans on, putting a trace together is worth another thread.
const INLINE_MERGE_SPANS: usize = 2_000;

/// A trace as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceAnswer {
    /// Its spans, each once, grouped by resource and scope, in a fixed order. Empty when no block has the trace.
    pub trace: TracesData,
    /// Spans in it.
    pub span_count: u64,
    /// Bytes of objects fetched to find it.
    pub inspected_bytes: u64,
    /// Whether spans were left out because the trace is larger than [`crate::Config::max_trace_bytes`].
    pub truncated: bool,
}

/// One row group that may hold rows of the trace.
struct Piece {
    at: BlockRef,
    block: Arc<Block>,
    row_group: usize,
}

/// Finds a trace in the blocks that overlap the hint, all blocks without one.
///
/// Costs the catalog's snapshot, one GET per block that is not open yet, and one GET per row group that the blocks' filters
/// do not rule out: two dependent rounds.
pub(crate) async fn read(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    id: TraceId,
    hint: Option<TimeRange>,
) -> Result<TraceAnswer, Error> {
    let blocks = reads.blocks(tenants, hint.unwrap_or(TimeRange::ALL)).await?;
    let pieces: Vec<Vec<Piece>> = stream::iter(blocks)
        .map(|at| async move {
            let block = reads.open(&at).await?;
            let piece = |row_group| Piece { at: at.clone(), block: Arc::clone(&block), row_group };
            Ok::<_, Error>(block.row_groups_for(&id).map(piece).collect())
        })
        .buffered(reads.width())
        .try_collect()
        .await?;
    // Results are taken in the order of the blocks, so that a trace that is cut off is cut off at the same span each time.
    let mut rows = std::pin::pin!(
        stream::iter(pieces.into_iter().flatten())
            .map(|Piece { at, block, row_group }| async move {
                let range = block.row_group_range(row_group);
                reads.read(&at, vec![range], move |mut bytes| block.read_trace(row_group, bytes.remove(0), &id)).await
            })
            .buffered(reads.width())
    );
    let mut merger = TraceMerger::new(reads.shared.config.max_trace_bytes.bytes());
    while let Some(rows) = rows.try_next().await? {
        let open;
        (merger, open) = on_a_fitting_thread(rows.len(), move || {
            let open = merger.add(rows);
            (merger, open)
        })
        .await?;
        if !open {
            break;
        }
    }
    let kept_spans = merger.span_count();
    let Merged { trace, span_count, truncated, conflicts } =
        on_a_fitting_thread(kept_spans, move || merger.finish()).await?;
    let metrics = &reads.shared.metrics;
    metrics.id_conflicts.inc_by(conflicts);
    metrics.spans_returned.inc_by(span_count);
    Ok(TraceAnswer { trace, span_count, inspected_bytes: reads.inspected_bytes(), truncated })
}

async fn on_a_fitting_thread<T: Send + 'static>(
    span_count: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    if span_count < INLINE_MERGE_SPANS { Ok(work()) } else { compute(work).await }
}
