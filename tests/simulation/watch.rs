//! The store as it is, watched: what manifests say of deleted traces and who takes leases, as it takes effect. Answers are held
//! against it, and it against what a deletion and a lease promise. It lies below the faults and knows nothing of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use spanlake_model::{Tenant, TraceId};
use spanlake_storage::{Backend, Driver, Error, Page};
use tokio::time::Instant;

use crate::cluster::DELETED_MIN_AGE;
use crate::history::History;

/// A trace that is deleted, from the manifest that says so to the one that has forgotten it.
#[derive(Debug, Clone, Copy)]
pub struct Deleted {
    pub from: Instant,
    /// When it was deleted the last time.
    pub renewed: Instant,
    /// None while it is still so.
    pub until: Option<Instant>,
}

/// A driver around the true store.
#[derive(Debug)]
pub struct Watch {
    inner: Arc<dyn Driver>,
    history: Arc<History>,
    /// What processes read may be spoilt: a lease has no checksum, and whoever reads a shorter time in it takes it too early.
    spoils_reads: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What somebody asked to delete, each all at once.
    asked: BTreeSet<(Tenant, BTreeSet<TraceId>)>,
    deleted: BTreeMap<(Tenant, TraceId), Vec<Deleted>>,
    /// By tenant: what the newest manifest says, each trace with the manifest that deleted it.
    tombstones: BTreeMap<Tenant, BTreeMap<TraceId, u64>>,
    leases: BTreeMap<Tenant, Lease>,
}

#[derive(Debug)]
struct Lease {
    sequence: u64,
    holder: String,
    grants: Duration,
    is_released: bool,
    written: Instant,
}

impl Watch {
    pub fn over(inner: Arc<dyn Driver>, history: Arc<History>, spoils_reads: bool) -> Arc<Self> {
        Arc::new(Self { inner, history, spoils_reads, state: Mutex::default() })
    }

    /// Somebody is about to ask for a deletion.
    pub fn expect_deletion(&self, tenant: &Tenant, ids: &BTreeSet<TraceId>) {
        self.state().asked.insert((tenant.clone(), ids.clone()));
    }

    /// When a trace was deleted, oldest first.
    pub fn deleted(&self, tenant: &Tenant, id: TraceId) -> Vec<Deleted> {
        self.state().deleted.get(&(tenant.clone(), id)).cloned().unwrap_or_default()
    }

    /// The traces that were ever deleted, and whether they still are so by a manifest.
    pub fn all_deleted(&self) -> Vec<(Tenant, TraceId, bool)> {
        let state = self.state();
        let is_so = |times: &Vec<Deleted>| times.iter().any(|deleted| deleted.until.is_none());
        state.deleted.iter().map(|((tenant, id), times)| (tenant.clone(), *id, is_so(times))).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn note(&self, key: &str, body: &Bytes) {
        let mut parts = key.split('/');
        let (Some("tenants"), Some(name), Some(kind), Some(number), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return;
        };
        let Ok(tenant) = Tenant::parse(name) else { return };
        let json = || serde_json::from_slice(body).expect("it is JSON when it is written");
        let found = match kind {
            "manifest" => self.state().see_manifest(&tenant, &json()),
            "lease" if !self.spoils_reads => {
                let sequence = number.trim_end_matches(".json").parse().expect("leases are numbered");
                self.state().see_lease(&tenant, sequence, &json())
            }
            _ => Ok(()),
        };
        if let Err(violation) = found {
            self.history.violate(format!("{key}: {violation}"));
        }
    }
}

impl State {
    /// What a manifest says of deleted traces must follow from the one before and from what was asked for.
    fn see_manifest(&mut self, tenant: &Tenant, manifest: &serde_json::Value) -> Result<(), String> {
        let (now, sequence) = (Instant::now(), manifest["sequence"].as_u64().expect("a number"));
        let mut tombstones = BTreeMap::new();
        for deleted in manifest["deleted"].as_array().into_iter().flatten() {
            for id in deleted["trace_ids"].as_array().into_iter().flatten() {
                let id = TraceId::parse_hex(id.as_str().expect("a text")).expect("a trace id");
                tombstones.insert(id, deleted["sequence"].as_u64().expect("a number"));
            }
        }
        let before = self.tombstones.insert(tenant.clone(), tombstones.clone()).unwrap_or_default();
        let new: BTreeSet<TraceId> = tombstones.iter().filter(|(_, by)| **by == sequence).map(|(id, _)| *id).collect();
        if let Some((id, by)) = tombstones.iter().find(|(id, by)| !new.contains(id) && before.get(id) != Some(by)) {
            return Err(format!("trace {id} was not deleted by number {by} in the manifest before"));
        }
        if !new.is_empty() && !self.asked.contains(&(tenant.clone(), new.clone())) {
            return Err(format!("nobody asked for the deletion of just these traces: {new:?}"));
        }
        for id in new {
            let times = self.deleted.entry((tenant.clone(), id)).or_default();
            match times.last_mut().filter(|last| last.until.is_none()) {
                Some(last) => last.renewed = now,
                None => times.push(Deleted { from: now, renewed: now, until: None }),
            }
        }
        for id in before.keys().filter(|id| !tombstones.contains_key(id)) {
            let last = self.deleted.get_mut(&(tenant.clone(), *id)).and_then(|times| times.last_mut());
            let last = last.expect("it was deleted before");
            last.until = Some(now);
            let age = now - last.renewed;
            if age < DELETED_MIN_AGE.get() {
                return Err(format!("the deletion of trace {id} is forgotten after {} ms", age.as_millis()));
            }
        }
        Ok(())
    }

    /// A lease is its holder's until it has been silent for as long as the lease grants.
    fn see_lease(&mut self, tenant: &Tenant, sequence: u64, lease: &serde_json::Value) -> Result<(), String> {
        let lease = Lease {
            sequence,
            holder: lease["holder"].as_str().expect("a text").to_owned(),
            grants: Duration::from_millis(lease["grants_millis"].as_u64().expect("a number")),
            is_released: lease["released"].as_bool().expect("yes or no"),
            written: Instant::now(),
        };
        if self.leases.get(tenant).is_some_and(|before| before.sequence >= sequence) {
            // An old one that comes late.
            return Ok(());
        }
        let (holder, written) = (lease.holder.clone(), lease.written);
        let Some(before) = self.leases.insert(tenant.clone(), lease) else { return Ok(()) };
        let silent = written - before.written;
        if before.holder != holder && !before.is_released && silent < before.grants {
            return Err(format!("the lease is taken from one who was silent for {} ms", silent.as_millis()));
        }
        Ok(())
    }
}

#[async_trait]
impl Driver for Watch {
    fn backend(&self) -> Backend {
        self.inner.backend()
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, Error> {
        self.inner.get(key, range).await
    }

    async fn put_new(&self, key: &str, body: Bytes) -> Result<(), Error> {
        self.inner.put_new(key, body.clone()).await?;
        self.note(key, &body);
        Ok(())
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page, Error> {
        self.inner.list_page(prefix, start_after, next, limit).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.inner.delete(key).await
    }
}
