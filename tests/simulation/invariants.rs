//! What must hold whatever happens: about answers, about the manifests, about objects.

use spanlake_catalog::Catalog;
use spanlake_model::{Tenant, TraceId};
use spanlake_querier::{Error, Querier, SearchAnswer, SearchRequest, Tag, TraceqlAnswer, TraceqlSearch};

use crate::cluster::Cluster;
use crate::ledger::{Ledger, Request};

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

/// What is wrong with the answer to a search for a request's spans: `due` are the traces it must show.
pub fn check_search(answer: &SearchAnswer, request: &Request, due: &[TraceId]) -> Result<(), String> {
    let mut found: Vec<TraceId> = answer.traces.iter().map(|trace| trace.trace_id).collect();
    found.sort();
    let wrong = |what: String| Err(format!("the search for {} of tenant {}: {what}", request.marker, request.tenant));
    if let Some(pair) = found.windows(2).find(|pair| pair[0] == pair[1]) {
        return wrong(format!("trace {} is answered twice", pair[0]));
    }
    if let Some(stranger) = found.iter().find(|id| !request.spans.contains_key(id)) {
        return wrong(format!("trace {stranger} has no such span"));
    }
    match due.iter().find(|id| !found.contains(id)) {
        Some(missing) => wrong(format!("trace {missing} is missing; {} of {} are there", found.len(), due.len())),
        None => Ok(()),
    }
}

/// A TraceQL search for the spans of one request.
pub fn traceql_for(marker: &str) -> TraceqlSearch {
    let query = spanlake_traceql::parse(&format!("{{ span.marker = \"{marker}\" }}")).expect("a query");
    TraceqlSearch { query, range: None, limit: ALL_TRACES, spans_per_span_set: 100 }
}

/// What is wrong with the answer to a TraceQL search for a request's spans: each of the `due` traces must show all of them, and
/// no trace some of them or one twice.
pub fn check_traceql(answer: &TraceqlAnswer, request: &Request, due: &[TraceId]) -> Result<(), String> {
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
    let is_there = |id: &TraceId| answer.traces.iter().any(|trace| trace.trace_id == *id);
    match due.iter().find(|id| !is_there(id)) {
        Some(missing) => {
            wrong(format!("trace {missing} is missing; {} of {} are there", answer.traces.len(), due.len()))
        }
        None => Ok(()),
    }
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
/// and every request is whole or absent.
pub async fn check_all(cluster: &Cluster, ledger: &mut Ledger, tenants: &[Tenant]) -> Result<(), String> {
    let querier = cluster.true_querier();
    for tenant in tenants {
        check_chain(cluster, tenant).await?;
        check_objects(cluster, tenant).await?;
    }
    for (tenant, id) in ledger.traces() {
        let expected = ledger.expect(&tenant, id);
        ledger.check(&expected, &spans_of(&querier, &tenant, id).await?)?;
        for other in tenants.iter().filter(|other| **other != tenant) {
            if !spans_of(&querier, other, id).await?.is_empty() {
                return Err(format!("trace {id} of tenant {tenant} is shown to tenant {other}"));
            }
        }
    }
    if let Some(torn) = ledger.torn_request() {
        return Err(torn);
    }
    for request in &ledger.requests {
        let answer = querier.search(std::slice::from_ref(&request.tenant), &search_for(&request.marker)).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let is_stored = request.spans.keys().all(|id| ledger.shows(request, *id));
        let due: Vec<TraceId> = if is_stored { request.spans.keys().copied().collect() } else { Vec::new() };
        check_search(&answer, request, &due)?;
        let query = traceql_for(&request.marker);
        let by_query = querier.traceql_search(std::slice::from_ref(&request.tenant), &query, None).await;
        check_traceql(&by_query.map_err(|error| error.to_string())?, request, &due)?;
        for trace in &answer.traces {
            let counted: u32 = trace.services.iter().map(|service| service.span_count).sum();
            let seen = ledger.seen_count(&request.tenant, trace.trace_id);
            if counted as usize != seen {
                let id = trace.trace_id;
                return Err(format!("a search counts {counted} spans of trace {id}, by id there are {seen}"));
            }
        }
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
