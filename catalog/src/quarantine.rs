//! Damaged blocks: they stay readable as far as they can be, and nothing merges or deletes them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Most damaged blocks that a tenant's manifest names.
pub const MAX_QUARANTINED: usize = 1_000;

/// Most bytes that the manifest keeps of what is wrong with a block.
pub(crate) const MAX_PROBLEM_BYTES: usize = 300;

/// A block that could not be merged because it is damaged. Queries go on reading what they can of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The block's key.
    pub key: Arc<str>,
    /// What is wrong with it.
    pub problem: String,
    /// When it was found, by the clock of the process that found it, in Unix nanoseconds.
    pub unix_nanos: u64,
}

/// The same as text.
#[derive(Serialize, Deserialize)]
pub(crate) struct QuarantinedDocument {
    /// `l0/<name>` or `blocks/<name>`.
    pub(crate) key: String,
    pub(crate) problem: String,
    pub(crate) unix_nanos: u64,
}

/// At most [`MAX_PROBLEM_BYTES`] of a text.
pub(crate) fn shortened(mut problem: String) -> String {
    if problem.len() > MAX_PROBLEM_BYTES {
        let mut end = MAX_PROBLEM_BYTES;
        while !problem.is_char_boundary(end) {
            end -= 1;
        }
        problem.truncate(end);
    }
    problem
}
