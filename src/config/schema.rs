//! The names a configuration type accepts, read off its `Deserialize` implementation, so that no list of names can
//! drift from the structs. It knows serde, not which settings there are.

use std::cell::Cell;

use serde::de::value::Error;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

/// The dotted names of all settings (what is not itself a section) of a configuration type, in the order of its fields.
///
/// Every struct in `T` must have a default for every field (`#[serde(default)]`): each name is found by offering that
/// field alone.
pub fn settings<T: DeserializeOwned>() -> Vec<String> {
    let mut found = Vec::new();
    descend::<T>(&mut Vec::new(), &mut found);
    found
}

fn descend<T: DeserializeOwned>(path: &mut Vec<&'static str>, found: &mut Vec<String>) {
    let fields = Cell::new(None);
    // The outcome is an error by design: what was asked for at the path's end is all that matters.
    let _ = T::deserialize(Probe { path, fields: &fields });
    match fields.get() {
        Some(fields) => {
            for field in fields {
                path.push(field);
                descend::<T>(path, found);
                path.pop();
            }
        }
        None => found.push(path.join(".")),
    }
}

/// Offers one field at a time along `path` and notes the fields of the struct at its end.
struct Probe<'a> {
    path: &'a [&'static str],
    fields: &'a Cell<Option<&'static [&'static str]>>,
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("a probe has no value"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.path.split_first() {
            Some((first, rest)) => {
                visitor.visit_map(OneField { name: Some(*first), value: Probe { path: rest, fields: self.fields } })
            }
            None => {
                self.fields.set(Some(fields));
                Err(de::Error::custom("the fields are known"))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

struct OneField<'a> {
    name: Option<&'static str>,
    value: Probe<'a>,
}

impl<'de> MapAccess<'de> for OneField<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let name: Option<&'static str> = self.name.take();
        name.map(|name| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(Probe { path: self.value.path, fields: self.value.fields })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Outer {
        flag: bool,
        inner: Inner,
        list: Vec<String>,
        maybe: Option<Inner>,
    }

    #[derive(Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        count: u64,
        text: Option<String>,
    }

    #[test]
    fn names_come_from_the_structs() {
        let expect = ["flag", "inner.count", "inner.text", "list", "maybe.count", "maybe.text"];
        assert_eq!(settings::<Outer>(), expect);
    }
}
