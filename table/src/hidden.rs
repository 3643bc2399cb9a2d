//! The traces of a block that were deleted: no answer may show a row of them, though the block still has it.

use std::ops::Range;
use std::sync::Arc;

use spanlake_block::{Block, SearchIndex, TraceSummary};
use spanlake_catalog::DeletedTraces;

/// The deleted traces of one block. Cheap to clone; of most blocks it is empty.
#[derive(Debug, Clone, Default)]
pub struct HiddenTraces {
    /// Places of their summaries, ascending.
    ordinals: Arc<[u32]>,
}

impl HiddenTraces {
    /// Those that the block has. Looks at the block's filter for each deleted trace; no request.
    pub fn of(block: &Block, search: &SearchIndex, deleted: &DeletedTraces) -> Self {
        let ordinal = |id| {
            if block.row_groups_for(id).is_empty() {
                return None;
            }
            search.summaries().binary_search_by(|summary| summary.trace_id.cmp(id)).ok()
        };
        // Ids come in order, and so do summaries.
        let ordinals = deleted.iter().filter_map(|(id, _)| ordinal(id)).map(|ordinal| ordinal as u32);
        Self { ordinals: ordinals.collect() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ordinals.is_empty()
    }

    /// Whether the trace with this summary is one.
    pub fn contains(&self, ordinal: usize) -> bool {
        !self.ordinals.is_empty() && u32::try_from(ordinal).is_ok_and(|at| self.ordinals.binary_search(&at).is_ok())
    }

    /// The summaries of the others, with their places.
    pub fn shown<'a>(&'a self, search: &'a SearchIndex) -> impl Iterator<Item = (usize, &'a TraceSummary)> {
        search.summaries().iter().enumerate().filter(|(ordinal, _)| !self.contains(*ordinal))
    }

    /// Rows of hidden traces in a range of rows of the block: ranges, ascending.
    pub fn rows_in(&self, search: &SearchIndex, range: Range<u32>) -> Vec<Range<u32>> {
        let of_trace = |ordinal: &u32| {
            let summary = &search.summaries()[*ordinal as usize];
            summary.first_row.max(range.start)..(summary.first_row + summary.span_count).min(range.end)
        };
        self.ordinals.iter().map(of_trace).filter(|rows| !rows.is_empty()).collect()
    }

    /// Takes the rows of hidden traces out of some rows, which are ascending.
    pub fn retain_shown(&self, search: &SearchIndex, rows: &mut Vec<u32>) {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return };
        let mut hidden = self.rows_in(search, *first..*last + 1).into_iter().peekable();
        if hidden.peek().is_some() {
            rows.retain(|row| {
                while hidden.next_if(|range| range.end <= *row).is_some() {}
                hidden.peek().is_none_or(|range| *row < range.start)
            });
        }
    }
}
