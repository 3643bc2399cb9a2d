//! The querier's answers about many spans at once.

use std::collections::HashSet;
use std::sync::Arc;

use spanlake_catalog::BlockRef;
use spanlake_model::{Tenant, TimeRange};
use spanlake_traceql::Query;

use super::Querier;
use crate::engine::explore::{
    Baselines, Breakdown, BreakdownRequest, Heatmap, HeatmapRequest, MapRequest, OperationBaseline,
    OperationBaselineRequest, OperationKey, Operations, OperationsRequest, ServiceMap, Services, ServicesRequest,
    TailedSpan, Why, WhyRequest, baseline, breakdown, heatmap, map, services, tail, why,
};
use crate::error::Error;
use crate::fetch::{Reads, catalog_error};

impl Querier {
    /// The durations of spans over time as a picture.
    ///
    /// Costs one listing per tenant (shared), and per block at most one GET for its tail and search index and one per row group that
    /// may have such spans.
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`Heatmap::partial`].
    pub async fn heatmap(&self, tenants: &[Tenant], request: &HeatmapRequest) -> Result<Heatmap, Error> {
        self.answer(tenants, |reads| async move { heatmap::run(&reads, tenants, request).await }).await
    }

    /// The services that have spans in a window, with their requests. Costs as much as [`Querier::heatmap`].
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`Services::partial`].
    pub async fn services(&self, tenants: &[Tenant], request: &ServicesRequest) -> Result<Services, Error> {
        self.answer(tenants, |reads| async move { services::services(&reads, tenants, request).await }).await
    }

    /// The operations of a service in a window. Costs as much as [`Querier::heatmap`].
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`Operations::partial`].
    pub async fn operations(&self, tenants: &[Tenant], request: &OperationsRequest) -> Result<Operations, Error> {
        self.answer(tenants, |reads| async move { services::operations(&reads, tenants, request).await }).await
    }

    /// What a selection of spans has in common that a baseline has not. Reads every attribute of the blocks' spans, of the selection
    /// and of the baseline, in as many ranged reads of each row group as there are two dozens of attributes.
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`Breakdown::partial`].
    pub async fn breakdown(&self, tenants: &[Tenant], request: &BreakdownRequest) -> Result<Breakdown, Error> {
        self.answer(tenants, |reads| async move { breakdown::run(&reads, tenants, request).await }).await
    }

    /// Who calls whom in a window. Costs as much as [`Querier::heatmap`].
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`ServiceMap::partial`].
    pub async fn service_map(&self, tenants: &[Tenant], request: &MapRequest) -> Result<ServiceMap, Error> {
        self.answer(tenants, |reads| async move { map::run(&reads, tenants, request).await }).await
    }

    /// What is usual for operations in a time, as an estimate: for those that are wanted, or for all. One ranged GET for each block that
    /// may have spans of the time, none when its search index is in memory; blocks of level 0 and those with deleted traces cost as
    /// much as with [`Querier::heatmap`].
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`Baselines::partial`].
    pub async fn baselines(
        &self,
        tenants: &[Tenant],
        range: TimeRange,
        wanted: Option<&HashSet<OperationKey>>,
    ) -> Result<Baselines, Error> {
        self.answer(tenants, |reads| async move { baseline::run(&reads, tenants, range, wanted.cloned()).await }).await
    }

    /// What is usual for one operation, and how a duration stands. Costs as much as [`Querier::baselines`].
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`OperationBaseline::partial`].
    pub async fn operation_baseline(
        &self,
        tenants: &[Tenant],
        request: &OperationBaselineRequest,
    ) -> Result<OperationBaseline, Error> {
        self.answer(tenants, |reads| async move { baseline::of_operation(&reads, tenants, request).await }).await
    }

    /// Why a query finds nothing. A pass over the spans of the window for each of its conditions, two for those that find nothing.
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`Why::partial`].
    pub async fn why(&self, tenants: &[Tenant], request: &WhyRequest) -> Result<Why, Error> {
        self.answer(tenants, |reads| async move { why::run(&reads, tenants, request).await }).await
    }

    /// The level-0 blocks that are not known yet; those that are gone are not known any more. One listing per tenant, shared with
    /// others.
    pub(crate) async fn new_blocks(
        &self,
        tenants: &[Tenant],
        known: &mut HashSet<Arc<str>>,
    ) -> Result<Vec<BlockRef>, Error> {
        Reads::new(&self.inner.shared).new_blocks(tenants, known).await
    }

    /// How many spans of new blocks meet a query, and the first of them.
    pub(crate) async fn tail(
        &self,
        tenants: &[Tenant],
        blocks: Vec<BlockRef>,
        query: &Query,
        limit: usize,
    ) -> Result<(u64, Vec<TailedSpan>), Error> {
        self.admit(tenants, async {
            match tail::run(&Reads::new(&self.inner.shared), tenants, blocks, query, limit).await {
                // What was merged and deleted meanwhile was no news for long.
                Err(Error::Missing { .. }) => Ok((0, Vec::new())),
                answer => answer,
            }
        })
        .await
    }

    /// Ends every tail: the process stops.
    pub fn stop_tails(&self) {
        self.inner.tails.stopping.send_replace(true);
    }

    /// The tenants that have any object, by name; the single one where tenancy is off. With tenancy, a LIST for each and one more.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn tenants(&self) -> Result<Vec<Tenant>, Error> {
        if !self.config().tenancy_enabled {
            return Ok(vec![Tenant::single()]);
        }
        self.admit(&[], async { self.inner.shared.catalog.tenants().await.map_err(catalog_error) }).await
    }
}
