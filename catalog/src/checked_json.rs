//! JSON objects on one line whose last member is the checksum of every byte before it. Knows nothing of what they say.

use bytes::Bytes;
use serde::Serialize;
use spanlake_model::world::{self, Rule};

/// What closes the JSON object: the checksum of every byte before it, in eight hexadecimal digits.
pub(crate) const SUFFIX_START: &str = ",\"crc32c\":\"";
pub(crate) const SUFFIX_END: &str = "\"}\n";
pub(crate) const SUFFIX_BYTES: usize = SUFFIX_START.len() + 8 + SUFFIX_END.len();

/// The object with its checksum, and the checksum.
pub(crate) fn close(document: &impl Serialize) -> (Bytes, u32) {
    let mut text = serde_json::to_string(document).expect("texts and numbers always become JSON");
    text.pop();
    let crc = crc32c::crc32c(text.as_bytes());
    text.push_str(&format!("{SUFFIX_START}{crc:08x}{SUFFIX_END}"));
    (Bytes::from(text), crc)
}

/// Checks the checksum and gives back the JSON object without it, closed, and the checksum; or says what is wrong.
pub(crate) fn open(bytes: &[u8]) -> Result<(String, u32), String> {
    let at = bytes.len().checked_sub(SUFFIX_BYTES).ok_or_else(|| format!("it has only {} bytes", bytes.len()))?;
    let (body, suffix) = bytes.split_at(at);
    let written = std::str::from_utf8(suffix)
        .ok()
        .and_then(|suffix| suffix.strip_prefix(SUFFIX_START)?.strip_suffix(SUFFIX_END))
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .ok_or("it does not end with its checksum")?;
    let found = crc32c::crc32c(body);
    if found != written && !world::is_broken(Rule::CompareChecksums) {
        return Err(format!("its checksum is {found:08x}, written was {written:08x}"));
    }
    let mut text = String::from_utf8(body.to_vec()).map_err(|_| "it is not UTF-8")?;
    text.push('}');
    Ok((text, written))
}
