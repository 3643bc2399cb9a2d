//! What each method answers.

use ::http::{HeaderMap, StatusCode};
use futures::StreamExt as _;
use spanlake_model::Tenant;
use tokio::sync::mpsc;
use tonic::Status;

use super::packets::{Packets, packets, pieces, streamed};
use crate::engine::{MetricsAnswer, Stats, TraceqlSearch};
use crate::http::live::{self, Heard};
use crate::http::params::Search;
use crate::http::refusal::Refusal;
use crate::http::request::{Observed, now_unix_nanos, tenants};
use crate::http::tempopb::{
    QueryInstantRequest, QueryInstantResponse, QueryRangeRequest, QueryRangeResponse, SearchMetrics, SearchRequest,
    SearchResponse, SearchTagValuesRequest, SearchTagValuesResponse, SearchTagValuesV2Response, SearchTagsRequest,
    SearchTagsResponse, SearchTagsV2Response, TimeSeries, TraceSearchMetadata,
};
use crate::http::{search as searches, tags};
use crate::querier::Querier;

/// Where a running search sends its messages.
type Out = mpsc::Sender<Result<SearchResponse, Status>>;

/// Counts a call and gives its messages.
async fn observed<R: Send + 'static>(
    querier: Querier,
    route: &'static str,
    work: impl AsyncFnOnce(&Querier) -> Result<Vec<R>, Refusal> + Send + 'static,
) -> Result<Vec<R>, Refusal> {
    let observed = Observed::start(&querier, route);
    let done = work(&querier).await;
    observed.end_as(done.as_ref().map_or_else(|refusal| refusal.0, |_| StatusCode::OK));
    done
}

/// Traces as they are found, each once, with how far the search is; the last message has the whole cost.
pub(crate) fn search(querier: Querier, headers: HeaderMap, message: SearchRequest) -> Packets<SearchResponse> {
    streamed(async move |out: Out| {
        let observed = Observed::start(&querier, "grpc_search");
        let checked =
            tenants(&querier, &headers).and_then(|tenants| Ok((tenants, message.check().map_err(Refusal::bad)?)));
        let done = match checked {
            Ok((tenants, Search::Traceql(request))) => stream_search(querier, tenants, request, &out).await,
            Ok((tenants, asked)) => whole_search(&querier, &tenants, &asked, &out).await,
            Err(refusal) => Err(refusal),
        };
        observed.end_as(done.as_ref().map_or_else(|refusal| refusal.0, |()| StatusCode::OK));
        if let Err(refusal) = done {
            send(&out, Err(refusal.into_status())).await;
        }
    })
}

async fn stream_search(
    querier: Querier,
    tenants: Vec<Tenant>,
    request: TraceqlSearch,
    out: &Out,
) -> Result<(), Refusal> {
    let mut heard = Box::pin(live::search(querier, tenants, request));
    while let Some(heard) = heard.next().await {
        match heard? {
            Heard::Progress(stats) => send(out, Ok(SearchResponse::new(Vec::new(), &stats))).await,
            Heard::Traces(traces, stats) => {
                send_traces(out, traces.into_iter().map(TraceSearchMetadata::from).collect(), &stats).await;
            }
            Heard::End(_, Some(bound)) => return Err(bound.into()),
            Heard::End(stats, None) => send(out, Ok(SearchResponse::new(Vec::new(), &stats))).await,
        }
    }
    Ok(())
}

/// A search that has all its traces at the end.
async fn whole_search(querier: &Querier, tenants: &[Tenant], asked: &Search, out: &Out) -> Result<(), Refusal> {
    let found = searches::run(querier, tenants, asked).await?;
    send_traces(out, found.traces.into_iter().map(TraceSearchMetadata::from).collect(), &found.stats).await;
    Ok(())
}

async fn send_traces(out: &Out, traces: Vec<TraceSearchMetadata>, stats: &Stats) {
    for traces in pieces(traces) {
        send(out, Ok(SearchResponse { traces, metrics: Some(SearchMetrics::of_search(stats)) })).await;
    }
}

/// A client that is gone takes the whole call with it, so there is nobody to tell when nothing can be sent.
async fn send(out: &Out, message: Result<SearchResponse, Status>) {
    let _ = out.send(message).await;
}

/// Names in one list.
pub(crate) fn search_tags(
    querier: Querier,
    headers: HeaderMap,
    message: SearchTagsRequest,
) -> Packets<SearchTagsResponse> {
    packets(observed(querier, "grpc_tags_v1", async move |querier: &Querier| {
        let tenants = tenants(querier, &headers)?;
        let asked = message.check().map_err(Refusal::bad)?;
        Ok(vec![tags::find_names_v1(querier, &tenants, &asked).await?])
    }))
}

/// Names by scope.
pub(crate) fn search_tags_v2(
    querier: Querier,
    headers: HeaderMap,
    message: SearchTagsRequest,
) -> Packets<SearchTagsV2Response> {
    packets(observed(querier, "grpc_tags_v2", async move |querier: &Querier| {
        let tenants = tenants(querier, &headers)?;
        let asked = message.check().map_err(Refusal::bad)?;
        Ok(vec![tags::find_names_v2(querier, &tenants, &asked).await?])
    }))
}

/// Values as texts.
pub(crate) fn search_tag_values(
    querier: Querier,
    headers: HeaderMap,
    message: SearchTagValuesRequest,
) -> Packets<SearchTagValuesResponse> {
    packets(observed(querier, "grpc_tag_values_v1", async move |querier: &Querier| {
        let tenants = tenants(querier, &headers)?;
        let asked = message.check_plain().map_err(Refusal::bad)?;
        Ok(vec![tags::find_values_v1(querier, &tenants, asked).await?])
    }))
}

/// Values with their types.
pub(crate) fn search_tag_values_v2(
    querier: Querier,
    headers: HeaderMap,
    message: SearchTagValuesRequest,
) -> Packets<SearchTagValuesV2Response> {
    packets(observed(querier, "grpc_tag_values_v2", async move |querier: &Querier| {
        let tenants = tenants(querier, &headers)?;
        let asked = message.check().map_err(Refusal::bad)?;
        Ok(vec![tags::find_values_v2(querier, &tenants, asked).await?])
    }))
}

/// Values over time. What is said of the whole is in the last message.
pub(crate) fn metrics_query_range(
    querier: Querier,
    headers: HeaderMap,
    message: QueryRangeRequest,
) -> Packets<QueryRangeResponse> {
    packets(observed(querier, "grpc_metrics_query_range", async move |querier: &Querier| {
        let tenants = tenants(querier, &headers)?;
        let (instant, asked) = (message.instant == Some(true), message.asked());
        let now = now_unix_nanos();
        let request = if instant { asked.instant_query(now) } else { asked.range_query(now) };
        let answer = querier.traceql_metrics(&tenants, &request.map_err(Refusal::bad)?).await?;
        Ok(range_packets(answer))
    }))
}

fn range_packets(answer: MetricsAnswer) -> Vec<QueryRangeResponse> {
    let whole = QueryRangeResponse::from(answer);
    let pieces: Vec<Vec<TimeSeries>> = pieces(whole.series);
    let last = pieces.len() - 1;
    let message = |(i, series)| QueryRangeResponse {
        series,
        metrics: whole.metrics,
        status: if i == last { whole.status } else { 0 },
        message: if i == last { whole.message.clone() } else { String::new() },
    };
    pieces.into_iter().enumerate().map(message).collect()
}

/// One value for each series.
pub(crate) fn metrics_query_instant(
    querier: Querier,
    headers: HeaderMap,
    message: QueryInstantRequest,
) -> Packets<QueryInstantResponse> {
    packets(observed(querier, "grpc_metrics_query", async move |querier: &Querier| {
        let tenants = tenants(querier, &headers)?;
        let request = message.asked().instant_query(now_unix_nanos()).map_err(Refusal::bad)?;
        let whole = QueryInstantResponse::from(querier.traceql_metrics(&tenants, &request).await?);
        let pieces = pieces(whole.series);
        let last = pieces.len() - 1;
        let message = |(i, series)| QueryInstantResponse {
            series,
            metrics: whole.metrics,
            status: if i == last { whole.status } else { 0 },
            message: if i == last { whole.message.clone() } else { String::new() },
        };
        Ok(pieces.into_iter().enumerate().map(message).collect())
    }))
}
