//! The columns that a projection can give: names, types, and the Parquet columns they are made from.

use arrow_schema::{DataType, Field};

use crate::schema::{self, AttributeColumn};

/// What to give of each row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Column {
    /// The trace id, 16 bytes.
    TraceId,
    /// The span id, 8 bytes.
    SpanId,
    /// The parent's span id as it was sent; null when there was none.
    ParentSpanId,
    /// The name.
    Name,
    /// The kind, as OTLP numbers it.
    Kind,
    /// The status code, as OTLP numbers it.
    StatusCode,
    /// The status message; null when empty.
    StatusMessage,
    /// Start, in Unix nanoseconds.
    StartUnixNanos,
    /// End, in Unix nanoseconds.
    EndUnixNanos,
    /// End minus start; negative when the end lies before the start.
    DurationNanos,
    /// The W3C trace state; null when empty.
    TraceState,
    /// The flags as they were sent.
    Flags,
    /// How many attributes the sender dropped.
    DroppedAttributesCount,
    /// How many events the sender dropped.
    DroppedEventsCount,
    /// How many links the sender dropped.
    DroppedLinksCount,
    /// The events, a list of records; null when there are none.
    Events,
    /// The links, a list of records; null when there are none.
    Links,
    /// The resource attribute `service.name`, when it is a text.
    ServiceName,
    /// Name of the instrumentation scope; null without one.
    ScopeName,
    /// Version of the instrumentation scope; null without one.
    ScopeVersion,
    /// The first value of the span attribute that has this type; null when there is none. An array is no value of its
    /// elements' type.
    SpanAttribute(AttributeColumn),
    /// The first value of the resource attribute that has this type; null when there is none.
    ResourceAttribute(AttributeColumn),
}

impl Column {
    /// The columns that every block has, in the order a table shows them.
    pub const FIXED: [Self; 20] = [
        Self::TraceId,
        Self::SpanId,
        Self::ParentSpanId,
        Self::Name,
        Self::Kind,
        Self::StatusCode,
        Self::StatusMessage,
        Self::StartUnixNanos,
        Self::EndUnixNanos,
        Self::DurationNanos,
        Self::ServiceName,
        Self::ScopeName,
        Self::ScopeVersion,
        Self::TraceState,
        Self::Flags,
        Self::DroppedAttributesCount,
        Self::DroppedEventsCount,
        Self::DroppedLinksCount,
        Self::Events,
        Self::Links,
    ];

    /// Name, type and whether it can be null. Names are those of the Parquet columns where there is one; the others are
    /// `end_unix_nanos`, `service_name`, `scope_name`, `scope_version` and `resource.<key>`, like `span.<key>`.
    pub fn field(&self) -> Field {
        match self {
            Self::EndUnixNanos => Field::new("end_unix_nanos", DataType::UInt64, false),
            Self::ServiceName => Field::new("service_name", DataType::Utf8, true),
            Self::ScopeName => Field::new("scope_name", DataType::Utf8, true),
            Self::ScopeVersion => Field::new("scope_version", DataType::Utf8, true),
            Self::SpanAttribute(attribute) => attribute_field(attribute),
            Self::ResourceAttribute(attribute) => {
                let field = attribute_field(attribute);
                let name = format!("resource{}", field.name().trim_start_matches("span"));
                field.with_name(name)
            }
            fixed => {
                let name = fixed.stored_as().first().copied().unwrap_or_default();
                let schema = schema::schema(&[]);
                schema.field_with_name(name).expect("stored_as names columns of the schema").clone()
            }
        }
    }

    /// The Parquet columns of a fixed column; the first one has its type.
    pub(super) fn stored_as(&self) -> &'static [&'static str] {
        match self {
            Self::TraceId => &[schema::TRACE_ID],
            Self::SpanId => &[schema::SPAN_ID],
            Self::ParentSpanId => &[schema::PARENT_SPAN_ID, schema::PARENT_ROW, schema::SPAN_ID],
            Self::Name => &[schema::NAME],
            Self::Kind => &[schema::KIND],
            Self::StatusCode => &[schema::STATUS_CODE],
            Self::StatusMessage => &[schema::STATUS_MESSAGE],
            Self::StartUnixNanos => &[schema::START_UNIX_NANOS],
            Self::EndUnixNanos => &[schema::START_UNIX_NANOS, schema::DURATION_NANOS],
            Self::DurationNanos => &[schema::DURATION_NANOS],
            Self::TraceState => &[schema::TRACE_STATE],
            Self::Flags => &[schema::FLAGS],
            Self::DroppedAttributesCount => &[schema::DROPPED_ATTRIBUTES_COUNT],
            Self::DroppedEventsCount => &[schema::DROPPED_EVENTS_COUNT],
            Self::DroppedLinksCount => &[schema::DROPPED_LINKS_COUNT],
            Self::Events => &[schema::EVENTS],
            Self::Links => &[schema::LINKS],
            Self::ScopeName | Self::ScopeVersion => &[schema::SCOPE_ID],
            Self::ServiceName | Self::ResourceAttribute(_) => &[schema::RESOURCE_ID],
            Self::SpanAttribute(_) => &[],
        }
    }
}

pub(super) fn attribute_field(attribute: &AttributeColumn) -> Field {
    schema::schema(std::slice::from_ref(attribute)).field(schema::LEADING_COLUMNS).clone()
}
