//! The value of a column, straight from a span. Obviously right, and slow.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use spanlake_block::{AttributeColumn, Column, SpanRow, ValueType};

/// A value of a column, as SQL sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Int(i128),
    Double(f64),
    Bool(bool),
    Bytes(Vec<u8>),
}

impl Value {
    /// How a cell is written down for comparison.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Int(int) => int.to_string(),
            Self::Double(double) => format!("{:016x}", double.to_bits()),
            Self::Bool(bool) => bool.to_string(),
            Self::Bytes(bytes) => format!("{bytes:02x?}"),
        }
    }
}

fn scalar(any: &Any) -> Option<(ValueType, Value)> {
    Some(match any {
        Any::StringValue(text) => (ValueType::String, Value::Text(text.clone())),
        Any::IntValue(int) => (ValueType::Int, Value::Int((*int).into())),
        Any::DoubleValue(double) => (ValueType::Double, Value::Double(*double)),
        Any::BoolValue(bool) => (ValueType::Bool, Value::Bool(*bool)),
        _ => return None,
    })
}

fn scalars(attributes: &[KeyValue]) -> impl Iterator<Item = (AttributeColumn, Value)> + '_ {
    attributes.iter().filter_map(|attribute| {
        let (value_type, value) = scalar(attribute.value.as_ref()?.value.as_ref()?)?;
        Some((AttributeColumn { key: attribute.key.clone(), value_type }, value))
    })
}

/// Every attribute column of the rows.
pub fn attribute_columns(rows: &[SpanRow]) -> Vec<Column> {
    let of_spans = rows.iter().flat_map(|row| scalars(&row.span.attributes)).map(|(at, _)| Column::SpanAttribute(at));
    let of_resources = rows
        .iter()
        .flat_map(|row| scalars(&row.resource.resource.attributes))
        .map(|(at, _)| Column::ResourceAttribute(at));
    let mut columns: Vec<Column> = of_spans.chain(of_resources).collect();
    columns.sort_by_key(|column| column.field().name().clone());
    columns.dedup();
    columns
}

/// The value that a span has in a column; none is null.
pub fn value(row: &SpanRow, column: &Column) -> Option<Value> {
    let span = &row.span;
    let text = |text: &str| (!text.is_empty()).then(|| Value::Text(text.to_owned()));
    let attribute = |attributes: &[KeyValue], wanted: &AttributeColumn| {
        scalars(attributes).find(|(found, _)| found == wanted).map(|(_, value)| value)
    };
    let service = AttributeColumn { key: "service.name".to_owned(), value_type: ValueType::String };
    match column {
        Column::TraceId => Some(Value::Bytes(span.trace_id.clone())),
        Column::SpanId => Some(Value::Bytes(span.span_id.clone())),
        Column::ParentSpanId => (!span.parent_span_id.is_empty()).then(|| Value::Bytes(span.parent_span_id.clone())),
        Column::Name => Some(Value::Text(span.name.clone())),
        Column::Kind => Some(Value::Int(span.kind.into())),
        Column::StatusCode => Some(Value::Int(span.status.as_ref().map_or(0, |status| status.code).into())),
        Column::StatusMessage => text(span.status.as_ref().map_or("", |status| &status.message)),
        Column::StartUnixNanos => Some(Value::Int(span.start_time_unix_nano.into())),
        Column::EndUnixNanos => Some(Value::Int(span.end_time_unix_nano.into())),
        Column::DurationNanos => {
            Some(Value::Int((span.end_time_unix_nano.wrapping_sub(span.start_time_unix_nano) as i64).into()))
        }
        Column::TraceState => text(&span.trace_state),
        Column::Flags => Some(Value::Int(span.flags.into())),
        Column::DroppedAttributesCount => Some(Value::Int(span.dropped_attributes_count.into())),
        Column::DroppedEventsCount => Some(Value::Int(span.dropped_events_count.into())),
        Column::DroppedLinksCount => Some(Value::Int(span.dropped_links_count.into())),
        Column::ServiceName => attribute(&row.resource.resource.attributes, &service),
        Column::ScopeName => row.scope.scope.as_ref().map(|scope| Value::Text(scope.name.clone())),
        Column::ScopeVersion => row.scope.scope.as_ref().map(|scope| Value::Text(scope.version.clone())),
        Column::SpanAttribute(wanted) => attribute(&span.attributes, wanted),
        Column::ResourceAttribute(wanted) => attribute(&row.resource.resource.attributes, wanted),
        Column::Events | Column::Links => unreachable!("no test compares lists"),
    }
}

/// The columns that tests compare.
pub fn compared(attributes: &[Column]) -> Vec<Column> {
    let fixed = Column::FIXED.into_iter().filter(|column| !matches!(column, Column::Events | Column::Links));
    fixed.chain(attributes.iter().cloned()).collect()
}

/// A span as one line, to compare with lines of an answer.
pub fn line(row: &SpanRow, columns: &[Column]) -> String {
    let cell = |column| value(row, column).map_or_else(|| "null".to_owned(), |value| value.text());
    columns.iter().map(cell).collect::<Vec<_>>().join(" | ")
}
