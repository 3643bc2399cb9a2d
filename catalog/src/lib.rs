//! Which blocks are live: the manifest of each tenant, the listing of its level-0 blocks, and snapshots of the two.
//!
//! Keys, below the store's root:
//! - `tenants/<tenant>/l0/<name>.parquet`: what ingesters flushed. Live from the moment it exists until a manifest retires
//!   it. The name carries the whole [`BlockMeta`](spanlake_block::BlockMeta).
//! - `tenants/<tenant>/blocks/<name>.parquet`: what compactors wrote. Live while the newest manifest names it.
//! - `tenants/<tenant>/damaged/<name>.parquet`: damaged blocks as they were found before a repair, kept for people.
//! - `tenants/<tenant>/manifest/<sequence:020>.json`: the manifests, numbered from 1 without a gap, none ever
//!   changed; the highest number is the truth.
//! - `tenants/<tenant>/manifest-parts/<id>.json`: what manifests share: most of the blocks, and most retired objects.
//! - `tenants/<tenant>/lease/<sequence:020>.json`: who works on the tenant at the moment.
//! - `tenants/<tenant>/audit/<id>.json`: who deleted which traces and why, kept for ever.
//!
//! Nothing is ever overwritten, and all that is asked of the store is create-only PUT and consistent listing. This crate
//! knows nothing of spans, queries or when to compact.

mod block_ref;
mod blocks;
mod cache;
mod catalog;
mod checked_json;
mod claim;
mod commit;
mod config;
mod deleted;
mod error;
mod garbage;
mod id;
mod inventory;
mod keys;
mod layout;
mod lease;
mod live_blocks;
mod manifest;
mod metrics;
mod part;
mod quarantine;
mod snapshot;
mod tenant;

pub use block_ref::BlockRef;
pub use catalog::Catalog;
pub use commit::{Committed, Edit};
pub use config::Config;
pub use deleted::{DeletedTraces, Deletion, MAX_DELETED_TRACES, MAX_REASON_BYTES, Tombstone};
pub use error::Error;
pub use garbage::Orphans;
pub use inventory::BlockState;
pub use lease::{Asked, Lease, SeenLease};
pub use live_blocks::{Iter, LiveBlocks};
pub use manifest::{MANIFEST_FORMAT_VERSION, Retired};
pub use quarantine::{MAX_QUARANTINED, Quarantined};
pub use snapshot::Snapshot;
