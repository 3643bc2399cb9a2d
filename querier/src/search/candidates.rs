//! Decides which traces a search answers, from what each block says of its pieces of them. Pure: it reads nothing.
//!
//! A trace may lie in several blocks. What is known of it can change with every block until no block is left that reaches
//! near its time; from then on it is final.

use std::cmp::Reverse;
use std::collections::HashMap;

use spanlake_model::{TimeRange, TraceId};

use super::SearchRequest;
use super::scan::Scanned;
use crate::error::Error;

/// Where a block's summary of a trace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Which block, in the order of the search.
    pub(super) block: usize,
    /// Which summary of the block.
    pub(super) ordinal: usize,
}

/// What is known of one trace so far.
#[derive(Debug, Clone)]
struct Candidate {
    start_unix_nanos: u64,
    end_unix_nanos: u64,
    /// Bit i: some span matches tag i.
    matched: u64,
    first: Piece,
    more: Vec<Piece>,
}

/// A trace to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Winner {
    pub(super) trace_id: TraceId,
    pub(super) start_unix_nanos: u64,
    pub(super) end_unix_nanos: u64,
    /// Its summaries, at least one.
    pub(super) pieces: Vec<Piece>,
}

/// Whether more blocks must be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// A block that is left may change the answer.
    Open,
    /// No block that is left can change the answer.
    Certain,
}

/// One summary of a block, as much as the choice needs.
pub(super) struct Summary {
    pub(super) trace_id: TraceId,
    pub(super) start_unix_nanos: u64,
    pub(super) end_unix_nanos: u64,
    pub(super) matched: u64,
}

/// The traces seen so far that may be in the answer.
pub(super) struct Candidates {
    all_tags: u64,
    min_duration_nanos: u64,
    max_duration_nanos: u64,
    range: TimeRange,
    limit: usize,
    reach_nanos: u64,
    max_traces: usize,
    traces: HashMap<TraceId, Candidate>,
    inspected_traces: u64,
}

impl Candidates {
    pub(super) fn new(request: &SearchRequest, reach_nanos: u64, max_traces: usize) -> Self {
        Self {
            all_tags: (0..request.tags.len()).fold(0, |bits, i| bits | 1 << i),
            min_duration_nanos: request.min_duration_nanos.unwrap_or(0),
            max_duration_nanos: request.max_duration_nanos.unwrap_or(u64::MAX),
            range: request.range.unwrap_or(TimeRange::ALL),
            limit: request.limit,
            reach_nanos,
            max_traces,
            traces: HashMap::new(),
            inspected_traces: 0,
        }
    }

    /// Takes in what a block says. Blocks come in the order of the search.
    pub(super) fn add_block(&mut self, block: usize, scanned: &Scanned) -> Result<(), Error> {
        self.add(block, scanned.summaries())
    }

    fn add(&mut self, block: usize, summaries: impl Iterator<Item = (usize, Summary)>) -> Result<(), Error> {
        for (ordinal, summary) in summaries {
            let piece = Piece { block, ordinal };
            self.inspected_traces += 1;
            self.traces
                .entry(summary.trace_id)
                .and_modify(|known| {
                    known.start_unix_nanos = earliest(known.start_unix_nanos, summary.start_unix_nanos);
                    known.end_unix_nanos = known.end_unix_nanos.max(summary.end_unix_nanos);
                    known.matched |= summary.matched;
                    known.more.push(piece);
                })
                .or_insert_with(|| Candidate {
                    start_unix_nanos: summary.start_unix_nanos,
                    end_unix_nanos: summary.end_unix_nanos,
                    matched: summary.matched,
                    first: piece,
                    more: Vec::new(),
                });
        }
        if self.traces.len() > self.max_traces {
            return Err(Error::TooManyTraces { max: self.max_traces });
        }
        Ok(())
    }

    /// Drops what can no longer be answered, given the latest end of the blocks that are left (none: no block is left).
    pub(super) fn settle(&mut self, newest_left_unix_nanos: Option<u64>) -> Progress {
        let Some(newest_left) = newest_left_unix_nanos else { return Progress::Certain };
        // A block that is left ends more than the reach before the trace starts: it has no piece of it.
        let horizon = newest_left.saturating_add(self.reach_nanos);
        let mut starts: Vec<u64> =
            self.traces.values().filter(|trace| self.matches(trace)).map(|trace| trace.start_unix_nanos).collect();
        // The start of the last trace that would be answered if no block were left.
        let oldest_answered = nth_largest(&mut starts, self.limit);
        if oldest_answered.is_some_and(|start| start > horizon) {
            return Progress::Certain;
        }
        let mut final_starts: Vec<u64> = starts.into_iter().filter(|start| *start > horizon).collect();
        let oldest_final = nth_largest(&mut final_starts, self.limit).unwrap_or(0);
        let mut traces = std::mem::take(&mut self.traces);
        traces.retain(|_, trace| {
            let is_final = trace.start_unix_nanos > horizon;
            !is_final || (self.matches(trace) && trace.start_unix_nanos >= oldest_final)
        });
        self.traces = traces;
        Progress::Open
    }

    /// Lets go of scanned blocks of which no trace is left.
    pub(super) fn release_unused<T>(&self, blocks: &mut [Option<T>]) {
        let mut used = vec![false; blocks.len()];
        for trace in self.traces.values() {
            used[trace.first.block] = true;
            for piece in &trace.more {
                used[piece.block] = true;
            }
        }
        for (block, used) in blocks.iter_mut().zip(used) {
            if !used {
                *block = None;
            }
        }
    }

    pub(super) fn inspected_traces(&self) -> u64 {
        self.inspected_traces
    }

    fn matches(&self, trace: &Candidate) -> bool {
        let span = TimeRange {
            start_unix_nanos: trace.start_unix_nanos,
            end_unix_nanos: trace.end_unix_nanos.max(trace.start_unix_nanos),
        };
        let duration_nanos = span.end_unix_nanos - span.start_unix_nanos;
        trace.matched & self.all_tags == self.all_tags
            && (self.min_duration_nanos..=self.max_duration_nanos).contains(&duration_nanos)
            && span.overlaps(&self.range)
    }

    /// The answer: latest start first, of equal starts the smaller trace id first, at most as many as asked for.
    pub(super) fn into_winners(mut self) -> Vec<Winner> {
        let traces = std::mem::take(&mut self.traces);
        let mut winners: Vec<_> = traces
            .into_iter()
            .filter(|(_, trace)| self.matches(trace))
            .map(|(trace_id, trace)| Winner {
                trace_id,
                start_unix_nanos: trace.start_unix_nanos,
                end_unix_nanos: trace.end_unix_nanos,
                pieces: std::iter::once(trace.first).chain(trace.more).collect(),
            })
            .collect();
        winners.sort_unstable_by_key(|winner| (Reverse(winner.start_unix_nanos), winner.trace_id));
        winners.truncate(self.limit);
        winners
    }
}

/// The n-th largest, counted from 1; none if there are fewer.
fn nth_largest(numbers: &mut [u64], n: usize) -> Option<u64> {
    if n == 0 || numbers.len() < n {
        return None;
    }
    let place = numbers.len() - n;
    Some(*numbers.select_nth_unstable(place).1)
}

/// The earlier of two starts; zero is a start that is not known.
fn earliest(a: u64, b: u64) -> u64 {
    match (a, b) {
        (0, known) | (known, 0) => known,
        (a, b) => a.min(b),
    }
}

#[cfg(test)]
#[path = "candidates/tests.rs"]
mod tests;
