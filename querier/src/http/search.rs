//! `/api/search`: traces by TraceQL or by tags.

use std::sync::Arc;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, Uri};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::{Stream, StreamExt as _, stream};
use prost::Message as _;
use spanlake_model::Tenant;
use spanlake_table::Held;

use super::params::Search;
use super::refusal::Refusal;
use super::request::{Format, JSON, Observed, answer, format, now_unix_nanos, params, tenants, written};
use super::tempopb::{BEGIN_JSON, SearchResponse, end_json, write_found};
use crate::engine::Stats;
use crate::error::Error;
use crate::querier::Querier;
use crate::search::FoundTrace;

/// `/api/search`
pub(crate) async fn search(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "search");
    let result = find(&querier, &uri, &headers).await;
    observed.end(result)
}

/// Traces that are written in one go, on a thread of their own if there are more.
const TRACES_PER_PART: usize = 256;
/// Parts of an answer that are written ahead of a slow client.
const PARTS_AHEAD: usize = 2;

/// What was found, whichever way it was asked.
pub(crate) struct Found {
    pub(crate) traces: Vec<FoundTrace>,
    pub(crate) stats: Stats,
    /// The memory that the query is charged for the traces.
    held: Arc<Vec<Held>>,
}

async fn find(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let asked = params(uri)?.search(now_unix_nanos()).map_err(Refusal::bad)?;
    let found = run(querier, &tenants, &asked).await?;
    if format(headers) == Format::Protobuf {
        let trace_count = found.traces.len() as u64;
        let write = move || SearchResponse::new(found.traces, &found.stats).encode_to_vec();
        return Ok(answer(Format::Protobuf, written(querier, trace_count, write).await?));
    }
    if found.traces.len() <= TRACES_PER_PART {
        let mut out = BEGIN_JSON.to_vec();
        write_found(&mut out, found.traces, true);
        end_json(&mut out, &found.stats);
        return Ok(answer(Format::Json, out));
    }
    Ok(([(CONTENT_TYPE, JSON)], Body::from_stream(parts(querier.clone(), found))).into_response())
}

/// A long answer as JSON, part by part; each is written when its turn is near, and what it was written from is let go of.
fn parts(querier: Querier, found: Found) -> impl Stream<Item = Result<Vec<u8>, Error>> {
    let Found { mut traces, stats, held } = found;
    let mut cut = Vec::new();
    while !traces.is_empty() {
        let rest = traces.split_off(TRACES_PER_PART.min(traces.len()));
        cut.push(std::mem::replace(&mut traces, rest));
    }
    let parts = stream::iter(cut.into_iter().enumerate()).map(move |(number, traces)| {
        let querier = querier.clone();
        async move {
            let write = move || {
                let mut out = if number == 0 { BEGIN_JSON.to_vec() } else { Vec::new() };
                write_found(&mut out, traces, number == 0);
                out
            };
            querier.inner.shared.compute(write).await
        }
    });
    let end = async move {
        let mut out = Vec::new();
        end_json(&mut out, &stats);
        drop(held);
        Ok(out)
    };
    parts.buffered(PARTS_AHEAD).chain(stream::once(end))
}

/// Finds all at once. The answer has no place for a search that stopped early, so such a one is a failure.
pub(crate) async fn run(querier: &Querier, tenants: &[Tenant], asked: &Search) -> Result<Found, Refusal> {
    match asked {
        Search::Tags(request) => {
            let answer = querier.search(tenants, request).await?;
            let stats = Stats {
                inspected_traces: answer.inspected_traces,
                inspected_spans: 0,
                inspected_bytes: answer.inspected_bytes,
                block_count: answer.block_count,
                blocks_done: answer.block_count,
                block_bytes: answer.block_bytes,
            };
            Ok(Found { traces: answer.traces, stats, held: Arc::default() })
        }
        Search::Traceql(request) => {
            let answer = querier.traceql_search(tenants, request, None).await?;
            match answer.stopped {
                Some(error) => Err(error.into()),
                None => Ok(Found { traces: answer.traces, stats: answer.stats, held: answer.held }),
            }
        }
    }
}
