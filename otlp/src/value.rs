//! Attribute values as they lie in an indexed request. Damaged input ends an iteration; it never panics.

use crate::proto;
use crate::wire::{Read, Reader};

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub struct KeyValueRef<'a> {
    /// Its name; may be empty, may repeat.
    pub key: &'a str,
    /// Its value.
    pub value: ValueRef<'a>,
}

/// The value of an attribute (`AnyValue`), absent or without a kind being [`ValueRef::Empty`].
#[derive(Debug, Clone, Copy)]
pub enum ValueRef<'a> {
    /// No value.
    Empty,
    /// A text.
    String(&'a str),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// Values, of one kind or mixed.
    Array(ArrayRef<'a>),
    /// Named values.
    KvList(KvListRef<'a>),
}

/// An array's encoded content.
#[derive(Debug, Clone, Copy)]
pub struct ArrayRef<'a>(&'a [u8]);

/// A key-value list's encoded content.
#[derive(Debug, Clone, Copy)]
pub struct KvListRef<'a>(&'a [u8]);

impl<'a> ArrayRef<'a> {
    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = ValueRef<'a>> + use<'a> {
        elements(self.0).map_while(|element| ValueRef::read(element).ok())
    }
}

impl<'a> KvListRef<'a> {
    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = KeyValueRef<'a>> + use<'a> {
        elements(self.0).map_while(|element| KeyValueRef::read(element).ok())
    }
}

fn elements(encoded: &[u8]) -> impl Iterator<Item = Reader<'_>> {
    let mut reader = Reader::new(encoded);
    std::iter::from_fn(move || {
        loop {
            match reader.key().ok()?? {
                proto::VALUES => return reader.message().ok(),
                other => reader.skip(other, &proto::ARRAY_VALUE).ok()?,
            }
        }
    })
}

/// A text that was checked before; the check is repeated because safe code has no other way to a `str`.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Read<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => Reader::new(bytes).not_utf8(),
    }
}

impl<'a> KeyValueRef<'a> {
    #[inline]
    pub(crate) fn read(mut reader: Reader<'a>) -> Read<Self> {
        use proto::key_value::*;
        let mut read = Self { key: "", value: ValueRef::Empty };
        while let Some(key) = reader.key()? {
            match key {
                KEY => read.key = text(reader.bytes()?)?,
                VALUE => read.value = ValueRef::read(reader.message()?)?,
                KEY_STRINDEX => drop(reader.varint()?),
                _ => reader.skip(key, &proto::KEY_VALUE)?,
            }
        }
        Ok(read)
    }
}

impl<'a> ValueRef<'a> {
    #[inline]
    pub(crate) fn read(mut reader: Reader<'a>) -> Read<Self> {
        use proto::any_value::*;
        let mut read = Self::Empty;
        while let Some(key) = reader.key()? {
            match key {
                STRING => read = Self::String(text(reader.bytes()?)?),
                BOOL => read = Self::Bool(reader.varint()? != 0),
                INT => read = Self::Int(reader.varint()?.cast_signed()),
                DOUBLE => read = Self::Double(f64::from_bits(reader.fixed64()?)),
                ARRAY => read = Self::Array(ArrayRef(reader.bytes()?)),
                KVLIST => read = Self::KvList(KvListRef(reader.bytes()?)),
                BYTES => read = Self::Bytes(reader.bytes()?),
                STRING_STRINDEX => drop(reader.varint()?),
                _ => reader.skip(key, &proto::ANY_VALUE)?,
            }
        }
        Ok(read)
    }
}
