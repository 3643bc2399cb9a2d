//! The querier's front: admits queries, bounds their time, and runs them.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use spanlake_catalog::Catalog;
use spanlake_model::{Tenant, TimeRange, TraceId};
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::error::Error;
use crate::fetch::{Reads, Shared};
use crate::metrics::Metrics;
use crate::search::{self, SearchAnswer, SearchRequest};
use crate::trace::{self, TraceAnswer};

/// Answers questions about traces from the blocks of a catalog. Cheap to clone; clones share bounds, caches and metrics.
///
/// A query runs in the caller's task: dropping its future stops it.
#[derive(Clone)]
pub struct Querier {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Shared,
    /// Places for queries that run or wait.
    places: Semaphore,
    running: Semaphore,
}

impl Querier {
    /// A querier over the catalog, its metrics registered.
    pub fn new(config: Config, catalog: Catalog, registry: &mut Registry) -> Self {
        let bound = |count: usize| count.clamp(1, Semaphore::MAX_PERMITS);
        let running = Semaphore::new(bound(config.max_concurrent_queries));
        let places = Semaphore::new(bound(config.max_concurrent_queries.saturating_add(config.max_queued_queries)));
        let shared = Shared::new(config, catalog, Metrics::new(registry));
        Self { inner: Arc::new(Inner { shared, places, running }) }
    }

    /// The settings it runs with.
    pub fn config(&self) -> &Config {
        &self.inner.shared.config
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.shared.metrics
    }

    /// The whole trace with this id, over all blocks of the tenants; empty when there is none. A hint leaves out blocks
    /// that do not overlap it.
    ///
    /// Costs one listing per tenant (shared with other queries), one GET per block not yet open, and one GET per row group
    /// that may hold the trace.
    ///
    /// # Errors
    /// [`Error`]: nothing that cannot be read is left out in silence.
    pub async fn trace(&self, tenants: &[Tenant], id: TraceId, hint: Option<TimeRange>) -> Result<TraceAnswer, Error> {
        self.admit(async {
            match trace::read(&Reads::new(&self.inner.shared), tenants, id, hint).await {
                // A block can be retired and deleted between the snapshot and the read; a fresh snapshot has its heirs.
                Err(Error::Missing { .. }) => trace::read(&Reads::new(&self.inner.shared), tenants, id, hint).await,
                answer => answer,
            }
        })
        .await
    }

    /// The newest traces that match.
    ///
    /// Costs one listing per tenant (shared), and per block looked into at most one GET for its tail, one for its search
    /// index, and one per row group that may match a tag or holds an answered trace that lies in several blocks.
    ///
    /// # Errors
    /// [`Error`]: nothing that cannot be read is left out in silence.
    pub async fn search(&self, tenants: &[Tenant], request: &SearchRequest) -> Result<SearchAnswer, Error> {
        if request.tags.len() > SearchRequest::MAX_TAGS {
            return Err(Error::TooManyTags { tag_count: request.tags.len(), max: SearchRequest::MAX_TAGS });
        }
        self.admit(async {
            match search::run(&Reads::new(&self.inner.shared), tenants, request).await {
                Err(Error::Missing { .. }) => search::run(&Reads::new(&self.inner.shared), tenants, request).await,
                answer => answer,
            }
        })
        .await
    }

    /// Runs a query when its turn comes, inside the time allowed.
    async fn admit<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let _place = self.inner.places.try_acquire().map_err(|_| Error::Busy)?;
        let limit = self.config().query_timeout.get();
        let run = async {
            let _turn = self.inner.running.acquire().await.expect("the semaphore is never closed");
            let _running = Running::new(self.metrics());
            work.await
        };
        let answer = tokio::time::timeout(limit, run).await.unwrap_or(Err(Error::TimedOut { limit }));
        if let Err(Error::Damaged { key, damage }) = &answer {
            self.metrics().damaged.inc();
            tracing::error!(key = &**key, damage, "a query failed because an object is damaged");
        }
        answer
    }
}

/// Counts a running query for as long as it lives, however it ends.
struct Running<'a>(&'a Metrics);

impl<'a> Running<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.running.inc();
        Self(metrics)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.dec();
    }
}
