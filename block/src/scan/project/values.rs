//! Attribute values of one type as Arrow arrays.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;

use crate::schema::ValueType;

fn first_position(attributes: &[KeyValue], key: &str, value_type: ValueType) -> Option<usize> {
    let has_type = |value: &Value| {
        matches!(
            (value, value_type),
            (Value::StringValue(_), ValueType::String)
                | (Value::IntValue(_), ValueType::Int)
                | (Value::DoubleValue(_), ValueType::Double)
                | (Value::BoolValue(_), ValueType::Bool)
        )
    };
    attributes.iter().position(|attribute| {
        attribute.key == key && attribute.value.as_ref().and_then(|value| value.value.as_ref()).is_some_and(has_type)
    })
}

/// The first value of the key that has the type; none if there is no such value.
pub(super) fn first_value<'a>(attributes: &'a [KeyValue], key: &str, value_type: ValueType) -> Option<&'a Value> {
    attributes[first_position(attributes, key, value_type)?].value.as_ref()?.value.as_ref()
}

/// Values of one type as an array; what has another type is null.
pub(super) fn values_of<'a>(value_type: ValueType, values: impl Iterator<Item = Option<&'a Value>>) -> ArrayRef {
    match value_type {
        ValueType::String => {
            let mut array = StringBuilder::new();
            values.for_each(|value| match value {
                Some(Value::StringValue(text)) => array.append_value(text),
                _ => array.append_null(),
            });
            Arc::new(array.finish())
        }
        ValueType::Int => {
            let mut array = Int64Builder::new();
            values.for_each(|value| match value {
                Some(Value::IntValue(int)) => array.append_value(*int),
                _ => array.append_null(),
            });
            Arc::new(array.finish())
        }
        ValueType::Double => {
            let mut array = Float64Builder::new();
            values.for_each(|value| match value {
                Some(Value::DoubleValue(double)) => array.append_value(*double),
                _ => array.append_null(),
            });
            Arc::new(array.finish())
        }
        ValueType::Bool => {
            let mut array = BooleanBuilder::new();
            values.for_each(|value| match value {
                Some(Value::BoolValue(bool)) => array.append_value(*bool),
                _ => array.append_null(),
            });
            Arc::new(array.finish())
        }
    }
}
