//! How the blocks of a manifest are divided into parts: a pure function of the parts that are there and what changes.
//!
//! The newest blocks lie in the head itself, where commits change them at the cost of nothing else. When the head has too
//! many, its oldest move into parts, each of which holds all blocks of a stretch of time that lie in parts. So a commit
//! rewrites the parts whose blocks it removes, and now and then those that blocks of the head move into.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::block_ref::{BlockRef, newest_first};
use crate::part::Part;

/// Most blocks in the head: 60 kB of each commit.
pub(crate) const MAX_HEAD_BLOCKS: usize = 512;

/// Blocks that stay in the head when it has too many.
const KEPT_HEAD_BLOCKS: usize = 256;

/// Most blocks in a part: 120 kB to rewrite, and 100,000 blocks are a hundred parts.
pub(crate) const MAX_PART_BLOCKS: usize = 1_024;

/// A part that is rewritten with fewer blocks is put together with its neighbour.
const MIN_PART_BLOCKS: usize = 256;

/// Where blocks lie.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    /// A part that stays as it is.
    Kept(Arc<Part>),
    /// The blocks of a part that must be written, newest first.
    New(Vec<BlockRef>),
}

impl Slot {
    fn blocks(&self) -> &[BlockRef] {
        match self {
            Self::Kept(part) => &part.blocks,
            Self::New(blocks) => blocks,
        }
    }

    fn into_blocks(self) -> Vec<BlockRef> {
        match self {
            Self::Kept(part) => part.blocks.clone(),
            Self::New(blocks) => blocks,
        }
    }
}

/// The parts without `removed` (newest first, each behind the one before in the order of blocks), and what stays in the head
/// of the blocks that it shall have.
pub(crate) fn arrange(
    parts: &[Arc<Part>],
    mut head: Vec<BlockRef>,
    removed: &HashMap<&str, &BlockRef>,
) -> (Vec<Slot>, Vec<BlockRef>) {
    head.sort_by(|a, b| newest_first(a).cmp(&newest_first(b)));
    let touched: HashSet<usize> = removed.values().map(|block| part_of(parts, block)).collect();
    let slot = |(at, part): (usize, &Arc<Part>)| match touched.contains(&at) {
        true => without(part, removed),
        false => Slot::Kept(Arc::clone(part)),
    };
    let mut slots: Vec<Slot> = parts.iter().enumerate().map(slot).collect();
    if head.len() > MAX_HEAD_BLOCKS {
        let moving = head.split_off(KEPT_HEAD_BLOCKS);
        move_in(&mut slots, moving);
    }
    slots.retain(|slot| !slot.blocks().is_empty());
    (join_small(split_large(slots)), head)
}

/// Which part a block lies in, if it lies in one.
pub(crate) fn part_of(parts: &[Arc<Part>], block: &BlockRef) -> usize {
    let wanted = newest_first(block);
    parts.partition_point(|part| part.blocks.last().is_some_and(|last| newest_first(last) < wanted))
}

fn without(part: &Arc<Part>, removed: &HashMap<&str, &BlockRef>) -> Slot {
    if !part.blocks.iter().any(|block| removed.contains_key(&*block.key)) {
        return Slot::Kept(Arc::clone(part));
    }
    Slot::New(part.blocks.iter().filter(|block| !removed.contains_key(&*block.key)).cloned().collect())
}

/// Puts each block into the first part that ends behind it, or the last one.
fn move_in(slots: &mut Vec<Slot>, moving: Vec<BlockRef>) {
    slots.retain(|slot| !slot.blocks().is_empty());
    if slots.is_empty() {
        slots.push(Slot::New(Vec::new()));
    }
    let mut at = 0;
    let mut coming: Vec<Vec<BlockRef>> = vec![Vec::new(); slots.len()];
    for block in moving {
        let is_behind =
            |slot: &Slot| slot.blocks().last().is_some_and(|last| newest_first(last) < newest_first(&block));
        while at + 1 < slots.len() && is_behind(&slots[at]) {
            at += 1;
        }
        coming[at].push(block);
    }
    for (slot, coming) in slots.iter_mut().zip(coming).filter(|(_, coming)| !coming.is_empty()) {
        let mut blocks = slot.blocks().to_vec();
        blocks.extend(coming);
        blocks.sort_by(|a, b| newest_first(a).cmp(&newest_first(b)));
        *slot = Slot::New(blocks);
    }
}

/// Splits what is too large. The newest part is filled from its oldest end, because more is coming behind its newest; any
/// other is split evenly.
fn split_large(slots: Vec<Slot>) -> Vec<Slot> {
    let mut split = Vec::with_capacity(slots.len() + 2);
    for (position, slot) in slots.into_iter().enumerate() {
        let count = slot.blocks().len();
        if count <= MAX_PART_BLOCKS {
            split.push(slot);
            continue;
        }
        let pieces = count.div_ceil(MAX_PART_BLOCKS);
        let (first, each) = if position == 0 {
            (count - (pieces - 1) * MAX_PART_BLOCKS, MAX_PART_BLOCKS)
        } else {
            (count.div_ceil(pieces), count.div_ceil(pieces))
        };
        let blocks = slot.into_blocks();
        split.push(Slot::New(blocks[..first].to_vec()));
        split.extend(blocks[first..].chunks(each).map(|piece| Slot::New(piece.to_vec())));
    }
    split
}

/// Puts rewritten parts that are small together with a neighbour. Parts that are not rewritten stay: they cost a line.
fn join_small(slots: Vec<Slot>) -> Vec<Slot> {
    let mut joined: Vec<Slot> = Vec::with_capacity(slots.len());
    for slot in slots {
        let is_small = |slot: &Slot| matches!(slot, Slot::New(blocks) if blocks.len() < MIN_PART_BLOCKS);
        let fits = |last: &Slot| last.blocks().len() + slot.blocks().len() <= MAX_PART_BLOCKS;
        match joined.pop() {
            Some(last) if (is_small(&last) || is_small(&slot)) && fits(&last) => {
                let mut blocks = last.into_blocks();
                blocks.extend(slot.into_blocks());
                joined.push(Slot::New(blocks));
            }
            last => {
                joined.extend(last);
                joined.push(slot);
            }
        }
    }
    joined
}

#[cfg(test)]
mod tests;
