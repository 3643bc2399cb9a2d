//! Attributes that change sides: out of the residual column into one of their own, or back.

use foldhash::{HashMap, HashMapExt as _};
use spanlake_otlp::ValueRef;

use super::MergeError;
use super::choice::Chosen;
use super::input::{Inputs, MergeInput, Piece};
use super::pass::PassRows;
use crate::Damage;
use crate::read::{ColumnValues, Values};
use crate::schema::{AttributeColumn, Fixed, LEADING_COLUMNS, ValueType};
use crate::text;

/// An attribute value taken out of a residual text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    String(Box<str>),
    Int(i64),
    Double(f64),
    Bool(bool),
}

impl Scalar {
    fn of(value: ValueRef<'_>) -> Option<(ValueType, Self)> {
        Some(match value {
            ValueRef::String(text) => (ValueType::String, Self::String(Box::from(text))),
            ValueRef::Int(int) => (ValueType::Int, Self::Int(int)),
            ValueRef::Double(double) => (ValueType::Double, Self::Double(double)),
            ValueRef::Bool(bool) => (ValueType::Bool, Self::Bool(bool)),
            _ => return None,
        })
    }
}

/// What changes sides in one input.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// Keys of its residual column that have a column in the outputs: for each type the number of that column.
    to_columns: HashMap<String, [Option<usize>; ValueType::COUNT]>,
    /// For each of these keys, its columns in the input: a row with a value there has none to move.
    columns_of: HashMap<String, Vec<usize>>,
    /// Columns of the input that the outputs do not have.
    to_rest: Vec<(usize, AttributeColumn)>,
}

impl Moves {
    pub(super) fn of(input: &MergeInput, chosen: &[Chosen]) -> Self {
        let mut moves = Self::default();
        for (number, Chosen { column, .. }) in chosen.iter().enumerate() {
            if input.keys.contains_key(column) && input.attribute_leaf(column).is_none() {
                let numbers = moves.to_columns.entry(column.key.clone()).or_default();
                numbers[column.value_type as usize] = Some(number);
            }
        }
        for (index, column) in input.block.columns.iter().enumerate() {
            let leaf = LEADING_COLUMNS + index;
            if moves.to_columns.contains_key(&column.key) {
                moves.columns_of.entry(column.key.clone()).or_default().push(leaf);
            }
            if !chosen.iter().any(|chosen| chosen.column == *column) {
                moves.to_rest.push((leaf, column.clone()));
            }
        }
        moves
    }

    fn is_empty(&self) -> bool {
        self.to_columns.is_empty() && self.to_rest.is_empty()
    }
}

/// What changed sides in a pass.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// The residual texts of the rows where they are not those of the input; none: nothing is left.
    pub(super) texts: HashMap<u32, Option<String>>,
    /// For each column of the outputs, values that come from residual texts.
    pub(super) values: Vec<HashMap<u32, Scalar>>,
}

/// Moves the attributes of a pass.
pub(super) fn move_attributes(
    inputs: &Inputs,
    pass: &PassRows,
    moves: &[Moves],
    column_count: usize,
) -> Result<Moved, MergeError> {
    let mut moved = Moved { texts: HashMap::new(), values: vec![HashMap::new(); column_count] };
    for piece in &pass.pieces {
        let moves = &moves[piece.input];
        if !moves.is_empty() {
            move_piece(inputs, piece, moves, &mut moved)?;
        }
    }
    Ok(moved)
}

fn move_piece(inputs: &Inputs, piece: &Piece, moves: &Moves, moved: &mut Moved) -> Result<(), MergeError> {
    let input = piece.input;
    let damaged = |problem: String| MergeError::Damaged { input, damage: Damage::new("attributes text", problem) };
    let rests = inputs.values(piece, inputs.all[input].leaf(Fixed::AttributesRest))?;
    let Values::Bytes(rest_texts) = &rests.values else { return Err(damaged("it has another type".to_owned())) };
    let read = |leaf: &usize| inputs.values(piece, *leaf);
    let demoted = moves.to_rest.iter().map(|(leaf, _)| read(leaf)).collect::<Result<Vec<_>, _>>()?;
    let mut columns_of: HashMap<&str, Vec<ColumnValues>> = HashMap::new();
    for (key, leaves) in &moves.columns_of {
        columns_of.insert(key, leaves.iter().map(read).collect::<Result<_, _>>()?);
    }
    let mut taken: Vec<&str> = Vec::new();
    for place in 0..piece.rows.len() {
        let row = piece.base + place as u32;
        let mut text = String::new();
        let mut is_changed = false;
        // First values come before later ones of the same key, as a reader must give them back.
        for ((_, column), values) in moves.to_rest.iter().zip(&demoted) {
            let Some(slot) = values.slot(place) else { continue };
            let value = value_at(values, slot).ok_or_else(|| damaged("a column has another type".to_owned()))?;
            begin_member(&mut text);
            text::write_string(&mut text, &column.key);
            text.push(':');
            text::write_value(&mut text, value);
            is_changed = true;
        }
        if let Some(slot) = rests.slot(place) {
            let rest = utf8(rest_texts.get(slot)).ok_or_else(|| damaged("it is not UTF-8".to_owned()))?;
            if moves.to_columns.is_empty() && !is_changed {
                continue;
            }
            let members = text::members(rest).ok_or_else(|| damaged("it is no JSON object".to_owned()))?;
            taken.clear();
            for member in &members {
                let key = member.key().map_err(|error| damaged(error.to_string()))?;
                if let Some((key, numbers)) = moves.to_columns.get_key_value(&*key)
                    && !taken.contains(&key.as_str())
                {
                    taken.push(key);
                    let has_column = columns_of.get(key.as_str());
                    let is_first = has_column.is_none_or(|columns| columns.iter().all(|c| c.slot(place).is_none()));
                    let value = member.value().map_err(|error| damaged(error.to_string()))?;
                    let scalar = value.scalar().and_then(Scalar::of).filter(|_| is_first);
                    if let Some((number, scalar)) =
                        scalar.and_then(|(value_type, scalar)| Some((numbers[value_type as usize]?, scalar)))
                    {
                        moved.values[number].insert(row, scalar);
                        is_changed = true;
                        continue;
                    }
                }
                begin_member(&mut text);
                text.push_str(member.text);
            }
        }
        if is_changed {
            if !text.is_empty() {
                text.push('}');
            }
            moved.texts.insert(row, Some(text).filter(|text| !text.is_empty()));
        }
    }
    Ok(())
}

fn begin_member(text: &mut String) {
    text.push(if text.is_empty() { '{' } else { ',' });
}

fn utf8(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn value_at(values: &ColumnValues, slot: usize) -> Option<ValueRef<'_>> {
    Some(match &values.values {
        Values::Bytes(texts) => ValueRef::String(utf8(texts.get(slot))?),
        Values::I64(values) => ValueRef::Int(values[slot]),
        Values::F64(values) => ValueRef::Double(values[slot]),
        Values::Bool(values) => ValueRef::Bool(values[slot]),
        Values::Fixed(..) | Values::I32(_) => return None,
    })
}
