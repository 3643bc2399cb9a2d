//! Decodes OTLP/JSON into the readable prost types, leniently: whatever real senders write and proto3 JSON allows.
//! It checks JSON's own types only; ids, depths and limits are judged by `index`, after the caller has encoded the
//! request to protobuf.
//!
//! Accepted beyond the letter of OTLP: enum names, numbers in strings, whole numbers written as floats, `snake_case`
//! keys, `null` for anything absent, hexadecimal ids of either case, base64 of either alphabet with or without padding.
//! Unknown fields are ignored at every level. A key that is given twice counts once, the last.

mod message;
mod scalar;
#[cfg(test)]
mod tests;
mod trace;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde::de::DeserializeSeed;

use self::message::One;

/// A body that is not an OTLP/JSON request: none of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed OTLP/JSON at line {line} column {column}: {what}")]
pub struct JsonError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1; the byte at which the mistake was noticed.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

/// Decodes an OTLP/JSON `ExportTraceServiceRequest`.
///
/// Ids of a wrong length stay as they are, so that `index` refuses their spans one by one. Values nested deeper than
/// any limit allows end in an empty value one level below the deepest that `index` accepts, which makes it refuse the
/// span. A lone surrogate escape, which JavaScript writes when it cuts a text inside a character, becomes U+FFFD.
///
/// # Errors
/// [`JsonError`] when the body is not JSON, or a field has a value that is not of its type.
pub fn decode_json(body: &[u8]) -> Result<ExportTraceServiceRequest, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    // Nothing here recurses without a bound of its own: known messages are finitely nested except for attribute
    // values, which are counted, and unknown fields are skipped by iteration.
    deserializer.disable_recursion_limit();
    let request = One::new(0).deserialize(&mut deserializer).map_err(located)?;
    deserializer.end().map_err(located)?;
    request.ok_or_else(|| JsonError { line: 1, column: 1, what: "the request is null".to_owned() })
}

fn located(error: serde_json::Error) -> JsonError {
    let (line, column) = (error.line(), error.column());
    let mut what = error.to_string();
    if let Some(at) = what.rfind(&format!(" at line {line} column {column}")) {
        what.truncate(at);
    }
    JsonError { line, column, what }
}
