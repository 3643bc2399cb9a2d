//! The end of writing a block: the indexes behind the row groups, the Parquet footer, the facts of the whole.

use bytes::Bytes;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::writer::SerializedFileWriter;
use spanlake_model::TraceId;

use super::{WriteError, WriteReport, Written};
use crate::directory::{Directory, ID_STRIDE, RowGroup};
use crate::section::{Kind, write_sections};
use crate::{BlockMeta, FORMAT_VERSION, SEARCH_MAGIC, TAIL_MAGIC};

/// What the directory says of a row group, from its rows.
pub(crate) struct RowGroupFacts<'a> {
    pub(crate) trace_ids: &'a [[u8; 16]],
    pub(crate) starts: &'a [u64],
    pub(crate) durations: &'a [i64],
}

impl RowGroupFacts<'_> {
    /// The directory's entry for a row group that lies in `object` as Parquet says; the writer is flushed. It has a row at
    /// least.
    pub(crate) fn describe(&self, stored: &RowGroupMetaData, object: &[u8]) -> RowGroup {
        let ends =
            self.starts.iter().zip(self.durations).map(|(start, nanos)| start.saturating_add((*nanos).max(0) as u64));
        let chunk_crc32c = stored
            .columns()
            .iter()
            .map(|chunk| {
                let (start, len) = chunk.byte_range();
                crc32c::crc32c(&object[start as usize..(start + len) as usize])
            })
            .collect();
        RowGroup {
            row_count: self.trace_ids.len() as u32,
            first_trace_id: TraceId(self.trace_ids[0]),
            last_trace_id: TraceId(self.trace_ids[self.trace_ids.len() - 1]),
            min_start_unix_nanos: self.starts.iter().copied().min().unwrap_or(0),
            max_end_unix_nanos: ends.max().unwrap_or(0),
            min_duration_nanos: self.durations.iter().copied().min().unwrap_or(0),
            max_duration_nanos: self.durations.iter().copied().max().unwrap_or(0),
            stride_trace_ids: self.trace_ids.iter().step_by(ID_STRIDE).map(|id| TraceId(*id)).collect(),
            chunk_crc32c,
        }
    }
}

/// Everything of a block but its row groups: each section as its bytes.
pub(crate) struct Indexes {
    pub(crate) level: u8,
    pub(crate) row_groups: Vec<RowGroup>,
    pub(crate) trace_count: u64,
    /// Rows left out because an identical one is kept.
    pub(crate) duplicate_count: u64,
    pub(crate) summaries: Vec<u8>,
    pub(crate) value_filters: Vec<u8>,
    pub(crate) keys: Vec<u8>,
    pub(crate) resource_sets: Vec<u8>,
    pub(crate) item_keys: Vec<u8>,
    pub(crate) baselines: Option<Vec<u8>>,
    pub(crate) trace_filter: Vec<u8>,
    pub(crate) resources: Vec<u8>,
    pub(crate) scopes: Vec<u8>,
    pub(crate) attribute_columns: Vec<u8>,
}

/// Puts the indexes and the footer behind the row groups.
///
/// # Errors
/// [`WriteError::Index`] or [`WriteError::Encode`]; neither is brought about by any input.
pub(crate) fn finish(mut writer: SerializedFileWriter<Vec<u8>>, indexes: Indexes) -> Result<Written, WriteError> {
    writer.flush()?;
    let mut search_sections = vec![
        (Kind::Summaries, indexes.summaries),
        (Kind::ValueFilters, indexes.value_filters),
        (Kind::Keys, indexes.keys),
        (Kind::ResourceSets, indexes.resource_sets),
        (Kind::ItemKeys, indexes.item_keys),
    ];
    search_sections.extend(indexes.baselines.map(|bytes| (Kind::Baselines, bytes)));
    let mut index_bytes = Vec::new();
    let search = write_sections(SEARCH_MAGIC, &search_sections, &mut index_bytes)?;
    let directory = Directory { search_crc32c: crc32c::crc32c(&search), row_groups: indexes.row_groups };
    let tail_sections = [
        (Kind::Directory, directory.write()),
        (Kind::TraceFilter, indexes.trace_filter),
        (Kind::Resources, indexes.resources),
        (Kind::Scopes, indexes.scopes),
        (Kind::AttributeColumns, indexes.attribute_columns),
    ];
    let tail_head = write_sections(TAIL_MAGIC, &tail_sections, &mut index_bytes)?;
    let column_bytes = column_bytes(writer.flushed_row_groups());

    let search_offset = writer.inner().len() as u64;
    writer.write_all(&search)?;
    writer.write_all(&tail_head)?;
    let bytes = Bytes::from(writer.into_inner()?);
    let tail_offset = search_offset + search.len() as u64;
    let object_bytes = bytes.len() as u64;
    let report = WriteReport {
        column_bytes,
        index_bytes,
        footer_bytes: object_bytes - tail_offset - tail_head.len() as u64,
        duplicate_count: indexes.duplicate_count,
    };
    let groups = &directory.row_groups;
    let meta = BlockMeta {
        format_version: FORMAT_VERSION,
        level: indexes.level,
        span_count: groups.iter().map(|group| u64::from(group.row_count)).sum(),
        trace_count: indexes.trace_count,
        min_start_unix_nanos: groups.iter().map(|group| group.min_start_unix_nanos).min().unwrap_or(0),
        max_end_unix_nanos: groups.iter().map(|group| group.max_end_unix_nanos).max().unwrap_or(0),
        object_bytes,
        search_offset,
        tail_offset,
        tail_crc32c: crc32c::crc32c(&bytes[tail_offset as usize..]),
    };
    Ok(Written { bytes, meta, report })
}

fn column_bytes(row_groups: &[RowGroupMetaData]) -> Vec<(String, u64)> {
    let mut column_bytes: Vec<(String, u64)> = Vec::new();
    for (g, group) in row_groups.iter().enumerate() {
        for (c, chunk) in group.columns().iter().enumerate() {
            if g == 0 {
                column_bytes.push((chunk.column_path().string(), 0));
            }
            column_bytes[c].1 += chunk.compressed_size() as u64;
        }
    }
    column_bytes
}
