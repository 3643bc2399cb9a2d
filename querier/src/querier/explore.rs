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
        self.admit(tenants, async {
            match heatmap::run(&Reads::new(&self.inner.shared), tenants, request).await {
                // A block can be retired and deleted between the snapshot and the read; a fresh snapshot has its heirs.
                Err(Error::Missing { .. }) => heatmap::run(&Reads::new(&self.inner.shared), tenants, request).await,
                answer => answer,
            }
        })
        .await
    }

    /// The services that have spans in a window, with their requests. Costs as much as [`Querier::heatmap`].
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`Services::partial`].
    pub async fn services(&self, tenants: &[Tenant], request: &ServicesRequest) -> Result<Services, Error> {
        self.admit(tenants, async {
            match services::services(&Reads::new(&self.inner.shared), tenants, request).await {
                // A block can be retired and deleted between the snapshot and the read; a fresh snapshot has its heirs.
                Err(Error::Missing { .. }) => {
                    services::services(&Reads::new(&self.inner.shared), tenants, request).await
                }
                answer => answer,
            }
        })
        .await
    }

    /// The operations of a service in a window. Costs as much as [`Querier::heatmap`].
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`Operations::partial`].
    pub async fn operations(&self, tenants: &[Tenant], request: &OperationsRequest) -> Result<Operations, Error> {
        self.admit(tenants, async {
            match services::operations(&Reads::new(&self.inner.shared), tenants, request).await {
                // A block can be retired and deleted between the snapshot and the read; a fresh snapshot has its heirs.
                Err(Error::Missing { .. }) => {
                    services::operations(&Reads::new(&self.inner.shared), tenants, request).await
                }
                answer => answer,
            }
        })
        .await
    }

    /// What a selection of spans has in common that a baseline has not. Reads every attribute of the blocks' spans, of the selection
    /// and of the baseline, in as many ranged reads of each row group as there are two dozens of attributes.
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`Breakdown::partial`].
    pub async fn breakdown(&self, tenants: &[Tenant], request: &BreakdownRequest) -> Result<Breakdown, Error> {
        self.admit(tenants, async {
            match breakdown::run(&Reads::new(&self.inner.shared), tenants, request).await {
                Err(Error::Missing { .. }) => breakdown::run(&Reads::new(&self.inner.shared), tenants, request).await,
                answer => answer,
            }
        })
        .await
    }

    /// Who calls whom in a window. Costs as much as [`Querier::heatmap`].
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`ServiceMap::partial`].
    pub async fn service_map(&self, tenants: &[Tenant], request: &MapRequest) -> Result<ServiceMap, Error> {
        self.admit(tenants, async {
            match map::run(&Reads::new(&self.inner.shared), tenants, request).await {
                Err(Error::Missing { .. }) => map::run(&Reads::new(&self.inner.shared), tenants, request).await,
                answer => answer,
            }
        })
        .await
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
        self.admit(tenants, async {
            match baseline::run(&Reads::new(&self.inner.shared), tenants, range, wanted.cloned()).await {
                Err(Error::Missing { .. }) => {
                    baseline::run(&Reads::new(&self.inner.shared), tenants, range, wanted.cloned()).await
                }
                answer => answer,
            }
        })
        .await
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
        self.admit(tenants, async {
            match baseline::of_operation(&Reads::new(&self.inner.shared), tenants, request).await {
                Err(Error::Missing { .. }) => {
                    baseline::of_operation(&Reads::new(&self.inner.shared), tenants, request).await
                }
                answer => answer,
            }
        })
        .await
    }

    /// Why a query finds nothing. A pass over the spans of the window for each of its conditions, two for those that find nothing.
    ///
    /// # Errors
    /// [`Error`]; a bound on work ends it with what there is and [`Why::partial`].
    pub async fn why(&self, tenants: &[Tenant], request: &WhyRequest) -> Result<Why, Error> {
        self.admit(tenants, async {
            match why::run(&Reads::new(&self.inner.shared), tenants, request).await {
                Err(Error::Missing { .. }) => why::run(&Reads::new(&self.inner.shared), tenants, request).await,
                answer => answer,
            }
        })
        .await
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
