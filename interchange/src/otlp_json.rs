//! OTLP/JSON: whole documents through the receiver's own reader, framed ones after their frame is taken off.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value};
use spanlake_otlp::decode_json;

use crate::Parsed;
use crate::document::Mistake;

/// `{"resourceSpans":[..]}`.
pub(crate) fn read(parsed: &mut Parsed, document: &[u8], line: Option<usize>) -> Result<(), Mistake> {
    let request =
        decode_json(document).map_err(|error| Mistake { line: error.line, column: error.column, what: error.what })?;
    parsed.judge(line, request.resource_spans);
    Ok(())
}

/// What Tempo and Grafana wrap OTLP in, with ids in base64 where they come from Tempo's first API.
pub(crate) fn read_framed(parsed: &mut Parsed, document: &[u8], line: Option<usize>) -> Result<(), Mistake> {
    let document: Value = serde_json::from_slice(document)?;
    let mut resource_spans = Vec::new();
    unwrap(document, &mut resource_spans);
    for message in &mut resource_spans {
        modernise(message);
    }
    let mut whole = Map::new();
    whole.insert("resourceSpans".to_owned(), Value::Array(resource_spans));
    let encoded = serde_json::to_vec(&Value::Object(whole))?;
    // Its lines are not those of the file.
    let request = decode_json(&encoded).map_err(|error| Mistake { line: 1, column: 1, what: error.what })?;
    parsed.judge(line, request.resource_spans);
    Ok(())
}

/// Collects the `ResourceSpans` of a document, whatever frame is around them. Frames lie in each other at most thrice
/// (an array, `trace`, `resourceSpans`), and what serde_json has read is not nested deeper than 128.
fn unwrap(document: Value, into: &mut Vec<Value>) {
    let mut pending = vec![document];
    while let Some(value) = pending.pop() {
        match value {
            // From the back, so that the order stays.
            Value::Array(elements) => pending.extend(elements.into_iter().rev()),
            Value::Object(mut object) => {
                let frames = ["trace", "result", "batches", "resourceSpans", "resource_spans"];
                match frames.into_iter().find_map(|key| object.remove(key)) {
                    Some(inner) => pending.push(inner),
                    None => into.push(Value::Object(object)),
                }
            }
            _ => {}
        }
    }
}

/// Gives a `ResourceSpans` today's keys and hexadecimal ids.
fn modernise(message: &mut Value) {
    rename(message, "instrumentationLibrarySpans", "scopeSpans");
    for scope in elements(message, "scopeSpans", "scope_spans") {
        rename(scope, "instrumentationLibrary", "scope");
        for span in elements(scope, "spans", "spans") {
            to_hex(span, &["traceId", "trace_id"], 16);
            to_hex(span, &["spanId", "span_id", "parentSpanId", "parent_span_id"], 8);
            for link in elements(span, "links", "links") {
                to_hex(link, &["traceId", "trace_id"], 16);
                to_hex(link, &["spanId", "span_id"], 8);
            }
        }
    }
}

fn rename(value: &mut Value, old: &str, new: &str) {
    if let Value::Object(object) = value
        && !object.contains_key(new)
        && let Some(inner) = object.remove(old)
    {
        object.insert(new.to_owned(), inner);
    }
}

fn elements<'a>(value: &'a mut Value, key: &str, snake_key: &str) -> impl Iterator<Item = &'a mut Value> {
    let key = if value.get(key).is_some() { key } else { snake_key };
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

fn to_hex(value: &mut Value, keys: &[&str], id_bytes: usize) {
    for key in keys {
        let Some(Value::String(text)) = value.get_mut(key) else { continue };
        if text.len() == 2 * id_bytes && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            continue;
        }
        let decoded = STANDARD.decode(&*text).or_else(|_| STANDARD_NO_PAD.decode(&*text));
        if let Some(id) = decoded.ok().filter(|id| id.len() == id_bytes) {
            *text = hex(&id);
        }
    }
}

/// Bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
