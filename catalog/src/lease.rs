//! Leases: who works on a tenant at the moment, so that two compactors seldom do the same work. For efficiency only: what
//! keeps a tenant's blocks right is the epoch in its manifest.
//!
//! A lease is a numbered object, created once; the highest number counts. No clock of another process is trusted: a lease
//! is over when the highest number has not changed for the time it grants, as the observer's own clock measures.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use spanlake_model::Tenant;
use spanlake_model::world::{self, Rule};
use spanlake_storage::{Kind, Object};
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::error::Error;
use crate::keys;

/// A lease as it was last seen by someone who wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenLease {
    /// The highest number.
    sequence: u64,
    /// When this observer first saw it.
    since: Instant,
}

/// A lease that is held.
#[derive(Debug, Clone)]
pub struct Lease {
    tenant: Tenant,
    holder: String,
    grants: Duration,
    sequence: u64,
    taken: Instant,
    /// What the store's clock said when the lease was last written, and when that was here.
    store_clock: (SystemTime, Instant),
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    format_version: u32,
    holder: String,
    /// How long the holder may be silent before others take over.
    grants_millis: u64,
    /// The holder has nothing more to do.
    released: bool,
}

/// What came of asking for a lease.
#[derive(Debug)]
pub enum Asked {
    /// It is the caller's.
    Held(Lease),
    /// Another one works on the tenant. Pass this to the next call.
    Other(Option<SeenLease>),
}

impl Catalog {
    /// Asks for the lease of a tenant, for `grants` without a renewal. `seen` is what the last call gave, if any. A LIST
    /// while another one holds it, a GET, a PUT and a LIST more when it is free.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn lease(
        &self,
        tenant: &Tenant,
        holder: &str,
        grants: Duration,
        seen: Option<SeenLease>,
    ) -> Result<Asked, Error> {
        let listed = self.list_leases(tenant).await?;
        let Some(sequence) = newest(&listed) else {
            return self.take_lease(tenant, holder, grants, 1).await;
        };
        let body = match self.inner.store.get(&keys::lease(tenant, sequence)).await {
            Ok(body) => body,
            // Its holder renewed it meanwhile.
            Err(error) if error.kind() == Kind::NotFound => return Ok(Asked::Other(None)),
            Err(error) => return Err(error.into()),
        };
        // One that cannot be read is as good as one whose holder is silent.
        let document: Option<Document> = serde_json::from_slice(&body).ok();
        let granted =
            document.as_ref().map_or(grants, |lease| Duration::from_millis(lease.grants_millis).min(MAX_GRANT));
        let since = seen.filter(|seen| seen.sequence == sequence).map_or_else(Instant::now, |seen| seen.since);
        let is_free = document.is_some_and(|lease| lease.released || lease.holder == holder);
        let silent = match world::is_broken(Rule::MeasureLeasesHere) {
            false => since.elapsed(),
            true => listed.last().map_or(granted, |lease| {
                // The age as the store's clock and the one here tell it together.
                world::now().duration_since(lease.last_modified).unwrap_or_default()
            }),
        };
        if !is_free && silent < granted {
            return Ok(Asked::Other(Some(SeenLease { sequence, since })));
        }
        self.take_lease(tenant, holder, grants, sequence + 1).await
    }

    async fn take_lease(&self, tenant: &Tenant, holder: &str, grants: Duration, sequence: u64) -> Result<Asked, Error> {
        let taken = Instant::now();
        if !self.put_lease(tenant, holder, grants, sequence, false).await? {
            return Ok(Asked::Other(None));
        }
        let listed = self.list_leases(tenant).await?;
        let mine = keys::lease(tenant, sequence);
        let Some(object) =
            listed.iter().find(|object| object.key == mine).filter(|_| newest(&listed) == Some(sequence))
        else {
            return Ok(Asked::Other(None));
        };
        let store_clock = (object.last_modified, Instant::now());
        for older in listed.iter().filter(|object| object.key < mine) {
            if let Err(error) = self.inner.store.delete(&older.key).await {
                tracing::debug!(%tenant, %error, "an old lease stays until the next renewal");
                break;
            }
        }
        let (tenant, holder) = (tenant.clone(), holder.to_owned());
        Ok(Asked::Held(Lease { tenant, holder, grants, sequence, taken, store_clock }))
    }

    /// Writes a lease; whether the number was free.
    async fn put_lease(
        &self,
        tenant: &Tenant,
        holder: &str,
        grants: Duration,
        sequence: u64,
        released: bool,
    ) -> Result<bool, Error> {
        let grants_millis = u64::try_from(grants.as_millis()).unwrap_or(u64::MAX);
        let document = Document { format_version: 1, holder: holder.to_owned(), grants_millis, released };
        let body = serde_json::to_vec(&document).expect("texts and numbers always become JSON");
        match self.inner.store.create(&keys::lease(tenant, sequence), Bytes::from(body)).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Kind::AlreadyExists => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn list_leases(&self, tenant: &Tenant) -> Result<Vec<Object>, Error> {
        Ok(self.inner.store.list(&keys::leases(tenant), None).await?)
    }

    /// Renews a lease when a third of its time is over; `None` if another one has it now. No request before, then a PUT, a
    /// LIST and a DELETE.
    ///
    /// # Errors
    /// [`Error::Storage`]; the lease is as it was.
    pub async fn renew(&self, lease: &Lease) -> Result<Option<Lease>, Error> {
        if lease.taken.elapsed() < lease.grants / 3 {
            return Ok(Some(lease.clone()));
        }
        match self.take_lease(&lease.tenant, &lease.holder, lease.grants, lease.sequence + 1).await? {
            Asked::Held(lease) => Ok(Some(lease)),
            Asked::Other(_) => Ok(None),
        }
    }

    /// Gives a lease back, so that others need not wait. A PUT and a DELETE; a failure does no harm.
    pub async fn release(&self, lease: Lease) {
        let Lease { tenant, holder, grants, sequence, .. } = lease;
        let released = self.put_lease(&tenant, &holder, grants, sequence + 1, true).await;
        let outcome = match released {
            Ok(true) => self.inner.store.delete(&keys::lease(&tenant, sequence)).await.map_err(Error::from),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::debug!(%tenant, %error, "a lease was not given back: it ends by itself");
        }
    }
}

impl Lease {
    /// The time by the store's clock, as far as this process can know it.
    pub fn store_now(&self) -> SystemTime {
        let (at, here) = self.store_clock;
        at + here.elapsed()
    }

    /// Whether the time it grants is over without a renewal. Others may work on the tenant then.
    pub fn is_over(&self) -> bool {
        self.taken.elapsed() >= self.grants
    }
}

/// The longest a lease is believed to grant, whatever it says.
const MAX_GRANT: Duration = Duration::from_secs(600);

fn newest(listed: &[Object]) -> Option<u64> {
    listed.iter().rev().find_map(|object| keys::manifest_sequence(&object.key))
}
