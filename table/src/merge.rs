//! Whole traces out of all blocks: which traces match, then every span of them, trace by trace.
//!
//! All blocks are ordered by trace id, and their search indexes say how many rows each trace has, so the merge knows who
//! gives what before any row is read. It holds one batch a block and the rows of one trace.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use datafusion::common::runtime::SpawnedTask;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::{Column, Condition, Damage, RowGroupPlan, TraceSummary};
use spanlake_catalog::{BlockRef, Snapshot};
use spanlake_model::{TimeRange, TraceId};

use crate::error::Error;
use crate::metrics::ScanMetrics;
use crate::scan::{Request, scan_block};
use crate::source::{Opened, Source};

mod identity;

pub(crate) use identity::COLUMNS as IDENTITY_COLUMNS;

/// Rows of a block that a merge holds decoded: there are as many such batches as blocks, so they are smaller than those
/// of a scan.
pub const MERGE_BATCH_ROWS: usize = 2_048;

/// Blocks that are opened, or searched for candidates, at once.
const SEARCHING: usize = 8;

/// Which traces, and what of their spans.
#[derive(Debug, Clone)]
pub struct TraceRequest {
    /// A trace matches if one of its spans meets all of them; with none, every trace matches.
    pub conditions: Vec<Condition>,
    /// A match counts if what its block has of the trace touches the range; the rest of the trace is found wherever it
    /// is.
    pub range: TimeRange,
    /// What to give of each span.
    pub columns: Vec<Column>,
    /// Most traces that may match; each costs 16 bytes.
    pub max_traces: usize,
}

/// Every span of a trace.
#[derive(Debug, Clone)]
pub struct TraceRows {
    /// The trace.
    pub trace_id: TraceId,
    /// One row a span, the requested columns in order. Rows are in no order that one may rely on.
    pub rows: RecordBatch,
}

/// The matching traces of a snapshot, ascending by trace id, each whole: with all its spans of all blocks. Spans with the
/// same span id, kind, start, end and name are one; of copies that differ otherwise, the one in the first block of the
/// snapshot stays.
///
/// Opens every block of the snapshot (one request each when cold). Then at most two reads for each row group that may
/// match, and two for each row group that holds a matching trace. Dropping the stream stops all of it.
pub fn merge(
    source: Arc<dyn Source>,
    snapshot: Arc<Snapshot>,
    request: TraceRequest,
) -> impl Stream<Item = Result<TraceRows, Error>> + Send {
    stream::once(async move {
        let merger = Merger::open(source, &snapshot, &request).await?;
        Ok::<_, Error>(stream::try_unfold(merger, |mut merger| async move {
            Ok(merger.next().await?.map(|trace| (trace, merger)))
        }))
    })
    .try_flatten()
}

/// A block's piece of a trace.
struct Piece {
    trace_id: TraceId,
    span_count: usize,
}

/// Reads the pieces of one block in their order.
struct Cursor {
    key: Arc<str>,
    pieces: VecDeque<Piece>,
    batches: BoxStream<'static, Result<RecordBatch, Error>>,
    /// Decoded and not yet taken.
    held: VecDeque<RecordBatch>,
    held_rows: usize,
}

impl Cursor {
    /// Reads on until the next piece is held.
    async fn fill(&mut self) -> Result<(), Error> {
        let wanted = self.pieces.front().map_or(0, |piece| piece.span_count);
        while self.held_rows < wanted {
            let batch = self.batches.try_next().await?.ok_or_else(|| self.disagrees())?;
            self.held_rows += batch.num_rows();
            self.held.push_back(batch);
        }
        Ok(())
    }

    /// Takes the next piece, which is held.
    fn take(&mut self, rows: &mut Vec<RecordBatch>) -> Result<(), Error> {
        let mut wanted = self.pieces.pop_front().map_or(0, |piece| piece.span_count);
        while wanted > 0 {
            let batch = self.held.pop_front().ok_or_else(|| self.disagrees())?;
            let taken = batch.num_rows().min(wanted);
            rows.push(batch.slice(0, taken));
            if taken < batch.num_rows() {
                self.held.push_front(batch.slice(taken, batch.num_rows() - taken));
            }
            wanted -= taken;
            self.held_rows -= taken;
        }
        Ok(())
    }

    fn disagrees(&self) -> Error {
        let problem = "it names more spans of a trace than there are rows".to_owned();
        Error::damaged(&self.key, Damage::Corrupt { part: "trace summaries", problem })
    }
}

struct Merger {
    cursors: Vec<Cursor>,
    /// The next trace of each cursor that has one.
    next: BinaryHeap<Reverse<(TraceId, usize)>>,
    schema: SchemaRef,
    is_primed: bool,
}

impl Merger {
    async fn open(source: Arc<dyn Source>, snapshot: &Snapshot, request: &TraceRequest) -> Result<Self, Error> {
        let blocks = snapshot.blocks.to_vec();
        let opened = open_all(&source, &blocks).await?;
        let wanted: Option<Arc<[TraceId]>> = if request.conditions.is_empty() && request.range == TimeRange::ALL {
            None
        } else {
            Some(candidates(&source, &blocks, &opened, request).await?)
        };
        let pieces: Vec<VecDeque<Piece>> = opened.iter().map(|opened| pieces(opened, wanted.as_deref())).collect();
        let shared = shared_traces(&pieces);
        let schema = Arc::new(Schema::new(request.columns.iter().map(Column::field).collect::<Vec<_>>()));
        let mut cursors = Vec::new();
        let mut next = BinaryHeap::new();
        for (at, pieces) in blocks.iter().zip(pieces) {
            let Some(first) = pieces.front() else { continue };
            next.push(Reverse((first.trace_id, cursors.len())));
            let mut columns = request.columns.clone();
            // Copies of a span are told by columns that only traces in several blocks need.
            if pieces.iter().any(|piece| shared.contains(&piece.trace_id)) {
                columns.extend(identity::COLUMNS);
            }
            let scan = Request {
                conditions: Vec::new(),
                traces: wanted.clone(),
                distinct: None,
                columns,
                batch_rows: MERGE_BATCH_ROWS,
            };
            let batches = scan_block(Arc::clone(&source), at.clone(), Arc::new(scan), ScanMetrics::default()).boxed();
            let key = Arc::clone(&at.key);
            cursors.push(Cursor { key, pieces, batches, held: VecDeque::new(), held_rows: 0 });
        }
        Ok(Self { cursors, next, schema, is_primed: false })
    }

    async fn next(&mut self) -> Result<Option<TraceRows>, Error> {
        if !self.is_primed {
            // All first pieces at once, so that slow requests do not follow one another.
            futures::future::try_join_all(self.cursors.iter_mut().map(Cursor::fill)).await?;
            self.is_primed = true;
        }
        let Some(Reverse((trace_id, first))) = self.next.pop() else { return Ok(None) };
        let mut givers = vec![first];
        while let Some(Reverse((_, other))) = self.next.peek().filter(|next| next.0.0 == trace_id) {
            givers.push(*other);
            self.next.pop();
        }
        let mut rows = Vec::new();
        for at in &givers {
            let cursor = &mut self.cursors[*at];
            cursor.fill().await?;
            cursor.take(&mut rows)?;
            if let Some(piece) = cursor.pieces.front() {
                self.next.push(Reverse((piece.trace_id, *at)));
            }
        }
        let key = &self.cursors[first].key;
        let arrow = |error: arrow_schema::ArrowError| {
            Error::damaged(key, Damage::Corrupt { part: "row group", problem: error.to_string() })
        };
        let rows = if givers.len() > 1 {
            let stored = rows.first().map_or_else(|| Arc::clone(&self.schema), RecordBatch::schema);
            identity::distinct(&concat_batches(&stored, &rows).map_err(arrow)?, &self.schema).map_err(arrow)?
        } else {
            let rows = rows.iter().map(|rows| identity::requested(rows, &self.schema)).collect::<Result<Vec<_>, _>>();
            let mut rows = rows.map_err(arrow)?;
            if rows.len() == 1 { rows.remove(0) } else { concat_batches(&self.schema, &rows).map_err(arrow)? }
        };
        Ok(Some(TraceRows { trace_id, rows }))
    }
}

async fn open_all(source: &Arc<dyn Source>, blocks: &[BlockRef]) -> Result<Vec<Opened>, Error> {
    let blocks: Vec<BlockRef> = blocks.to_vec();
    stream::iter(blocks).map(|at| async move { source.open(&at).await }).buffered(SEARCHING).try_collect().await
}

/// The traces of which some block, touching the range, has a span that meets all conditions. Ascending.
async fn candidates(
    source: &Arc<dyn Source>,
    blocks: &[BlockRef],
    opened: &[Opened],
    request: &TraceRequest,
) -> Result<Arc<[TraceId]>, Error> {
    let mut work = Vec::new();
    for (at, opened) in blocks.iter().zip(opened) {
        if at.meta.time_range().overlaps(&request.range) {
            let plans = opened.block.plan_scan(&opened.search, &request.conditions);
            work.extend(plans.into_iter().map(|plan| (at.clone(), opened.clone(), plan)));
        }
    }
    let range = request.range;
    let mut found = stream::iter(work)
        .map(|(at, opened, plan)| {
            let key = Arc::clone(&at.key);
            // On a task of its own, so that row groups are searched on all cores. Dropping it aborts it.
            let task = SpawnedTask::spawn(matching(Arc::clone(source), at, opened, plan, range));
            async move { task.await.unwrap_or_else(|error| Err(Error::Interrupted { key, problem: error.to_string() })) }
        })
        .buffer_unordered(SEARCHING);
    let mut traces: HashSet<TraceId> = HashSet::new();
    while let Some(ids) = found.try_next().await? {
        traces.extend(ids);
        if traces.len() > request.max_traces {
            return Err(Error::TooManyTraces { max: request.max_traces });
        }
    }
    let mut traces: Vec<TraceId> = traces.into_iter().collect();
    traces.sort_unstable();
    Ok(traces.into())
}

/// The traces of a row group with a span that meets the plan's conditions, if they touch the range.
async fn matching(
    source: Arc<dyn Source>,
    at: BlockRef,
    opened: Opened,
    plan: RowGroupPlan,
    range: TimeRange,
) -> Result<Vec<TraceId>, Error> {
    let bytes = source.fetch(&at, &plan.ranges).await?;
    let Opened { block, search, .. } = &opened;
    let ordinals = block.matching_traces(search, &plan, bytes).map_err(|damage| Error::damaged(&at.key, damage))?;
    let matching = ordinals.iter().map(|ordinal| &search.summaries()[*ordinal as usize]);
    let touches = |summary: &&TraceSummary| {
        let (start_unix_nanos, end) = (summary.start_unix_nanos, summary.end_unix_nanos);
        TimeRange { start_unix_nanos, end_unix_nanos: end.max(start_unix_nanos) }.overlaps(&range)
    };
    Ok(matching.filter(touches).map(|summary| summary.trace_id).collect())
}

fn pieces(opened: &Opened, wanted: Option<&[TraceId]>) -> VecDeque<Piece> {
    let is_wanted = |id: &TraceId| wanted.is_none_or(|wanted| wanted.binary_search(id).is_ok());
    let shown = opened.hidden.shown(&opened.search).map(|(_, summary)| summary);
    let summaries = shown.filter(|summary| is_wanted(&summary.trace_id));
    summaries.map(|summary| Piece { trace_id: summary.trace_id, span_count: summary.span_count as usize }).collect()
}

/// The traces of which several blocks have pieces.
fn shared_traces(pieces: &[VecDeque<Piece>]) -> HashSet<TraceId> {
    let mut blocks: HashMap<TraceId, u32> = HashMap::new();
    pieces.iter().flatten().for_each(|piece| *blocks.entry(piece.trace_id).or_default() += 1);
    blocks.into_iter().filter(|(_, count)| *count > 1).map(|(id, _)| id).collect()
}
