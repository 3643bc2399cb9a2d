//! A TraceQL search: the newest traces that match, each seen whole.
//!
//! Blocks are taken newest end first; before them those with spans without a start, which may be of a trace of any time. What a
//! filter leaves of a block are candidates; a candidate's other pieces are found through the filters of trace ids, so its start is
//! that of the whole trace. A candidate whose start lies behind the end of every block that is left is next in order for sure: it
//! is loaded and decided at once, and the search ends at the limit.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use arrow_buffer::BooleanBuffer;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_block::{AttributeValue, RowValues};
use spanlake_catalog::BlockRef;
use spanlake_model::{Tenant, TimeRange, TraceId};
use spanlake_table::Held;
use spanlake_traceql::{Field, Intrinsic, Value};
use tokio::sync::mpsc;

use super::answer::{FoundSpan, SearchEvent, SpanSet, Stats, TraceqlAnswer};
use super::batch::{Batch, Load, LoadedTrace, Opened, Piece, Wanted, block_of, load, root_of};
use super::column::Column;
use super::eval::Rows;
use super::pipeline::{At, Spans};
use super::plan::Plan;
use super::request::TraceqlSearch;
use super::scalar::Unit;
use super::scan::{Found, Hits, open, scan};
use crate::error::Error;
use crate::fetch::{Reads, is_near, latest_start};
use crate::search::{FoundTrace, ServiceSpans, widened};

/// Traces decided in one go: enough for the usual limit at first, more while few match.
const FIRST_BATCH: usize = 24;
const LARGEST_BATCH: usize = 4_096;
/// Rows loaded in one go: bounds what a batch of large traces holds.
const LARGEST_BATCH_ROWS: u64 = 500_000;
/// Blocks opened and scanned before what was found in them is decided.
const LARGEST_WAVE: usize = 64;
/// Candidates whose pieces are looked up in one go.
const RESOLVED_AT_ONCE: usize = 256;

/// The start of a piece whose spans have none: the whole trace may start at any time, so it is looked at before all others.
const UNTIMED: u64 = u64::MAX;

/// A trace that may match. The newest is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Of the whole trace once resolved, before of one piece: the whole trace does not start later.
    start_unix_nanos: u64,
    trace_id: Reverse<TraceId>,
    resolved: bool,
    /// Of the piece.
    end_unix_nanos: u64,
}

/// All that blocks say of a trace.
struct Resolved {
    pieces: Vec<Piece>,
    end_unix_nanos: u64,
    span_count: u64,
    bits: u64,
}

struct Search<'a> {
    reads: &'a Reads<'a>,
    plan: Arc<Plan>,
    request: &'a TraceqlSearch,
    blocks: Vec<BlockRef>,
    opened: Vec<Option<Opened>>,
    /// For each scanned block; none inside when no filter tells.
    hits: Vec<Option<Hits>>,
    /// For each block which rows match, where each span is decided alone.
    matching: Vec<Option<BooleanBuffer>>,
    /// Filters to scan for; empty when every trace is a candidate.
    filters: Vec<usize>,
    candidates: BinaryHeap<Candidate>,
    resolved: HashMap<TraceId, Resolved>,
    seen: HashSet<TraceId>,
    inspected_traces: u64,
    found: Vec<FoundTrace>,
    /// The memory that the query is charged for them.
    held: Vec<Held>,
    batch: usize,
}

/// Runs a search. `watch` hears of progress and of traces as they become certain.
///
/// # Errors
/// [`Error`]; a bound is no error but ends the search, see [`TraceqlAnswer::stopped`].
pub(crate) async fn run(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    request: &TraceqlSearch,
    watch: Option<&mpsc::Sender<SearchEvent>>,
) -> Result<TraceqlAnswer, Error> {
    let plan = Arc::new(Plan::new(&request.query)?);
    let reach_nanos = reads.shared.config.trace_reach.as_nanos();
    let blocks = reads.searched_blocks(tenants, widened(request.range, reach_nanos)).await?;
    let filters = plan.scanned_for().unwrap_or_default();
    let mut search = Search {
        reads,
        plan,
        request,
        opened: vec![None; blocks.len()],
        hits: vec![None; blocks.len()],
        matching: vec![None; blocks.len()],
        blocks,
        filters,
        candidates: BinaryHeap::new(),
        resolved: HashMap::new(),
        seen: HashSet::new(),
        inspected_traces: 0,
        found: Vec::new(),
        held: Vec::new(),
        batch: FIRST_BATCH.max(request.limit.min(LARGEST_BATCH)),
    };
    let stopped = match search.run(watch).await {
        Ok(()) => None,
        Err(error) if error.is_bound() => Some(error),
        Err(error) => return Err(error),
    };
    let stats = search.stats();
    reads.shared.metrics.traces_returned.inc_by(search.found.len() as u64);
    Ok(TraceqlAnswer { traces: search.found, stats, stopped, held: Arc::new(search.held) })
}

impl Search<'_> {
    async fn run(&mut self, watch: Option<&mpsc::Sender<SearchEvent>>) -> Result<(), Error> {
        let mut scanned = 0;
        let mut wave_blocks = self.reads.width();
        loop {
            // Whatever is not known yet starts no later than the first block that is left allows.
            let horizon = self.blocks.get(scanned).map(latest_start);
            while self.found.len() < self.request.limit {
                let wanted = self.next_batch(horizon).await?;
                if wanted.is_empty() {
                    break;
                }
                let new = self.decide(wanted).await?;
                self.tell(watch, new).await?;
            }
            if self.found.len() >= self.request.limit || scanned == self.blocks.len() {
                return Ok(());
            }
            let max = self.reads.shared.config.max_search_traces;
            if self.candidates.len() > max {
                return Err(Error::TooManyTraces { max });
            }
            // More blocks each time that was not enough: between waves reads wait for one another.
            let wave = scanned..self.blocks.len().min(scanned + wave_blocks);
            self.scan_wave(wave.clone()).await?;
            scanned = wave.end;
            wave_blocks = (2 * wave_blocks).min(LARGEST_WAVE);
            self.tell(watch, self.found.len()).await?;
        }
    }

    /// Opens and scans blocks. Nothing is under way when it returns: what is read while traces are decided may be the same blocks,
    /// and would wait for reads that nobody drives.
    async fn scan_wave(&mut self, wave: std::ops::Range<usize>) -> Result<(), Error> {
        let (reads, plan, filters) = (self.reads, &self.plan, &self.filters);
        let keeps_rows = plan.only_filter().is_some() && !plan.needs_traces();
        let scans: Vec<(Opened, Found)> = stream::iter(self.blocks[wave.clone()].to_vec())
            .map(|at| async move {
                let opened = open(reads, &at).await?;
                let found = if filters.is_empty() {
                    Found::default()
                } else {
                    scan(reads, &opened, plan, filters, keeps_rows).await?
                };
                Ok::<_, Error>((opened, found))
            })
            .buffered(reads.width())
            .try_collect()
            .await?;
        for (block, (opened, Found { hits, rows })) in wave.zip(scans) {
            let row_bytes = rows.as_ref().map_or(0, |rows| rows.len() as u64 / 8);
            self.held.push(self.reads.hold(row_bytes + 32 * hits.len() as u64)?);
            self.matching[block] = rows;
            self.add_block(block, opened, hits);
        }
        Ok(())
    }

    /// Says what is new since the first so many traces, and how far the search is.
    async fn tell(&self, watch: Option<&mpsc::Sender<SearchEvent>>, from: usize) -> Result<(), Error> {
        let Some(watch) = watch else { return Ok(()) };
        let gone = |_| Error::Cancelled;
        if from < self.found.len() {
            watch.send(SearchEvent::Traces(self.found[from..].to_vec())).await.map_err(gone)?;
        }
        watch.send(SearchEvent::Progress(self.stats())).await.map_err(gone)
    }

    fn stats(&self) -> Stats {
        Stats {
            inspected_traces: self.inspected_traces,
            inspected_spans: self.reads.inspected_spans(),
            inspected_bytes: self.reads.inspected_bytes(),
            block_count: self.blocks.len() as u64,
            blocks_done: self.hits.iter().flatten().count() as u64,
            block_bytes: self.blocks.iter().map(|block| block.meta.object_bytes).sum(),
        }
    }

    async fn open(&mut self, blocks: impl Iterator<Item = usize>) -> Result<(), Error> {
        let missing: Vec<usize> = blocks.filter(|block| self.opened[*block].is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (reads, refs) = (self.reads, &self.blocks);
        let opened: Vec<(usize, Opened)> = stream::iter(missing)
            .map(|block| async move { Ok::<_, Error>((block, open(reads, &refs[block]).await?)) })
            .buffer_unordered(reads.width())
            .try_collect()
            .await?;
        for (block, opened) in opened {
            self.opened[block] = Some(opened);
        }
        Ok(())
    }

    /// Makes candidates of what was found in a block.
    fn add_block(&mut self, block: usize, opened: Opened, hits: Hits) {
        let summaries = opened.search.summaries();
        self.inspected_traces += summaries.len() as u64;
        let candidate = |summary: &spanlake_block::TraceSummary| Candidate {
            start_unix_nanos: if summary.start_unix_nanos == 0 { UNTIMED } else { summary.start_unix_nanos },
            trace_id: Reverse(summary.trace_id),
            resolved: false,
            end_unix_nanos: summary.end_unix_nanos,
        };
        let fresh: Vec<Candidate> = if self.filters.is_empty() {
            opened.hidden.shown(&opened.search).map(|(_, summary)| candidate(summary)).collect()
        } else {
            hits.iter().filter_map(|(ordinal, _)| summaries.get(*ordinal as usize)).map(candidate).collect()
        };
        self.candidates.append(&mut BinaryHeap::from(fresh));
        self.hits[block] = Some(hits);
        self.opened[block] = Some(opened);
    }

    /// The next traces in order that may match; empty when blocks that are left may hold one before them.
    async fn next_batch(&mut self, horizon: Option<u64>) -> Result<Vec<Wanted>, Error> {
        let left = self.request.limit - self.found.len();
        let is_next = |candidate: &Candidate| horizon.is_none_or(|horizon| candidate.start_unix_nanos > horizon);
        let (mut wanted, mut rows) = (Vec::new(), 0);
        while wanted.len() < self.batch && rows < LARGEST_BATCH_ROWS {
            let Some(top) = self.candidates.peek().filter(|top| is_next(top)) else { break };
            if !top.resolved {
                let mut unresolved = Vec::new();
                let mut put_back = Vec::new();
                while unresolved.len() < RESOLVED_AT_ONCE.max(left.min(LARGEST_BATCH)) {
                    match self.candidates.peek() {
                        Some(top) if is_next(top) => {}
                        _ => break,
                    }
                    let Some(top) = self.candidates.pop() else { break };
                    if top.resolved { put_back.push(top) } else { unresolved.push(top) }
                }
                self.candidates.extend(put_back);
                self.resolve(unresolved).await?;
                continue;
            }
            let Some(top) = self.candidates.pop() else { break };
            let Reverse(trace_id) = top.trace_id;
            let Some(resolved) = self.resolved.remove(&trace_id) else { continue };
            self.seen.insert(trace_id);
            let time = TimeRange {
                start_unix_nanos: top.start_unix_nanos,
                end_unix_nanos: resolved.end_unix_nanos.max(top.start_unix_nanos),
            };
            let in_range = self.request.range.is_none_or(|range| time.overlaps(&range));
            let bits = resolved.bits & self.decided_by_summary(trace_id, time, &resolved.pieces);
            if in_range && self.plan.need.may_match(bits, resolved.span_count) {
                rows += resolved.span_count;
                wanted.push(Wanted { trace_id, pieces: resolved.pieces });
            }
        }
        Ok(wanted)
    }

    /// A bit for each filter that the trace as a whole does not rule out.
    fn decided_by_summary(&self, trace_id: TraceId, time: TimeRange, pieces: &[Piece]) -> u64 {
        let mut bits = u64::MAX;
        let of_trace = self.plan.of_trace.iter().take(64).enumerate();
        for (filter, of_trace) in of_trace.filter_map(|(filter, of_trace)| Some((filter, of_trace.as_ref()?))) {
            let root = match pieces {
                [only] => {
                    self.opened[only.block as usize].as_ref().map(|of| &of.search.summaries()[only.ordinal as usize])
                }
                // Which of several roots is the first takes their spans to tell.
                _ if of_trace.root => continue,
                _ => None,
            };
            let columns: Vec<Option<Column>> = self
                .plan
                .fields
                .0
                .iter()
                .map(|field| {
                    let text = |text: Option<Arc<str>>| {
                        Column::from_values(std::iter::once(text.map(AttributeValue::Text)), Unit::Plain)
                    };
                    match field {
                        Field::Intrinsic(Intrinsic::TraceDuration) => {
                            let nanos = time.end_unix_nanos - time.start_unix_nanos;
                            let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
                            Some(Column { values: RowValues::Numbers(vec![nanos].into()), unit: Unit::Duration })
                        }
                        Field::Intrinsic(Intrinsic::TraceId) => Some(text(Some(Arc::from(trace_id.to_string())))),
                        Field::Intrinsic(Intrinsic::RootName) => {
                            Some(text(root.and_then(|root| root.root_name.clone())))
                        }
                        Field::Intrinsic(Intrinsic::RootServiceName) => {
                            Some(text(root.and_then(|root| root.root_service.clone())))
                        }
                        _ => None,
                    }
                })
                .collect();
            let rows = Rows { row_count: 1, columns: &columns };
            if !rows.filter(&of_trace.expr).value(0) {
                bits &= !(1 << filter);
            }
        }
        bits
    }

    /// Finds all pieces of candidates, and puts them back with the start of the whole trace.
    async fn resolve(&mut self, candidates: Vec<Candidate>) -> Result<(), Error> {
        let reach_nanos = self.reads.shared.config.trace_reach.as_nanos();
        let near = |candidate: &Candidate| {
            if candidate.start_unix_nanos == UNTIMED {
                // Without a time there is nothing to be near to.
                return TimeRange::ALL;
            }
            TimeRange {
                start_unix_nanos: candidate.start_unix_nanos.saturating_sub(reach_nanos),
                end_unix_nanos: candidate.end_unix_nanos.saturating_add(reach_nanos),
            }
        };
        let whole = candidates.iter().map(near).reduce(|a, b| TimeRange {
            start_unix_nanos: a.start_unix_nanos.min(b.start_unix_nanos),
            end_unix_nanos: a.end_unix_nanos.max(b.end_unix_nanos),
        });
        let Some(whole) = whole else { return Ok(()) };
        let blocks: Vec<usize> = (0..self.blocks.len()).filter(|at| is_near(&self.blocks[*at], &whole)).collect();
        self.open(blocks.iter().copied()).await?;
        for candidate in candidates {
            let Reverse(trace_id) = candidate.trace_id;
            if self.seen.contains(&trace_id) || self.resolved.contains_key(&trace_id) {
                continue;
            }
            let near = near(&candidate);
            let bits = self.plan.unscannable();
            let mut resolved = Resolved { pieces: Vec::new(), end_unix_nanos: 0, span_count: 0, bits };
            let mut start = 0;
            for block in &blocks {
                if !is_near(&self.blocks[*block], &near) {
                    continue;
                }
                let of = block_of(&self.opened, *block as u32)?;
                if of.block.row_groups_for(&trace_id).is_empty() {
                    continue;
                }
                let summaries = of.search.summaries();
                let Ok(ordinal) = summaries.binary_search_by(|summary| summary.trace_id.cmp(&trace_id)) else {
                    continue;
                };
                if of.hidden.contains(ordinal) {
                    continue;
                }
                let summary = &summaries[ordinal];
                resolved.pieces.push(Piece { block: *block as u32, ordinal: ordinal as u32 });
                resolved.end_unix_nanos = resolved.end_unix_nanos.max(summary.end_unix_nanos);
                resolved.span_count += u64::from(summary.span_count);
                resolved.bits |= match &self.hits[*block] {
                    Some(hits) if !self.filters.is_empty() => {
                        hits.binary_search_by_key(&(ordinal as u32), |(ordinal, _)| *ordinal).map_or(0, |at| hits[at].1)
                    }
                    // Not scanned: anything may be there.
                    _ => u64::MAX,
                };
                start = match (start, summary.start_unix_nanos) {
                    (0, known) | (known, 0) => known,
                    (a, b) => a.min(b),
                };
            }
            self.resolved.insert(trace_id, resolved);
            self.candidates.push(Candidate { start_unix_nanos: start, resolved: true, ..candidate });
        }
        Ok(())
    }

    /// Loads traces, runs the query on them and keeps what matches, in order. Gives how many there were before.
    async fn decide(&mut self, wanted: Vec<Wanted>) -> Result<usize, Error> {
        let asked = wanted.len();
        let how = Load { describes: true, matching: &self.matching };
        let loaded = load(self.reads, &self.opened, &self.plan, wanted, how).await?;
        let from = self.found.len();
        let plan = Arc::clone(&self.plan);
        let run = move || {
            let spansets = loaded.run(&plan);
            (loaded, spansets)
        };
        let (loaded, spansets) = if asked <= FIRST_BATCH { run() } else { self.reads.compute(run).await? };
        for (trace, spansets) in loaded.traces.iter().zip(spansets) {
            if self.found.len() == self.request.limit {
                break;
            }
            if !spansets.is_empty() {
                let found = self.describe(&loaded, trace, &spansets)?;
                self.held.push(self.reads.hold(memory_bytes(&found))?);
                self.found.push(found);
            }
        }
        // Few that match: more at once. The rest of the batch would be wasted otherwise.
        let matched = self.found.len() - from;
        if matched * 2 < asked {
            self.batch = (self.batch * 2).min(LARGEST_BATCH);
        }
        Ok(from)
    }

    fn describe(&self, batch: &Batch, trace: &LoadedTrace, spansets: &[Spans]) -> Result<FoundTrace, Error> {
        let (root_name, root_service, services) = match trace.pieces.as_slice() {
            [only] => {
                let of = block_of(&self.opened, only.block)?;
                let summary = &of.search.summaries()[only.ordinal as usize];
                let services = of.search.services(summary).iter().map(|s| ServiceSpans {
                    service: Arc::clone(&s.service),
                    span_count: s.span_count,
                    error_count: s.error_count,
                });
                let mut services: Vec<ServiceSpans> = services.collect();
                services.sort_unstable_by(|a, b| a.service.cmp(&b.service));
                (summary.root_name.clone(), summary.root_service.clone(), services)
            }
            _ => {
                let (name, service) = root_of(&batch.chunks, trace);
                (name, service, services_of(batch, trace))
            }
        };
        Ok(FoundTrace {
            trace_id: trace.trace_id,
            root_service,
            root_name,
            start_unix_nanos: trace.start_unix_nanos,
            end_unix_nanos: trace.end_unix_nanos,
            services,
            span_sets: spansets.iter().map(|spans| self.span_set(batch, trace, spans)).collect(),
        })
    }

    fn span_set(&self, batch: &Batch, trace: &LoadedTrace, spans: &Spans) -> SpanSet {
        let shown = spans.places.iter().take(self.request.spans_per_span_set);
        SpanSet {
            spans: shown.map(|place| self.span(batch, trace.rows[*place as usize])).collect(),
            matched: u32::try_from(spans.places.len()).unwrap_or(u32::MAX),
            attributes: spans.attributes.clone(),
        }
    }

    fn span(&self, batch: &Batch, At { chunk, row }: At) -> FoundSpan {
        let (chunk, row) = (&batch.chunks[chunk as usize], row as usize);
        let mut name = None;
        let mut attributes = Vec::new();
        for (field, column) in self.plan.fields.0.iter().zip(&chunk.columns) {
            let value = column.as_ref().map_or(Value::Nil, |column| column.one(row));
            match (field, value) {
                (Field::Intrinsic(Intrinsic::Name), Value::String(text)) => name = Some(text),
                // They are there already, or on the trace.
                (Field::Intrinsic(Intrinsic::SpanId | Intrinsic::TraceId), _) | (_, Value::Nil) => {}
                (Field::Attribute { key, .. }, value) => attributes.push((key.clone(), value)),
                (field, value) => attributes.push((field.to_string(), value)),
            }
        }
        FoundSpan {
            span_id: chunk.span_ids[row].to_be_bytes(),
            name,
            start_unix_nanos: chunk.starts[row] as u64,
            duration_nanos: chunk.durations[row].max(0) as u64,
            attributes,
        }
    }
}

fn services_of(batch: &Batch, trace: &LoadedTrace) -> Vec<ServiceSpans> {
    let mut services: BTreeMap<Arc<str>, (u32, u32)> = BTreeMap::new();
    for At { chunk, row } in &trace.rows {
        let (chunk, row) = (&batch.chunks[*chunk as usize], *row as usize);
        if let Some(AttributeValue::Text(service)) = chunk.services.as_ref().and_then(|column| column.attribute(row)) {
            let (spans, errors) = services.entry(service).or_default();
            *spans = spans.saturating_add(1);
            *errors += u32::from(chunk.statuses.as_ref().is_some_and(|statuses| statuses[row] == 2));
        }
    }
    let service = |(service, (span_count, error_count))| ServiceSpans { service, span_count, error_count };
    services.into_iter().map(service).collect()
}

/// Memory that an answered trace holds, estimated.
fn memory_bytes(found: &FoundTrace) -> u64 {
    let of_value = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Array(values) => 32 * values.len(),
        _ => 0,
    };
    let of = |attributes: &[(String, Value)]| {
        attributes.iter().map(|(key, value)| 64 + key.len() + of_value(value)).sum::<usize>()
    };
    let spans = found.span_sets.iter().flat_map(|set| &set.spans);
    let spans: usize = spans.map(|span| 96 + span.name.as_ref().map_or(0, String::len) + of(&span.attributes)).sum();
    let sets: usize = found.span_sets.iter().map(|set| 64 + of(&set.attributes)).sum();
    (200 + 32 * found.services.len() + sets + spans) as u64
}
