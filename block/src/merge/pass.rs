//! The rows of one pass: what decides their order, of all inputs side by side.

use std::collections::HashSet;

use foldhash::{HashMap, HashMapExt as _};
use spanlake_model::TraceId;

use super::MergeError;
use super::input::{Inputs, Piece};
use crate::Damage;
use crate::read::{ColumnValues, Values};
use crate::schema::Fixed;

/// What a row says of its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parent {
    None,
    /// It has an id of 8 bytes, in `parent_ids`.
    Id,
    /// It has an id of another length, in `odd_parents`.
    Odd,
}

/// The rows of one pass, numbered from 0: input after input, each in its order.
#[derive(Debug, Default)]
pub(super) struct PassRows {
    pub(super) pieces: Vec<Piece>,
    /// The piece of each row.
    piece_of: Vec<u32>,
    pub(super) trace_ids: Vec<[u8; 16]>,
    pub(super) span_ids: Vec<[u8; 8]>,
    pub(super) starts: Vec<u64>,
    pub(super) durations: Vec<i64>,
    pub(super) kinds: Vec<i32>,
    parents: Vec<Parent>,
    parent_ids: Vec<[u8; 8]>,
    odd_parents: HashMap<u32, Box<[u8]>>,
    /// How many rows back the parent is in its input; 0 when it is not there.
    pub(super) parent_distances: Vec<u32>,
    pub(super) descendant_counts: Vec<i32>,
    /// Of each piece.
    names: Vec<ColumnValues>,
}

/// Rows of one trace in one input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) trace_id: TraceId,
    pub(super) first: u32,
    pub(super) count: u32,
}

impl PassRows {
    /// Reads the rows from `next_rows` on, input by input, whose trace id is below `below` (all if there is none), and moves
    /// `next_rows` behind them. `candidates` are the first rows certainly not below.
    pub(super) fn read(
        inputs: &Inputs,
        next_rows: &mut [u64],
        candidates: &[u64],
        below: Option<TraceId>,
    ) -> Result<Self, MergeError> {
        let mut pass = Self { odd_parents: HashMap::new(), ..Self::default() };
        for (input, next_row) in next_rows.iter_mut().enumerate() {
            while *next_row < candidates[input] {
                let known = &inputs.all[input];
                let row_group = known.row_group_of(*next_row);
                let group_rows = known.rows_of(row_group);
                let rows = (*next_row - group_rows.start) as usize
                    ..(candidates[input].min(group_rows.end) - group_rows.start) as usize;
                let base = pass.trace_ids.len() as u32;
                let mut piece = Piece { input, row_group, rows, base };
                let ids = inputs.values(&piece, known.leaf(Fixed::TraceId))?;
                let ids = ids_of::<16>(&ids, input)?;
                let wanted = below.map_or(ids.len(), |below| ids.partition_point(|id| *id < below.0));
                piece.rows.end = piece.rows.start + wanted;
                *next_row += wanted as u64;
                let is_end = wanted < ids.len();
                if wanted > 0 {
                    pass.trace_ids.extend_from_slice(&ids[..wanted]);
                    pass.push(inputs, piece)?;
                }
                if is_end {
                    break;
                }
            }
        }
        Ok(pass)
    }

    fn push(&mut self, inputs: &Inputs, piece: Piece) -> Result<(), MergeError> {
        let input = piece.input;
        let known = &inputs.all[input];
        let read = |column| inputs.values(&piece, known.leaf(column));
        let damaged = |problem: &str| MergeError::Damaged { input, damage: Damage::new("row group", problem) };
        let count = piece.rows.len();
        self.piece_of.resize(self.piece_of.len() + count, self.pieces.len() as u32);
        self.span_ids.extend_from_slice(ids_of::<8>(&read(Fixed::SpanId)?, input)?);
        let starts = numbers(&read(Fixed::StartUnixNanos)?, count).ok_or_else(|| damaged("starts are missing"))?;
        self.starts.extend(starts.into_iter().map(|start| start as u64));
        let durations = numbers(&read(Fixed::DurationNanos)?, count);
        self.durations.extend(durations.ok_or_else(|| damaged("durations are missing"))?);
        self.kinds.extend(small_numbers(&read(Fixed::Kind)?, count).ok_or_else(|| damaged("kinds are missing"))?);
        let descendants = small_numbers(&read(Fixed::DescendantCount)?, count);
        self.descendant_counts.extend(descendants.ok_or_else(|| damaged("descendants are not counted"))?);

        let (distances, parent_ids) = (read(Fixed::ParentRow)?, read(Fixed::ParentSpanId)?);
        let (Values::I32(distance_values), Values::Bytes(id_values)) = (&distances.values, &parent_ids.values) else {
            return Err(damaged("parents have another type"));
        };
        // Rows of the same input before this piece, in this pass: where a parent may lie.
        let before = match self.pieces.last().filter(|last| last.input == input) {
            Some(_) => self.pieces.iter().find(|earlier| earlier.input == input).map_or(piece.base, |first| first.base),
            None => piece.base,
        };
        for row in 0..count {
            let at = piece.base + row as u32;
            let distance = distances.slot(row).map_or(0, |slot| distance_values[slot]);
            let distance = u32::try_from(distance).ok().filter(|distance| *distance <= at - before);
            let distance = distance.ok_or_else(|| damaged("a parent lies outside the trace"))?;
            let same_trace = self.trace_ids[(at - distance) as usize] == self.trace_ids[at as usize];
            if !same_trace {
                return Err(damaged("a parent lies outside the trace"));
            }
            self.parent_distances.push(distance);
            let (parent, id) = match parent_ids.slot(row).map(|slot| id_values.get(slot)) {
                Some(bytes) => match <[u8; 8]>::try_from(bytes) {
                    Ok(id) => (Parent::Id, id),
                    Err(_) => {
                        self.odd_parents.insert(at, Box::from(bytes));
                        (Parent::Odd, [0; 8])
                    }
                },
                None if distance > 0 => (Parent::Id, self.span_ids[(at - distance) as usize]),
                None => (Parent::None, [0; 8]),
            };
            self.parents.push(parent);
            self.parent_ids.push(id);
        }
        self.names.push(read(Fixed::Name)?);
        self.pieces.push(piece);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.trace_ids.len()
    }

    /// The piece of a row, and its place there.
    pub(super) fn place(&self, row: u32) -> (usize, usize) {
        let piece = self.piece_of[row as usize] as usize;
        (piece, (row - self.pieces[piece].base) as usize)
    }

    /// The id of the parent that a row names for the tree: zeros if there is none.
    pub(super) fn parent_span_id(&self, row: u32) -> [u8; 8] {
        self.parent_ids[row as usize]
    }

    /// The parent's id as it was sent.
    pub(super) fn sent_parent_id(&self, row: u32) -> Option<&[u8]> {
        match self.parents[row as usize] {
            Parent::None => None,
            Parent::Id => Some(&self.parent_ids[row as usize]),
            Parent::Odd => self.odd_parents.get(&row).map(|id| &**id),
        }
    }

    /// The names of each piece.
    pub(super) fn names(&self) -> &[ColumnValues] {
        &self.names
    }

    /// A row's name, as its bytes.
    pub(super) fn name(&self, row: u32) -> &[u8] {
        let (piece, place) = self.place(row);
        match (&self.names[piece].values, self.names[piece].slot(place)) {
            (Values::Bytes(texts), Some(slot)) => texts.get(slot),
            _ => &[],
        }
    }

    /// The rows of each trace in each input, by trace id, without the traces that are `deleted`.
    pub(super) fn runs(&self, deleted: &HashSet<TraceId>) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for input in self.pieces.chunk_by(|a, b| a.input == b.input) {
            let from = input[0].base as usize;
            let to = input.last().map_or(from, |last| last.base as usize + last.rows.len());
            let mut first = from;
            for run in self.trace_ids[from..to].chunk_by(|a, b| a == b) {
                let trace_id = TraceId(run[0]);
                if deleted.is_empty() || !deleted.contains(&trace_id) {
                    runs.push(Run { trace_id, first: first as u32, count: run.len() as u32 });
                }
                first += run.len();
            }
        }
        runs.sort_unstable_by_key(|run| (run.trace_id, run.first));
        runs
    }
}

fn ids_of<const N: usize>(ids: &ColumnValues, input: usize) -> Result<&[[u8; N]], MergeError> {
    ids.ids().ok_or_else(|| MergeError::Damaged { input, damage: Damage::new("row group", "ids have another length") })
}

/// A column of 8-byte numbers without gaps, row by row.
fn numbers(column: &ColumnValues, count: usize) -> Option<Vec<i64>> {
    let Values::I64(values) = &column.values else { return None };
    (0..count).map(|row| values.get(column.slot(row)?).copied()).collect()
}

/// A column of 4-byte numbers without gaps, row by row.
pub(super) fn small_numbers(column: &ColumnValues, count: usize) -> Option<Vec<i32>> {
    let Values::I32(values) = &column.values else { return None };
    (0..count).map(|row| values.get(column.slot(row)?).copied()).collect()
}
