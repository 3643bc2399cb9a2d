//! A span attribute of each row, whether it lies in columns of its own, in the residual text, or in both.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, StringArray};
use memchr::memmem;

use super::{AttributeValue, NIL, RowValues, Rows, damage, texts_of, value_of, wrong_type};
use crate::schema::{self, ValueType};
use crate::{Damage, text};

/// The attribute `key` of the rows; `column` gives the planned columns by number.
pub(super) fn read<'b>(
    rows: &Rows<'_>,
    key: &str,
    column: &dyn Fn(usize) -> Result<&'b ArrayRef, Damage>,
) -> Result<RowValues, Damage> {
    let columns = rows.block.columns.iter().enumerate().filter(|(_, described)| described.key == key);
    let columns: Vec<(ValueType, &ArrayRef)> = columns
        .map(|(at, described)| Ok((described.value_type, column(schema::LEADING_COLUMNS + at)?)))
        .collect::<Result<_, Damage>>()?;
    let residual = rows.search.is_residual(key, rows.plan.row_group);
    if !residual {
        match columns.as_slice() {
            [] => return Ok(RowValues::nil(rows.len())),
            [(value_type, array)] => return alone(*value_type, array),
            _ => {}
        }
    }
    let mut mixed = Mixed { codes: vec![NIL; rows.len()], values: Vec::new() };
    for (value_type, array) in columns {
        mixed.add_column(value_type, array)?;
    }
    if residual {
        mixed.add_residual(key, column(rows.root(schema::ATTRIBUTES_REST))?)?;
    }
    Ok(RowValues::Coded { codes: mixed.codes.into(), values: mixed.values.into() })
}

fn alone(value_type: ValueType, array: &ArrayRef) -> Result<RowValues, Damage> {
    let wrong = || wrong_type("of an attribute");
    Ok(match value_type {
        ValueType::String => texts_of(array)?,
        ValueType::Int => RowValues::Ints(array.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?.clone()),
        ValueType::Double => RowValues::Doubles(array.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?.clone()),
        ValueType::Bool => RowValues::Bools(array.as_boolean_opt().ok_or_else(wrong)?.clone()),
    })
}

/// Values of several types and places; the first that a row gets is its value.
struct Mixed {
    codes: Vec<u32>,
    values: Vec<AttributeValue>,
}

impl Mixed {
    fn set(&mut self, row: usize, value: AttributeValue) {
        self.codes[row] = self.values.len() as u32;
        self.values.push(value);
    }

    fn add_column(&mut self, value_type: ValueType, array: &ArrayRef) -> Result<(), Damage> {
        match alone(value_type, array)? {
            RowValues::Texts { codes, texts } => {
                let first = self.values.len() as u32;
                self.values.extend((0..texts.len()).map(|at| AttributeValue::Text(Arc::from(texts.value(at)))));
                for (code, own) in self.codes.iter_mut().zip(codes.iter()).filter(|(_, own)| **own != NIL) {
                    *code = first + own;
                }
            }
            RowValues::Ints(ints) => {
                for (row, int) in ints.iter().enumerate().filter_map(|(row, int)| Some((row, int?))) {
                    self.set(row, AttributeValue::Int(int));
                }
            }
            RowValues::Doubles(doubles) => {
                for (row, double) in doubles.iter().enumerate().filter_map(|(row, double)| Some((row, double?))) {
                    if double.is_nan() {
                        continue;
                    }
                    self.set(row, AttributeValue::Double(double));
                }
            }
            RowValues::Bools(bools) => {
                for (row, bool) in bools.iter().enumerate().filter_map(|(row, bool)| Some((row, bool?))) {
                    self.set(row, AttributeValue::Bool(bool));
                }
            }
            RowValues::Numbers(_) | RowValues::Ids(_) | RowValues::Coded { .. } => {}
        }
        Ok(())
    }

    /// Values in the residual text of rows that have none yet: what lies in a column comes first in a span that repeats a key.
    fn add_residual(&mut self, key: &str, rest: &ArrayRef) -> Result<(), Damage> {
        let rest = rest.as_dictionary_opt::<Int32Type>().ok_or_else(|| wrong_type("attributes_rest"))?;
        let texts: &StringArray = rest.values().as_string_opt().ok_or_else(|| wrong_type("attributes_rest"))?;
        let mut needle = String::new();
        text::write_string(&mut needle, key);
        needle.push(':');
        let finder = memmem::Finder::new(needle.as_bytes());
        let mut codes_of = Vec::with_capacity(texts.len());
        for at in 0..texts.len() {
            let found = texts.is_valid(at) && finder.find(texts.value(at).as_bytes()).is_some();
            let value = if found {
                let attributes = text::read_attributes(texts.value(at));
                value_of(&attributes.map_err(|error| damage(&error.to_string()))?, key)
            } else {
                None
            };
            codes_of.push(value.map_or(NIL, |value| {
                self.values.push(value);
                self.values.len() as u32 - 1
            }));
        }
        let keys = rest.keys();
        for (row, code) in self.codes.iter_mut().enumerate() {
            if *code == NIL && keys.is_valid(row) {
                *code = codes_of.get(keys.value(row) as usize).copied().unwrap_or(NIL);
            }
        }
        Ok(())
    }
}
