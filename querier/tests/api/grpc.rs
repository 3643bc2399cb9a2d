//! `tempopb.StreamingQuerier` as a client calls it, without a socket between.

use std::collections::HashSet;

use http::uri::PathAndQuery;
use prost::Message;
use spanlake_querier::{Config, grpc_router};
use spanlake_storage::Store;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::world::*;

/// `tempopb.SearchRequest`, as a client has it.
#[derive(Clone, PartialEq, Message)]
struct SearchRequest {
    #[prost(uint32, tag = "4")]
    limit: u32,
    #[prost(uint32, tag = "5")]
    start: u32,
    #[prost(uint32, tag = "6")]
    end: u32,
    #[prost(string, tag = "8")]
    query: String,
}

#[derive(Clone, PartialEq, Message)]
struct SearchResponse {
    #[prost(message, repeated, tag = "1")]
    traces: Vec<Trace>,
    #[prost(message, optional, tag = "2")]
    metrics: Option<Metrics>,
}

#[derive(Clone, PartialEq, Message)]
struct Trace {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct Metrics {
    #[prost(uint32, tag = "4")]
    completed_jobs: u32,
    #[prost(uint32, tag = "5")]
    total_jobs: u32,
}

#[derive(Clone, PartialEq, Message)]
struct TagValuesRequest {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct TagValuesResponse {
    #[prost(message, repeated, tag = "1")]
    values: Vec<TagValue>,
}

#[derive(Clone, PartialEq, Message)]
struct TagValue {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Calls a method and reads its stream to the end.
async fn call<Q, R>(router: axum::Router, method: &str, tenant: Option<&str>, message: Q) -> Result<Vec<R>, Status>
where
    Q: Message + Send + Sync + 'static,
    R: Message + Default + Send + Sync + 'static,
{
    let mut client = tonic::client::Grpc::new(router);
    client.ready().await.expect("a router is always ready");
    let mut request = Request::new(message);
    if let Some(tenant) = tenant {
        request.metadata_mut().insert("x-scope-orgid", tenant.parse().expect("a value"));
    }
    let path: PathAndQuery = format!("/tempopb.StreamingQuerier/{method}").parse().expect("a path");
    let mut stream = client.server_streaming(request, path, ProstCodec::<Q, R>::default()).await?.into_inner();
    let mut messages = Vec::new();
    while let Some(message) = stream.message().await? {
        messages.push(message);
    }
    Ok(messages)
}

fn search(query: &str) -> SearchRequest {
    SearchRequest { query: query.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn known_values_and_refusals() {
    let world = World::new();
    let ports = [world.router.clone(), grpc_router(world.querier.clone())];
    for router in ports {
        let message = TagValuesRequest { name: "status".to_owned() };
        let found: Vec<TagValuesResponse> =
            call(router.clone(), "SearchTagValuesV2", None, message).await.expect("an answer");
        let values: Vec<&str> = found.iter().flat_map(|m| &m.values).map(|value| value.value.as_str()).collect();
        assert_eq!(values, ["ok", "error", "unset"]);
        let check = async |method: &str, query: &str, code: Code, part: &str| {
            let status = call::<_, SearchResponse>(router.clone(), method, None, search(query)).await;
            let status = status.expect_err("it is refused");
            assert_eq!(status.code(), code, "{status}");
            assert!(status.message().contains(part), "{status}");
        };
        check("Search", "{", Code::InvalidArgument, "line 1, column 2").await;
        check("Search", "{} | rate()", Code::InvalidArgument, "metrics").await;
        check("Nothing", "{}", Code::Unimplemented, "Nothing").await;
    }
    let elsewhere = SearchRequest { start: 5, end: 5, ..search("{}") };
    let status = call::<_, SearchResponse>(world.router.clone(), "Search", None, elsewhere).await;
    assert_eq!(status.expect_err("it is refused").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_tenant_is_in_the_metadata() {
    let world = World::with(Store::memory(), Config { tenancy_enabled: true, ..Config::default() });
    let ask = async |tenant| call::<_, SearchResponse>(world.router.clone(), "Search", tenant, search("")).await;
    assert_eq!(ask(None).await.expect_err("no tenant").code(), Code::Unauthenticated);
    assert_eq!(ask(Some("a||b")).await.expect_err("no tenant").code(), Code::InvalidArgument);
    assert_eq!(ask(Some("a|b")).await.expect("an answer").len(), 1);
}

/// Without a query it is a search by tags, whole at the end.
#[tokio::test]
async fn searches_by_tags() {
    let world = World::new();
    world.block(&[span(1, 1, 0, "web", "GET /", 0, 5), span(2, 1, 0, "web", "GET /", 9, 5)]).await;
    let found: Vec<SearchResponse> = call(world.router.clone(), "Search", None, search("")).await.expect("an answer");
    assert_eq!(found.iter().map(|message| message.traces.len()).sum::<usize>(), 2);
}

#[tokio::test]
async fn each_trace_is_sent_once() {
    let world = World::new();
    for trace in 1..=30_u8 {
        world.block(&[span(trace, 1, 0, "web", "GET /", u64::from(trace) * 1_000, 5)]).await;
    }
    let request = SearchRequest { limit: 25, ..search("{}") };
    let found: Vec<SearchResponse> = call(world.router.clone(), "Search", None, request).await.expect("an answer");
    let ids: Vec<&str> = found.iter().flat_map(|message| &message.traces).map(|trace| trace.id.as_str()).collect();
    assert_eq!(ids.len(), 25);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 25);
    let last = found.last().and_then(|message| message.metrics.clone()).expect("metrics");
    assert!(last.completed_jobs <= last.total_jobs);
}
