//! The compactor: merges the blocks of a tenant, drops them when their retention is over, rewrites those that hold deleted
//! traces, and deletes what is not needed any more.
//!
//! [`select`] decides, as a pure function of the live blocks, the settings and the time. A turn of a tenant carries out the
//! one thing it says: fetch, merge on a thread of its own, store the outputs, commit. Several compactors share tenants by
//! leases in the bucket; what makes that safe is the epoch in the manifest, under which each commit is made.
//!
//! It meets the other roles only in the catalog, and knows nothing of wire formats or HTTP.

mod candidate;
mod config;
mod dry_run;
mod garbage;
mod hold;
mod memory;
mod merging;
mod metrics;
mod plan;
mod role;
mod status;
mod tombstones;
mod turn;
mod worker;

pub use candidate::written_unix_nanos;
pub use config::{Config, TenantConfig};
pub use plan::{Candidate, Plan, select};
pub use role::Compactor;
pub use status::{Backlog, ErrorStatus, LevelStatus, QuarantinedStatus, Status, TenantStatus};
pub use turn::Turn;
