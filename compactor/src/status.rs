//! What a compactor knows of each tenant, for people. No I/O.

use std::collections::BTreeMap;

use serde::Serialize;
use spanlake_catalog::Snapshot;

use crate::candidate::written_unix_nanos;
use crate::plan::{Candidate, Plan};

/// Every tenant that the compactor has looked at, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// By name of the tenant.
    pub tenants: BTreeMap<String, TenantStatus>,
}

/// What is known of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TenantStatus {
    /// When its blocks were looked at, in Unix nanoseconds.
    pub seen_unix_nanos: u64,
    /// Its live blocks by level.
    pub levels: BTreeMap<u8, LevelStatus>,
    /// What waits to be merged.
    pub backlog: Backlog,
    /// What is due next: `nothing`, `merge`, `move` or `drop`.
    pub due: &'static str,
    /// Whether this process works on it at the moment.
    pub is_held: bool,
    /// Objects that are not live any more and wait for their deletion.
    pub retired_count: u64,
    /// Deleted traces that storage may still hold.
    pub deleted_trace_count: u64,
    /// Damaged blocks, which nothing merges.
    pub quarantined: Vec<QuarantinedStatus>,
    /// The last thing that went wrong.
    pub last_error: Option<ErrorStatus>,
}

/// The live blocks of one level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LevelStatus {
    /// How many.
    pub block_count: u64,
    /// Rows in them.
    pub span_count: u64,
    /// Their size.
    pub object_bytes: u64,
}

/// Level-0 blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// How many.
    pub block_count: u64,
    /// Their size.
    pub object_bytes: u64,
    /// Age of the oldest.
    pub oldest_age_seconds: u64,
}

/// A damaged block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuarantinedStatus {
    /// Its key.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
    /// When that was found, in Unix nanoseconds.
    pub unix_nanos: u64,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorStatus {
    /// What.
    pub message: String,
    /// When, in Unix nanoseconds.
    pub unix_nanos: u64,
}

impl TenantStatus {
    /// What a snapshot tells. Takes time in proportion to the blocks.
    pub fn of(snapshot: &Snapshot, now_unix_nanos: u64) -> Self {
        let mut status = Self {
            seen_unix_nanos: now_unix_nanos,
            due: "nothing",
            retired_count: snapshot.retired().count() as u64,
            deleted_trace_count: snapshot.deleted().len() as u64,
            ..Self::default()
        };
        let mut oldest = now_unix_nanos;
        for block in &snapshot.blocks {
            let level = status.levels.entry(block.meta.level).or_default();
            level.block_count += 1;
            level.span_count += block.meta.span_count;
            level.object_bytes += block.meta.object_bytes;
            if block.meta.level == 0 {
                oldest = oldest.min(written_unix_nanos(block));
            }
        }
        let l0 = status.levels.get(&0).copied().unwrap_or_default();
        status.backlog = Backlog {
            block_count: l0.block_count,
            object_bytes: l0.object_bytes,
            oldest_age_seconds: (now_unix_nanos - oldest) / 1_000_000_000,
        };
        let quarantined = snapshot.quarantined().iter().map(|one| QuarantinedStatus {
            key: one.key.to_string(),
            problem: one.problem.clone(),
            unix_nanos: one.unix_nanos,
        });
        status.quarantined = quarantined.collect();
        status
    }
}

impl Plan {
    /// One word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Merge { .. } => "merge",
            Self::Move { .. } => "move",
            Self::Drop { .. } => "drop",
        }
    }

    /// Its bytes, given the blocks it was chosen from.
    pub(crate) fn input_bytes(&self, blocks: &[Candidate]) -> u64 {
        let Self::Merge { inputs, .. } = self else { return 0 };
        blocks.iter().filter(|block| inputs.contains(&block.key)).map(|block| block.meta.object_bytes).sum()
    }
}
