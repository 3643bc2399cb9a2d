//! Which blocks are live: the manifest of each tenant, the listing of its level-0 blocks, and snapshots of the two.
//!
//! Keys, below the store's root:
//! - `tenants/<tenant>/l0/<name>.parquet`: what ingesters flushed. Live from the moment it exists until a manifest retires
//!   it. The name carries the whole [`BlockMeta`](spanlake_block::BlockMeta).
//! - `tenants/<tenant>/blocks/<name>.parquet`: what compactors wrote. Live while the newest manifest names it.
//! - `tenants/<tenant>/manifest/<sequence:020>.json`: the manifests, numbered from 1 without a gap, each complete and never
//!   changed; the highest number is the truth.
//!
//! Nothing is ever overwritten, and all that is asked of the store is create-only PUT and consistent listing. This crate
//! knows nothing of spans, queries or when to compact.

mod block_ref;
mod blocks;
mod cache;
mod catalog;
mod claim;
mod commit;
mod config;
mod error;
mod id;
mod keys;
mod manifest;
mod metrics;
mod snapshot;
mod tenant;

pub use block_ref::BlockRef;
pub use catalog::Catalog;
pub use commit::{Committed, Edit};
pub use config::Config;
pub use error::Error;
pub use manifest::{MANIFEST_FORMAT_VERSION, Retired};
pub use snapshot::Snapshot;
