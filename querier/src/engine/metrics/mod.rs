//! A TraceQL metrics query: spans of matching traces, counted by group and by bucket of their start.
//!
//! Where one filter decides each span alone, rows are counted straight from their row groups (`rows`). Traces that lie in several
//! blocks and have a span id in two of them (`copies`) are loaded whole (`whole`), so that copies of a span count once; so are all
//! traces where the query looks at more than single spans.

mod buckets;
mod compare;
pub(super) mod copies;
pub(super) mod count;
mod rows;
mod second;
mod table;
mod whole;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_catalog::BlockRef;
use spanlake_model::{Tenant, TimeRange, TraceId};
use spanlake_table::Held;
use spanlake_traceql::{Field, MetricsFunction, Scope, Value};

use self::buckets::Buckets;
use self::compare::Comparison;
use self::count::{By, Counting, MAX_BY};
use self::table::{Key, Kind, Table};
use super::answer::{Exemplar, MetricsAnswer, Series, Stats};
use super::batch::Opened;
use super::compile::Expr;
use super::plan::Plan;
use super::request::MetricsRequest;
use super::scan::open;
use crate::error::Error;
use crate::fetch::Reads;
use crate::search::widened;

/// Most attributes that `compare()` looks at, those on most spans first.
const MAX_COMPARED: usize = 1_000;

/// An example with what names its span.
struct NamedExample {
    trace_id: TraceId,
    span_id: u64,
    start_unix_nanos: u64,
    key: Key,
    value: Option<f64>,
}

/// What `compare()` counts, its selection, and the times of that.
type Comparing = (Comparison, Option<Expr>, Option<(i64, i64)>);

struct Run<'a> {
    reads: &'a Reads<'a>,
    plan: Arc<Plan>,
    counting: Arc<Counting>,
    blocks: Vec<BlockRef>,
    opened: Vec<Option<Opened>>,
    /// For each block, for each summary, whether its rows are not to be counted straight.
    apart: Vec<Vec<bool>>,
    table: Table,
    comparison: Option<Comparing>,
    examples: Vec<NamedExample>,
    max_examples: usize,
    held: Option<Held>,
    inspected_traces: u64,
}

/// Runs a metrics query.
///
/// # Errors
/// [`Error`]; past a bound on work what there is is answered, see [`MetricsAnswer::partial`].
pub(crate) async fn run(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    request: &MetricsRequest,
) -> Result<MetricsAnswer, Error> {
    let Some(metrics) = &request.query.metrics else {
        return Err(Error::BadQuery("the query has no metrics function such as rate()".to_owned()));
    };
    let buckets = Buckets::new(request);
    let mut plan = Plan::new(&request.query)?;
    let (first, last) = buckets.span();
    let range = TimeRange { start_unix_nanos: first, end_unix_nanos: last };
    let compares = matches!(metrics.function, MetricsFunction::Compare { .. });
    let allowed = reads.shared.config.max_metrics_series;
    let max_groups = request.max_series.map_or(allowed, |asked| asked.min(allowed)).max(1);
    let counting = counting(&mut plan, &metrics.function, &metrics.by, buckets, max_groups)?;
    let simple = plan.only_filter().is_some() && !compares && !plan.needs_traces();
    let reach_nanos = reads.shared.config.trace_reach.as_nanos();
    let blocks = reads.blocks(tenants, if simple { range } else { widened(Some(range), reach_nanos) }).await?;
    let opened: Vec<Option<Opened>> = stream::iter(blocks.clone())
        .map(|at| async move { Ok::<_, Error>(Some(open(reads, &at).await?)) })
        .buffered(reads.width())
        .try_collect()
        .await?;
    let comparison = match &metrics.function {
        MetricsFunction::Compare { selection, range, .. } => {
            let selection = selection.as_ref().map(|expr| plan.fields.compile(expr)).transpose()?;
            let fields = compared(&opened).into_iter().map(|field| {
                let place = plan.add(&field);
                (field, place)
            });
            Some((Comparison::new(fields), selection, *range))
        }
        _ => None,
    };
    let trace_count: usize = opened.iter().flatten().map(|of| of.search.summaries().len()).sum();
    let max_traces = reads.shared.config.max_search_traces;
    if opened.len() > 1 && trace_count > max_traces {
        return Err(Error::TooManyTraces { max: max_traces });
    }
    let apart = if simple { copies::apart(reads, &opened).await? } else { Vec::new() };
    let mut run = Run {
        reads,
        plan: Arc::new(plan),
        table: Table::new(counting.kind, max_groups),
        counting: Arc::new(counting),
        blocks,
        opened,
        apart,
        comparison,
        examples: Vec::new(),
        max_examples: request.exemplars,
        held: None,
        inspected_traces: 0,
    };
    let done = if simple { run.simple(range).await } else { run.whole(range).await };
    let mut partial = match done {
        Ok(()) => None,
        Err(error) if error.is_bound() => Some(format!("Not all spans are counted: {error}")),
        Err(error) => return Err(error),
    };
    if run.table.overflowed {
        partial.get_or_insert(format!(
            "Response exceeds maximum series limit of {max_groups}, a partial response is returned. Warning: the accuracy of each individual value is not guaranteed."
        ));
    }
    let stats = run.stats();
    let series_count = match (&run.comparison, &metrics.function) {
        (Some((comparison, _, _)), MetricsFunction::Compare { top, .. }) => comparison.series_count(*top),
        _ => run.table.series_count(&metrics.function),
    };
    let _held = reads.hold((series_count as u64).saturating_mul(16 * buckets.count as u64))?;
    let metrics = metrics.clone();
    let series = run.finish();
    Ok(MetricsAnswer { series: reads.compute(move || series.into_series(&metrics)).await?, stats, partial })
}

/// Numbers the fields that are counted.
fn counting(
    plan: &mut Plan,
    function: &MetricsFunction,
    by: &[Field],
    buckets: Buckets,
    max_groups: usize,
) -> Result<Counting, Error> {
    if by.len() > MAX_BY {
        return Err(Error::BadQuery(format!("by() takes at most {MAX_BY} attributes")));
    }
    let by = by.iter().map(|field| {
        let places = match field {
            // In metrics, `.x` is the span's or its resource's.
            Field::Attribute { of_parent, scope: Scope::Any, key } => [Scope::Span, Scope::Resource]
                .map(|scope| plan.add(&Field::Attribute { of_parent: *of_parent, scope, key: key.clone() }))
                .to_vec(),
            field => vec![plan.add(field)],
        };
        By { name: field.to_string(), places }
    });
    let by = by.collect();
    let value = match function {
        MetricsFunction::MinOverTime(field)
        | MetricsFunction::MaxOverTime(field)
        | MetricsFunction::SumOverTime(field)
        | MetricsFunction::AvgOverTime(field)
        | MetricsFunction::QuantileOverTime { field, .. }
        | MetricsFunction::HistogramOverTime(field) => Some(plan.add(field)),
        MetricsFunction::Rate | MetricsFunction::CountOverTime | MetricsFunction::Compare { .. } => None,
    };
    Ok(Counting { kind: Kind::of(function), by, value, buckets, max_groups })
}

/// Every attribute of the blocks, those on most spans first, and the intrinsics that are compared.
fn compared(opened: &[Option<Opened>]) -> Vec<Field> {
    let mut spans: HashMap<(Scope, &str), u64, RandomState> = HashMap::default();
    for of in opened.iter().flatten() {
        for (column, count) in of.search.keys() {
            *spans.entry((Scope::Span, &column.key)).or_default() += count;
        }
        let resources = of.block.resources().iter().flat_map(|entry| &entry.resource.attributes);
        for attribute in resources {
            let count = spans.entry((Scope::Resource, &attribute.key)).or_default();
            *count = count.saturating_add(of.at.meta.span_count);
        }
    }
    let mut ranked: Vec<((Scope, &str), u64)> = spans.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    ranked.truncate(MAX_COMPARED);
    let attribute =
        |((scope, key), _): ((Scope, &str), u64)| Field::Attribute { of_parent: false, scope, key: key.to_owned() };
    compare::INTRINSICS.map(Field::Intrinsic).into_iter().chain(ranked.into_iter().map(attribute)).collect()
}

impl Run<'_> {
    fn stats(&self) -> Stats {
        Stats {
            inspected_traces: self.inspected_traces,
            inspected_spans: self.reads.inspected_spans(),
            inspected_bytes: self.reads.inspected_bytes(),
            block_count: self.blocks.len() as u64,
            blocks_done: self.blocks.len() as u64,
            block_bytes: self.blocks.iter().map(|block| block.meta.object_bytes).sum(),
        }
    }

    fn count_traces(&mut self) {
        self.inspected_traces = self.opened.iter().flatten().map(|of| of.search.summaries().len() as u64).sum();
    }

    fn hold_table(&mut self) -> Result<(), Error> {
        self.held = None;
        self.held = Some(self.reads.hold(self.table.held_bytes)?);
        Ok(())
    }

    fn finish(self) -> Finished {
        Finished {
            counting: self.counting,
            table: self.table,
            comparison: self.comparison.map(|(comparison, _, _)| comparison),
            examples: self.examples,
            max_examples: self.max_examples,
        }
    }
}

/// What is counted, when all is.
struct Finished {
    counting: Arc<Counting>,
    table: Table,
    comparison: Option<Comparison>,
    examples: Vec<NamedExample>,
    max_examples: usize,
}

impl Finished {
    fn into_series(self, metrics: &spanlake_traceql::Metrics) -> Vec<Series> {
        let buckets = self.counting.buckets;
        let by: Vec<String> = self.counting.by.iter().map(|by| by.name.clone()).collect();
        let mut series = match (self.comparison, &metrics.function) {
            (Some(comparison), MetricsFunction::Compare { top, .. }) => comparison.into_series(*top, &buckets),
            _ => self.table.into_series(&metrics.function, &by, &buckets),
        };
        series.sort_by(|a, b| second::by_labels(&a.labels, &b.labels));
        for example in self.examples.iter().take(self.max_examples) {
            attach(&mut series, example, &by, &buckets);
        }
        second::apply(&metrics.second, &mut series);
        series
    }
}

/// Puts an example to the first series of its group.
fn attach(series: &mut [Series], example: &NamedExample, by: &[String], buckets: &Buckets) {
    let of_group = |series: &Series| {
        by.iter().zip(&example.key).all(|(name, count_key)| {
            let label = series.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            super::scalar::label_order(label.unwrap_or(&Value::Nil), &count_key.0).is_eq()
        })
    };
    let Some(series) = series.iter_mut().find(|series| of_group(series)) else { return };
    let bucket = buckets.of(example.start_unix_nanos).map(|bucket| buckets.edge_ms(bucket));
    let sample = series.samples.iter().find(|(time, _)| Some(*time) == bucket).map(|(_, value)| *value);
    let Some(value) = example.value.or(sample) else { return };
    let mut labels = vec![
        ("trace:id".to_owned(), Value::String(example.trace_id.to_string())),
        ("span:id".to_owned(), Value::String(format!("{:016x}", example.span_id))),
    ];
    labels.extend(series.labels.iter().filter(|(name, _)| by.contains(name)).cloned());
    let timestamp_ms = i64::try_from(example.start_unix_nanos / 1_000_000).unwrap_or(i64::MAX);
    series.exemplars.push(Exemplar { labels, value, timestamp_ms });
}
