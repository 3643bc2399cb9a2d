//! The catalog's public face: one handle that every role shares.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use prometheus_client::registry::Registry;
use spanlake_block::{Block, BlockMeta, SearchIndex, Written};
use spanlake_cache::RangeCache;
use spanlake_model::{Tenant, world};
use spanlake_storage::{Kind, Operation, Store};

use crate::block_ref::BlockRef;
use crate::cache::Cache;
use crate::claim::claim;
use crate::commit::{Committed, Edit, commit};
use crate::config::Config;
use crate::error::Error;
use crate::id::Ids;
use crate::keys;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use crate::tenant::TenantState;

/// Tenants remembered at once; past it the memory of those nobody is asking about is dropped, which costs a read of their
/// manifest when they are asked for again. Bounds what made-up tenant names in requests can hold.
const MAX_TENANT_STATES: usize = 10_000;

/// Most tenants there may be. Each costs [`Catalog::tenants`] a request.
const MAX_TENANTS: usize = 100_000;

/// Which blocks are live. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct Catalog {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) ranges: RangeCache,
    pub(crate) metrics: Metrics,
    pub(crate) tails: Cache<Block>,
    pub(crate) searches: Cache<SearchIndex>,
    pub(crate) ids: Ids,
    tenants: Mutex<HashMap<Tenant, Arc<TenantState>>>,
}

impl Inner {
    /// Creates an object under a key that nobody else can have made: when other bytes come back, they were spoilt on the way, and
    /// what is there is not known. One PUT.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) async fn create_own(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        match self.store.create(key, bytes).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == Kind::AlreadyExists => {
                let message = "what was written came back as other bytes each time";
                let unknown = spanlake_storage::Error::new(Kind::Unavailable, Operation::Put, key, message);
                Err(unknown.that_may_have_happened().with_source(error).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lets go of the indexes of blocks that are merged or dropped: at level 0 they soon are most of all that is held.
    fn forget_retired(&self, snapshot: &Snapshot) {
        let Some(manifest) = &snapshot.manifest else { return };
        self.tails.forget(|key| manifest.is_retired(key));
        self.searches.forget(|key| manifest.is_retired(key));
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "catalog of {:?}", self.inner.store)
    }
}

impl Catalog {
    /// The catalog of a store. No requests.
    pub fn new(store: Store, config: Config) -> Self {
        Self::with_cache(store, config, RangeCache::default())
    }

    /// The catalog of a store whose blocks are read through a cache. No requests.
    pub fn with_cache(store: Store, config: Config, ranges: RangeCache) -> Self {
        let metrics = Metrics::default();
        let tails = Cache::new(config.tail_cache_bytes.0, metrics.tails.clone());
        let searches = Cache::new(config.search_cache_bytes.0, metrics.searches.clone());
        let inner = Inner { store, ranges, metrics, tails, searches, ids: Ids::default(), tenants: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Registers the catalog's metrics, all named `catalog_...`.
    pub fn register(&self, registry: &mut Registry) {
        self.inner.metrics.register(registry);
    }

    /// The store underneath.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Stores a level-0 block under a new, unique, time-sortable name. When this returns it is durable and every snapshot
    /// that begins afterwards shows it. One PUT.
    ///
    /// # Errors
    /// [`Error::Storage`]; if [`Error::may_have_happened`], the block may be live all the same.
    pub async fn publish_l0(&self, tenant: &Tenant, written: Written) -> Result<BlockRef, Error> {
        self.put_block(tenant, &keys::l0(tenant), written).await
    }

    /// Stores a block above level 0, which no snapshot shows until a [`Catalog::commit`] adds it. One PUT.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub async fn stage_block(&self, tenant: &Tenant, written: Written) -> Result<BlockRef, Error> {
        self.put_block(tenant, &keys::blocks(tenant), written).await
    }

    async fn put_block(&self, tenant: &Tenant, prefix: &str, written: Written) -> Result<BlockRef, Error> {
        let meta: BlockMeta = written.meta;
        let key = format!("{prefix}{}", meta.to_name(&self.inner.ids.next()));
        self.inner.create_own(&key, written.bytes).await?;
        Ok(BlockRef { tenant: tenant.clone(), key: Arc::from(key), meta })
    }

    /// The tenant's live blocks, with every block whose publish returned, anywhere, before this call. Two LISTs at once, and
    /// a GET when there is a new manifest; callers who ask while a listing runs share the next one.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::DamagedManifest`], [`Error::NewerFormat`].
    pub async fn snapshot(&self, tenant: &Tenant) -> Result<Arc<Snapshot>, Error> {
        let state = self.state(tenant);
        let inner = Arc::clone(&self.inner);
        // On a task of its own: others wait for the same listing, so it must go on when this caller does not.
        let taken = tokio::spawn(world::carried(async move {
            let snapshot = state.snapshot(&inner.store, &inner.metrics).await?;
            if state.is_first_with(&snapshot) {
                inner.forget_retired(&snapshot);
            }
            Ok(snapshot)
        }));
        taken.await.unwrap_or_else(|error| {
            let message = format!("taking the snapshot was cut short: {error}");
            Err(spanlake_storage::Error::new(Kind::Unavailable, Operation::List, &keys::l0(tenant), message).into())
        })
    }

    /// Changes which blocks are live, atomically: everything in the edit or nothing. About four LISTs, a GET and a PUT.
    ///
    /// # Errors
    /// [`Error::Fenced`] if another compactor has claimed the tenant since; [`Error::NotLive`] if an input was merged or
    /// expired meanwhile; [`Error::InvalidEdit`]; and as [`Catalog::snapshot`]. After an error nothing has changed; what is
    /// unknown is [`Committed::Unknown`].
    pub async fn commit(&self, tenant: &Tenant, edit: Edit) -> Result<Committed, Error> {
        commit(&self.state(tenant), &self.inner.store, &self.inner.metrics, &edit).await
    }

    /// Makes the caller the only one who may commit to a tenant, and returns the epoch to put into its edits. Costs as much
    /// as a commit.
    ///
    /// # Errors
    /// As [`Catalog::snapshot`], and [`Error::Storage`] if other commits kept winning or the outcome is unknown.
    pub async fn claim(&self, tenant: &Tenant) -> Result<u64, Error> {
        claim(&self.state(tenant), &self.inner.store, &self.inner.metrics).await
    }

    /// The tenants that have any object, sorted by name. One LIST for each, and one more.
    ///
    /// # Errors
    /// [`Error::Storage`], also for more than 100,000 tenants.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, Error> {
        let invalid = |message| spanlake_storage::Error::new(Kind::Invalid, Operation::List, keys::TENANTS, message);
        let mut segments = BTreeSet::new();
        let mut after: Option<String> = None;
        loop {
            let first = self.inner.store.list_up_to(keys::TENANTS, after.as_deref(), 1).await?;
            let Some(object) = first.into_iter().next() else { break };
            let below = object.key.strip_prefix(keys::TENANTS).unwrap_or_default();
            let Some((segment, _)) = below.split_once('/') else {
                // A stray object beside the tenants.
                after = Some(object.key);
                continue;
            };
            after = Some(keys::after_tenant(segment));
            if !segments.insert(segment.to_owned()) {
                return Err(invalid(format!("the store listed {segment:?} again behind its end")).into());
            }
            if segments.len() > MAX_TENANTS {
                return Err(invalid(format!("there are more than {MAX_TENANTS} tenants")).into());
            }
        }
        Ok(segments.iter().filter_map(|segment| Tenant::parse(segment).ok()).collect())
    }

    pub(crate) fn state(&self, tenant: &Tenant) -> Arc<TenantState> {
        let mut tenants = self.inner.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = tenants.get(tenant) {
            return Arc::clone(state);
        }
        if tenants.len() >= MAX_TENANT_STATES {
            // Those in use stay: callers that share a listing must share the state.
            tenants.retain(|_, state| Arc::strong_count(state) > 1);
        }
        let state = Arc::new(TenantState::new(tenant.clone()));
        tenants.insert(tenant.clone(), Arc::clone(&state));
        state
    }
}
