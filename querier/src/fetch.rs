//! The one place where queries touch objects: ranged reads under the bounds of a query and of the process, decoding on
//! threads that may block.
//!
//! It knows blocks and ranges, not what a query is looking for.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use spanlake_block::{Block, Damage, SearchIndex};
use spanlake_catalog::{BlockRef, Catalog};
use spanlake_model::{Tenant, TimeRange};
use spanlake_storage::Kind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::error::Error;
use crate::metrics::Metrics;

/// Below this many fetched bytes, decoding is too short to be worth another thread. Few bytes may be many rows: 65,536 statuses
/// compress to some thousand.
const INLINE_DECODE_BYTES: u64 = 2 << 10;

/// What all queries of a process share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    catalog: Catalog,
    slots: Arc<Semaphore>,
    /// Memory that all queries hold.
    held_bytes: Arc<AtomicU64>,
}

impl Shared {
    pub(crate) fn new(config: Config, catalog: Catalog, metrics: Metrics) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(config.max_fetches.clamp(1, Semaphore::MAX_PERMITS))),
            config,
            metrics,
            catalog,
            held_bytes: Arc::default(),
        }
    }
}

/// The reads of one query. Dropping its futures stops its work: nothing is spawned but short decodes.
pub(crate) struct Reads<'a> {
    pub(crate) shared: &'a Shared,
    budget: Arc<Budget>,
}

/// What a query may still read.
pub(crate) struct Budget {
    slots: Arc<Semaphore>,
    inspected_bytes: AtomicU64,
    inspected_spans: AtomicU64,
    held_bytes: Arc<AtomicU64>,
}

/// One query may hold at most this part of the memory of all: one in four, as of SQL.
const QUERY_SHARE: u64 = 4;

/// Memory that a query is charged for until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    of_query: Arc<AtomicU64>,
    of_process: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of_query.fetch_sub(self.bytes, Ordering::Relaxed);
        self.of_process.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Budget {
    pub(crate) fn new(config: &Config) -> Self {
        let slots = Arc::new(Semaphore::new(config.fetches_per_query.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            slots,
            inspected_bytes: AtomicU64::new(0),
            inspected_spans: AtomicU64::new(0),
            held_bytes: Arc::default(),
        }
    }
}

/// The right to hold one fetched range in memory.
struct Slot {
    _of_query: OwnedSemaphorePermit,
    _of_process: OwnedSemaphorePermit,
}

impl<'a> Reads<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self::within(shared, Arc::new(Budget::new(&shared.config)))
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
    }

    /// Charges the query for memory, up to the most allowed.
    pub(crate) fn hold(&self, bytes: u64) -> Result<Held, Error> {
        let budget = &self.budget;
        let of_process = &self.shared.held_bytes;
        let held = Held { of_query: Arc::clone(&budget.held_bytes), of_process: Arc::clone(of_process), bytes };
        let max_bytes = self.shared.config.max_query_memory.bytes();
        let of_query = budget.held_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let of_process = of_process.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if of_query > max_bytes / QUERY_SHARE || of_process > max_bytes {
            let problem = format!("it holds {of_query} bytes, all queries together {of_process}");
            return Err(Error::OutOfMemory { problem, max_bytes });
        }
        Ok(held)
    }

    /// Streams of work of one query that may be under way at once; the slots bound what they hold.
    pub(crate) fn width(&self) -> usize {
        self.shared.config.fetches_per_query.max(1)
    }

    /// The blocks of the tenants that overlap the range or have a span without a start, newest end first. One listing per tenant, shared with others.
    pub(crate) async fn blocks(&self, tenants: &[Tenant], range: TimeRange) -> Result<Vec<BlockRef>, Error> {
        let snapshots = tenants.iter().map(|tenant| self.shared.catalog.snapshot(tenant));
        let snapshots = futures::future::try_join_all(snapshots).await.map_err(catalog_error)?;
        // Spans without a time may belong to any trace.
        let overlapping = |block: &&BlockRef| {
            let of_block = block.meta.time_range();
            of_block.start_unix_nanos == 0 || of_block.overlaps(&range)
        };
        let mut blocks: Vec<_> =
            snapshots.iter().flat_map(|snapshot| snapshot.blocks.iter().filter(overlapping).cloned()).collect();
        let max = self.shared.config.max_blocks_per_query;
        if blocks.len() > max {
            return Err(Error::TooManyBlocks { block_count: blocks.len(), max });
        }
        blocks.sort_by(|a, b| {
            b.meta.time_range().end_unix_nanos.cmp(&a.meta.time_range().end_unix_nanos).then_with(|| a.key.cmp(&b.key))
        });
        Ok(blocks)
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
        let fetched = self.shared.catalog.store().get_ranges(&at.key, ranges).await.map_err(storage_error)?;
        self.shared.metrics.fetched_bytes.inc_by(bytes);
        Ok(fetched)
    }

    /// Fetches ranges of a block and decodes them: one GET for each run of ranges that lie close together. Bytes that do not decode are fetched
    /// once more before the object is called damaged, because damage may have come in on the way.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        at: &BlockRef,
        ranges: Vec<Range<u64>>,
        decode: impl Fn(Vec<Bytes>) -> Result<T, Damage> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let mut slot = self.slot().await;
        let decode = Arc::new(decode);
        let bytes: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        let mut is_second = false;
        loop {
            self.inspect(bytes)?;
            let store = self.shared.catalog.store();
            let fetched = store.get_ranges(&at.key, &ranges).await.map_err(storage_error)?;
            self.shared.metrics.fetched_bytes.inc_by(bytes);
            let decoded = if bytes <= INLINE_DECODE_BYTES {
                decode(fetched)
            } else {
                let decode = Arc::clone(&decode);
                // The slot goes along: when the query is dropped, its decodes that are under way still count.
                let (decoded, back) = compute(move || (decode(fetched), slot)).await?;
                slot = back;
                decoded
            };
            match decoded {
                Err(Damage::Corrupt { .. }) if !is_second => is_second = true,
                decoded => return decoded.map_err(|damage| damaged(&at.key, &damage)),
            }
        }
    }

    /// Counts bytes a query looks into, up to the most allowed.
    fn inspect(&self, bytes: u64) -> Result<(), Error> {
        let max_bytes = self.shared.config.max_query_bytes.bytes();
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

/// Runs long computation on a thread that may block.
pub(crate) async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(format!("a decoding task ended early: {e}")))
}

fn damaged(key: &Arc<str>, damage: &Damage) -> Error {
    Error::Damaged { key: Arc::clone(key), damage: damage.to_string() }
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

fn catalog_error(e: spanlake_catalog::Error) -> Error {
    use spanlake_catalog::Error as Catalog;
    match e {
        Catalog::Storage(e) => storage_error(e),
        Catalog::DamagedBlock { key, source } => damaged(&key, &source),
        Catalog::DamagedManifest { key, problem } => Error::Damaged { key: Arc::from(key), damage: problem },
        Catalog::NewerFormat { ref key, .. } => Error::Damaged { key: Arc::from(key.as_str()), damage: e.to_string() },
        Catalog::Fenced { .. } | Catalog::NotLive { .. } | Catalog::InvalidEdit { .. } => {
            Error::Internal(e.to_string())
        }
    }
}
