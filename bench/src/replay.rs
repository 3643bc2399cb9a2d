//! Sends a corpus to an OTLP/HTTP server, as fast as it takes it or at a given rate, and reports what came back.
//!
//! It speaks only what the OTLP specification says (1.8.0, "OTLP/HTTP"), so any server can be measured with it.

mod send;
mod source;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::sync::{Mutex, mpsc};

use self::send::{Sender, Tally};
use self::source::{Parcel, Source};
use crate::cli::GenerateArgs;
use crate::client::{self, Endpoint};
use crate::latency::Quantiles;
use crate::{Error, clock, table};

/// Requests made ready ahead of the connections that send them.
const READY_REQUESTS: usize = 32;

/// Options of `bench replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Corpus file to send; without it, one is generated while sending.
    pub corpus: Option<PathBuf>,
    #[command(flatten)]
    generate: GenerateArgs,
    /// Write the ids of generated traces to <FILE>.ids, for lookups.
    #[arg(long, value_name = "FILE", conflicts_with = "corpus")]
    ids: Option<PathBuf>,
    /// Start generated traces now instead of on the fixed day of corpora.
    #[arg(long, conflicts_with = "corpus")]
    now: bool,
    /// Where to send; the path is /v1/traces unless given.
    #[arg(long, default_value = "http://127.0.0.1:4318")]
    endpoint: String,
    /// Extra request header, 'Name: value'; may be repeated.
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=4096))]
    connections: u32,
    /// Compress requests with gzip; a corpus written with --gzip costs nothing to send so.
    #[arg(long)]
    gzip: bool,
    /// Spans per second to send, over all connections; as fast as acknowledged by default.
    #[arg(long, value_name = "SPANS_PER_SECOND")]
    rate: Option<u64>,
    /// Make all requests ready in memory before the clock starts, so that the client costs little while it runs.
    #[arg(long)]
    preload: bool,
    /// Process id of the server, to report its CPU time and peak memory.
    #[arg(long)]
    pid: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a replay measured.
#[derive(Debug, Serialize)]
pub struct ReplayReport {
    /// Requests acknowledged, with partial success or without.
    pub acknowledged_requests: u64,
    /// Spans acknowledged and not rejected.
    pub accepted_spans: u64,
    /// Spans the server rejected: by partial success, or with their whole request.
    pub rejected_spans: u64,
    /// Spans given up on after too many attempts.
    pub lost_spans: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// OTLP bytes of all requests, as sent.
    pub sent_bytes: u64,
    /// Wall-clock time from the first send to the last answer.
    pub seconds: f64,
    /// Accepted spans per second.
    pub spans_per_second: f64,
    /// Time from a request's first send to its acknowledgement, retries included.
    pub acknowledgement: Quantiles,
    /// CPU time of this process while it ran.
    pub client_cpu_seconds: f64,
    /// CPU time of the server while it ran.
    pub server_cpu_seconds: Option<f64>,
    /// The same per million accepted spans.
    pub server_cpu_seconds_per_million: Option<f64>,
    /// Most memory the server ever had.
    pub server_peak_rss_bytes: Option<u64>,
    /// The first answer that was not a success.
    pub first_problem: Option<String>,
}

/// Runs `bench replay`.
///
/// # Errors
/// [`Error::Corpus`] and [`Error::File`] for the corpus, [`Error::Usage`] for the options. Trouble with the server is
/// counted, not returned, unless nothing at all was acknowledged.
pub async fn run(args: ReplayArgs) -> Result<(), Error> {
    let report = replay(&args).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data"));
    } else {
        print!("{}", table::render(&report.rows()));
    }
    match report.first_problem {
        Some(problem) if report.acknowledged_requests == 0 => Err(Error::Server { endpoint: args.endpoint, problem }),
        _ => Ok(()),
    }
}

async fn replay(args: &ReplayArgs) -> Result<ReplayReport, Error> {
    let endpoint = Endpoint::parse(&args.endpoint, "/v1/traces")?;
    let mut headers = client::headers(&args.header)?;
    headers.insert("content-type", http::HeaderValue::from_static("application/x-protobuf"));
    if args.gzip {
        headers.insert("content-encoding", http::HeaderValue::from_static("gzip"));
    }
    let source = Source::open(args)?;
    let (ready, parcels) = mpsc::channel(READY_REQUESTS);
    let parcels = Arc::new(Mutex::new(parcels));
    let gzip = args.gzip;
    let preloaded = if args.preload {
        let all = tokio::task::spawn_blocking(move || source.parcels(gzip).collect::<Result<Vec<_>, _>>()).await??;
        Err(all)
    } else {
        Ok(source)
    };

    let (start, client_before) = (Instant::now(), clock::process_cpu());
    let server_before = args.pid.map(|pid| server_cpu(pid).map(|cpu| (pid, cpu))).transpose()?;
    let feeder = tokio::task::spawn_blocking(move || match preloaded {
        Ok(source) => feed(source.parcels(gzip), &ready),
        Err(all) => feed(all.into_iter().map(Ok), &ready),
    });
    let senders = (0..args.connections).map(|_| {
        let sender = Sender::new(endpoint.clone(), headers.clone(), args.rate, start);
        tokio::spawn(sender.run(Arc::clone(&parcels)))
    });
    let senders: Vec<_> = senders.collect();
    let mut tally = Tally::default();
    for sender in senders {
        tally.merge(sender.await?);
    }
    let elapsed = start.elapsed();
    feeder.await??;
    let server_after = server_before.map(|(pid, before)| server_cpu(pid).map(|after| after - before)).transpose()?;
    Ok(tally.report(elapsed, clock::process_cpu() - client_before, server_after, args.pid))
}

fn server_cpu(pid: u32) -> Result<Duration, Error> {
    clock::cpu_of(pid).ok_or_else(|| Error::Usage(format!("there is no process {pid}")))
}

fn feed(parcels: impl Iterator<Item = Result<Parcel, Error>>, ready: &mpsc::Sender<Parcel>) -> Result<(), Error> {
    for parcel in parcels {
        // The receivers are gone only when a sender panicked, which its handle reports.
        if ready.blocking_send(parcel?).is_err() {
            break;
        }
    }
    Ok(())
}

impl ReplayReport {
    fn rows(&self) -> Vec<[String; 2]> {
        let row = |name: &str, value: String| [name.to_owned(), value];
        let mut rows = vec![
            row("requests acknowledged", self.acknowledged_requests.to_string()),
            row("spans accepted", self.accepted_spans.to_string()),
            row("spans rejected", self.rejected_spans.to_string()),
            row("spans lost", self.lost_spans.to_string()),
            row("retries", self.retries.to_string()),
            row("bytes sent", self.sent_bytes.to_string()),
            row("seconds", format!("{:.3}", self.seconds)),
            row("spans per second", format!("{:.0}", self.spans_per_second)),
            row("acknowledgement", self.acknowledgement.to_string()),
            row("client CPU seconds", format!("{:.2}", self.client_cpu_seconds)),
        ];
        if let (Some(cpu), Some(per_million)) = (self.server_cpu_seconds, self.server_cpu_seconds_per_million) {
            rows.push(row("server CPU seconds", format!("{cpu:.2}")));
            rows.push(row("server CPU seconds per million spans", format!("{per_million:.2}")));
        }
        if let Some(bytes) = self.server_peak_rss_bytes {
            rows.push(row("server peak RSS", format!("{:.1} MB", bytes as f64 / 1e6)));
        }
        if let Some(problem) = &self.first_problem {
            rows.push(row("first problem", problem.clone()));
        }
        rows
    }
}
