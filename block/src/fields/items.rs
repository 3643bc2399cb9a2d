//! Fields of the events and links of each row: a value when one item has it, a list when several do.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, ListArray, StringArray, StructArray};
use memchr::memmem;

use super::{AttributeValue, NIL, RowField, RowValues, Rows, arrow_damage, damage, value_of, wrong_type};
use crate::{Damage, text};

/// The lists of the rows; none when every one is empty.
pub(super) fn read(rows: &Rows<'_>, column: &str, counts: &ArrayRef) -> Result<Option<ListArray>, Damage> {
    let counts = counts.as_primitive_opt::<Int32Type>().ok_or_else(|| wrong_type("of counts"))?;
    if counts.values().iter().all(|count| *count == 0) {
        return Ok(None);
    }
    let leaves: Vec<usize> = rows.block.plain.leaves_of_root(rows.root(column)).collect();
    rows.block.check_chunks(rows.plan.row_group, &rows.fetched, leaves.iter().copied())?;
    // Lists of a few rows cost the levels of all, but not the items.
    let batch = rows.decode(false, &leaves, rows.rows)?;
    batch.column(0).as_list_opt::<i32>().cloned().map(Some).ok_or_else(|| wrong_type(column))
}

/// One field of the items of each row. `starts` are the rows' starts, where the field needs them.
pub(super) fn values(
    lists: Option<&ListArray>,
    field: &RowField,
    starts: &[u64],
    row_count: usize,
) -> Result<RowValues, Damage> {
    let Some(lists) = lists else { return Ok(RowValues::nil(row_count)) };
    let items = lists.values().as_struct_opt().ok_or_else(|| wrong_type("of items"))?;
    let read = Reader::new(items, field)?;
    let mut codes: Vec<u32> = Vec::with_capacity(row_count);
    let mut values = Vec::new();
    let offsets = lists.value_offsets();
    for row in 0..lists.len() {
        let range = if lists.is_valid(row) { offsets[row] as usize..offsets[row + 1] as usize } else { 0..0 };
        let mut found = Vec::new();
        for item in range {
            found.extend(read.value(item, starts.get(row).copied())?);
        }
        let value = if found.len() > 1 { Some(AttributeValue::Several(found)) } else { found.pop() };
        codes.push(value.map_or(NIL, |value| {
            values.push(value);
            values.len() as u32 - 1
        }));
    }
    Ok(RowValues::Coded { codes: codes.into(), values: values.into() })
}

/// Reads one field of items.
enum Reader<'a> {
    Attribute { texts: &'a StringArray, key: &'a str, finder: Box<memmem::Finder<'static>> },
    Name(&'a StringArray),
    Time(&'a [u64]),
    Id(&'a arrow_array::BinaryArray),
}

impl<'a> Reader<'a> {
    fn new(items: &'a StructArray, field: &'a RowField) -> Result<Self, Damage> {
        let column = |name: &str| items.column_by_name(name).ok_or_else(|| damage("an item lacks a column"));
        let texts = |name: &str| column(name)?.as_string_opt::<i32>().ok_or_else(|| wrong_type(name));
        Ok(match field {
            RowField::EventAttribute(key) | RowField::LinkAttribute(key) => {
                let mut needle = String::new();
                text::write_string(&mut needle, key);
                needle.push(':');
                let finder = Box::new(memmem::Finder::new(needle.as_bytes()).into_owned());
                Self::Attribute { texts: texts("attributes")?, key, finder }
            }
            RowField::EventName => Self::Name(texts("name")?),
            RowField::EventTimeSinceStart => {
                let times = column("time_unix_nanos")?.as_primitive_opt::<UInt64Type>();
                Self::Time(times.ok_or_else(|| wrong_type("time_unix_nanos"))?.values())
            }
            RowField::LinkTraceId => {
                Self::Id(column("trace_id")?.as_binary_opt().ok_or_else(|| wrong_type("trace_id"))?)
            }
            RowField::LinkSpanId => Self::Id(column("span_id")?.as_binary_opt().ok_or_else(|| wrong_type("span_id"))?),
            _ => return Err(damage("a field of items was expected")),
        })
    }

    fn value(&self, item: usize, start: Option<u64>) -> Result<Option<AttributeValue>, Damage> {
        Ok(match self {
            Self::Attribute { texts, key, finder } => {
                if texts.is_null(item) || finder.find(texts.value(item).as_bytes()).is_none() {
                    return Ok(None);
                }
                let attributes = text::read_attributes(texts.value(item));
                value_of(
                    &attributes
                        .map_err(|error| arrow_damage(arrow_schema::ArrowError::JsonError(error.to_string())))?,
                    key,
                )
            }
            Self::Name(texts) => Some(AttributeValue::Text(Arc::from(texts.value(item)))),
            Self::Time(times) => {
                let start = start.ok_or_else(|| damage("an event has no span"))?;
                Some(AttributeValue::Int(times[item].wrapping_sub(start) as i64))
            }
            Self::Id(ids) => {
                let id = ids.value(item);
                let mut hex = String::with_capacity(2 * id.len());
                for byte in id {
                    write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
                }
                Some(AttributeValue::Text(Arc::from(hex)))
            }
        })
    }
}
