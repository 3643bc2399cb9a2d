//! What must hold whatever happens: about answers, about the manifests, about objects.

use spanlake_catalog::Catalog;
use spanlake_model::{Tenant, TraceId};
use spanlake_querier::{Error, Querier, SearchAnswer, SearchRequest, Tag, TraceqlAnswer, TraceqlSearch};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::ledger::{Ledger, Wanted};

/// More than any run has traces.
const ALL_TRACES: usize = 10_000;

/// A search for the spans of one request.
pub fn search_for(marker: &str) -> SearchRequest {
    let tag = Tag::new("marker".to_owned(), marker.to_owned()).expect("any text may be searched for");
    SearchRequest {
        tags: vec![tag],
        min_duration_nanos: None,
        max_duration_nanos: None,
        range: None,
        limit: ALL_TRACES,
    }
}

/// Whether a query may fail so: an answer that cannot be complete says so, but nothing is ever gone or our fault. `damages`
/// says that the store's answers may be spoilt twice in a row.
pub fn may_fail(error: &Error, damages: bool) -> bool {
    match error {
        Error::Unavailable { .. } | Error::TimedOut { .. } | Error::Busy => true,
        Error::Damaged { .. } => damages,
        _ => false,
    }
}

/// What is wrong with the answer to a search for a request's spans.
pub fn check_search(answer: &SearchAnswer, ledger: &Ledger, wanted: &Wanted) -> Result<(), String> {
    let request = &ledger.requests[wanted.number];
    let mut found: Vec<TraceId> = answer.traces.iter().map(|trace| trace.trace_id).collect();
    found.sort();
    let wrong = |what: String| Err(format!("the search for {} of tenant {}: {what}", request.marker, request.tenant));
    if let Some(pair) = found.windows(2).find(|pair| pair[0] == pair[1]) {
        return wrong(format!("trace {} is answered twice", pair[0]));
    }
    if let Some(stranger) = found.iter().find(|id| !request.spans.contains_key(id)) {
        return wrong(format!("trace {stranger} has no such span"));
    }
    check_duties(&found, ledger, wanted).or_else(wrong)
}

/// What is wrong with the traces that a search for a request's spans has found.
fn check_duties(found: &[TraceId], ledger: &Ledger, wanted: &Wanted) -> Result<(), String> {
    let (request, duties) = (&ledger.requests[wanted.number], &ledger.duties);
    if let Some(shown) = found.iter().find(|id| duties.must_hide(request, **id, wanted.asked)) {
        return Err(format!("trace {shown} is deleted and shown"));
    }
    let is_missing = |(id, since): &&(TraceId, _)| !found.contains(id) && duties.must_show(request, *id, *since);
    match wanted.due.iter().find(is_missing) {
        Some((missing, _)) => {
            let due_count = wanted.due.len();
            Err(format!("trace {missing} is missing; {} of {due_count} are there", found.len()))
        }
        None => Ok(()),
    }
}

/// A TraceQL search for the spans of one request.
pub fn traceql_for(marker: &str) -> TraceqlSearch {
    let query = spanlake_traceql::parse(&format!("{{ span.marker = \"{marker}\" }}")).expect("a query");
    TraceqlSearch { query, range: None, limit: ALL_TRACES, spans_per_span_set: 100 }
}

/// What is wrong with the answer to a TraceQL search for a request's spans: a trace shows all of them, none twice.
pub fn check_traceql(answer: &TraceqlAnswer, ledger: &Ledger, wanted: &Wanted) -> Result<(), String> {
    let request = &ledger.requests[wanted.number];
    let wrong = |what: String| Err(format!("TraceQL for {} of tenant {}: {what}", request.marker, request.tenant));
    if let Some(bound) = &answer.stopped {
        return wrong(format!("it stopped: {bound}"));
    }
    for trace in &answer.traces {
        let id = trace.trace_id;
        let sent = request.spans.get(&id).map_or(0, |spans| spans.len());
        let matched: u32 = trace.span_sets.iter().map(|set| set.matched).sum();
        if matched as usize != sent {
            return wrong(format!("{matched} of the {sent} spans of trace {id} match"));
        }
    }
    let found: Vec<TraceId> = answer.traces.iter().map(|trace| trace.trace_id).collect();
    check_duties(&found, ledger, wanted).or_else(wrong)
}

/// Whether the object is one of a tenant's live blocks now.
pub async fn is_live(truth: &Catalog, key: &str) -> bool {
    let Some(name) = key.strip_prefix("tenants/").and_then(|below| below.split('/').next()) else { return false };
    let Ok(tenant) = Tenant::parse(name) else { return false };
    let snapshot = truth.snapshot(&tenant).await.expect("the true store does not fail");
    snapshot.blocks.iter().any(|block| &*block.key == key)
}

/// The manifests of a tenant: numbered without a gap, each linked to the one before, epochs never falling.
pub async fn check_chain(cluster: &Cluster, tenant: &Tenant) -> Result<(), String> {
    let listed = cluster.truth.list(&format!("tenants/{tenant}/manifest/"), None).await.map_err(|e| e.to_string())?;
    let mut before: Option<(u64, String, u64)> = None;
    for object in listed {
        let bytes = cluster.truth.get(&object.key).await.map_err(|error| error.to_string())?;
        let manifest: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", object.key))?;
        let text = |name: &str| manifest[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| manifest[name].as_u64().unwrap_or_default();
        if let Some((sequence, link, epoch)) = before {
            let follows = number("sequence") == sequence + 1 && text("previous") == link && number("epoch") >= epoch;
            if !follows {
                return Err(format!("{} does not follow number {sequence}", object.key));
            }
        }
        before = Some((number("sequence"), format!("{}-{}", text("nonce"), text("crc32c")), number("epoch")));
    }
    Ok(())
}

/// Every live block of a tenant is there.
pub async fn check_objects(cluster: &Cluster, tenant: &Tenant) -> Result<(), String> {
    let snapshot = cluster.true_catalog().snapshot(tenant).await.map_err(|error| error.to_string())?;
    for block in &snapshot.blocks {
        if cluster.truth.get(&block.key).await.is_err() {
            return Err(format!("{} is live and not there", block.key));
        }
    }
    Ok(())
}

/// Everything, when nothing happens any more: what was acknowledged is found once, by id and by search, with the right counts,
/// and every request is whole or absent. Of `searched` requests one is searched for.
pub async fn check_all(
    cluster: &Cluster,
    ledger: &mut Ledger,
    tenants: &[Tenant],
    searched: usize,
) -> Result<(), String> {
    let (querier, begun) = (cluster.true_querier(), Instant::now());
    for tenant in tenants {
        check_chain(cluster, tenant).await?;
        check_objects(cluster, tenant).await?;
    }
    check_traces(cluster, ledger, &querier).await?;
    for (tenant, id) in ledger.traces() {
        for other in tenants.iter().filter(|other| **other != tenant) {
            if !spans_of(&querier, other, id).await?.is_empty() {
                return Err(format!("trace {id} of tenant {tenant} is shown to tenant {other}"));
            }
        }
    }
    if let Some(torn) = ledger.torn_request(begun) {
        return Err(torn);
    }
    for (number, request) in ledger.requests.iter().enumerate().step_by(searched) {
        let wanted = ledger.want_what_was_shown(number, begun);
        let answer = querier.search(std::slice::from_ref(&request.tenant), &search_for(&request.marker)).await;
        let answer = answer.map_err(|error| error.to_string())?;
        check_search(&answer, ledger, &wanted)?;
        let query = traceql_for(&request.marker);
        let by_query = querier.traceql_search(std::slice::from_ref(&request.tenant), &query, None).await;
        check_traceql(&by_query.map_err(|error| error.to_string())?, ledger, &wanted)?;
        for trace in &answer.traces {
            let counted: u32 = trace.services.iter().map(|service| service.span_count).sum();
            let seen = ledger.seen_count(&request.tenant, trace.trace_id, begun);
            if counted as usize != seen {
                let id = trace.trace_id;
                return Err(format!("a search counts {counted} spans of trace {id}, by id there are {seen}"));
            }
        }
    }
    Ok(())
}

/// Every trace, by id.
pub async fn check_traces(cluster: &Cluster, ledger: &mut Ledger, querier: &Querier) -> Result<(), String> {
    for (tenant, id) in ledger.traces() {
        let expected = ledger.expect(&tenant, id);
        let found = spans_of(querier, &tenant, id).await?;
        ledger.check(&expected, &found)?;
        cluster.history.note(format_args!("trace {id} of {tenant} has {} spans", found.len()));
    }
    Ok(())
}

async fn spans_of(
    querier: &Querier,
    tenant: &Tenant,
    id: TraceId,
) -> Result<Vec<opentelemetry_proto::tonic::trace::v1::Span>, String> {
    let answer = querier.trace(std::slice::from_ref(tenant), id, None).await.map_err(|error| error.to_string())?;
    Ok(flatten(answer.trace))
}

/// The spans of a trace.
pub fn flatten(
    trace: opentelemetry_proto::tonic::trace::v1::TracesData,
) -> Vec<opentelemetry_proto::tonic::trace::v1::Span> {
    let scopes = trace.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}
