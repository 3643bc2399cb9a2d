//! Load on the read side of a running server: traces by id, and searches.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use serde::Serialize;
use spanlake_model::TraceId;

use crate::client::{self, Answer, Client, Endpoint};
use crate::corpus::{KnownTrace, read_ids};
use crate::dice::Dice;
use crate::latency::{Latencies, Quantiles};
use crate::{Error, table};

/// From this size on, a trace counts as big.
const BIG_TRACE_SPAN_COUNT: u32 = 2000;

/// What both kinds of load need to know of the server.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:3200")]
    endpoint: String,
    /// Extra request header, 'Name: value'; may be repeated.
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    connections: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `bench lookup`.
#[derive(Debug, Args)]
pub struct LookupArgs {
    /// Corpus file whose `<file>.ids` names the traces to ask for.
    pub corpus: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
    /// Path of one trace; {id} stands for its id in hexadecimal.
    #[arg(long, default_value = "/api/traces/{id}")]
    path: String,
    /// Lookups of ordinary traces.
    #[arg(long, default_value_t = 1000)]
    count: usize,
    /// Lookups of big traces.
    #[arg(long, default_value_t = 50)]
    big: usize,
    /// Lookups of ids that do not exist.
    #[arg(long, default_value_t = 200)]
    absent: usize,
    /// Chooses which traces are asked for.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Options of `bench search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Query string of a search, for instance 'tags=service.name%3Dcheckout&limit=20'; may be repeated.
    #[arg(long, required = true)]
    query: Vec<String>,
    /// Path of the search API.
    #[arg(long, default_value = "/api/search")]
    path: String,
    /// Calls per query.
    #[arg(long, default_value_t = 100)]
    count: usize,
}

/// What one series of calls measured.
#[derive(Debug, Serialize)]
pub struct LoadReport {
    /// What was asked.
    pub what: String,
    /// Time to the whole answer.
    pub latency: Quantiles,
    /// Calls per second of wall-clock time, over all connections.
    pub calls_per_second: f64,
    /// Bytes of the average answer.
    pub mean_answer_bytes: f64,
    /// Answers that are not what they must be.
    pub wrong_count: usize,
    /// The first of those.
    pub first_wrong: Option<String>,
    /// Traces in the last answer of a search.
    pub found_traces: Option<usize>,
}

/// Runs `bench lookup`.
///
/// # Errors
/// [`Error::File`] and [`Error::Corpus`] for the ids, [`Error::Server`] when a call gets no answer. Wrong answers are
/// counted and reported.
pub async fn lookup(args: LookupArgs) -> Result<(), Error> {
    let known = read_ids(&args.corpus)?;
    let (big, ordinary): (Vec<KnownTrace>, _) = known.into_iter().partition(|t| t.span_count >= BIG_TRACE_SPAN_COUNT);
    let mut dice = Dice::new(args.seed);
    let mut choose = |from: &[KnownTrace], count: usize| -> Vec<KnownTrace> {
        if from.is_empty() { Vec::new() } else { (0..count).map(|_| *dice.pick(from)).collect() }
    };
    let mut series = vec![("ordinary traces", choose(&ordinary, args.count)), ("big traces", choose(&big, args.big))];
    let absent = (0..args.absent).map(|_| KnownTrace { trace_id: TraceId(dice.id()), span_count: 0 });
    series.push(("absent traces", absent.collect()));

    let server = Server::open(&args.server, "application/protobuf")?;
    let mut reports = Vec::new();
    for (what, traces) in series.into_iter().filter(|(_, traces)| !traces.is_empty()) {
        let calls = traces.iter().map(|trace| args.path.replace("{id}", &trace.trace_id.to_string())).collect();
        let check = move |at: usize, answer: &Answer| check_trace(&traces[at], answer).map(|()| None);
        reports.push(server.measure(what, calls, check).await?);
    }
    print(&reports, args.server.json);
    Ok(())
}

/// Runs `bench search`.
///
/// # Errors
/// [`Error::Server`] when a call gets no answer. Answers other than 200 are counted and reported.
pub async fn search(args: SearchArgs) -> Result<(), Error> {
    let server = Server::open(&args.server, "application/json")?;
    let mut reports = Vec::new();
    for query in &args.query {
        let calls = vec![format!("{}?{query}", args.path); args.count];
        reports.push(server.measure(query, calls, |_, answer| check_search(answer)).await?);
    }
    print(&reports, args.server.json);
    Ok(())
}

struct Server {
    endpoint: Endpoint,
    headers: HeaderMap,
    connections: u32,
}

impl Server {
    fn open(args: &ServerArgs, accept: &'static str) -> Result<Self, Error> {
        let mut headers = client::headers(&args.header)?;
        headers.insert(http::header::ACCEPT, HeaderValue::from_static(accept));
        Ok(Self { endpoint: Endpoint::parse(&args.endpoint, "/")?, headers, connections: args.connections })
    }

    /// Makes the calls over all connections; `check` sees each answer and may say how many traces it has.
    async fn measure(
        &self,
        what: &str,
        calls: Vec<String>,
        check: impl Fn(usize, &Answer) -> Result<Option<usize>, String> + Send + Sync + 'static,
    ) -> Result<LoadReport, Error> {
        let (calls, check, next) = (Arc::new(calls), Arc::new(check), Arc::new(AtomicUsize::new(0)));
        let start = Instant::now();
        let workers = (0..self.connections).map(|_| {
            let (calls, check, next) = (Arc::clone(&calls), Arc::clone(&check), Arc::clone(&next));
            let (mut client, headers) = (Client::new(self.endpoint.clone()), self.headers.clone());
            tokio::spawn(async move {
                let mut seen = Seen::default();
                while let Some((at, path)) = take(&calls, &next) {
                    let sent = Instant::now();
                    let answer = client.call(Method::GET, path, &headers, Bytes::new()).await?;
                    seen.latencies.add(sent.elapsed());
                    seen.answer_bytes += answer.body.len() as u64;
                    match check(at, &answer) {
                        Ok(found) => seen.found = found,
                        Err(wrong) => seen.wrong.push(format!("{path}: {wrong}")),
                    }
                }
                Ok::<_, Error>(seen)
            })
        });
        let workers: Vec<_> = workers.collect();
        let mut all = Seen::default();
        for worker in workers {
            all.merge(worker.await??);
        }
        let seconds = start.elapsed().as_secs_f64();
        Ok(LoadReport {
            what: what.to_owned(),
            latency: all.latencies.quantiles(),
            calls_per_second: calls.len() as f64 / seconds.max(1e-9),
            mean_answer_bytes: all.answer_bytes as f64 / calls.len().max(1) as f64,
            wrong_count: all.wrong.len(),
            first_wrong: all.wrong.into_iter().next(),
            found_traces: all.found,
        })
    }
}

fn take<'a>(calls: &'a [String], next: &AtomicUsize) -> Option<(usize, &'a str)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    calls.get(at).map(|path| (at, path.as_str()))
}

#[derive(Default)]
struct Seen {
    latencies: Latencies,
    answer_bytes: u64,
    wrong: Vec<String>,
    found: Option<usize>,
}

impl Seen {
    fn merge(&mut self, other: Self) {
        self.latencies.merge(other.latencies);
        self.answer_bytes += other.answer_bytes;
        self.wrong.extend(other.wrong);
        self.found = other.found.or(self.found);
    }
}

/// A known trace comes back with all of its spans, once each; an absent one is 404 or an empty answer.
fn check_trace(expect: &KnownTrace, answer: &Answer) -> Result<(), String> {
    if expect.span_count == 0 && answer.status == StatusCode::NOT_FOUND {
        return Ok(());
    }
    if answer.status != StatusCode::OK {
        return Err(format!("answered {}", answer.status));
    }
    let found = span_count(answer)?;
    if found != expect.span_count as usize {
        return Err(format!("{found} spans instead of {}", expect.span_count));
    }
    Ok(())
}

/// Spans in a trace by id: OTLP protobuf, OTLP JSON or Jaeger JSON.
fn span_count(answer: &Answer) -> Result<usize, String> {
    let content_type = answer.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|content_type| content_type.contains("protobuf")) {
        let trace = TracesData::decode(answer.body.clone()).map_err(|error| error.to_string())?;
        let scopes = trace.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        return Ok(scopes.map(|scope| scope.spans.len()).sum());
    }
    let text = std::str::from_utf8(&answer.body).map_err(|error| error.to_string())?;
    // Each span has one start time in OTLP and one operation name in Jaeger's form; neither has the other's.
    Ok(text.matches("\"startTimeUnixNano\"").count() + text.matches("\"operationName\"").count())
}

fn check_search(answer: &Answer) -> Result<Option<usize>, String> {
    if answer.status != StatusCode::OK {
        return Err(format!("answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body)));
    }
    let body: serde_json::Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    Ok(body.get("traces").and_then(|traces| traces.as_array()).map(Vec::len))
}

fn print(reports: &[LoadReport], json: bool) {
    if json {
        println!("{}", serde_json::to_string_pretty(reports).expect("a report is plain data"));
        return;
    }
    let header = ["", "calls", "p50 ms", "p95 ms", "p99 ms", "max ms", "calls/s", "answer bytes", "wrong", "found"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(reports.iter().map(|report| {
        let latency = &report.latency;
        [
            report.what.clone(),
            latency.count.to_string(),
            format!("{:.3}", latency.p50_millis),
            format!("{:.3}", latency.p95_millis),
            format!("{:.3}", latency.p99_millis),
            format!("{:.3}", latency.max_millis),
            format!("{:.0}", report.calls_per_second),
            format!("{:.0}", report.mean_answer_bytes),
            report.wrong_count.to_string(),
            report.found_traces.map_or_else(String::new, |found| found.to_string()),
        ]
    }));
    print!("{}", table::render(&rows));
    for wrong in reports.iter().filter_map(|report| report.first_wrong.as_ref()) {
        println!("wrong: {wrong}");
    }
}
