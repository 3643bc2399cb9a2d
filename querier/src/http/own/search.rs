//! `/api/v1/search`: a TraceQL search whose results are lines of JSON, sent as they are found.
//!
//! Closing the connection ends the search.

use std::convert::Infallible;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, StatusCode, Uri};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::{Stream, StreamExt as _, stream};
use serde_json::{Value, json};
use spanlake_model::Tenant;

use super::NDJSON;
use super::openapi::{Document, FAILURES, integer, query, shared};
use crate::engine::TraceqlSearch;
use crate::error::Error;
use crate::http::jsonpb::{Object, write_string};
use crate::http::live::{self, Heard};
use crate::http::params::traceql_search;
use crate::http::refusal::Refusal;
use crate::http::request::{Observed, now_unix_nanos, params, tenants};
use crate::http::tempopb::{SearchMetrics, write_found, write_metrics};
use crate::querier::Querier;

/// `/api/v1/search`
pub(crate) async fn search(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "live_search");
    let (tenants, request) = match asked(&querier, &uri, &headers) {
        Ok(asked) => asked,
        Err(refusal) => return observed.end(Err(refusal)),
    };
    let mut heard = Box::pin(live::search(querier, tenants, request));
    // The first item is awaited, so that a search that fails at once answers with the status of its failure.
    match heard.next().await {
        Some(Ok(first)) => {
            let lines = lines(stream::once(std::future::ready(Ok(first))).chain(heard), observed);
            ([(CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
        }
        Some(Err(error)) => observed.end(Err(error.into())),
        None => observed.end(Err(Error::Internal("the search ended without an answer".to_owned()).into())),
    }
}

/// Describes the endpoint.
pub(crate) fn describe(document: &mut Document) {
    let metrics = json!({
        "type": "object",
        "description": "What it cost so far; zeros are left out, 64-bit numbers are texts.",
        "properties": {
            "inspectedTraces": { "type": "integer" },
            "inspectedSpans": { "type": "string" },
            "inspectedBytes": { "type": "string" },
            "totalBlocks": { "type": "integer" },
            "totalJobs": { "type": "integer" },
            "completedJobs": { "type": "integer" },
            "totalBlockBytes": { "type": "string" },
        },
    });
    let metrics = document.schema("Metrics", metrics);
    let trace = trace_schema(document);
    let line = |kind: &str, properties: Value, needed: &[&str]| {
        let mut line = json!({ "type": "object", "properties": properties });
        line["properties"]["type"] = json!({ "const": kind });
        line["required"] = [&["type"], needed].concat().into();
        line
    };
    let stopped = "The bound at which the search stopped: there may be more traces.";
    let lines = json!({
        "oneOf": [
            line("progress", json!({ "metrics": metrics }), &["metrics"]),
            line("traces", json!({ "traces": { "type": "array", "items": trace } }), &["traces"]),
            line(
                "done",
                json!({ "metrics": metrics, "stopped": { "type": "string", "description": stopped } }),
                &["metrics"],
            ),
            line(
                "error",
                json!({ "status": { "type": "integer" }, "message": { "type": "string" } }),
                &["status", "message"],
            ),
        ],
    });
    let lines = document.schema("SearchLine", lines);
    let spans = "Most spans for each spanset; all are counted. 0 means 3.";
    document
        .get("/api/v1/search", "search", "Search with TraceQL; results are sent as they are found")
        .text(
            "Answers lines of JSON: any number of `progress` and `traces` lines, then one `done` or `error` line. Each trace is \
             sent once, newest first, and is final. Closing the connection ends the search.",
        )
        .parameters(["tenant", "query", "start", "end", "since"].map(shared))
        .parameters([
            query("limit", "Most traces.", integer(1, 262_144, 20)),
            query("spss", spans, integer(0, 100, 3)),
        ])
        .answers_as("200", "One JSON object a line.", NDJSON, lines)
        .fails(FAILURES)
        .add();
}

/// A trace as searches answer it.
fn trace_schema(document: &mut Document) -> Value {
    let value = "One of stringValue, boolValue, intValue (a text), doubleValue, arrayValue.";
    let attribute = json!({
        "type": "object",
        "properties": { "key": { "type": "string" }, "value": { "type": "object", "description": value } },
    });
    let attributes = json!({ "type": "array", "items": document.schema("Attribute", attribute) });
    let span = json!({
        "type": "object",
        "properties": {
            "spanID": { "type": "string" },
            "name": { "type": "string" },
            "startTimeUnixNano": { "type": "string" },
            "durationNanos": { "type": "string" },
            "attributes": attributes,
        },
    });
    let span_set = json!({
        "type": "object",
        "properties": {
            "spans": { "type": "array", "items": span },
            "matched": { "type": "integer" },
            "attributes": attributes,
        },
    });
    let span_set = document.schema("SpanSet", span_set);
    let service = json!({
        "type": "object",
        "properties": { "spanCount": { "type": "integer" }, "errorCount": { "type": "integer" } },
    });
    let trace = json!({
        "type": "object",
        "description": "A trace as in Tempo's /api/search; zeros and empty texts are left out.",
        "properties": {
            "traceID": { "type": "string", "description": "Hexadecimal without leading zeros." },
            "rootServiceName": { "type": "string" },
            "rootTraceName": { "type": "string" },
            "startTimeUnixNano": { "type": "string" },
            "durationMs": { "type": "integer" },
            "spanSet": span_set,
            "spanSets": { "type": "array", "items": span_set },
            "serviceStats": { "type": "object", "additionalProperties": service },
        },
    });
    document.schema("Trace", trace)
}

fn asked(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<(Vec<Tenant>, TraceqlSearch), Refusal> {
    let tenants = tenants(querier, headers)?;
    let params = params(uri)?;
    let text =
        params.get("q").ok_or_else(|| Refusal::bad("invalid request: parameter q with a TraceQL query is needed"))?;
    let request = params.search_asked(now_unix_nanos()).and_then(|asked| traceql_search(text, asked));
    Ok((tenants, request.map_err(Refusal::bad)?))
}

fn lines(
    heard: impl Stream<Item = Result<Heard, Error>>,
    observed: Observed,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let mut observed = Some(observed);
    heard.map(move |heard| {
        let (line, ended_as) = line(heard);
        if let (Some(status), Some(observed)) = (ended_as, observed.take_if(|_| ended_as.is_some())) {
            observed.end_as(status);
        }
        Ok(Bytes::from(line))
    })
}

/// One line, and the status the search ends with if this is the last.
fn line(heard: Result<Heard, Error>) -> (Vec<u8>, Option<StatusCode>) {
    let mut out = Vec::new();
    let mut object = Object::open(&mut out);
    let ended_as = match heard {
        Ok(Heard::Progress(stats)) => {
            object.string("type", "progress");
            write_metrics(object.field("metrics"), &SearchMetrics::of_metrics(&stats));
            None
        }
        Ok(Heard::Traces(traces, _)) => {
            object.string("type", "traces");
            let out = object.field("traces");
            out.push(b'[');
            write_found(out, traces, true);
            out.push(b']');
            None
        }
        Ok(Heard::End(stats, stopped)) => {
            object.string("type", "done");
            write_metrics(object.field("metrics"), &SearchMetrics::of_metrics(&stats));
            if let Some(bound) = &stopped {
                object.string("stopped", &bound.to_string());
            }
            Some(StatusCode::OK)
        }
        Err(error) => {
            let Refusal(status, text) = error.into();
            object.string("type", "error");
            object.u32("status", u32::from(status.as_u16()));
            write_string(object.field("message"), &text);
            Some(status)
        }
    };
    object.close();
    out.push(b'\n');
    (out, ended_as)
}

#[cfg(test)]
mod tests {
    use spanlake_model::TraceId;

    use super::*;
    use crate::engine::Stats;
    use crate::search::FoundTrace;

    #[test]
    fn lines_of_a_search() {
        let check = |heard: Result<Heard, Error>, expect: &str, status: Option<u16>| {
            let (line, ended_as) = line(heard);
            assert_eq!(String::from_utf8(line).expect("JSON is UTF-8"), format!("{expect}\n"));
            assert_eq!(ended_as.map(|status| status.as_u16()), status);
        };
        let stats = Stats { inspected_spans: 7, block_count: 2, blocks_done: 1, ..Stats::default() };
        let metrics = r#"{"totalBlocks":2,"completedJobs":1,"totalJobs":2,"inspectedSpans":"7"}"#;
        check(Ok(Heard::Progress(stats)), &format!(r#"{{"type":"progress","metrics":{metrics}}}"#), None);
        let trace = FoundTrace {
            trace_id: TraceId([0x1f; 16]),
            root_service: None,
            root_name: Some("GET /".into()),
            start_unix_nanos: 5,
            end_unix_nanos: 5,
            services: vec![],
            span_sets: vec![],
        };
        let found = format!(
            r#"{{"type":"traces","traces":[{{"traceID":"{}","rootTraceName":"GET /","startTimeUnixNano":"5"}}]}}"#,
            "1f".repeat(16)
        );
        check(Ok(Heard::Traces(vec![trace], stats)), &found, None);
        check(Ok(Heard::End(stats, None)), &format!(r#"{{"type":"done","metrics":{metrics}}}"#), Some(200));
        let bound = Error::TooManyBytes { max_bytes: 1 };
        let stopped = format!(r#"{{"type":"done","metrics":{metrics},"stopped":"{bound}"}}"#);
        check(Ok(Heard::End(stats, Some(bound))), &stopped, Some(200));
        let busy = format!(r#"{{"type":"error","status":429,"message":"{}"}}"#, Error::Busy);
        check(Err(Error::Busy), &busy, Some(429));
    }
}
