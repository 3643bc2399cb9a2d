//! The write stage: checked requests in, blocks out, at several flush sizes.

use std::collections::BTreeMap;

use spanlake_block::{WriteOptions, Written, write_block};
use spanlake_otlp::Batch;

use super::report::{Stage, WriteStage};
use super::{Cost, cheapest};
use crate::Error;

/// Writes the batches as blocks of about `flush` spans, or as one block.
pub(super) fn write(batches: &[Batch], flush: Option<usize>, repeat: u32) -> Result<(Vec<Written>, WriteStage), Error> {
    let options = WriteOptions::default();
    let cuts = cuts(batches, flush.unwrap_or(usize::MAX));
    let (blocks, cost) = cheapest(repeat, || {
        cuts.iter().map(|cut| write_block(cut, &options).map_err(Error::stage("write"))).collect::<Result<Vec<_>, _>>()
    })?;
    let span_count: u64 = blocks.iter().map(|block| block.meta.span_count).sum();
    let name = flush.map_or_else(|| "write one block".to_owned(), |flush| format!("write blocks of {flush}"));
    let stage = stage(name, cost, span_count, &blocks);
    Ok((blocks, stage))
}

/// What it cost to read so many spans and write these blocks of them.
pub(super) fn stage(name: String, cost: Cost, span_count: u64, blocks: &[Written]) -> WriteStage {
    let object_bytes = blocks.iter().map(|block| block.meta.object_bytes).sum();
    let (mut columns, mut indexes) = (BTreeMap::new(), BTreeMap::new());
    let mut footer_bytes = 0;
    for report in blocks.iter().map(|block| &block.report) {
        for (column, bytes) in &report.column_bytes {
            *columns.entry(column.clone()).or_default() += bytes;
        }
        for (section, bytes) in &report.index_bytes {
            *indexes.entry((*section).to_owned()).or_default() += bytes;
        }
        footer_bytes += report.footer_bytes;
    }
    indexes.insert("Parquet footer".to_owned(), footer_bytes);
    WriteStage {
        cost: Stage::new(name, cost, span_count),
        block_count: blocks.len(),
        stored_span_count: blocks.iter().map(|block| block.meta.span_count).sum(),
        object_bytes,
        duplicate_count: blocks.iter().map(|block| block.report.duplicate_count).sum(),
        columns,
        indexes,
    }
}

/// Runs of batches with at least `flush` spans each, except the last.
fn cuts(batches: &[Batch], flush: usize) -> Vec<&[Batch]> {
    let mut cuts = Vec::new();
    let (mut start, mut spans) = (0, 0);
    for (at, batch) in batches.iter().enumerate() {
        spans += batch.spans.len();
        if spans >= flush {
            cuts.push(&batches[start..=at]);
            (start, spans) = (at + 1, 0);
        }
    }
    if spans > 0 {
        cuts.push(&batches[start..]);
    }
    cuts
}
