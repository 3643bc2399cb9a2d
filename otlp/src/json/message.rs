//! JSON objects as messages and JSON arrays as repeated messages, without knowing which messages there are.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A message that is read field by field.
pub(super) trait Fields: Default {
    /// The message's name in the OTLP definition.
    const NAME: &'static str;

    /// Reads the value of the field `key`, which is given in camelCase or snake_case. Answers whether there is such a
    /// field; when not, nothing was read. `depth` counts attribute values inside attribute values.
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &[u8], from: &mut A, depth: u32) -> Result<bool, A::Error>;
}

/// One message, or nothing for `null`.
pub(super) struct One<T> {
    depth: u32,
    message: PhantomData<T>,
}

impl<T> One<T> {
    pub(super) fn new(depth: u32) -> Self {
        Self { depth, message: PhantomData }
    }
}

impl<'de, T: Fields> DeserializeSeed<'de> for One<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fields> Visitor<'de> for One<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object ({})", T::NAME)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<T>, A::Error> {
        let mut message = T::default();
        while let Some(Key(key)) = map.next_key_seed(PhantomData)? {
            if !message.read(&key, &mut map, self.depth)? {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Some(message))
    }
}

/// The messages of an array, or none for `null`. Elements that are `null` become `null_element` or, without one, go.
pub(super) struct List<T> {
    field: &'static str,
    depth: u32,
    null_element: Option<fn() -> T>,
}

impl<T> List<T> {
    pub(super) fn new(field: &'static str, depth: u32) -> Self {
        Self { field, depth, null_element: None }
    }

    pub(super) fn with_null_element(field: &'static str, depth: u32, null_element: fn() -> T) -> Self {
        Self { field, depth, null_element: Some(null_element) }
    }
}

impl<'de, T: Fields> DeserializeSeed<'de> for List<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fields> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array for {}", self.field)
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(One::new(self.depth))? {
            list.extend(element.or_else(|| self.null_element.map(|null| null())));
        }
        Ok(list)
    }
}

/// An object's key. Keys are compared as bytes, so that odd ones count as unknown rather than as mistakes.
struct Key<'de>(Cow<'de, [u8]>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_bytes<E: Error>(self, key: &'de [u8]) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(key.to_vec())))
    }
}
