//! The columns of a batch of rows, each with the type it must have.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    UInt64Array,
};

use crate::Damage;
use crate::schema::{
    self, ATTRIBUTES_REST, DESCENDANT_COUNT, DURATION_NANOS, EVENT_COUNT, EVENTS, KIND, LINK_COUNT, LINKS, NAME,
    PARENT_ROW, PARENT_SPAN_ID, RESOURCE, RESOURCE_ID, SCOPE, SCOPE_ID, SPAN_ID, START_UNIX_NANOS, STATUS_CODE,
    TRACE_ID,
};

/// What is checked of a batch; the other columns are free.
pub(super) struct Columns<'a> {
    pub(super) trace_ids: &'a FixedSizeBinaryArray,
    pub(super) parent_rows: &'a Int32Array,
    pub(super) descendant_counts: &'a Int32Array,
    pub(super) starts: &'a UInt64Array,
    pub(super) durations: &'a Int64Array,
    pub(super) names: &'a StringArray,
    pub(super) kinds: &'a Int32Array,
    pub(super) status_codes: &'a Int32Array,
    pub(super) resource_ids: &'a Int32Array,
    pub(super) scope_ids: &'a Int32Array,
    /// In the order of the block's attribute columns.
    pub(super) attributes: &'a [ArrayRef],
    pub(super) rests: &'a StringArray,
    pub(super) event_counts: &'a Int32Array,
    pub(super) link_counts: &'a Int32Array,
    pub(super) events: &'a ListArray,
    pub(super) links: &'a ListArray,
    pub(super) span_ids: &'a FixedSizeBinaryArray,
    pub(super) parent_ids: &'a BinaryArray,
    pub(super) resources: &'a StringArray,
    pub(super) scopes: &'a StringArray,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batch: &'a RecordBatch, attribute_count: usize) -> Result<Self, Damage> {
        let column = |name: &str| -> Result<&'a ArrayRef, Damage> {
            // Attribute columns begin with `span.`, so that none has the name of a fixed one.
            batch.column_by_name(name).ok_or_else(|| damage(name))
        };
        let ints = |name| column(name)?.as_primitive_opt::<Int32Type>().ok_or_else(|| damage(name));
        let texts = |name| column(name)?.as_string_opt::<i32>().ok_or_else(|| damage(name));
        let ids = |name| column(name)?.as_fixed_size_binary_opt().ok_or_else(|| damage(name));
        let lists = |name| column(name)?.as_list_opt::<i32>().ok_or_else(|| damage(name));
        let leading = schema::LEADING_COLUMNS;
        Ok(Self {
            trace_ids: ids(TRACE_ID)?,
            parent_rows: ints(PARENT_ROW)?,
            descendant_counts: ints(DESCENDANT_COUNT)?,
            starts: column(START_UNIX_NANOS)?
                .as_primitive_opt::<UInt64Type>()
                .ok_or_else(|| damage(START_UNIX_NANOS))?,
            durations: column(DURATION_NANOS)?.as_primitive_opt::<Int64Type>().ok_or_else(|| damage(DURATION_NANOS))?,
            names: texts(NAME)?,
            kinds: ints(KIND)?,
            status_codes: ints(STATUS_CODE)?,
            resource_ids: ints(RESOURCE_ID)?,
            scope_ids: ints(SCOPE_ID)?,
            attributes: batch.columns().get(leading..leading + attribute_count).ok_or_else(|| damage("attributes"))?,
            rests: texts(ATTRIBUTES_REST)?,
            event_counts: ints(EVENT_COUNT)?,
            link_counts: ints(LINK_COUNT)?,
            events: lists(EVENTS)?,
            links: lists(LINKS)?,
            span_ids: ids(SPAN_ID)?,
            parent_ids: column(PARENT_SPAN_ID)?.as_binary_opt::<i32>().ok_or_else(|| damage(PARENT_SPAN_ID))?,
            resources: texts(RESOURCE)?,
            scopes: texts(SCOPE)?,
        })
    }
}

/// The value of a row, if it has one.
pub(super) fn text_at(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

fn damage(column: &str) -> Damage {
    Damage::new("row group", format!("column {column} is missing or of another type"))
}
