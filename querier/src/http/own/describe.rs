//! JSON objects that describe themselves: a struct is written once, and both its JSON and its schema in the OpenAPI document
//! come of it.
//!
//! Knows no endpoint. A derive macro of a library would do the same; those there are ask for other features of `serde` or
//! `indexmap`, and with them another build of everything below.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use spanlake_analysis::{Cause, Confidence, Label, Shape};
use spanlake_model::{SpanId, TraceId};

/// The largest whole number that every reader of JSON holds exactly.
const MAX_SAFE: u64 = (1 << 53) - 1;

/// What has a JSON form with a schema.
pub(crate) trait Described {
    /// Whether it may be left out.
    const IS_OPTIONAL: bool = false;

    /// Its schema; named parts go into `schemas`.
    fn schema(schemas: &mut Schemas) -> Value;

    /// Whether it is left out.
    fn is_absent(&self) -> bool {
        false
    }
}

/// Schemas by name: `components.schemas` of the document.
#[derive(Debug, Default)]
pub(crate) struct Schemas(BTreeMap<&'static str, Value>);

impl Schemas {
    /// The reference to a named schema, which is made when it is met first.
    pub(crate) fn named(&mut self, name: &'static str, make: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.0.contains_key(name) {
            // Its place is taken first: a type may lie inside itself.
            self.0.insert(name, Value::Null);
            let schema = make(self);
            self.0.insert(name, schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// All of them.
    pub(crate) fn into_json(self) -> Value {
        self.0.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect::<serde_json::Map<_, _>>().into()
    }
}

/// One member of an object.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) text: &'static str,
    pub(crate) is_optional: bool,
    pub(crate) schema: Value,
}

/// The schema of an object.
pub(crate) fn object(text: &str, members: Vec<Member>) -> Value {
    let required: Vec<&str> =
        members.iter().filter(|member| !member.is_optional).map(|member| member.name.as_str()).collect();
    let mut properties = serde_json::Map::new();
    let required = json!(required);
    for Member { name, text, mut schema, .. } in members {
        schema["description"] = json!(one_line(text));
        properties.insert(name, schema);
    }
    json!({ "type": "object", "description": one_line(text), "required": required, "properties": properties })
}

/// Lines of a doc comment as one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `span_count` as `spanCount`.
pub(crate) fn camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut raise = false;
    for letter in name.chars() {
        match letter {
            '_' => raise = true,
            letter if raise => {
                out.push(letter.to_ascii_uppercase());
                raise = false;
            }
            letter => out.push(letter),
        }
    }
    out
}

/// Structs that are written as JSON objects with members in camelCase and described by their doc comments. Members are as visible
/// as their struct. A member whose type is an `Option` is left out when it is `None`; `name as "other"` gives a member another name.
macro_rules! described {
    ($(
        $(#[doc = $doc:literal])+
        $(#[derive($more:ident)])?
        $vis:vis struct $name:ident {
            $( $(#[doc = $text:literal])+ $field:ident $(as $json:literal)? : $type:ty, )*
        }
    )+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        $(#[derive($more)])?
        #[serde(rename_all = "camelCase")]
        $vis struct $name {
            $(
                $(#[doc = $text])+
                #[serde($(rename = $json,)? skip_serializing_if = "crate::http::own::describe::Described::is_absent")]
                $vis $field: $type,
            )*
        }

        impl crate::http::own::describe::Described for $name {
            fn schema(schemas: &mut crate::http::own::describe::Schemas) -> serde_json::Value {
                use crate::http::own::describe::{Described, Member, camel_case, object};
                schemas.named(stringify!($name), |schemas| {
                    let members = vec![$(
                        Member {
                            name: [$($json)?].first().map_or_else(
                                || camel_case(stringify!($field)),
                                |name: &&str| (*name).to_owned(),
                            ),
                            text: concat!($($text),+),
                            is_optional: <$type as Described>::IS_OPTIONAL,
                            schema: <$type as Described>::schema(schemas),
                        },
                    )*];
                    object(concat!($($doc),+), members)
                })
            }
        }
    )+};
}
pub(crate) use described;

macro_rules! plain {
    ($( $type:ty => $schema:tt, )*) => {$(
        impl Described for $type {
            fn schema(_: &mut Schemas) -> Value {
                json!($schema)
            }
        }
    )*};
}

plain! {
    bool => { "type": "boolean" },
    u8 => { "type": "integer", "minimum": 0 },
    u16 => { "type": "integer", "minimum": 0 },
    u32 => { "type": "integer", "minimum": 0 },
    u64 => { "type": "integer", "minimum": 0 },
    usize => { "type": "integer", "minimum": 0 },
    i64 => { "type": "integer" },
    f64 => { "type": "number" },
    String => { "type": "string" },
    &'static str => { "type": "string" },
    Value => {},
    UnixNanos => { "type": "string", "pattern": "^[0-9]+$" },
    Nanos => { "type": "integer" },
    Flag => { "enum": [0, 1] },
    SpanNumber => { "type": "integer", "minimum": -1 },
    HexSpan => { "type": "string", "pattern": "^[0-9a-f]{16}$" },
    HexTrace => { "type": "string", "pattern": "^[0-9a-f]{32}$" },
}

/// A list of the words that a type is written as.
fn words<T: Serialize>(values: &[T]) -> Value {
    json!({ "type": "string", "enum": values })
}

impl Described for Shape {
    fn schema(_: &mut Schemas) -> Value {
        words(&[Self::OneRoot, Self::NoRoot, Self::SeveralRoots, Self::Broken, Self::Empty])
    }
}

impl Described for Cause {
    fn schema(_: &mut Schemas) -> Value {
        let all = [Self::Truncated, Self::StillArriving, Self::CallerNotExporting, Self::LostInService, Self::Unknown];
        words(&all)
    }
}

impl Described for Label {
    fn schema(_: &mut Schemas) -> Value {
        words(&[Self::Propagated, Self::Transformed, Self::TimedOut, Self::Suppressed])
    }
}

impl Described for Confidence {
    fn schema(_: &mut Schemas) -> Value {
        words(&[Self::Low, Self::Medium, Self::High])
    }
}

impl<T: Described> Described for Option<T> {
    const IS_OPTIONAL: bool = true;

    fn schema(schemas: &mut Schemas) -> Value {
        T::schema(schemas)
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Described> Described for Vec<T> {
    fn schema(schemas: &mut Schemas) -> Value {
        json!({ "type": "array", "items": T::schema(schemas) })
    }
}

impl<T: Described> Described for BTreeMap<u32, T> {
    fn schema(schemas: &mut Schemas) -> Value {
        json!({ "type": "object", "additionalProperties": T::schema(schemas) })
    }
}

/// An absolute time in Unix nanoseconds, as a text: JavaScript's numbers cannot hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnixNanos(pub(crate) u64);

impl Serialize for UnixNanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A duration or an offset in nanoseconds, as a number; one past what a double holds exactly is cut to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nanos(i64);

impl Nanos {
    /// From a signed difference.
    pub(crate) fn signed(nanos: i64) -> Self {
        Self(nanos.clamp(-(MAX_SAFE as i64), MAX_SAFE as i64))
    }

    /// From one moment to another.
    pub(crate) fn between(from: u64, to: u64) -> Self {
        let nanos = i128::from(to) - i128::from(from);
        Self(nanos.clamp(-i128::from(MAX_SAFE), i128::from(MAX_SAFE)) as i64)
    }
}

impl From<u64> for Nanos {
    fn from(nanos: u64) -> Self {
        Self(nanos.min(MAX_SAFE) as i64)
    }
}

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

/// Yes or no as 1 or 0, where many of them are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) bool);

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0.into())
    }
}

/// The number of a span in one answer; -1 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanNumber(pub(crate) Option<u32>);

impl Serialize for SpanNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0.map_or(-1, i64::from))
    }
}

/// A span id in lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HexSpan(pub(crate) SpanId);

/// A trace id in lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HexTrace(pub(crate) TraceId);

fn hex<'a>(bytes: &[u8], digits: &'a mut [u8]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    std::str::from_utf8(digits).expect("hexadecimal digits are ASCII")
}

impl Serialize for HexSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(hex(&self.0.0, &mut [b'0'; 16]))
    }
}

impl Serialize for HexTrace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(hex(&self.0.0, &mut [b'0'; 32]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    described! {
        /// A thing
        /// of a test.
        pub(crate) struct Thing {
            /// How many.
            span_count: u32,
            /// Its own.
            own as "self": Option<Nanos>,
            /// More of them.
            inner: Vec<Thing>,
        }
    }

    #[test]
    fn structs_describe_themselves() {
        let thing = |own, inner| Thing { span_count: 2, own, inner };
        let written = json!(thing(Some(Nanos::from(u64::MAX)), vec![thing(None, Vec::new())]));
        let expect = json!({ "spanCount": 2, "self": MAX_SAFE, "inner": [{ "spanCount": 2, "inner": [] }] });
        assert_eq!(written, expect);
        let mut schemas = Schemas::default();
        let reference = json!({ "$ref": "#/components/schemas/Thing" });
        assert_eq!(Thing::schema(&mut schemas), reference);
        let schema = &schemas.into_json()["Thing"];
        assert_eq!(schema["required"], json!(["spanCount", "inner"]));
        assert_eq!(schema["description"], "A thing of a test.");
        assert_eq!(schema["properties"]["inner"]["items"], reference);
        assert_eq!(schema["properties"]["self"]["description"], "Its own.");
    }

    #[test]
    fn ids_and_times() {
        assert_eq!(json!(HexSpan(SpanId([0, 1, 0xab, 0, 0, 0, 0, 0xff]))), "0001ab00000000ff");
        assert_eq!(json!(HexTrace(TraceId([0x1f; 16]))), "1f".repeat(16));
        assert_eq!(json!(UnixNanos(u64::MAX)), u64::MAX.to_string());
        assert_eq!(json!(Nanos::between(5, 3)), -2);
        assert_eq!(json!(Nanos::between(u64::MAX, 0)), -(MAX_SAFE as i64));
        assert_eq!(json!([SpanNumber(None), SpanNumber(Some(3))]), json!([-1, 3]));
    }
}
