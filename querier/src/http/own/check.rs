//! `/api/v1/query/check`: what is wrong with a query and where, what it is in canonical form, what could stand at the cursor.
//!
//! It reads text only: no tenant, no data.

use ::http::Uri;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use spanlake_traceql::{Completion, CompletionKind, ParseError};

use super::openapi::{Document, query};
use crate::http::params::check_query_bytes;
use crate::http::refusal::Refusal;
use crate::http::request::{Format, JSON, Observed, answer, params};
use crate::querier::Querier;

/// `/api/v1/query/check`
pub(crate) async fn check(State(querier): State<Querier>, uri: Uri) -> Response {
    let observed = Observed::start(&querier, "check");
    let result = checked(&uri).map(|found| answer(Format::Json, found.to_string().into_bytes()));
    observed.end(result)
}

/// Describes the endpoint.
pub(crate) fn describe(document: &mut Document) {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer" });
    let kinds = [
        "attributes",
        "values",
        "intrinsics",
        "operators",
        "aggregates",
        "metricsFunctions",
        "pipelineStages",
        "hints",
        "keywords",
    ];
    let error = json!({
        "type": "object",
        "properties": {
            "message": text,
            "text": { "type": "string", "description": "Place, message and hint in one sentence." },
            "line": { "type": "integer", "description": "From 1." },
            "column": { "type": "integer", "description": "From 1, in characters." },
            "offset": { "type": "integer", "description": "In bytes." },
            "length": { "type": "integer", "description": "Of the wrong part, in bytes." },
            "expected": { "type": "array", "items": text },
            "hint": text,
        },
        "required": ["message", "text", "line", "column", "offset", "length", "expected"],
    });
    let fitting = json!({
        "type": "object",
        "properties": {
            "kind": { "enum": kinds },
            "scope": text,
            "ofParent": { "type": "boolean" },
            "field": text,
        },
        "required": ["kind"],
    });
    let completion = json!({
        "type": "object",
        "description": "What could stand at the cursor.",
        "properties": {
            "start": { "type": "integer", "description": "First byte that a candidate replaces." },
            "end": { "type": "integer", "description": "The byte behind the last one." },
            "prefix": { "type": "string", "description": "What is typed already." },
            "kinds": {
                "type": "array",
                "description": "What fits: names of attributes (of a scope), values of a field, or words that are among \
                    the candidates.",
                "items": fitting,
            },
            "candidates": { "type": "array", "items": text },
        },
    });
    let check = json!({
        "type": "object",
        "properties": {
            "valid": { "type": "boolean" },
            "kind": {
                "enum": ["search", "metrics"],
                "description": "What kind of query it is; absent for one that is not valid.",
            },
            "canonical": {
                "type": "string",
                "description": "The query in its canonical form; absent for one that is not valid.",
            },
            "errors": { "type": "array", "items": error },
            "completion": completion,
        },
        "required": ["valid", "errors"],
    });
    let check = document.schema("Check", check);
    let cursor = "Position in bytes of UTF-8; with it the answer has `completion`.";
    let summary = "Check a TraceQL query: errors with places, canonical text, what could stand at the cursor";
    let mut at_least_zero = number;
    at_least_zero["minimum"] = json!(0);
    document
        .get("/api/v1/query/check", "checkQuery", summary)
        .parameters([
            query("q", "The query; may be empty or unfinished.", text),
            query("cursor", cursor, at_least_zero),
        ])
        .answers_as("200", "What is right and wrong with it.", JSON, check)
        .fails(&["400"])
        .add();
}

fn checked(uri: &Uri) -> Result<Value, Refusal> {
    let params = params(uri)?;
    let text = params.get("q").unwrap_or_default();
    check_query_bytes(text).map_err(Refusal::bad)?;
    let cursor: Option<usize> = params.number("cursor").map_err(Refusal::bad)?;
    let mut found = match spanlake_traceql::parse(text) {
        Ok(query) => json!({
            "valid": true,
            "kind": if query.metrics.is_some() { "metrics" } else { "search" },
            "canonical": query.to_string(),
            "errors": [],
        }),
        Err(error) => json!({ "valid": false, "errors": [described(&error)] }),
    };
    if let Some(cursor) = cursor {
        found["completion"] = offered(&spanlake_traceql::complete(text, cursor));
    }
    Ok(found)
}

fn offered(completion: &Completion) -> Value {
    json!({
        "start": completion.range.start,
        "end": completion.range.end,
        "prefix": completion.prefix,
        "kinds": completion.kinds.iter().map(kind).collect::<Vec<_>>(),
        "candidates": completion.candidates,
    })
}

fn kind(kind: &CompletionKind) -> Value {
    let plain = match kind {
        CompletionKind::Attributes { of_parent, scope } => {
            return json!({ "kind": "attributes", "scope": scope.word().unwrap_or_default(), "ofParent": of_parent });
        }
        CompletionKind::Values(field) => return json!({ "kind": "values", "field": field.to_string() }),
        CompletionKind::Intrinsics => "intrinsics",
        CompletionKind::Operators => "operators",
        CompletionKind::Aggregates => "aggregates",
        CompletionKind::MetricsFunctions => "metricsFunctions",
        CompletionKind::PipelineStages => "pipelineStages",
        CompletionKind::Hints => "hints",
        CompletionKind::Keywords => "keywords",
    };
    json!({ "kind": plain })
}

fn described(error: &ParseError) -> Value {
    let mut described = json!({
        "message": error.message,
        "text": error.to_string(),
        "line": error.line,
        "column": error.column,
        "offset": error.offset,
        "length": error.length,
        "expected": error.expected,
    });
    if let Some(hint) = &error.hint {
        described["hint"] = json!(hint);
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str) -> Value {
        checked(&format!("/?{query}").parse().expect("a path")).expect("it can be checked")
    }

    #[test]
    fn queries_are_checked() {
        let search = found("q=%7B.a%3D1%7D");
        assert_eq!(search, json!({"valid": true, "kind": "search", "canonical": "{ .a = 1 }", "errors": []}));
        assert_eq!(found("q=%7B%7D%7Crate()")["kind"], "metrics");
        let wrong = found("q=%7B%20.a%20%3D%20");
        assert_eq!((&wrong["valid"], wrong.get("canonical")), (&json!(false), None));
        let error = &wrong["errors"][0];
        assert_eq!((&error["line"], &error["offset"], &error["length"]), (&json!(1), &json!(7), &json!(0)), "{error}");
        assert!(error["text"].as_str().is_some_and(|text| text.starts_with("line 1, column 8: ")), "{error}");
        assert_eq!(found("")["valid"], false);
    }

    #[test]
    fn cursors_get_an_offer() {
        let offer = &found("q=%7B%20stat&cursor=6")["completion"];
        assert_eq!((&offer["start"], &offer["end"], &offer["prefix"]), (&json!(2), &json!(6), &json!("stat")));
        assert!(offer["candidates"].as_array().is_some_and(|found| found.contains(&json!("status"))), "{offer}");
        let values = &found("q=%7B%20span.a%20%3D%20&cursor=11")["completion"];
        let kinds = values["kinds"].as_array().expect("kinds");
        assert!(kinds.contains(&json!({"kind": "values", "field": "span.a"})), "{values}");
        assert!(found("q=%C3%A9&cursor=1").is_object() && found("cursor=99").is_object());
        assert_eq!(found("q=%7B%7D").get("completion"), None);
    }
}
