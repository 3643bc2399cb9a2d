//! Which roles run, on which ports. The only place that knows all of them.

use std::net::SocketAddr;

use prometheus_client::registry::Registry;
use spanlake_cache::{CacheMetrics, RangeCache};
use spanlake_catalog::Catalog;
use spanlake_compactor::Compactor;
use spanlake_ingester::{Ingester, ReceiverConfig};
use spanlake_model::ByteSize;
use spanlake_querier::Querier;
use spanlake_storage::Store;
use tokio::task::JoinHandle;

use super::admin;
use super::blocks::BlockSource;
use super::readiness::Readiness;
use super::server::{Listener, Server};
use super::status::StatusSource;
use crate::config::{Config, Role, ServerConfig};
use crate::page;

/// Most bytes of an export request's headers. What a connection reads at once grows to this and is counted by no budget before it is
/// taken as part of a body: 3,000 senders that wait held 64 KiB in hyper and as much in hand, 400 MB.
const MAX_EXPORT_HEADER_BYTES: ByteSize = ByteSize::kib(16);

/// The roles this process plays. A role it does not play is absent.
pub struct Roles {
    ingester: Option<Ingester>,
    querier: Option<Querier>,
    compactor: Option<Compactor>,
    receiver: ReceiverConfig,
    catalog: Catalog,
}

impl Roles {
    /// Makes the roles that the configuration asks for; nothing runs yet. Costs no request.
    pub fn new(config: &Config, store: &Store, registry: &mut Registry) -> Self {
        let plays = |role| config.roles.contains(role);
        // Only queries read the same twice.
        let caches = CacheMetrics::default();
        let ranges = if plays(Role::Querier) { ranges(&config.cache, &caches) } else { RangeCache::default() };
        let catalog = Catalog::with_cache(store.clone(), config.catalog.clone(), ranges);
        catalog.register(registry);
        let querier_config = spanlake_querier::Config {
            tenancy_enabled: config.tenancy.header_counts(),
            default_tenants: config.tenancy.queries(),
            column_cache_bytes: config.cache.memory_bytes,
            ..config.querier.clone()
        };
        Self {
            ingester: plays(Role::Ingester).then(|| Ingester::new(config.ingester.clone(), catalog.clone(), registry)),
            querier: plays(Role::Querier)
                .then(|| Querier::with_caches(querier_config, catalog.clone(), &caches, registry)),
            compactor: plays(Role::Compactor)
                .then(|| Compactor::new(config.compactor.clone(), catalog.clone(), registry)),
            receiver: config.otlp.receiver(&config.tenancy),
            catalog,
        }
    }

    /// Takes no new spans, and waits until all that were taken are acknowledged or refused. Returns whether they were.
    pub async fn shutdown(&self) -> bool {
        // Who watches spans come would keep connections open for ever.
        if let Some(querier) = &self.querier {
            querier.stop_tails();
        }
        match &self.ingester {
            Some(ingester) => ingester.shutdown().await,
            None => true,
        }
    }
}

/// The cache on disk, if one is set. One that cannot be opened costs time, so it keeps no process from starting.
fn ranges(config: &spanlake_cache::Config, metrics: &CacheMetrics) -> RangeCache {
    if config.disk_path.as_os_str().is_empty() {
        return RangeCache::default();
    }
    RangeCache::open(config, metrics.tier("disk")).unwrap_or_else(|error| {
        let path = config.disk_path.display();
        tracing::error!(%error, %path, "the read cache cannot be opened (cache.disk_path): all is read from the store");
        RangeCache::default()
    })
}

/// The bound ports, before anything is served on them.
pub struct Listeners {
    http: Listener,
    grpc: Option<Listener>,
    otlp: Option<(Listener, Listener)>,
}

/// The addresses in use; those of OTLP are absent where no spans are received, that of gRPC where no queries are answered.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Queries, readiness, metrics.
    pub http: SocketAddr,
    /// Queries over gRPC.
    pub grpc: Option<SocketAddr>,
    /// OTLP over gRPC.
    pub otlp_grpc: Option<SocketAddr>,
    /// OTLP over HTTP.
    pub otlp_http: Option<SocketAddr>,
}

impl Listeners {
    /// Binds every port that the roles need.
    ///
    /// # Errors
    /// If one cannot be bound.
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        let http = Listener::bind("server.http_listen", &config.server.http_listen).await?;
        let grpc = if config.roles.contains(Role::Querier) {
            Some(Listener::bind("server.grpc_listen", &config.server.grpc_listen).await?)
        } else {
            None
        };
        let otlp = if config.roles.contains(Role::Ingester) {
            let grpc = Listener::bind("otlp.grpc_listen", &config.otlp.grpc_listen).await?;
            Some((grpc, Listener::bind("otlp.http_listen", &config.otlp.http_listen).await?))
        } else {
            None
        };
        Ok(Self { http, grpc, otlp })
    }

    /// The addresses with their actual ports.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            http: self.http.address(),
            grpc: self.grpc.as_ref().map(Listener::address),
            otlp_grpc: self.otlp.as_ref().map(|(grpc, _)| grpc.address()),
            otlp_http: self.otlp.as_ref().map(|(_, http)| http.address()),
        }
    }
}

/// What runs.
pub struct Running {
    http: Server,
    grpc: Option<Server>,
    waiting: Option<(Listener, Listener)>,
    receivers: Vec<Server>,
    compactor: Option<JoinHandle<()>>,
    limits: ServerConfig,
}

impl Running {
    /// Starts everything but the receivers of spans.
    pub fn start(
        listeners: Listeners,
        roles: &Roles,
        registry: Registry,
        readiness: &Readiness,
        config: &Config,
    ) -> Self {
        let limits = config.server.clone();
        // The page is nothing without the queries it asks.
        let page = || page::router(limits.page());
        let queries = roles.querier.clone().map(|querier| spanlake_querier::router(querier).merge(page()));
        let status = StatusSource::new(config.clone(), roles.compactor.clone());
        let of_blocks = BlockSource::new(roles.catalog.clone(), config.clone());
        let router = admin::router(readiness.clone(), registry, status, of_blocks, queries);
        let grpc = listeners.grpc.zip(roles.querier.clone());
        Self {
            http: listeners.http.serve(router, &limits),
            grpc: grpc.map(|(port, querier)| port.serve(spanlake_querier::grpc_router(querier), &limits)),
            waiting: listeners.otlp,
            receivers: Vec::new(),
            compactor: None,
            limits,
        }
    }

    /// Starts to receive spans and to watch the blocks, as the roles ask.
    pub fn receive(&mut self, roles: &Roles) {
        if let (Some(ingester), Some((grpc, http))) = (&roles.ingester, self.waiting.take()) {
            let grpc_router = spanlake_ingester::grpc_router(ingester.clone(), roles.receiver.clone());
            let http_router = spanlake_ingester::http_router(ingester.clone(), roles.receiver.clone());
            let max_header_bytes = self.limits.max_header_bytes.min(MAX_EXPORT_HEADER_BYTES);
            let limits = ServerConfig { max_header_bytes, ..self.limits.clone() };
            self.receivers = vec![grpc.serve(grpc_router, &limits), http.serve(http_router, &limits)];
        }
        self.compactor = roles.compactor.clone().map(|compactor| tokio::spawn(compactor.run()));
    }

    /// Takes no new connections with spans, and asks those that are open to end.
    pub fn stop_receiving(&self) {
        for receiver in &self.receivers {
            receiver.stop();
        }
    }

    /// Ends everything, and returns when the last connection has ended.
    pub async fn drain(self) {
        if let Some(compactor) = self.compactor {
            compactor.abort();
        }
        self.http.stop();
        if let Some(grpc) = &self.grpc {
            grpc.stop();
        }
        for receiver in self.receivers {
            receiver.drain().await;
        }
        if let Some(grpc) = self.grpc {
            grpc.drain().await;
        }
        self.http.drain().await;
    }
}
