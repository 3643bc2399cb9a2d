//! Values of the language in Tempo's answers: typed for JSON and protobuf, or as a word and a text.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};
use spanlake_traceql::Value;

use crate::http::clock;

/// Arrays hold plain values; one nested deeper than this is answered empty, so that no value can exhaust the stack.
const MAX_DEPTH: usize = 8;

/// A pair of a key and a typed value. Numbers and booleans keep their type; durations, statuses, kinds and `nil` are texts.
pub(crate) fn key_value(key: impl Into<String>, value: &Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(any_value(value, MAX_DEPTH)), ..Default::default() }
}

fn any_value(value: &Value, depth: usize) -> AnyValue {
    let value = match value {
        Value::Bool(truth) => any_value::Value::BoolValue(*truth),
        Value::Int(number) => any_value::Value::IntValue(*number),
        Value::Float(number) => any_value::Value::DoubleValue(*number),
        Value::Array(values) => {
            let values = if depth == 0 { &[][..] } else { values };
            let values = values.iter().map(|value| any_value(value, depth - 1)).collect();
            any_value::Value::ArrayValue(ArrayValue { values })
        }
        Value::Nil | Value::String(_) | Value::Duration(_) | Value::Status(_) | Value::Kind(_) => {
            any_value::Value::StringValue(text(value))
        }
    };
    AnyValue { value: Some(value) }
}

/// A value as one text, without quotes.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Duration(nanos) => clock::go_duration_text(*nanos),
        Value::Status(status) => status.word().to_owned(),
        Value::Kind(kind) => kind.word().to_owned(),
        Value::Array(values) => {
            let nested = |value: &Value| match value {
                Value::Array(_) => "[...]".to_owned(),
                plain => text(plain),
            };
            format!("[{}]", values.iter().map(nested).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The word that says what type a value has.
pub(crate) fn type_word(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::String(_) => "string",
        Value::Duration(_) => "duration",
        Value::Status(_) | Value::Kind(_) => "keyword",
        Value::Array(_) => "array",
    }
}

#[cfg(test)]
mod tests {
    use spanlake_traceql::{Kind, Status};

    use super::*;
    use crate::http::jsonpb;

    #[test]
    fn values_in_answers() {
        let check = |value: Value, json: &str, word: &str, plain: &str| {
            let mut out = Vec::new();
            jsonpb::write_key_value(&mut out, &key_value("k", &value));
            let expect = format!(r#"{{"key":"k","value":{json}}}"#);
            assert_eq!(String::from_utf8(out).expect("JSON is UTF-8"), expect);
            assert_eq!((type_word(&value), text(&value).as_str()), (word, plain));
        };
        check(Value::Nil, r#"{"stringValue":"nil"}"#, "nil", "nil");
        check(Value::Bool(false), r#"{"boolValue":false}"#, "bool", "false");
        check(Value::Int(-5), r#"{"intValue":"-5"}"#, "int", "-5");
        check(Value::Float(0.5), r#"{"doubleValue":0.5}"#, "float", "0.5");
        check(Value::Float(2.0), r#"{"doubleValue":2}"#, "float", "2");
        check(Value::String("a \"b\"".into()), r#"{"stringValue":"a \"b\""}"#, "string", "a \"b\"");
        check(Value::Duration(1_500_000_000), r#"{"stringValue":"1.5s"}"#, "duration", "1.5s");
        check(Value::Status(Status::Error), r#"{"stringValue":"error"}"#, "keyword", "error");
        check(Value::Kind(Kind::Server), r#"{"stringValue":"server"}"#, "keyword", "server");
        check(
            Value::Array(vec![Value::Int(1), Value::String("x".into())]),
            r#"{"arrayValue":{"values":[{"intValue":"1"},{"stringValue":"x"}]}}"#,
            "array",
            "[1, x]",
        );
        check(Value::Array(vec![]), r#"{"arrayValue":{}}"#, "array", "[]");
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = (0..1_000).fold(Value::Int(1), |inner, _| Value::Array(vec![inner]));
        assert_eq!(text(&deep), "[[...]]");
        let mut out = Vec::new();
        jsonpb::write_key_value(&mut out, &key_value("k", &deep));
        assert!(out.len() < 1_000, "{}", out.len());
    }
}
