//! `DELETE /api/v1/traces/{id}` and `POST /api/v1/traces/delete`: traces that no answer shows any more. What is stored of them
//! goes when their blocks are rewritten.

use ::http::{HeaderMap, StatusCode, Uri};
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use spanlake_model::{Tenant, TraceId};

use super::openapi::{Document, FAILURES, integer, query, required, shared};
use crate::http::params::{Params, SearchAsked, check_query_bytes, traceql_search};
use crate::http::refusal::Refusal;
use crate::http::request::{Format, JSON, Observed, answer, now_unix_nanos, params, refuse_other_sites, tenants};
use crate::querier::Querier;

/// Traces that one query deletes when it does not say how many it may, and most that it may. The catalog keeps at most as many
/// that are deleted and still stored.
const DEFAULT_LIMIT: usize = 1_000;
const MAX_LIMIT: usize = 10_000;
/// Most bytes of the reason, with room for what is put before it.
const MAX_REASON_BYTES: usize = 500;

/// `DELETE /api/v1/traces/{id}`
pub(crate) async fn one(
    State(querier): State<Querier>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let observed = Observed::start(&querier, "delete_trace");
    let result = delete_one(&querier, &id, &uri, &headers).await;
    observed.end(result)
}

/// Describes the endpoints.
pub(crate) fn describe(document: &mut Document) {
    let text = json!({ "type": "string" });
    let reason = json!({ "type": "string", "maxLength": MAX_REASON_BYTES });
    document.parameter("reason", query("reason", "Why, for the audit; at most 500 bytes.", reason));
    let sequence = "The manifest since which they are gone; absent when nothing was deleted.";
    let audit_key = "The object that says who asked; absent when nothing was deleted.";
    let deleted = json!({
        "type": "object",
        "required": ["traceIds", "newlyDeleted"],
        "properties": {
            "traceIds": { "type": "array", "items": text },
            "newlyDeleted": { "type": "integer", "description": "How many were not deleted before." },
            "dryRun": { "type": "boolean", "description": "Of deletions by query." },
            "manifestSequence": { "type": "integer", "description": sequence },
            "auditKey": { "type": "string", "description": audit_key },
        },
    });
    let deleted = document.schema("Deleted", deleted);
    let hidden = "The traces are hidden; what is stored of them goes later.";
    document
        .operation("delete", "/api/v1/traces/{id}", "deleteTrace", "Delete a trace: no answer shows it from now on")
        .text(
            "Holds for every process, and for spans of the trace that arrive later. What is stored of it goes when its \
             blocks are rewritten. An audit object keeps who asked for what. Deleting again does no harm.",
        )
        .parameters(["tenant", "traceId", "reason"].map(shared))
        .answers_as("202", hidden, JSON, deleted.clone())
        .fails(&["400", "401", "403", "429", "500", "503", "504"])
        .add();
    let (least, most) = (1, MAX_LIMIT as u64);
    document
        .post("/api/v1/traces/delete", "deleteTraces", "Delete the traces that a TraceQL query finds")
        .text(
            "All of them or none: when more match than `limit`, the answer is 422. With `dry_run=true` it only says which \
             they are. Otherwise as deleting one.",
        )
        .parameters(["tenant", "query"].map(shared))
        .parameters([
            required("start", "Unix seconds or nanoseconds, or RFC 3339.", text.clone()),
            required("end", "As start.", text),
            query("limit", "Most traces.", integer(least, most, DEFAULT_LIMIT as u64)),
            query(
                "dry_run",
                "Whether only to say what would be deleted.",
                json!({ "type": "boolean", "default": false }),
            ),
            shared("reason"),
        ])
        .answers_as("200", "Nothing is deleted: a dry run, or no trace matches.", JSON, deleted.clone())
        .answers_as("202", hidden, JSON, deleted)
        .fails(FAILURES)
        .fails(&["403"])
        .add();
}

async fn delete_one(querier: &Querier, id: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenant = tenant(querier, headers)?;
    let id = TraceId::parse_hex(id).map_err(|e| Refusal::bad(format!("invalid trace id: {e}")))?;
    let reason = reason("by id", &params(uri)?)?;
    let done = delete(querier, &tenant, &[id], &reason).await?;
    Ok(accepted(&done))
}

/// `POST /api/v1/traces/delete`
pub(crate) async fn selected(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "delete_traces");
    let result = delete_selected(&querier, &uri, &headers).await;
    observed.end(result)
}

async fn delete_selected(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenant = tenant(querier, headers)?;
    let params = params(uri)?;
    let text = params.get("q").ok_or_else(|| Refusal::bad("parameter q with a TraceQL query is needed"))?;
    check_query_bytes(text).map_err(Refusal::bad)?;
    if params.get("start").is_none() || params.get("end").is_none() {
        // What is deleted is gone: nobody is to delete of all time because a parameter was misspelt.
        return Err(Refusal::bad("parameters start and end are needed: which time the traces are of"));
    }
    let range = params.range(now_unix_nanos()).map_err(Refusal::bad)?;
    let limit = params.number("limit").map_err(Refusal::bad)?.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Refusal::bad(format!("invalid limit: {limit} is not from 1 to {MAX_LIMIT}")));
    }
    let is_dry_run = match params.get("dry_run") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(Refusal::bad(format!("invalid dry_run: {other:?} is neither true nor false"))),
    };
    let reason = reason("by query", &params)?;
    // One more than may be deleted tells whether there are too many.
    let asked = SearchAsked { range, limit: Some(limit as u64 + 1), spans_per_span_set: Some(1) };
    let request = traceql_search(text, asked).map_err(Refusal::bad)?;
    let found = querier.traceql_search(std::slice::from_ref(&tenant), &request, None).await?;
    if let Some(bound) = found.stopped {
        return Err(bound.into());
    }
    if found.traces.len() > limit {
        let text = format!(
            "more than {limit} traces match, the most that may be deleted at once: none was. Narrow the query, start and end, \
             or raise limit, which may be {MAX_LIMIT}"
        );
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    let ids: Vec<TraceId> = found.traces.iter().map(|trace| trace.trace_id).collect();
    if is_dry_run || ids.is_empty() {
        let told = json!({ "traceIds": texts(&ids), "dryRun": is_dry_run, "newlyDeleted": 0 });
        return Ok(answer(Format::Json, told.to_string().into_bytes()));
    }
    let mut done = delete(querier, &tenant, &ids, &reason).await?;
    done["dryRun"] = json!(false);
    Ok(accepted(&done))
}

/// The one tenant whose traces are deleted.
fn tenant(querier: &Querier, headers: &HeaderMap) -> Result<Tenant, Refusal> {
    refuse_other_sites(headers)?;
    let mut tenants = tenants(querier, headers)?;
    match (tenants.pop(), tenants.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(Refusal::bad("traces are deleted of one tenant at a time")),
    }
}

/// What the audit says of why.
fn reason(how: &str, params: &Params) -> Result<String, Refusal> {
    match params.get("reason") {
        Some(reason) if reason.len() > MAX_REASON_BYTES => {
            Err(Refusal::bad(format!("the reason has {} bytes, at most {MAX_REASON_BYTES} are kept", reason.len())))
        }
        Some(reason) => Ok(format!("over HTTP {how}: {reason}")),
        None => Ok(format!("over HTTP {how}")),
    }
}

async fn delete(querier: &Querier, tenant: &Tenant, ids: &[TraceId], reason: &str) -> Result<Value, Refusal> {
    let done = querier.delete_traces(tenant, ids, reason).await?;
    Ok(json!({
        "traceIds": texts(ids),
        "newlyDeleted": done.new_count,
        "manifestSequence": done.sequence,
        "auditKey": done.audit_key,
    }))
}

fn texts(ids: &[TraceId]) -> Vec<String> {
    ids.iter().map(TraceId::to_string).collect()
}

/// Hidden by now; the bytes go later.
fn accepted(done: &Value) -> Response {
    let mut response = answer(Format::Json, done.to_string().into_bytes()).into_response();
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}
