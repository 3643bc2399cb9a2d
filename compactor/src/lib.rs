//! The compactor: decides which blocks of a tenant are due to be merged or dropped.
//!
//! The role takes a snapshot of every tenant at an interval, decides with [`select`], and reports what waits in metrics
//! and logs. It writes and deletes nothing: queries read level-0 blocks as they were flushed.
//!
//! It meets the other roles only in the catalog, and knows nothing of spans, wire formats or HTTP.

mod config;
mod metrics;
mod plan;
mod watch;

pub use config::Config;
pub use plan::{Candidate, Plan, select};
pub use watch::Compactor;
