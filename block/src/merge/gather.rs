//! Columns of a row group of an output, gathered from the columns of the pieces.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, PrimitiveArray,
    StringArray, new_null_array,
};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType};
use foldhash::HashMap;
use parquet::errors::ParquetError;
use spanlake_otlp::ValueRef;

use super::pass::PassRows;
use super::rest::Scalar;
use crate::read::{ColumnValues, NULL, Values};
use crate::schema::ValueType;
use crate::write::Row;

/// Why a column cannot be gathered.
#[derive(Debug)]
pub(super) enum GatherError {
    /// The values of these rows take more bytes than a row group may have.
    TooLarge,
    /// A piece's column is not what the format says; which piece.
    Damaged(usize),
    Arrow(ArrowError),
    Parquet(ParquetError),
}

impl From<ArrowError> for GatherError {
    fn from(error: ArrowError) -> Self {
        Self::Arrow(error)
    }
}

/// Rows of a row group, and where their values lie.
pub(super) struct Gather<'a> {
    pub(super) pass: &'a PassRows,
    pub(super) rows: &'a [Row<u32>],
    /// For each row its piece and its place there.
    pub(super) places: &'a [(u32, u32)],
    /// Most bytes that the values of a column may take.
    pub(super) max_bytes: u64,
}

/// A gathered column.
pub(super) struct Gathered {
    pub(super) array: ArrayRef,
    /// How many rows have a value.
    pub(super) value_count: u64,
    /// Bytes of the values of all rows.
    pub(super) bytes: u64,
}

impl Gather<'_> {
    /// Each row with its piece and its place there.
    pub(super) fn placed_rows(&self) -> impl Iterator<Item = (&Row<u32>, (usize, usize))> {
        let places = self.places.iter().map(|(piece, place)| (*piece as usize, *place as usize));
        self.rows.iter().zip(places)
    }

    /// A column of texts, as a dictionary. `moved` are values that come from elsewhere. Each value is shown to `visit` once
    /// for each piece that has it, or more often.
    pub(super) fn strings<'c>(
        &self,
        piece_column: impl Fn(usize) -> Option<&'c ColumnValues>,
        moved: Option<&HashMap<u32, Scalar>>,
        mut visit: impl FnMut(&str),
    ) -> Result<Gathered, GatherError> {
        let mut codes_of: Vec<Vec<u32>> = vec![Vec::new(); self.pass.pieces.len()];
        let mut codes: Vec<i32> = Vec::with_capacity(self.rows.len());
        let mut present = BooleanBufferBuilder::new(self.rows.len());
        let mut offsets: Vec<i32> = vec![0];
        let mut values: Vec<u8> = Vec::new();
        let (mut value_count, mut bytes) = (0, 0);
        let mut push = |text: &[u8]| {
            values.extend_from_slice(text);
            offsets.push(values.len() as i32);
            offsets.len() as i32 - 2
        };
        for (row, (piece, place)) in self.placed_rows() {
            let found = piece_column(piece).and_then(|column| Some((column, column.slot(place)?)));
            let code = if let Some((column, slot)) = found {
                let Values::Bytes(texts) = &column.values else { return Err(GatherError::Damaged(piece)) };
                let text = texts.get(slot);
                bytes += text.len() as u64;
                if bytes > self.max_bytes && self.rows.len() > 1 {
                    return Err(GatherError::TooLarge);
                }
                let known = &mut codes_of[piece];
                if known.is_empty() {
                    known.resize(column.value_count(), NULL);
                }
                if known[slot] == NULL {
                    visit(std::str::from_utf8(text).map_err(|_| GatherError::Damaged(piece))?);
                    known[slot] = push(text) as u32;
                }
                Some(known[slot] as i32)
            } else if let Some(Scalar::String(text)) = moved.and_then(|moved| moved.get(&row.at)) {
                visit(text);
                bytes += text.len() as u64;
                Some(push(text.as_bytes()))
            } else {
                None
            };
            value_count += u64::from(code.is_some());
            present.append(code.is_some());
            codes.push(code.unwrap_or(0));
        }
        if value_count == 0 {
            let array = new_null_array(&DataType::Utf8, self.rows.len());
            return Ok(Gathered { array, value_count, bytes });
        }
        let values = StringArray::try_new(OffsetBuffer::new(offsets.into()), Buffer::from_vec(values), None)?;
        let codes = Int32Array::try_new(codes.into(), Some(NullBuffer::new(present.finish())))?;
        let array = Arc::new(DictionaryArray::<Int32Type>::try_new(codes, Arc::new(values))?);
        Ok(Gathered { array, value_count, bytes })
    }

    /// A column of numbers or booleans of a type. Each value is shown to `visit` once for each piece that has it, or more often.
    pub(super) fn scalars(
        &self,
        value_type: ValueType,
        columns: &[Option<ColumnValues>],
        moved: Option<&HashMap<u32, Scalar>>,
        mut visit: impl FnMut(ValueRef<'_>),
    ) -> Result<Gathered, GatherError> {
        let mut seen: Vec<Vec<bool>> = vec![Vec::new(); columns.len()];
        let mut is_new = |piece: usize, column: &ColumnValues, slot: usize| {
            let seen = &mut seen[piece];
            if seen.is_empty() {
                seen.resize(column.value_count(), false);
            }
            !std::mem::replace(&mut seen[slot], true)
        };
        let len = self.rows.len();
        let (mut ints, mut doubles, mut bools) = (Vec::new(), Vec::new(), Vec::new());
        let mut present = BooleanBufferBuilder::new(len);
        let mut value_count = 0;
        for (row, (piece, place)) in self.placed_rows() {
            let found = columns[piece].as_ref().and_then(|column| Some((column, column.slot(place)?)));
            let value = match (found, moved.and_then(|moved| moved.get(&row.at))) {
                (Some((column, slot)), _) => {
                    let value = match &column.values {
                        Values::I64(values) => ValueRef::Int(values[slot]),
                        Values::F64(values) => ValueRef::Double(values[slot]),
                        Values::Bool(values) => ValueRef::Bool(values[slot]),
                        _ => return Err(GatherError::Damaged(piece)),
                    };
                    if is_new(piece, column, slot) {
                        visit(value);
                    }
                    Some(value)
                }
                (None, Some(moved)) => {
                    let value = match moved {
                        Scalar::Int(int) => ValueRef::Int(*int),
                        Scalar::Double(double) => ValueRef::Double(*double),
                        Scalar::Bool(bool) => ValueRef::Bool(*bool),
                        Scalar::String(text) => ValueRef::String(text),
                    };
                    visit(value);
                    Some(value)
                }
                (None, None) => None,
            };
            value_count += u64::from(value.is_some());
            present.append(value.is_some());
            match value_type {
                ValueType::Int => ints.push(if let Some(ValueRef::Int(int)) = value { int } else { 0 }),
                ValueType::Double => {
                    doubles.push(if let Some(ValueRef::Double(double)) = value { double } else { 0.0 })
                }
                ValueType::Bool => bools.push(matches!(value, Some(ValueRef::Bool(true)))),
                ValueType::String => return Err(GatherError::Damaged(piece)),
            }
        }
        let present = Some(NullBuffer::new(present.finish()));
        let array: ArrayRef = match value_type {
            ValueType::Int => Arc::new(Int64Array::try_new(ints.into(), present)?),
            ValueType::Double => Arc::new(Float64Array::try_new(doubles.into(), present)?),
            ValueType::Bool | ValueType::String => Arc::new(BooleanArray::new(BooleanBuffer::from(bools), present)),
        };
        Ok(Gathered { array, value_count, bytes: 8 * value_count })
    }

    /// A column of 4-byte numbers without gaps.
    pub(super) fn small_numbers(&self, columns: &[ColumnValues]) -> Result<Vec<i32>, GatherError> {
        let number = |(_, (piece, place)): (&Row<u32>, (usize, usize))| {
            let column = &columns[piece];
            match (&column.values, column.slot(place)) {
                (Values::I32(values), Some(slot)) => Ok(values[slot]),
                _ => Err(GatherError::Damaged(piece)),
            }
        };
        self.placed_rows().map(number).collect()
    }

    /// How many rows back the parent is; null where it is not in the block. `at` is the row's number in the block.
    pub(super) fn parent_rows(&self) -> ArrayRef {
        let distance = |row: &Row<u32>| (row.parent_distance > 0).then_some(row.parent_distance as i32);
        Arc::new(self.rows.iter().map(distance).collect::<Int32Array>())
    }

    /// The parents' ids as sent, except where the parent is in the row group.
    pub(super) fn parent_ids(&self) -> ArrayRef {
        let id = |(at, row): (usize, &Row<u32>)| {
            let is_in_group = row.parent_distance > 0 && row.parent_distance as usize <= at;
            if is_in_group { None } else { self.pass.sent_parent_id(row.at) }
        };
        Arc::new(self.rows.iter().enumerate().map(id).collect::<BinaryArray>())
    }
}

/// A dense column of numbers.
pub(super) fn dense<T: arrow_array::ArrowPrimitiveType>(values: Vec<T::Native>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(values.into(), None))
}
