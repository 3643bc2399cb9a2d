//! What whole traces of one entry point teach: how they usually go, and how much passes between services, from a fair sample.
//!
//! Traces are counted from what blocks say of them; those of the sample are loaded whole, without their attributes. It knows neither
//! the trace that is diagnosed nor what a rule makes of it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use foldhash::fast::RandomState;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_analysis::{Kind, Observed, SkeletonBuilder, SpanRow, Status, Trace, Traffic};
use spanlake_block::{AttributeValue, NIL, RowValues};
use spanlake_model::{SpanId, Tenant, TimeRange, TraceId};
use spanlake_traceql::Intrinsic;
use tokio::time::Instant;

use super::super::batch::{Batch, Load, LoadedTrace, Opened, Piece, Wanted, block_of, load};
use super::super::column::Column;
use super::super::pipeline::At;
use super::super::plan::Plan;
use super::super::scan::open;
use super::super::selection::wanted;
use super::{every_span, intrinsic, resource};
use crate::error::Error;
use crate::fetch::Reads;
use crate::search::widened;

/// Spans of all traces of a sample.
const MAX_SPANS: u64 = 100_000;
/// A trace with more is counted, but not learned from: it would be most of the sample.
const MAX_TRACE_SPANS: u32 = 10_000;
/// Traces of one slot that may be in the sample.
const MAX_SLOT_TRACES: usize = 128;
/// Spans that are loaded in one go: when time is up, what was loaded before stays.
const BATCH_SPANS: u64 = 25_000;
/// Memory of what is learned, about: with more the rest of the sample is left out.
pub(crate) const MAX_LEARNED_BYTES: usize = 16 << 20;
/// Traces that are counted once however many blocks tell of them; those beyond count in each.
const MAX_DISTINCT: usize = 1 << 18;
/// What one of them takes, about.
const DISTINCT_BYTES: u64 = 40;

/// Which traces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LearnRequest {
    /// Service of the root span.
    pub(crate) root_service: String,
    /// Its name.
    pub(crate) root_name: String,
    /// When the first slot begins, in Unix nanoseconds.
    pub(crate) start_unix_nanos: u64,
    /// Length of a slot; at least 1.
    pub(crate) slot_nanos: u64,
    /// How many slots follow each other; traces count where they begin.
    pub(crate) slot_count: usize,
    /// Most traces of the sample.
    pub(crate) max_traces: usize,
    /// Nothing is learned when more blocks than this may hold them.
    pub(crate) max_blocks: usize,
}

/// What they teach. Counts, names of services and operations, and ids of a few traces of each call path; no attribute and no time of any
/// one span.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    /// How traces go.
    pub(crate) observed: Observed,
    /// Of each slot how many traces began, and what passed between services in those of the sample.
    pub(crate) slots: Vec<(u64, Traffic)>,
    /// Whether the time or the memory was up before all of the sample was learned from.
    pub(crate) is_cut: bool,
    /// When it was looked which blocks there are, in Unix nanoseconds: it knows of nothing later.
    pub(crate) seen_unix_nanos: u64,
}

impl Learned {
    /// Traces of the sample.
    pub(crate) fn trace_count(&self) -> u64 {
        self.slots.iter().map(|(_, traffic)| traffic.entries).sum()
    }

    /// The memory that it takes, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        const EDGE: usize = 192;
        let edges = self.slots.iter().flat_map(|(_, traffic)| traffic.edges.keys());
        let edges: usize = edges.map(|edge| EDGE + edge.service.len() + edge.name.len()).sum();
        self.observed.memory_bytes() + edges + 64 * self.slots.len()
    }
}

/// Where in a chunk the columns are that a skeleton needs beside those of every chunk.
#[derive(Debug, Clone, Copy)]
struct Places {
    service: usize,
    name: usize,
    status: usize,
    parent_id: usize,
}

/// Learns until the time or [`MAX_LEARNED_BYTES`] are up: from what is loaded by then. At most one ranged GET for each block that may hold such traces, none
/// when the catalog holds its index, and one ranged read for each row group that holds one of the sample. Of each slot the traces with
/// the smallest ids are taken: ids are random, and these lie beside each other.
///
/// # Errors
/// [`Error`].
pub(crate) async fn run(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    request: &LearnRequest,
    until: Instant,
) -> Result<Learned, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seen_unix_nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    let mut learned = Learned { seen_unix_nanos, ..Learned::default() };
    let length = request.slot_nanos.saturating_mul(request.slot_count as u64);
    let range = TimeRange {
        start_unix_nanos: request.start_unix_nanos,
        end_unix_nanos: request.start_unix_nanos.saturating_add(length),
    };
    let blocks = reads.blocks(tenants, widened(Some(range), reads.shared.config.trace_reach.as_nanos())).await?;
    if blocks.len() > request.max_blocks {
        return Ok(learned);
    }
    let opening = stream::iter(blocks)
        .map(|at| async move { Ok::<_, Error>(Some(open(reads, &at).await?)) })
        .buffered(reads.width())
        .try_collect::<Vec<Option<Opened>>>();
    let Ok(opened) = tokio::time::timeout_at(until, opening).await else {
        return Ok(Learned { is_cut: true, ..learned });
    };
    let opened: Arc<[Option<Opened>]> = opened?.into();

    let trace_count: usize = opened.iter().flatten().map(|of| of.search.summaries().len()).sum();
    let max = reads.shared.config.max_search_traces;
    if opened.len() > 1 && trace_count > max {
        return Err(Error::TooManyTraces { max });
    }
    let _choosing = reads.hold(trace_count as u64 + DISTINCT_BYTES * trace_count.min(MAX_DISTINCT) as u64)?;
    let choose = {
        let (opened, request) = (Arc::clone(&opened), request.clone());
        move || chosen(&opened, &request, until)
    };
    let Some((counts, wanted)) = reads.compute(choose).await? else {
        return Ok(Learned { is_cut: true, ..learned });
    };
    drop(_choosing);
    learned.slots = counts.into_iter().map(|count| (count, Traffic::default())).collect();

    let mut plan = Plan::new(&every_span())?;
    let places = Places {
        service: plan.add(&resource("service.name")),
        name: plan.add(&intrinsic(Intrinsic::Name)),
        status: plan.add(&intrinsic(Intrinsic::Status)),
        parent_id: plan.add(&intrinsic(Intrinsic::ParentId)),
    };
    let plan = Arc::new(plan);
    let mut _held = None;
    for batch in in_batches(&opened, wanted) {
        let loading = load(reads, &opened, &plan, batch, Load::default());
        let Ok(batch) = tokio::time::timeout_at(until, loading).await else {
            learned.is_cut = true;
            break;
        };
        let batch = match batch {
            Err(bound) if bound.is_bound() => {
                learned.is_cut = true;
                break;
            }
            batch => batch?,
        };
        let request = request.clone();
        let learn = move || {
            learn(&mut learned, &batch, places, &request);
            learned
        };
        learned = reads.compute(learn).await?;
        _held = None;
        match reads.hold(learned.memory_bytes() as u64) {
            Ok(held) => _held = Some(held),
            Err(_) => learned.is_cut = true,
        }
        if learned.is_cut {
            break;
        }
    }
    Ok(learned)
}

/// Of each slot how many traces of the entry point began in it; and the sample, by trace id, each with all its pieces. None when the time
/// is up before all blocks are looked into.
fn chosen(opened: &[Option<Opened>], request: &LearnRequest, until: Instant) -> Option<(Vec<u64>, Vec<Wanted>)> {
    let mut counts = vec![0_u64; request.slot_count];
    let mut smallest: Vec<BTreeSet<TraceId>> = vec![BTreeSet::new(); request.slot_count];
    // A root may lie in two blocks.
    let mut counted: HashSet<TraceId, RandomState> = HashSet::default();
    for of in opened.iter().flatten() {
        if Instant::now() >= until {
            return None;
        }
        for (_, summary) in of.hidden.shown(&of.search) {
            let is_of_entry = summary.root_name.as_deref() == Some(request.root_name.as_str())
                && summary.root_service.as_deref().unwrap_or_default() == request.root_service;
            let Some(slot) = slot_of(request, summary.start_unix_nanos).filter(|_| is_of_entry) else { continue };
            if counted.len() < MAX_DISTINCT {
                counts[slot] += u64::from(counted.insert(summary.trace_id));
            } else {
                counts[slot] += u64::from(!counted.contains(&summary.trace_id));
            }
            let ids = &mut smallest[slot];
            if summary.span_count <= MAX_TRACE_SPANS
                && (ids.len() < MAX_SLOT_TRACES || ids.last().is_some_and(|last| summary.trace_id < *last))
            {
                ids.insert(summary.trace_id);
                if ids.len() > MAX_SLOT_TRACES {
                    ids.pop_last();
                }
            }
        }
    }
    // From every slot in turn, so that none is left out for another.
    let mut in_turn: Vec<(usize, TraceId)> = smallest.iter().flat_map(|ids| ids.iter().copied().enumerate()).collect();
    in_turn.sort_unstable();
    in_turn.truncate(request.max_traces);
    let ids: HashSet<TraceId, RandomState> = in_turn.iter().map(|(_, id)| *id).collect();
    let found = wanted(opened, |block, ordinal| {
        let of = opened[block].as_ref();
        of.is_some_and(|of| ids.contains(&of.search.summaries()[ordinal].trace_id))
    });
    // Those that come first in turn are kept when all together would be too many spans.
    let mut by_id: HashMap<TraceId, Wanted, RandomState> =
        found.into_iter().map(|wanted| (wanted.trace_id, wanted)).collect();
    let mut spans = 0;
    let mut kept = Vec::new();
    for (_, id) in in_turn {
        let Some(wanted) = by_id.remove(&id) else { continue };
        spans += span_count(opened, &wanted);
        if spans > MAX_SPANS {
            break;
        }
        kept.push(wanted);
    }
    kept.sort_unstable_by_key(|wanted| wanted.trace_id);
    Some((counts, kept))
}

fn span_count(opened: &[Option<Opened>], wanted: &Wanted) -> u64 {
    let of_piece = |piece: &Piece| {
        let of = block_of(opened, piece.block).ok()?;
        of.search.summaries().get(piece.ordinal as usize).map(|summary| u64::from(summary.span_count))
    };
    wanted.pieces.iter().filter_map(of_piece).sum()
}

fn slot_of(request: &LearnRequest, start_unix_nanos: u64) -> Option<usize> {
    let after = start_unix_nanos.checked_sub(request.start_unix_nanos)?;
    let slot = usize::try_from(after / request.slot_nanos.max(1)).ok()?;
    (slot < request.slot_count).then_some(slot)
}

fn in_batches(opened: &[Option<Opened>], wanted: Vec<Wanted>) -> Vec<Vec<Wanted>> {
    let mut batches: Vec<Vec<Wanted>> = Vec::new();
    let mut spans = BATCH_SPANS;
    for next in wanted {
        if spans >= BATCH_SPANS {
            batches.push(Vec::new());
            spans = 0;
        }
        spans += span_count(opened, &next);
        if let Some(batch) = batches.last_mut() {
            batch.push(next);
        }
    }
    batches
}

/// Learns from loaded traces, as long as there is room for the next one.
fn learn(learned: &mut Learned, batch: &Batch, places: Places, request: &LearnRequest) {
    for loaded in &batch.traces {
        let Some(slot) = slot_of(request, loaded.start_unix_nanos) else { continue };
        let trace = trace_of(batch, loaded, places);
        if learned.memory_bytes().saturating_add(Observed::most_text_bytes(&trace)) > MAX_LEARNED_BYTES {
            learned.is_cut = true;
            return;
        }
        learned.observed.add(&trace);
        learned.slots[slot].1.add(&trace);
    }
}

fn trace_of(batch: &Batch, loaded: &LoadedTrace, places: Places) -> Trace {
    let mut builder = SkeletonBuilder::with_capacity(loaded.trace_id, loaded.rows.len());
    for At { chunk, row } in &loaded.rows {
        let (chunk, row) = (&batch.chunks[*chunk as usize], *row as usize);
        let column = |place: usize| chunk.columns.get(place).and_then(Option::as_ref);
        let parent_id = match column(places.parent_id).map(|column| &column.values) {
            Some(RowValues::Ids(ids)) => ids[row],
            _ => 0,
        };
        let status = match column(places.status).map(|column| &column.values) {
            Some(RowValues::Numbers(numbers)) => numbers[row],
            _ => 0,
        };
        let start_unix_nanos = chunk.starts[row] as u64;
        builder.push(SpanRow {
            span_id: SpanId(chunk.span_ids[row].to_be_bytes()),
            parent_span_id: Some(SpanId(parent_id.to_be_bytes())),
            start_unix_nanos,
            end_unix_nanos: start_unix_nanos.saturating_add_signed(chunk.durations[row]),
            kind: Kind::from_otlp(i32::try_from(chunk.kinds[row]).unwrap_or(0)),
            status: Status::from_otlp(i32::try_from(status).unwrap_or(0)),
            service: text(column(places.service), row),
            name: text(column(places.name), row),
            ..SpanRow::default()
        });
    }
    Trace::new(builder.finish())
}

/// A column's text in a row; empty where it has none.
fn text(column: Option<&Column>, row: usize) -> &str {
    match column.map(|column| &column.values) {
        Some(RowValues::Texts { codes, texts }) if codes[row] != NIL => texts.value(codes[row] as usize),
        Some(RowValues::Coded { codes, values }) if codes[row] != NIL => match &values[codes[row] as usize] {
            AttributeValue::Text(text) => text,
            _ => "",
        },
        _ => "",
    }
}
