//! A tenant that this compactor works on: its lease and its epoch. The lease saves double work, the epoch keeps it harmless.

use std::time::{Duration, SystemTime};

use spanlake_catalog::{Asked, Catalog, Error, Lease, SeenLease, Snapshot};
use spanlake_model::Tenant;
use spanlake_model::world::{self, Rule};

/// What this compactor has of a tenant.
#[derive(Debug)]
pub(crate) struct Hold {
    tenant: Tenant,
    /// Of the lease of another one.
    seen: Option<SeenLease>,
    lease: Option<Lease>,
    /// The epoch that this compactor claimed.
    epoch: Option<u64>,
}

impl Hold {
    pub(crate) fn new(tenant: Tenant) -> Self {
        Self { tenant, seen: None, lease: None, epoch: None }
    }

    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    pub(crate) fn is_held(&self) -> bool {
        self.lease.is_some()
    }

    /// Takes the lease, or renews it; whether it is held now.
    pub(crate) async fn take(&mut self, catalog: &Catalog, holder: &str, grants: Duration) -> Result<bool, Error> {
        if self.lease.is_some() {
            return self.renew(catalog).await;
        }
        match catalog.lease(&self.tenant, holder, grants, self.seen).await? {
            Asked::Held(lease) => {
                tracing::debug!(tenant = %self.tenant, "took the lease");
                (self.lease, self.seen) = (Some(lease), None);
                Ok(true)
            }
            Asked::Other(seen) => {
                self.seen = seen;
                Ok(false)
            }
        }
    }

    /// Renews the lease when it is time; whether it is still held.
    pub(crate) async fn renew(&mut self, catalog: &Catalog) -> Result<bool, Error> {
        let Some(lease) = &self.lease else { return Ok(false) };
        let renewed = catalog.renew(lease).await?;
        if renewed.is_none() {
            tracing::info!(tenant = %self.tenant, "another compactor has taken the lease");
            self.epoch = None;
        }
        self.lease = renewed;
        Ok(self.lease.is_some())
    }

    /// The epoch to commit under; claims the tenant where another one has had it since. A commit when it has to claim.
    pub(crate) async fn epoch(&mut self, catalog: &Catalog, snapshot: &Snapshot) -> Result<u64, Error> {
        if let Some(epoch) = self.epoch.filter(|epoch| *epoch == snapshot.epoch) {
            return Ok(epoch);
        }
        let epoch = catalog.claim(&self.tenant).await?;
        self.epoch = Some(epoch);
        Ok(epoch)
    }

    /// The tenant is another one's: nothing is held any more.
    pub(crate) fn lose(&mut self) {
        (self.lease, self.epoch) = (None, None);
    }

    /// Gives the lease back. The epoch stays: nobody else has it.
    pub(crate) async fn release(&mut self, catalog: &Catalog) {
        if let Some(lease) = self.lease.take() {
            catalog.release(lease).await;
        }
    }

    /// The time by the store's clock; the local time while no lease is held.
    pub(crate) fn store_now(&self) -> SystemTime {
        let lease = self.lease.as_ref().filter(|_| !world::is_broken(Rule::AskTheStoresClock));
        lease.map_or_else(world::now, Lease::store_now)
    }
}
