//! The spans of a snapshot as a DataFusion table, and as whole traces merged over all blocks.
//!
//! It knows blocks, columns and conditions, and how a query's filters become them. It knows nothing of TraceQL or HTTP,
//! and reads objects only through a [`Source`], where their number and size can be bounded.

mod columns;
mod distinct;
mod error;
mod exec;
mod filter;
mod hidden;
mod memory;
mod merge;
mod metrics;
mod provider;
mod scan;
mod shape;
mod source;
mod sql;

pub use columns::{MAX_ATTRIBUTE_COLUMNS, MAX_DISCOVERY_BLOCKS, attribute_columns};
pub use error::Error;
pub use exec::{MAX_PARTITIONS, SpanScanExec};
pub use hidden::HiddenTraces;
pub use memory::{Held, HeldByProcess, ProcessMemory, QueryMemory, Refused};
pub use merge::{MERGE_BATCH_ROWS, TraceRequest, TraceRows, merge};
pub use provider::SpanTable;
pub use scan::READ_AHEAD_ROW_GROUPS;
pub use source::{CatalogSource, Opened, Source};
pub use sql::{MAX_SQL_BYTES, MAX_SQL_DEPTH, MAX_SQL_WORDS, ReadFailure, SqlAnswer, SqlEngine, SqlError};
