//! `/api/search`: traces by TraceQL or by tags.

use ::http::{HeaderMap, Uri};
use axum::extract::State;
use axum::response::Response;
use spanlake_model::Tenant;

use super::params::Search;
use super::refusal::Refusal;
use super::request::{Observed, encoded, now_unix_nanos, params, tenants};
use super::tempopb::SearchResponse;
use crate::querier::Querier;

/// `/api/search`
pub(crate) async fn search(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "search");
    let result = find(&querier, &uri, &headers).await;
    observed.end(result)
}

async fn find(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let asked = params(uri)?.search(now_unix_nanos()).map_err(Refusal::bad)?;
    let found = run(querier, &tenants, &asked).await?;
    let spans = |trace: &super::tempopb::TraceSearchMetadata| {
        1 + trace.span_sets.iter().map(|set| set.spans.len() as u64).sum::<u64>()
    };
    let item_count = found.traces.iter().map(spans).sum();
    encoded(headers, item_count, found, SearchResponse::to_json).await
}

/// Finds all at once. The answer has no place for a search that stopped early, so such a one is a failure.
pub(crate) async fn run(querier: &Querier, tenants: &[Tenant], asked: &Search) -> Result<SearchResponse, Refusal> {
    match asked {
        Search::Tags(request) => Ok(querier.search(tenants, request).await?.into()),
        Search::Traceql(request) => {
            let answer = querier.traceql_search(tenants, request, None).await?;
            match answer.stopped {
                Some(error) => Err(error.into()),
                None => Ok(SearchResponse::new(answer.traces, &answer.stats)),
            }
        }
    }
}
