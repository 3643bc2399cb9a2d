//! What a leaf makes of the columns of a block: the same, words and texts for numbers and bytes, or one row for each
//! element of a list.
//!
//! It knows arrays, not where they come from.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, TimestampNanosecondArray, UInt32Array};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_select::take::take;
use spanlake_block::Column;

/// The time zone of timestamps.
pub(crate) const TIME_ZONE: &str = "UTC";

/// Words for the kinds of spans, by OTLP's number.
pub(crate) const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
/// Words for status codes, by OTLP's number.
pub(crate) const STATUSES: [&str; 3] = ["unset", "ok", "error"];

/// How a value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is stored.
    Stored,
    /// Bytes as lower-case hexadecimal digits.
    Hex,
    /// A number as one of these words; a number without a word as its digits.
    Word(&'static [&'static str]),
    /// Unix nanoseconds as a timestamp; what lies after the year 2262 as the last nanosecond that fits.
    Time,
}

impl Form {
    /// The type of a shown value.
    pub(crate) fn data_type(self, stored: &DataType) -> DataType {
        match self {
            Self::Stored => stored.clone(),
            Self::Hex | Self::Word(_) => DataType::Utf8,
            Self::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some(TIME_ZONE.into())),
        }
    }

    fn show(self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let wrong_type = || ArrowError::SchemaError(format!("{} cannot be shown as {self:?}", array.data_type()));
        match self {
            Self::Stored => Ok(Arc::clone(array)),
            Self::Hex => match array.data_type() {
                DataType::FixedSizeBinary(_) => Ok(hex(array.as_fixed_size_binary().iter())),
                DataType::Binary => Ok(hex(array.as_binary::<i32>().iter())),
                _ => Err(wrong_type()),
            },
            Self::Word(words) => {
                let numbers = array.as_primitive_opt::<Int32Type>().ok_or_else(wrong_type)?;
                let mut out = StringBuilder::with_capacity(numbers.len(), 8 * numbers.len());
                for number in numbers {
                    match number.map(|number| (number, usize::try_from(number).ok().and_then(|at| words.get(at)))) {
                        None => out.append_null(),
                        Some((_, Some(word))) => out.append_value(word),
                        Some((number, None)) => out.append_value(number.to_string()),
                    }
                }
                Ok(Arc::new(out.finish()))
            }
            Self::Time => {
                let nanos = array.as_primitive_opt::<UInt64Type>().ok_or_else(wrong_type)?;
                Ok(Arc::new(times(nanos.iter())))
            }
        }
    }
}

/// Unix nanoseconds as timestamps.
pub(crate) fn times(nanos: impl Iterator<Item = Option<u64>>) -> TimestampNanosecondArray {
    let fitting = nanos.map(|nanos| nanos.map(|nanos| i64::try_from(nanos).unwrap_or(i64::MAX)));
    TimestampNanosecondArray::from_iter(fitting).with_timezone(TIME_ZONE)
}

/// Appends lower-case hexadecimal digits.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn hex<'a>(values: impl Iterator<Item = Option<&'a [u8]>>) -> ArrayRef {
    let mut out = StringBuilder::new();
    let mut text = String::new();
    for value in values {
        match value {
            None => out.append_null(),
            Some(bytes) => {
                text.clear();
                push_hex(&mut text, bytes);
                out.append_value(&text);
            }
        }
    }
    Arc::new(out.finish())
}

/// Where a shown column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// The column of this number.
    Row(usize),
    /// The field of this number in each element of the list.
    Element(usize),
}

/// A shown column.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) from: From,
    pub(crate) form: Form,
}

/// What is made of each batch.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    schema: SchemaRef,
    shown: Vec<Shown>,
    /// The column whose lists become rows.
    list: Option<usize>,
}

impl Shape {
    /// The columns as they are.
    pub(crate) fn stored(columns: &[Column]) -> Self {
        let fields: Vec<Field> = columns.iter().map(Column::field).collect();
        let shown = (0..columns.len()).map(|at| Shown { from: From::Row(at), form: Form::Stored }).collect();
        Self { schema: Arc::new(Schema::new(fields)), shown, list: None }
    }

    /// The columns as `shown`, with a row for each element of the column `list` if there is one.
    pub(crate) fn new(schema: SchemaRef, shown: Vec<Shown>, list: Option<usize>) -> Self {
        Self { schema, shown, list }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether each row of a batch stays one row.
    pub(crate) fn keeps_rows(&self) -> bool {
        self.list.is_none()
    }

    /// The shown column that is in the order of the column `at`, if any is.
    pub(crate) fn ordered_like(&self, at: usize) -> Option<usize> {
        self.shown.iter().position(|shown| {
            shown.from == From::Row(at) && matches!(shown.form, Form::Stored | Form::Hex | Form::Time)
        })
    }

    /// Makes a shown batch of a batch of the columns.
    ///
    /// # Errors
    /// If the batch has other columns.
    pub(crate) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let absent = || ArrowError::SchemaError("a batch lacks a column".to_owned());
        let column = |at: usize| batch.columns().get(at).ok_or_else(absent);
        let elements = self.list.map(|at| Elements::of(column(at)?)).transpose()?;
        let row_count = elements.as_ref().map_or(batch.num_rows(), |elements| elements.rows.len());
        let arrays = self.shown.iter().map(|shown| {
            let array = match (shown.from, &elements) {
                (From::Row(at), None) => Arc::clone(column(at)?),
                (From::Row(at), Some(elements)) => take(column(at)?, &elements.rows, None)?,
                (From::Element(at), Some(elements)) => elements.field(at)?,
                (From::Element(_), None) => return Err(absent()),
            };
            shown.form.show(&array)
        });
        let options = RecordBatchOptions::new().with_row_count(Some(row_count));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays.collect::<Result<_, _>>()?, &options)
    }
}

/// The elements of the lists of a column, one after the other.
struct Elements {
    /// The row of each.
    rows: UInt32Array,
    /// The position of each among the values.
    positions: UInt32Array,
    values: ArrayRef,
}

impl Elements {
    fn of(array: &ArrayRef) -> Result<Self, ArrowError> {
        let wrong_type = || ArrowError::SchemaError(format!("{} is no list", array.data_type()));
        let lists = array.as_list_opt::<i32>().ok_or_else(wrong_type)?;
        let (mut rows, mut positions) = (Vec::new(), Vec::new());
        for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
            let offsets = &lists.value_offsets()[row..=row + 1];
            for position in offsets[0]..offsets[1] {
                rows.push(row as u32);
                positions.push(position as u32);
            }
        }
        Ok(Self { rows: rows.into(), positions: positions.into(), values: Arc::clone(lists.values()) })
    }

    fn field(&self, at: usize) -> Result<ArrayRef, ArrowError> {
        let absent = || ArrowError::SchemaError("an element lacks a field".to_owned());
        let records = self.values.as_struct_opt().ok_or_else(absent)?;
        take(records.columns().get(at).ok_or_else(absent)?, &self.positions, None)
    }
}
