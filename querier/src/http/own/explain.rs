//! `/api/v1/query/explain`: what a query would do and what each step would leave out, as JSON or as an outline to read.

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, Uri};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::openapi::{Document, FAILURES, query as parameter, shared};
use crate::error::Error;
use crate::http::params::query;
use crate::http::refusal::Refusal;
use crate::http::request::{Format, JSON, Observed, accepts, answer, now_unix_nanos, params, tenants};
use crate::querier::Querier;

/// What is nested deeper than this is written as JSON on one line.
const MAX_DEPTH: usize = 24;

/// `/api/v1/query/explain`
pub(crate) async fn explain(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "explain");
    let result = explained(&querier, &uri, &headers).await;
    observed.end(result)
}

/// Describes the endpoint.
pub(crate) fn describe(document: &mut Document) {
    let summary = "What a TraceQL query would do, and what each step would leave out";
    let told = "The plan. Its fields may change from version to version.";
    document
        .get("/api/v1/query/explain", "explainQuery", summary)
        .parameters(["tenant", "query", "start", "end", "since"].map(shared))
        .parameters([parameter("format", "Wins over Accept.", json!({ "enum": ["json", "text"] }))])
        .answers_as("200", told, JSON, json!({ "type": "object" }))
        .answers_as("200", told, "text/plain", json!({ "type": "string" }))
        .fails(FAILURES)
        .add();
}

async fn explained(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let params = params(uri)?;
    let text =
        params.get("q").ok_or_else(|| Refusal::bad("invalid request: parameter q with a TraceQL query is needed"))?;
    let as_text = match params.get("format") {
        None => accepts(headers, "text/plain"),
        Some("text") => true,
        Some("json") => false,
        Some(other) => return Err(Refusal::bad(format!("invalid format: {other:?} is neither json nor text"))),
    };
    let query = query(text).map_err(Refusal::bad)?;
    let range = params.range(now_unix_nanos()).map_err(Refusal::bad)?;
    let plan = querier.traceql_explain(&tenants, &query, range).await?;
    if as_text {
        return Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], outline(&plan)).into_response());
    }
    let body = serde_json::to_vec(&plan).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(answer(Format::Json, body))
}

/// A line for each value, what lies inside another indented below it.
fn outline(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(_) | Value::Array(_) => write_inside(&mut out, value, 0),
        plain => write_line(&mut out, plain),
    }
    out
}

fn write_inside(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                out.push_str(&format!("{indent}{name}:"));
                write_below(out, field, depth);
            }
        }
        Value::Array(items) => {
            for item in items {
                out.push_str(&format!("{indent}-"));
                write_below(out, item, depth);
            }
        }
        _ => {}
    }
}

fn write_below(out: &mut String, value: &Value, depth: usize) {
    let holds_something = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if holds_something && depth < MAX_DEPTH {
        out.push('\n');
        write_inside(out, value, depth + 1);
    } else {
        out.push(' ');
        write_line(out, value);
    }
}

fn write_line(out: &mut String, value: &Value) {
    match value {
        Value::String(text) if !text.contains(['\n', '\r']) => out.push_str(text),
        other => out.push_str(&other.to_string()),
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines() {
        let check = |value: Value, expect: &str| assert_eq!(outline(&value), expect);
        check(serde_json::json!("x"), "x\n");
        check(
            serde_json::json!({"query": "{}", "steps": [{"name": "scan", "blocks": 3}, "a\nb"], "none": [], "all": null}),
            "all: null\nnone: []\nquery: {}\nsteps:\n  -\n    blocks: 3\n    name: scan\n  - \"a\\nb\"\n",
        );
        let deep = (0..100).fold(Value::Null, |inner, _| serde_json::json!([inner]));
        assert!(outline(&deep).lines().count() <= MAX_DEPTH + 1);
    }
}
