//! The table: its columns, what it lets the engine push down, and which blocks a scan reads.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use spanlake_block::{BlockMeta, Column, Condition, Field, Literal, Op};
use spanlake_catalog::{BlockRef, Snapshot};
use spanlake_model::{TimeRange, TraceId};

use crate::exec::SpanScanExec;
use crate::filter::{self, Pushed, What};
use crate::scan::Request;
use crate::shape::Shape;
use crate::source::Source;

/// The spans of a snapshot: one row a span and block. A span that was delivered twice and lies in two blocks has two rows
/// until compaction; [`merge`](crate::merge()) gives it once.
#[derive(Debug)]
pub struct SpanTable {
    source: Arc<dyn Source>,
    snapshot: Arc<Snapshot>,
    columns: Vec<Column>,
    by_name: HashMap<String, usize>,
    schema: SchemaRef,
}

impl SpanTable {
    /// A table of [`Column::FIXED`] and, after them, `attributes`. Of columns with the same name the first one stays.
    /// No requests.
    pub fn new(source: Arc<dyn Source>, snapshot: Arc<Snapshot>, attributes: Vec<Column>) -> Self {
        let mut columns: Vec<Column> = Vec::new();
        let mut fields = Vec::new();
        let mut by_name = HashMap::new();
        for column in Column::FIXED.into_iter().chain(attributes) {
            let field = column.field();
            if by_name.contains_key(field.name()) {
                continue;
            }
            by_name.insert(field.name().clone(), columns.len());
            fields.push(field);
            columns.push(column);
        }
        Self { source, snapshot, columns, by_name, schema: Arc::new(Schema::new(fields)) }
    }

    fn push(&self, filter: &Expr) -> Option<Pushed> {
        filter::push(filter, &|name| self.by_name.get(name).map(|at| self.columns[*at].clone()))
    }
}

#[async_trait]
impl TableProvider for SpanTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(Pushed::support(filters, |filter| self.push(filter)))
    }

    /// Chooses blocks by their time ranges. No requests: blocks are opened when the plan runs.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = match projection {
            Some(projection) => projection.iter().map(|at| self.columns[*at].clone()).collect(),
            None => self.columns.clone(),
        };
        let mut wanted = Wanted::default();
        filters.iter().filter_map(|filter| self.push(filter)).for_each(|pushed| wanted.add(pushed.what));
        let blocks: Vec<BlockRef> =
            self.snapshot.blocks.iter().filter(|block| wanted.may_be_in(&block.meta)).cloned().collect();
        let blocks_pruned = self.snapshot.blocks.len() - blocks.len();
        let request = Request {
            conditions: wanted.conditions,
            traces: wanted.traces.map(Arc::from),
            distinct: None,
            columns,
            batch_rows: state.config().batch_size(),
        };
        let shape = Shape::stored(&request.columns);
        let scan = SpanScanExec::new(Arc::clone(&self.source), blocks, blocks_pruned, request, shape, limit);
        Ok(Arc::new(scan))
    }
}

/// All filters of a scan together.
#[derive(Default)]
pub(crate) struct Wanted {
    pub(crate) conditions: Vec<Condition>,
    /// Ascending; none when any trace will do.
    pub(crate) traces: Option<Vec<TraceId>>,
    times: Vec<TimeRange>,
}

impl Wanted {
    pub(crate) fn add(&mut self, what: What) {
        match what {
            What::Condition(condition) => self.conditions.push(condition),
            What::Time(range) => self.times.push(range),
            What::Traces(mut ids) => {
                ids.sort_unstable();
                ids.dedup();
                if let Some(others) = &self.traces {
                    ids.retain(|id| others.binary_search(id).is_ok());
                }
                self.traces = Some(ids);
            }
        }
    }

    pub(crate) fn may_be_in(&self, meta: &BlockMeta) -> bool {
        // A block's latest end is not before its latest start: the writer counts inverted spans by their start.
        let range = meta.time_range();
        self.times.iter().all(|time| time.overlaps(&range))
            && self.conditions.iter().all(|condition| match (&condition.field, &condition.value) {
                (Field::StartUnixNanos, Literal::Int(nanos)) => match (u64::try_from(*nanos), condition.op) {
                    (Ok(nanos), Op::Gt | Op::Ge) => nanos <= range.end_unix_nanos,
                    (Ok(nanos), Op::Lt | Op::Le) => nanos >= range.start_unix_nanos,
                    (Ok(nanos), Op::Eq) => TimeRange::at(nanos).overlaps(&range),
                    _ => true,
                },
                _ => true,
            })
    }
}
