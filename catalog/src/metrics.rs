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

/// What one cache counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct CacheMetrics {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) held_bytes: Gauge,
}

/// Everything the catalog counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) listings: Counter,
    pub(crate) shared: Counter,
    pub(crate) unknown_names: Counter,
    pub(crate) commits: Family<CommitLabels, Counter>,
    pub(crate) tails: CacheMetrics,
    pub(crate) searches: CacheMetrics,
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
        for (cache, metrics) in [("tail", &self.tails), ("search", &self.searches)] {
            let sub = registry.sub_registry_with_label(("cache".into(), cache.into()));
            sub.register("catalog_cache_hits", "Indexes found in memory", metrics.hits.clone());
            sub.register("catalog_cache_misses", "Indexes read from the store", metrics.misses.clone());
            sub.register("catalog_cache_held_bytes", "Memory held by indexes", metrics.held_bytes.clone());
        }
    }
}
