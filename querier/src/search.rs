//! Search by tags, durations and time: which whole traces match, newest first.
//!
//! Data goes one way: [`Tag`]s become conditions on spans (`tag`), blocks are scanned for them (`scan`), what the blocks say
//! about a trace is put together and the newest matches are picked (`candidates`, pure), and what is answered about traces
//! that lie in several blocks is counted anew from their spans (`resolve`).

mod candidates;
mod resolve;
mod scan;
mod tag;

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_catalog::BlockRef;
use spanlake_model::{Tenant, TimeRange, TraceId};

use crate::engine::SpanSet;
use crate::error::Error;
use crate::fetch::{Reads, latest_start};
use candidates::{Candidates, Progress};
use scan::Scanned;

pub use tag::{Tag, TagError};

/// What a search asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// Every one must be matched by some span of the trace; at most [`SearchRequest::MAX_TAGS`].
    pub tags: Vec<Tag>,
    /// Shortest duration of the whole trace, in nanoseconds.
    pub min_duration_nanos: Option<u64>,
    /// Longest duration of the whole trace, in nanoseconds.
    pub max_duration_nanos: Option<u64>,
    /// Time that the whole trace must overlap.
    pub range: Option<TimeRange>,
    /// Most traces to answer.
    pub limit: usize,
}

impl SearchRequest {
    /// Most tags of one search.
    pub const MAX_TAGS: usize = 64;
}

/// Spans that one service has in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpans {
    /// The resource's `service.name`.
    pub service: Arc<str>,
    /// Its spans.
    pub span_count: u32,
    /// Those of them with status error.
    pub error_count: u32,
}

/// One trace that a search found. Everything is about the whole trace.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundTrace {
    /// The trace.
    pub trace_id: TraceId,
    /// Service of the root span; none while the root span is not there.
    pub root_service: Option<Arc<str>>,
    /// Name of the root span; none while the root span is not there.
    pub root_name: Option<Arc<str>>,
    /// Earliest start of its spans.
    pub start_unix_nanos: u64,
    /// Latest end of its spans.
    pub end_unix_nanos: u64,
    /// Its services, by name.
    pub services: Vec<ServiceSpans>,
    /// What matched, for a TraceQL search; empty for a search by tags.
    pub span_sets: Vec<SpanSet>,
}

/// What a search found, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchAnswer {
    /// Latest start first; of equal starts, the smaller trace id first.
    pub traces: Vec<FoundTrace>,
    /// Traces looked at; one that lies in several blocks counts once per block.
    pub inspected_traces: u64,
    /// Bytes of objects looked into: row groups fetched, and search indexes whether fetched or in memory.
    pub inspected_bytes: u64,
    /// Blocks looked into.
    pub block_count: u64,
    /// Size of those blocks.
    pub block_bytes: u64,
}

/// Finds the newest traces that match.
///
/// Blocks are taken newest end first (before them those with spans without a start), some at a time, until the newest `limit`
/// matches are certain: no block that is left reaches into the time from [`crate::Config::trace_reach`] before the oldest of them.
/// Each block costs at most one GET for its tail, one for its search index and one per row group that may match a tag.
pub(crate) async fn run(reads: &Reads<'_>, tenants: &[Tenant], request: &SearchRequest) -> Result<SearchAnswer, Error> {
    let reach_nanos = reads.shared.config.trace_reach.as_nanos();
    let blocks = reads.searched_blocks(tenants, widened(request.range, reach_nanos)).await?;
    let mut candidates = Candidates::new(request, reach_nanos, reads.shared.config.max_search_traces);
    let mut scanned: Vec<Option<Scanned>> = Vec::new();
    while scanned.len() < blocks.len() {
        let first = scanned.len();
        let wave = &blocks[first..blocks.len().min(first + reads.width())];
        let results: Vec<Scanned> = stream::iter(wave.to_vec())
            .map(|at| scan::scan(reads, at, &request.tags))
            .buffered(reads.width())
            .try_collect()
            .await?;
        for (i, block) in results.into_iter().enumerate() {
            candidates.add_block(first + i, &block)?;
            scanned.push(Some(block));
        }
        let newest_left = blocks.get(scanned.len()).map(latest_start);
        let progress = candidates.settle(newest_left);
        candidates.release_unused(&mut scanned);
        if progress == Progress::Certain {
            break;
        }
    }
    let looked_into = &blocks[..scanned.len()];
    let inspected_traces = candidates.inspected_traces();
    let winners = candidates.into_winners();
    let traces = resolve::resolve(reads, &blocks, &scanned, winners).await?;
    reads.shared.metrics.traces_returned.inc_by(traces.len() as u64);
    Ok(SearchAnswer {
        traces,
        inspected_traces,
        inspected_bytes: reads.inspected_bytes(),
        block_count: looked_into.len() as u64,
        block_bytes: looked_into.iter().map(|block: &BlockRef| block.meta.object_bytes).sum(),
    })
}

/// The time from which pieces of matching traces may come.
pub(crate) fn widened(range: Option<TimeRange>, reach_nanos: u64) -> TimeRange {
    range.map_or(TimeRange::ALL, |range| TimeRange {
        start_unix_nanos: range.start_unix_nanos.saturating_sub(reach_nanos),
        end_unix_nanos: range.end_unix_nanos.saturating_add(reach_nanos),
    })
}
