//! Rows back to OTLP spans.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, ListArray, PrimitiveArray, RecordBatch, StringArray, StructArray,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::{Block, ResourceEntry, ScopeEntry};
use crate::Damage;
use crate::schema::{LEADING_COLUMNS, ValueType};
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

/// Takes columns off a batch in order, each with the type it must have.
struct Columns<'a>(std::slice::Iter<'a, ArrayRef>);

impl<'a> Columns<'a> {
    fn next(&mut self) -> Result<&'a ArrayRef, Damage> {
        self.0.next().ok_or_else(|| damage("a column is missing"))
    }

    fn numbers<T: arrow_array::ArrowPrimitiveType>(&mut self) -> Result<&'a PrimitiveArray<T>, Damage> {
        self.next()?.as_primitive_opt::<T>().ok_or_else(|| damage("a column of numbers has another type"))
    }

    fn ids(&mut self) -> Result<&'a FixedSizeBinaryArray, Damage> {
        self.next()?.as_fixed_size_binary_opt().ok_or_else(|| damage("a column of ids has another type"))
    }

    fn strings(&mut self) -> Result<&'a StringArray, Damage> {
        self.next()?.as_string_opt::<i32>().ok_or_else(|| damage("a column of texts has another type"))
    }
}

/// Whether a column of item counts has any.
pub(crate) fn any_items(batch: &RecordBatch, column: &str) -> Result<bool, Damage> {
    let counts = batch.column_by_name(column).and_then(|counts| counts.as_primitive_opt::<Int32Type>());
    Ok(counts.ok_or_else(|| damage("a count column is missing"))?.values().iter().any(|count| *count != 0))
}

fn list_of(array: Option<&ArrayRef>) -> Result<Option<&ListArray>, Damage> {
    array.map(|array| array.as_list_opt().ok_or_else(|| damage("a list column is none"))).transpose()
}

/// The spans of a batch of all columns but the lists, which holds whole traces or, of one, all rows in the row group.
/// A list that is not given is empty on every row.
pub(crate) fn read(
    block: &Block,
    batch: &RecordBatch,
    events: Option<&ArrayRef>,
    links: Option<&ArrayRef>,
) -> Result<Vec<SpanRow>, Damage> {
    let (events, links) = (list_of(events)?, list_of(links)?);
    let mut columns = Columns(batch.columns().iter());
    let trace_ids = columns.ids()?;
    let parent_rows = columns.numbers::<Int32Type>()?;
    let _descendants = columns.next()?;
    let starts = columns.numbers::<UInt64Type>()?;
    let durations = columns.numbers::<Int64Type>()?;
    let names = columns.strings()?;
    let kinds = columns.numbers::<Int32Type>()?;
    let status_codes = columns.numbers::<Int32Type>()?;
    let resource_ids = columns.numbers::<Int32Type>()?;
    let scope_ids = columns.numbers::<Int32Type>()?;
    let attributes = &batch.columns()[LEADING_COLUMNS..LEADING_COLUMNS + block.columns.len()];
    attributes.iter().try_for_each(|_| columns.next().map(|_| ()))?;
    let rests = columns.strings()?;
    let status_messages = columns.strings()?;
    let trace_states = columns.strings()?;
    let flags = columns.numbers::<UInt32Type>()?;
    let dropped_attributes = columns.numbers::<UInt32Type>()?;
    let dropped_events = columns.numbers::<UInt32Type>()?;
    let dropped_links = columns.numbers::<UInt32Type>()?;
    let _event_counts = columns.next()?;
    let _link_counts = columns.next()?;
    let span_ids = columns.ids()?;
    let parent_ids = columns.next()?.as_binary_opt::<i32>().ok_or_else(|| damage("parent ids are not bytes"))?;

    let mut spans = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let parent_span_id = if parent_ids.is_valid(row) {
            parent_ids.value(row).to_vec()
        } else if parent_rows.is_valid(row) {
            let back = usize::try_from(parent_rows.value(row)).ok().filter(|back| *back <= row);
            span_ids.value(row - back.ok_or_else(|| damage("a parent lies outside the trace"))?).to_vec()
        } else {
            Vec::new()
        };
        let status = Status { code: status_codes.value(row), message: text_at(status_messages, row) };
        let start_time_unix_nano = starts.value(row);
        let span = Span {
            trace_id: trace_ids.value(row).to_vec(),
            span_id: span_ids.value(row).to_vec(),
            trace_state: text_at(trace_states, row),
            parent_span_id,
            flags: flags.value(row),
            name: names.value(row).to_owned(),
            kind: kinds.value(row),
            start_time_unix_nano,
            end_time_unix_nano: start_time_unix_nano.wrapping_add(durations.value(row) as u64),
            attributes: span_attributes(block, attributes, rests, row)?,
            dropped_attributes_count: dropped_attributes.value(row),
            events: items_at(events, row).map(|items| read_events(&items)).transpose()?.unwrap_or_default(),
            dropped_events_count: dropped_events.value(row),
            links: items_at(links, row).map(|items| read_links(&items)).transpose()?.unwrap_or_default(),
            dropped_links_count: dropped_links.value(row),
            status: (status != Status::default()).then_some(status),
        };
        let resource = block.resources.get(resource_ids.value(row) as usize);
        let scope = block.scopes.get(scope_ids.value(row) as usize);
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

fn text_at(texts: &StringArray, row: usize) -> String {
    if texts.is_valid(row) { texts.value(row).to_owned() } else { String::new() }
}

fn span_attributes(
    block: &Block,
    columns: &[ArrayRef],
    rests: &StringArray,
    row: usize,
) -> Result<Vec<KeyValue>, Damage> {
    let mut attributes = Vec::new();
    for (described, column) in block.columns.iter().zip(columns) {
        if column.is_null(row) {
            continue;
        }
        let wrong_type = || damage("an attribute column has another type");
        let value = match described.value_type {
            ValueType::String => {
                Value::StringValue(column.as_string_opt::<i32>().ok_or_else(wrong_type)?.value(row).to_owned())
            }
            ValueType::Int => {
                Value::IntValue(column.as_primitive_opt::<Int64Type>().ok_or_else(wrong_type)?.value(row))
            }
            ValueType::Double => {
                Value::DoubleValue(column.as_primitive_opt::<Float64Type>().ok_or_else(wrong_type)?.value(row))
            }
            ValueType::Bool => Value::BoolValue(column.as_boolean_opt().ok_or_else(wrong_type)?.value(row)),
        };
        attributes.push(KeyValue {
            key: described.key.clone(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        });
    }
    if rests.is_valid(row) {
        attributes.extend(parse_attributes(rests.value(row))?);
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
