//! What the caches count.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// What one tier counts; clones count into the same ones.
#[derive(Debug, Clone, Default)]
pub struct TierMetrics {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) hit_bytes: Counter,
    pub(crate) held_bytes: Gauge,
    pub(crate) failures: Counter,
}

impl TierMetrics {
    /// Registers the counters under the label `tier`: `memory` or `disk`.
    pub fn register(&self, tier: &'static str, registry: &mut Registry) {
        let registry = registry.sub_registry_with_label(("tier".into(), tier.into()));
        registry.register("cache_hits", "Columns or pages found in the cache", self.hits.clone());
        registry.register("cache_misses", "Columns or pages that were not there", self.misses.clone());
        registry.register_with_unit("cache_hit", "What hits gave", Unit::Bytes, self.hit_bytes.clone());
        registry.register_with_unit("cache_held", "What the cache holds", Unit::Bytes, self.held_bytes.clone());
        registry.register(
            "cache_failures",
            "Pages that could not be written, or were not read back as they were written",
            self.failures.clone(),
        );
    }

    /// Hits and misses so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.hits.get(), self.misses.get())
    }
}
