//! The role: tenants take turns, a bounded number at once. What a turn does is in [`crate::turn`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use prometheus_client::registry::Registry;
use spanlake_catalog::{Catalog, Error};
use spanlake_model::{Tenant, world};
use tokio::time::Instant;

use crate::Config;
use crate::candidate::unix_nanos;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::status::{ErrorStatus, Status, TenantStatus};
use crate::turn::{Role, Turn};

/// Shortest pause between rounds, whatever is configured: an interval of zero must not become a busy loop of requests.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Tenants looked at at once.
const LOOKS_AT_ONCE: usize = 8;

/// Merges blocks, drops them when their time is over, and deletes what is not needed any more. Clones share everything.
#[derive(Clone)]
pub struct Compactor {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    catalog: Catalog,
    metrics: Metrics,
    /// Who holds the leases of this process.
    holder: String,
    tenants: Mutex<HashMap<Tenant, Arc<tokio::sync::Mutex<Memory>>>>,
    status: Mutex<Status>,
}

impl Compactor {
    /// A compactor over the catalog; registers its metrics. Costs no request.
    pub fn new(config: Config, catalog: Catalog, registry: &mut Registry) -> Self {
        let metrics = Metrics::new(registry);
        let holder = match world::simulated_u64() {
            None => format!("{}-{:016x}", std::process::id(), rand::random::<u64>()),
            Some(random) => format!("{random:016x}"),
        };
        let inner = Inner { config, catalog, metrics, holder, tenants: Mutex::default(), status: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Works for ever. Safe to drop at any point: what is under way is not committed, and its outputs are swept later.
    ///
    /// Each round costs one listing of the tenants and a snapshot per tenant; no more where nothing is due.
    pub async fn run(self) {
        let interval = self.inner.config.interval.get().max(MIN_INTERVAL);
        loop {
            let begun = Instant::now();
            let more = self.round().await;
            let pause = if more { MIN_INTERVAL } else { interval.saturating_sub(begun.elapsed()).max(MIN_INTERVAL) };
            tokio::time::sleep(pause).await;
        }
    }

    /// Looks at all tenants and gives those their turns, again and again, for which something is due, for about an interval;
    /// whether more is due.
    pub async fn round(&self) -> bool {
        let inner = &*self.inner;
        inner.metrics.rounds.inc();
        let begun = Instant::now();
        let tenants = match inner.catalog.tenants().await {
            Ok(tenants) => tenants,
            Err(error) => {
                inner.metrics.failed_turns.inc();
                tracing::warn!(%error, "the tenants cannot be listed");
                return false;
            }
        };
        self.forget_others(&tenants);
        let looks: Vec<BoxFuture<'_, Option<Tenant>>> =
            tenants.into_iter().map(|tenant| self.look(tenant).boxed()).collect();
        let looked: Vec<Option<Tenant>> = stream::iter(looks).buffered(LOOKS_AT_ONCE).collect().await;
        let mut waiting: Vec<Tenant> = looked.into_iter().flatten().collect();
        self.report(waiting.len());
        while !waiting.is_empty() {
            let turns: Vec<BoxFuture<'_, Option<Tenant>>> =
                waiting.drain(..).map(|tenant| self.take_turn(tenant).boxed()).collect();
            let taken: Vec<Option<Tenant>> =
                stream::iter(turns).buffered(inner.config.concurrency.max(1)).collect().await;
            waiting = taken.into_iter().flatten().collect();
            // Asked only after turns: where looking alone takes an interval, every round still does something.
            if !waiting.is_empty() && begun.elapsed() > inner.config.interval.get().max(MIN_INTERVAL) {
                return true;
            }
        }
        false
    }

    /// Does the next thing that is due for one tenant: a merge, a move, a drop, deletions. Costs a snapshot, and where
    /// something is due what that costs.
    ///
    /// # Errors
    /// [`Error`] of the catalog; another turn tries again.
    pub async fn turn(&self, tenant: &Tenant) -> Result<Turn, Error> {
        let memory = self.memory(tenant);
        let mut memory = memory.lock().await;
        self.role().turn(tenant, &mut memory).await
    }

    /// What is known of each tenant since the last round. No request.
    pub fn status(&self) -> Status {
        self.status_lock().clone()
    }

    async fn look(&self, tenant: Tenant) -> Option<Tenant> {
        let memory = self.memory(&tenant);
        let mut memory = memory.lock().await;
        match self.role().look(&tenant, &mut memory).await {
            Ok((is_due, status)) => {
                self.note(&tenant, status);
                is_due.then_some(tenant)
            }
            Err(error) => {
                self.failed(&tenant, &error);
                None
            }
        }
    }

    async fn take_turn(&self, tenant: Tenant) -> Option<Tenant> {
        match self.turn(&tenant).await {
            Ok(Turn::Worked) => Some(tenant),
            Ok(Turn::Idle | Turn::Elsewhere) => None,
            Err(error) => {
                self.failed(&tenant, &error);
                None
            }
        }
    }

    fn role(&self) -> Role<'_> {
        let Inner { config, catalog, metrics, holder, .. } = &*self.inner;
        Role { config, catalog, metrics, holder }
    }

    fn memory(&self, tenant: &Tenant) -> Arc<tokio::sync::Mutex<Memory>> {
        let mut tenants = self.inner.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let memory =
            || Arc::new(tokio::sync::Mutex::new(Memory::new(tenant.clone(), self.inner.config.sweep_interval.get())));
        Arc::clone(tenants.entry(tenant.clone()).or_insert_with(memory))
    }

    /// Forgets tenants that have no object any more.
    fn forget_others(&self, tenants: &[Tenant]) {
        let is_there = |tenant: &Tenant| tenants.binary_search(tenant).is_ok();
        self.inner.tenants.lock().unwrap_or_else(PoisonError::into_inner).retain(|tenant, _| is_there(tenant));
        let names: std::collections::HashSet<&str> = tenants.iter().map(Tenant::as_str).collect();
        self.status_lock().tenants.retain(|name, _| names.contains(name.as_str()));
    }

    fn note(&self, tenant: &Tenant, status: TenantStatus) {
        let mut all = self.status_lock();
        let slot = all.tenants.entry(tenant.to_string()).or_default();
        let last_error = slot.last_error.take();
        *slot = TenantStatus { last_error, ..status };
    }

    fn failed(&self, tenant: &Tenant, error: &Error) {
        self.inner.metrics.failed_turns.inc();
        tracing::warn!(%tenant, %error, "a turn failed: it is tried again in the next round");
        let error = ErrorStatus { message: error.to_string(), unix_nanos: unix_nanos(world::now()) };
        self.status_lock().tenants.entry(tenant.to_string()).or_default().last_error = Some(error);
    }

    fn status_lock(&self) -> MutexGuard<'_, Status> {
        self.inner.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, due_count: usize) {
        let status = self.status();
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let sum = |of: fn(&TenantStatus) -> u64| gauge(status.tenants.values().map(of).sum());
        let m = &self.inner.metrics;
        m.tenants.set(gauge(status.tenants.len() as u64));
        m.due.set(gauge(due_count as u64));
        m.l0_blocks.set(sum(|tenant| tenant.backlog.block_count));
        m.l0_bytes.set(sum(|tenant| tenant.backlog.object_bytes));
        let oldest = status.tenants.values().map(|tenant| tenant.backlog.oldest_age_seconds).max();
        m.oldest_l0_age_seconds.set(gauge(oldest.unwrap_or(0)));
        m.leases.set(sum(|tenant| u64::from(tenant.is_held)));
        m.quarantined.set(sum(|tenant| tenant.quarantined.len() as u64));
        m.deleted_traces.set(sum(|tenant| tenant.deleted_trace_count));
        tracing::debug!(tenants = status.tenants.len(), due_count, "looked at all tenants");
    }
}
