//! Copies of a span that lie in several blocks, found while blocks are scanned.
//!
//! Copies belong to one trace, so only traces of which several blocks have pieces are looked at: summaries name them. Of
//! those, a row that a scan found is a copy if a block before its own, in the order of the snapshot, has a span with the
//! same span id, kind, start, end and name. What a scan looks for plays no part in it, so a filter sees the same rows
//! whether it runs before this or after. Nothing is read for a trace of which no row was found.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, UInt64Type};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use futures::{StreamExt as _, stream};
use spanlake_block::Damage;
use spanlake_catalog::BlockRef;
use spanlake_model::TraceId;
use tokio::sync::OnceCell;

use crate::error::Error;
use crate::merge::IDENTITY_COLUMNS;
use crate::source::{Opened, Source};

/// Blocks that are opened at once.
const OPENING: usize = 8;
/// Rows that are decoded at once.
const BATCH_ROWS: usize = 8_192;

/// A block's rows of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    pub(crate) trace_id: TraceId,
    /// The block, counted in the order of the snapshot.
    pub(crate) block: u32,
    first_row: u32,
    span_count: u32,
}

impl Piece {
    fn rows(&self) -> Range<u32> {
        self.first_row..self.first_row + self.span_count
    }
}

/// The traces of which several blocks have pieces.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// All pieces of those traces, by trace and block.
    pieces: Vec<Piece>,
    /// For each block its pieces, as indexes, in the order of their rows.
    of_block: Vec<Vec<u32>>,
}

impl Shared {
    fn new(mut pieces: Vec<Piece>, block_count: usize) -> Self {
        pieces.sort_unstable();
        let of_trace = pieces.chunk_by(|a, b| a.trace_id == b.trace_id);
        let pieces: Vec<Piece> = of_trace.filter(|pieces| pieces.len() > 1).flatten().copied().collect();
        let mut of_block = vec![Vec::new(); block_count];
        for (at, piece) in pieces.iter().enumerate() {
            of_block[piece.block as usize].push(at as u32);
        }
        Self { pieces, of_block }
    }

    /// The traces, ascending.
    pub(crate) fn traces(&self) -> impl Iterator<Item = TraceId> + '_ {
        self.pieces.chunk_by(|a, b| a.trace_id == b.trace_id).map(|pieces| pieces[0].trace_id)
    }

    /// Whether several blocks have pieces of the trace.
    pub(crate) fn contains(&self, trace_id: &TraceId) -> bool {
        self.pieces.binary_search_by(|piece| piece.trace_id.cmp(trace_id)).is_ok()
    }

    /// The pieces of the same trace in blocks before this piece's.
    fn before(&self, at: usize) -> &[Piece] {
        let same = self.pieces[..at].iter().rev().take_while(|piece| piece.trace_id == self.pieces[at].trace_id);
        &self.pieces[at - same.count()..at]
    }

    /// The pieces of a block that have rows in a range, as indexes.
    fn touching(&self, block: usize, rows: &Range<u32>) -> &[u32] {
        let all = &self.of_block[block];
        let from = all.partition_point(|at| self.pieces[*at as usize].rows().end <= rows.start);
        let to = all.partition_point(|at| self.pieces[*at as usize].first_row < rows.end);
        &all[from..to.max(from)]
    }
}

/// What tells a span from others of its trace: its id, and a hash of kind, start, end and name.
type Identity = (u64, u64);

/// The identities of a row group's rows of shared traces, by row.
type Identities = Arc<Vec<(u32, Identity)>>;

/// Identities of the rows of a block and row group, read by the first who asks.
type IdentityCells = Mutex<HashMap<(usize, usize), Arc<OnceCell<Identities>>>>;

/// Finds copies in one query. Memory: 32 bytes a piece of a shared trace, 24 a row of such pieces that was looked at.
pub(crate) struct Distinct {
    source: Arc<dyn Source>,
    blocks: Arc<[BlockRef]>,
    by_key: HashMap<Arc<str>, usize>,
    /// If given, only these traces matter, ascending.
    traces: Option<Arc<[TraceId]>>,
    hasher: RandomState,
    memory: MemoryReservation,
    shared: OnceCell<Shared>,
    identities: IdentityCells,
}

impl fmt::Debug for Distinct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "distinct spans of {} blocks", self.blocks.len())
    }
}

impl Distinct {
    /// No requests. Memory is charged to the pool.
    pub(crate) fn new(
        source: Arc<dyn Source>,
        blocks: Arc<[BlockRef]>,
        traces: Option<Arc<[TraceId]>>,
        pool: &Arc<dyn MemoryPool>,
    ) -> Self {
        let by_key = blocks.iter().enumerate().map(|(at, block)| (Arc::clone(&block.key), at)).collect();
        Self {
            source,
            blocks,
            by_key,
            traces,
            hasher: RandomState::new(),
            memory: MemoryConsumer::new("copies of spans").register(pool),
            shared: OnceCell::new(),
            identities: Mutex::new(HashMap::new()),
        }
    }

    fn charge(&self, bytes: usize) -> Result<(), Error> {
        self.memory.try_grow(bytes).map_err(out_of_memory)
    }

    /// The traces that lie in several blocks. The first call opens every block.
    pub(crate) async fn shared(&self) -> Result<&Shared, Error> {
        self.shared.get_or_try_init(|| self.find_shared()).await
    }

    async fn find_shared(&self) -> Result<Shared, Error> {
        let blocks: Vec<BlockRef> = self.blocks.to_vec();
        let mut opened =
            stream::iter(blocks).map(|at| async move { self.source.open(&at).await }).buffered(OPENING).enumerate();
        let mut pieces = Vec::new();
        while let Some((block, opened)) = opened.next().await {
            let opened = opened?;
            let is_wanted = |id: &TraceId| self.traces.as_ref().is_none_or(|wanted| wanted.binary_search(id).is_ok());
            let before = pieces.len();
            let shown = opened.hidden.shown(&opened.search).map(|(_, summary)| summary);
            let summaries = shown.filter(|summary| is_wanted(&summary.trace_id));
            pieces.extend(summaries.map(|summary| Piece {
                trace_id: summary.trace_id,
                block: block as u32,
                first_row: summary.first_row,
                span_count: summary.span_count,
            }));
            self.charge((pieces.len() - before) * size_of::<Piece>())?;
        }
        let charged = pieces.len() * size_of::<Piece>();
        let shared = Shared::new(pieces, self.blocks.len());
        let kept = shared.pieces.len() * (size_of::<Piece>() + size_of::<u32>());
        self.charge(kept)?;
        self.memory.shrink(charged);
        Ok(shared)
    }

    /// Takes copies out of the rows that were found in a row group, ascending and counted from the block's first row.
    pub(crate) async fn retain(
        &self,
        at: &BlockRef,
        opened: &Opened,
        row_group: usize,
        mut rows: Vec<u32>,
    ) -> Result<Vec<u32>, Error> {
        let Some(block) = self.by_key.get(&at.key).copied() else { return Ok(rows) };
        let shared = self.shared().await?;
        let mut copies: Vec<u32> = Vec::new();
        for piece_at in shared.touching(block, &opened.block.rows_in(row_group)) {
            let piece_at = *piece_at as usize;
            let before = shared.before(piece_at);
            let piece_rows = shared.pieces[piece_at].rows();
            let found =
                rows.partition_point(|row| *row < piece_rows.start)..rows.partition_point(|row| *row < piece_rows.end);
            if before.is_empty() || found.is_empty() {
                continue;
            }
            let mut seen: HashSet<Identity> = HashSet::new();
            for piece in before {
                self.collect(piece, &mut seen).await?;
            }
            let own = self.identities(block, row_group).await?;
            let identity = |row: u32| own.binary_search_by_key(&row, |(row, _)| *row).map(|at| own[at].1);
            copies.extend(rows[found].iter().filter(|row| identity(**row).is_ok_and(|own| seen.contains(&own))));
        }
        if !copies.is_empty() {
            rows.retain(|row| copies.binary_search(row).is_err());
        }
        Ok(rows)
    }

    /// The identities of all rows of a piece.
    async fn collect(&self, piece: &Piece, into: &mut HashSet<Identity>) -> Result<(), Error> {
        let block = piece.block as usize;
        let opened = self.source.open(&self.blocks[block]).await?;
        let wanted = piece.rows();
        for group in 0..opened.block.row_group_count() {
            let rows = opened.block.rows_in(group);
            if rows.start >= wanted.end || rows.end <= wanted.start {
                continue;
            }
            let all = self.identities(block, group).await?;
            let from = all.partition_point(|(row, _)| *row < wanted.start);
            let to = all.partition_point(|(row, _)| *row < wanted.end);
            into.extend(all[from..to].iter().map(|(_, identity)| *identity));
        }
        Ok(())
    }

    /// The identities of a row group, read once.
    async fn identities(&self, block: usize, row_group: usize) -> Result<Identities, Error> {
        let cell = {
            let mut cells = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry((block, row_group)).or_default())
        };
        cell.get_or_try_init(|| self.load(block, row_group)).await.cloned()
    }

    async fn load(&self, block: usize, row_group: usize) -> Result<Identities, Error> {
        let at = &self.blocks[block];
        let opened = self.source.open(at).await?;
        let shared = self.shared().await?;
        let in_group = opened.block.rows_in(row_group);
        let pieces = shared.touching(block, &in_group).iter().map(|at| shared.pieces[*at as usize].rows());
        let rows: Vec<u32> =
            pieces.flat_map(|rows| rows.start.max(in_group.start)..rows.end.min(in_group.end)).collect();
        self.charge(rows.len() * size_of::<(u32, Identity)>())?;
        let mut plans = opened.block.plan_scan(&opened.search, &[]).into_iter();
        let Some(plan) = plans.find(|plan| plan.row_group == row_group) else { return Ok(Arc::default()) };
        let projected = opened.block.plan_projection(&opened.search, &plan, &IDENTITY_COLUMNS);
        let bytes = self.source.fetch(at, &projected.ranges).await?;
        let damaged = |damage| Error::damaged(&at.key, damage);
        let projection = opened.block.project(&projected, &rows, Vec::new(), bytes, BATCH_ROWS).map_err(damaged)?;
        let mut identities = Vec::with_capacity(rows.len());
        for batch in projection {
            let batch = batch.map_err(damaged)?;
            self.identify(&batch, &mut identities).ok_or_else(|| {
                let problem = "what tells spans apart has another type".to_owned();
                damaged(Damage::Corrupt { part: "row group", problem })
            })?;
        }
        Ok(Arc::new(rows.into_iter().zip(identities).collect()))
    }

    /// Appends the identity of each row; nothing if the batch is not of [`IDENTITY_COLUMNS`].
    fn identify(&self, batch: &RecordBatch, out: &mut Vec<Identity>) -> Option<()> {
        let [span_ids, kinds, starts, ends, names] = batch.columns() else { return None };
        let times = |array: &ArrayRef| array.as_primitive_opt::<UInt64Type>().cloned();
        let (span_ids, kinds) = (span_ids.as_fixed_size_binary_opt()?, kinds.as_primitive_opt::<Int32Type>()?);
        let (starts, ends, names) = (times(starts)?, times(ends)?, names.as_string_opt::<i32>()?);
        for at in 0..names.len() {
            let span_id = u64::from_be_bytes(span_ids.value(at).try_into().ok()?);
            let rest = (kinds.value(at), starts.value(at), ends.value(at), names.value(at));
            out.push((span_id, self.hasher.hash_one(rest)));
        }
        Some(())
    }
}

/// The engine's own error, kept whole so that a caller can tell it from others.
fn out_of_memory(error: DataFusionError) -> Error {
    Error::Refused(Box::new(error))
}
