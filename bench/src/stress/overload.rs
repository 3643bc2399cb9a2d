//! `spanlake bench overload`: what a server does with several times what it can take, and what a small tenant feels of a
//! large one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use http::{HeaderMap, HeaderValue, Method};
use serde::Serialize;

use super::readback::Account;
use super::sample::rss_bytes;
use super::server::Server;
use super::traffic::{TRACE_SPANS, Template, USUAL_TRACES};
use crate::client::Client;
use crate::latency::{Latencies, Quantiles};
use crate::{Error, table};

/// Requests under way at once of the small tenant, and while the server warms up.
const CALM_CONNECTIONS: u64 = 8;
/// Requests of the usual size under way at once while it is measured what the server can sustain: enough to hide the wait for a
/// group commit, and few enough that none is refused.
const FULL_CONNECTIONS: u64 = 256;
/// Connections of the large tenant.
const LARGE_CONNECTIONS: u64 = 512;
/// Connections that offer more than can be taken, and the fewest of them where requests are large.
const OVERLOAD_CONNECTIONS: u64 = 3_000;
const MIN_OVERLOAD_CONNECTIONS: u64 = 300;
/// The small tenant's requests a second.
const SMALL_RATE: f64 = 10.0;
const TENANT_HEADER: &str = "x-scope-orgid";

/// Options of `bench overload`.
#[derive(Debug, Args)]
pub struct OverloadArgs {
    /// How long the overload lasts.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// How long the rates before it are measured: long enough for compaction to have its usual share in them.
    #[arg(long, default_value_t = 60)]
    calm_seconds: u64,
    /// Load as a multiple of what the server can sustain.
    #[arg(long, default_value_t = 10.0)]
    factor: f64,
    /// Connections that offer it, each with one request at a time; their requests together are more than the server's
    /// `ingester.max_in_flight_bytes`. Without it 3,000, fewer where requests are large.
    #[arg(long)]
    connections: Option<u64>,
    /// How many times its share the large tenant sends.
    #[arg(long, default_value_t = 20.0)]
    noise: f64,
    /// Traces of a request, of ten spans each: a service's own exporter sends some ten, a collector some hundred.
    #[arg(long, default_value_t = USUAL_TRACES, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    request_traces: u64,
    /// Command that starts the server, which must `exec` what it is given; split at spaces. One that keeps it to a part of
    /// the machine (`systemd-run --scope -p CPUQuota=15%`) lets the sender be the stronger of the two.
    #[arg(long, value_name = "COMMAND")]
    under: Option<String>,
    /// A setting of the server; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What one stretch of load came to.
#[derive(Debug, Default, Serialize)]
struct Stretch {
    seconds: f64,
    /// What was to be sent, if that was not whatever goes.
    wanted_spans_per_second: Option<f64>,
    /// What was sent, answered or not.
    offered_spans_per_second: f64,
    accepted_spans_per_second: f64,
    accepted_requests: u64,
    /// Answered 429 or 503.
    refused_requests: u64,
    /// Of those, without `Retry-After`.
    refused_without_hint: u64,
    other_answers: u64,
    first_other: Option<String>,
    broken_calls: u64,
    acknowledgement: Quantiles,
    peak_rss_bytes: u64,
    #[serde(skip)]
    acknowledged: Vec<u64>,
}

/// Everything measured.
#[derive(Debug, Serialize)]
struct Report {
    sustainable: Stretch,
    overload: Stretch,
    /// Accepted spans under overload in per cent of the sustainable rate.
    goodput_percent: f64,
    /// From the end of the overload to the first request that is acknowledged, and what it took.
    recovery_millis: f64,
    account: Account,
    small_alone: Stretch,
    small_beside_large: Stretch,
    large: Stretch,
    small_p99_ratio: f64,
}

/// Runs `bench overload`.
///
/// # Errors
/// [`Error::Server`] if the server does not start, stop or answer at all.
pub(crate) async fn run(args: OverloadArgs) -> Result<(), Error> {
    let report = measure(&args).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data"));
    } else {
        print!("{}", report.render());
    }
    Ok(())
}

async fn measure(args: &OverloadArgs) -> Result<Report, Error> {
    let directory = tempfile::tempdir().map_err(Error::file(std::path::Path::new("a temporary directory")))?;
    let settings: Vec<&str> = args.set.iter().map(String::as_str).collect();
    let server = Server::start(directory.path(), args.under.as_deref(), &settings).await?;
    let template = Arc::new(Template::new(1, "overload", args.request_traces));
    let request_spans = template.ids().request_spans() as f64;
    let numbers = Arc::new(AtomicU64::new(0));
    let load = |connections, rate| Load {
        template: Arc::clone(&template),
        numbers: Arc::clone(&numbers),
        connections,
        rate,
        tenant: None,
    };
    let calm = Duration::from_secs(args.calm_seconds);
    load(CALM_CONNECTIONS, None).run(&server, calm / 4).await?;
    // As many spans are under way with large requests as with usual ones.
    let of_size = |connections: u64| connections * USUAL_TRACES / args.request_traces;
    let full = of_size(FULL_CONNECTIONS).clamp(CALM_CONNECTIONS, FULL_CONNECTIONS);
    let mut sustainable = load(full, None).run(&server, calm).await?;
    let rate = sustainable.accepted_spans_per_second * args.factor / request_spans;
    let connections = args
        .connections
        .unwrap_or_else(|| of_size(OVERLOAD_CONNECTIONS).clamp(MIN_OVERLOAD_CONNECTIONS, OVERLOAD_CONNECTIONS));
    let mut overload = load(connections, Some(rate)).run(&server, Duration::from_secs(args.seconds)).await?;
    let ended = Instant::now();
    let mut recovery = load(1, None);
    recovery.connections = 1;
    let recovery_millis = loop {
        let one = recovery.run(&server, Duration::from_millis(50)).await?;
        if one.accepted_requests > 0 || ended.elapsed() > Duration::from_secs(60) {
            sustainable.acknowledged.extend(one.acknowledged);
            break ended.elapsed().as_secs_f64() * 1e3;
        }
    };
    let data = server.data();
    server.stop().await?;
    let mut acknowledged = std::mem::take(&mut sustainable.acknowledged);
    acknowledged.append(&mut overload.acknowledged);
    let account = Account::of(&data, "single-tenant", template.ids(), &acknowledged).await?;
    drop(directory);

    let [small_alone, small_beside_large, large] = neighbours(args, sustainable.accepted_spans_per_second).await?;
    Ok(Report {
        goodput_percent: 100.0 * overload.accepted_spans_per_second / sustainable.accepted_spans_per_second.max(1.0),
        small_p99_ratio: small_beside_large.acknowledgement.p99_millis
            / small_alone.acknowledgement.p99_millis.max(0.001),
        sustainable,
        overload,
        recovery_millis,
        account,
        small_alone,
        small_beside_large,
        large,
    })
}

/// A small tenant alone, then beside one that sends many times its share, which is half of what the server can sustain.
async fn neighbours(args: &OverloadArgs, sustainable: f64) -> Result<[Stretch; 3], Error> {
    let directory = tempfile::tempdir().map_err(Error::file(std::path::Path::new("a temporary directory")))?;
    let mut settings: Vec<&str> = args.set.iter().map(String::as_str).collect();
    settings.push("tenancy.enabled=true");
    let server = Server::start(directory.path(), args.under.as_deref(), &settings).await?;
    let load = |salt, name, traces, connections, rate| Load {
        template: Arc::new(Template::new(salt, name, traces)),
        numbers: Arc::default(),
        connections,
        rate: Some(rate),
        tenant: Some(name),
    };
    let calm = Duration::from_secs(args.calm_seconds.max(5));
    let small = load(2, "small", USUAL_TRACES, CALM_CONNECTIONS, SMALL_RATE);
    small.run(&server, calm / 4).await?;
    let alone = small.run(&server, calm).await?;
    let rate = args.noise * sustainable / 2.0 / (args.request_traces * TRACE_SPANS) as f64;
    let noisy = load(3, "large", args.request_traces, LARGE_CONNECTIONS, rate);
    let (beside, large) = tokio::join!(
        async {
            // The large tenant is at full load when the small one is looked at.
            tokio::time::sleep(calm / 4).await;
            small.run(&server, calm).await
        },
        noisy.run(&server, calm + calm / 2)
    );
    server.stop().await?;
    Ok([alone, beside?, large?])
}

/// Load of one kind.
struct Load {
    template: Arc<Template>,
    numbers: Arc<AtomicU64>,
    connections: u64,
    /// Requests a second; without it, each connection sends its next one when it has the answer to the last.
    rate: Option<f64>,
    tenant: Option<&'static str>,
}

impl Load {
    async fn run(&self, server: &Server, duration: Duration) -> Result<Stretch, Error> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/x-protobuf"));
        if let Some(tenant) = self.tenant {
            headers.insert(TENANT_HEADER, HeaderValue::from_static(tenant));
        }
        let start = Instant::now();
        let turns = Arc::new(AtomicU64::new(0));
        let senders = (0..self.connections).map(|_| {
            let sender = Sender {
                client: server.sender()?,
                headers: headers.clone(),
                template: Arc::clone(&self.template),
                numbers: Arc::clone(&self.numbers),
                turns: Arc::clone(&turns),
                rate: self.rate,
            };
            Ok(tokio::spawn(sender.run(start, duration)))
        });
        let senders = senders.collect::<Result<Vec<_>, Error>>()?;
        let request_spans = self.template.ids().request_spans() as f64;
        let mut stretch =
            Stretch { wanted_spans_per_second: self.rate.map(|rate| rate * request_spans), ..Stretch::default() };
        let pid = server.pid();
        while start.elapsed() < duration {
            stretch.peak_rss_bytes = stretch.peak_rss_bytes.max(rss_bytes(pid));
            tokio::time::sleep(Duration::from_millis(100).min(duration)).await;
        }
        let mut latencies = Latencies::default();
        for sender in senders {
            let (one, seen) = sender.await?;
            stretch.accepted_requests += one.accepted_requests;
            stretch.refused_requests += one.refused_requests;
            stretch.refused_without_hint += one.refused_without_hint;
            stretch.other_answers += one.other_answers;
            stretch.first_other = stretch.first_other.take().or(one.first_other);
            stretch.broken_calls += one.broken_calls;
            stretch.acknowledged.extend(one.acknowledged);
            latencies.merge(seen);
        }
        stretch.seconds = start.elapsed().as_secs_f64();
        let calls = stretch.accepted_requests + stretch.refused_requests + stretch.other_answers + stretch.broken_calls;
        stretch.offered_spans_per_second = calls as f64 * request_spans / stretch.seconds;
        stretch.accepted_spans_per_second = stretch.accepted_requests as f64 * request_spans / stretch.seconds;
        stretch.acknowledgement = latencies.quantiles();
        Ok(stretch)
    }
}

/// One connection of a load.
struct Sender {
    client: Client,
    headers: HeaderMap,
    template: Arc<Template>,
    numbers: Arc<AtomicU64>,
    turns: Arc<AtomicU64>,
    rate: Option<f64>,
}

impl Sender {
    async fn run(mut self, start: Instant, duration: Duration) -> (Stretch, Latencies) {
        let (mut stretch, mut latencies) = (Stretch::default(), Latencies::default());
        loop {
            if let Some(rate) = self.rate {
                let turn = self.turns.fetch_add(1, Ordering::Relaxed);
                let due = start + Duration::from_secs_f64(turn as f64 / rate.max(0.001));
                tokio::time::sleep_until(due.min(start + duration).into()).await;
            }
            if start.elapsed() >= duration {
                return (stretch, latencies);
            }
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let body = self.template.request(number);
            let sent = Instant::now();
            match self.client.call(Method::POST, "/v1/traces", &self.headers, body).await {
                Ok(answer) if answer.status.is_success() => {
                    stretch.accepted_requests += 1;
                    stretch.acknowledged.push(number);
                    latencies.add(sent.elapsed());
                }
                Ok(answer) if matches!(answer.status.as_u16(), 429 | 503) => {
                    stretch.refused_requests += 1;
                    stretch.refused_without_hint += u64::from(!answer.headers.contains_key("retry-after"));
                }
                Ok(answer) => {
                    stretch.other_answers += 1;
                    let text = String::from_utf8_lossy(&answer.body).into_owned();
                    stretch.first_other.get_or_insert(format!("{}: {text}", answer.status));
                }
                // What became of it is not known.
                Err(_) => stretch.broken_calls += 1,
            }
        }
    }
}

impl Report {
    fn render(&self) -> String {
        let header = [
            "",
            "wanted spans/s",
            "offered spans/s",
            "accepted spans/s",
            "refused",
            "no hint",
            "other",
            "broken",
            "p50 ms",
            "p99 ms",
            "RSS MB",
        ];
        let mut rows = vec![header.map(str::to_owned)];
        let stretches = [
            ("sustainable", &self.sustainable),
            ("overload", &self.overload),
            ("small tenant alone", &self.small_alone),
            ("small beside large", &self.small_beside_large),
            ("large tenant", &self.large),
        ];
        rows.extend(stretches.map(|(name, stretch)| {
            [
                name.to_owned(),
                stretch.wanted_spans_per_second.map_or_else(|| "all".to_owned(), |wanted| format!("{wanted:.0}")),
                format!("{:.0}", stretch.offered_spans_per_second),
                format!("{:.0}", stretch.accepted_spans_per_second),
                stretch.refused_requests.to_string(),
                stretch.refused_without_hint.to_string(),
                stretch.other_answers.to_string(),
                stretch.broken_calls.to_string(),
                format!("{:.1}", stretch.acknowledgement.p50_millis),
                format!("{:.1}", stretch.acknowledgement.p99_millis),
                format!("{:.1}", stretch.peak_rss_bytes as f64 / 1e6),
            ]
        }));
        let mut text = table::render(&rows);
        for (name, stretch) in stretches {
            stretch.first_other.iter().for_each(|other| text.push_str(&format!("{name}: {other}\n")));
        }
        let Account { acknowledged_spans, lost_spans, duplicated_spans } = self.account;
        text.push_str(&format!(
            "offered under overload: {:.1} times the sustainable rate; goodput {:.0} % of it; recovered after {:.0} ms\n\
             read back: {acknowledged_spans} spans acknowledged, {lost_spans} lost, {duplicated_spans} duplicated\n\
             small tenant beside the large one: {} refused, p99 {:.2} times that alone\n",
            self.overload.offered_spans_per_second / self.sustainable.offered_spans_per_second.max(1.0),
            self.goodput_percent, self.recovery_millis, self.small_beside_large.refused_requests, self.small_p99_ratio
        ));
        text
    }
}
