//! The read stages: open a block, probe its filter, read traces by id. Bytes come from memory.

use std::time::Instant;

use bytes::Bytes;
use spanlake_block::{Block, SearchIndex, Written};
use spanlake_model::TraceId;

use super::report::{Lookups, ReadStages};
use super::{cheapest, measure};
use crate::Error;
use crate::dice::Dice;
use crate::latency::Latencies;

/// Filter probes timed together: one is too short for any clock.
const PROBES: u32 = 200_000;
/// From this size on, a trace counts as big.
const BIG_TRACE_SPAN_COUNT: u32 = 2000;
/// Lookups of big traces, at most.
const BIG_LOOKUPS: usize = 20;

/// A block with its search index, ready for reading.
pub(super) struct Opened {
    pub block: Block,
    pub search: SearchIndex,
}

fn open(written: &Written) -> Result<Block, Error> {
    let tail = written.bytes.slice(written.meta.tail_offset as usize..);
    Block::open(&written.meta, tail).map_err(Error::stage("open"))
}

/// Measures on `whole`, a compacted block of everything, and on `level_0`, the same spans as flushed.
pub(super) fn read(
    whole: &Written,
    level_0: &[Written],
    lookups: usize,
    repeat: u32,
) -> Result<(Opened, ReadStages), Error> {
    let (block, open_tail) = cheapest(repeat, || open(whole))?;
    let range = block.search_range();
    let index = whole.bytes.slice(range.start as usize..range.end as usize);
    let (search, open_search) =
        cheapest(repeat, || block.open_search(index.clone()).map_err(Error::stage("open search index")))?;

    let mut dice = Dice::new(17);
    let (big, ordinary): (Vec<_>, Vec<_>) =
        search.summaries().iter().partition(|summary| summary.span_count >= BIG_TRACE_SPAN_COUNT);
    let mut choose = |from: &[&spanlake_block::TraceSummary], count: usize| -> Vec<(TraceId, u32)> {
        let pick = |_| {
            let summary = dice.pick(from);
            (summary.trace_id, summary.span_count)
        };
        if from.is_empty() { Vec::new() } else { (0..count).map(pick).collect() }
    };
    let present = choose(&ordinary, lookups);
    let big = choose(&big, BIG_LOOKUPS);
    let absent: Vec<_> = (0..lookups).map(|_| (TraceId(dice.id()), 0)).collect();

    let probe = |ids: &[(TraceId, u32)]| probe_nanos(&block, ids);
    let (probe_present, probe_absent) = (probe(&present)?, probe(&absent)?);
    let one = [(&block, whole)];
    let flushed = level_0.iter().map(|written| Ok((open(written)?, written))).collect::<Result<Vec<_>, Error>>()?;
    let flushed: Vec<_> = flushed.iter().map(|(block, written)| (block, *written)).collect();
    let stages = ReadStages {
        tail_bytes: whole.meta.object_bytes - whole.meta.tail_offset,
        tail_memory_bytes: block.memory_bytes() as u64,
        open_tail_millis: open_tail.cpu.as_secs_f64() * 1e3,
        search_index_bytes: range.end - range.start,
        search_index_memory_bytes: search.memory_bytes() as u64,
        open_search_millis: open_search.cpu.as_secs_f64() * 1e3,
        probe_present_nanos: probe_present,
        probe_absent_nanos: probe_absent,
        row_group_bytes: mean_row_group_bytes(&block),
        lookups: vec![
            look_up("one block, ordinary traces", &one, &present)?,
            look_up("one block, big traces", &one, &big)?,
            look_up("one block, absent ids", &one, &absent)?,
            look_up(&format!("{} flushed blocks, ordinary traces", flushed.len()), &flushed, &present)?,
            look_up(&format!("{} flushed blocks, absent ids", flushed.len()), &flushed, &absent)?,
        ],
    };
    Ok((Opened { block, search }, stages))
}

fn probe_nanos(block: &Block, ids: &[(TraceId, u32)]) -> Result<f64, Error> {
    if ids.is_empty() {
        return Ok(0.0);
    }
    let probes = || {
        let groups = ids.iter().cycle().take(PROBES as usize).map(|(id, _)| block.row_groups_for(id).len());
        Ok(std::hint::black_box(groups.sum::<usize>()))
    };
    let (_, cost) = measure(probes)?;
    Ok(cost.cpu.as_secs_f64() * 1e9 / f64::from(PROBES))
}

fn mean_row_group_bytes(block: &Block) -> u64 {
    let ranges = (0..block.row_group_count()).map(|group| block.row_group_range(group));
    ranges.map(|range| range.end - range.start).sum::<u64>() / block.row_group_count().max(1) as u64
}

/// Reads each trace from all blocks and checks that every span is there.
fn look_up(what: &str, blocks: &[(&Block, &Written)], ids: &[(TraceId, u32)]) -> Result<Lookups, Error> {
    let mut latencies = Latencies::default();
    let (mut row_groups, mut span_count) = (0, 0);
    for (id, expect) in ids {
        let start = Instant::now();
        let mut found = 0;
        for (block, written) in blocks {
            for group in block.row_groups_for(id) {
                row_groups += 1;
                found +=
                    block.read_trace(group, slice(written, block, group), id).map_err(Error::stage("lookup"))?.len();
            }
        }
        latencies.add(start.elapsed());
        span_count += found as u64;
        // Flushed blocks may each hold a copy of a span that was sent twice.
        if found < *expect as usize {
            return Err(Error::stage("lookup")(format!("trace {id}: {found} spans instead of {expect}")));
        }
    }
    let per_lookup = |sum: u64| sum as f64 / ids.len().max(1) as f64;
    Ok(Lookups {
        what: what.to_owned(),
        latency: latencies.quantiles(),
        row_groups: per_lookup(row_groups),
        spans: per_lookup(span_count),
    })
}

fn slice(written: &Written, block: &Block, group: usize) -> Bytes {
    let range = block.row_group_range(group);
    written.bytes.slice(range.start as usize..range.end as usize)
}
