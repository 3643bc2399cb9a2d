//! The columns of a block: their names, order and types in Parquet.

use arrow_schema::{DataType, Field, Fields, Schema};
use spanlake_otlp::ValueRef;
use std::sync::Arc;

use crate::section::Writer;

pub(crate) const TRACE_ID: &str = "trace_id";
pub(crate) const PARENT_ROW: &str = "parent_row";
pub(crate) const DESCENDANT_COUNT: &str = "descendant_count";
pub(crate) const START_UNIX_NANOS: &str = "start_unix_nanos";
pub(crate) const DURATION_NANOS: &str = "duration_nanos";
pub(crate) const NAME: &str = "name";
pub(crate) const KIND: &str = "kind";
pub(crate) const STATUS_CODE: &str = "status_code";
pub(crate) const RESOURCE_ID: &str = "resource_id";
pub(crate) const SCOPE_ID: &str = "scope_id";
pub(crate) const ATTRIBUTES_REST: &str = "attributes_rest";
pub(crate) const STATUS_MESSAGE: &str = "status_message";
pub(crate) const TRACE_STATE: &str = "trace_state";
pub(crate) const FLAGS: &str = "flags";
pub(crate) const DROPPED_ATTRIBUTES_COUNT: &str = "dropped_attributes_count";
pub(crate) const DROPPED_EVENTS_COUNT: &str = "dropped_events_count";
pub(crate) const DROPPED_LINKS_COUNT: &str = "dropped_links_count";
pub(crate) const EVENT_COUNT: &str = "event_count";
pub(crate) const LINK_COUNT: &str = "link_count";
pub(crate) const EVENTS: &str = "events";
pub(crate) const LINKS: &str = "links";
pub(crate) const SPAN_ID: &str = "span_id";
pub(crate) const PARENT_SPAN_ID: &str = "parent_span_id";
pub(crate) const RESOURCE: &str = "resource";
pub(crate) const SCOPE: &str = "scope";

/// How many of the fixed columns come before the attribute columns.
pub(crate) const LEADING_COLUMNS: usize = 10;

/// Parquet leaf columns of the lists of events and of links.
const EVENT_LEAVES: usize = 4;
const LINK_LEAVES: usize = 6;

/// The columns that every block has, in order; attribute columns come behind the first [`LEADING_COLUMNS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Fixed {
    TraceId,
    ParentRow,
    DescendantCount,
    StartUnixNanos,
    DurationNanos,
    Name,
    Kind,
    StatusCode,
    ResourceId,
    ScopeId,
    AttributesRest,
    StatusMessage,
    TraceState,
    Flags,
    DroppedAttributesCount,
    DroppedEventsCount,
    DroppedLinksCount,
    EventCount,
    LinkCount,
    Events,
    Links,
    SpanId,
    ParentSpanId,
    Resource,
    Scope,
}

impl Fixed {
    /// All of them, in order.
    pub(crate) const ALL: [Self; 25] = [
        Self::TraceId,
        Self::ParentRow,
        Self::DescendantCount,
        Self::StartUnixNanos,
        Self::DurationNanos,
        Self::Name,
        Self::Kind,
        Self::StatusCode,
        Self::ResourceId,
        Self::ScopeId,
        Self::AttributesRest,
        Self::StatusMessage,
        Self::TraceState,
        Self::Flags,
        Self::DroppedAttributesCount,
        Self::DroppedEventsCount,
        Self::DroppedLinksCount,
        Self::EventCount,
        Self::LinkCount,
        Self::Events,
        Self::Links,
        Self::SpanId,
        Self::ParentSpanId,
        Self::Resource,
        Self::Scope,
    ];

    /// Its first Parquet leaf column in a block with so many attribute columns.
    pub(crate) fn leaf(self, attribute_columns: usize) -> usize {
        let column = self as usize;
        let behind_lists = match self {
            Self::Links => EVENT_LEAVES - 1,
            Self::SpanId | Self::ParentSpanId | Self::Resource | Self::Scope => EVENT_LEAVES + LINK_LEAVES - 2,
            _ => 0,
        };
        column + if column < LEADING_COLUMNS { 0 } else { attribute_columns } + behind_lists
    }

    /// Its Parquet leaf columns.
    pub(crate) fn leaves(self, attribute_columns: usize) -> std::ops::Range<usize> {
        let first = self.leaf(attribute_columns);
        let count = match self {
            Self::Events => EVENT_LEAVES,
            Self::Links => LINK_LEAVES,
            _ => 1,
        };
        first..first + count
    }
}

/// The types of attribute values that can have a column of their own. The numbers are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ValueType {
    /// UTF-8 text.
    String = 0,
    /// 64-bit signed integer.
    Int = 1,
    /// IEEE 754 double.
    Double = 2,
    /// Boolean.
    Bool = 3,
}

impl ValueType {
    pub(crate) const COUNT: usize = 4;
    pub(crate) const ALL: [Self; Self::COUNT] = [Self::String, Self::Int, Self::Double, Self::Bool];

    /// The type of a scalar value; arrays, lists, bytes and empty values have none.
    pub(crate) fn of(value: &ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::String(_) => Some(Self::String),
            ValueRef::Int(_) => Some(Self::Int),
            ValueRef::Double(_) => Some(Self::Double),
            ValueRef::Bool(_) => Some(Self::Bool),
            ValueRef::Empty | ValueRef::Bytes(_) | ValueRef::Array(_) | ValueRef::KvList(_) => None,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|value_type| *value_type as u8 == number)
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::String => ":string",
            Self::Int => ":int",
            Self::Double => ":double",
            Self::Bool => ":bool",
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::String => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }
}

/// A span attribute that has a column of its own in a block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeColumn {
    /// The attribute's key.
    pub key: String,
    /// The type of the values in this column; values of other types lie in other columns or in the rest.
    pub value_type: ValueType,
}

impl AttributeColumn {
    /// The column's name in Parquet: `span.<key>` for strings, `span.<key>:<type>` for other types, and for strings
    /// too when the key itself ends like one.
    pub fn name(&self) -> String {
        let ends_like_a_type = ValueType::ALL.iter().any(|value_type| self.key.ends_with(value_type.suffix()));
        if self.value_type == ValueType::String && !ends_like_a_type {
            format!("span.{}", self.key)
        } else {
            format!("span.{}{}", self.key, self.value_type.suffix())
        }
    }
}

/// The section of attribute columns, in column order: type and key.
pub(crate) fn write_columns<'a>(columns: impl ExactSizeIterator<Item = &'a AttributeColumn>) -> Vec<u8> {
    let mut out = Writer::default();
    out.varint(columns.len() as u64);
    for column in columns {
        out.raw(&[column.value_type as u8]);
        out.bytes(column.key.as_bytes());
    }
    out.0
}

fn field(name: &str, data_type: DataType, nullable: bool) -> Field {
    Field::new(name, data_type, nullable)
}

pub(crate) fn event_fields() -> Fields {
    Fields::from(vec![
        field("time_unix_nanos", DataType::UInt64, false),
        field("name", DataType::Utf8, false),
        field("attributes", DataType::Utf8, true),
        field("dropped_attributes_count", DataType::UInt32, false),
    ])
}

pub(crate) fn link_fields() -> Fields {
    Fields::from(vec![
        field("trace_id", DataType::Binary, false),
        field("span_id", DataType::Binary, false),
        field("trace_state", DataType::Utf8, false),
        field("attributes", DataType::Utf8, true),
        field("dropped_attributes_count", DataType::UInt32, false),
        field("flags", DataType::UInt32, false),
    ])
}

pub(crate) fn list_of(fields: Fields) -> DataType {
    DataType::List(Arc::new(field("item", DataType::Struct(fields), false)))
}

/// The schema of a block with these attribute columns.
pub(crate) fn schema(attributes: &[AttributeColumn]) -> Schema {
    let mut fields = vec![
        field(TRACE_ID, DataType::FixedSizeBinary(16), false),
        field(PARENT_ROW, DataType::Int32, true),
        field(DESCENDANT_COUNT, DataType::Int32, false),
        field(START_UNIX_NANOS, DataType::UInt64, false),
        field(DURATION_NANOS, DataType::Int64, false),
        field(NAME, DataType::Utf8, false),
        field(KIND, DataType::Int32, false),
        field(STATUS_CODE, DataType::Int32, false),
        field(RESOURCE_ID, DataType::Int32, false),
        field(SCOPE_ID, DataType::Int32, false),
    ];
    debug_assert_eq!(fields.len(), LEADING_COLUMNS);
    fields.extend(attributes.iter().map(|column| field(&column.name(), column.value_type.data_type(), true)));
    fields.extend([
        field(ATTRIBUTES_REST, DataType::Utf8, true),
        field(STATUS_MESSAGE, DataType::Utf8, true),
        field(TRACE_STATE, DataType::Utf8, true),
        field(FLAGS, DataType::UInt32, false),
        field(DROPPED_ATTRIBUTES_COUNT, DataType::UInt32, false),
        field(DROPPED_EVENTS_COUNT, DataType::UInt32, false),
        field(DROPPED_LINKS_COUNT, DataType::UInt32, false),
        field(EVENT_COUNT, DataType::Int32, false),
        field(LINK_COUNT, DataType::Int32, false),
        field(EVENTS, list_of(event_fields()), true),
        field(LINKS, list_of(link_fields()), true),
        field(SPAN_ID, DataType::FixedSizeBinary(8), false),
        field(PARENT_SPAN_ID, DataType::Binary, true),
        field(RESOURCE, DataType::Utf8, true),
        field(SCOPE, DataType::Utf8, true),
    ]);
    Schema::new(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_counted_as_parquet_does() {
        let columns = ["a", "b", "c"].map(|key| AttributeColumn { key: key.to_owned(), value_type: ValueType::Int });
        let parquet = parquet::arrow::ArrowSchemaConverter::new().convert(&schema(&columns)).expect("a sound schema");
        let leaf_of = |path: &str| {
            parquet.columns().iter().position(|leaf| leaf.path().string().starts_with(path)).expect("it is there")
        };
        for (fixed, path) in [
            (Fixed::TraceId, TRACE_ID),
            (Fixed::ScopeId, SCOPE_ID),
            (Fixed::AttributesRest, ATTRIBUTES_REST),
            (Fixed::LinkCount, LINK_COUNT),
            (Fixed::Events, "events."),
            (Fixed::Links, "links."),
            (Fixed::SpanId, SPAN_ID),
        ] {
            assert_eq!(fixed.leaf(3), leaf_of(path), "{path}");
        }
        assert_eq!(Fixed::Scope.leaf(3) + 1, parquet.num_columns());
    }
}
