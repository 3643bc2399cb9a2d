//! A TraceQL metrics query: spans of matching traces, counted by group and by bucket of their start.
//!
//! Where one filter decides each span alone, rows of traces that lie in one block are counted straight from their row groups. Traces that
//! lie in several blocks are loaded whole, so that copies of a span count once; so are all traces where the query looks at more
//! than single spans.

mod buckets;
mod compare;
mod count;
mod second;
mod table;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use bytes::Bytes;
use foldhash::fast::RandomState;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::{Condition, Damage, Field as BlockField, Literal, Op, Prune, RowField, RowValues};
use spanlake_catalog::BlockRef;
use spanlake_model::{Tenant, TimeRange, TraceId};
use spanlake_traceql::{Field, MetricsFunction, Scope, Value};

use self::buckets::Buckets;
use self::compare::Comparison;
use self::count::{By, Counted, Counting, Example, MAX_BY};
use self::table::{Key, Kind, Table};
use super::answer::{Exemplar, MetricsAnswer, Series, Stats};
use super::batch::{Batch, Load, Opened, Piece, Wanted, block_of, load};
use super::compile::Expr;
use super::eval::Rows;
use super::plan::Plan;
use super::prune::prune;
use super::request::MetricsRequest;
use super::scan::{Hits, Reading, open, scan};
use super::search::widened;
use crate::error::Error;
use crate::fetch::{Held, Reads, compute};

/// Rows of whole traces that are loaded in one go: about 40 MB. Each batch reads the chunks of all blocks that its trace ids
/// lie in, so that fewer batches read less.
const BATCH_ROWS: u64 = 400_000;
/// Row groups that are read for examples: each costs a column of span ids.
const EXAMPLE_ROW_GROUPS: usize = 4;
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

/// What one read gives.
#[derive(Default)]
struct Part {
    counted: Counted,
    examples: Vec<NamedExample>,
    /// Traces in several blocks that have a matching span, by their summaries' places.
    shared_hits: Vec<u32>,
}

/// What `compare()` counts, its selection, and the times of that.
type Comparing = (Comparison, Option<Expr>, Option<(i64, i64)>);

struct Run<'a> {
    reads: &'a Reads<'a>,
    plan: Arc<Plan>,
    counting: Arc<Counting>,
    blocks: Vec<BlockRef>,
    opened: Vec<Option<Opened>>,
    /// For each block, for each summary, whether another block has a piece of the trace.
    shared: Vec<Vec<bool>>,
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
    // While traces are told apart each takes a place in a table of ids.
    let telling = reads.hold(48 * trace_count as u64)?;
    let shared = compute({
        let opened = opened.clone();
        move || shared_traces(&opened)
    })
    .await?;
    drop(telling);
    let mut run = Run {
        reads,
        plan: Arc::new(plan),
        table: Table::new(counting.kind, max_groups),
        counting: Arc::new(counting),
        blocks,
        opened,
        shared,
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
    Ok(MetricsAnswer { series: compute(move || series.into_series(&metrics)).await?, stats, partial })
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

/// Which traces of each block another block has too.
fn shared_traces(opened: &[Option<Opened>]) -> Vec<Vec<bool>> {
    let count: usize = opened.iter().flatten().map(|of| of.search.summaries().len()).sum();
    let mut shared: Vec<Vec<bool>> =
        opened.iter().map(|of| vec![false; of.as_ref().map_or(0, |of| of.search.summaries().len())]).collect();
    if opened.len() < 2 {
        return shared;
    }
    let mut first: HashMap<TraceId, (u32, u32), RandomState> =
        HashMap::with_capacity_and_hasher(count, RandomState::default());
    for (block, of) in opened.iter().enumerate() {
        for (ordinal, summary) in of.iter().flat_map(|of| of.search.summaries()).enumerate() {
            let (other, at) = *first.entry(summary.trace_id).or_insert((block as u32, ordinal as u32));
            if other as usize != block {
                shared[other as usize][at as usize] = true;
                shared[block][ordinal] = true;
            }
        }
    }
    shared
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

    /// Each span decided alone.
    async fn simple(&mut self, range: TimeRange) -> Result<(), Error> {
        self.count_traces();
        let filter = self.plan.only_filter().and_then(|filter| self.plan.filters[filter].as_ref());
        let mut jobs = Vec::new();
        for (block, of) in self.opened.iter().enumerate() {
            let Some(of) = of else { continue };
            let mut wanted = vec![in_time(range)];
            wanted.extend(filter.map(|expr| prune(of, &self.plan.fields.0, expr)));
            let alive = of.block.prune(&of.search, &Prune::All(wanted));
            let row_groups = alive.iter().enumerate().filter(|(_, alive)| **alive);
            jobs.extend(row_groups.map(|(row_group, _)| (block, row_group)));
        }
        let has_filter = filter.is_some();
        let mut hits: Vec<Vec<u32>> = vec![Vec::new(); self.opened.len()];
        let (reads, plan, counting) = (self.reads, &self.plan, &self.counting);
        let (opened, shared) = (&self.opened, &self.shared);
        let examples = self.max_examples.div_ceil(EXAMPLE_ROW_GROUPS);
        let mut parts = Box::pin(
            stream::iter(jobs.into_iter().enumerate())
                .map(|(number, (block, row_group))| async move {
                    let of = block_of(opened, block as u32)?;
                    let examples = if number < EXAMPLE_ROW_GROUPS { examples } else { 0 };
                    let part = count_row_group(reads, of, plan, counting, &shared[block], row_group, examples).await?;
                    Ok::<_, Error>((block, part))
                })
                .buffered(reads.width()),
        );
        let mut table = Table::new(self.table.kind, counting.max_groups);
        let mut found = Vec::new();
        let mut outcome = Ok(());
        let mut held: Option<Held> = None;
        while let Some(next) = parts.next().await {
            match next {
                Ok((block, part)) => {
                    hits[block].extend(part.shared_hits);
                    found.extend(part.examples);
                    table.overflowed |= part.counted.overflowed;
                    part.counted.groups.into_iter().for_each(|(key, cells)| table.add(key, cells));
                    held = None;
                    match reads.hold(table.held_bytes) {
                        Ok(now) => held = Some(now),
                        Err(error) => {
                            outcome = Err(error);
                            break;
                        }
                    }
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        drop(parts);
        self.table = table;
        self.examples = found;
        self.held = held;
        outcome?;
        // Without a filter every trace has matching spans.
        let wanted = self.wanted(|block, ordinal| {
            self.shared[block][ordinal] && (!has_filter || hits[block].binary_search(&(ordinal as u32)).is_ok())
        });
        self.batches(wanted).await
    }

    /// Each trace decided whole.
    async fn whole(&mut self, range: TimeRange) -> Result<(), Error> {
        self.count_traces();
        let filters = self.plan.scanned_for().unwrap_or_default();
        if filters.is_empty() {
            let piece = |block: usize, ordinal: usize| Piece { block: block as u32, ordinal: ordinal as u32 };
            let near = self.wanted(|block, ordinal| self.overlaps(&[piece(block, ordinal)], range));
            return self.batches(near).await;
        }
        let (reads, plan, opened, filters) = (self.reads, &self.plan, &self.opened, &filters);
        let hits: Vec<Hits> = stream::iter(0..self.opened.len())
            .map(|block| async move { scan(reads, block_of(opened, block as u32)?, plan, filters).await })
            .buffered(reads.width())
            .try_collect()
            .await?;
        let bits = |piece: &Piece| {
            let hits = &hits[piece.block as usize];
            hits.binary_search_by_key(&piece.ordinal, |(ordinal, _)| *ordinal).map_or(0, |at| hits[at].1)
        };
        let mut wanted =
            self.wanted(|block, ordinal| bits(&Piece { block: block as u32, ordinal: ordinal as u32 }) != 0);
        wanted.retain(|wanted| {
            let all = wanted.pieces.iter().map(bits).fold(self.plan.unscannable(), |all, bits| all | bits);
            self.plan.need.may_match(all, u64::MAX) && self.overlaps(&wanted.pieces, range)
        });
        self.batches(wanted).await
    }

    /// Whether a span of the pieces may start in the range.
    fn overlaps(&self, pieces: &[Piece], range: TimeRange) -> bool {
        pieces.iter().any(|piece| {
            let of = self.opened[piece.block as usize].as_ref();
            of.is_none_or(|of| {
                let summary = &of.search.summaries()[piece.ordinal as usize];
                let end_unix_nanos = summary.end_unix_nanos.max(summary.start_unix_nanos);
                TimeRange { start_unix_nanos: summary.start_unix_nanos, end_unix_nanos }.overlaps(&range)
            })
        })
    }

    /// Traces of which some piece is chosen, with all their pieces, ordered by id.
    fn wanted(&self, choose: impl Fn(usize, usize) -> bool) -> Vec<Wanted> {
        let mut chosen: HashMap<TraceId, Vec<Piece>, RandomState> = HashMap::default();
        for (block, of) in self.opened.iter().enumerate() {
            for (ordinal, summary) in of.iter().flat_map(|of| of.search.summaries()).enumerate() {
                if choose(block, ordinal) {
                    chosen.entry(summary.trace_id).or_default();
                }
            }
        }
        if chosen.is_empty() {
            return Vec::new();
        }
        for (block, of) in self.opened.iter().enumerate() {
            for (ordinal, summary) in of.iter().flat_map(|of| of.search.summaries()).enumerate() {
                if let Some(pieces) = chosen.get_mut(&summary.trace_id) {
                    pieces.push(Piece { block: block as u32, ordinal: ordinal as u32 });
                }
            }
        }
        let mut wanted: Vec<Wanted> =
            chosen.into_iter().map(|(trace_id, pieces)| Wanted { trace_id, pieces }).collect();
        wanted.sort_unstable_by_key(|wanted| wanted.trace_id);
        wanted
    }

    /// Loads and counts whole traces, some at a time.
    async fn batches(&mut self, wanted: Vec<Wanted>) -> Result<(), Error> {
        let mut wanted = wanted.into_iter().peekable();
        while wanted.peek().is_some() {
            let (mut batch, mut rows) = (Vec::new(), 0);
            while let Some(next) = wanted.next_if(|_| rows < BATCH_ROWS) {
                for piece in &next.pieces {
                    let of = block_of(&self.opened, piece.block)?;
                    rows += u64::from(of.search.summaries()[piece.ordinal as usize].span_count);
                }
                batch.push(next);
            }
            let loaded = load(self.reads, &self.opened, &self.plan, batch, Load::default()).await?;
            let (plan, counting) = (Arc::clone(&self.plan), Arc::clone(&self.counting));
            let examples = self.max_examples.saturating_sub(self.examples.len());
            if let Some((mut comparison, selection, times)) = self.comparison.take() {
                let work = move || {
                    compare_batch(&loaded, &plan, &counting.buckets, &mut comparison, selection.as_ref(), times);
                    (comparison, selection, times)
                };
                let compared = compute(work).await?;
                let held_bytes = compared.0.held_bytes();
                self.comparison = Some(compared);
                self.held = None;
                self.held = Some(self.reads.hold(held_bytes)?);
                continue;
            }
            let parts = compute(move || count_batch(&loaded, &plan, &counting, examples)).await?;
            for part in parts {
                self.examples.extend(part.examples);
                self.table.overflowed |= part.counted.overflowed;
                part.counted.groups.into_iter().for_each(|(key, cells)| self.table.add(key, cells));
            }
            self.hold_table()?;
        }
        Ok(())
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

/// Rows that start in the range, as far as row groups tell.
fn in_time(range: TimeRange) -> Prune {
    let bound = |op, nanos: u64| match i64::try_from(nanos) {
        Ok(nanos) => Prune::Condition(Condition { field: BlockField::StartUnixNanos, op, value: Literal::Int(nanos) }),
        Err(_) => Prune::Unknown,
    };
    Prune::All(vec![bound(Op::Ge, range.start_unix_nanos), bound(Op::Le, range.end_unix_nanos)])
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

/// Counts the rows of a row group that belong to no trace of another block.
async fn count_row_group(
    reads: &Reads<'_>,
    of: &Opened,
    plan: &Arc<Plan>,
    counting: &Arc<Counting>,
    shared: &[bool],
    row_group: usize,
    examples: usize,
) -> Result<Part, Error> {
    let filter = plan.only_filter().filter(|filter| plan.filters[*filter].is_some());
    let rows_in = of.block.rows_in(row_group);
    let row_count = of.block.row_count(row_group);
    let summaries = of.search.summaries();
    let first = summaries.partition_point(|summary| summary.first_row + summary.span_count <= rows_in.start);
    let last = summaries.partition_point(|summary| summary.first_row < rows_in.end);
    let any_shared = shared[first..last].contains(&true);
    if filter.is_none() && !shared[first..last].contains(&false) {
        return Ok(Part::default());
    }
    let mut places: Vec<usize> = counting.by.iter().flat_map(|by| by.places.iter().copied()).collect();
    places.extend(counting.value);
    if let Some(expr) = filter.and_then(|filter| plan.filters[filter].as_ref()) {
        expr.each_field(&mut |place| places.push(place));
    }
    let reading = Reading::new(of, row_group, plan, places.into_iter());
    let mut fields = reading.fields().to_vec();
    let own = fields.len();
    fields.push(RowField::StartUnixNanos);
    fields.extend((examples > 0).then_some(RowField::SpanId));
    let fields = of.block.plan_fields(&of.search, row_group, &fields);
    let ranges = fields.ranges.clone();
    reads.inspect_spans(row_count as u64);
    let (plan, counting) = (Arc::clone(plan), Arc::clone(counting));
    let (block, search) = (Arc::clone(&of.block), Arc::clone(&of.search));
    let not_shared = any_shared.then(|| {
        let mut mask = BooleanBufferBuilder::new(row_count);
        for ordinal in first..last {
            let summary = &summaries[ordinal];
            let start = summary.first_row.max(rows_in.start);
            let end = (summary.first_row + summary.span_count).min(rows_in.end);
            mask.append_n((end - start) as usize, !shared[ordinal]);
        }
        mask.finish()
    });
    let decode = move |bytes: Vec<Bytes>| -> Result<Part, Damage> {
        let mut read = block.read_fields(&search, &fields, None, bytes)?;
        let extra = read.split_off(own);
        let starts = match extra.first() {
            Some(RowValues::Numbers(starts)) => starts,
            _ => return Err(Damage::Corrupt { part: "row group", problem: "starts are missing".to_owned() }),
        };
        let columns = reading.columns(&plan, read, row_count);
        let matching = match filter.and_then(|filter| plan.filters[filter].as_ref()) {
            Some(expr) => Rows { row_count, columns: &columns }.filter(expr),
            None => BooleanBuffer::new_set(row_count),
        };
        let mut part = Part::default();
        let alone = match &not_shared {
            None => matching,
            Some(not_shared) => {
                // Without a filter all of their traces are wanted, whatever is found here.
                if filter.is_some() {
                    let shared = &matching & &!not_shared;
                    let (mut ordinal, mut past_last) = (first, 0);
                    let summaries = search.summaries();
                    for row in shared.set_indices().map(|row| rows_in.start + row as u32) {
                        if row >= past_last {
                            ordinal += summaries[ordinal..].partition_point(|summary| summary.first_row <= row) - 1;
                            past_last = summaries[ordinal].first_row + summaries[ordinal].span_count;
                            part.shared_hits.push(ordinal as u32);
                        }
                    }
                }
                &matching & not_shared
            }
        };
        let rows: Vec<u32> = alone.set_indices().map(|row| row as u32).collect();
        part.counted = counting.count(&columns, starts, &rows, examples);
        if let Some(RowValues::Ids(span_ids)) = extra.get(1) {
            let summaries = search.summaries();
            for Example { row, key, value } in std::mem::take(&mut part.counted.examples) {
                let of_block = rows_in.start + row;
                let ordinal = summaries.partition_point(|summary| summary.first_row <= of_block) - 1;
                part.examples.push(NamedExample {
                    trace_id: summaries[ordinal].trace_id,
                    span_id: span_ids[row as usize],
                    start_unix_nanos: starts[row as usize] as u64,
                    key,
                    value,
                });
            }
        }
        Ok(part)
    };
    reads.read(&of.at, ranges, decode).await
}

/// The rows of each chunk that are in spansets, ascending; a span counts once for each spanset.
fn chosen_rows(batch: &Batch, plan: &Plan) -> Vec<Vec<u32>> {
    let mut chosen: Vec<Vec<u32>> = vec![Vec::new(); batch.chunks.len()];
    for (trace, spansets) in batch.traces.iter().zip(batch.run(plan)) {
        for place in spansets.iter().flat_map(|spans| &spans.places) {
            let at = trace.rows[*place as usize];
            chosen[at.chunk as usize].push(at.row);
        }
    }
    chosen.iter_mut().for_each(|rows| rows.sort_unstable());
    chosen
}

fn count_batch(batch: &Batch, plan: &Plan, counting: &Counting, examples: usize) -> Vec<Part> {
    let chosen = chosen_rows(batch, plan);
    let mut left = examples;
    let mut parts = Vec::with_capacity(batch.chunks.len());
    let mut named: HashMap<(u32, u32), Example, RandomState> = HashMap::default();
    for (number, (chunk, rows)) in batch.chunks.iter().zip(&chosen).enumerate() {
        let mut counted = counting.count(&chunk.columns, &chunk.starts, rows, left.min(EXAMPLES_OF_CHUNK));
        left = left.saturating_sub(counted.examples.len());
        let examples = std::mem::take(&mut counted.examples).into_iter();
        named.extend(examples.map(|example| ((number as u32, example.row), example)));
        parts.push(Part { counted, ..Part::default() });
    }
    for trace in batch.traces.iter().filter(|_| !named.is_empty()) {
        for at in &trace.rows {
            let Some(Example { row, key, value }) = named.get(&(at.chunk, at.row)).cloned() else { continue };
            let chunk = &batch.chunks[at.chunk as usize];
            let (span_id, start) = (chunk.span_ids[row as usize], chunk.starts[row as usize]);
            let part = &mut parts[at.chunk as usize];
            let trace_id = trace.trace_id;
            part.examples.push(NamedExample { trace_id, span_id, start_unix_nanos: start as u64, key, value });
        }
    }
    parts
}

/// Examples of one chunk of whole traces.
const EXAMPLES_OF_CHUNK: usize = 8;

fn compare_batch(
    batch: &Batch,
    plan: &Plan,
    buckets: &Buckets,
    comparison: &mut Comparison,
    selection: Option<&Expr>,
    times: Option<(i64, i64)>,
) {
    for (chunk, rows) in batch.chunks.iter().zip(chosen_rows(batch, plan)) {
        let mut selected = match selection {
            Some(expr) => chunk.rows().filter(expr),
            None => BooleanBuffer::new_set(chunk.row_count),
        };
        if let Some((from, to)) = times {
            let inside = |row: usize| i64::try_from(chunk.starts[row] as u64).is_ok_and(|at| (from..=to).contains(&at));
            selected = &selected & &BooleanBuffer::collect_bool(chunk.row_count, inside);
        }
        comparison.count(&chunk.columns, &chunk.starts, &rows, &selected, buckets);
    }
}
