//! Where one pass ends and the next begins: trace ids that cut all inputs into ranges of about equal work.

use parquet::file::metadata::ColumnChunkMetaData;
use spanlake_model::TraceId;

use super::input::MergeInput;
use crate::directory::ID_STRIDE;

/// Bytes of decoded row data that a pass reads, about: what bounds it where rows are large.
const PASS_BYTES: f64 = 96e6;

/// Bytes of a row group as it is stored, about, where rows are large: a lookup reads one, and a merge holds one or two of each
/// input.
const ROW_GROUP_BYTES: u64 = 4 << 20;

/// Least rows for which a row group is worth its part of the footer, if so many are asked for.
const LEAST_ROW_GROUP_ROWS: usize = 1_024;

/// Rows whose trace ids lie between two ids that the directory tells, taken to be spread evenly.
struct Segment {
    from: u128,
    to: u128,
    /// Part of a pass that they are.
    work: f64,
}

impl Segment {
    fn work_below(&self, id: u128) -> f64 {
        if id <= self.from {
            0.0
        } else if id >= self.to {
            self.work
        } else {
            self.work * ((id - self.from) as f64 / (self.to - self.from) as f64)
        }
    }
}

/// The trace ids at which passes begin, but the first: ascending. Each pass has about `pass_rows` rows; more where trace ids
/// are spread unevenly within a stride of the directory, and always whole traces.
pub(super) fn cuts(inputs: &[MergeInput], pass_rows: usize) -> Vec<TraceId> {
    let segments: Vec<Segment> = inputs.iter().flat_map(|input| segments(input, pass_rows)).collect();
    let work: f64 = segments.iter().map(|segment| segment.work).sum();
    // A pass has some rows: sizes in a footer that are not true must not ask for more.
    let row_count: u64 = inputs.iter().map(MergeInput::row_count).sum();
    let most = (row_count / 64).max(row_count.clamp(1, 1 << 16));
    let passes = work.ceil().clamp(1.0, most as f64);
    let mut cuts: Vec<TraceId> = Vec::new();
    for pass in 1..passes as usize {
        let target = work * pass as f64 / passes;
        let (mut low, mut high) = (0_u128, u128::MAX);
        while low < high {
            let middle = low + (high - low) / 2;
            if segments.iter().map(|segment| segment.work_below(middle)).sum::<f64>() < target {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let cut = TraceId(low.to_be_bytes());
        if cuts.last().is_none_or(|last| *last < cut) {
            cuts.push(cut);
        }
    }
    cuts
}

/// Rows of a row group: as many as asked for, or as make up [`ROW_GROUP_BYTES`] if the rows of all inputs are like those of the
/// outputs.
pub(super) fn row_group_rows(inputs: &[MergeInput], asked: usize) -> usize {
    let rows: u64 = inputs.iter().map(MergeInput::row_count).sum();
    let groups = inputs.iter().flat_map(|input| (0..input.block.row_group_count()).map(move |group| (input, group)));
    let bytes = groups.map(|(input, group)| input.block.row_group_range(group)).map(|range| range.end - range.start);
    let fitting = ROW_GROUP_BYTES.saturating_mul(rows) / bytes.sum::<u64>().max(1);
    usize::try_from(fitting).unwrap_or(usize::MAX).max(LEAST_ROW_GROUP_ROWS).min(asked.max(1))
}

/// Bytes that a pass decodes a column chunk to, about. Values of flat columns stay what they are in the dictionary; those of
/// lists are copied out for every item.
fn decoded_bytes(chunk: &ColumnChunkMetaData) -> f64 {
    let stored = chunk.uncompressed_size();
    let is_list = chunk.column_descr().max_rep_level() > 0;
    let flat = chunk.unencoded_byte_array_data_bytes().filter(|_| is_list);
    stored.max(flat.unwrap_or(0)).max(0) as f64
}

fn segments(input: &MergeInput, pass_rows: usize) -> Vec<Segment> {
    let block = &input.block;
    let mut segments: Vec<Segment> = Vec::new();
    for (number, group) in block.directory.row_groups.iter().enumerate() {
        let chunks = block.plain.metadata().row_group(number).columns();
        let bytes: f64 = chunks.iter().map(decoded_bytes).sum();
        let row_bytes = bytes / f64::from(group.row_count.max(1));
        let row_work = (1.0 / pass_rows.max(1) as f64).max(row_bytes / PASS_BYTES);
        let ids = &group.stride_trace_ids;
        for (stride, id) in ids.iter().enumerate() {
            let rows = (group.row_count as usize - stride * ID_STRIDE).min(ID_STRIDE);
            let to = ids.get(stride + 1).unwrap_or(&group.last_trace_id);
            let (from, to) = (u128::from_be_bytes(id.0), u128::from_be_bytes(to.0));
            segments.push(Segment { from, to: to.max(from).saturating_add(1), work: rows as f64 * row_work });
        }
    }
    segments
}
