//! Which blocks to merge or drop: a pure function of the live blocks, the settings and the time. It knows no storage.

use std::collections::BTreeMap;
use std::sync::Arc;

use spanlake_block::BlockMeta;

use crate::Config;

/// A live block, as the decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The object's key.
    pub key: Arc<str>,
    /// What is known of the block.
    pub meta: BlockMeta,
    /// When the block was written, in Unix nanoseconds. Only the age of level-0 blocks matters.
    pub written_unix_nanos: u64,
}

/// The one thing to do next for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing is due.
    Nothing,
    /// Merge these blocks into one of the next level.
    Merge {
        /// Level of the output.
        level: u8,
        /// Keys of at least two blocks, oldest first.
        inputs: Vec<Arc<str>>,
    },
    /// Drop these blocks: every span in them is past its retention.
    Drop {
        /// Their keys, oldest first.
        blocks: Vec<Arc<str>>,
    },
}

/// Chooses what to do next for one tenant, given all its live blocks. In this order:
///
/// 1. Blocks whose last span ended longer ago than the retention are dropped, so that none is merged in vain.
/// 2. Level-0 blocks past their least age are merged, oldest first, once there are enough of them or the oldest has
///    waited long enough.
/// 3. Level-1 blocks of a time window that has closed are merged into one, oldest window first. A block belongs to the
///    window in which its last span ended.
///
/// A span is thus rewritten at most twice above level 0. The result does not depend on the order of `blocks`. Takes
/// O(n log n) time and no I/O.
pub fn select(blocks: &[Candidate], config: &Config, now_unix_nanos: u64) -> Plan {
    if let Some(plan) = expired(blocks, config, now_unix_nanos) {
        return plan;
    }
    level_0(blocks, config, now_unix_nanos)
        .or_else(|| closed_window(blocks, config, now_unix_nanos))
        .unwrap_or(Plan::Nothing)
}

fn expired(blocks: &[Candidate], config: &Config, now: u64) -> Option<Plan> {
    let retention = config.retention.as_nanos();
    if retention == 0 {
        return None;
    }
    let limit = now.checked_sub(retention)?;
    let past = blocks.iter().filter(|b| b.meta.time_range().end_unix_nanos < limit).collect();
    let blocks = keys(oldest_end_first(past));
    (!blocks.is_empty()).then_some(Plan::Drop { blocks })
}

fn level_0(blocks: &[Candidate], config: &Config, now: u64) -> Option<Plan> {
    let age = |block: &Candidate| now.saturating_sub(block.written_unix_nanos);
    let old_enough = |b: &&Candidate| b.meta.level == 0 && age(b) >= config.l0_min_age.as_nanos();
    let mut due: Vec<&Candidate> = blocks.iter().filter(old_enough).collect();
    due.sort_by(|a, b| (a.written_unix_nanos, &a.key).cmp(&(b.written_unix_nanos, &b.key)));
    let waited = age(due.first()?) >= config.l0_max_wait.as_nanos();
    if due.len() < config.l0_fan_in && !waited {
        return None;
    }
    merge(due, 1, config)
}

fn closed_window(blocks: &[Candidate], config: &Config, now: u64) -> Option<Plan> {
    let window_nanos = config.window.as_nanos().max(1);
    let closed = now.checked_sub(config.window_grace.as_nanos())? / window_nanos;
    let mut windows: BTreeMap<u64, Vec<&Candidate>> = BTreeMap::new();
    for block in blocks.iter().filter(|b| b.meta.level == 1) {
        let window = block.meta.time_range().end_unix_nanos / window_nanos;
        if window < closed {
            windows.entry(window).or_default().push(block);
        }
    }
    windows.into_values().find_map(|blocks| merge(oldest_end_first(blocks), 2, config))
}

/// As many of the blocks, from the first on, as the bounds allow; nothing if fewer than two are left.
fn merge(blocks: Vec<&Candidate>, level: u8, config: &Config) -> Option<Plan> {
    let mut input_bytes = 0u64;
    let mut chosen = Vec::new();
    for block in blocks.into_iter().take(config.max_inputs) {
        input_bytes = input_bytes.saturating_add(block.meta.object_bytes);
        if chosen.len() >= 2 && input_bytes > config.max_input_bytes.bytes() {
            break;
        }
        chosen.push(block);
    }
    (chosen.len() >= 2).then(|| Plan::Merge { level, inputs: keys(chosen) })
}

fn oldest_end_first(mut blocks: Vec<&Candidate>) -> Vec<&Candidate> {
    blocks.sort_by(|a, b| (a.meta.max_end_unix_nanos, &a.key).cmp(&(b.meta.max_end_unix_nanos, &b.key)));
    blocks
}

fn keys(blocks: Vec<&Candidate>) -> Vec<Arc<str>> {
    blocks.into_iter().map(|block| Arc::clone(&block.key)).collect()
}

#[cfg(test)]
mod tests;
