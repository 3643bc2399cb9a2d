//! Rows of a row group, decoded batch by batch as they are asked for.

use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array,
    new_null_array,
};
use arrow_select::take::{TakeOptions, take};
use arrow_select::zip::zip;
use memchr::memmem;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::column::attribute_field;
use super::values::{first_value, values_of};
use super::{ProjectionPlan, Source, arrow_damage, damage, wrong_type};
use crate::{Damage, text};

/// Numbers of Parquet columns that sources combine.
pub(super) struct Stored {
    pub(super) start: usize,
    pub(super) duration: usize,
    pub(super) parent_row: usize,
    pub(super) parent_span_id: usize,
    pub(super) rest: usize,
}

/// The rows as batches; each is decoded when it is asked for. Holds what was fetched.
pub struct Projection {
    pub(super) plan: ProjectionPlan,
    /// None when no stored column is needed.
    pub(super) reader: Option<ParquetRecordBatchReader>,
    /// Counted from the row group's first row.
    pub(super) rows: Vec<u32>,
    pub(super) done: usize,
    pub(super) batch_rows: usize,
    /// The Parquet columns of the reader's batches.
    pub(super) roots: Vec<usize>,
    /// Span ids of all rows of the row group, when parents are looked up.
    pub(super) all_span_ids: Option<FixedSizeBinaryArray>,
    /// What a residual text with one of the wanted keys contains.
    pub(super) residual: Vec<memmem::Finder<'static>>,
    pub(super) stored: Stored,
}

impl std::fmt::Debug for Projection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "projection of {} rows of row group {}", self.rows.len(), self.plan.row_group)
    }
}

impl Iterator for Projection {
    type Item = Result<RecordBatch, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done == self.rows.len() {
            return None;
        }
        let batch = self.read();
        if batch.is_err() {
            self.done = self.rows.len();
        }
        Some(batch)
    }
}

impl Projection {
    fn read(&mut self) -> Result<RecordBatch, Damage> {
        let (columns, row_count) = match &mut self.reader {
            None => (Vec::new(), self.batch_rows.min(self.rows.len() - self.done)),
            Some(reader) => {
                let batch = reader.next().ok_or_else(|| damage("it has fewer rows than were found"))?;
                let batch = batch.map_err(arrow_damage)?;
                (batch.columns().to_vec(), batch.num_rows())
            }
        };
        let rows = self.rows.get(self.done..self.done + row_count).filter(|rows| !rows.is_empty());
        let rows = rows.ok_or_else(|| damage("it has more rows than were found"))?;
        let residual = self.residual_attributes(&columns)?;
        let arrays = self
            .plan
            .sources
            .iter()
            .map(|source| self.array(source, &columns, rows, &residual))
            .collect::<Result<Vec<_>, _>>()?;
        self.done += row_count;
        let options = RecordBatchOptions::new().with_row_count(Some(row_count));
        RecordBatch::try_new_with_options(self.plan.schema.clone(), arrays, &options).map_err(arrow_damage)
    }

    fn column<'a>(&self, columns: &'a [ArrayRef], root: usize) -> Result<&'a ArrayRef, Damage> {
        let at = self.roots.binary_search(&root).ok().and_then(|at| columns.get(at));
        at.ok_or_else(|| damage("a planned column is missing"))
    }

    /// The residual attributes of each row that has a wanted key there; empty when none is wanted.
    fn residual_attributes(&self, columns: &[ArrayRef]) -> Result<Vec<Vec<KeyValue>>, Damage> {
        if self.residual.is_empty() {
            return Ok(Vec::new());
        }
        let rest = self.column(columns, self.stored.rest)?;
        let rest = rest.as_string_opt::<i32>().ok_or_else(|| wrong_type("attributes_rest"))?;
        rest.iter()
            .map(|row| match row {
                Some(row) if self.residual.iter().any(|key| key.find(row.as_bytes()).is_some()) => {
                    text::read_attributes(row).map_err(|error| Damage::new("attributes text", error.to_string()))
                }
                _ => Ok(Vec::new()),
            })
            .collect()
    }

    fn array(
        &self,
        source: &Source,
        columns: &[ArrayRef],
        rows: &[u32],
        residual: &[Vec<KeyValue>],
    ) -> Result<ArrayRef, Damage> {
        match source {
            Source::Stored(root) => self.column(columns, *root).cloned(),
            Source::End => {
                let starts = self.column(columns, self.stored.start)?.as_primitive_opt::<UInt64Type>();
                let durations = self.column(columns, self.stored.duration)?.as_primitive_opt::<Int64Type>();
                let (Some(starts), Some(durations)) = (starts, durations) else { return Err(wrong_type("start")) };
                let end = |(start, duration): (&u64, &i64)| start.wrapping_add(*duration as u64);
                let ends = starts.values().iter().zip(durations.values()).map(end);
                Ok(Arc::new(UInt64Array::from_iter_values(ends)))
            }
            Source::Parent => self.parents(columns, rows),
            Source::Gathered { by, values } => {
                let options = TakeOptions { check_bounds: true };
                take(values, self.column(columns, *by)?, Some(options)).map_err(arrow_damage)
            }
            Source::Constant(value) => take(value, &UInt32Array::from(vec![0; rows.len()]), None).map_err(arrow_damage),
            Source::Attribute { own, attribute, in_residual } => {
                let own = own.map(|root| self.column(columns, root)).transpose()?;
                let rest = in_residual.then(|| {
                    let first = residual.iter().map(|row| first_value(row, &attribute.key, attribute.value_type));
                    values_of(attribute.value_type, first)
                });
                match (own, rest) {
                    (None, None) => Ok(new_null_array(attribute_field(attribute).data_type(), rows.len())),
                    (Some(own), None) => Ok(own.clone()),
                    (None, Some(rest)) => Ok(rest),
                    (Some(own), Some(_)) if own.null_count() == 0 => Ok(own.clone()),
                    (Some(own), Some(rest)) => {
                        let present = own.nulls().map(|nulls| BooleanArray::new(nulls.inner().clone(), None));
                        let present = present.expect("a column with nulls says which");
                        zip(&present, own, &rest).map_err(arrow_damage)
                    }
                }
            }
        }
    }

    fn parents(&self, columns: &[ArrayRef], rows: &[u32]) -> Result<ArrayRef, Damage> {
        let sent = self.column(columns, self.stored.parent_span_id)?;
        let sent = sent.as_binary_opt::<i32>().ok_or_else(|| wrong_type("parent_span_id"))?;
        let back = self.column(columns, self.stored.parent_row)?;
        let back = back.as_primitive_opt::<Int32Type>().ok_or_else(|| wrong_type("parent_row"))?;
        let ids = self.all_span_ids.as_ref().ok_or_else(|| damage("a planned column is missing"))?;
        let mut parents = BinaryBuilder::with_capacity(rows.len(), 8 * rows.len());
        for (at, row) in rows.iter().enumerate() {
            if sent.is_valid(at) {
                parents.append_value(sent.value(at));
            } else if back.is_valid(at) {
                let parent = u32::try_from(back.value(at)).ok().and_then(|back| row.checked_sub(back));
                parents.append_value(ids.value(parent.ok_or_else(|| damage("a parent lies outside it"))? as usize));
            } else {
                parents.append_null();
            }
        }
        Ok(Arc::new(parents.finish()))
    }
}
