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
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::Config;
use crate::error::Error;
use crate::metrics::Metrics;

/// Below this many fetched bytes, decoding is too short to be worth another thread.
const INLINE_DECODE_BYTES: u64 = 64 << 10;

/// What all queries of a process share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    catalog: Catalog,
    slots: Semaphore,
}

impl Shared {
    pub(crate) fn new(config: Config, catalog: Catalog, metrics: Metrics) -> Self {
        Self { slots: Semaphore::new(config.max_fetches.clamp(1, Semaphore::MAX_PERMITS)), config, metrics, catalog }
    }
}

/// The reads of one query. Dropping its futures stops its work: nothing is spawned but short decodes.
pub(crate) struct Reads<'a> {
    pub(crate) shared: &'a Shared,
    slots: Semaphore,
    inspected_bytes: AtomicU64,
}

/// The right to hold one fetched range in memory.
struct Slot<'a> {
    _of_query: SemaphorePermit<'a>,
    _of_process: SemaphorePermit<'a>,
}

impl<'a> Reads<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        let slots = Semaphore::new(shared.config.fetches_per_query.clamp(1, Semaphore::MAX_PERMITS));
        Self { shared, slots, inspected_bytes: AtomicU64::new(0) }
    }

    /// Bytes of row groups fetched and of search indexes looked into so far. Tails of blocks are not counted: the catalog
    /// keeps those.
    pub(crate) fn inspected_bytes(&self) -> u64 {
        self.inspected_bytes.load(Ordering::Relaxed)
    }

    /// Streams of work of one query that may be under way at once; the slots bound what they hold.
    pub(crate) fn width(&self) -> usize {
        self.shared.config.fetches_per_query.max(1)
    }

    /// The blocks of the tenants that overlap the range, newest end first. One listing per tenant, shared with others.
    pub(crate) async fn blocks(&self, tenants: &[Tenant], range: TimeRange) -> Result<Vec<BlockRef>, Error> {
        let snapshots = tenants.iter().map(|tenant| self.shared.catalog.snapshot(tenant));
        let snapshots = futures::future::try_join_all(snapshots).await.map_err(catalog_error)?;
        let overlapping = |block: &&BlockRef| block.meta.time_range().overlaps(&range);
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

    /// The search index of a block: at most one ranged GET, kept by the catalog for later queries. Its bytes count as
    /// inspected, whether they are fetched or in memory.
    pub(crate) async fn search_index(&self, at: &BlockRef, block: &Block) -> Result<Arc<SearchIndex>, Error> {
        let _slot = self.slot().await;
        let range = block.search_range();
        self.inspect(range.end.saturating_sub(range.start))?;
        self.shared.catalog.open_search(at).await.map_err(catalog_error)
    }

    /// Fetches ranges of a block and decodes them: one GET for each run of ranges that lie close together. Bytes that do not decode are fetched
    /// once more before the object is called damaged, because damage may have come in on the way.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        at: &BlockRef,
        ranges: Vec<Range<u64>>,
        decode: impl Fn(Vec<Bytes>) -> Result<T, Damage> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let _slot = self.slot().await;
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
                compute(move || decode(fetched)).await?
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
        if self.inspected_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > max_bytes {
            return Err(Error::TooManyBytes { max_bytes });
        }
        Ok(())
    }

    async fn slot(&self) -> Slot<'_> {
        // The query's own slot comes first, so that one wide query does not queue all its reads before everyone else's.
        let _of_query = self.slots.acquire().await.expect("the semaphore is never closed");
        let _of_process = self.shared.slots.acquire().await.expect("the semaphore is never closed");
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
