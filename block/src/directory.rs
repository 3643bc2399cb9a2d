//! The directory: what a reader must know to fetch and check any other part of a block.

use spanlake_model::TraceId;

use crate::Damage;
use crate::section::{Reader, Writer};

/// Rows between two trace ids in the directory. Part of the format.
pub(crate) const ID_STRIDE: usize = 8_192;

/// One row group: which traces it holds and the checksum of each of its column chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowGroup {
    pub(crate) row_count: u32,
    pub(crate) first_trace_id: TraceId,
    pub(crate) last_trace_id: TraceId,
    pub(crate) min_start_unix_nanos: u64,
    pub(crate) max_end_unix_nanos: u64,
    pub(crate) min_duration_nanos: i64,
    pub(crate) max_duration_nanos: i64,
    /// Trace ids of every [`ID_STRIDE`]th row, from the first on: a lookup reads one stride of ids, not all.
    pub(crate) stride_trace_ids: Vec<TraceId>,
    /// CRC-32C of each column chunk, in the order of Parquet leaf columns.
    pub(crate) chunk_crc32c: Vec<u32>,
}

/// The section as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) search_crc32c: u32,
    pub(crate) row_groups: Vec<RowGroup>,
}

impl Directory {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u32(self.search_crc32c);
        out.varint(self.row_groups.len() as u64);
        for group in &self.row_groups {
            out.varint(u64::from(group.row_count));
            out.raw(&group.first_trace_id.0);
            out.raw(&group.last_trace_id.0);
            out.u64(group.min_start_unix_nanos);
            out.u64(group.max_end_unix_nanos);
            out.u64(group.min_duration_nanos as u64);
            out.u64(group.max_duration_nanos as u64);
            out.varint(group.stride_trace_ids.len() as u64);
            group.stride_trace_ids.iter().for_each(|id| out.raw(&id.0));
            out.varint(group.chunk_crc32c.len() as u64);
            group.chunk_crc32c.iter().for_each(|crc| out.u32(*crc));
        }
        out.0
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader::new("directory", bytes);
        let search_crc32c = reader.u32()?;
        let row_groups = (0..reader.count(64)?)
            .map(|_| {
                Ok(RowGroup {
                    row_count: reader.varint_u32()?,
                    first_trace_id: TraceId(reader.array()?),
                    last_trace_id: TraceId(reader.array()?),
                    min_start_unix_nanos: reader.u64()?,
                    max_end_unix_nanos: reader.u64()?,
                    min_duration_nanos: reader.u64()? as i64,
                    max_duration_nanos: reader.u64()? as i64,
                    stride_trace_ids: (0..reader.count(16)?)
                        .map(|_| reader.array().map(TraceId))
                        .collect::<Result<_, _>>()?,
                    chunk_crc32c: (0..reader.count(4)?).map(|_| reader.u32()).collect::<Result<_, _>>()?,
                })
            })
            .collect::<Result<_, Damage>>()?;
        Ok(Self { search_crc32c, row_groups })
    }
}
