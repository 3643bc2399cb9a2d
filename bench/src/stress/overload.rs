//! `spanlake bench overload`: what a server does with several times what it can take, and what a small tenant feels of a
//! large one.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::exporter::Transport;
use super::readback::Account;
use super::server::Server;
use super::stretch::{Load, Stretch};
use super::traffic::{TRACE_SPANS, Template, USUAL_TRACES};
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
/// How long the end of an overload is waited for.
const LONGEST_RECOVERY: Duration = Duration::from_secs(60);
/// The longest the small tenant is looked at, alone and beside the large one.
const LONGEST_NEIGHBOURS_SECONDS: u64 = 60;
/// The small tenant's requests a second.
const SMALL_RATE: f64 = 10.0;

/// Options of `bench overload`.
#[derive(Debug, Args)]
pub struct OverloadArgs {
    /// How long the overload lasts.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// How long the rates before it are measured: long enough for compaction to have its usual share in them.
    #[arg(long, default_value_t = 60)]
    calm_seconds: u64,
    /// Rounds of the sustainable rate and the overload: a machine that others share is now faster, now slower.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=20))]
    rounds: u64,
    /// Load as a multiple of what the server can sustain.
    #[arg(long, default_value_t = 10.0)]
    factor: f64,
    /// Connections that offer it, each with one request at a time; their requests together are more than the server's
    /// `ingester.max_in_flight_bytes`. Without it 3,000, fewer where requests are large.
    #[arg(long)]
    connections: Option<u64>,
    /// How they are sent.
    #[arg(long, value_enum, default_value = "http")]
    transport: Transport,
    /// Senders wait as they are told when they are refused, as OTLP wants it. Without this they go on at once.
    #[arg(long)]
    patient: bool,
    /// How many times its share the large tenant sends.
    #[arg(long, default_value_t = 20.0)]
    noise: f64,
    /// Traces of a request, of ten spans each: a service's own exporter sends some ten,
    /// a Collector with its batches of 8,192 spans 819.
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

/// Everything measured.
#[derive(Debug, Serialize)]
struct Report {
    sustainable: Stretch,
    overload: Stretch,
    /// Accepted spans under overload in per cent of the sustainable rate.
    goodput_percent: f64,
    /// From the end of the overload to the first request that is acknowledged, in the worst round.
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
        transport: args.transport,
        is_patient: false,
        tenant: None,
    };
    let calm = Duration::from_secs(args.calm_seconds);
    let mut acknowledged = Vec::new();
    load(CALM_CONNECTIONS, None).run(&server, calm / 4).await?;
    // As many spans are under way with large requests as with usual ones.
    let of_size = |connections: u64| connections * USUAL_TRACES / args.request_traces;
    let full = of_size(FULL_CONNECTIONS).clamp(CALM_CONNECTIONS, FULL_CONNECTIONS);
    let connections = args
        .connections
        .unwrap_or_else(|| of_size(OVERLOAD_CONNECTIONS).clamp(MIN_OVERLOAD_CONNECTIONS, OVERLOAD_CONNECTIONS));
    let (mut sustainable, mut overload, mut recovery_millis) = (Stretch::default(), Stretch::default(), 0_f64);
    for _ in 0..args.rounds {
        sustainable.add(load(full, None).run(&server, calm).await?);
        let rate = sustainable.accepted_spans_per_second * args.factor / request_spans;
        let offered = Load { is_patient: args.patient, ..load(connections, Some(rate)) };
        overload.add(offered.run(&server, Duration::from_secs(args.seconds)).await?);
        let ended = Instant::now();
        let recovery = load(1, None);
        while ended.elapsed() < LONGEST_RECOVERY {
            let one = recovery.run(&server, Duration::from_millis(50)).await?;
            let is_over = one.accepted_requests > 0;
            acknowledged.extend(one.acknowledged);
            if is_over {
                break;
            }
        }
        recovery_millis = recovery_millis.max(ended.elapsed().as_secs_f64() * 1e3);
    }
    let data = server.data();
    server.stop().await?;
    acknowledged.append(&mut sustainable.acknowledged);
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
        transport: args.transport,
        is_patient: args.patient,
        tenant: Some(name),
    };
    let calm = Duration::from_secs(args.calm_seconds.clamp(5, LONGEST_NEIGHBOURS_SECONDS));
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
            let problems = stretch.first_other.iter().chain(&stretch.first_broken);
            problems.for_each(|problem| text.push_str(&format!("{name}: {problem}\n")));
        }
        let Account { acknowledged_spans, lost_spans, duplicated_spans } = self.account;
        text.push_str(&format!(
            "offered under overload: {:.1} times the sustainable rate; goodput {:.0} % of it; recovered after {:.0} ms\n\
             read back: {acknowledged_spans} spans acknowledged, {lost_spans} lost, {duplicated_spans} duplicated\n\
             small tenant beside the large one: {} refused, p99 {:.2} times that alone\n",
            self.overload.offered_spans_per_second / self.sustainable.accepted_spans_per_second.max(1.0),
            self.goodput_percent, self.recovery_millis, self.small_beside_large.refused_requests, self.small_p99_ratio
        ));
        text
    }
}
