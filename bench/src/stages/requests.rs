//! What operations cost in requests to an object store: flushed blocks are published, then read as a querier reads them.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures::future::try_join_all;
use spanlake_block::{Block, Condition, Field, Literal, Op, Scope, Written};
use spanlake_catalog::{BlockRef, Catalog};
use spanlake_model::{Tenant, TraceId};
use spanlake_storage::{Config, Store};

use super::report::Requests;
use super::samples::{NEEDLE_KEY, Samples};
use crate::Error;
use crate::dice::Dice;

/// Lookups per kind: their requests are averaged.
const LOOKUPS: usize = 20;

fn failed<E: std::fmt::Display>(error: E) -> Error {
    Error::stage("object store")(error)
}

/// A reader with a catalog of its own, whose caches are empty at first.
struct Reader {
    catalog: Catalog,
    tenant: Tenant,
}

/// Publishes the blocks to a new store, in a directory or in memory, and counts what reading them takes.
pub(super) async fn count(
    directory: Option<&Path>,
    blocks: Vec<Written>,
    samples: &Samples,
) -> Result<Vec<Requests>, Error> {
    let store = open(directory)?;
    let tenant = Tenant::single();
    let catalog = |store: &Store| Catalog::new(store.clone(), spanlake_catalog::Config::default());
    let reader = || Reader { catalog: catalog(&store), tenant: tenant.clone() };
    let ids = ids(&blocks)?;
    let mut all = Vec::new();

    let meter = Metered::start(&store);
    let block_count = blocks.len();
    let publisher = catalog(&store);
    for block in blocks {
        publisher.publish_l0(&tenant, block).await.map_err(failed)?;
    }
    all.push(meter.stop("publish a block", block_count));

    let warm = reader();
    let meter = Metered::start(&store);
    warm.snapshot().await?;
    all.push(meter.stop("first snapshot", 1));
    let meter = Metered::start(&store);
    warm.snapshot().await?;
    all.push(meter.stop("next snapshot", 1));

    let cold = format!("trace by id, nothing cached, {block_count} blocks");
    let meter = Metered::start(&store);
    for id in &ids {
        reader().look_up(id).await?;
    }
    all.push(meter.stop(&cold, ids.len()));
    warm.look_up(&ids[0]).await?;
    let meter = Metered::start(&store);
    for id in &ids {
        warm.look_up(id).await?;
    }
    all.push(meter.stop("trace by id, tails cached", ids.len()));
    let mut dice = Dice::new(23);
    let meter = Metered::start(&store);
    for _ in 0..LOOKUPS {
        warm.look_up(&TraceId(dice.id())).await?;
    }
    all.push(meter.stop("absent id, tails cached", LOOKUPS));

    let needle = samples.needle.as_deref().unwrap_or("none");
    let meter = Metered::start(&store);
    reader().search(needle).await?;
    all.push(meter.stop("needle, nothing cached", 1));
    warm.search(needle).await?;
    let meter = Metered::start(&store);
    warm.search(needle).await?;
    all.push(meter.stop("needle, tails and search indexes cached", 1));
    Ok(all)
}

fn open(directory: Option<&Path>) -> Result<Store, Error> {
    let Some(directory) = directory else { return Ok(Store::memory()) };
    let occupied = directory.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(Error::Usage(format!("{} is not empty: name a new directory", directory.display())));
    }
    let url = directory.to_str().ok_or_else(|| Error::Usage("the directory's name is not UTF-8".to_owned()))?;
    Store::open(&Config { url: url.to_owned(), ..Config::default() }).map_err(failed)
}

/// Some trace ids, evenly over the first block.
fn ids(blocks: &[Written]) -> Result<Vec<TraceId>, Error> {
    let first = blocks.first().ok_or_else(|| Error::Usage("there is no span to measure with".to_owned()))?;
    let part = |from: u64, to: u64| first.bytes.slice(from as usize..to as usize);
    let tail = part(first.meta.tail_offset, first.meta.object_bytes);
    let block = Block::open(&first.meta, tail).map_err(failed)?;
    let range = block.search_range();
    let search = block.open_search(part(range.start, range.end)).map_err(failed)?;
    let every = search.summaries().len().div_ceil(LOOKUPS).max(1);
    Ok(search.summaries().iter().step_by(every).map(|summary| summary.trace_id).collect())
}

impl Reader {
    /// The opened blocks, in one wave for those that are not cached.
    async fn open_all(&self, blocks: &[BlockRef]) -> Result<Vec<Arc<Block>>, Error> {
        try_join_all(blocks.iter().map(|block| self.catalog.open_block(block))).await.map_err(failed)
    }

    async fn snapshot(&self) -> Result<Vec<BlockRef>, Error> {
        Ok(self.catalog.snapshot(&self.tenant).await.map_err(failed)?.blocks.to_vec())
    }

    /// One wave for the tails that are not cached, one for the row groups. Returns the number of spans found.
    async fn look_up(&self, id: &TraceId) -> Result<usize, Error> {
        let blocks = self.snapshot().await?;
        let opened = self.open_all(&blocks).await?;
        let mut reads = Vec::new();
        for (at, block) in opened.iter().enumerate() {
            reads.extend(block.row_groups_for(id).map(|group| (at, group)));
        }
        let fetched =
            try_join_all(reads.iter().map(|(at, group)| {
                self.catalog.store().get_range(&blocks[*at].key, opened[*at].row_group_range(*group))
            }));
        let mut spans = 0;
        for ((at, group), bytes) in reads.iter().zip(fetched.await.map_err(failed)?) {
            spans += opened[*at].read_trace(*group, bytes, id).map_err(failed)?.len();
        }
        Ok(spans)
    }

    /// As [`Reader::look_up`], with a wave for the search indexes in between. Returns the number of traces found.
    async fn search(&self, needle: &str) -> Result<usize, Error> {
        let field = Field::Attribute { scope: Scope::Span, key: NEEDLE_KEY.to_owned() };
        let condition = [Condition { field, op: Op::Eq, value: Literal::String(needle.to_owned()) }];
        let blocks = self.snapshot().await?;
        let opened = self.open_all(&blocks).await?;
        let searches =
            try_join_all(blocks.iter().map(|block| self.catalog.open_search(block))).await.map_err(failed)?;
        let mut traces = 0;
        for ((reference, block), search) in blocks.iter().zip(&opened).zip(&searches) {
            for plan in block.plan_scan(search, &condition) {
                let bytes = self.catalog.store().get_ranges(&reference.key, &plan.ranges).await.map_err(failed)?;
                traces += block.matching_traces(search, &plan, bytes).map_err(failed)?.len();
            }
        }
        Ok(traces)
    }
}

/// Reads the store's meter around some operations.
struct Metered<'a> {
    store: &'a Store,
    before: spanlake_storage::Counts,
    start: Instant,
}

impl<'a> Metered<'a> {
    fn start(store: &'a Store) -> Self {
        Self { store, before: store.meter().counts(), start: Instant::now() }
    }

    /// The average of `count` operations.
    fn stop(self, operation: &str, count: usize) -> Requests {
        let seconds = self.start.elapsed().as_secs_f64();
        let spent = self.store.meter().counts().since(&self.before);
        let each = |sum: u64| sum as f64 / count.max(1) as f64;
        Requests {
            operation: operation.to_owned(),
            get: each(spent.get.request_count),
            get_range: each(spent.get_range.request_count),
            put: each(spent.put.request_count),
            list: each(spent.list.request_count),
            bytes: each(spent.get.bytes + spent.get_range.bytes + spent.put.bytes),
            millis: seconds * 1e3 / count.max(1) as f64,
        }
    }
}
