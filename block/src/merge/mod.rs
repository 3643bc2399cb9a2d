//! Merging blocks: sorted inputs in, blocks of the next level out, range by range of trace ids. Pure computation.
//!
//! A merge goes in passes. A pass takes the next range of trace ids out of all inputs, some hundred thousand rows, orders
//! them, and then writes one column after the other: it reads that column of every input, gathers it row group by row group,
//! encodes it and lets go of it. So memory holds the compressed row groups of the inputs that the pass touches, a few dozen
//! bytes a row for the order, one decoded column, and the outputs so far, which are cut at a size: nothing grows with the
//! inputs. Values stay dictionary entries from page to page, and only attributes that change between a column of their own
//! and the residual column are read as such.

mod choice;
mod cuts;
mod gather;
mod input;
mod order;
mod output;
mod pass;
mod rest;
mod row_group;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use bytes::Bytes;
use spanlake_model::TraceId;

pub use input::{MergeInput, SharedOrigins};

use crate::directory::ID_STRIDE;
use crate::schema::{self, AttributeColumn, Fixed, LEADING_COLUMNS};
use crate::{Damage, WriteError, WriteOptions, Written};
use choice::Chosen;
use gather::GatherError;
use input::{Inputs, Piece};
use order::{Ordered, OutputRows};
use output::Output;
use pass::PassRows;
use rest::{Moves, move_attributes};
use row_group::{Context, RowGroupWork, Source};

/// How to merge.
#[derive(Debug, Clone)]
pub struct MergeOptions {
    /// How the outputs are written; their level is among it.
    pub write: WriteOptions,
    /// Length of a time window in nanoseconds: spans of different windows go to different blocks. 0: all go together.
    pub window_nanos: u64,
    /// Rows at which an output is complete, at the next trace.
    pub max_block_rows: u64,
    /// Bytes of row groups at which an output is complete, at the next trace.
    pub max_block_bytes: u64,
    /// Rows merged in one step, about: memory is proportional to it.
    pub pass_rows: usize,
    /// Traces that are left out.
    pub deleted: Arc<HashSet<TraceId>>,
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self {
            write: WriteOptions { level: 1, ..WriteOptions::default() },
            window_nanos: 0,
            max_block_rows: 4 << 20,
            max_block_bytes: 64 << 20,
            pass_rows: 4 * 65_536,
            deleted: Arc::default(),
        }
    }
}

/// Why a merge cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// An input is not what was written.
    #[error("input {input} is damaged: {damage}")]
    Damaged {
        /// Which, as given to [`Merge::new`].
        input: usize,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A step was given fewer row groups than it wanted, or others.
    #[error("row group {row_group} of input {input} was not handed in")]
    Missing {
        /// Which input.
        input: usize,
        /// Which of its row groups.
        row_group: usize,
    },
    /// An output cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A row group that a step reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which input, as given to [`Merge::new`].
    pub input: usize,
    /// Which of its row groups.
    pub row_group: usize,
    /// Where it lies in the object.
    pub range: Range<u64>,
}

/// What a merge did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// Rows of all inputs.
    pub rows_read: u64,
    /// Rows of all outputs.
    pub rows_written: u64,
    /// Rows left out because an identical one is kept.
    pub duplicate_count: u64,
    /// Rows left out because their trace is deleted.
    pub deleted_count: u64,
}

/// The end of a merge.
#[derive(Debug)]
pub struct MergeEnd {
    /// The outputs that were not given by a step.
    pub blocks: Vec<Written>,
    /// What was done.
    pub report: MergeReport,
}

/// A merge under way.
pub struct Merge {
    options: MergeOptions,
    inputs: Inputs,
    /// The first row of each input that is not merged.
    next_rows: Vec<u64>,
    cuts: Vec<TraceId>,
    /// The pass to come.
    pass: usize,
    chosen: Vec<Chosen>,
    schema: SchemaRef,
    moves: Vec<Moves>,
    /// By time window.
    outputs: BTreeMap<u64, Output>,
    /// Rows of a row group, at most.
    most_row_group_rows: usize,
    /// The same, but less after a pass in which row groups were too large.
    row_group_rows: usize,
    report: MergeReport,
}

impl fmt::Debug for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "merge of {} blocks, pass {} of {}", self.inputs.all.len(), self.pass, self.cuts.len() + 1)
    }
}

impl Merge {
    /// Begins to merge. Costs no request.
    ///
    /// # Errors
    /// [`MergeError::Write`] if there is no input.
    pub fn new(inputs: Vec<MergeInput>, options: MergeOptions) -> Result<Self, MergeError> {
        if inputs.is_empty() {
            return Err(WriteError::Empty.into());
        }
        let chosen = choice::choose(&inputs, &options.write);
        let columns: Vec<AttributeColumn> = chosen.iter().map(|chosen| chosen.column.clone()).collect();
        let most_row_group_rows = cuts::row_group_rows(&inputs, options.write.row_group_rows);
        Ok(Self {
            next_rows: vec![0; inputs.len()],
            cuts: cuts::cuts(&inputs, options.pass_rows),
            pass: 0,
            schema: Arc::new(schema::schema(&columns)),
            moves: inputs.iter().map(|input| Moves::of(input, &chosen)).collect(),
            chosen,
            outputs: BTreeMap::new(),
            most_row_group_rows,
            row_group_rows: most_row_group_rows,
            report: MergeReport::default(),
            inputs: Inputs::new(inputs),
            options,
        })
    }

    /// The row groups that the next step needs and that were not handed in before, by input and row group. `None` when
    /// every row is merged.
    pub fn wanted(&self) -> Option<Vec<Wanted>> {
        if self.pass > self.cuts.len() {
            return None;
        }
        let mut wanted = Vec::new();
        for (input, candidate) in self.candidates().into_iter().enumerate() {
            let known = &self.inputs.all[input];
            let mut row = self.next_rows[input];
            while row < candidate {
                let row_group = known.row_group_of(row);
                if !self.inputs.is_held(input, row_group) {
                    wanted.push(Wanted { input, row_group, range: known.block.row_group_range(row_group) });
                }
                row = known.rows_of(row_group).end;
            }
        }
        Some(wanted)
    }

    /// Merges the next range of trace ids and gives the blocks that are complete. CPU only, about a microsecond or two a
    /// row.
    ///
    /// # Errors
    /// [`MergeError`]; the merge cannot go on after one.
    pub fn step(&mut self, fetched: Vec<(Wanted, Bytes)>) -> Result<Vec<Written>, MergeError> {
        if self.pass > self.cuts.len() {
            return Ok(Vec::new());
        }
        for (Wanted { input, row_group, .. }, bytes) in fetched {
            self.inputs.hold(input, row_group, bytes)?;
        }
        let candidates = self.candidates();
        let below = self.cuts.get(self.pass).copied();
        let pass = PassRows::read(&self.inputs, &mut self.next_rows, &candidates, below)?;
        let runs = pass.runs(&self.options.deleted);
        let kept: u64 = runs.iter().map(|run| u64::from(run.count)).sum();
        let ordered = order::order(&pass, &runs, self.options.window_nanos, self.outputs.keys().copied());
        drop(runs);
        self.report.rows_read += pass.len() as u64;
        self.report.deleted_count += pass.len() as u64 - kept;
        self.report.duplicate_count += ordered.duplicate_count;
        self.write(&pass, &ordered)?;
        self.pass += 1;
        for input in 0..self.next_rows.len() {
            self.inputs.release(input, self.next_rows[input]);
        }
        self.take_complete()
    }

    /// The last blocks, after [`Merge::wanted`] gave `None`.
    ///
    /// # Errors
    /// [`MergeError::Write`].
    pub fn finish(self) -> Result<MergeEnd, MergeError> {
        let blocks = self.outputs.into_values().map(|output| output.finish(&self.chosen)).collect::<Result<_, _>>()?;
        Ok(MergeEnd { blocks, report: self.report })
    }

    /// For each input, the first row that is certainly not part of the next pass.
    fn candidates(&self) -> Vec<u64> {
        let Some(below) = self.cuts.get(self.pass) else {
            return self.inputs.all.iter().map(MergeInput::row_count).collect();
        };
        let candidate = |input: &MergeInput| {
            let groups = &input.block.directory.row_groups;
            let row_group = groups.partition_point(|group| group.last_trace_id < *below);
            let Some(group) = groups.get(row_group) else { return input.row_count() };
            let strides = group.stride_trace_ids.partition_point(|id| id < below);
            let rows = input.rows_of(row_group);
            (rows.start + (strides * ID_STRIDE) as u64).min(rows.end)
        };
        self.inputs.all.iter().map(candidate).collect()
    }

    /// Writes the rows of a pass. A row group that turns out too large is cut in two, and the pass is written again.
    fn write(&mut self, pass: &PassRows, ordered: &Ordered) -> Result<(), MergeError> {
        for window in ordered.outputs.keys() {
            if !self.outputs.contains_key(window) {
                self.outputs.insert(*window, Output::new(&self.schema, &self.chosen, &self.options.write)?);
            }
        }
        let cut = |(window, rows): (&u64, &OutputRows)| (*window, cut(rows, self.row_group_rows));
        let mut ranges: Ranges = ordered.outputs.iter().map(cut).collect();
        let mut is_cut = false;
        loop {
            let error = match self.fill(pass, ordered, &ranges) {
                Ok(filled) => {
                    let longest = ranges.values().flatten().map(Range::len).max().unwrap_or(1);
                    self.row_group_rows = if is_cut {
                        longest.max(1)
                    } else {
                        self.row_group_rows.saturating_mul(2).min(self.most_row_group_rows)
                    };
                    for (window, groups) in filled {
                        let output = self.outputs.get_mut(&window).expect("made above");
                        let rows = &ordered.outputs[&window];
                        output.append(pass, rows, groups)?;
                        self.report.rows_written += rows.rows.len() as u64;
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            match error {
                Fault::TooLarge { window, number } => {
                    is_cut = true;
                    let ranges = ranges.get_mut(&window).expect("it was filled");
                    halve(ranges, number, &ordered.outputs[&window].trace_starts);
                }
                Fault::Damaged(piece) => {
                    let damage = Damage::new("row group", "a column is not what the format says");
                    return Err(MergeError::Damaged { input: pass.pieces[piece].input, damage });
                }
                Fault::Merge(error) => return Err(error),
            }
        }
    }

    /// Encodes the rows of a pass, column by column, into row groups of each output that are not appended yet.
    fn fill(
        &mut self,
        pass: &PassRows,
        ordered: &Ordered,
        ranges: &Ranges,
    ) -> Result<Vec<(u64, Vec<RowGroupWork>)>, Fault> {
        let moved = move_attributes(&self.inputs, pass, &self.moves, self.chosen.len())?;
        let max_bytes = self.options.write.row_group_bytes as u64;
        let mut filled: Vec<(u64, Vec<RowGroupWork>)> = Vec::new();
        for (window, ranges) in ranges {
            let output = &self.outputs[window];
            let groups = ranges.iter().enumerate().map(|(number, range)| {
                let row_group = output.row_group_count() + number;
                RowGroupWork::new(output, range.clone(), row_group, self.chosen.len(), max_bytes)
            });
            let groups =
                groups.collect::<Result<_, _>>().map_err(|error| Fault::Merge(WriteError::Encode(error).into()))?;
            filled.push((*window, groups));
        }
        let context = Context { inputs: &self.inputs, pass, moved: &moved };
        for (index, field) in self.schema.fields().iter().enumerate() {
            let source = source(&self.inputs, pass, &self.chosen, index)?;
            for (window, groups) in &mut filled {
                let output = self.outputs.get_mut(window).expect("made before");
                let mut placed = (output.resources.placed(), output.scopes.placed());
                for (number, work) in groups.iter_mut().enumerate() {
                    let filled = work.fill(&context, output, &ordered.outputs[window], field, &source, &mut placed);
                    filled.map_err(|error| match error {
                        GatherError::TooLarge => Fault::TooLarge { window: *window, number },
                        GatherError::Damaged(piece) => Fault::Damaged(piece),
                        GatherError::Arrow(error) => Fault::Merge(WriteError::Column(error).into()),
                        GatherError::Parquet(error) => Fault::Merge(WriteError::Encode(error).into()),
                    })?;
                }
            }
        }
        Ok(filled)
    }

    /// Outputs that are large enough; the largest if all together hold too much.
    fn take_complete(&mut self) -> Result<Vec<Written>, MergeError> {
        let (most_rows, most_bytes) = (self.options.max_block_rows.max(1), self.options.max_block_bytes.max(1));
        let is_complete = |output: &Output| output.row_count >= most_rows || output.bytes() >= most_bytes;
        let mut complete: Vec<u64> =
            self.outputs.iter().filter(|(_, output)| is_complete(output)).map(|(window, _)| *window).collect();
        let bytes: u64 = self.outputs.values().map(Output::bytes).sum();
        if complete.is_empty() && bytes > most_bytes.saturating_mul(2) {
            complete.extend(self.outputs.iter().max_by_key(|(_, output)| output.bytes()).map(|(window, _)| *window));
        }
        let finished = complete.into_iter().filter_map(|window| self.outputs.remove(&window));
        finished.map(|output| output.finish(&self.chosen).map_err(MergeError::from)).collect()
    }
}

/// The row groups of a pass, by window.
type Ranges = BTreeMap<u64, Vec<Range<usize>>>;

/// Row groups of at most so many rows are cut alone: what makes them too large is one trace, not what all rows are like.
const CUT_ALONE_ROWS: usize = 16_384;

/// Cuts the row group that is too large in two, at the end of a trace if there is one; while it has many rows, those as long
/// with it.
fn halve(ranges: &mut Vec<Range<usize>>, number: usize, trace_starts: &[u32]) {
    let too_long = ranges[number].len();
    let halved = ranges.iter().enumerate().flat_map(|(i, range)| {
        let is_like_it = too_long > CUT_ALONE_ROWS && range.len() * 2 > too_long;
        if range.len() < 2 || (i != number && !is_like_it) {
            return vec![range.clone()];
        }
        let middle = range.start + range.len() / 2;
        let before = &trace_starts[..trace_starts.partition_point(|start| *start as usize <= middle)];
        let at = before.last().map(|start| *start as usize).filter(|start| *start > range.start).unwrap_or(middle);
        vec![range.start..at, at..range.end]
    });
    *ranges = halved.collect();
}

/// What ends the encoding of a pass.
enum Fault {
    /// The values of a row group take more bytes than it may have.
    TooLarge {
        window: u64,
        number: usize,
    },
    /// A piece's column is not what the format says; which piece.
    Damaged(usize),
    Merge(MergeError),
}

impl From<MergeError> for Fault {
    fn from(error: MergeError) -> Self {
        Self::Merge(error)
    }
}

/// Reads what a column of the outputs is made of.
fn source<'a>(inputs: &Inputs, pass: &PassRows, chosen: &'a [Chosen], index: usize) -> Result<Source<'a>, Fault> {
    if let Some(number) = index.checked_sub(LEADING_COLUMNS).filter(|number| *number < chosen.len()) {
        let chosen = &chosen[number];
        let column = |piece: &Piece| {
            let leaf = inputs.all[piece.input].attribute_leaf(&chosen.column);
            leaf.map(|leaf| inputs.values(piece, leaf)).transpose()
        };
        let columns = pass.pieces.iter().map(column).collect::<Result<_, MergeError>>()?;
        let is_tracked = inputs.all.iter().any(|input| input.residual_keys.contains(&chosen.column.key));
        return Ok(Source::Attribute { number, chosen, columns, is_tracked });
    }
    let fixed = Fixed::ALL[if index < LEADING_COLUMNS { index } else { index - chosen.len() }];
    Ok(match fixed {
        Fixed::TraceId
        | Fixed::SpanId
        | Fixed::ParentRow
        | Fixed::ParentSpanId
        | Fixed::DescendantCount
        | Fixed::StartUnixNanos
        | Fixed::DurationNanos
        | Fixed::Kind
        | Fixed::Resource
        | Fixed::Scope => Source::Known(fixed),
        Fixed::Events | Fixed::Links => Source::List(fixed, lists(inputs, pass, fixed)?),
        Fixed::Name => Source::Fixed(fixed, Vec::new()),
        _ => Source::Fixed(fixed, inputs.column(&pass.pieces, fixed)?),
    })
}

/// The lists of each piece that has any item.
fn lists(inputs: &Inputs, pass: &PassRows, lists: Fixed) -> Result<Vec<Option<arrow_array::ArrayRef>>, MergeError> {
    let counts =
        inputs.column(&pass.pieces, if lists == Fixed::Events { Fixed::EventCount } else { Fixed::LinkCount })?;
    let list = |(piece, counts): (&Piece, &crate::read::ColumnValues)| {
        let input = piece.input;
        let damaged = |damage| MergeError::Damaged { input, damage };
        let numbers = pass::small_numbers(counts, piece.rows.len());
        let numbers = numbers.ok_or_else(|| damaged(Damage::new("row group", "items are not counted")))?;
        if numbers.iter().all(|count| *count == 0) {
            return Ok(None);
        }
        let block = &inputs.all[input].block;
        let leaves: Vec<usize> = lists.leaves(block.columns.len()).collect();
        let fetched = inputs.fetched(input, piece.row_group)?;
        let batch = block.read_batch(piece.row_group, fetched, &leaves, piece.rows.clone()).map_err(damaged)?;
        Ok(Some(Arc::clone(batch.column(0))))
    };
    pass.pieces.iter().zip(&counts).map(list).collect()
}

/// Cuts rows into row groups of about equal size, at most so many rows each, between traces; only a trace larger than that is
/// cut itself.
fn cut(rows: &OutputRows, most_rows: usize) -> Vec<Range<usize>> {
    let count = rows.rows.len();
    let target = count.div_ceil(count.div_ceil(most_rows).max(1)).max(1);
    let mut groups = Vec::new();
    let (mut start, mut end) = (0, 0);
    let ends = rows.trace_starts.iter().skip(1).map(|start| *start as usize).chain([count]);
    for trace_end in ends {
        if end > start && (end - start >= target || trace_end - start > most_rows) {
            groups.push(start..end);
            start = end;
        }
        while trace_end - start > most_rows {
            groups.push(start..start + most_rows);
            start += most_rows;
        }
        end = trace_end;
    }
    if start < count {
        groups.push(start..count);
    }
    groups
}
