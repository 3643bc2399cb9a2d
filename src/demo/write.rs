//! Sends the shop's spans to our own receiver, as any exporter would: first the past, as fast as it is taken, then what happens.
//!
//! A trace is sent when it has ended. What had not ended when the program stopped is never sent, as in a real shop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::body::Body;
use axum::http::{Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message as _;
use spanlake_demo::{Fault, Shop, Story};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Plan, TENANT, now_unix_nanos};

/// Spans of one request: about 1 MiB, so that a request is soon answered.
const SPANS_PER_REQUEST: usize = 4_000;
/// Requests in flight while the past is written.
const PARALLEL_REQUESTS: usize = 4;
/// How often what happened is sent.
const TICK: Duration = Duration::from_secs(1);
/// A process that slept for longer than this does not make up for it.
const MAX_CATCH_UP_NANOS: u64 = 300_000_000_000;
/// Attempts for one request that is refused for now, and the pause before the first repetition.
const ATTEMPTS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Where spans go, and what is there already.
#[derive(Debug, Clone)]
pub struct Target {
    /// Our own receiver of OTLP over HTTP.
    pub otlp_http: SocketAddr,
    /// The path before `/v1/traces`.
    pub path_prefix: String,
    /// Queries and the page.
    pub http: SocketAddr,
    /// The store.
    pub storage_url: String,
    /// The end of the newest span of an earlier demo in this store; 0 for none. The past before it is not written again.
    pub written_until_unix_nanos: u64,
}

/// Writes the past, says so, and goes on unless time stands still. Failures are logged: the server does not depend on its demo.
pub async fn run(plan: Plan, target: Target) {
    let (shop, sender) = (Arc::new(Shop::new(plan.seed)), Sender::new(&target));
    let began = Instant::now();
    let now = plan.now_unix_nanos();
    let from = now.saturating_sub(plan.history_nanos).max(target.written_until_unix_nanos).min(now);
    match past(&shop, &sender, from, now).await {
        Ok(past) => {
            tell(&plan, &target, &past, began.elapsed());
            if plan.fixed_now_unix_nanos.is_none() {
                live(&shop, &sender, now, past.unfinished).await;
            }
        }
        Err(error) => tracing::error!("the demo cannot be written: {error:#}"),
    }
}

/// What was written of the past.
struct Past {
    traces: usize,
    spans: usize,
    /// Traces that began in it and end after it.
    unfinished: Vec<Story>,
}

async fn past(shop: &Arc<Shop>, sender: &Sender, from: u64, to: u64) -> anyhow::Result<Past> {
    let (full, mut filled) = mpsc::channel(PARALLEL_REQUESTS);
    let shop = Arc::clone(shop);
    let made = tokio::task::spawn_blocking(move || {
        let mut past = Past { traces: 0, spans: 0, unfinished: Vec::new() };
        let mut batch = Batch::default();
        for story in shop.stories(from, to) {
            if story.end_unix_nanos > to {
                past.unfinished.push(story);
                continue;
            }
            past.traces += 1;
            past.spans += story.span_count;
            // The other side is gone when a request has failed, which is told there.
            if !batch.add(story.spans).into_iter().all(|request| full.blocking_send(request).is_ok()) {
                return past;
            }
        }
        let _ = batch.take().is_none_or(|request| full.blocking_send(request).is_ok());
        past
    });
    let mut running = JoinSet::new();
    while let Some(request) = filled.recv().await {
        if running.len() >= PARALLEL_REQUESTS
            && let Some(done) = running.join_next().await
        {
            done.context("a request of the demo ended badly")??;
        }
        let sender = sender.clone();
        running.spawn(async move { sender.send(request).await });
    }
    while let Some(done) = running.join_next().await {
        done.context("a request of the demo ended badly")??;
    }
    made.await.context("the demo's spans could not be made")
}

async fn live(shop: &Arc<Shop>, sender: &Sender, mut visited: u64, mut pending: Vec<Story>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let now = now_unix_nanos().max(visited);
        let (from, shop) = (visited.max(now.saturating_sub(MAX_CATCH_UP_NANOS)), Arc::clone(shop));
        visited = now;
        let Ok(new) = tokio::task::spawn_blocking(move || shop.stories(from, now).collect::<Vec<_>>()).await else {
            continue;
        };
        pending.extend(new);
        let (ended, running) = pending.into_iter().partition(|story: &Story| story.end_unix_nanos <= now);
        pending = running;
        let mut batch = Batch::default();
        let mut requests: Vec<Vec<u8>> = ended.into_iter().flat_map(|story| batch.add(story.spans)).collect();
        requests.extend(batch.take());
        for request in requests {
            if let Err(error) = sender.send(request).await {
                tracing::warn!("spans of the demo are lost: {error:#}");
            }
        }
    }
}

/// Spans that become one request, put together by resource and scope as an exporter does.
#[derive(Default)]
struct Batch {
    messages: Vec<ResourceSpans>,
    span_count: usize,
}

impl Batch {
    /// Adds a trace, and gives the requests that are full.
    fn add(&mut self, spans: Vec<ResourceSpans>) -> Vec<Vec<u8>> {
        let mut full = Vec::new();
        for mut message in spans {
            for mut scope in std::mem::take(&mut message.scope_spans) {
                let mut spans = std::mem::take(&mut scope.spans);
                while !spans.is_empty() {
                    let room = SPANS_PER_REQUEST.saturating_sub(self.span_count).clamp(1, spans.len());
                    let rest = spans.split_off(room);
                    self.span_count += spans.len();
                    self.place(&message, &scope).spans.extend(spans);
                    spans = rest;
                    if self.span_count >= SPANS_PER_REQUEST {
                        full.extend(self.take());
                    }
                }
            }
        }
        full
    }

    /// Where spans of a resource and a scope go.
    fn place(&mut self, message: &ResourceSpans, scope: &ScopeSpans) -> &mut ScopeSpans {
        let at = self.messages.iter().position(|one| one.resource == message.resource).unwrap_or_else(|| {
            self.messages.push(message.clone());
            self.messages.len() - 1
        });
        let scopes = &mut self.messages[at].scope_spans;
        let at = scopes.iter().position(|one| one.scope == scope.scope).unwrap_or_else(|| {
            scopes.push(scope.clone());
            scopes.len() - 1
        });
        &mut scopes[at]
    }

    /// The request so far, encoded; nothing when it is empty.
    fn take(&mut self) -> Option<Vec<u8>> {
        self.span_count = 0;
        let resource_spans = std::mem::take(&mut self.messages);
        (!resource_spans.is_empty()).then(|| ExportTraceServiceRequest { resource_spans }.encode_to_vec())
    }
}

/// An exporter.
#[derive(Clone)]
struct Sender {
    client: Client<HttpConnector, Body>,
    url: String,
}

impl Sender {
    fn new(target: &Target) -> Self {
        let prefix = target.path_prefix.trim_end_matches('/');
        let url = format!("http://{}{prefix}/v1/traces", reachable(target.otlp_http));
        Self { client: Client::builder(TokioExecutor::new()).build_http(), url }
    }

    /// Sends a request until it is taken, as often as an exporter would.
    async fn send(&self, request: Vec<u8>) -> anyhow::Result<()> {
        let request = axum::body::Bytes::from(request);
        let mut pause = FIRST_PAUSE;
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            let post = Request::post(&self.url)
                .header(header::CONTENT_TYPE, "application/x-protobuf")
                .header("x-scope-orgid", TENANT)
                .body(Body::from(request.clone()))
                .context("the address of the receiver is no URL")?;
            last = match tokio::time::timeout(ANSWER_TIMEOUT, self.client.request(post)).await {
                Ok(Ok(answer)) if answer.status().is_success() => return Ok(()),
                Ok(Ok(answer)) if ![429, 502, 503, 504].contains(&answer.status().as_u16()) => {
                    anyhow::bail!("{} answered {}", self.url, answer.status())
                }
                Ok(Ok(answer)) => format!("it answered {}", answer.status()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("it did not answer within {} s", ANSWER_TIMEOUT.as_secs()),
            };
        }
        anyhow::bail!("{} took nothing in {ATTEMPTS} attempts: {last}", self.url)
    }
}

/// An address to connect to: where all interfaces listen, the loopback one does.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// What a newcomer needs to know. On stderr, as all that is for people.
fn tell(plan: &Plan, target: &Target, past: &Past, took: Duration) {
    let Past { traces, spans, .. } = past;
    let (http, otlp) = (reachable(target.http), reachable(target.otlp_http));
    let goes_on = if plan.fixed_now_unix_nanos.is_some() { "its time stands still" } else { "it goes on as time does" };
    eprintln!(
        "demo: {spans} spans of {traces} traces in {:.1} s, tenant {TENANT}, seed {}; {goes_on}",
        took.as_secs_f64(),
        plan.seed
    );
    eprintln!("  look at it      http://{http}/");
    eprintln!("  a first query   curl -G http://{http}/api/search --data-urlencode 'q={}'", Fault::BadVersion.query());
    eprintln!("  your own spans  OTEL_EXPORTER_OTLP_ENDPOINT=http://{otlp}  (they are shown beside the demo's)");
    let store = &target.storage_url;
    eprintln!(
        "  take it away    spanlake demo remove --yes --storage-url {store}  (after stopping; only the demo's spans)"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_a_bound_and_lose_nothing() {
        let shop = Shop::new(1);
        // The newsletter starts five minutes past the hour.
        let from = 1_764_158_400_000_000_000 + 299_000_000_000;
        let stories: Vec<Story> = shop.stories(from, from + 4_000_000_000).collect();
        let mut batch = Batch::default();
        let mut requests: Vec<Vec<u8>> = stories.iter().flat_map(|story| batch.add(story.spans.clone())).collect();
        requests.extend(batch.take());
        assert_eq!(batch.take(), None);
        let mut found = 0;
        for request in &requests {
            let request = ExportTraceServiceRequest::decode(&request[..]).expect("we encoded it");
            let scopes = request.resource_spans.iter().flat_map(|message| &message.scope_spans);
            let spans: usize = scopes.map(|scope| scope.spans.len()).sum();
            assert!((1..=SPANS_PER_REQUEST).contains(&spans));
            found += spans;
        }
        assert!(found > 20_000 && found == stories.iter().map(|story| story.span_count).sum::<usize>());
    }
}
