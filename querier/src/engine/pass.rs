//! One pass over the spans that a query selects and that start in a range: each goes once, whatever blocks have a copy of it, to what
//! counts them.
//!
//! As metrics do: where one filter decides each span alone, rows are taken straight from their row groups; traces with a span id in
//! two blocks are loaded whole, and so are all where the query looks at more than single spans. What is counted is not known here.

use std::sync::Arc;

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use futures::{StreamExt as _, stream};
use spanlake_block::{Damage, Prune, RowField, RowValues};
use spanlake_catalog::BlockRef;
use spanlake_model::{Tenant, TimeRange, TraceId};
use spanlake_table::Held;
use spanlake_traceql::{Field, Intrinsic, Query, Value};

use super::batch::{Batch, Chunk, Load, Opened, Wanted, block_of, load};
use super::column::Column;
use super::metrics::copies;
use super::metrics::count::{By, Codes};
use super::plan::Plan;
use super::prune::prune;
use super::reading::{ReadRows, Reading};
use super::scan::open;
use super::selection::{batches, chosen_rows, in_time, matching_traces, wanted};
use crate::error::Error;
use crate::fetch::Reads;
use crate::fields::WhichRows;
use crate::search::widened;

/// Rows of one chunk, of which some count.
pub(super) struct SpanRows<'a> {
    /// By the places of the plan; none where no row has a value.
    pub(super) columns: &'a [Option<Column>],
    /// Of all rows, 64 bits as signed numbers.
    pub(super) starts: &'a [i64],
    /// Those that count: ascending, each once.
    pub(super) rows: &'a [u32],
    /// Whether each row has no parent, where that was asked for.
    roots: Option<Roots<'a>>,
    traces: Traces<'a>,
}

enum Roots<'a> {
    Told(&'a arrow_array::BooleanArray),
    /// Parents' ids.
    Ids(&'a [u64]),
}

/// Trace and id of a span.
type NamedSpan = (TraceId, u64);

/// Which trace each row is of.
enum Traces<'a> {
    /// All rows of a row group: the block, the row group's first row.
    Block(&'a Opened, u32, usize),
    /// Trace and span of each row of a batch.
    Rows(&'a [NamedSpan]),
}

/// Where a counted span lies, to be named later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpanAt {
    /// A row of a block of the pass.
    Row { block: usize, row: u32 },
    /// It is known by name.
    Named { trace_id: TraceId, span_id: u64 },
}

impl SpanRows<'_> {
    /// Whether the row's span has no parent; false where that was not asked for.
    pub(super) fn is_root(&self, row: usize) -> bool {
        match &self.roots {
            None => false,
            Some(Roots::Told(told)) => told.value(row),
            Some(Roots::Ids(ids)) => ids[row] == 0,
        }
    }

    /// The number of a field that every span has, such as its kind; zero where the field was not read.
    pub(super) fn number(&self, place: usize, row: usize) -> i64 {
        match self.columns.get(place).and_then(Option::as_ref).map(|column| &column.values) {
            Some(RowValues::Numbers(numbers)) => numbers[row],
            _ => 0,
        }
    }

    /// An id of the row's span; zero for none, or where the field was not read.
    pub(super) fn id(&self, place: usize, row: usize) -> u64 {
        match self.columns.get(place).and_then(Option::as_ref).map(|column| &column.values) {
            Some(RowValues::Ids(ids)) => ids[row],
            _ => 0,
        }
    }

    /// The text or number that a field has, as text; none where it has another kind of value or none.
    pub(super) fn text(&self, place: usize, row: usize) -> Option<String> {
        let column = self.columns.get(place)?.as_ref().filter(|column| column.has(row))?;
        match column.one(row) {
            Value::String(text) => Some(text).filter(|text| !text.is_empty()),
            Value::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A field of all rows as codes of its values.
    pub(super) fn codes(&self, place: usize) -> Codes<'_> {
        Codes::new(self.columns, &By { name: String::new(), places: vec![place] }, self.starts.len())
    }

    /// Where the row's span lies.
    pub(super) fn at(&self, row: usize) -> SpanAt {
        match &self.traces {
            Traces::Block(_, first_row, block) => SpanAt::Row { block: *block, row: first_row + row as u32 },
            Traces::Rows(rows) => {
                let (trace_id, span_id) = rows[row];
                SpanAt::Named { trace_id, span_id }
            }
        }
    }

    /// Whether all spans of the row's trace are in this chunk. `shared` says for each block, for each summary, whether other blocks
    /// have spans of the trace too.
    pub(super) fn is_trace_here(&self, row: usize, shared: &[Vec<bool>]) -> bool {
        let Traces::Block(of, first_row, block) = &self.traces else { return false };
        let summaries = of.search.summaries();
        let next = summaries.partition_point(|summary| summary.first_row <= first_row + row as u32);
        let rows = *first_row..first_row + self.starts.len() as u32;
        summaries.get(next.wrapping_sub(1)).is_some_and(|summary| {
            let is_shared = shared.get(*block).and_then(|of| of.get(next - 1)).copied().unwrap_or(true);
            !is_shared && summary.first_row >= rows.start && summary.first_row + summary.span_count <= rows.end
        })
    }

    /// The trace of the row's span.
    pub(super) fn trace_id(&self, row: usize) -> TraceId {
        match &self.traces {
            Traces::Block(of, first_row, _) => {
                let summaries = of.search.summaries();
                let next = summaries.partition_point(|summary| summary.first_row <= first_row + row as u32);
                summaries.get(next.saturating_sub(1)).map_or(TraceId([0; 16]), |summary| summary.trace_id)
            }
            Traces::Rows(rows) => rows[row].0,
        }
    }
}

/// What counts spans. Parts are counted apart, on threads that may block, and put together in a fixed order.
pub(super) trait Counter: Send + Sync + 'static {
    /// What one chunk counts.
    type Part: Send + 'static;
    /// What all of them do.
    type Total: Send;

    /// Counts rows of a chunk.
    fn count(&self, rows: &SpanRows<'_>) -> Self::Part;

    /// Puts a part to the others.
    fn add(&self, total: &mut Self::Total, part: Self::Part);

    /// The memory that all of them take, estimated.
    fn held_bytes(&self, total: &Self::Total) -> u64;
}

/// The bound past which a pass left spans out, if it did.
#[must_use = "whoever counts says when not all is counted"]
pub(super) struct Cut(Option<Error>);

impl Cut {
    /// As a sentence for an answer of what was counted.
    pub(super) fn told(self) -> Option<String> {
        self.0.map(|error| format!("Not all spans are counted: {error}"))
    }

    /// As an error, for what is to be whole.
    ///
    /// # Errors
    /// The bound.
    pub(super) fn whole(self) -> Result<(), Error> {
        self.0.map_or(Ok(()), Err)
    }
}

/// Opened blocks and what is asked of their spans.
pub(super) struct Pass<'a> {
    reads: &'a Reads<'a>,
    /// Of the query alone.
    base: Plan,
    plan: Plan,
    range: TimeRange,
    pub(super) opened: Vec<Option<Opened>>,
    apart: Vec<Vec<bool>>,
    is_straight: bool,
    places: Vec<usize>,
    wants_roots: bool,
    /// The bound past which blocks were left out, the oldest.
    cut: Option<Error>,
    _held: Option<Held>,
}

impl<'a> Pass<'a> {
    /// Opens the blocks that may have spans of the range, the newest until a bound is reached: then the answer is a partial one. At
    /// most one ranged GET for each block, and one for each row group with a trace that several blocks have.
    ///
    /// # Errors
    /// [`Error`] for anything but a bound.
    pub(super) async fn open(
        reads: &'a Reads<'a>,
        tenants: &[Tenant],
        query: &Query,
        range: TimeRange,
    ) -> Result<Self, Error> {
        let plan = Plan::new(query)?;
        let is_straight = plan.only_filter().is_some() && !plan.needs_traces();
        let reach_nanos = reads.shared.config.trace_reach.as_nanos();
        let of_blocks = if is_straight { range } else { widened(Some(range), reach_nanos) };
        let (blocks, too_many) = reads.newest_blocks(tenants, of_blocks).await?;
        let mut pass = Self::over(reads, blocks, query, range).await?;
        pass.cut = pass.cut.or(too_many);
        Ok(pass)
    }

    /// The same over these blocks only: traces are whole as far as they lie in them.
    ///
    /// # Errors
    /// [`Error`] for anything but a bound, and for one that not even the first block was inside of.
    pub(super) async fn over(
        reads: &'a Reads<'a>,
        blocks: Vec<BlockRef>,
        query: &Query,
        range: TimeRange,
    ) -> Result<Self, Error> {
        let (mut opened, mut cut) = (Vec::new(), None);
        let mut opening =
            Box::pin(stream::iter(blocks).map(|at| async move { open(reads, &at).await }).buffered(reads.width()));
        while let Some(next) = opening.next().await {
            match next {
                Ok(of) => opened.push(Some(of)),
                Err(bound) if bound.is_bound() => {
                    cut = Some(bound);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        drop(opening);
        if let Some(bound) = cut.take_if(|_| opened.is_empty()) {
            // Of nothing there is no part to answer.
            return Err(bound);
        }
        let mut pass = Self::of(reads, opened, query, range).await?;
        pass.cut = cut.or(pass.cut);
        Ok(pass)
    }

    /// The same over blocks that are open. One ranged read for each row group with a trace that several of them have.
    ///
    /// # Errors
    /// [`Error`] for anything but a bound.
    pub(super) async fn of(
        reads: &'a Reads<'a>,
        mut opened: Vec<Option<Opened>>,
        query: &Query,
        range: TimeRange,
    ) -> Result<Self, Error> {
        let plan = Plan::new(query)?;
        let is_straight = plan.only_filter().is_some() && !plan.needs_traces();
        let max_traces = reads.shared.config.max_search_traces;
        let mut cut = None;
        let (apart, _held) = loop {
            let trace_count: usize = opened.iter().flatten().map(|of| of.search.summaries().len()).sum();
            let prepared = async {
                if opened.len() > 1 && trace_count > max_traces {
                    return Err(Error::TooManyTraces { max: max_traces });
                }
                let apart = if is_straight { copies::apart(reads, &opened).await? } else { Vec::new() };
                Ok((apart, Some(reads.hold(trace_count as u64)?)))
            };
            match prepared.await {
                Ok(prepared) => break prepared,
                // Fewer blocks have fewer traces to tell apart; of one there is nothing to tell.
                Err(bound) if bound.is_bound() && opened.len() > 1 => {
                    opened.truncate(opened.len() / 2);
                    cut = Some(bound);
                }
                Err(error) => return Err(error),
            }
        };
        Ok(Self {
            reads,
            base: plan.clone(),
            plan,
            range,
            opened,
            apart,
            is_straight,
            places: Vec::new(),
            wants_roots: false,
            cut,
            _held,
        })
    }

    /// Looks at a field of each span beside what the query names; it must be one of the span alone. Returns its place in
    /// [`SpanRows::columns`].
    pub(super) fn look_at(&mut self, field: &Field) -> usize {
        let place = self.plan.add(field);
        if !self.places.contains(&place) {
            self.places.push(place);
        }
        place
    }

    /// Looks at none of the fields beside what the query names any more.
    pub(super) fn forget_fields(&mut self) {
        self.plan = self.base.clone();
        self.places.clear();
        self.wants_roots = false;
    }

    /// Names a counted span: its trace and its id. At most one ranged read.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn name(&self, at: SpanAt) -> Result<(TraceId, u64), Error> {
        let (block, row) = match at {
            SpanAt::Named { trace_id, span_id } => return Ok((trace_id, span_id)),
            SpanAt::Row { block, row } => (block, row),
        };
        let of = block_of(&self.opened, block as u32)?;
        let row_group = of.block.row_group_of(row);
        let in_group = row.saturating_sub(of.block.rows_in(row_group).start);
        let summaries = of.search.summaries();
        let next = summaries.partition_point(|summary| summary.first_row <= row);
        let trace_id = summaries.get(next.wrapping_sub(1)).map_or(TraceId([0; 16]), |summary| summary.trace_id);
        let which = WhichRows::These(vec![in_group].into());
        let first = |read: Vec<RowValues>| match read.first() {
            Some(RowValues::Ids(ids)) => Ok(ids.first().copied().unwrap_or(0)),
            _ => Err(Damage::Corrupt { part: "row group", problem: "span ids are missing".to_owned() }),
        };
        let span_id = self.reads.fields(of.parts(), row_group, vec![RowField::SpanId], which, first).await?;
        Ok((trace_id, span_id))
    }

    /// Looks whether spans have parents.
    pub(super) fn look_at_roots(&mut self) {
        self.wants_roots = true;
    }

    /// Counts. Past a bound on work what was counted until then stays, and it says which. One ranged read for each row group
    /// that may have such spans.
    ///
    /// # Errors
    /// [`Error`] for anything but a bound.
    pub(super) async fn run<C: Counter>(&self, counter: &Arc<C>, total: &mut C::Total) -> Result<Cut, Error> {
        let mut plan = self.plan.clone();
        let done = if self.is_straight {
            self.straight(&Arc::new(plan), counter, total).await
        } else {
            // Parents are read by their ids here; whole traces are not many.
            let root = self.wants_roots.then(|| plan.fields.place(&Field::Intrinsic(Intrinsic::ParentId)));
            let plan = Arc::new(plan);
            let wanted = matching_traces(self.reads, &plan, &self.opened, self.range).await;
            match wanted {
                Ok(wanted) => self.whole(&plan, root, wanted, counter, total).await,
                Err(error) => Err(error),
            }
        };
        match done {
            Ok(()) => Ok(Cut(self.cut.clone())),
            Err(error) if error.is_bound() => Ok(Cut(Some(error))),
            Err(error) => Err(error),
        }
    }

    async fn straight<C: Counter>(
        &self,
        plan: &Arc<Plan>,
        counter: &Arc<C>,
        total: &mut C::Total,
    ) -> Result<(), Error> {
        let filter = plan.only_filter().and_then(|filter| plan.filters[filter].as_ref());
        let mut jobs = Vec::new();
        for (block, of) in self.opened.iter().enumerate() {
            let Some(of) = of else { continue };
            let mut conditions = vec![in_time(self.range)];
            conditions.extend(filter.map(|expr| prune(of, &plan.fields.0, expr)));
            let alive = of.block.prune(&of.search, &Prune::All(conditions));
            let row_groups = alive.iter().enumerate().filter(|(_, alive)| **alive);
            jobs.extend(row_groups.map(|(row_group, _)| (block, row_group)));
        }
        let mut hits: Vec<Vec<u32>> = vec![Vec::new(); self.opened.len()];
        let mut parts = Box::pin(
            stream::iter(jobs)
                .map(|(block, row_group)| async move {
                    Ok::<_, Error>((block, self.row_group(plan, counter, block, row_group).await?))
                })
                .buffered(self.reads.width()),
        );
        let mut _held = None;
        while let Some(next) = parts.next().await {
            let (block, (part, apart_hits)) = next?;
            hits[block].extend(apart_hits);
            if let Some(part) = part {
                counter.add(total, part);
                _held = None;
                _held = Some(self.reads.hold(counter.held_bytes(total))?);
            }
        }
        drop(parts);
        // Without a filter every trace has matching spans.
        let wanted = wanted(&self.opened, |block, ordinal| {
            self.apart[block][ordinal] && (filter.is_none() || hits[block].binary_search(&(ordinal as u32)).is_ok())
        });
        if wanted.is_empty() {
            return Ok(());
        }
        let mut plan = Plan::clone(plan);
        let root = self.wants_roots.then(|| plan.fields.place(&Field::Intrinsic(Intrinsic::ParentId)));
        self.whole(&Arc::new(plan), root, wanted, counter, total).await
    }

    /// Counts the rows of a row group, but for those of traces that are set apart; of these the ones with a matching span are named,
    /// by their summaries' places.
    async fn row_group<C: Counter>(
        &self,
        plan: &Arc<Plan>,
        counter: &Arc<C>,
        block: usize,
        row_group: usize,
    ) -> Result<(Option<C::Part>, Vec<u32>), Error> {
        let of = block_of(&self.opened, block as u32)?;
        let apart = &self.apart[block];
        let filter = plan.only_filter().filter(|filter| plan.filters[*filter].is_some());
        let rows_in = of.block.rows_in(row_group);
        let row_count = of.block.row_count(row_group);
        let summaries = of.search.summaries();
        let first = summaries.partition_point(|summary| summary.first_row + summary.span_count <= rows_in.start);
        let last = summaries.partition_point(|summary| summary.first_row < rows_in.end);
        if filter.is_none() && !apart[first..last].contains(&false) {
            return Ok((None, Vec::new()));
        }
        let mut places = self.places.clone();
        if let Some(expr) = filter.and_then(|filter| plan.filters[filter].as_ref()) {
            expr.each_field(&mut |place| places.push(place));
        }
        let reading = Reading::new(of, row_group, plan, places);
        let mut beside = vec![RowField::StartUnixNanos];
        beside.extend(self.wants_roots.then_some(RowField::IsRoot));
        let not_apart = apart[first..last].contains(&true).then(|| {
            let mut mask = BooleanBufferBuilder::new(row_count);
            for ordinal in first..last {
                let summary = &summaries[ordinal];
                let start = summary.first_row.max(rows_in.start);
                let end = (summary.first_row + summary.span_count).min(rows_in.end);
                mask.append_n((end - start) as usize, !apart[ordinal]);
            }
            mask.finish()
        });
        let (plan, counter, of, range) = (Arc::clone(plan), Arc::clone(counter), of.clone(), self.range);
        let count = move |read: ReadRows| {
            let Some(RowValues::Numbers(starts)) = read.beside.first() else {
                return Err(Damage::Corrupt { part: "row group", problem: "starts are missing".to_owned() });
            };
            let roots = match read.beside.get(1) {
                Some(RowValues::Bools(told)) => Some(Roots::Told(told)),
                _ => None,
            };
            let mut matching = match filter.and_then(|filter| plan.filters[filter].as_ref()) {
                Some(expr) => read.rows().filter(expr),
                None => BooleanBuffer::new_set(row_count),
            };
            let mut apart_hits = Vec::new();
            if let Some(not_apart) = &not_apart {
                // Without a filter all of their traces are wanted, whatever is found here.
                if filter.is_some() {
                    let apart = &matching & &!not_apart;
                    let summaries = of.search.summaries();
                    let (mut ordinal, mut past_last) = (first, 0);
                    for row in apart.set_indices().map(|row| rows_in.start + row as u32) {
                        if row >= past_last {
                            ordinal += summaries[ordinal..].partition_point(|summary| summary.first_row <= row) - 1;
                            past_last = summaries[ordinal].first_row + summaries[ordinal].span_count;
                            apart_hits.push(ordinal as u32);
                        }
                    }
                }
                matching = &matching & not_apart;
            }
            let rows = matching.set_indices().filter(|row| is_within(range, starts[*row])).map(|row| row as u32);
            let rows: Vec<u32> = rows.collect();
            let traces = Traces::Block(&of, rows_in.start, block);
            let part = counter.count(&SpanRows { columns: &read.columns, starts, rows: &rows, roots, traces });
            Ok((Some(part), apart_hits))
        };
        reading.read(self.reads, &beside, count).await
    }

    /// Loads traces whole, some at a time, and counts their spans.
    async fn whole<C: Counter>(
        &self,
        plan: &Arc<Plan>,
        root: Option<usize>,
        wanted: Vec<Wanted>,
        counter: &Arc<C>,
        total: &mut C::Total,
    ) -> Result<(), Error> {
        for batch in batches(&self.opened, wanted, plan.fields.0.len())? {
            let loaded = load(self.reads, &self.opened, plan, batch, Load::default()).await?;
            let (plan, counting, range) = (Arc::clone(plan), Arc::clone(counter), self.range);
            let count = move || count_batch(&loaded, &plan, root, range, counting.as_ref());
            for part in self.reads.compute(count).await? {
                counter.add(total, part);
            }
            let _held = self.reads.hold(counter.held_bytes(total))?;
        }
        Ok(())
    }
}

fn is_within(range: TimeRange, start: i64) -> bool {
    (range.start_unix_nanos..=range.end_unix_nanos).contains(&(start as u64))
}

fn count_batch<C: Counter>(
    batch: &Batch,
    plan: &Plan,
    root: Option<usize>,
    range: TimeRange,
    counter: &C,
) -> Vec<C::Part> {
    let mut names: Vec<Vec<NamedSpan>> =
        batch.chunks.iter().map(|chunk| vec![(TraceId([0; 16]), 0); chunk.row_count]).collect();
    for trace in &batch.traces {
        for at in &trace.rows {
            let span_id = batch.chunks[at.chunk as usize].span_ids[at.row as usize];
            names[at.chunk as usize][at.row as usize] = (trace.trace_id, span_id);
        }
    }
    let chosen = chosen_rows(batch, plan).into_iter().zip(&batch.chunks).zip(&names);
    let count = |((mut rows, chunk), names): ((Vec<u32>, &Chunk), &Vec<NamedSpan>)| {
        rows.dedup();
        rows.retain(|row| is_within(range, chunk.starts[*row as usize]));
        let parents = root.and_then(|place| chunk.columns[place].as_ref());
        let roots = match parents.map(|column| &column.values) {
            Some(RowValues::Ids(ids)) => Some(Roots::Ids(ids)),
            _ => None,
        };
        let (columns, starts, traces) = (&chunk.columns, &chunk.starts, Traces::Rows(names));
        counter.count(&SpanRows { columns, starts, rows: &rows, roots, traces })
    };
    chosen.map(count).collect()
}
