//! Where one row group ends and the next begins.

use std::ops::Range;

use super::order::Order;
use super::{WriteError, WriteOptions};

/// Most OTLP bytes of a row group. As JSON text a byte becomes at most six, so that no column of it comes near the 2 GiB
/// where Arrow's offsets and Parquet's page sizes end, nor a page near the 1 GiB that a reader takes.
pub(crate) const MAX_ROW_GROUP_BYTES: u64 = 128 << 20;

/// Cuts rows into groups of at most so many rows and bytes, between traces; only a trace larger than that is cut itself.
/// `row_bytes` are the OTLP bytes of each row.
///
/// # Errors
/// [`WriteError::SpanTooLarge`] if one row alone is above [`MAX_ROW_GROUP_BYTES`].
pub(crate) fn cut_row_groups(
    order: &Order,
    row_bytes: &[u64],
    options: &WriteOptions,
) -> Result<Vec<Range<u32>>, WriteError> {
    if let Some(span_bytes) = row_bytes.iter().copied().find(|bytes| *bytes > MAX_ROW_GROUP_BYTES) {
        return Err(WriteError::SpanTooLarge { span_bytes });
    }
    let most_rows = options.row_group_rows.clamp(1, u32::MAX as usize) as u32;
    let most_bytes = (options.row_group_bytes as u64).min(MAX_ROW_GROUP_BYTES);
    let row_count = order.rows.len() as u32;
    let mut groups = Vec::new();
    // The group being filled: where it starts, where its last whole trace ends, its bytes.
    let (mut start, mut end, mut bytes) = (0, 0, 0);
    for next_end in order.trace_starts.iter().skip(1).copied().chain([row_count]) {
        let trace_bytes: u64 = row_bytes[end as usize..next_end as usize].iter().sum();
        let is_full = next_end - start > most_rows || bytes + trace_bytes > most_bytes;
        if is_full && end > start {
            groups.push(start..end);
            (start, bytes) = (end, 0);
        }
        for row in end..next_end {
            let this_bytes = row_bytes[row as usize];
            if row > start && (row - start == most_rows || bytes + this_bytes > most_bytes) {
                groups.push(start..row);
                (start, bytes) = (row, 0);
            }
            bytes += this_bytes;
        }
        end = next_end;
    }
    if start < row_count {
        groups.push(start..row_count);
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::super::order::Row;
    use super::*;

    /// Row groups of traces given by the bytes of their rows.
    fn check(traces: &[&[u64]], most_rows: usize, most_bytes: usize, expect: &[(u32, u32)]) {
        let mut order = Order::default();
        for trace in traces {
            order.trace_starts.push(order.rows.len() as u32);
            order.rows.extend(trace.iter().map(|_| Row { at: (0, 0), parent_distance: 0, descendant_count: 0 }));
        }
        let options =
            WriteOptions { row_group_rows: most_rows, row_group_bytes: most_bytes, ..WriteOptions::default() };
        let groups = cut_row_groups(&order, &traces.concat(), &options).expect("no row is too large");
        let groups: Vec<(u32, u32)> = groups.iter().map(|group| (group.start, group.end)).collect();
        assert_eq!(groups, expect, "{traces:?}, {most_rows} rows, {most_bytes} bytes");
    }

    #[test]
    fn row_groups_are_cut_between_traces_by_rows_and_bytes() {
        check(&[&[1]], 1, 1, &[(0, 1)]);
        check(&[&[1, 1], &[1, 1], &[1]], 4, 100, &[(0, 4), (4, 5)]);
        check(&[&[1, 1], &[1, 1], &[1]], 3, 100, &[(0, 2), (2, 5)]);
        check(&[&[1, 1], &[1, 1], &[1]], 100, 4, &[(0, 4), (4, 5)]);
        check(&[&[1, 1], &[1, 1], &[1]], 100, 3, &[(0, 2), (2, 5)]);
        check(&[&[1], &[1, 1, 1, 1, 1], &[1]], 2, 100, &[(0, 1), (1, 3), (3, 5), (5, 7)]);
        check(&[&[1], &[1, 1, 1, 1, 1], &[1]], 100, 2, &[(0, 1), (1, 3), (3, 5), (5, 7)]);
        check(&[&[1], &[9, 1, 9], &[1]], 100, 3, &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]);
        check(&[&[5], &[5]], 0, 0, &[(0, 1), (1, 2)]);
        check(&[&[5], &[5]], usize::MAX, usize::MAX, &[(0, 2)]);
        check(&[&[MAX_ROW_GROUP_BYTES], &[1]], 100, usize::MAX, &[(0, 1), (1, 2)]);
    }

    #[test]
    fn a_row_that_fits_no_row_group_is_refused() {
        let order = Order {
            rows: vec![Row { at: (0, 0), parent_distance: 0, descendant_count: 0 }],
            trace_starts: vec![0],
            duplicate_count: 0,
        };
        let error = cut_row_groups(&order, &[MAX_ROW_GROUP_BYTES + 1], &WriteOptions::default());
        let error = error.expect_err("the row is too large").to_string();
        assert_eq!(error, "a span of 134217729 bytes with its resource is too large: at most 134217728 bytes fit");
    }
}
