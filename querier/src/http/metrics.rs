//! `/api/metrics/query_range` and `/api/metrics/query`: TraceQL over time. Always JSON, as Tempo answers it.

use ::http::{HeaderMap, Uri};
use axum::extract::State;
use axum::response::Response;

use super::refusal::Refusal;
use super::request::{Format, Observed, answer, now_unix_nanos, params, tenants, written};
use super::tempopb::{QueryInstantResponse, QueryRangeResponse};
use crate::querier::Querier;

/// `/api/metrics/query_range`
pub(crate) async fn range(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "metrics_query_range");
    let result = find_range(&querier, &uri, &headers).await;
    observed.end(result)
}

async fn find_range(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let asked = params(uri)?.metrics().map_err(Refusal::bad)?;
    let request = asked.range_query(now_unix_nanos()).map_err(Refusal::bad)?;
    let found = QueryRangeResponse::from(querier.traceql_metrics(&tenants, &request).await?);
    let sample_count = found.series.iter().map(|series| series.samples.len() as u64).sum();
    Ok(answer(Format::Json, written(querier, sample_count, move || found.to_json()).await?))
}

/// `/api/metrics/query`
pub(crate) async fn instant(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "metrics_query");
    let result = find_instant(&querier, &uri, &headers).await;
    observed.end(result)
}

async fn find_instant(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let asked = params(uri)?.metrics().map_err(Refusal::bad)?;
    let request = asked.instant_query(now_unix_nanos()).map_err(Refusal::bad)?;
    let found = QueryInstantResponse::from(querier.traceql_metrics(&tenants, &request).await?);
    Ok(answer(Format::Json, written(querier, found.series.len() as u64, move || found.to_json()).await?))
}
