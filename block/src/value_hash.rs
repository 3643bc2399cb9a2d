//! The hash of an attribute value in a value filter: XXH3-64 of the value under a seed made of scope, type and key.

use spanlake_otlp::ValueRef;

use crate::filter;
use crate::schema::ValueType;

/// Scope byte of span attributes.
pub(crate) const SPAN: u8 = 1;
/// Scope byte of the span's own fields; the key is the field's name.
pub(crate) const INTRINSIC: u8 = 2;

/// Strings longer than this are not in the filters; a probe for one always answers maybe.
pub(crate) const MAX_STRING_BYTES: usize = 128;

/// The seed for all values of one scope, key and type.
pub(crate) fn seed(scope: u8, key: &str, value_type: ValueType) -> u64 {
    let mut bytes = Vec::with_capacity(2 + key.len());
    bytes.extend_from_slice(&[scope, value_type as u8]);
    bytes.extend_from_slice(key.as_bytes());
    filter::hash(0, &bytes)
}

/// The hash of a scalar, or nothing for a value that the filters leave out.
pub(crate) fn value(seed: u64, value: ValueRef<'_>) -> Option<u64> {
    match value {
        ValueRef::String(text) if text.len() <= MAX_STRING_BYTES => Some(filter::hash(seed, text.as_bytes())),
        ValueRef::Int(int) => Some(filter::hash(seed, &int.to_le_bytes())),
        ValueRef::Double(double) => Some(filter::hash(seed, &double.to_bits().to_le_bytes())),
        ValueRef::Bool(bool) => Some(filter::hash(seed, &[u8::from(bool)])),
        _ => None,
    }
}
