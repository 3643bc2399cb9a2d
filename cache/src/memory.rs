//! A bounded cache in memory. What is asked for once makes room before what is asked for again, so a scan of everything does not
//! empty it.

use std::hash::Hash;

use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};

use crate::metrics::TierMetrics;

/// Entries that a full cache is laid out for: about what a column of a row group takes.
const USUAL_ENTRY_BYTES: u64 = 256 << 10;
/// Shares of the cache that are locked apart. An entry larger than a share is not kept.
const SHARDS: usize = 2;

/// Values by key, each with its weight in bytes. Shared by reference; every method takes a lock for a moment.
#[derive(Debug)]
pub struct MemoryCache<K, V> {
    /// None when it may hold nothing.
    held: Option<Cache<K, (V, u64), ByBytes>>,
    metrics: TierMetrics,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl<K, V> Weighter<K, (V, u64)> for ByBytes {
    fn weight(&self, _: &K, (_, bytes): &(V, u64)) -> u64 {
        // What weighs nothing would never be let go of.
        (*bytes).max(1)
    }
}

impl<K: Eq + Hash + Clone, V: Clone> MemoryCache<K, V> {
    /// A cache of at most so many bytes, as its entries say; 0 for one that keeps nothing.
    pub fn new(max_bytes: u64, metrics: TierMetrics) -> Self {
        let entries = usize::try_from(max_bytes / USUAL_ENTRY_BYTES).unwrap_or(usize::MAX).max(16);
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(entries).weight_capacity(max_bytes).shards(SHARDS);
        let held = options
            .build()
            .ok()
            .filter(|_| max_bytes > 0)
            .map(|options| Cache::with_options(options, ByBytes, Default::default(), Default::default()));
        Self { held, metrics }
    }

    /// Whether it keeps anything.
    pub fn is_on(&self) -> bool {
        self.held.is_some()
    }

    /// The value of a key, if it is there.
    pub fn get(&self, key: &K) -> Option<V> {
        let held = self.held.as_ref()?;
        match held.get(key) {
            Some((value, bytes)) => {
                self.metrics.hits.inc();
                self.metrics.hit_bytes.inc_by(bytes);
                Some(value)
            }
            None => {
                self.metrics.misses.inc();
                None
            }
        }
    }

    /// Keeps a value that takes so many bytes.
    pub fn insert(&self, key: K, value: V, bytes: u64) {
        let Some(held) = &self.held else { return };
        held.insert(key, (value, bytes));
        self.metrics.held_bytes.set(i64::try_from(held.weight()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_its_bound_and_counts() {
        let metrics = TierMetrics::default();
        let cache: MemoryCache<u32, u32> = MemoryCache::new(1_000_000, metrics.clone());
        for key in 0..1_000 {
            cache.insert(key, key, 10_000);
            let held = cache.held.as_ref().map_or(0, Cache::weight);
            assert!(held <= 1_000_000, "{held}");
        }
        let found: Vec<u32> = (0..1_000).filter_map(|key| cache.get(&key)).collect();
        assert!((50..=100).contains(&found.len()), "{}", found.len());
        assert_eq!(metrics.counts(), (found.len() as u64, 1_000 - found.len() as u64));
    }

    #[test]
    fn what_is_asked_for_again_outlives_a_scan() {
        let cache: MemoryCache<u32, u32> = MemoryCache::new(1_000_000, TierMetrics::default());
        for round in 0..50 {
            for key in 0..10 {
                if cache.get(&key).is_none() {
                    cache.insert(key, key, 10_000);
                }
            }
            (0..20).for_each(|scanned| cache.insert(1_000 + 20 * round + scanned, 0, 10_000));
        }
        let kept = (0..10).filter(|key| cache.get(key).is_some()).count();
        assert!(kept >= 8, "{kept}");
    }

    #[test]
    fn none_keeps_nothing() {
        let cache: MemoryCache<u32, u32> = MemoryCache::new(0, TierMetrics::default());
        cache.insert(1, 1, 1);
        assert_eq!(cache.get(&1), None);
        assert!(!cache.is_on());
    }
}
