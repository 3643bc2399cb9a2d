//! Projection: chosen columns of the rows that a scan found, as Arrow batches.
//!
//! Only the column chunks that the conditions have not fetched already are asked for, and only the rows that were found
//! are decoded. It knows where a value may lie (a column of its own, the residual text, the resources), not who asks.

mod batches;
mod column;
mod values;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray as _;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{Schema, SchemaRef};
use bytes::Bytes;
use memchr::memmem;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use parquet::arrow::arrow_reader::RowSelection;

pub use batches::Projection;
pub use column::Column;

use super::RowGroupPlan;
use crate::Damage;
use crate::read::{Block, Fetched, SearchIndex};
use crate::schema::{self, AttributeColumn, ValueType};
use crate::text;
use batches::Stored;
use values::{first_value, values_of};

/// Resource attribute that names the service, of OpenTelemetry's semantic conventions.
const SERVICE_NAME: &str = "service.name";

/// Where the values of one projected column come from.
#[derive(Debug)]
enum Source {
    /// As stored, in the Parquet column (root) of this number.
    Stored(usize),
    /// From start and duration.
    End,
    /// From the parent's row, or as stored.
    Parent,
    /// A value for each resource or scope, picked by the number in a Parquet column.
    Gathered { by: usize, values: ArrayRef },
    /// The same value in every row.
    Constant(ArrayRef),
    /// A column of its own, if the block has one, and the residual text, if the row group has the key there.
    Attribute { own: Option<usize>, attribute: AttributeColumn, in_residual: bool },
}

/// What to fetch of a row group, beyond what its [`RowGroupPlan`] fetched, to project its rows.
#[derive(Debug, Clone)]
pub struct ProjectionPlan {
    /// Which row group.
    pub row_group: usize,
    /// Ranges of the object to fetch, ascending and apart from each other. Empty when nothing is missing.
    pub ranges: Vec<Range<u64>>,
    filter_ranges: Vec<Range<u64>>,
    /// Parquet leaf columns to decode, ascending.
    leaves: Vec<usize>,
    sources: Arc<[Source]>,
    schema: SchemaRef,
}

impl ProjectionPlan {
    /// The schema of the batches: one field a projected column, in the order asked for.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Block {
    /// What to fetch to project columns of rows that `filtered` finds.
    pub fn plan_projection(&self, search: &SearchIndex, filtered: &RowGroupPlan, columns: &[Column]) -> ProjectionPlan {
        let row_group = filtered.row_group;
        let sources: Vec<Source> = columns.iter().map(|column| self.source(search, row_group, column)).collect();
        let mut leaves: Vec<usize> = sources.iter().flat_map(|source| self.leaves_of_source(source)).collect();
        leaves.sort_unstable();
        leaves.dedup();
        let missing = leaves.iter().copied().filter(|leaf| filtered.leaves.binary_search(leaf).is_err());
        let ranges = self.chunk_ranges(row_group, missing);
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        let filter_ranges = filtered.ranges.clone();
        ProjectionPlan { row_group, ranges, filter_ranges, leaves, sources: sources.into(), schema }
    }

    /// Projects `rows`, ascending and counted from the block's first row as [`Block::matching_rows`] gives them, in
    /// batches of up to `batch_rows`. `filter_bytes` are those of the row group plan's ranges, `bytes` those of
    /// [`ProjectionPlan::ranges`], one each.
    ///
    /// # Errors
    /// [`Damage`] if a fetched byte is not what was written, or if a row is not in the row group.
    pub fn project(
        &self,
        plan: &ProjectionPlan,
        rows: &[u32],
        filter_bytes: Vec<Bytes>,
        bytes: Vec<Bytes>,
        batch_rows: usize,
    ) -> Result<Projection, Damage> {
        if bytes.len() != plan.ranges.len() || filter_bytes.len() != plan.filter_ranges.len() {
            return Err(damage("not all planned ranges were read"));
        }
        let starts = plan.filter_ranges.iter().chain(&plan.ranges).map(|range| range.start);
        let ranges = starts.zip(filter_bytes.into_iter().chain(bytes)).collect();
        let fetched = Fetched::new(self.meta.object_bytes, ranges);
        self.check_chunks(plan.row_group, &fetched, plan.leaves.iter().copied())?;
        let row_count = self.directory.row_groups[plan.row_group].row_count as usize;
        let first_row = self.first_rows[plan.row_group];
        let rows: Vec<u32> = rows.iter().map(|row| row.wrapping_sub(first_row)).collect();
        let in_order = rows.windows(2).all(|pair| pair[0] < pair[1]);
        if !in_order || rows.last().is_some_and(|last| *last as usize >= row_count) {
            return Err(damage("rows to project are out of order or not in it"));
        }
        let batch_rows = batch_rows.clamp(1, row_count.max(1));
        let all_span_ids = if plan.sources.iter().any(|source| matches!(source, Source::Parent)) {
            let leaf = self.root_leaves(self.root(schema::SPAN_ID));
            let mut reader = self.reader(&self.plain, plan.row_group, fetched.clone(), Some(&leaf), None, row_count)?;
            let batch = reader.next().ok_or_else(|| damage("it has no rows"))?.map_err(arrow_damage)?;
            Some(batch.column(0).as_fixed_size_binary_opt().ok_or_else(|| wrong_type("span_id"))?.clone())
        } else {
            None
        };
        let reader = if plan.leaves.is_empty() || rows.is_empty() {
            None
        } else {
            let selection = (rows.len() < row_count)
                .then(|| RowSelection::from_consecutive_ranges(runs(&rows).into_iter(), row_count));
            Some(self.reader(&self.plain, plan.row_group, fetched, Some(&plan.leaves), selection, batch_rows)?)
        };
        let mut roots: Vec<usize> = plan.leaves.iter().map(|leaf| self.root_of_leaf(*leaf)).collect();
        roots.dedup();
        let residual = self.residual_keys(plan);
        let stored = Stored {
            start: self.root(schema::START_UNIX_NANOS),
            duration: self.root(schema::DURATION_NANOS),
            parent_row: self.root(schema::PARENT_ROW),
            parent_span_id: self.root(schema::PARENT_SPAN_ID),
            rest: self.root(schema::ATTRIBUTES_REST),
        };
        Ok(Projection { plan: plan.clone(), reader, rows, done: 0, batch_rows, roots, all_span_ids, residual, stored })
    }

    /// The rows of a row group, counted from the block's first row.
    pub fn rows_in(&self, row_group: usize) -> Range<u32> {
        let first = self.first_rows[row_group];
        first..first + self.directory.row_groups[row_group].row_count
    }

    pub(super) fn root(&self, name: &str) -> usize {
        self.plain.schema().index_of(name).expect("check_shape has seen every fixed column")
    }

    fn root_of_leaf(&self, leaf: usize) -> usize {
        self.plain.parquet_schema().get_column_root_idx(leaf)
    }

    pub(super) fn root_leaves(&self, root: usize) -> Vec<usize> {
        // No column takes fewer leaves than one, so none of a column's leaves comes before its own number.
        (root..self.plain.parquet_schema().num_columns()).filter(|leaf| self.root_of_leaf(*leaf) == root).collect()
    }

    fn source(&self, search: &SearchIndex, row_group: usize, column: &Column) -> Source {
        let of_resource = |key: &str, value_type| {
            let attributes = self.resources().iter().map(|entry| entry.resource.attributes.as_slice());
            let values = values_of(value_type, attributes.map(|attributes| first_value(attributes, key, value_type)));
            match search.resource_sets[row_group].as_slice() {
                [only] if (*only as usize) < values.len() => Source::Constant(values.slice(*only as usize, 1)),
                _ => Source::Gathered { by: self.root(schema::RESOURCE_ID), values },
            }
        };
        let of_scope = |pick: fn(&InstrumentationScope) -> &String| {
            let mut values = StringBuilder::new();
            self.scopes().iter().for_each(|entry| values.append_option(entry.scope.as_ref().map(pick)));
            Source::Gathered { by: self.root(schema::SCOPE_ID), values: Arc::new(values.finish()) }
        };
        match column {
            Column::EndUnixNanos => Source::End,
            Column::ParentSpanId => Source::Parent,
            Column::ServiceName => of_resource(SERVICE_NAME, ValueType::String),
            Column::ResourceAttribute(attribute) => of_resource(&attribute.key, attribute.value_type),
            Column::ScopeName => of_scope(|scope| &scope.name),
            Column::ScopeVersion => of_scope(|scope| &scope.version),
            Column::SpanAttribute(attribute) => Source::Attribute {
                own: self.columns.iter().position(|own| own == attribute).map(|at| schema::LEADING_COLUMNS + at),
                attribute: attribute.clone(),
                in_residual: search.is_residual(&attribute.key, row_group),
            },
            fixed => Source::Stored(self.root(fixed.stored_as().first().copied().unwrap_or_default())),
        }
    }

    fn leaves_of_source(&self, source: &Source) -> Vec<usize> {
        let named = |column: Column| column.stored_as().iter().map(|name| self.root(name)).collect();
        let roots: Vec<usize> = match source {
            Source::Stored(root) => vec![*root],
            Source::End => named(Column::EndUnixNanos),
            Source::Parent => named(Column::ParentSpanId),
            Source::Gathered { by, .. } => vec![*by],
            Source::Constant(_) => Vec::new(),
            Source::Attribute { own, in_residual, .. } => {
                own.iter().copied().chain(in_residual.then(|| self.root(schema::ATTRIBUTES_REST))).collect()
            }
        };
        roots.into_iter().flat_map(|root| self.root_leaves(root)).collect()
    }

    fn residual_keys(&self, plan: &ProjectionPlan) -> Vec<memmem::Finder<'static>> {
        let wanted = plan.sources.iter().filter_map(|source| match source {
            Source::Attribute { attribute, in_residual: true, .. } => Some(attribute.key.as_str()),
            _ => None,
        });
        wanted.map(text::finder).collect()
    }
}

fn damage(problem: &str) -> Damage {
    Damage::new("row group", problem)
}

fn wrong_type(column: &str) -> Damage {
    damage(&format!("column {column} has another type"))
}

fn arrow_damage(error: arrow_schema::ArrowError) -> Damage {
    Damage::new("row group", error.to_string())
}

/// Ascending rows as ranges.
pub(crate) fn runs(rows: &[u32]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for row in rows.iter().map(|row| *row as usize) {
        match runs.last_mut() {
            Some(run) if run.end == row => run.end += 1,
            _ => runs.push(row..row + 1),
        }
    }
    runs
}
