//! What the caches count.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TierLabels {
    tier: &'static str,
}

/// What all tiers of a process count. A metric is registered once, whatever tiers there are.
#[derive(Debug, Clone, Default)]
pub struct CacheMetrics {
    hits: Family<TierLabels, Counter>,
    misses: Family<TierLabels, Counter>,
    hit_bytes: Family<TierLabels, Counter>,
    held_bytes: Family<TierLabels, Gauge>,
    failures: Family<TierLabels, Counter>,
}

impl CacheMetrics {
    /// Registers the counters, each with the label `tier`. Once for a registry.
    pub fn register(&self, registry: &mut Registry) {
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

    /// What one tier counts: `memory` or `disk`.
    pub fn tier(&self, tier: &'static str) -> TierMetrics {
        let labels = TierLabels { tier };
        TierMetrics {
            hits: self.hits.get_or_create(&labels).clone(),
            misses: self.misses.get_or_create(&labels).clone(),
            hit_bytes: self.hit_bytes.get_or_create(&labels).clone(),
            held_bytes: self.held_bytes.get_or_create(&labels).clone(),
            failures: self.failures.get_or_create(&labels).clone(),
        }
    }
}

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
    /// Hits and misses so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.hits.get(), self.misses.get())
    }
}
