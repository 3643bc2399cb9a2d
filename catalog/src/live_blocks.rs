//! The live blocks of a snapshot, newest first, over parts that snapshots share. Knows nothing of how they are stored.

use std::sync::Arc;

use spanlake_model::TimeRange;

use crate::block_ref::{BlockRef, newest_first};
use crate::layout::part_of;
use crate::part::Part;

/// The live blocks of a snapshot, newest end of the time range first. Snapshots of a tenant share most of them, so that a
/// new one costs what changed.
#[derive(Debug, Clone, Default)]
pub struct LiveBlocks {
    /// Newest first, disjoint.
    parts: Vec<Arc<Part>>,
    /// Those in no part, newest first: level 0 and the head of the manifest.
    recent: Vec<BlockRef>,
    len: usize,
}

impl LiveBlocks {
    /// `recent` in any order.
    pub(crate) fn new(parts: Vec<Arc<Part>>, mut recent: Vec<BlockRef>) -> Self {
        recent.sort_by(|a, b| newest_first(a).cmp(&newest_first(b)));
        let len = recent.len() + parts.iter().map(|part| part.blocks.len()).sum::<usize>();
        Self { parts, recent, len }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, newest first.
    pub fn iter(&self) -> Iter<'_> {
        self.overlapping(TimeRange::ALL)
    }

    /// Those whose time range touches `range`, newest first. Whole parts outside it are passed over.
    pub fn overlapping(&self, range: TimeRange) -> Iter<'_> {
        Iter { blocks: self, range, part: 0, in_part: 0, in_recent: 0 }
    }

    /// The first `count`, newest first.
    pub fn newest(&self, count: usize) -> Vec<BlockRef> {
        self.iter().take(count).cloned().collect()
    }

    /// All of them as a list of its own, newest first.
    pub fn to_vec(&self) -> Vec<BlockRef> {
        self.newest(self.len)
    }

    /// The live block with the key of `block`. Takes logarithmic time.
    pub fn find(&self, block: &BlockRef) -> Option<&BlockRef> {
        let wanted = newest_first(block);
        let within = |blocks: &[BlockRef]| blocks.binary_search_by(|other| newest_first(other).cmp(&wanted)).ok();
        if let Some(at) = within(&self.recent) {
            return self.recent.get(at);
        }
        let blocks = &self.parts.get(part_of(&self.parts, block))?.blocks;
        blocks.get(within(blocks)?)
    }

    /// Whether a block with these facts is live.
    pub fn contains(&self, block: &BlockRef) -> bool {
        self.find(block) == Some(block)
    }
}

/// Live blocks, newest first.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    blocks: &'a LiveBlocks,
    range: TimeRange,
    part: usize,
    in_part: usize,
    in_recent: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a BlockRef;

    fn next(&mut self) -> Option<&'a BlockRef> {
        loop {
            let in_part = loop {
                let Some(part) = self.blocks.parts.get(self.part) else { break None };
                if self.in_part < part.blocks.len() && (self.in_part > 0 || part.time_range.overlaps(&self.range)) {
                    break part.blocks.get(self.in_part);
                }
                self.part += 1;
                self.in_part = 0;
            };
            let recent = self.blocks.recent.get(self.in_recent);
            let from_recent = match (in_part, recent) {
                (None, None) => return None,
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some(in_part), Some(recent)) => newest_first(recent) < newest_first(in_part),
            };
            let block = if from_recent {
                self.in_recent += 1;
                recent
            } else {
                self.in_part += 1;
                in_part
            };
            if block.is_some_and(|block| block.meta.time_range().overlaps(&self.range)) {
                return block;
            }
        }
    }
}

impl<'a> IntoIterator for &'a LiveBlocks {
    type Item = &'a BlockRef;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl PartialEq for LiveBlocks {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<const N: usize> PartialEq<[BlockRef; N]> for LiveBlocks {
    fn eq(&self, other: &[BlockRef; N]) -> bool {
        self.len == N && self.iter().eq(other)
    }
}
