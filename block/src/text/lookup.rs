//! Looking one key up in a text of attributes, or only the keys, without reading the other values.

use std::fmt;

use memchr::memmem;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{AnyValueSeed, write_string};

/// Finds the texts that mention a key: all that have it, and few others.
pub(crate) fn finder(key: &str) -> memmem::Finder<'static> {
    let mut needle = String::new();
    write_string(&mut needle, key);
    needle.push(':');
    memmem::Finder::new(needle.as_bytes()).into_owned()
}

/// The values of a key in a text that [`super::write_attributes`] wrote, in order.
///
/// # Errors
/// A sentence about the first thing that is not such a text.
pub(crate) fn values_of(text: &str, key: &str) -> Result<Vec<AnyValue>, serde_json::Error> {
    let mut values = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(OneKey { key, values: &mut values })?;
    deserializer.end()?;
    Ok(values)
}

/// Hands each key of a text that [`super::write_attributes`] wrote to `push`.
///
/// # Errors
/// A sentence about the first thing that is not such a text.
pub(crate) fn keys_of(text: &str, push: &mut dyn FnMut(&str)) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(AllKeys(push))?;
    deserializer.end()
}

struct OneKey<'a> {
    key: &'a str,
    values: &'a mut Vec<AnyValue>,
}

impl<'de> Visitor<'de> for OneKey<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut is_it = false;
        while map.next_key_seed(EachKey(&mut |key| is_it = key == self.key))?.is_some() {
            if is_it {
                self.values.push(map.next_value_seed(AnyValueSeed)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct AllKeys<'a>(&'a mut dyn FnMut(&str));

impl<'de> Visitor<'de> for AllKeys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(EachKey(&mut *self.0))?.is_some() {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Shows a key without keeping it.
struct EachKey<'a>(&'a mut dyn FnMut(&str));

impl<'de> DeserializeSeed<'de> for EachKey<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for EachKey<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<(), E> {
        (self.0)(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;

    use super::*;

    #[test]
    fn only_the_key_itself_is_looked_up() {
        let text = r#"{"a":1,"b":{"a":2,"c":[{"a":3}]},"a\n":4,"a":{"$double":"NaN"},"":null}"#;
        let int = |int| AnyValue { value: Some(Value::IntValue(int)) };
        assert_eq!(values_of(text, "a").map(|values| values.len()).expect("a text"), 2);
        assert_eq!(values_of(text, "a").expect("a text")[0], int(1));
        assert_eq!(values_of(text, "a\n").expect("a text"), [int(4)]);
        assert_eq!(values_of(text, "").expect("a text"), [AnyValue::default()]);
        assert_eq!(values_of(text, "c").expect("a text"), []);
        let mut keys = Vec::new();
        keys_of(text, &mut |key| keys.push(key.to_owned())).expect("a text");
        assert_eq!(keys, ["a", "b", "a\n", "a", ""]);
        for wrong in ["", "[1]", "{\"a\":1", "{\"a\":1}x"] {
            assert!(values_of(wrong, "a").is_err() && keys_of(wrong, &mut |_| ()).is_err(), "{wrong}");
        }
        assert!(finder("a\n").find(text.as_bytes()).is_some() && finder("d").find(text.as_bytes()).is_none());
    }
}
