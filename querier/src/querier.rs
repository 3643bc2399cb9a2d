//! The querier's front: admits queries, bounds their time, and runs them.

mod explore;
mod files;
pub(crate) mod lessons;
pub(crate) mod tails;
pub(crate) mod watched;

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use spanlake_cache::CacheMetrics;
use spanlake_catalog::{Catalog, Deletion};
use spanlake_model::{Tenant, TimeRange, TraceId};
use spanlake_table::SqlEngine;
use spanlake_traceql::Query;
use tokio::sync::mpsc;

use crate::admission::Admission;
use crate::config::Config;
use crate::engine::{
    self, MetricsAnswer, MetricsRequest, SearchEvent, TagNames, TagNamesRequest, TagValues, TagValuesRequest,
    TraceqlAnswer, TraceqlSearch,
};
use crate::error::Error;
use crate::fetch::{Reads, Shared, catalog_error};
use crate::metrics::Metrics;
use crate::search::{self, SearchAnswer, SearchRequest};
use crate::trace::{self, TraceAnswer};

/// Answers questions about traces from the blocks of a catalog. Cheap to clone; clones share bounds, caches and metrics.
///
/// A query runs in the caller's task, and SQL is planned on a thread of its own and computed in tasks of its own: dropping
/// what a query gave, its future or its rows, stops it.
#[derive(Clone)]
pub struct Querier {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shared: Shared,
    pub(crate) admission: Admission,
    pub(crate) sql: SqlEngine,
    pub(crate) tails: tails::Tails,
    pub(crate) watched: watched::Watched,
    pub(crate) lessons: lessons::Lessons,
}

impl Querier {
    /// A querier over the catalog, its metrics registered.
    pub fn new(config: Config, catalog: Catalog, registry: &mut Registry) -> Self {
        Self::with_caches(config, catalog, &CacheMetrics::default(), registry)
    }

    /// As [`Querier::new`], with what the process's caches count, which is registered here.
    pub fn with_caches(config: Config, catalog: Catalog, caches: &CacheMetrics, registry: &mut Registry) -> Self {
        let metrics = Metrics::new(caches, registry);
        let admission = Admission::new(&config, metrics.clone());
        let shared = Shared::new(config, catalog, metrics);
        let sql = SqlEngine::sharing(Arc::clone(&shared.memory));
        let (tails, watched) = (tails::Tails::default(), watched::Watched::default());
        let lessons = lessons::Lessons::default();
        Self { inner: Arc::new(Inner { shared, admission, sql, tails, watched, lessons }) }
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
        self.answer(tenants, |reads| async move { trace::read(&reads, tenants, id, hint).await }).await
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
        self.answer(tenants, |reads| async move { search::run(&reads, tenants, request).await }).await
    }

    /// Runs a TraceQL search. `watch` hears of progress and of each trace once it is final; when its receiver is gone, the
    /// search stops. A search that begins anew, because blocks were merged meanwhile, tells the same traces again.
    ///
    /// # Errors
    /// [`Error`]; a bound of the search itself ends it with the traces so far and [`TraceqlAnswer::stopped`].
    pub async fn traceql_search(
        &self,
        tenants: &[Tenant],
        request: &TraceqlSearch,
        watch: Option<mpsc::Sender<SearchEvent>>,
    ) -> Result<TraceqlAnswer, Error> {
        let watch = watch.as_ref();
        self.answer(tenants, |reads| async move { engine::search::run(&reads, tenants, request, watch).await }).await
    }

    /// Runs a TraceQL metrics query.
    ///
    /// # Errors
    /// [`Error`]; a bound on series or bytes ends it with what there is and [`MetricsAnswer::partial`].
    pub async fn traceql_metrics(&self, tenants: &[Tenant], request: &MetricsRequest) -> Result<MetricsAnswer, Error> {
        self.answer(tenants, |reads| async move { engine::metrics::run(&reads, tenants, request).await }).await
    }

    /// What a query would do and what each step would leave out, as JSON.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn traceql_explain(
        &self,
        tenants: &[Tenant],
        query: &Query,
        range: Option<TimeRange>,
    ) -> Result<serde_json::Value, Error> {
        self.answer(tenants, |reads| async move { engine::explain::run(&reads, tenants, query, range).await }).await
    }

    /// The names of attributes that spans in the blocks of the range have. Intrinsics are none of them.
    ///
    /// Costs one listing per tenant (shared), and per block at most one GET for its tail and one for its search index; with
    /// a filter also one per row group that may meet it, and one per scope and such row group.
    ///
    /// # Errors
    /// [`Error`]: nothing that cannot be read is left out in silence.
    pub async fn tag_names(&self, tenants: &[Tenant], request: &TagNamesRequest) -> Result<TagNames, Error> {
        self.answer(tenants, |reads| async move { engine::tags::names(&reads, tenants, request).await }).await
    }

    /// The distinct values that a field has in the blocks of the range: the first in order that are within the bounds. Fields
    /// that every span has another value of (ids, times), and those with a fixed list (status, kind), have none.
    ///
    /// Costs one listing per tenant (shared), and per block at most one GET for its tail and one for its search index, and one per
    /// row group that may have the field if it is one of spans, events or links; with a filter also one per row group that may meet it.
    ///
    /// # Errors
    /// [`Error`]: nothing that cannot be read is left out in silence.
    pub async fn tag_values(&self, tenants: &[Tenant], request: &TagValuesRequest) -> Result<TagValues, Error> {
        self.answer(tenants, |reads| async move { engine::tags::values(&reads, tenants, request).await }).await
    }

    /// Deletes traces of a tenant: every query that begins after this returns, in any process, shows nothing of them. The reason is
    /// kept with them. Deleting again does no harm.
    ///
    /// Costs a PUT for the audit and a commit of the manifest.
    ///
    /// # Errors
    /// [`Error`]; [`Error::TooManyDeleted`] when too many wait for their removal from storage.
    pub async fn delete_traces(&self, tenant: &Tenant, ids: &[TraceId], reason: &str) -> Result<Deletion, Error> {
        let limit = self.config().query_timeout.get();
        let work = self.inner.shared.catalog.delete_traces(tenant, ids, reason);
        // Even if it fails, or who asked is gone before it is done: the traces may be deleted all the same.
        let _forgetting = lessons::Forgetting(&self.inner.lessons);
        tokio::time::timeout(limit, work).await.map_err(|_| Error::TimedOut { limit })?.map_err(catalog_error)
    }

    /// Runs a query when its turn comes, inside the time allowed; once more if an object that it needs is gone: a block can be
    /// retired and deleted between the snapshot and the read, and a fresh snapshot has its heirs.
    async fn answer<'a, T, W: Future<Output = Result<T, Error>>>(
        &'a self,
        tenants: &[Tenant],
        work: impl Fn(Reads<'a>) -> W,
    ) -> Result<T, Error> {
        self.admit(tenants, async {
            match work(Reads::new(&self.inner.shared)).await {
                Err(Error::Missing { .. }) => work(Reads::new(&self.inner.shared)).await,
                answer => answer,
            }
        })
        .await
    }

    /// Runs work when its turn comes, inside the time allowed.
    async fn admit<T>(&self, tenants: &[Tenant], work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut place = self.inner.admission.enter(tenants)?;
        let limit = self.config().query_timeout.get();
        let run = async {
            place.turn().await;
            let _running = Running::new(self.metrics());
            work.await
        };
        let answer = tokio::time::timeout(limit, run).await.unwrap_or(Err(Error::TimedOut { limit }));
        if let Err(error) = &answer {
            self.note_damage(error);
        }
        answer
    }

    /// Counts and logs damage; nothing else.
    pub(crate) fn note_damage(&self, error: &Error) {
        if let Error::Damaged { key, damage } = error {
            self.metrics().damaged.inc();
            tracing::error!(key = &**key, damage, "a query failed because an object is damaged");
        }
    }
}

/// Counts a running query for as long as it lives, however it ends.
pub(crate) struct Running(Gauge);

impl Running {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        metrics.running.inc();
        Self(metrics.running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}
