//! The merge stage: level-0 blocks in, blocks of level 1 out, as a compactor merges them.

use bytes::Bytes;
use spanlake_block::{Merge, MergeInput, MergeOptions, SharedOrigins, Written};

use super::report::WriteStage;
use super::{cheapest, write};
use crate::Error;

/// Merges blocks, all at once.
pub(super) fn merge(blocks: &[Written], repeat: u32) -> Result<WriteStage, Error> {
    let span_count: u64 = blocks.iter().map(|block| block.meta.span_count).sum();
    let (merged, cost) = cheapest(repeat, || merge_all(blocks))?;
    let name = format!("merge {} blocks", blocks.len());
    Ok(write::stage(name, cost, span_count, &merged))
}

fn merge_all(blocks: &[Written]) -> Result<Vec<Written>, Error> {
    let bytes = |block: &Written, range: std::ops::Range<u64>| -> Bytes {
        block.bytes.slice(range.start as usize..range.end as usize)
    };
    let mut origins = SharedOrigins::default();
    let open = |block: &Written| {
        let behind_rows = bytes(block, block.meta.search_offset..block.meta.object_bytes);
        MergeInput::open(&block.meta, behind_rows, &mut origins).map_err(Error::stage("open the inputs of a merge"))
    };
    let inputs = blocks.iter().map(open).collect::<Result<_, _>>()?;
    let mut merge = Merge::new(inputs, MergeOptions::default()).map_err(Error::stage("merge"))?;
    let mut done = Vec::new();
    while let Some(wanted) = merge.wanted() {
        let fetched = wanted.into_iter().map(|wanted| {
            let bytes = bytes(&blocks[wanted.input], wanted.range.clone());
            (wanted, bytes)
        });
        done.extend(merge.step(fetched.collect()).map_err(Error::stage("merge"))?);
    }
    done.extend(merge.finish().map_err(Error::stage("merge"))?.blocks);
    Ok(done)
}
