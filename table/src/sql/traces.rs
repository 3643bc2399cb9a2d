//! The view `traces`: one row a trace, right across blocks.
//!
//! A trace that lies in one block is a line of that block's summaries, and no span is read for it. A trace that lies in
//! several is put together from its summaries; where copies of spans or several roots could make that wrong, from its
//! spans, each once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, UInt64Type};
use arrow_array::{Array as _, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::{Column, Damage};
use spanlake_catalog::BlockRef;
use spanlake_model::TraceId;

use super::push;
use crate::distinct::{Distinct, Shared};
use crate::error::Error;
use crate::metrics::ScanMetrics;
use crate::scan::{Request, scan_block};
use crate::shape::{TIME_ZONE, push_hex, times};
use crate::source::{Opened, Source};

/// Blocks that are looked into at once.
const READING: usize = 8;
/// OTLP's number for a failed span.
const ERROR: i32 = 2;
/// What a trace in the making is taken to need in memory, in bytes.
const TRACE_BYTES: usize = 300;

const TRACE_ID: usize = 0;
const ROOT_SERVICE: usize = 4;
const ROOT_NAME: usize = 5;
const SPAN_COUNT: usize = 6;
const ERROR_COUNT: usize = 7;

fn schema() -> Schema {
    let time = DataType::Timestamp(TimeUnit::Nanosecond, Some(TIME_ZONE.into()));
    Schema::new(vec![
        Field::new("trace_id", DataType::Utf8, false),
        Field::new("start_time", time.clone(), false),
        Field::new("end_time", time, false),
        Field::new("duration_nanos", DataType::Int64, false),
        Field::new("root_service", DataType::Utf8, true),
        Field::new("root_name", DataType::Utf8, true),
        Field::new("span_count", DataType::Int64, false),
        Field::new("error_count", DataType::Int64, false),
        Field::new("services", DataType::Utf8, false),
    ])
}

/// One trace, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Trace {
    /// Zero when no span has a start.
    start_unix_nanos: u64,
    end_unix_nanos: u64,
    /// Start, name and service of the earliest root.
    root: Option<(u64, Arc<str>, Option<Arc<str>>)>,
    span_count: i64,
    error_count: i64,
    services: BTreeSet<Arc<str>>,
}

impl Trace {
    fn include_time(&mut self, start: u64, end: u64) {
        // A start of zero is a start that was not given: it says nothing of when the trace was.
        if start != 0 {
            let is_first = self.start_unix_nanos == 0;
            self.start_unix_nanos = if is_first { start } else { self.start_unix_nanos.min(start) };
            self.end_unix_nanos = self.end_unix_nanos.max(end);
        }
    }

    /// Takes in what a later block knows of the same trace.
    fn join(&mut self, other: Self) {
        self.include_time(other.start_unix_nanos, other.end_unix_nanos);
        if let Some(root) = other.root
            && self.root.as_ref().is_none_or(|(start, ..)| root.0 < *start)
        {
            self.root = Some(root);
        }
        self.span_count += other.span_count;
        self.error_count += other.error_count;
        self.services.extend(other.services);
    }
}

fn of_summaries(opened: &Opened, is_wanted: impl Fn(&TraceId) -> bool) -> Vec<(TraceId, Trace)> {
    let shown = opened.hidden.shown(&opened.search).map(|(_, summary)| summary);
    let summaries = shown.filter(|summary| is_wanted(&summary.trace_id));
    let trace = summaries.map(|summary| {
        let services = opened.search.services(summary).iter();
        let root = summary.root_name.clone().map(|name| (summary.start_unix_nanos, name, summary.root_service.clone()));
        let trace = Trace {
            start_unix_nanos: summary.start_unix_nanos,
            end_unix_nanos: summary.end_unix_nanos,
            root,
            span_count: i64::from(summary.span_count),
            error_count: i64::from(summary.error_count),
            services: services.map(|of_service| Arc::clone(&of_service.service)).collect(),
        };
        (summary.trace_id, trace)
    });
    trace.collect()
}

/// What is read of the spans of traces in several blocks.
const COLUMNS: [Column; 7] = [
    Column::TraceId,
    Column::ParentSpanId,
    Column::Name,
    Column::ServiceName,
    Column::StartUnixNanos,
    Column::DurationNanos,
    Column::StatusCode,
];

/// Takes spans in; nothing if the batch is not of [`COLUMNS`].
fn add_spans(batch: &RecordBatch, texts: &mut BTreeSet<Arc<str>>, into: &mut HashMap<TraceId, Trace>) -> Option<()> {
    let [ids, parents, names, services, starts, durations, statuses] = batch.columns() else { return None };
    let (ids, parents) = (ids.as_fixed_size_binary_opt()?, parents.as_binary_opt::<i32>()?);
    let (names, services) = (names.as_string_opt::<i32>()?, services.as_string_opt::<i32>()?);
    let starts = starts.as_primitive_opt::<UInt64Type>()?;
    let durations = durations.as_primitive_opt::<Int64Type>()?;
    let statuses = statuses.as_primitive_opt::<Int32Type>()?;
    let mut interned = |text: &str| match texts.get(text) {
        Some(known) => Arc::clone(known),
        None => {
            let text: Arc<str> = Arc::from(text);
            texts.insert(Arc::clone(&text));
            text
        }
    };
    for (at, parent) in parents.iter().enumerate() {
        let trace = into.entry(TraceId(ids.value(at).try_into().ok()?)).or_default();
        let start = starts.value(at);
        trace.include_time(start, start.saturating_add(durations.value(at).max(0).unsigned_abs()));
        trace.span_count += 1;
        trace.error_count += i64::from(statuses.value(at) == ERROR);
        let service = services.is_valid(at).then(|| interned(services.value(at)));
        // As the summaries have it: what has not the length of an id is none.
        let is_root = parent.is_none_or(|parent| parent.len() != 8 || parent.iter().all(|byte| *byte == 0));
        if is_root && trace.root.as_ref().is_none_or(|(known, ..)| start < *known) {
            trace.root = Some((start, interned(names.value(at)), service.clone()));
        }
        trace.services.extend(service);
    }
    Some(())
}

/// The view. Cheap until it is scanned.
#[derive(Debug)]
pub(super) struct TraceView {
    source: Arc<dyn Source>,
    blocks: Arc<[BlockRef]>,
    schema: SchemaRef,
}

impl TraceView {
    pub(super) fn new(source: Arc<dyn Source>, blocks: Arc<[BlockRef]>) -> Self {
        Self { source, blocks, schema: Arc::new(schema()) }
    }
}

fn asked(filter: &Expr) -> Option<Vec<TraceId>> {
    push::asked(filter, &|expr| matches!(expr, Expr::Column(column) if column.name() == "trace_id"))
}

#[async_trait]
impl TableProvider for TraceView {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match asked(filter) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    /// No requests: blocks are opened when the plan runs.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut wanted: Option<Vec<TraceId>> = None;
        for mut ids in filters.iter().filter_map(asked) {
            ids.sort_unstable();
            ids.dedup();
            if let Some(others) = &wanted {
                ids.retain(|id| others.binary_search(id).is_ok());
            }
            wanted = Some(ids);
        }
        let wanted: Option<Arc<[TraceId]>> = wanted.map(Arc::from);
        let columns = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let pool = &state.runtime_env().memory_pool;
        let distinct = Distinct::new(Arc::clone(&self.source), Arc::clone(&self.blocks), wanted.clone(), pool);
        let schema = Arc::new(self.schema.project(&columns)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let needs_spans = columns.iter().any(|at| [ROOT_SERVICE, ROOT_NAME, SPAN_COUNT, ERROR_COUNT].contains(at));
        let read = Arc::new(Read {
            source: Arc::clone(&self.source),
            blocks: Arc::clone(&self.blocks),
            wanted,
            distinct: Arc::new(distinct),
            needs_spans,
            columns,
            schema,
            batch_rows: state.config().batch_size(),
        });
        Ok(Arc::new(TraceScanExec { read, limit, properties: Arc::new(properties) }))
    }
}

/// What is to be read, and how.
struct Read {
    source: Arc<dyn Source>,
    blocks: Arc<[BlockRef]>,
    /// Ascending; none when any trace will do.
    wanted: Option<Arc<[TraceId]>>,
    distinct: Arc<Distinct>,
    needs_spans: bool,
    columns: Vec<usize>,
    schema: SchemaRef,
    batch_rows: usize,
}

impl Read {
    /// All wanted traces, in batches.
    fn run(self: Arc<Self>, memory: MemoryReservation) -> impl Stream<Item = Result<RecordBatch>> + Send {
        stream::once(async move {
            // Opens every block, and says which traces are whole in one.
            self.distinct.shared().await?;
            let blocks: Vec<BlockRef> = self.blocks.to_vec();
            let alone = Arc::clone(&self);
            let alone = stream::iter(blocks)
                .map(move |at| Arc::clone(&alone).whole_in(at))
                .buffered(READING)
                .map_ok(|batches| stream::iter(batches.into_iter().map(Ok)))
                .try_flatten();
            let apart = stream::once(self.apart(memory))
                .map_ok(|batches| stream::iter(batches.into_iter().map(Ok)))
                .try_flatten();
            Ok::<_, DataFusionError>(alone.chain(apart))
        })
        .try_flatten()
    }

    fn is_wanted(&self, id: &TraceId) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.binary_search(id).is_ok())
    }

    /// The traces of which only this block has spans.
    async fn whole_in(self: Arc<Self>, at: BlockRef) -> Result<Vec<RecordBatch>> {
        let shared = self.distinct.shared().await?;
        let opened = self.source.open(&at).await?;
        let traces = of_summaries(&opened, |id| self.is_wanted(id) && !shared.contains(id));
        traces.chunks(self.batch_rows.max(1)).map(|traces| self.batch(traces)).collect()
    }

    /// The traces of which several blocks have spans.
    async fn apart(self: Arc<Self>, memory: MemoryReservation) -> Result<Vec<RecordBatch>> {
        let shared = self.distinct.shared().await?;
        let ids: Arc<[TraceId]> = shared.traces().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        memory.try_grow(TRACE_BYTES * ids.len())?;
        let blocks: Vec<BlockRef> = self.blocks.to_vec();
        let mut parts = stream::iter(blocks).map(|at| self.part(at, shared, &ids)).buffered(READING);
        let mut traces: BTreeMap<TraceId, Trace> = BTreeMap::new();
        // In the order of blocks, so that which of two equal roots is shown is the same every time.
        while let Some(part) = parts.try_next().await? {
            for (id, trace) in part {
                traces.entry(id).or_default().join(trace);
            }
        }
        let traces: Vec<(TraceId, Trace)> = traces.into_iter().collect();
        traces.chunks(self.batch_rows.max(1)).map(|traces| self.batch(traces)).collect()
    }

    /// What a block has of traces that lie in several.
    async fn part(&self, at: BlockRef, shared: &Shared, ids: &Arc<[TraceId]>) -> Result<Vec<(TraceId, Trace)>, Error> {
        if !self.needs_spans {
            let opened = self.source.open(&at).await?;
            return Ok(of_summaries(&opened, |id| shared.contains(id)));
        }
        let request = Request {
            conditions: Vec::new(),
            traces: Some(Arc::clone(ids)),
            distinct: Some(Arc::clone(&self.distinct)),
            columns: COLUMNS.to_vec(),
            batch_rows: self.batch_rows,
        };
        let key = Arc::clone(&at.key);
        let spans = scan_block(Arc::clone(&self.source), at, Arc::new(request), ScanMetrics::default());
        let mut spans = std::pin::pin!(spans);
        let (mut traces, mut texts) = (HashMap::new(), BTreeSet::new());
        while let Some(batch) = spans.try_next().await? {
            add_spans(&batch, &mut texts, &mut traces).ok_or_else(|| {
                let problem = "a column of a span has another type".to_owned();
                Error::damaged(&key, Damage::Corrupt { part: "row group", problem })
            })?;
        }
        Ok(traces.into_iter().collect())
    }

    fn batch(&self, traces: &[(TraceId, Trace)]) -> Result<RecordBatch> {
        let columns = self.columns.iter().map(|at| column(*at, traces)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(traces.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

fn column(at: usize, traces: &[(TraceId, Trace)]) -> ArrayRef {
    let all = || traces.iter().map(|(_, trace)| trace);
    let texts = |texts: &mut dyn Iterator<Item = Option<&str>>| -> ArrayRef {
        let mut out = StringBuilder::new();
        texts.for_each(|text| out.append_option(text));
        Arc::new(out.finish())
    };
    match at {
        TRACE_ID => {
            let mut out = StringBuilder::with_capacity(traces.len(), 32 * traces.len());
            let mut text = String::with_capacity(32);
            for (id, _) in traces {
                text.clear();
                push_hex(&mut text, &id.0);
                out.append_value(&text);
            }
            Arc::new(out.finish())
        }
        1 => Arc::new(times(all().map(|trace| Some(trace.start_unix_nanos)))),
        2 => Arc::new(times(all().map(|trace| Some(trace.end_unix_nanos)))),
        3 => Arc::new(Int64Array::from_iter_values(all().map(|trace| {
            let nanos = trace.end_unix_nanos.saturating_sub(trace.start_unix_nanos);
            i64::try_from(nanos).unwrap_or(i64::MAX)
        }))),
        ROOT_SERVICE => texts(&mut all().map(|trace| trace.root.as_ref()?.2.as_deref())),
        ROOT_NAME => texts(&mut all().map(|trace| trace.root.as_ref().map(|root| &*root.1))),
        SPAN_COUNT => Arc::new(Int64Array::from_iter_values(all().map(|trace| trace.span_count))),
        ERROR_COUNT => Arc::new(Int64Array::from_iter_values(all().map(|trace| trace.error_count))),
        _ => {
            let mut out = StringBuilder::new();
            for trace in all() {
                let services: Vec<&str> = trace.services.iter().map(|service| &**service).collect();
                out.append_value(services.join(", "));
            }
            Arc::new(out.finish())
        }
    }
}

/// Reads traces.
struct TraceScanExec {
    read: Arc<Read>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for TraceScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}

impl DisplayAs for TraceScanExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceScanExec: blocks={}, reads_spans={}", self.read.blocks.len(), self.read.needs_spans)?;
        if let Some(wanted) = &self.read.wanted {
            write!(f, ", traces={}", wanted.len())?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for TraceScanExec {
    fn name(&self) -> &str {
        "TraceScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("TraceScanExec is a leaf") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("TraceScanExec has no partition {partition}");
        }
        let memory = MemoryConsumer::new("traces in several blocks").register(context.memory_pool());
        let rows = Arc::clone(&self.read).run(memory);
        let state = (rows.boxed(), self.limit.unwrap_or(usize::MAX));
        let limited = stream::try_unfold(state, |(mut rows, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let Some(batch) = rows.try_next().await? else { return Ok(None) };
            let kept = batch.num_rows().min(left);
            Ok(Some((batch.slice(0, kept), (rows, left - kept))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.read.schema), limited)))
    }
}
