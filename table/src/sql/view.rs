//! Views whose rows come straight from blocks: `spans`, `events` and `links`.
//!
//! They show ids, kinds, states and times as people write them, give each span once however many blocks have copies of
//! it, and push into blocks what blocks can decide.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use spanlake_block::Column;
use spanlake_catalog::BlockRef;

use super::push;
use crate::distinct::Distinct;
use crate::exec::SpanScanExec;
use crate::filter::Pushed;
use crate::provider::Wanted;
use crate::scan::Request;
use crate::shape::{Form, From, KINDS, STATUSES, Shape, Shown};
use crate::source::Source;

/// A column of a view.
#[derive(Debug, Clone)]
pub(super) struct ViewColumn {
    pub(super) name: String,
    /// What is read of a block.
    pub(super) column: Column,
    pub(super) form: Form,
    /// The field of each element, when the column is the list that the view makes rows of.
    element: Option<usize>,
}

impl ViewColumn {
    fn new(name: &str, column: Column, form: Form) -> Self {
        Self { name: name.to_owned(), column, form, element: None }
    }

    /// An attribute under a name of the view's choice.
    pub(super) fn attribute(name: String, column: Column) -> Self {
        Self { name, column, form: Form::Stored, element: None }
    }

    fn element(name: &str, list: &Column, at: usize, form: Form) -> Self {
        Self { name: name.to_owned(), column: list.clone(), form, element: Some(at) }
    }

    /// Whether the column is a span's, not an element's.
    pub(super) fn is_of_span(&self) -> bool {
        self.element.is_none()
    }

    fn field(&self) -> Field {
        let stored = self.column.field();
        match (self.element, stored.data_type()) {
            (Some(at), DataType::List(element)) => match element.data_type() {
                DataType::Struct(fields) if at < fields.len() => {
                    let field = &fields[at];
                    Field::new(&self.name, self.form.data_type(field.data_type()), field.is_nullable())
                }
                other => Field::new(&self.name, other.clone(), true),
            },
            (_, data_type) => Field::new(&self.name, self.form.data_type(data_type), stored.is_nullable()),
        }
    }
}

/// The columns of `spans` that every snapshot has.
pub(super) fn span_columns() -> Vec<ViewColumn> {
    let column = ViewColumn::new;
    vec![
        column("trace_id", Column::TraceId, Form::Hex),
        column("span_id", Column::SpanId, Form::Hex),
        column("parent_span_id", Column::ParentSpanId, Form::Hex),
        column("name", Column::Name, Form::Stored),
        column("kind", Column::Kind, Form::Word(&KINDS)),
        column("status", Column::StatusCode, Form::Word(&STATUSES)),
        column("status_message", Column::StatusMessage, Form::Stored),
        column("start_time", Column::StartUnixNanos, Form::Time),
        column("end_time", Column::EndUnixNanos, Form::Time),
        column("duration_nanos", Column::DurationNanos, Form::Stored),
        column("service_name", Column::ServiceName, Form::Stored),
        column("scope_name", Column::ScopeName, Form::Stored),
        column("scope_version", Column::ScopeVersion, Form::Stored),
        column("trace_state", Column::TraceState, Form::Stored),
        column("flags", Column::Flags, Form::Stored),
        column("dropped_attributes_count", Column::DroppedAttributesCount, Form::Stored),
        column("dropped_events_count", Column::DroppedEventsCount, Form::Stored),
        column("dropped_links_count", Column::DroppedLinksCount, Form::Stored),
    ]
}

/// What `events` and `links` say of the span.
fn owner_columns() -> Vec<ViewColumn> {
    vec![
        ViewColumn::new("trace_id", Column::TraceId, Form::Hex),
        ViewColumn::new("span_id", Column::SpanId, Form::Hex),
        ViewColumn::new("span_name", Column::Name, Form::Stored),
        ViewColumn::new("service_name", Column::ServiceName, Form::Stored),
    ]
}

/// The columns of `events`.
pub(super) fn event_columns() -> Vec<ViewColumn> {
    let field = |name, at, form| ViewColumn::element(name, &Column::Events, at, form);
    let mut columns = owner_columns();
    columns.extend([
        field("time", 0, Form::Time),
        field("name", 1, Form::Stored),
        field("attributes", 2, Form::Stored),
        field("dropped_attributes_count", 3, Form::Stored),
    ]);
    columns
}

/// The columns of `links`.
pub(super) fn link_columns() -> Vec<ViewColumn> {
    let field = |name, at, form| ViewColumn::element(name, &Column::Links, at, form);
    let mut columns = owner_columns();
    columns.extend([
        field("linked_trace_id", 0, Form::Hex),
        field("linked_span_id", 1, Form::Hex),
        field("trace_state", 2, Form::Stored),
        field("attributes", 3, Form::Stored),
        field("dropped_attributes_count", 4, Form::Stored),
        field("flags", 5, Form::Stored),
    ]);
    columns
}

/// A view over blocks.
pub(super) struct BlockView {
    source: Arc<dyn Source>,
    blocks: Arc<[BlockRef]>,
    columns: Vec<ViewColumn>,
    by_name: HashMap<String, usize>,
    /// The column whose lists become rows.
    list: Option<Column>,
    schema: SchemaRef,
}

impl fmt::Debug for BlockView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a view of {} columns over {} blocks", self.columns.len(), self.blocks.len())
    }
}

impl BlockView {
    /// A view of these columns; of columns with the same name the first one stays. No requests.
    pub(super) fn new(
        source: Arc<dyn Source>,
        blocks: Arc<[BlockRef]>,
        columns: Vec<ViewColumn>,
        list: Option<Column>,
    ) -> Self {
        let mut by_name = HashMap::new();
        let mut kept: Vec<ViewColumn> = Vec::new();
        for column in columns {
            if !by_name.contains_key(&column.name) {
                by_name.insert(column.name.clone(), kept.len());
                kept.push(column);
            }
        }
        let schema = Arc::new(Schema::new(kept.iter().map(ViewColumn::field).collect::<Vec<_>>()));
        Self { source, blocks, columns: kept, by_name, list, schema }
    }

    fn push(&self, filter: &Expr) -> Option<Pushed> {
        push::push(filter, &|name| self.by_name.get(name).map(|at| &self.columns[*at]))
    }

    /// What to read, and what to make of it.
    fn shape(&self, shown: &[usize]) -> Result<(Vec<Column>, Shape)> {
        let mut columns: Vec<Column> = self.list.iter().cloned().collect();
        let list = self.list.as_ref().map(|_| 0);
        let mut forms = Vec::with_capacity(shown.len());
        for at in shown {
            let ViewColumn { column, form, element, .. } = &self.columns[*at];
            let from = match element {
                Some(field) => From::Element(*field),
                None => {
                    let known = columns.iter().position(|known| known == column);
                    From::Row(known.unwrap_or_else(|| {
                        columns.push(column.clone());
                        columns.len() - 1
                    }))
                }
            };
            forms.push(Shown { from, form: *form });
        }
        let schema = Arc::new(self.schema.project(shown)?);
        Ok((columns, Shape::new(schema, forms, list)))
    }
}

#[async_trait]
impl TableProvider for BlockView {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
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
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let (columns, shape) = self.shape(projection.unwrap_or(&all))?;
        let mut wanted = Wanted::default();
        filters.iter().filter_map(|filter| self.push(filter)).for_each(|pushed| wanted.add(pushed.what));
        // Copies of a span have its times, so blocks that are left out hold none of a span that is wanted.
        let blocks: Vec<BlockRef> = self.blocks.iter().filter(|at| wanted.may_be_in(&at.meta)).cloned().collect();
        let blocks_pruned = self.blocks.len() - blocks.len();
        let traces: Option<Arc<[_]>> = wanted.traces.map(Arc::from);
        let distinct = (blocks.len() > 1).then(|| {
            let pool = &state.runtime_env().memory_pool;
            let blocks = Arc::from(blocks.as_slice());
            Arc::new(Distinct::new(Arc::clone(&self.source), blocks, traces.clone(), pool))
        });
        let batch_rows = state.config().batch_size();
        let request = Request { conditions: wanted.conditions, traces, distinct, columns, batch_rows };
        let scan = SpanScanExec::new(Arc::clone(&self.source), blocks, blocks_pruned, request, shape, limit);
        Ok(Arc::new(scan))
    }
}
