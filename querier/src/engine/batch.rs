//! Whole traces in memory: the rows of all their pieces, copies left out, in span order, with the columns a query names.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, ScalarBuffer};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use spanlake_analysis::Kind as SpanKind;
use spanlake_block::{AttributeValue, Block, Damage, RowField, RowValues, SearchIndex};
use spanlake_catalog::BlockRef;
use spanlake_model::TraceId;
use spanlake_table::{Held, HeldByProcess, HiddenTraces};
use spanlake_traceql::{Field, Intrinsic};

use super::column::{Column, Origin, attribute_origins, may_have, origin, unit};
use super::eval::Rows;
use super::pipeline::{At, Chunked, Subject};
use super::plan::Plan;
use super::scalar::Unit;
use super::tree::{NONE, Node, Tree};
use crate::error::Error;
use crate::fetch::Reads;
use crate::fields::{BlockParts, WhichRows};

/// An opened block of a query.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) at: BlockRef,
    pub(super) block: Arc<Block>,
    pub(super) search: Arc<SearchIndex>,
    /// Its traces that are deleted.
    pub(super) hidden: HiddenTraces,
    /// The memory that is charged for them: the catalog's caches may let go of them, the query does not.
    pub(super) _held: Arc<HeldByProcess>,
}

impl Opened {
    pub(super) fn parts(&self) -> BlockParts<'_> {
        BlockParts { at: &self.at, block: &self.block, search: &self.search }
    }

    /// The rows of a row group that may be shown, counted from its first row; none when all may.
    pub(super) fn shown_rows(&self, row_group: usize) -> Option<BooleanBuffer> {
        let range = self.block.rows_in(row_group);
        let hidden = self.hidden.rows_in(&self.search, range.clone());
        if hidden.is_empty() {
            return None;
        }
        let mut shown = BooleanBufferBuilder::new(range.len());
        let mut next = range.start;
        for rows in hidden {
            shown.append_n((rows.start - next) as usize, true);
            shown.append_n(rows.len(), false);
            next = rows.end;
        }
        shown.append_n((range.end - next) as usize, true);
        Some(shown.finish())
    }
}

/// What one block has of a trace: its summary's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Which block, in the order of the query: of copies, the one in the first block counts.
    pub(super) block: u32,
    pub(super) ordinal: u32,
}

/// A trace to load.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) trace_id: TraceId,
    /// At least one; ordered by block.
    pub(super) pieces: Vec<Piece>,
}

/// Rows of one row group.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) row_count: usize,
    /// By the plan's field places.
    pub(super) columns: Vec<Option<Column>>,
    /// For each filter of the plan the rows that meet it; none is all.
    pub(super) filtered: Vec<Option<BooleanBuffer>>,
    pub(super) starts: ScalarBuffer<i64>,
    /// As sent, so maybe negative.
    pub(super) durations: ScalarBuffer<i64>,
    pub(super) span_ids: ScalarBuffer<u64>,
    pub(super) kinds: ScalarBuffer<i64>,
    /// The next four only where [`Load`] asks for them.
    pub(super) names: Option<Column>,
    pub(super) parent_ids: Option<ScalarBuffer<u64>>,
    pub(super) statuses: Option<ScalarBuffer<i64>>,
    pub(super) services: Option<Column>,
    /// The memory that the query is charged for it.
    _held: Option<Held>,
}

impl Chunk {
    pub(super) fn rows(&self) -> Rows<'_> {
        Rows { row_count: self.row_count, columns: &self.columns }
    }

    fn end(&self, row: usize) -> u64 {
        (self.starts[row] as u64).saturating_add(self.durations[row].max(0) as u64)
    }
}

/// One whole trace.
#[derive(Debug)]
pub(super) struct LoadedTrace {
    pub(super) trace_id: TraceId,
    pub(super) pieces: Vec<Piece>,
    /// In span order.
    pub(super) rows: Vec<At>,
    pub(super) tree: Tree,
    pub(super) start_unix_nanos: u64,
    pub(super) end_unix_nanos: u64,
    /// Place of the root span; known only where roots were looked for.
    pub(super) root: Option<u32>,
}

/// Traces with their rows.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) chunks: Vec<Chunk>,
    pub(super) traces: Vec<LoadedTrace>,
}

/// What to load beside the plan's own fields.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load<'a> {
    /// Names, parents, statuses and services of traces in several blocks, for what is answered about a trace.
    pub(super) describes: bool,
    /// For each block which of its rows matter, if not all do: of a trace that lies in one such block, only those are loaded. All
    /// else that is told of it is in its summary.
    pub(super) matching: &'a [Option<BooleanBuffer>],
}

/// What a chunk reads.
struct Wants {
    fields: Vec<RowField>,
    /// For each field of the plan, the places of its origins in `fields`; none for fields of the trace.
    origins: Vec<Option<Vec<usize>>>,
    names: bool,
    parents: bool,
    describes: bool,
}

const BASE: [RowField; 4] = [RowField::StartUnixNanos, RowField::DurationNanos, RowField::SpanId, RowField::Kind];

impl Wants {
    fn new(plan: &Plan, opened: &Opened, row_group: usize, load: Load<'_>, several: bool) -> Self {
        let mut fields = BASE.to_vec();
        let place = |field: RowField, fields: &mut Vec<RowField>| match fields.iter().position(|known| *known == field)
        {
            Some(place) => place,
            None => {
                fields.push(field);
                fields.len() - 1
            }
        };
        let mut origins = Vec::with_capacity(plan.fields.0.len());
        let mut roots = false;
        for field in &plan.fields.0 {
            roots |= matches!(field, Field::Intrinsic(Intrinsic::RootName | Intrinsic::RootServiceName));
            let rows = match (origin(field), field) {
                (Origin::Rows(rows), _) => Some(rows),
                // What is gathered from parents is read like the span's own.
                (Origin::Trace, Field::Attribute { scope, key, .. }) => Some(attribute_origins(*scope, key)),
                (Origin::Trace, Field::Intrinsic(_)) => None,
            };
            origins.push(rows.map(|rows| {
                let there = rows.into_iter().filter(|row| may_have(&opened.block, &opened.search, row_group, row));
                there.map(|row| place(row, &mut fields)).collect()
            }));
        }
        let describes = several && (roots || load.describes);
        let (names, parents) = (several || describes, plan.needs_tree || describes);
        if names {
            place(RowField::Name, &mut fields);
        }
        if parents {
            place(RowField::ParentSpanId, &mut fields);
        }
        if describes {
            place(RowField::StatusCode, &mut fields);
            place(RowField::Service, &mut fields);
        }
        Self { fields, origins, names, parents, describes }
    }

    fn chunk(&self, plan: &Plan, read: Vec<RowValues>, row_count: usize) -> Result<Chunk, Damage> {
        let missing =
            || Damage::Corrupt { part: "row group", problem: "a column that was asked for is missing".to_owned() };
        let find = |field: &RowField| self.fields.iter().position(|known| known == field).map(|at| read[at].clone());
        let numbers = |field: RowField| match find(&field) {
            Some(RowValues::Numbers(numbers)) if numbers.len() == row_count => Ok(numbers),
            _ => Err(missing()),
        };
        let ids = |field: RowField| match find(&field) {
            Some(RowValues::Ids(ids)) if ids.len() == row_count => Ok(ids),
            _ => Err(missing()),
        };
        let column = |field: &RowField| find(field).map(|values| Column { values, unit: Unit::Plain });
        // Nothing there is no column: `compare()` names many that most row groups lack.
        let columns = plan.fields.0.iter().zip(&self.origins).map(|(field, origins)| {
            let origins = origins.as_ref().filter(|origins| !origins.is_empty())?;
            let read = origins.iter().map(|at| read[*at].clone()).collect();
            Some(Column::new(field, read, row_count))
        });
        Ok(Chunk {
            row_count,
            columns: columns.collect(),
            filtered: Vec::new(),
            starts: numbers(RowField::StartUnixNanos)?,
            durations: numbers(RowField::DurationNanos)?,
            span_ids: ids(RowField::SpanId)?,
            kinds: numbers(RowField::Kind)?,
            names: if self.names { column(&RowField::Name) } else { None },
            parent_ids: if self.parents { Some(ids(RowField::ParentSpanId)?) } else { None },
            statuses: if self.describes { Some(numbers(RowField::StatusCode)?) } else { None },
            services: if self.describes { column(&RowField::Service) } else { None },
            _held: None,
        })
    }
}

/// Rows that one chunk gets of one trace.
#[derive(Debug, Clone, Copy)]
struct Segment {
    trace: u32,
    /// In the chunk.
    first: u32,
    count: u32,
}

/// Loads traces. One ranged read for each row group that holds any of them.
///
/// # Errors
/// [`Error`], also past the query's memory.
pub(super) async fn load(
    reads: &Reads<'_>,
    opened: &[Option<Opened>],
    plan: &Arc<Plan>,
    wanted: Vec<Wanted>,
    load: Load<'_>,
) -> Result<Batch, Error> {
    let several = wanted.iter().any(|wanted| wanted.pieces.len() > 1);
    // Ordered by block and row group, so the first of several copies is always the same one.
    let mut jobs: BTreeMap<(u32, usize), (Vec<u32>, Vec<Segment>)> = BTreeMap::new();
    let told = told(opened, &wanted)?;
    let mut by_piece: Vec<(Piece, u32)> = wanted
        .iter()
        .enumerate()
        .flat_map(|(at, wanted)| wanted.pieces.iter().map(move |piece| (*piece, at as u32)))
        .collect();
    by_piece.sort_unstable_by_key(|(piece, _)| (piece.block, piece.ordinal));
    for (piece, trace) in by_piece {
        let of = block_of(opened, piece.block)?;
        let summary = of.search.summaries().get(piece.ordinal as usize);
        let summary = summary.ok_or_else(|| Error::Internal("a trace's summary is not there".to_owned()))?;
        let (mut row, end) = (summary.first_row, summary.first_row + summary.span_count);
        while row < end {
            let row_group = of.block.row_group_of(row);
            let range = of.block.rows_in(row_group);
            let count = end.min(range.end) - row;
            let (rows, segments) = jobs.entry((piece.block, row_group)).or_default();
            let (before, first) = (rows.len() as u32, row - range.start);
            // Of a trace in several blocks all rows are needed to leave out copies.
            let matching = load.matching.get(piece.block as usize).and_then(Option::as_ref);
            match matching.filter(|_| told[trace as usize].is_some()) {
                Some(matching) => {
                    let matching = matching.slice(row as usize, count as usize);
                    rows.extend(matching.set_indices().map(|at| first + at as u32));
                }
                None => rows.extend(first..first + count),
            }
            let count_loaded = rows.len() as u32 - before;
            segments.push(Segment { trace, first: before, count: count_loaded });
            row += count;
        }
    }
    jobs.retain(|_, (rows, _)| !rows.is_empty());
    let read: Vec<(Chunk, Vec<Segment>)> = stream::iter(jobs)
        .map(|((block, row_group), (rows, segments))| async move {
            let of = block_of(opened, block)?;
            let wants = Wants::new(plan, of, row_group, load, several);
            let plan = Arc::clone(plan);
            let (fields, row_count) = (wants.fields.clone(), rows.len());
            let chunk = move |read| wants.chunk(&plan, read, row_count);
            let chunk = reads.fields(of.parts(), row_group, fields, WhichRows::These(rows.into()), chunk).await?;
            reads.inspect_spans(chunk.row_count as u64);
            let held = reads.hold(chunk.memory_bytes())?;
            Ok::<_, Error>((Chunk { _held: Some(held), ..chunk }, segments))
        })
        .buffered(reads.width())
        .try_collect()
        .await?;
    let row_count: usize = read.iter().map(|(chunk, _)| chunk.row_count).sum();
    let assemble = {
        let plan = Arc::clone(plan);
        move || Batch::assemble(&plan, wanted, read, &told)
    };
    if row_count < INLINE_ROWS { Ok(assemble()) } else { reads.compute(assemble).await }
}

/// Below this many rows, putting traces together is too short to be worth another thread.
const INLINE_ROWS: usize = 4_096;

/// Name and service of a root span.
type Root = (Option<Arc<str>>, Option<Arc<str>>);

/// What a summary tells of a whole trace.
struct Told {
    root: Root,
    start_unix_nanos: u64,
    end_unix_nanos: u64,
}

/// What is told of each trace that lies in one block.
fn told(opened: &[Option<Opened>], wanted: &[Wanted]) -> Result<Vec<Option<Told>>, Error> {
    let told = |wanted: &Wanted| {
        let [piece] = wanted.pieces.as_slice() else { return Ok(None) };
        let summary = &block_of(opened, piece.block)?.search.summaries()[piece.ordinal as usize];
        Ok(Some(Told {
            root: (summary.root_name.clone(), summary.root_service.clone()),
            start_unix_nanos: summary.start_unix_nanos,
            end_unix_nanos: summary.end_unix_nanos,
        }))
    };
    wanted.iter().map(told).collect()
}

pub(super) fn block_of(opened: &[Option<Opened>], block: u32) -> Result<&Opened, Error> {
    let of = opened.get(block as usize).and_then(Option::as_ref);
    of.ok_or_else(|| Error::Internal("a block of a chosen trace is not open".to_owned()))
}

impl Chunk {
    fn memory_bytes(&self) -> u64 {
        let columns: usize = self.columns.iter().flatten().map(|column| column.values.memory_bytes()).sum();
        (columns + 48 * self.row_count) as u64
    }
}

impl Batch {
    fn assemble(plan: &Plan, wanted: Vec<Wanted>, read: Vec<(Chunk, Vec<Segment>)>, told: &[Option<Told>]) -> Self {
        let mut rows: Vec<Vec<At>> = vec![Vec::new(); wanted.len()];
        let mut chunks = Vec::with_capacity(read.len());
        for (at, (chunk, segments)) in read.into_iter().enumerate() {
            for Segment { trace, first, count } in segments {
                rows[trace as usize].extend((first..first + count).map(|row| At { chunk: at as u32, row }));
            }
            chunks.push(chunk);
        }
        let traces = wanted.into_iter().zip(rows).zip(told);
        let mut traces: Vec<LoadedTrace> =
            traces.map(|((wanted, rows), told)| assemble_trace(plan, &chunks, wanted, rows, told.as_ref())).collect();
        let of_trace: Vec<usize> =
            (0..plan.fields.0.len()).filter(|place| origin(&plan.fields.0[*place]) == Origin::Trace).collect();
        for place in of_trace {
            let field = &plan.fields.0[place];
            let columns = trace_columns(field, place, &chunks, &mut traces, told);
            for (chunk, column) in chunks.iter_mut().zip(columns) {
                chunk.columns[place] = Some(column);
            }
        }
        for chunk in &mut chunks {
            let filtered = {
                let rows = chunk.rows();
                plan.filters.iter().map(|filter| filter.as_ref().map(|expr| rows.filter(expr))).collect()
            };
            chunk.filtered = filtered;
        }
        Self { chunks, traces }
    }

    /// Runs the plan's stages on each trace.
    pub(super) fn run(&self, plan: &Plan) -> Vec<Vec<super::pipeline::Spans>> {
        let chunks: Vec<Chunked<'_>> = self.chunks.iter().map(|chunk| Chunked::new(plan, chunk.rows())).collect();
        let filtered: Vec<&[Option<BooleanBuffer>]> =
            self.chunks.iter().map(|chunk| chunk.filtered.as_slice()).collect();
        let run = |trace: &LoadedTrace| {
            Subject { plan, rows: &trace.rows, tree: &trace.tree, chunks: &chunks, filtered: &filtered }.run()
        };
        self.traces.iter().map(run).collect()
    }
}

fn assemble_trace(
    plan: &Plan,
    chunks: &[Chunk],
    wanted: Wanted,
    mut rows: Vec<At>,
    told: Option<&Told>,
) -> LoadedTrace {
    let chunk = |at: &At| &chunks[at.chunk as usize];
    let key = |at: &At| {
        let (chunk, row) = (chunk(at), at.row as usize);
        (chunk.starts[row] as u64, chunk.span_ids[row])
    };
    let rest = |at: &At| {
        let (chunk, row) = (chunk(at), at.row as usize);
        let end = (chunk.starts[row] as u64).wrapping_add(chunk.durations[row] as u64);
        (chunk.kinds[row], end, chunk.names.as_ref().map(|names| text_of(names, row)))
    };
    rows.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| rest(a).cmp(&rest(b))));
    if wanted.pieces.len() > 1 {
        // Copies are neighbours now, and the sort keeps the first block's one in front.
        rows.dedup_by(|later, kept| key(later) == key(kept) && rest(later) == rest(kept));
    }
    let (mut start, mut end) = (u64::MAX, 0);
    for at in rows.iter().filter(|at| chunk(at).starts[at.row as usize] != 0) {
        start = start.min(chunk(at).starts[at.row as usize] as u64);
        end = end.max(chunk(at).end(at.row as usize));
    }
    let parent_id = |at: &At| chunk(at).parent_ids.as_ref().map_or(0, |ids| ids[at.row as usize]);
    let tree = if plan.needs_tree {
        let node = |at: &At| Node {
            id: chunk(at).span_ids[at.row as usize],
            parent_id: parent_id(at),
            kind: SpanKind::from_otlp(i32::try_from(chunk(at).kinds[at.row as usize]).unwrap_or(0)),
        };
        Tree::new(&rows.iter().map(node).collect::<Vec<_>>())
    } else {
        Tree::default()
    };
    let root = rows.iter().position(|at| chunk(at).parent_ids.is_some() && parent_id(at) == 0).map(|at| at as u32);
    LoadedTrace {
        trace_id: wanted.trace_id,
        pieces: wanted.pieces,
        rows,
        tree,
        start_unix_nanos: told.map_or(if end == 0 { 0 } else { start }, |told| told.start_unix_nanos),
        end_unix_nanos: told.map_or(end, |told| told.end_unix_nanos),
        root,
    }
}

fn text_of(column: &Column, row: usize) -> String {
    match column.attribute(row) {
        Some(AttributeValue::Text(text)) => text.as_ref().to_owned(),
        _ => String::new(),
    }
}

/// A field that only whole traces know, for the rows of each chunk.
fn trace_columns(
    field: &Field,
    place: usize,
    chunks: &[Chunk],
    traces: &mut [LoadedTrace],
    told: &[Option<Told>],
) -> Vec<Column> {
    if let Field::Attribute { of_parent: true, .. } = field {
        let mut values: Vec<Vec<Option<AttributeValue>>> =
            chunks.iter().map(|chunk| vec![None; chunk.row_count]).collect();
        for trace in traces.iter() {
            for (at, parent) in trace.rows.iter().zip(&trace.tree.parent).filter(|(_, parent)| **parent != NONE) {
                let from = trace.rows[*parent as usize];
                let own = chunks[from.chunk as usize].columns[place].as_ref();
                values[at.chunk as usize][at.row as usize] = own.and_then(|own| own.attribute(from.row as usize));
            }
        }
        return values.into_iter().map(|values| Column::from_values(values.into_iter(), Unit::Plain)).collect();
    }
    let Field::Intrinsic(intrinsic) = field else { return Vec::new() };
    match intrinsic {
        Intrinsic::RootName | Intrinsic::RootServiceName | Intrinsic::TraceId => {
            let mut values: Vec<Vec<Option<AttributeValue>>> =
                chunks.iter().map(|chunk| vec![None; chunk.row_count]).collect();
            for (number, trace) in traces.iter().enumerate() {
                let value = match intrinsic {
                    Intrinsic::TraceId => Some(Arc::from(trace.trace_id.to_string())),
                    _ => {
                        let told = told[number].as_ref().map(|told| told.root.clone());
                        let (name, service) = told.unwrap_or_else(|| root_of(chunks, trace));
                        if *intrinsic == Intrinsic::RootName { name } else { service }
                    }
                };
                let value = value.map(AttributeValue::Text);
                for at in &trace.rows {
                    values[at.chunk as usize][at.row as usize].clone_from(&value);
                }
            }
            values.into_iter().map(|values| Column::from_values(values.into_iter(), Unit::Plain)).collect()
        }
        _ => {
            let mut numbers: Vec<Vec<i64>> = chunks.iter().map(|chunk| vec![0; chunk.row_count]).collect();
            for trace in traces.iter() {
                let duration = i64::try_from(trace.end_unix_nanos - trace.start_unix_nanos).unwrap_or(i64::MAX);
                for (span, at) in trace.rows.iter().enumerate() {
                    numbers[at.chunk as usize][at.row as usize] = match intrinsic {
                        Intrinsic::TraceDuration => duration,
                        Intrinsic::ChildCount => i64::from(trace.tree.child_count[span]),
                        Intrinsic::NestedSetLeft => i64::from(trace.tree.left[span]),
                        Intrinsic::NestedSetRight => i64::from(trace.tree.right[span]),
                        _ => match trace.tree.parent[span] {
                            NONE => -1,
                            parent => i64::from(trace.tree.left[parent as usize]),
                        },
                    };
                }
            }
            let unit = unit(field);
            numbers.into_iter().map(|numbers| Column { values: RowValues::Numbers(numbers.into()), unit }).collect()
        }
    }
}

/// Name and service of the root span, from its row.
pub(super) fn root_of(chunks: &[Chunk], trace: &LoadedTrace) -> Root {
    let Some(root) = trace.root else { return (None, None) };
    let At { chunk, row } = trace.rows[root as usize];
    let text = |column: Option<&Column>| match column?.attribute(row as usize)? {
        AttributeValue::Text(text) => Some(text),
        _ => None,
    };
    let chunk = &chunks[chunk as usize];
    (text(chunk.names.as_ref()), text(chunk.services.as_ref()))
}
