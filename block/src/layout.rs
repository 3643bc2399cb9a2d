//! Where the bytes of a block lie: for people who look into one. Reads no rows.

use std::ops::Range;

use bytes::Bytes;
use spanlake_model::TraceId;

use crate::read::Block;
use crate::section::Sections;
use crate::{BlockMeta, Damage, SEARCH_MAGIC, TAIL_MAGIC};

/// What one row group holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowGroupLayout {
    /// Its bytes in the object.
    pub range: Range<u64>,
    /// Its rows.
    pub row_count: u64,
    /// Trace id of its first row.
    pub first_trace_id: TraceId,
    /// Trace id of its last row.
    pub last_trace_id: TraceId,
    /// Earliest start of its spans, in Unix nanoseconds.
    pub min_start_unix_nanos: u64,
    /// Latest end of its spans, in Unix nanoseconds.
    pub max_end_unix_nanos: u64,
}

/// Where the bytes of a block lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Stored bytes of each Parquet column over all row groups, in column order; nested columns by their path.
    pub column_bytes: Vec<(String, u64)>,
    /// Stored bytes of each section, those of the search index first.
    pub section_bytes: Vec<(&'static str, u64)>,
    /// Stored bytes of the Parquet footer.
    pub footer_bytes: u64,
    /// The row groups, in order.
    pub row_groups: Vec<RowGroupLayout>,
}

impl Layout {
    /// Reads it from a block's facts, its tail and its search index, whose bytes are those from
    /// [`BlockMeta::search_offset`] to the tail.
    ///
    /// # Errors
    /// [`Damage`] if one of them is not what was written.
    pub fn read(meta: &BlockMeta, tail: Bytes, search: Bytes) -> Result<Self, Damage> {
        let block = Block::open(meta, tail.clone())?;
        block.open_search(search.clone())?;
        let mut section_bytes = Sections::open("search index", SEARCH_MAGIC, &search)?.stored_bytes();
        let tail_sections = Sections::open("tail", TAIL_MAGIC, &tail)?;
        section_bytes.extend(tail_sections.stored_bytes());
        let footer_bytes = (tail.len() as u64).saturating_sub(tail_sections.end());
        let mut column_bytes: Vec<(String, u64)> = Vec::new();
        for (number, group) in block.plain.metadata().row_groups().iter().enumerate() {
            for (at, chunk) in group.columns().iter().enumerate() {
                if number == 0 {
                    column_bytes.push((chunk.column_path().string(), 0));
                }
                column_bytes[at].1 += chunk.byte_range().1;
            }
        }
        let row_groups = block.directory.row_groups.iter().enumerate().map(|(number, group)| RowGroupLayout {
            range: block.row_group_range(number),
            row_count: u64::from(group.row_count),
            first_trace_id: group.first_trace_id,
            last_trace_id: group.last_trace_id,
            min_start_unix_nanos: group.min_start_unix_nanos,
            max_end_unix_nanos: group.max_end_unix_nanos,
        });
        Ok(Self { column_bytes, section_bytes, footer_bytes, row_groups: row_groups.collect() })
    }
}
