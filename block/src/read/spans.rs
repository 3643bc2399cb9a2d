//! Rows back to OTLP spans.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, ListArray, PrimitiveArray, StringArray, StructArray};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use spanlake_model::TraceId;

use super::{Block, ColumnValues, ResourceEntry, ScopeEntry, Values};
use crate::Damage;
use crate::schema::{Fixed, LEADING_COLUMNS};
use crate::text;

/// A span as it was sent, with where it came from. Attributes are ordered by key, equal keys as sent.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanRow {
    /// Its resource.
    pub resource: Arc<ResourceEntry>,
    /// Its instrumentation scope.
    pub scope: Arc<ScopeEntry>,
    /// The span. A status that was absent or empty is absent.
    pub span: Span,
}

fn damage(problem: &str) -> Damage {
    Damage::new("row group", problem)
}

/// Whether a column of item counts has any.
pub(super) fn any_items(counts: &ColumnValues) -> bool {
    !matches!(&counts.values, Values::I32(counts) if counts.iter().all(|count| *count == 0))
}

/// Values of flat columns by row, each of the type it must have.
impl ColumnValues {
    /// The value of a row that must have one.
    fn slot_of(&self, row: usize) -> Result<usize, Damage> {
        self.slot(row).ok_or_else(|| damage("a value is missing"))
    }

    fn i32_at(&self, row: usize) -> Result<i32, Damage> {
        let slot = self.slot_of(row)?;
        if let Values::I32(numbers) = &self.values { Ok(numbers[slot]) } else { Err(wrong_type()) }
    }

    fn i64_at(&self, row: usize) -> Result<i64, Damage> {
        let slot = self.slot_of(row)?;
        if let Values::I64(numbers) = &self.values { Ok(numbers[slot]) } else { Err(wrong_type()) }
    }

    fn bytes_at(&self, row: usize) -> Result<Option<&[u8]>, Damage> {
        let Values::Bytes(texts) = &self.values else { return Err(wrong_type()) };
        Ok(self.slot(row).map(|slot| texts.get(slot)))
    }

    fn text_at(&self, row: usize) -> Result<Option<&str>, Damage> {
        let bytes = self.bytes_at(row)?;
        bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| damage("a text is not UTF-8"))).transpose()
    }

    /// A text, empty if there is none.
    fn string_at(&self, row: usize) -> Result<String, Damage> {
        Ok(self.text_at(row)?.unwrap_or_default().to_owned())
    }

    fn value_at(&self, row: usize) -> Result<Option<Value>, Damage> {
        let Some(slot) = self.slot(row) else { return Ok(None) };
        Ok(Some(match &self.values {
            Values::Bytes(_) => Value::StringValue(self.string_at(row)?),
            Values::I64(numbers) => Value::IntValue(numbers[slot]),
            Values::F64(numbers) => Value::DoubleValue(numbers[slot]),
            Values::Bool(values) => Value::BoolValue(values[slot]),
            Values::Fixed(..) | Values::I32(_) => return Err(wrong_type()),
        }))
    }
}

fn wrong_type() -> Damage {
    damage("a column has another type")
}

fn list_of(array: Option<&ArrayRef>) -> Result<Option<&ListArray>, Damage> {
    array.map(|array| array.as_list_opt().ok_or_else(|| damage("a list column is none"))).transpose()
}

/// Rows of a row group as spans: whole traces, or of the one with this id all rows in the row group. `flat` reads a flat
/// column of these rows. A list that is not given is empty on every row.
pub(super) fn read(
    block: &Block,
    row_count: usize,
    id: Option<&TraceId>,
    flat: impl Fn(usize) -> Result<ColumnValues, Damage>,
    events: Option<&ArrayRef>,
    links: Option<&ArrayRef>,
) -> Result<Vec<SpanRow>, Damage> {
    let (events, links) = (list_of(events)?, list_of(links)?);
    let fixed = |column: Fixed| flat(column.leaf(block.columns.len()));
    let trace_ids = if id.is_none() { Some(fixed(Fixed::TraceId)?) } else { None };
    let trace_ids = match &trace_ids {
        Some(ids) => Some(ids.ids::<16>().ok_or_else(wrong_type)?),
        None => None,
    };
    let parent_rows = fixed(Fixed::ParentRow)?;
    let starts = fixed(Fixed::StartUnixNanos)?;
    let durations = fixed(Fixed::DurationNanos)?;
    let names = fixed(Fixed::Name)?;
    let kinds = fixed(Fixed::Kind)?;
    let status_codes = fixed(Fixed::StatusCode)?;
    let resource_ids = fixed(Fixed::ResourceId)?;
    let scope_ids = fixed(Fixed::ScopeId)?;
    let attributes = (0..block.columns.len()).map(|number| flat(LEADING_COLUMNS + number));
    let attributes = attributes.collect::<Result<Vec<ColumnValues>, Damage>>()?;
    // Only columns that have a value on one of the rows are looked at row by row.
    let attributes: Vec<(&str, &ColumnValues)> = block
        .columns
        .iter()
        .zip(&attributes)
        .filter(|(_, values)| (0..row_count).any(|row| values.slot(row).is_some()))
        .map(|(column, values)| (column.key.as_str(), values))
        .collect();
    let rests = fixed(Fixed::AttributesRest)?;
    let status_messages = fixed(Fixed::StatusMessage)?;
    let trace_states = fixed(Fixed::TraceState)?;
    let flags = fixed(Fixed::Flags)?;
    let dropped_attributes = fixed(Fixed::DroppedAttributesCount)?;
    let dropped_events = fixed(Fixed::DroppedEventsCount)?;
    let dropped_links = fixed(Fixed::DroppedLinksCount)?;
    let span_ids = fixed(Fixed::SpanId)?;
    let span_ids = span_ids.ids::<8>().ok_or_else(wrong_type)?;
    let parent_ids = fixed(Fixed::ParentSpanId)?;

    let mut spans = Vec::with_capacity(row_count);
    for row in 0..row_count {
        let trace_id = match (id, trace_ids) {
            (Some(id), _) => id.0,
            (None, Some(ids)) => ids[row],
            (None, None) => return Err(damage("ids are missing")),
        };
        let parent_span_id = if let Some(id) = parent_ids.bytes_at(row)? {
            id.to_vec()
        } else if parent_rows.slot(row).is_some() {
            let back = usize::try_from(parent_rows.i32_at(row)?).ok().filter(|back| *back <= row);
            span_ids[row - back.ok_or_else(|| damage("a parent lies outside the trace"))?].to_vec()
        } else {
            Vec::new()
        };
        let status = Status { code: status_codes.i32_at(row)?, message: status_messages.string_at(row)? };
        let start_time_unix_nano = starts.i64_at(row)? as u64;
        let span = Span {
            trace_id: trace_id.to_vec(),
            span_id: span_ids[row].to_vec(),
            trace_state: trace_states.string_at(row)?,
            parent_span_id,
            flags: flags.i32_at(row)? as u32,
            name: names.text_at(row)?.ok_or_else(|| damage("a name is missing"))?.to_owned(),
            kind: kinds.i32_at(row)?,
            start_time_unix_nano,
            end_time_unix_nano: start_time_unix_nano.wrapping_add(durations.i64_at(row)? as u64),
            attributes: span_attributes(&attributes, &rests, row)?,
            dropped_attributes_count: dropped_attributes.i32_at(row)? as u32,
            events: items_at(events, row).map(|items| read_events(&items)).transpose()?.unwrap_or_default(),
            dropped_events_count: dropped_events.i32_at(row)? as u32,
            links: items_at(links, row).map(|items| read_links(&items)).transpose()?.unwrap_or_default(),
            dropped_links_count: dropped_links.i32_at(row)? as u32,
            status: (status != Status::default()).then_some(status),
        };
        let resource = block.resources.get(resource_ids.i32_at(row)? as usize);
        let scope = block.scopes.get(scope_ids.i32_at(row)? as usize);
        spans.push(SpanRow {
            resource: resource.cloned().ok_or_else(|| damage("a resource number is out of range"))?,
            scope: scope.cloned().ok_or_else(|| damage("a scope number is out of range"))?,
            span,
        });
    }
    Ok(spans)
}

fn items_at(list: Option<&ListArray>, row: usize) -> Option<ArrayRef> {
    list.filter(|list| list.is_valid(row)).map(|list| list.value(row))
}

fn span_attributes(
    columns: &[(&str, &ColumnValues)],
    rests: &ColumnValues,
    row: usize,
) -> Result<Vec<KeyValue>, Damage> {
    let mut attributes = Vec::new();
    for (key, column) in columns {
        if let Some(value) = column.value_at(row)? {
            let value = Some(AnyValue { value: Some(value) });
            attributes.push(KeyValue { key: (*key).to_owned(), value, ..KeyValue::default() });
        }
    }
    if let Some(text) = rests.text_at(row)? {
        attributes.extend(parse_attributes(text)?);
    }
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(attributes)
}

fn parse_attributes(text: &str) -> Result<Vec<KeyValue>, Damage> {
    text::read_attributes(text).map_err(|error| Damage::new("attributes text", error.to_string()))
}

fn attributes_at(texts: &StringArray, row: usize) -> Result<Vec<KeyValue>, Damage> {
    if texts.is_null(row) { Ok(Vec::new()) } else { parse_attributes(texts.value(row)) }
}

fn items(array: &ArrayRef) -> Result<&StructArray, Damage> {
    array.as_struct_opt().ok_or_else(|| damage("a list does not hold records"))
}

/// Takes columns off the items of a list in order, each with the type it must have.
struct Columns<'a>(std::slice::Iter<'a, ArrayRef>);

impl<'a> Columns<'a> {
    fn next(&mut self) -> Result<&'a ArrayRef, Damage> {
        self.0.next().ok_or_else(|| damage("a column is missing"))
    }

    fn numbers<T: arrow_array::ArrowPrimitiveType>(&mut self) -> Result<&'a PrimitiveArray<T>, Damage> {
        self.next()?.as_primitive_opt::<T>().ok_or_else(|| damage("a column of numbers has another type"))
    }

    fn strings(&mut self) -> Result<&'a StringArray, Damage> {
        self.next()?.as_string_opt::<i32>().ok_or_else(|| damage("a column of texts has another type"))
    }
}

fn read_events(array: &ArrayRef) -> Result<Vec<Event>, Damage> {
    let items = items(array)?;
    let mut columns = Columns(items.columns().iter());
    let times = columns.numbers::<UInt64Type>()?;
    let names = columns.strings()?;
    let attributes = columns.strings()?;
    let dropped = columns.numbers::<UInt32Type>()?;
    (0..items.len())
        .map(|row| {
            Ok(Event {
                time_unix_nano: times.value(row),
                name: names.value(row).to_owned(),
                attributes: attributes_at(attributes, row)?,
                dropped_attributes_count: dropped.value(row),
            })
        })
        .collect()
}

fn read_links(array: &ArrayRef) -> Result<Vec<Link>, Damage> {
    let items = items(array)?;
    let mut columns = Columns(items.columns().iter());
    let bytes =
        |column: &'_ ArrayRef| column.as_binary_opt::<i32>().cloned().ok_or_else(|| damage("ids are not bytes"));
    let trace_ids = bytes(columns.next()?)?;
    let span_ids = bytes(columns.next()?)?;
    let states = columns.strings()?;
    let attributes = columns.strings()?;
    let dropped = columns.numbers::<UInt32Type>()?;
    let flags = columns.numbers::<UInt32Type>()?;
    (0..items.len())
        .map(|row| {
            Ok(Link {
                trace_id: trace_ids.value(row).to_vec(),
                span_id: span_ids.value(row).to_vec(),
                trace_state: states.value(row).to_owned(),
                attributes: attributes_at(attributes, row)?,
                dropped_attributes_count: dropped.value(row),
                flags: flags.value(row),
            })
        })
        .collect()
}
