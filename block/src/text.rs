//! Attributes as JSON text that keeps every OTLP type exactly and that other tools can read.
//!
//! A list of attributes is one JSON object, in order, duplicate keys included. Strings, booleans and integers are
//! themselves, an empty value is `null`, a finite double always has a point or an exponent (`1.0`), arrays and key-value
//! lists are JSON arrays and objects. What JSON lacks is an object of one reserved key: `{"$bytes": "<base64>"}`,
//! `{"$double": "NaN"}` (or `Infinity`, `-Infinity`, or `bits:<16 hex digits>` for other NaNs), and
//! `{"$kvlist": {...}}` around a key-value list whose own first key is one of these three.

mod lookup;
mod members;

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use spanlake_otlp::{KeyValueRef, ValueRef};

pub(crate) use lookup::{finder, keys_of, values_of};
pub(crate) use members::{MemberValue, members, scalar};

const BYTES: &str = "$bytes";
const DOUBLE: &str = "$double";
const KVLIST: &str = "$kvlist";

/// Appends attributes as one JSON object.
pub(crate) fn write_attributes<'a>(out: &mut String, attributes: impl Iterator<Item = KeyValueRef<'a>>) {
    out.push('{');
    let mut first = true;
    for attribute in attributes {
        if !first {
            out.push(',');
        }
        first = false;
        write_string(out, attribute.key);
        out.push(':');
        write_value(out, attribute.value);
    }
    out.push('}');
}

/// Appends a value as JSON.
pub(crate) fn write_value(out: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Empty => out.push_str("null"),
        ValueRef::String(text) => write_string(out, text),
        ValueRef::Bool(true) => out.push_str("true"),
        ValueRef::Bool(false) => out.push_str("false"),
        ValueRef::Int(int) => write!(out, "{int}").expect("writing to a String cannot fail"),
        ValueRef::Double(double) => write_double(out, double),
        ValueRef::Bytes(bytes) => {
            out.push_str("{\"$bytes\":\"");
            BASE64.encode_string(bytes, out);
            out.push_str("\"}");
        }
        ValueRef::Array(array) => {
            out.push('[');
            for (i, element) in array.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(out, element);
            }
            out.push(']');
        }
        ValueRef::KvList(list) => {
            let reserved = list.iter().next().is_some_and(|first| [BYTES, DOUBLE, KVLIST].contains(&first.key));
            if reserved {
                out.push_str("{\"$kvlist\":");
            }
            write_attributes(out, list.iter());
            if reserved {
                out.push('}');
            }
        }
    }
}

fn write_double(out: &mut String, double: f64) {
    let written = if double.is_finite() {
        write!(out, "{double:?}")
    } else if double == f64::INFINITY {
        out.write_str("{\"$double\":\"Infinity\"}")
    } else if double == f64::NEG_INFINITY {
        out.write_str("{\"$double\":\"-Infinity\"}")
    } else if double.to_bits() == f64::NAN.to_bits() {
        out.write_str("{\"$double\":\"NaN\"}")
    } else {
        write!(out, "{{\"$double\":\"bits:{:016x}\"}}", double.to_bits())
    };
    written.expect("writing to a String cannot fail");
}

/// Appends a JSON string, escaping what JSON demands and nothing else.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut clean_from = 0;
    for (i, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[clean_from..i]);
        clean_from = i + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => write!(out, "\\u{byte:04x}").expect("writing to a String cannot fail"),
        }
    }
    out.push_str(&text[clean_from..]);
    out.push('"');
}

/// Reads what [`write_attributes`] wrote.
///
/// The JSON parser's own bound of 128 levels keeps a damaged text from overflowing the stack; what is acknowledged has at
/// most 66 (the object, a value and its mark for each of [`spanlake_otlp::MAX_DEPTH`] levels, one more inside the last).
///
/// # Errors
/// A sentence about the first thing that is not such a text.
pub(crate) fn read_attributes(text: &str) -> Result<Vec<KeyValue>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let attributes = deserializer.deserialize_map(AttributesVisitor)?;
    deserializer.end()?;
    Ok(attributes)
}

struct AttributesVisitor;

impl<'de> Visitor<'de> for AttributesVisitor {
    type Value = Vec<KeyValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut attributes = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            attributes.push(attribute(key, map.next_value_seed(AnyValueSeed)?));
        }
        Ok(attributes)
    }
}

fn attribute(key: String, value: AnyValue) -> KeyValue {
    KeyValue { key, value: Some(value), ..KeyValue::default() }
}

struct AnyValueSeed;

impl<'de> DeserializeSeed<'de> for AnyValueSeed {
    type Value = AnyValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<AnyValue, D::Error> {
        deserializer.deserialize_any(AnyValueVisitor)
    }
}

struct AnyValueVisitor;

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

impl<'de> Visitor<'de> for AnyValueVisitor {
    type Value = AnyValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<AnyValue, E> {
        Ok(AnyValue { value: None })
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<AnyValue, E> {
        Ok(any(Value::BoolValue(value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<AnyValue, E> {
        Ok(any(Value::IntValue(value)))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<AnyValue, E> {
        i64::try_from(value).map(|int| any(Value::IntValue(int))).map_err(|_| E::custom("the integer is above 2^63-1"))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<AnyValue, E> {
        Ok(any(Value::DoubleValue(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<AnyValue, E> {
        Ok(any(Value::StringValue(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<AnyValue, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(AnyValueSeed)? {
            values.push(value);
        }
        Ok(any(Value::ArrayValue(ArrayValue { values })))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyValue, A::Error> {
        let Some(first_key) = map.next_key::<String>()? else {
            return Ok(any(Value::KvlistValue(KeyValueList { values: Vec::new() })));
        };
        match first_key.as_str() {
            BYTES => {
                let text = map.next_value::<String>()?;
                BASE64.decode(text).map(|bytes| any(Value::BytesValue(bytes))).map_err(de::Error::custom)
            }
            DOUBLE => parse_special_double(&map.next_value::<String>()?)
                .map(|double| any(Value::DoubleValue(double)))
                .ok_or_else(|| de::Error::custom("not a special double")),
            KVLIST => {
                map.next_value::<Attributes>().map(|list| any(Value::KvlistValue(KeyValueList { values: list.0 })))
            }
            _ => {
                let first_value = map.next_value_seed(AnyValueSeed)?;
                let mut values = vec![attribute(first_key, first_value)];
                while let Some(key) = map.next_key::<String>()? {
                    values.push(attribute(key, map.next_value_seed(AnyValueSeed)?));
                }
                Ok(any(Value::KvlistValue(KeyValueList { values })))
            }
        }
    }
}

struct Attributes(Vec<KeyValue>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AttributesVisitor).map(Self)
    }
}

fn parse_special_double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => u64::from_str_radix(text.strip_prefix("bits:")?, 16).ok().map(f64::from_bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_bounded_above_what_is_acknowledged() {
        let nested = |depth: usize, open: &str, close: &str| {
            format!("{{\"key\":{}1{}}}", open.repeat(depth), close.repeat(depth))
        };
        let deepest = spanlake_otlp::MAX_DEPTH as usize;
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"$kvlist\":{\"$bytes\":", "}}")] {
            read_attributes(&nested(deepest, open, close)).expect("a request can be nested as deep");
            for too_deep in [128, 1_000_000] {
                let error = read_attributes(&nested(too_deep, open, close)).expect_err("it is nested too deep");
                assert!(error.to_string().starts_with("recursion limit exceeded"), "{error}");
            }
        }
    }
}
