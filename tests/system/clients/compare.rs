//! Compares what a client sent with what `/api/traces/{id}` answers, field by field.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Exported, SentEvent, SentLink, SentSpan};
use crate::traffic::hex;

/// Fails unless `batches` (the value under `batches` or `resourceSpans`) is exactly the trace that was sent.
pub fn assert_same(sent: &Exported, batches: &Value) {
    let batches = list(batches);
    let mut read = Vec::new();
    for batch in batches {
        assert_eq!(attributes(&batch["resource"]["attributes"]), sent.resource, "resource attributes");
        for scope in list(&batch["scopeSpans"]) {
            assert_eq!(text(&scope["scope"]["name"]), sent.scope.name, "scope name");
            assert_eq!(text(&scope["scope"]["version"]), sent.scope.version, "scope version");
            assert_eq!(text(&scope["schemaUrl"]), sent.scope.schema_url, "schema URL of the scope");
            for span in list(&scope["spans"]) {
                assert_eq!(id(&span["traceId"]), sent.trace_id, "trace id");
                read.push(read_span(span));
            }
        }
    }
    assert_eq!(batches.len(), 1, "one resource is one group");
    let by_id = |spans: &mut Vec<&SentSpan>| spans.sort_by(|a, b| a.span_id.cmp(&b.span_id));
    let (mut read, mut wanted): (Vec<_>, Vec<_>) = (read.iter().collect(), sent.spans.iter().collect());
    by_id(&mut read);
    by_id(&mut wanted);
    assert_eq!(read.len(), wanted.len(), "number of spans");
    for (read, wanted) in read.into_iter().zip(wanted) {
        assert_eq!(read, wanted, "span {:?}", wanted.name);
    }
}

fn read_span(span: &Value) -> SentSpan {
    SentSpan {
        span_id: id(&span["spanId"]),
        parent_span_id: id(&span["parentSpanId"]),
        trace_state: text(&span["traceState"]),
        name: text(&span["name"]),
        kind: text(&span["kind"]),
        start: text(&span["startTimeUnixNano"]),
        end: text(&span["endTimeUnixNano"]),
        attributes: attributes(&span["attributes"]),
        events: list(&span["events"])
            .iter()
            .map(|event| SentEvent {
                name: text(&event["name"]),
                time: text(&event["timeUnixNano"]),
                attributes: attributes(&event["attributes"]),
            })
            .collect(),
        links: list(&span["links"])
            .iter()
            .map(|link| SentLink {
                trace_id: id(&link["traceId"]),
                span_id: id(&link["spanId"]),
                trace_state: text(&link["traceState"]),
                attributes: attributes(&link["attributes"]),
            })
            .collect(),
        // Zero values are left out, and for this enum zero is UNSET.
        status_code: match text(&span["status"]["code"]).as_str() {
            "" => "STATUS_CODE_UNSET".to_owned(),
            code => code.to_owned(),
        },
        status_message: text(&span["status"]["message"]),
    }
}

/// A key-value list as the client states it: by key, nested lists likewise, and no value where it is empty.
fn attributes(list_value: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for pair in list(list_value) {
        let previous = found.insert(text(&pair["key"]), value(&pair["value"]));
        assert!(previous.is_none(), "the key {} appears twice", pair["key"]);
    }
    found
}

fn value(any: &Value) -> Value {
    let Some((kind, inner)) = any.as_object().and_then(|object| object.iter().next()) else {
        return serde_json::json!({});
    };
    match kind.as_str() {
        "arrayValue" => {
            let items: Vec<Value> = list(&inner["values"]).iter().map(value).collect();
            serde_json::json!({ "arrayValue": items })
        }
        "kvlistValue" => serde_json::json!({ "kvlistValue": attributes(&inner["values"]) }),
        // 3 and 3.0 are the same JSON number.
        "doubleValue" if inner.is_number() => serde_json::json!({ "doubleValue": inner.as_f64() }),
        _ => any.clone(),
    }
}

/// A base64 id in hexadecimal; empty when absent.
fn id(value: &Value) -> String {
    hex(&STANDARD.decode(text(value)).unwrap_or_else(|error| panic!("{value} is not base64: {error}")))
}

/// A string; empty when absent.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => panic!("not a JSON string: {other}"),
    }
}

/// An array; empty when absent.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(items) => items,
        other => panic!("not a JSON array: {other}"),
    }
}
