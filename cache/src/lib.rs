//! Read caches: decoded things in memory, and pages of objects on a local disk. Both are bounded, count hits and misses, and may
//! lose anything at any time: an object in the store never changes, so what is lost is read again.
//!
//! It knows keys, weights and bytes, not blocks and not queries.

mod config;
mod disk;
mod memory;
mod metrics;
mod ranges;

pub use config::Config;
pub use memory::MemoryCache;
pub use metrics::{CacheMetrics, TierMetrics};
pub use ranges::{PAGE_BYTES, RangeCache};
