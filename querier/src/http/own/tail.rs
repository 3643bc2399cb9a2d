//! `/api/v1/tail`: spans as they are stored, as server-sent events.
//!
//! New level-0 blocks are looked for about once a second; of what meets the filter a bounded number is sent, the rest is counted. It
//! ends when the client goes, after its limit, or when the process stops.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde::Serialize;
use spanlake_model::Tenant;
use spanlake_traceql::Query;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::engine::explore::tail::check;
use crate::http::live;
use crate::http::refusal::Refusal;
use crate::http::request::{Observed, TENANT_HEADER, now_unix_nanos, params, tenants};
use crate::querier::Querier;

/// How often new blocks are looked for.
const POLL: Duration = Duration::from_secs(1);
/// Most spans that are sent a second: more, no person reads.
const MAX_SPANS_PER_SECOND: usize = 50;
/// How often a tail without spans says that it is alive.
const PROGRESS: Duration = Duration::from_secs(5);
/// Failures in a row after which a tail ends.
const MAX_FAILURES: usize = 5;

/// How a tail does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TailProgress {
    /// Spans that met the filter and were not sent, since the tail began.
    pub(crate) dropped: u64,
    /// How long before now the newest span that was looked at had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delay_millis: Option<u64>,
}

/// `/api/v1/tail`
pub(crate) async fn tail(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "tail");
    match begin(&querier, &uri, headers).await {
        Ok(begun) => {
            let events = live::produce(async move |out| begun.run(querier, out).await);
            let body = events.map(Ok::<_, Infallible>);
            observed.end_as(StatusCode::OK);
            let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
            (headers, Body::from_stream(body)).into_response()
        }
        Err(refusal) => observed.end(Err(refusal)),
    }
}

/// A tail that may run.
struct Tail {
    tenants: Vec<Tenant>,
    query: Query,
    /// Spans left to send.
    left: usize,
    known: HashSet<Arc<str>>,
    _place: tokio::sync::OwnedSemaphorePermit,
}

async fn begin(querier: &Querier, uri: &Uri, mut headers: HeaderMap) -> Result<Tail, Refusal> {
    let params = params(uri)?;
    // A page's source of events cannot set headers.
    if let Some(tenant) = params.get("tenant") {
        let value =
            HeaderValue::from_str(tenant).map_err(|_| Refusal::bad("invalid tenant: it is no tenant's name"))?;
        // A header may be the word of a proxy that knows whom the client may ask about: nothing in the URL overrules it.
        if headers.get(TENANT_HEADER).is_some_and(|named| !named.is_empty() && *named != value) {
            return Err(Refusal::bad("invalid tenant: the header X-Scope-OrgID names another one"));
        }
        headers.insert(HeaderName::from_static(TENANT_HEADER), value);
    }
    let tenants = tenants(querier, &headers)?;
    let query = params.selected().map_err(Refusal::bad)?;
    check(&query)?;
    let left = params.number("limit").map_err(Refusal::bad)?.unwrap_or(usize::MAX);
    let place = Arc::clone(&querier.inner.tails.places).try_acquire_owned();
    let place = place.map_err(|_| {
        Refusal(StatusCode::TOO_MANY_REQUESTS, "as many tails as are allowed are running: end another one".to_owned())
    })?;
    // What is stored already is not new.
    let known = querier.new_blocks(&tenants, &mut HashSet::new()).await?;
    let known = known.into_iter().map(|block| block.key).collect();
    Ok(Tail { tenants, query, left, known, _place: place })
}

impl Tail {
    async fn run(mut self, querier: Querier, out: mpsc::Sender<Bytes>) {
        let mut stopping = querier.inner.tails.stopping.subscribe();
        let mut progress = TailProgress { dropped: 0, delay_millis: None };
        let mut failures = 0;
        if out.send(event("progress", &progress)).await.is_err() {
            return;
        }
        let (mut told, mut polled) = (Instant::now(), Instant::now());
        while self.left > 0 && failures < MAX_FAILURES {
            let stopped = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => true,
                () = out.closed() => true,
                () = tokio::time::sleep_until(polled + POLL) => false,
            };
            if stopped {
                return;
            }
            let seconds = polled.elapsed().as_secs().max(1) as usize;
            polled = Instant::now();
            let limit = self.left.min(MAX_SPANS_PER_SECOND.saturating_mul(seconds.min(5)));
            // A look may wait for its turn behind other queries; what ends a tail ends it too.
            let looked = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                () = out.closed() => return,
                looked = self.look(&querier, limit, &mut progress) => looked,
            };
            let (events, is_news) = match looked {
                Ok(spans) => {
                    failures = 0;
                    (spans.iter().map(|span| event("span", span)).collect(), !spans.is_empty())
                }
                Err(error) => {
                    failures += 1;
                    (vec![event("error", &error.to_string())], false)
                }
            };
            self.left -= if is_news { events.len().min(self.left) } else { 0 };
            let mut events: Vec<Bytes> = events;
            if is_news || told.elapsed() >= PROGRESS {
                events.push(event("progress", &progress));
                told = Instant::now();
            }
            for event in events {
                if out.send(event).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Looks for new blocks, and into them.
    async fn look(
        &mut self,
        querier: &Querier,
        limit: usize,
        progress: &mut TailProgress,
    ) -> Result<Vec<crate::engine::explore::TailedSpan>, crate::error::Error> {
        let new = querier.new_blocks(&self.tenants, &mut self.known).await?;
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let newest = new.iter().map(|block| block.meta.max_end_unix_nanos).max().unwrap_or(0);
        let keys: Vec<Arc<str>> = new.iter().map(|block| Arc::clone(&block.key)).collect();
        let (matched, spans) = querier.tail(&self.tenants, new, &self.query, limit).await?;
        self.known.extend(keys);
        progress.dropped += matched.saturating_sub(spans.len() as u64);
        progress.delay_millis = Some(now_unix_nanos().saturating_sub(newest) / 1_000_000);
        Ok(spans)
    }
}

/// One event: its name, and its data on one line.
fn event<T: Serialize + ?Sized>(name: &str, data: &T) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_single_lines() {
        assert_eq!(event("error", "a\nb"), "event: error\ndata: \"a\\nb\"\n\n");
        let progress = TailProgress { dropped: 3, delay_millis: None };
        assert_eq!(event("progress", &progress), "event: progress\ndata: {\"dropped\":3}\n\n");
    }
}
