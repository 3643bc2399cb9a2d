//! Which spans are copies of one another, as the block writer sees it too.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, UInt64Type};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::filter::filter_record_batch;
use spanlake_block::Column;

/// What tells spans of one trace apart, read after the requested columns.
pub(crate) const COLUMNS: [Column; 5] =
    [Column::SpanId, Column::Kind, Column::StartUnixNanos, Column::EndUnixNanos, Column::Name];

/// The columns of `schema`, which come first.
pub(super) fn requested(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let width = schema.fields().len();
    if rows.num_columns() == width {
        return Ok(rows.clone());
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), rows.columns()[..width].to_vec(), &options)
}

/// The first of each set of copies among the rows of one trace, without the columns that told them.
pub(super) fn distinct(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = &rows.columns()[schema.fields().len()..];
    let [span_ids, kinds, starts, ends, names] = columns else {
        return Err(ArrowError::SchemaError("rows of a shared trace lack what tells them apart".to_owned()));
    };
    let wrong_type = || ArrowError::SchemaError("what tells spans apart has another type".to_owned());
    let times = |array: &'_ ArrayRef| array.as_primitive_opt::<UInt64Type>().cloned().ok_or_else(wrong_type);
    let span_ids = span_ids.as_fixed_size_binary_opt().ok_or_else(wrong_type)?;
    let kinds = kinds.as_primitive_opt::<Int32Type>().ok_or_else(wrong_type)?;
    let names = names.as_string_opt::<i32>().ok_or_else(wrong_type)?;
    let (starts, ends) = (times(starts)?, times(ends)?);
    let mut seen = HashSet::with_capacity(rows.num_rows());
    let is_first: Vec<bool> = (0..rows.num_rows())
        .map(|at| seen.insert((span_ids.value(at), kinds.value(at), starts.value(at), ends.value(at), names.value(at))))
        .collect();
    let requested = requested(rows, schema)?;
    if seen.len() == rows.num_rows() {
        return Ok(requested);
    }
    filter_record_batch(&requested, &BooleanArray::from(is_first))
}
