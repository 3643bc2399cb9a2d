//! One pass over the ordered spans: the wire bytes of each become values of columns.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::{Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{ArrayRef, Int32Array, StringArray};
use arrow_schema::ArrowError;
use spanlake_otlp::{Batch, SpanField, span_fields};

use super::arrays::{self, Sparse};
use super::attributes::{Attributes, Split};
use super::order::{Order, span_bytes};
use super::origins::Origins;
use super::value_filters::ValueFilters;
use crate::item_keys::ItemKeysWriter;
use crate::schema::LEADING_COLUMNS;

/// The fixed columns of all rows of a block.
#[derive(Default)]
pub(crate) struct Rows<'a> {
    pub(crate) trace_ids: Vec<[u8; 16]>,
    pub(crate) span_ids: Vec<[u8; 8]>,
    pub(crate) starts: Vec<u64>,
    pub(crate) durations: Vec<i64>,
    pub(crate) names: Vec<&'a str>,
    pub(crate) kinds: Vec<i32>,
    pub(crate) status_codes: Vec<i32>,
    pub(crate) resource_ids: Vec<i32>,
    pub(crate) scope_ids: Vec<i32>,
    /// Whether the span names no parent.
    pub(crate) is_root: Vec<bool>,
    parent_distances: Vec<u32>,
    descendant_counts: Vec<i32>,
    status_messages: Sparse<&'a str>,
    trace_states: Sparse<&'a str>,
    flags: Vec<u32>,
    dropped_attributes: Vec<u32>,
    dropped_events: Vec<u32>,
    dropped_links: Vec<u32>,
    events: Sparse<&'a [u8]>,
    links: Sparse<&'a [u8]>,
    parent_ids: Sparse<&'a [u8]>,
}

impl<'a> Rows<'a> {
    /// Reads every span once, in row order. `row_groups` are ascending and cover all rows.
    pub(crate) fn read(
        batches: &'a [Batch],
        order: &Order,
        origins: &Origins<'a>,
        row_groups: &[Range<u32>],
        filters: &mut ValueFilters,
    ) -> (Self, Attributes<'a>) {
        let mut rows = Self::with_capacity(order.rows.len());
        let mut attributes = Attributes::default();
        for group in row_groups {
            for at in group.clone() {
                let row = &order.rows[at as usize];
                let (batch, span) = row.at;
                let entry = &batches[batch as usize].spans[span as usize];
                let (resource_id, scope_id) = origins.of(batch, entry.group);
                rows.trace_ids.push(entry.trace_id.0);
                rows.span_ids.push(entry.span_id.0);
                rows.starts.push(entry.start_unix_nanos);
                rows.durations.push(entry.end_unix_nanos.wrapping_sub(entry.start_unix_nanos) as i64);
                rows.resource_ids.push(resource_id);
                rows.scope_ids.push(scope_id);
                rows.is_root.push(entry.parent_span_id == [0; 8]);
                rows.parent_distances.push(row.parent_distance);
                rows.descendant_counts.push(row.descendant_count as i32);
                let parent_in_group = row.parent_distance > 0 && at - row.parent_distance >= group.start;
                rows.read_span(at, span_bytes(batches, row.at), parent_in_group, &mut attributes, filters);
            }
            filters.end_row_group(group.end);
        }
        (rows, attributes)
    }

    fn with_capacity(count: usize) -> Self {
        Self {
            trace_ids: Vec::with_capacity(count),
            span_ids: Vec::with_capacity(count),
            starts: Vec::with_capacity(count),
            durations: Vec::with_capacity(count),
            names: Vec::with_capacity(count),
            kinds: Vec::with_capacity(count),
            status_codes: Vec::with_capacity(count),
            resource_ids: Vec::with_capacity(count),
            scope_ids: Vec::with_capacity(count),
            is_root: Vec::with_capacity(count),
            parent_distances: Vec::with_capacity(count),
            descendant_counts: Vec::with_capacity(count),
            flags: Vec::with_capacity(count),
            dropped_attributes: Vec::with_capacity(count),
            dropped_events: Vec::with_capacity(count),
            dropped_links: Vec::with_capacity(count),
            ..Self::default()
        }
    }

    fn read_span(
        &mut self,
        row: u32,
        bytes: &'a [u8],
        parent_in_group: bool,
        attributes: &mut Attributes<'a>,
        filters: &mut ValueFilters,
    ) {
        let (mut name, mut kind, mut status_code, mut flags) = ("", 0, 0, 0);
        let (mut dropped_attributes, mut dropped_events, mut dropped_links) = (0, 0, 0);
        for field in span_fields(bytes) {
            match field {
                SpanField::Attribute(attribute) => attributes.push(row, attribute, filters),
                SpanField::Name(value) => name = value,
                SpanField::Kind(value) => kind = value,
                SpanField::StatusCode(value) => status_code = value,
                SpanField::Flags(value) => flags = value,
                SpanField::DroppedAttributesCount(value) => dropped_attributes = value,
                SpanField::DroppedEventsCount(value) => dropped_events = value,
                SpanField::DroppedLinksCount(value) => dropped_links = value,
                SpanField::StatusMessage(value) if !value.is_empty() => self.status_messages.push(row, value),
                SpanField::TraceState(value) if !value.is_empty() => self.trace_states.push(row, value),
                // A parent in the same row group is known by its row; any other by its id.
                SpanField::ParentSpanId(value) if !value.is_empty() && !parent_in_group => {
                    self.parent_ids.push(row, value);
                }
                SpanField::Event(value) => self.events.push(row, value),
                SpanField::Link(value) => self.links.push(row, value),
                SpanField::StatusMessage(_)
                | SpanField::TraceState(_)
                | SpanField::ParentSpanId(_)
                | SpanField::TraceId(_)
                | SpanField::SpanId(_)
                | SpanField::StartUnixNanos(_)
                | SpanField::EndUnixNanos(_) => {}
            }
        }
        if self.names.last() != Some(&name) || filters.first_row() == row {
            filters.insert_name(name);
        }
        self.names.push(name);
        self.kinds.push(kind);
        self.status_codes.push(status_code);
        self.flags.push(flags);
        self.dropped_attributes.push(dropped_attributes);
        self.dropped_events.push(dropped_events);
        self.dropped_links.push(dropped_links);
    }

    /// One column of a row group; `index` counts as [`crate::schema::schema`] orders the columns. Those of events and links
    /// tell their keys and names on the way.
    pub(crate) fn column(
        &self,
        index: usize,
        split: &Split<'a>,
        origins: &Origins<'a>,
        item_keys: &mut ItemKeysWriter,
        range: &Range<u32>,
    ) -> Result<ArrayRef, ArrowError> {
        let at = range.start as usize..range.end as usize;
        if let Some(gathered) = index.checked_sub(LEADING_COLUMNS).and_then(|index| split.columns.get(index)) {
            return arrays::attribute(gathered, range);
        }
        let fixed = if index < LEADING_COLUMNS { index } else { index - split.columns.len() };
        Ok(match fixed {
            0 => arrays::ids(self.trace_ids[at].iter().copied())?,
            1 => {
                let parents = &self.parent_distances[at];
                Arc::new(parents.iter().map(|back| (*back > 0).then_some(*back as i32)).collect::<Int32Array>())
            }
            2 => arrays::numbers::<Int32Type>(&self.descendant_counts, range),
            3 => arrays::numbers::<UInt64Type>(&self.starts, range),
            4 => arrays::numbers::<Int64Type>(&self.durations, range),
            5 => Arc::new(StringArray::from_iter_values(&self.names[at])),
            6 => arrays::numbers::<Int32Type>(&self.kinds, range),
            7 => arrays::numbers::<Int32Type>(&self.status_codes, range),
            8 => arrays::numbers::<Int32Type>(&self.resource_ids, range),
            9 => arrays::numbers::<Int32Type>(&self.scope_ids, range),
            10 => arrays::rest(&split.rest, range)?,
            11 => arrays::sparse_strings(&self.status_messages, range)?,
            12 => arrays::sparse_strings(&self.trace_states, range)?,
            13 => arrays::numbers::<UInt32Type>(&self.flags, range),
            14 => arrays::numbers::<UInt32Type>(&self.dropped_attributes, range),
            15 => arrays::numbers::<UInt32Type>(&self.dropped_events, range),
            16 => arrays::numbers::<UInt32Type>(&self.dropped_links, range),
            17 => arrays::counts(&self.events, range),
            18 => arrays::counts(&self.links, range),
            19 => arrays::events(&self.events, item_keys, range)?,
            20 => arrays::links(&self.links, item_keys, range)?,
            21 => arrays::ids(self.span_ids[at].iter().copied())?,
            22 => arrays::sparse_bytes(&self.parent_ids, range)?,
            23 => arrays::sparse_strings(&origins.first_rows(&self.resource_ids, &origins.resource_texts), range)?,
            24 => arrays::sparse_strings(&origins.first_rows(&self.scope_ids, &origins.scope_texts), range)?,
            _ => return Err(ArrowError::SchemaError(format!("a block has no column {index}"))),
        })
    }
}
