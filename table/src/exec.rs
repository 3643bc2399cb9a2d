//! The leaf of every plan over spans: blocks as partitions.

use std::fmt;
use std::sync::Arc;

use arrow_schema::ArrowError;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Statistics, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput as _};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::{Column, Damage};
use spanlake_catalog::BlockRef;

use crate::error::Error;
use crate::metrics::ScanMetrics;
use crate::scan::{Request, scan_block};
use crate::shape::Shape;
use crate::source::Source;

/// Most partitions of a scan: blocks that are read at once. With more blocks, partitions hold several, one after the
/// other, and are not ordered.
pub const MAX_PARTITIONS: usize = 64;

/// Reads spans of blocks. Up to [`MAX_PARTITIONS`] blocks each is a partition, ordered by trace id.
#[derive(Debug)]
pub struct SpanScanExec {
    source: Arc<dyn Source>,
    partitions: Vec<Vec<BlockRef>>,
    blocks_pruned: usize,
    request: Arc<Request>,
    shape: Arc<Shape>,
    /// Rows after which each partition may stop.
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SpanScanExec {
    pub(crate) fn new(
        source: Arc<dyn Source>,
        blocks: Vec<BlockRef>,
        blocks_pruned: usize,
        request: Request,
        shape: Shape,
        limit: Option<usize>,
    ) -> Self {
        let schema = Arc::clone(shape.schema());
        let partition_count = blocks.len().clamp(1, MAX_PARTITIONS);
        let is_ordered = blocks.len() <= MAX_PARTITIONS;
        let mut partitions: Vec<Vec<BlockRef>> = vec![Vec::new(); partition_count];
        for (i, block) in blocks.into_iter().enumerate() {
            partitions[i % partition_count].push(block);
        }
        let trace_id = request.columns.iter().position(|column| *column == Column::TraceId);
        let ordering = trace_id.filter(|_| is_ordered).and_then(|at| shape.ordered_like(at)).map(|at| {
            let column = ColumnExpr::new(schema.field(at).name(), at);
            [PhysicalSortExpr::new_default(Arc::new(column))]
        });
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, ordering),
            Partitioning::UnknownPartitioning(partition_count),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            source,
            partitions,
            blocks_pruned,
            request: Arc::new(request),
            shape: Arc::new(shape),
            limit,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn blocks_of(&self, partition: Option<usize>) -> impl Iterator<Item = &BlockRef> {
        let from_to = partition.map_or(0..self.partitions.len(), |partition| partition..partition + 1);
        self.partitions[from_to].iter().flatten()
    }
}

impl DisplayAs for SpanScanExec {
    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let block_count = self.blocks_of(None).count();
        if t == DisplayFormatType::TreeRender {
            return write!(f, "blocks={block_count}");
        }
        write!(f, "SpanScanExec: blocks={block_count}, blocks_pruned={}", self.blocks_pruned)?;
        let names: Vec<&str> = self.shape.schema().fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, ", columns=[{}]", names.join(", "))?;
        if !self.request.conditions.is_empty() {
            let conditions = self.request.conditions.iter();
            let texts: Vec<String> = conditions.map(|c| format!("{:?} {:?} {:?}", c.field, c.op, c.value)).collect();
            write!(f, ", conditions=[{}]", texts.join("; "))?;
        }
        if let Some(traces) = &self.request.traces {
            write!(f, ", traces={}", traces.len())?;
        }
        if self.request.distinct.is_some() {
            write!(f, ", distinct")?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for SpanScanExec {
    fn name(&self) -> &str {
        "SpanScanExec"
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
        if children.is_empty() { Ok(self) } else { internal_err!("SpanScanExec is a leaf") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(blocks) = self.partitions.get(partition).cloned() else {
            return internal_err!("SpanScanExec has no partition {partition}");
        };
        let metrics = ScanMetrics::of_partition(&self.metrics, partition);
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let mut request = Request::clone(&self.request);
        request.batch_rows = context.session_config().batch_size();
        let (source, request, shape) = (Arc::clone(&self.source), Arc::new(request), Arc::clone(&self.shape));
        let rows = stream::iter(blocks)
            .map(move |at| {
                let (key, shape) = (Arc::clone(&at.key), Arc::clone(&shape));
                let stored = scan_block(Arc::clone(&source), at, Arc::clone(&request), metrics.clone());
                stored.map(move |batch| shape.apply(&batch?).map_err(|error| misshapen(&key, &error)))
            })
            .flatten()
            .map_err(DataFusionError::from);
        // Rows left are looked at before the next batch is asked for, so that nothing is read past the limit.
        let state = (rows.boxed(), self.limit.unwrap_or(usize::MAX));
        let limited = stream::try_unfold(state, move |(mut rows, left)| {
            let baseline = baseline.clone();
            async move {
                if left == 0 {
                    return Ok(None);
                }
                let Some(batch) = rows.try_next().await? else { return Ok(None) };
                let kept = batch.num_rows().min(left);
                Ok(Some((batch.slice(0, kept).record_output(&baseline), (rows, left - kept))))
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), limited)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let spans: u64 = self.blocks_of(args.partition()).map(|block| block.meta.span_count).sum();
        let spans = usize::try_from(spans).unwrap_or(usize::MAX);
        let all = self.request.conditions.is_empty()
            && self.request.traces.is_none()
            && self.request.distinct.is_none()
            && self.shape.keeps_rows()
            && self.limit.is_none();
        // Every row of every block is given when nothing is left out: `count(*)` needs no read.
        let num_rows = if all && self.blocks_pruned == 0 { Precision::Exact(spans) } else { Precision::Inexact(spans) };
        Ok(Arc::new(Statistics { num_rows, ..Statistics::new_unknown(&self.schema()) }))
    }
}

/// The shape was made for the columns that were asked for, so a batch that does not fit is not what was asked for.
fn misshapen(key: &Arc<str>, error: &ArrowError) -> Error {
    Error::damaged(key, Damage::Corrupt { part: "row group", problem: error.to_string() })
}
