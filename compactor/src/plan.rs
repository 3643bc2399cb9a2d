//! Which blocks to merge, move or drop: a pure function of the live blocks, the settings and the time. It knows no storage.

use std::collections::BTreeMap;
use std::sync::Arc;

use spanlake_block::BlockMeta;

use crate::Config;

/// Small blocks of about the same size in one closed window that make a merge due. With four a late span is rewritten once for
/// each fourfold growth of its block.
const SMALL_FAN_IN: usize = 4;

/// A block that is smaller than this part of a full one may be merged again within its window.
const SMALL_PART: u64 = 4;

/// Most blocks one plan drops or moves: bounds how much of the manifest one commit writes anew.
const MAX_WITHOUT_READING: usize = 1_000;

/// A live block, as the decision needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The object's key.
    pub key: Arc<str>,
    /// What is known of the block.
    pub meta: BlockMeta,
    /// When the block was written, in Unix nanoseconds.
    pub written_unix_nanos: u64,
    /// It is damaged: it stays as it is.
    pub is_quarantined: bool,
    /// It holds spans of deleted traces.
    pub holds_deleted: bool,
}

/// The one thing to do next for a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing is due.
    Nothing,
    /// Merge these blocks into blocks of a level.
    Merge {
        /// Level of the outputs.
        level: u8,
        /// Keys of the blocks, oldest first. One alone is rewritten because it holds deleted traces.
        inputs: Vec<Arc<str>>,
    },
    /// Count these blocks as blocks of a level: merging would change nothing in them.
    Move {
        /// The level.
        level: u8,
        /// Their keys, oldest first.
        blocks: Vec<Arc<str>>,
    },
    /// Drop these blocks: every span in them is past its retention.
    Drop {
        /// Their keys, oldest first.
        blocks: Vec<Arc<str>>,
    },
}

/// Chooses what to do next for one tenant, given all its live blocks and how long it keeps spans (0: for ever). In this
/// order:
///
/// 1. Blocks whose last span ended longer ago than the retention, and which were not written a moment ago, are dropped, so that
///    none is merged in vain.
/// 2. Level-0 blocks past their least age are merged, oldest first, once there are enough of them or the oldest has
///    waited long enough. The merge splits its output by time window.
/// 3. Blocks with deleted traces are rewritten without them, those of level 0 when they have waited long enough.
/// 4. Level-1 blocks of one window are merged: at any time when they fill a merge, else once the window has closed and
///    nothing has come for a while. One alone becomes level 2 as it is.
/// 5. Small level-2 blocks of one closed window, which late spans leave behind, are merged when there are four of about the
///    same size.
///
/// A span is thus rewritten about twice above level 0. A block belongs to the window in which its last span ended. The
/// result does not depend on the order of `blocks`. Takes O(n log n) time and no I/O.
pub fn select(blocks: &[Candidate], config: &Config, retention_nanos: u64, now_unix_nanos: u64) -> Plan {
    let sound = |block: &&Candidate| !block.is_quarantined;
    let blocks: Vec<&Candidate> = blocks.iter().filter(sound).collect();
    expired(&blocks, config, retention_nanos, now_unix_nanos)
        .or_else(|| level_0(&blocks, config, now_unix_nanos))
        .or_else(|| with_deleted(&blocks, config, now_unix_nanos))
        .or_else(|| level_1(&blocks, config, now_unix_nanos))
        .or_else(|| small(&blocks, config, now_unix_nanos))
        .unwrap_or(Plan::Nothing)
}

fn expired(blocks: &[&Candidate], config: &Config, retention_nanos: u64, now: u64) -> Option<Plan> {
    if retention_nanos == 0 {
        return None;
    }
    let limit = now.checked_sub(retention_nanos)?;
    // What was acknowledged is there for a while, whatever the sender's clock says.
    let late_nanos = config.late_retention.as_nanos().min(retention_nanos);
    let is_new = |b: &Candidate| now.abs_diff(b.written_unix_nanos) < late_nanos;
    let is_past = |b: &&Candidate| b.meta.time_range().end_unix_nanos < limit && !is_new(b);
    let past = blocks.iter().copied().filter(is_past).collect();
    let blocks: Vec<Arc<str>> = keys(oldest_end_first(past)).into_iter().take(MAX_WITHOUT_READING).collect();
    (!blocks.is_empty()).then_some(Plan::Drop { blocks })
}

fn level_0(blocks: &[&Candidate], config: &Config, now: u64) -> Option<Plan> {
    let old_enough = |b: &&Candidate| b.meta.level == 0 && age(b, now) >= config.l0_min_age.as_nanos();
    let due = oldest_written_first(blocks.iter().copied().filter(old_enough).collect());
    let waited = age(due.first()?, now) >= config.l0_max_wait.as_nanos();
    let is_full = total_bytes(&due) >= config.l0_max_input_bytes.bytes();
    if due.len() < config.l0_fan_in && !waited && !is_full {
        return None;
    }
    merge(due, 1, config.l0_max_input_bytes.bytes(), config)
}

fn with_deleted(blocks: &[&Candidate], config: &Config, now: u64) -> Option<Plan> {
    let is_due = |b: &&Candidate| b.holds_deleted && (b.meta.level > 0 || age(b, now) >= config.l0_max_wait.as_nanos());
    let block = oldest_end_first(blocks.iter().copied().filter(is_due).collect()).into_iter().next()?;
    Some(Plan::Merge { level: block.meta.level.max(1), inputs: vec![Arc::clone(&block.key)] })
}

fn level_1(blocks: &[&Candidate], config: &Config, now: u64) -> Option<Plan> {
    let closed = first_open_window(config, now);
    let mut alone = Vec::new();
    for (window, blocks) in windows(blocks, config, |block| block.meta.level == 1) {
        let is_full = blocks.len() >= config.max_inputs || total_bytes(&blocks) >= config.max_input_bytes.bytes();
        let is_quiet = || blocks.iter().all(|block| age(block, now) >= config.window_grace.as_nanos());
        let is_closed = || window < closed && (blocks.len() >= config.l0_fan_in || is_quiet());
        if !is_full && !is_closed() {
            continue;
        }
        match blocks.as_slice() {
            [_] if window >= closed => {}
            [block] => alone.push(*block),
            _ => return merge(oldest_end_first(blocks), 2, config.max_input_bytes.bytes(), config),
        }
    }
    alone.truncate(MAX_WITHOUT_READING);
    (!alone.is_empty()).then(|| Plan::Move { level: 2, blocks: keys(alone) })
}

fn small(blocks: &[&Candidate], config: &Config, now: u64) -> Option<Plan> {
    let closed = first_open_window(config, now);
    let limit = config.max_block_bytes.bytes() / SMALL_PART;
    let is_small = |block: &Candidate| block.meta.level == 2 && block.meta.object_bytes < limit;
    for (_, blocks) in windows(blocks, config, is_small).into_iter().filter(|(window, _)| *window < closed) {
        let mut by_size: BTreeMap<u32, Vec<&Candidate>> = BTreeMap::new();
        for block in blocks {
            by_size.entry(block.meta.object_bytes.max(1).ilog2() / 2).or_default().push(block);
        }
        if let Some(alike) = by_size.into_values().find(|alike| alike.len() >= SMALL_FAN_IN) {
            return merge(oldest_end_first(alike), 2, config.max_input_bytes.bytes(), config);
        }
    }
    None
}

/// The blocks that `is_asked` names, by window, oldest window first.
fn windows<'a>(
    blocks: &[&'a Candidate],
    config: &Config,
    is_asked: impl Fn(&Candidate) -> bool,
) -> BTreeMap<u64, Vec<&'a Candidate>> {
    let mut windows: BTreeMap<u64, Vec<&Candidate>> = BTreeMap::new();
    for block in blocks.iter().copied().filter(|block| is_asked(block)) {
        let window = block.meta.time_range().end_unix_nanos / config.window.as_nanos().max(1);
        windows.entry(window).or_default().push(block);
    }
    windows
}

/// Every window before it has ended longer than the grace ago.
fn first_open_window(config: &Config, now: u64) -> u64 {
    now.saturating_sub(config.window_grace.as_nanos()) / config.window.as_nanos().max(1)
}

/// As many of the blocks, from the first on, as the bounds allow; nothing if fewer than two are left.
fn merge(blocks: Vec<&Candidate>, level: u8, max_bytes: u64, config: &Config) -> Option<Plan> {
    let mut input_bytes = 0u64;
    let mut chosen = Vec::new();
    for block in blocks.into_iter().take(config.max_inputs.max(2)) {
        input_bytes = input_bytes.saturating_add(block.meta.object_bytes);
        if chosen.len() >= 2 && input_bytes > max_bytes {
            break;
        }
        chosen.push(block);
    }
    (chosen.len() >= 2).then(|| Plan::Merge { level, inputs: keys(chosen) })
}

/// A block whose writer's clock is ahead is old enough for everything: how far ahead it is, is not known.
fn age(block: &Candidate, now: u64) -> u64 {
    now.checked_sub(block.written_unix_nanos).unwrap_or(u64::MAX)
}

fn total_bytes(blocks: &[&Candidate]) -> u64 {
    blocks.iter().fold(0, |total, block| total.saturating_add(block.meta.object_bytes))
}

fn oldest_written_first(mut blocks: Vec<&Candidate>) -> Vec<&Candidate> {
    blocks.sort_by(|a, b| (a.written_unix_nanos, &a.key).cmp(&(b.written_unix_nanos, &b.key)));
    blocks
}

fn oldest_end_first(mut blocks: Vec<&Candidate>) -> Vec<&Candidate> {
    blocks.sort_by(|a, b| (a.meta.max_end_unix_nanos, &a.key).cmp(&(b.meta.max_end_unix_nanos, &b.key)));
    blocks
}

fn keys(blocks: Vec<&Candidate>) -> Vec<Arc<str>> {
    blocks.into_iter().map(|block| Arc::clone(&block.key)).collect()
}
