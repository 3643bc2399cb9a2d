//! `spanlake bench hostile`: data that nobody should send, one kind after the other. Each must be answered, within bounds,
//! and what is valid of it stored; the next usual request must be acknowledged.

use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use prost::Message as _;
use serde::Serialize;

use super::sample::rss_bytes;
use super::server::Server;
use super::traffic::{Template, USUAL_TRACES, now_unix_nanos, request, text};
use crate::client::Client;
use crate::{Error, table};

/// Tenants that send at once: each one's request waits for a block of its own.
const TENANTS_AT_ONCE: usize = 64;
const YEAR_NANOS: u64 = 365 * 86_400 * 1_000_000_000;

/// Options of `bench hostile`.
#[derive(Debug, Args)]
pub struct HostileArgs {
    /// Distinct attribute keys.
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
    /// Spans of the one large trace.
    #[arg(long, default_value_t = 1_000_000)]
    trace_spans: usize,
    /// Tenants that send one request each.
    #[arg(long, default_value_t = 10_000)]
    tenants: usize,
    /// A setting of the server; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What came of one kind.
#[derive(Debug, Serialize)]
struct Outcome {
    what: String,
    requests: usize,
    accepted: usize,
    refused: usize,
    other: usize,
    /// Spans rejected by partial success.
    rejected_spans: i64,
    /// What reading it back gave.
    read: String,
    seconds: f64,
    peak_rss_bytes: u64,
    /// Time to acknowledge a usual request afterwards.
    next_request_millis: f64,
}

/// Runs `bench hostile`.
///
/// # Errors
/// [`Error::Server`] if the server does not start, stop or answer at all.
pub(crate) async fn run(args: HostileArgs) -> Result<(), Error> {
    let directory = tempfile::tempdir().map_err(Error::file(std::path::Path::new("a temporary directory")))?;
    let mut settings: Vec<&str> = args.set.iter().map(String::as_str).collect();
    settings.push("tenancy.enabled=true");
    let server = Server::start(directory.path(), None, &settings).await?;
    let mut world =
        World { server: &server, usual: Template::new(7, "usual", USUAL_TRACES), number: 0, outcomes: Vec::new() };
    world.keys(args.keys).await?;
    world.values().await?;
    world.large_trace(args.trace_spans).await?;
    world.clocks().await?;
    world.ids().await?;
    world.tenants(args.tenants).await?;
    let outcomes = world.outcomes;
    server.stop().await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcomes).expect("outcomes are plain data"));
    } else {
        print!("{}", render(&outcomes));
    }
    Ok(())
}

struct World<'a> {
    server: &'a Server,
    usual: Template,
    number: u64,
    outcomes: Vec<Outcome>,
}

fn span(trace_id: u128, place: u64) -> Span {
    Span {
        trace_id: trace_id.to_be_bytes().to_vec(),
        span_id: (place + 1).to_be_bytes().to_vec(),
        name: "hostile".to_owned(),
        start_time_unix_nano: now_unix_nanos(),
        end_time_unix_nano: now_unix_nanos() + 1_000,
        ..Span::default()
    }
}

fn headers(tenant: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/x-protobuf"));
    headers.insert("x-scope-orgid", HeaderValue::from_str(tenant).unwrap_or(HeaderValue::from_static("tenant")));
    headers
}

impl World<'_> {
    /// Sends bodies one after the other, each for its tenant, and counts.
    async fn send(&mut self, what: &str, bodies: impl Iterator<Item = (String, Bytes)>) -> Result<&mut Outcome, Error> {
        let mut client = self.server.sender()?;
        let start = Instant::now();
        let mut outcome = Outcome {
            what: what.to_owned(),
            requests: 0,
            accepted: 0,
            refused: 0,
            other: 0,
            rejected_spans: 0,
            read: String::new(),
            seconds: 0.0,
            peak_rss_bytes: 0,
            next_request_millis: 0.0,
        };
        for (tenant, body) in bodies {
            outcome.requests += 1;
            let answer = client.call(Method::POST, "/v1/traces", &headers(&tenant), body).await?;
            outcome.peak_rss_bytes = outcome.peak_rss_bytes.max(rss_bytes(self.server.pid()));
            match answer.status.as_u16() {
                200 => {
                    outcome.accepted += 1;
                    let response = ExportTraceServiceResponse::decode(answer.body).unwrap_or_default();
                    outcome.rejected_spans += response.partial_success.map_or(0, |partial| partial.rejected_spans);
                }
                400 | 413 | 429 | 503 => outcome.refused += 1,
                _ => outcome.other += 1,
            }
        }
        outcome.seconds = start.elapsed().as_secs_f64();
        let next = Instant::now();
        self.usual_request(&mut client).await?;
        outcome.next_request_millis = next.elapsed().as_secs_f64() * 1e3;
        outcome.peak_rss_bytes = outcome.peak_rss_bytes.max(rss_bytes(self.server.pid()));
        self.outcomes.push(outcome);
        Ok(self.outcomes.last_mut().expect("pushed a line above"))
    }

    /// A usual request, until it is acknowledged.
    async fn usual_request(&mut self, client: &mut Client) -> Result<(), Error> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            self.number += 1;
            let body = self.usual.request(self.number);
            let answer = client.call(Method::POST, "/v1/traces", &headers("tenant"), body).await?;
            if answer.status == StatusCode::OK || Instant::now() > deadline {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a trace by id gives.
    async fn read(&self, trace_id: u128) -> Result<String, Error> {
        let mut headers = headers("tenant");
        headers.insert("accept", HeaderValue::from_static("application/protobuf"));
        let path = format!("/api/traces/{trace_id:032x}");
        let answer = self.server.asker()?.call(Method::GET, &path, &headers, Bytes::new()).await?;
        if answer.status != StatusCode::OK {
            let text = String::from_utf8_lossy(&answer.body).chars().take(120).collect::<String>();
            return Ok(format!("{}: {}", answer.status.as_u16(), text.trim()));
        }
        let trace = TracesData::decode(answer.body).unwrap_or_default();
        let scopes = trace.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        Ok(format!("{} spans", scopes.map(|scope| scope.spans.len()).sum::<usize>()))
    }

    async fn keys(&mut self, keys: usize) -> Result<(), Error> {
        const KEYS_OF_SPAN: usize = 1_000;
        let of_span = |number: usize| {
            let attributes = (0..KEYS_OF_SPAN.min(keys)).map(|key| text(&format!("key {number} {key}"), "x"));
            Span { attributes: attributes.collect(), ..span(1, number as u64) }
        };
        let body = request("hostile", (0..keys.div_ceil(KEYS_OF_SPAN)).map(of_span).collect()).encode_to_vec();
        let what = format!("{keys} attribute keys");
        self.send(&what, std::iter::once(("tenant".to_owned(), Bytes::from(body)))).await?;
        self.note(1).await
    }

    async fn values(&mut self) -> Result<(), Error> {
        let large = "x".repeat(1_000_000);
        let of_span = |place| Span { attributes: vec![text("large", &large)], ..span(2, place) };
        let body = request("hostile", (0..20).map(of_span).collect()).encode_to_vec();
        self.send("20 values of 1 MB", std::iter::once(("tenant".to_owned(), Bytes::from(body)))).await?;
        self.note(2).await
    }

    async fn large_trace(&mut self, spans: usize) -> Result<(), Error> {
        const SPANS_OF_REQUEST: usize = 50_000;
        let bodies = (0..spans.div_ceil(SPANS_OF_REQUEST)).map(|number| {
            let first = number * SPANS_OF_REQUEST;
            let places = first..(first + SPANS_OF_REQUEST).min(spans);
            let spans = places.map(|place| Span {
                parent_span_id: if place == 0 { Vec::new() } else { (place as u64 / 2 + 1).to_be_bytes().to_vec() },
                ..span(3, place as u64)
            });
            ("tenant".to_owned(), Bytes::from(request("hostile", spans.collect()).encode_to_vec()))
        });
        self.send(&format!("a trace of {spans} spans"), bodies).await?;
        self.note(3).await
    }

    async fn clocks(&mut self) -> Result<(), Error> {
        let at = |place: u64, start: u64| Span {
            start_time_unix_nano: start,
            end_time_unix_nano: start.saturating_add(1_000),
            ..span(4, place)
        };
        let now = now_unix_nanos();
        let starts = [now - YEAR_NANOS, now + YEAR_NANOS, 0, 1, u64::MAX, u64::MAX / 2];
        let mut spans: Vec<Span> = starts.into_iter().zip(0..).map(|(start, place)| at(place, start)).collect();
        spans.push(Span { end_time_unix_nano: 1, ..span(4, 6) });
        let body = request("hostile", spans).encode_to_vec();
        self.send("clocks a year off, and none", std::iter::once(("tenant".to_owned(), Bytes::from(body)))).await?;
        self.note(4).await
    }

    async fn ids(&mut self) -> Result<(), Error> {
        let zero_trace = Span { trace_id: vec![0; 16], ..span(5, 0) };
        let zero_span = Span { span_id: vec![0; 8], ..span(5, 1) };
        let short = Span { trace_id: vec![1; 3], ..span(5, 2) };
        let repeated = (0..3).map(|number| Span { name: format!("repeated {number}"), ..span(5, 3) });
        let own_parent = Span { parent_span_id: 9_u64.to_be_bytes().to_vec(), ..span(5, 8) };
        let spans: Vec<Span> = [zero_trace, zero_span, short, own_parent].into_iter().chain(repeated).collect();
        let body = request("hostile", spans).encode_to_vec();
        self.send("zero, short and repeated ids", std::iter::once(("tenant".to_owned(), Bytes::from(body)))).await?;
        self.note(5).await
    }

    async fn tenants(&mut self, tenants: usize) -> Result<(), Error> {
        let body = Bytes::from(request("hostile", vec![span(6, 0)]).encode_to_vec());
        let mut tasks = tokio::task::JoinSet::new();
        let start = Instant::now();
        for first in 0..TENANTS_AT_ONCE {
            let (mut client, body) = (self.server.sender()?, body.clone());
            tasks.spawn(async move {
                let mut counts = [0; 3];
                for number in (first..tenants).step_by(TENANTS_AT_ONCE) {
                    let headers = headers(&format!("tenant-{number}"));
                    let answer = client.call(Method::POST, "/v1/traces", &headers, body.clone()).await?;
                    counts[match answer.status.as_u16() {
                        200 => 0,
                        429 | 503 => 1,
                        _ => 2,
                    }] += 1;
                }
                Ok::<_, Error>(counts)
            });
        }
        let mut all = [0; 3];
        let mut peak_rss_bytes = 0;
        while let Some(counts) = tasks.join_next().await {
            peak_rss_bytes = peak_rss_bytes.max(rss_bytes(self.server.pid()));
            counts??.iter().zip(&mut all).for_each(|(count, all)| *all += count);
        }
        let seconds = start.elapsed().as_secs_f64();
        let outcome = self.send(&format!("{tenants} tenants trickling"), std::iter::empty()).await?;
        (outcome.requests, outcome.seconds) = (tenants, seconds);
        [outcome.accepted, outcome.refused, outcome.other] = all;
        outcome.peak_rss_bytes = outcome.peak_rss_bytes.max(peak_rss_bytes);
        Ok(())
    }

    async fn note(&mut self, trace_id: u128) -> Result<(), Error> {
        let read = self.read(trace_id).await?;
        let rss = rss_bytes(self.server.pid());
        if let Some(outcome) = self.outcomes.last_mut() {
            outcome.read = read;
            outcome.peak_rss_bytes = outcome.peak_rss_bytes.max(rss);
        }
        Ok(())
    }
}

fn render(outcomes: &[Outcome]) -> String {
    let header =
        ["", "requests", "accepted", "refused", "other", "rejected spans", "seconds", "RSS MB", "next ms", "read back"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(outcomes.iter().map(|outcome| {
        [
            outcome.what.clone(),
            outcome.requests.to_string(),
            outcome.accepted.to_string(),
            outcome.refused.to_string(),
            outcome.other.to_string(),
            outcome.rejected_spans.to_string(),
            format!("{:.2}", outcome.seconds),
            format!("{:.1}", outcome.peak_rss_bytes as f64 / 1e6),
            format!("{:.1}", outcome.next_request_millis),
            outcome.read.clone(),
        ]
    }));
    table::render(&rows)
}
