//! Object storage: keys and bytes, over memory, a directory or a bucket, with one set of rules for all of them.
//!
//! What the layers above may rely on, on every backend:
//! - An object is created whole, once, and never changed ([`Store::create`] is create-only). When it returns, the object
//!   is durable and every later read and listing sees it.
//! - A create whose outcome is unclear is read back and compared; [`Error::may_have_happened`] is true only when even
//!   that could not settle it.
//! - Retries live here and nowhere else: bounded in number and time, with jitter and a budget ([`RetryConfig`]). A read from
//!   a bucket that takes unusually long is asked for a second time ([`Config::hedge`]).
//! - Everything that went over the wire is counted ([`Meter`]).
//!
//! It knows nothing of traces, blocks, manifests or tenants.

mod config;
mod directory;
mod driver;
mod error;
mod hedge;
mod key;
mod location;
mod memory;
mod meter;
mod probe;
mod ranges;
mod remote;
mod retry;
mod store;

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod faults;

pub use config::{Config, RetryConfig, S3Config, Secret};
pub use driver::{Backend, Driver, Object, Page};
pub use error::{Error, Kind, Operation};
pub use key::MAX_KEY_BYTES;
pub use meter::{Counts, Meter, OperationCounts};
pub use probe::ProbeError;
pub use ranges::COALESCE_GAP_BYTES;
pub use store::{Created, MAX_CREATE_BYTES, PARALLEL_RANGES, Store};
