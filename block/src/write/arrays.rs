//! Arrow arrays from vectors of values, for the rows of one row group.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, ListArray,
    StringArray, StructArray, UInt32Array, UInt64Array,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field};
use spanlake_otlp::{EventField, KeyValueRef, LinkField, event_fields, link_fields};

use super::attributes::{Gathered, Values};
use crate::item_keys::ItemKeysWriter;
use crate::schema;
use crate::text;

/// Values of some rows only, in row order; at most one a row.
pub(crate) struct Sparse<T> {
    pub(crate) rows: Vec<u32>,
    pub(crate) values: Vec<T>,
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), values: Vec::new() }
    }
}

impl<T> Sparse<T> {
    pub(crate) fn push(&mut self, row: u32, value: T) {
        self.rows.push(row);
        self.values.push(value);
    }
}

/// The part of sorted `rows` that lies in `range`.
fn within(rows: &[u32], range: &Range<u32>) -> Range<usize> {
    rows.partition_point(|row| *row < range.start)..rows.partition_point(|row| *row < range.end)
}

fn validity(rows: &[u32], range: &Range<u32>) -> NullBuffer {
    let len = (range.end - range.start) as usize;
    let mut bits = BooleanBufferBuilder::new(len);
    bits.append_n(len, false);
    rows.iter().for_each(|row| bits.set_bit((row - range.start) as usize, true));
    NullBuffer::new(bits.finish())
}

/// Offsets and bytes of variable-length values at some rows of a range; the other rows are empty.
fn variable<T: AsRef<[u8]>>(
    rows: &[u32],
    values: &[T],
    range: &Range<u32>,
) -> Result<(OffsetBuffer<i32>, Buffer), ArrowError> {
    let mut offsets = Vec::with_capacity((range.end - range.start) as usize + 1);
    let byte_count = values.iter().map(|value| value.as_ref().len()).sum();
    // Row groups are cut by bytes, far below this.
    i32::try_from(byte_count).map_err(|_| ArrowError::OffsetOverflowError(byte_count))?;
    let mut bytes: Vec<u8> = Vec::with_capacity(byte_count);
    offsets.push(0);
    for (row, value) in rows.iter().zip(values) {
        offsets.resize((row - range.start) as usize + 1, bytes.len() as i32);
        bytes.extend_from_slice(value.as_ref());
        offsets.push(bytes.len() as i32);
    }
    offsets.resize((range.end - range.start) as usize + 1, bytes.len() as i32);
    Ok((OffsetBuffer::new(offsets.into()), Buffer::from_vec(bytes)))
}

pub(crate) fn sparse_strings<T: AsRef<str>>(sparse: &Sparse<T>, range: &Range<u32>) -> Result<ArrayRef, ArrowError> {
    let at = within(&sparse.rows, range);
    let bytes: Vec<&[u8]> = sparse.values[at.clone()].iter().map(|text| text.as_ref().as_bytes()).collect();
    strings_at(&sparse.rows[at], &bytes, range)
}

fn strings_at(rows: &[u32], values: &[&[u8]], range: &Range<u32>) -> Result<ArrayRef, ArrowError> {
    let (offsets, bytes) = variable(rows, values, range)?;
    Ok(Arc::new(StringArray::try_new(offsets, bytes, Some(validity(rows, range)))?))
}

pub(crate) fn sparse_bytes(sparse: &Sparse<&[u8]>, range: &Range<u32>) -> Result<ArrayRef, ArrowError> {
    let at = within(&sparse.rows, range);
    let (offsets, bytes) = variable(&sparse.rows[at.clone()], &sparse.values[at.clone()], range)?;
    Ok(Arc::new(BinaryArray::try_new(offsets, bytes, Some(validity(&sparse.rows[at], range)))?))
}

/// The array of an attribute column.
pub(crate) fn attribute(gathered: &Gathered<'_>, range: &Range<u32>) -> Result<ArrayRef, ArrowError> {
    let at = within(&gathered.rows, range);
    let rows = &gathered.rows[at.clone()];
    let len = (range.end - range.start) as usize;
    let place = |row: &u32| (row - range.start) as usize;
    Ok(match &gathered.values {
        Values::String(values) => {
            let bytes: Vec<&[u8]> = values[at].iter().map(|text| text.as_bytes()).collect();
            return strings_at(rows, &bytes, range);
        }
        Values::Int(values) => {
            let mut all = vec![0; len];
            rows.iter().zip(&values[at]).for_each(|(row, value)| all[place(row)] = *value);
            Arc::new(Int64Array::try_new(all.into(), Some(validity(rows, range)))?)
        }
        Values::Double(values) => {
            let mut all = vec![0.0; len];
            rows.iter().zip(&values[at]).for_each(|(row, value)| all[place(row)] = *value);
            Arc::new(Float64Array::try_new(all.into(), Some(validity(rows, range)))?)
        }
        Values::Bool(values) => {
            let mut all = BooleanBufferBuilder::new(len);
            all.append_n(len, false);
            rows.iter().zip(&values[at]).for_each(|(row, value)| all.set_bit(place(row), *value));
            Arc::new(BooleanArray::new(all.finish(), Some(validity(rows, range))))
        }
    })
}

/// The residual column: for each row its attributes without a column, as JSON text.
pub(crate) fn rest(rest: &[(u32, KeyValueRef<'_>)], range: &Range<u32>) -> Result<ArrayRef, ArrowError> {
    let from = rest.partition_point(|(row, _)| *row < range.start);
    let to = rest.partition_point(|(row, _)| *row < range.end);
    let mut texts: Sparse<String> = Sparse::default();
    for span in rest[from..to].chunk_by(|a, b| a.0 == b.0) {
        let mut text = String::new();
        text::write_attributes(&mut text, span.iter().map(|(_, attribute)| *attribute));
        texts.push(span[0].0, text);
    }
    sparse_strings(&texts, range)
}

pub(crate) fn ids<const N: usize>(ids: impl Iterator<Item = [u8; N]>) -> Result<ArrayRef, ArrowError> {
    let bytes: Vec<u8> = ids.flatten().collect();
    Ok(Arc::new(FixedSizeBinaryArray::try_new(N as i32, Buffer::from_vec(bytes), None)?))
}

/// Attributes of an event or link, as JSON text; nothing when there are none.
fn attributes_text(attributes: &mut Vec<KeyValueRef<'_>>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut text = String::new();
    text::write_attributes(&mut text, attributes.drain(..));
    Some(text)
}

/// How many items each row of the range has.
fn items_of_rows<T>(items: &Sparse<T>, range: &Range<u32>) -> Vec<i32> {
    let mut counts = vec![0; (range.end - range.start) as usize];
    items.rows[within(&items.rows, range)].iter().for_each(|row| counts[(row - range.start) as usize] += 1);
    counts
}

/// The column of item counts: a reader that finds none in its rows need not open the list.
pub(crate) fn counts<T>(items: &Sparse<T>, range: &Range<u32>) -> ArrayRef {
    Arc::new(Int32Array::from(items_of_rows(items, range)))
}

fn list_offsets<T>(items: &Sparse<T>, range: &Range<u32>) -> (OffsetBuffer<i32>, NullBuffer) {
    let counts = items_of_rows(items, range);
    let present = counts.iter().map(|count| *count > 0).collect();
    (OffsetBuffer::from_lengths(counts.into_iter().map(|count| count as usize)), present)
}

fn list(
    fields: arrow_schema::Fields,
    columns: Vec<ArrayRef>,
    offsets: OffsetBuffer<i32>,
    present: NullBuffer,
) -> Result<ArrayRef, ArrowError> {
    let items = StructArray::try_new(fields.clone(), columns, None)?;
    let item = Arc::new(Field::new("item", DataType::Struct(fields), false));
    Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(items), Some(present))?))
}

/// The events of the range's rows; `events` may hold several of one row. Their keys and names go to `keys` too.
pub(crate) fn events(
    events: &Sparse<&[u8]>,
    keys: &mut ItemKeysWriter,
    range: &Range<u32>,
) -> Result<ArrayRef, ArrowError> {
    let at = within(&events.rows, range);
    let (mut times, mut names, mut texts, mut dropped) = (vec![], vec![], vec![], vec![]);
    let mut attributes = Vec::new();
    for bytes in &events.values[at.clone()] {
        let (mut time, mut name, mut dropped_count) = (0, "", 0);
        for field in event_fields(bytes) {
            match field {
                EventField::TimeUnixNanos(value) => time = value,
                EventField::Name(value) => name = value,
                EventField::Attribute(value) => {
                    keys.push_event_key(value.key);
                    attributes.push(value);
                }
                EventField::DroppedAttributesCount(value) => dropped_count = value,
            }
        }
        keys.push_event_name(name);
        times.push(time);
        names.push(name);
        texts.push(attributes_text(&mut attributes));
        dropped.push(dropped_count);
    }
    let (offsets, present) = list_offsets(events, range);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from(times)),
        Arc::new(StringArray::from(names)),
        Arc::new(StringArray::from(texts)),
        Arc::new(UInt32Array::from(dropped)),
    ];
    list(schema::event_fields(), columns, offsets, present)
}

/// The links of the range's rows; `links` may hold several of one row. Their keys go to `keys` too.
pub(crate) fn links(
    links: &Sparse<&[u8]>,
    keys: &mut ItemKeysWriter,
    range: &Range<u32>,
) -> Result<ArrayRef, ArrowError> {
    let at = within(&links.rows, range);
    let (mut trace_ids, mut span_ids, mut states): (Vec<&[u8]>, Vec<&[u8]>, Vec<&str>) = (vec![], vec![], vec![]);
    let (mut texts, mut dropped, mut flags) = (vec![], vec![], vec![]);
    let mut attributes = Vec::new();
    for bytes in &links.values[at.clone()] {
        let (mut trace_id, mut span_id): (&[u8], &[u8]) = (&[], &[]);
        let (mut state, mut dropped_count, mut flag_bits) = ("", 0, 0);
        for field in link_fields(bytes) {
            match field {
                LinkField::TraceId(value) => trace_id = value,
                LinkField::SpanId(value) => span_id = value,
                LinkField::TraceState(value) => state = value,
                LinkField::Attribute(value) => {
                    keys.push_link_key(value.key);
                    attributes.push(value);
                }
                LinkField::DroppedAttributesCount(value) => dropped_count = value,
                LinkField::Flags(value) => flag_bits = value,
            }
        }
        trace_ids.push(trace_id);
        span_ids.push(span_id);
        states.push(state);
        texts.push(attributes_text(&mut attributes));
        dropped.push(dropped_count);
        flags.push(flag_bits);
    }
    let (offsets, present) = list_offsets(links, range);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BinaryArray::from(trace_ids)),
        Arc::new(BinaryArray::from(span_ids)),
        Arc::new(StringArray::from(states)),
        Arc::new(StringArray::from(texts)),
        Arc::new(UInt32Array::from(dropped)),
        Arc::new(UInt32Array::from(flags)),
    ];
    list(schema::link_fields(), columns, offsets, present)
}

/// A dense column of numbers.
pub(crate) fn numbers<T>(values: &[T::Native], range: &Range<u32>) -> ArrayRef
where
    T: arrow_array::ArrowPrimitiveType,
{
    let values = &values[range.start as usize..range.end as usize];
    Arc::new(arrow_array::PrimitiveArray::<T>::new(ScalarBuffer::from(values.to_vec()), None))
}
