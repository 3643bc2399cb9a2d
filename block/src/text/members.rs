//! The members of a text of attributes as slices of it, for moving them without reading their values.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde::de::DeserializeSeed as _;
use spanlake_otlp::ValueRef;

use super::AnyValueSeed;

/// One attribute of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    /// Key and value as they are written.
    pub(crate) text: &'a str,
    quoted_key: &'a str,
    value: &'a str,
}

/// The value of a member.
#[derive(Debug)]
pub(crate) enum MemberValue<'a> {
    String(Cow<'a, str>),
    /// Any other scalar, array, list or nothing.
    Other(AnyValue),
}

impl<'a> Member<'a> {
    /// The key as it is written, which has one form for each key.
    pub(crate) fn quoted_key(&self) -> &'a str {
        self.quoted_key
    }

    /// The key.
    ///
    /// # Errors
    /// A sentence if it is no JSON string.
    pub(crate) fn key(&self) -> Result<Cow<'a, str>, serde_json::Error> {
        unquoted(self.quoted_key)
    }

    /// The value.
    ///
    /// # Errors
    /// A sentence if it is none that [`super::write_attributes`] writes.
    pub(crate) fn value(&self) -> Result<MemberValue<'a>, serde_json::Error> {
        if self.value.starts_with('"') {
            return unquoted(self.value).map(MemberValue::String);
        }
        let mut deserializer = serde_json::Deserializer::from_str(self.value);
        AnyValueSeed.deserialize(&mut deserializer).map(MemberValue::Other)
    }
}

impl MemberValue<'_> {
    /// A scalar; none for arrays, lists, bytes and empty values.
    pub(crate) fn scalar(&self) -> Option<ValueRef<'_>> {
        match self {
            Self::String(text) => Some(ValueRef::String(text)),
            Self::Other(value) => scalar(value),
        }
    }
}

/// A scalar as a reference.
pub(crate) fn scalar(value: &AnyValue) -> Option<ValueRef<'_>> {
    match value.value.as_ref()? {
        Value::StringValue(text) => Some(ValueRef::String(text)),
        Value::BoolValue(bool) => Some(ValueRef::Bool(*bool)),
        Value::IntValue(int) => Some(ValueRef::Int(*int)),
        Value::DoubleValue(double) => Some(ValueRef::Double(*double)),
        _ => None,
    }
}

fn unquoted(quoted: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    match quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        _ => serde_json::from_str(quoted).map(Cow::Owned),
    }
}

/// Splits a text that [`super::write_attributes`] wrote into its members. None if it is not such a text; what lies inside a
/// value is not looked at.
pub(crate) fn members(text: &str) -> Option<Vec<Member<'_>>> {
    let body = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut members = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let key_len = string_len(rest.as_bytes())?;
        let value = rest.get(key_len..)?.strip_prefix(':')?;
        let value_len = value_len(value.as_bytes())?;
        let len = key_len + 1 + value_len;
        members.push(Member { text: rest.get(..len)?, quoted_key: &rest[..key_len], value: value.get(..value_len)? });
        rest = match rest[len..].strip_prefix(',') {
            Some("") => return None,
            Some(next) => next,
            None if rest.len() == len => "",
            None => return None,
        };
    }
    Some(members)
}

/// Bytes of the JSON string at the start, quotes included.
fn string_len(bytes: &[u8]) -> Option<usize> {
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
        if at > bytes.len() {
            return None;
        }
    }
}

/// Bytes of the JSON value at the start, up to the comma or the end.
fn value_len(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += string_len(&bytes[at..])?;
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => break,
            _ => {}
        }
        at += 1;
    }
    (depth == 0 && at > 0).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_the_text_cut_at_its_commas() {
        let text = r#"{"a":"x,\"y\\","b":[1,{"c":"}"}],"é\n":-1.5,"a":{"$double":"NaN"},"":null}"#;
        let members = members(text).expect("it is a text");
        let keys: Vec<_> = members.iter().map(|member| member.key().expect("a string")).collect();
        assert_eq!(keys, ["a", "b", "é\n", "a", ""]);
        let joined: Vec<_> = members.iter().map(|member| member.text).collect();
        assert_eq!(format!("{{{}}}", joined.join(",")), text);
        let scalar = |at: usize| format!("{:?}", members[at].value().expect("a value").scalar());
        assert_eq!(scalar(0), r#"Some(String("x,\"y\\"))"#);
        assert_eq!((scalar(1), scalar(2)), ("None".to_owned(), "Some(Double(-1.5))".to_owned()));
        assert_eq!((scalar(3), scalar(4)), ("Some(Double(NaN))".to_owned(), "None".to_owned()));
        assert_eq!(super::members("{}").map(|members| members.len()), Some(0));
        for wrong in
            ["", "{", "{\"a\"}", "{\"a\":1,}", "{\"a\":}", "{\"a\":[1}", "{\"a\":\"x}", "{\"a\":1}}", "{a:1}", "{\"\\"]
        {
            assert_eq!(super::members(wrong), None, "{wrong}");
        }
    }
}
