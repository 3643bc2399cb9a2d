//! A trace by id: blocks by time, row groups by trace id, rows merged.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use spanlake_block::{Block, CheckedRowGroup};
use spanlake_catalog::BlockRef;
use spanlake_model::{Tenant, TimeRange, TraceId};
use spanlake_table::Held;

use crate::error::Error;
use crate::fetch::Reads;
use crate::merge::{Merged, TraceMerger};

/// From this many spans on, putting a trace together is worth another thread.
const INLINE_MERGE_SPANS: usize = 2_000;

/// A trace as it was found.
#[derive(Debug, Clone)]
pub struct TraceAnswer {
    /// Its spans, each once, grouped by resource and scope, in a fixed order. Empty when no block has the trace.
    pub trace: TracesData,
    /// Spans in it.
    pub span_count: u64,
    /// Bytes of objects fetched to find it.
    pub inspected_bytes: u64,
    /// When the newest of the blocks that have it and that nobody has merged yet was made, in Unix milliseconds.
    pub stored_unix_millis: Option<u64>,
    /// Whether spans were left out because the trace is larger than [`crate::Config::max_trace_bytes`].
    pub truncated: bool,
    /// The memory that the query is charged for it and for what is written of it.
    pub(crate) held: Option<Arc<Held>>,
}

/// What a trace takes for each byte of it as protobuf: itself, and its text.
const TRACE_MEMORY: u64 = 3;

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
    let shown = blocks.into_iter().filter(|at| !reads.deleted(at).is_some_and(|deleted| deleted.contains(&id)));
    let pieces: Vec<Vec<Piece>> = stream::iter(shown.collect::<Vec<_>>())
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
                let of = Arc::clone(&block);
                let read = move |checked: &CheckedRowGroup| of.trace_in(checked, &id);
                let rows = reads.row_group(&at, &block, row_group, read).await?;
                let stored_unix_millis = at.made_unix_millis().filter(|_| at.meta.level == 0 && !rows.is_empty());
                Ok::<_, Error>((rows, stored_unix_millis))
            })
            .buffered(reads.width())
    );
    let mut merger = TraceMerger::new(reads.shared.config.max_trace_bytes.bytes());
    let mut held: Option<Arc<Held>> = None;
    let mut newest_unix_millis: Option<u64> = None;
    while let Some((rows, stored_unix_millis)) = rows.try_next().await? {
        newest_unix_millis = newest_unix_millis.max(stored_unix_millis);
        let open;
        (merger, open) = on_a_fitting_thread(reads, rows.len(), move || {
            let open = merger.add(rows);
            (merger, open)
        })
        .await?;
        // What it held before is given back first.
        drop(held.take());
        held = Some(Arc::new(reads.hold(TRACE_MEMORY * merger.bytes())?));
        if !open {
            break;
        }
    }
    let kept_spans = merger.span_count();
    let Merged { trace, span_count, truncated, conflicts } =
        on_a_fitting_thread(reads, kept_spans, move || merger.finish()).await?;
    let metrics = &reads.shared.metrics;
    metrics.id_conflicts.inc_by(conflicts);
    metrics.spans_returned.inc_by(span_count);
    Ok(TraceAnswer {
        trace,
        span_count,
        inspected_bytes: reads.inspected_bytes(),
        stored_unix_millis: newest_unix_millis,
        truncated,
        held,
    })
}

async fn on_a_fitting_thread<T: Send + 'static>(
    reads: &Reads<'_>,
    span_count: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    if span_count < INLINE_MERGE_SPANS { Ok(work()) } else { reads.compute(work).await }
}
