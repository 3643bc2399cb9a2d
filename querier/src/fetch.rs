//! The one place where queries touch objects: ranged reads under the bounds of a query and of the process, decoding on
//! threads that may block.
//!
//! It knows blocks and ranges, not what a query is looking for.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use spanlake_block::{Block, CheckedRowGroup, Damage, SearchIndex};
use spanlake_catalog::{BlockRef, Catalog, DeletedTraces, Snapshot};
use spanlake_model::{Tenant, TimeRange, world};
use spanlake_storage::Kind;
use spanlake_table::{Held, HeldByProcess, HiddenTraces, ProcessMemory, QueryMemory, Refused};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::error::Error;
use crate::kept::{Kept, Place};
use crate::metrics::Metrics;
use crate::querier::watched::{CURRENT, Effort};

/// Below this many fetched bytes, decoding is too short to be worth another thread. Few bytes may be many rows: 65,536 statuses
/// compress to some thousand.
const INLINE_DECODE_BYTES: u64 = 2 << 10;

/// Computations of all queries that run at once, for each core. More would not end sooner, but each holds what it decodes, and
/// the threads they run on keep memory for the next.
const COMPUTATIONS_PER_CORE: usize = 2;

/// What all queries of a process share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) memory: Arc<ProcessMemory>,
    /// Columns and row groups, for queries to come.
    pub(crate) kept: Arc<Kept>,
    pub(crate) catalog: Catalog,
    slots: Arc<Semaphore>,
    computations: Arc<Semaphore>,
    opened: Mutex<OpenCharges>,
}

impl Shared {
    pub(crate) fn new(config: Config, catalog: Catalog, metrics: Metrics) -> Self {
        let memory = ProcessMemory::new(usize::try_from(config.max_query_memory.bytes()).unwrap_or(usize::MAX));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            slots: Arc::new(Semaphore::new(config.max_fetches.clamp(1, Semaphore::MAX_PERMITS))),
            computations: Arc::new(Semaphore::new(COMPUTATIONS_PER_CORE * cores)),
            kept: Arc::new(Kept::new(config.column_cache_bytes.bytes(), metrics.column_cache.clone())),
            config,
            metrics,
            memory,
            catalog,
            opened: Mutex::default(),
        }
    }

    /// Runs long computation on a thread that may block, when its turn comes. It must not wait for another one.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.turn().await.compute(work).await
    }

    async fn turn(&self) -> Turn {
        let permit = Arc::clone(&self.computations).acquire_owned().await;
        Turn { _permit: permit.expect("the semaphore is never closed") }
    }
}

/// The right to compute.
struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    async fn compute<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let work = move || {
            // It goes along: what was begun runs to its end, whoever still waits for it.
            let _turn = self;
            work()
        };
        if world::is_simulated() {
            return Ok(work());
        }
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|e| Error::Internal(format!("a decoding task ended early: {e}")))
    }
}

/// Forgets keys of blocks that are not there any more, once they are most of what is known.
fn forget_gone(known: &mut HashSet<Arc<str>>, there: &[&BlockRef]) {
    const SPARE: usize = 64;
    if known.len() > 2 * there.len() + SPARE {
        let there: HashSet<&str> = there.iter().map(|block| &*block.key).collect();
        known.retain(|key| there.contains(&**key));
    }
}

/// The charge for each block that some query has open, by key.
#[derive(Default)]
struct OpenCharges {
    by_key: HashMap<Arc<str>, Weak<HeldByProcess>>,
    /// With so many, those that nobody holds any more are let go of.
    sweep_at: usize,
}

/// The reads of one query. Dropping its futures stops its work: nothing is spawned but short decodes.
pub(crate) struct Reads<'a> {
    pub(crate) shared: &'a Shared,
    budget: Arc<Budget>,
}

/// What a query may still read and hold.
pub(crate) struct Budget {
    slots: Arc<Semaphore>,
    inspected_bytes: AtomicU64,
    inspected_spans: AtomicU64,
    pub(crate) memory: Arc<QueryMemory>,
    /// Where people see what the query looks into, if it is watched.
    effort: Option<Arc<Effort>>,
    /// By tenant, of those that have any: the traces that the query's snapshot says are deleted.
    deleted: Mutex<HashMap<Tenant, DeletedTraces>>,
}

impl Budget {
    pub(crate) fn new(shared: &Shared) -> Self {
        let slots = Arc::new(Semaphore::new(shared.config.fetches_per_query.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            slots,
            inspected_bytes: AtomicU64::new(0),
            inspected_spans: AtomicU64::new(0),
            memory: shared.memory.query(),
            effort: CURRENT.try_with(Arc::clone).ok(),
            deleted: Mutex::default(),
        }
    }
}

/// Fetched bytes that are charged for as long as anything of them is held.
struct Charged {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The right to hold one fetched range in memory.
struct Slot {
    _of_query: OwnedSemaphorePermit,
    _of_process: OwnedSemaphorePermit,
}

impl<'a> Reads<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self::within(shared, Arc::new(Budget::new(shared)))
    }

    /// Reads that count against a budget with others of the same query.
    pub(crate) fn within(shared: &'a Shared, budget: Arc<Budget>) -> Self {
        Self { shared, budget }
    }

    /// Bytes of row groups fetched and of search indexes looked into so far. Tails of blocks are not counted: the catalog
    /// keeps those.
    pub(crate) fn inspected_bytes(&self) -> u64 {
        self.budget.inspected_bytes.load(Ordering::Relaxed)
    }

    /// Spans of row groups looked into so far.
    pub(crate) fn inspected_spans(&self) -> u64 {
        self.budget.inspected_spans.load(Ordering::Relaxed)
    }

    /// Counts spans looked into.
    pub(crate) fn inspect_spans(&self, spans: u64) {
        self.budget.inspected_spans.fetch_add(spans, Ordering::Relaxed);
        self.budget.effort.iter().for_each(|effort| effort.add_spans(spans));
    }

    /// Charges the query for memory, up to the most allowed.
    pub(crate) fn hold(&self, bytes: u64) -> Result<Held, Error> {
        self.budget.memory.hold(usize::try_from(bytes).unwrap_or(usize::MAX)).map_err(|refused| self.refused(&refused))
    }

    fn refused(&self, refused: &Refused) -> Error {
        Error::OutOfMemory { problem: refused.to_string(), max_bytes: self.shared.config.max_query_memory.bytes() }
    }

    /// Charges for a block that is held open: the catalog's caches may let go of it, the query does not. However many queries hold
    /// it, it is there once.
    pub(crate) fn hold_open(&self, key: &Arc<str>, bytes: u64) -> Result<Arc<HeldByProcess>, Error> {
        let mut opened = self.shared.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = opened.by_key.get(key).and_then(Weak::upgrade) {
            return Ok(held);
        }
        let held = self.shared.memory.hold(usize::try_from(bytes).unwrap_or(usize::MAX));
        let held = Arc::new(held.map_err(|refused| self.refused(&refused))?);
        if opened.by_key.len() >= opened.sweep_at {
            opened.by_key.retain(|_, held| held.strong_count() > 0);
            opened.sweep_at = 2 * opened.by_key.len().max(64);
        }
        opened.by_key.insert(Arc::clone(key), Arc::downgrade(&held));
        Ok(held)
    }

    /// Runs long computation on a thread that may block, when its turn comes. It must not wait for another one.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.shared.compute(work).await
    }

    /// Streams of work of one query that may be under way at once; the slots bound what they hold.
    pub(crate) fn width(&self) -> usize {
        self.shared.config.fetches_per_query.max(1)
    }

    /// The blocks of the tenants that overlap the range or have a span without a start, newest end first. One listing per
    /// tenant, shared with others.
    pub(crate) async fn blocks(&self, tenants: &[Tenant], range: TimeRange) -> Result<Vec<BlockRef>, Error> {
        match self.newest_blocks(tenants, range).await? {
            (blocks, None) => Ok(blocks),
            (_, Some(too_many)) => Err(too_many),
        }
    }

    /// The same, of too many the newest, with the bound that cut them.
    pub(crate) async fn newest_blocks(
        &self,
        tenants: &[Tenant],
        range: TimeRange,
    ) -> Result<(Vec<BlockRef>, Option<Error>), Error> {
        let snapshots = self.snapshots(tenants).await?;
        let near = |block: &&BlockRef| is_near(block, &range);
        let mut blocks: Vec<_> =
            snapshots.iter().flat_map(|snapshot| snapshot.blocks.iter().filter(near).cloned()).collect();
        let max = self.shared.config.max_blocks_per_query;
        let too_many = (blocks.len() > max).then_some(Error::TooManyBlocks { block_count: blocks.len(), max });
        blocks.sort_by(|a, b| {
            b.meta.time_range().end_unix_nanos.cmp(&a.meta.time_range().end_unix_nanos).then_with(|| a.key.cmp(&b.key))
        });
        blocks.truncate(max);
        Ok((blocks, too_many))
    }

    /// The same for a search, which must know when no block that is left can have a trace before those it has found: the latest
    /// [`latest_start`] first.
    pub(crate) async fn searched_blocks(&self, tenants: &[Tenant], range: TimeRange) -> Result<Vec<BlockRef>, Error> {
        let mut blocks = self.blocks(tenants, range).await?;
        blocks.sort_by_key(|block| Reverse(latest_start(block)));
        Ok(blocks)
    }

    /// Learns which traces of the tenants are deleted. One listing per tenant, shared with others.
    pub(crate) async fn note_deleted(&self, tenants: &[Tenant]) -> Result<(), Error> {
        self.snapshots(tenants).await.map(|_| ())
    }

    /// What the tenants have now. Traces that are deleted in them are hidden from the query from here on.
    async fn snapshots(&self, tenants: &[Tenant]) -> Result<Vec<Arc<Snapshot>>, Error> {
        let snapshots = tenants.iter().map(|tenant| self.shared.catalog.snapshot(tenant));
        let snapshots = futures::future::try_join_all(snapshots).await.map_err(catalog_error)?;
        if world::is_broken(world::Rule::HideDeletedTraces) {
            return Ok(snapshots);
        }
        let deleted = snapshots.iter().filter(|snapshot| !snapshot.deleted().is_empty());
        let deleted = deleted.map(|snapshot| (snapshot.tenant.clone(), snapshot.deleted().clone()));
        self.budget.deleted.lock().unwrap_or_else(PoisonError::into_inner).extend(deleted);
        Ok(snapshots)
    }

    /// The level-0 blocks of the tenants that are not known yet: what was stored last. Those that are gone are forgotten. One
    /// listing per tenant, shared with others.
    pub(crate) async fn new_blocks(
        &self,
        tenants: &[Tenant],
        known: &mut HashSet<Arc<str>>,
    ) -> Result<Vec<BlockRef>, Error> {
        let snapshots = self.snapshots(tenants).await?;
        let blocks = snapshots.iter().flat_map(|snapshot| snapshot.blocks.iter());
        let recent: Vec<&BlockRef> = blocks.filter(|block| block.meta.level == 0).collect();
        forget_gone(known, &recent);
        Ok(recent.into_iter().filter(|block| !known.contains(&block.key)).cloned().collect())
    }

    /// The traces that may not be shown of a block, if its tenant has any: those that were deleted when the query listed its blocks.
    pub(crate) fn deleted(&self, at: &BlockRef) -> Option<DeletedTraces> {
        self.budget.deleted.lock().unwrap_or_else(PoisonError::into_inner).get(&at.tenant).cloned()
    }

    /// The deleted traces that an opened block still has. No request.
    pub(crate) fn hidden(&self, at: &BlockRef, block: &Block, search: &SearchIndex) -> HiddenTraces {
        self.deleted(at).map(|deleted| HiddenTraces::of(block, search, &deleted)).unwrap_or_default()
    }

    /// Opens a block: at most one ranged GET of its tail.
    pub(crate) async fn open(&self, block: &BlockRef) -> Result<Arc<Block>, Error> {
        let _slot = self.slot().await;
        self.shared.metrics.blocks_opened.inc();
        self.shared.catalog.open_block(block).await.map_err(catalog_error)
    }

    /// The search index of a block: at most one ranged GET, which brings the tail along, kept by the catalog for later queries.
    /// Its bytes count as inspected, whether they are fetched or in memory.
    pub(crate) async fn search_index(&self, at: &BlockRef) -> Result<Arc<SearchIndex>, Error> {
        let _slot = self.slot().await;
        self.inspect(at.meta.tail_offset.saturating_sub(at.meta.search_offset))?;
        self.shared.catalog.open_search(at).await.map_err(catalog_error)
    }

    /// A search index that the query has looked into before: in memory, unless the catalog had to make room.
    pub(crate) async fn search_index_again(&self, at: &BlockRef) -> Result<Arc<SearchIndex>, Error> {
        let _slot = self.slot().await;
        self.shared.catalog.open_search(at).await.map_err(catalog_error)
    }

    /// Fetches ranges of a block for a caller who decodes them: one GET for each run of ranges that lie close together.
    pub(crate) async fn fetch(&self, at: &BlockRef, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let _slot = self.slot().await;
        let bytes: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        self.inspect(bytes)?;
        let held = self.hold(bytes)?;
        let fetched = self.shared.catalog.read_ranges(at, ranges).await.map_err(storage_error)?;
        self.shared.metrics.fetched_bytes.inc_by(bytes);
        // The first part carries the charge of all: they are let go of together.
        let mut held = Some(held);
        let charged = fetched.into_iter().map(|bytes| match held.take() {
            Some(_held) => Bytes::from_owner(Charged { bytes, _held }),
            None => bytes,
        });
        Ok(charged.collect())
    }

    /// Fetches ranges of a block and decodes them: one GET for each run of ranges that lie close together. Bytes that do not decode are fetched
    /// once more before the object is called damaged, because damage may have come in on the way. Meanwhile the query is charged for
    /// what is fetched, and for `decoded_bytes` beside.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        at: &BlockRef,
        ranges: Vec<Range<u64>>,
        decoded_bytes: u64,
        decode: impl Fn(Vec<Bytes>) -> Result<T, Damage> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let mut slot = self.slot().await;
        let decode = Arc::new(decode);
        let bytes: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        let mut held = self.hold(bytes)?;
        let mut is_second = false;
        loop {
            self.inspect(bytes)?;
            let fetched = self.shared.catalog.read_ranges(at, &ranges).await.map_err(storage_error)?;
            self.shared.metrics.fetched_bytes.inc_by(bytes);
            let decoded = if bytes <= INLINE_DECODE_BYTES {
                decode(fetched)
            } else {
                let decode = Arc::clone(&decode);
                // Charged when it begins: many reads may be under way, few are decoded.
                let turn = self.shared.turn().await;
                let decoding = self.hold(decoded_bytes)?;
                // Slot and charges go along: when the query is dropped, its decodes that are under way still count.
                let decode = move || {
                    let decoded = decode(fetched);
                    drop(decoding);
                    (decoded, slot, held)
                };
                let (decoded, slot_back, held_back) = turn.compute(decode).await?;
                (slot, held) = (slot_back, held_back);
                decoded
            };
            match decoded {
                Err(Damage::Corrupt { .. }) if !is_second => {
                    is_second = true;
                    self.shared.catalog.forget_ranges(at, &ranges);
                }
                decoded => return decoded.map_err(|damage| Error::damaged(&at.key, &damage)),
            }
        }
    }

    /// Hands the bytes of a row group to `then`, which reads traces out of them, on a thread that may block: from memory, or with
    /// one GET, and then they are kept for lookups to come.
    ///
    /// # Errors
    /// [`Error`], also past the query's memory.
    pub(crate) async fn row_group<T: Send + 'static>(
        &self,
        at: &BlockRef,
        block: &Arc<Block>,
        row_group: usize,
        then: impl Fn(&CheckedRowGroup) -> Result<T, Damage> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let range = block.row_group_range(row_group);
        // As many bytes again for the rows that come of it: those of one trace, but maybe all.
        let bytes = range.end - range.start;
        let kept = Arc::clone(&self.shared.kept);
        let place = Place { object: Arc::clone(&at.key), row_group: row_group as u32 };
        if let Some(checked) = kept.row_group(&place) {
            self.inspect(bytes)?;
            let turn = self.shared.turn().await;
            let decoding = self.hold(bytes)?;
            let read = turn.compute(move || {
                let read = then(&checked);
                drop(decoding);
                read
            });
            return read.await?.map_err(|damage| Error::damaged(&at.key, &damage));
        }
        let block = Arc::clone(block);
        let decode = move |mut fetched: Vec<Bytes>| {
            let checked = block.check_row_group(row_group, fetched.remove(0))?;
            let read = then(&checked)?;
            kept.keep_row_group(place.clone(), checked.detached());
            Ok(read)
        };
        self.read(at, vec![range], bytes, decode).await
    }

    /// Counts bytes a query looks into, up to the most allowed.
    pub(crate) fn inspect(&self, bytes: u64) -> Result<(), Error> {
        let max_bytes = self.shared.config.max_query_bytes.bytes();
        self.budget.effort.iter().for_each(|effort| effort.add_bytes(bytes));
        if self.budget.inspected_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > max_bytes {
            return Err(Error::TooManyBytes { max_bytes });
        }
        Ok(())
    }

    async fn slot(&self) -> Slot {
        // The query's own slot comes first, so that one wide query does not queue all its reads before everyone else's.
        let _of_query = Arc::clone(&self.budget.slots).acquire_owned().await.expect("the semaphore is never closed");
        let _of_process = Arc::clone(&self.shared.slots).acquire_owned().await.expect("the semaphore is never closed");
        Slot { _of_query, _of_process }
    }
}

/// Whether a block has a span without a start, which says nothing of when its trace starts.
fn has_untimed(block: &BlockRef) -> bool {
    block.meta.time_range().start_unix_nanos == 0
}

/// Whether traces of a time may have a piece in the block.
pub(crate) fn is_near(block: &BlockRef, range: &TimeRange) -> bool {
    has_untimed(block) || block.meta.time_range().overlaps(range)
}

/// The latest that a trace may start which has a piece in the block, in nanoseconds.
pub(crate) fn latest_start(block: &BlockRef) -> u64 {
    if has_untimed(block) { u64::MAX } else { block.meta.time_range().end_unix_nanos }
}

fn storage_error(e: spanlake_storage::Error) -> Error {
    match e.kind() {
        Kind::NotFound => Error::Missing { key: Arc::from(e.key()) },
        Kind::Damaged => Error::Damaged { key: Arc::from(e.key()), damage: e.to_string() },
        Kind::Throttled | Kind::Unavailable | Kind::Denied | Kind::Full => {
            Error::Unavailable { problem: e.to_string() }
        }
        Kind::AlreadyExists | Kind::Invalid => Error::Internal(e.to_string()),
    }
}

pub(crate) fn catalog_error(e: spanlake_catalog::Error) -> Error {
    use spanlake_catalog::Error as Catalog;
    match e {
        Catalog::Storage(e) => storage_error(e),
        Catalog::DamagedBlock { key, source } => Error::damaged(&key, &source),
        Catalog::DamagedManifest { key, problem } => Error::Damaged { key: Arc::from(key), damage: problem },
        Catalog::NewerFormat { ref key, .. } => Error::Damaged { key: Arc::from(key.as_str()), damage: e.to_string() },
        Catalog::Fenced { .. } | Catalog::NotLive { .. } | Catalog::InvalidEdit { .. } => {
            Error::Internal(e.to_string())
        }
        Catalog::TooManyDeleted { .. } => Error::TooManyDeleted(e.to_string()),
    }
}
