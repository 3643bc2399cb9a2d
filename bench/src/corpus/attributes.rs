//! Short ways to write OTLP attributes.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value};

fn with(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A string attribute.
pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    with(key, Value::StringValue(value.into()))
}

/// An integer attribute.
pub(super) fn int(key: &str, value: impl TryInto<i64>) -> KeyValue {
    with(key, Value::IntValue(value.try_into().unwrap_or(i64::MAX)))
}

/// A floating point attribute.
pub(super) fn double(key: &str, value: f64) -> KeyValue {
    with(key, Value::DoubleValue(value))
}

/// A boolean attribute.
pub(super) fn flag(key: &str, value: bool) -> KeyValue {
    with(key, Value::BoolValue(value))
}

/// A bytes attribute.
pub(super) fn bytes(key: &str, value: Vec<u8>) -> KeyValue {
    with(key, Value::BytesValue(value))
}

/// An attribute that is a list of strings.
pub(super) fn texts(key: &str, values: impl IntoIterator<Item = String>) -> KeyValue {
    let values = values.into_iter().map(|value| AnyValue { value: Some(Value::StringValue(value)) });
    with(key, Value::ArrayValue(ArrayValue { values: values.collect() }))
}

/// An attribute that is itself a map.
pub(super) fn map(key: &str, values: Vec<KeyValue>) -> KeyValue {
    with(key, Value::KvlistValue(KeyValueList { values }))
}
