//! What the catalog counts.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    Won,
    Lost,
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CommitLabels {
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CacheLabels {
    cache: &'static str,
}

/// What one cache counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct CacheMetrics {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) held_bytes: Gauge,
}

/// What all caches of the catalog count. A metric is registered once, with a label for the cache.
#[derive(Debug, Default)]
struct Caches {
    hits: Family<CacheLabels, Counter>,
    misses: Family<CacheLabels, Counter>,
    held_bytes: Family<CacheLabels, Gauge>,
}

impl Caches {
    fn of(&self, cache: &'static str) -> CacheMetrics {
        let labels = CacheLabels { cache };
        CacheMetrics {
            hits: self.hits.get_or_create(&labels).clone(),
            misses: self.misses.get_or_create(&labels).clone(),
            held_bytes: self.held_bytes.get_or_create(&labels).clone(),
        }
    }
}

/// Everything the catalog counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) listings: Counter,
    pub(crate) shared: Counter,
    pub(crate) unknown_names: Counter,
    pub(crate) commits: Family<CommitLabels, Counter>,
    pub(crate) tails: CacheMetrics,
    pub(crate) searches: CacheMetrics,
    caches: Caches,
}

impl Default for Metrics {
    fn default() -> Self {
        let caches = Caches::default();
        Self {
            listings: Counter::default(),
            shared: Counter::default(),
            unknown_names: Counter::default(),
            commits: Family::default(),
            tails: caches.of("tail"),
            searches: caches.of("search"),
            caches,
        }
    }
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("catalog_listings", "Snapshots taken by listing the store", self.listings.clone());
        registry.register(
            "catalog_shared_snapshots",
            "Snapshots answered by a listing that another caller needed too",
            self.shared.clone(),
        );
        registry.register(
            "catalog_unknown_names",
            "Objects seen among level-0 blocks that are no blocks",
            self.unknown_names.clone(),
        );
        registry.register("catalog_commits", "Commits of manifests, by outcome", self.commits.clone());
        let caches = &self.caches;
        registry.register("catalog_cache_hits", "Indexes found in memory", caches.hits.clone());
        registry.register("catalog_cache_misses", "Indexes read from the store", caches.misses.clone());
        registry.register("catalog_cache_held_bytes", "Memory held by indexes", caches.held_bytes.clone());
    }
}
