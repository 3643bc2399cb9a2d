//! The block format: spans as sorted Parquet rows with their indexes, written and read.
//!
//! It knows columns, checksums and predicates. It does no I/O: callers fetch the byte ranges it names and hand them in.
//! It knows nothing of TraceQL, HTTP or object storage. `FORMAT.md` describes every byte.

mod baselines;
mod damage;
mod directory;
mod fields;
mod filter;
mod item_keys;
mod layout;
mod merge;
mod meta;
mod read;
mod scan;
mod schema;
mod section;
mod summary;
mod text;
mod value_hash;
mod verify;
mod write;

pub use baselines::{Baselines, OperationDurations, SLOT_NANOS, SlotDurations};
pub use damage::Damage;
pub use fields::{AttributeValue, FieldsPlan, NIL, RowField, RowValues, is_sparse};
pub use layout::{Layout, RowGroupLayout};
pub use merge::{Merge, MergeEnd, MergeError, MergeInput, MergeOptions, MergeReport, SharedOrigins, Wanted};
pub use meta::{BlockMeta, NameError};
pub use read::{Block, CheckedRowGroup, ResourceEntry, ScopeEntry, SearchIndex, SpanRow};
pub use scan::{
    Column, Condition, DistinctValues, Field, Literal, Op, Projection, ProjectionPlan, Prune, RowGroupPlan, Scope,
    ValueField, ValuesPlan,
};
pub use schema::{AttributeColumn, ValueType};
pub use summary::{ServiceCount, TraceSummary};
pub use verify::{Check, Problem, Verified, Verifier};
pub use write::{WriteError, WriteOptions, WriteReport, Written, write_block};

/// The version of the format that this code writes; it reads this one and all before it.
pub const FORMAT_VERSION: u16 = 1;

/// Most rows of a block: row numbers and distances between rows are INT32 columns.
const MAX_ROWS: u64 = i32::MAX as u64;
/// First bytes of the search index.
const SEARCH_MAGIC: &[u8; 8] = b"SLSEARCH";
/// First bytes of the tail.
const TAIL_MAGIC: &[u8; 8] = b"SLTAIL01";
