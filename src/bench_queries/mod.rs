//! `spanlake bench queries`: a set of queries over a stored corpus, each measured and its answer checked.
//!
//! It lives in the binary because it puts roles together (an ingester writes while the querier answers), which
//! `spanlake-bench` must not know. Queries go through the querier's HTTP router in this process: reading parameters and
//! writing JSON are measured, a network is not.

mod answer;
mod expect;
mod facts;
mod feed;
mod golden;
mod measure;
mod mixed;
mod questions;
mod report;
mod slow;
mod store;
#[cfg(test)]
mod tests;
mod world;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand, ValueEnum};
use spanlake_bench::{Corpus, Error, GenerateArgs, Reader};
use spanlake_storage::Store;

use facts::Facts;
use golden::Golden;
use report::Report;

/// Spans up to which `--check` asks the slow evaluator: it takes about a minute for these.
const MAX_CHECKED_SPANS: u64 = 200_000;

/// Everything under `spanlake bench`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure queries over a stored corpus, and check their answers.
    Queries(Box<QueriesArgs>),
    #[command(flatten)]
    Other(spanlake_bench::Command),
}

/// How the corpus lies in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Blocks of level 0 with 20,000 spans each, as an ingester flushes them.
    L0,
    /// Blocks of 1,000,000 spans with whole traces, as a compactor leaves them.
    Compacted,
}

/// Options of `bench queries`.
#[derive(Debug, Args)]
pub struct QueriesArgs {
    /// Corpus file to store; without it, one is generated.
    corpus: Option<PathBuf>,
    #[command(flatten)]
    generate: GenerateArgs,
    /// Empty or absent directory to store into; a temporary one by default.
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// How the corpus is stored.
    #[arg(long, value_enum, default_value = "compacted")]
    layout: Layout,
    /// Spans of a block; 20,000 for `l0` and 1,000,000 for `compacted` by default.
    #[arg(long, value_name = "SPANS", value_parser = clap::value_parser!(u32).range(1..))]
    block_spans: Option<u32>,
    /// Warm runs of each query.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Only queries whose name contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Also measure cold queries on a store that takes so long for each call.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    latency_ms: u64,
    /// Compare answers with those of the slow evaluator, computed now: for corpora up to 200,000 spans.
    #[arg(long)]
    check: bool,
    /// Answers to compare with; `bench/golden/<kind>-<spans>-<seed>.json` by default, if it is there.
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,
    /// Compute the answers with the slow evaluator, write them to this file, and measure nothing.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["check", "golden"])]
    write_golden: Option<PathBuf>,
    /// Then ask the mixed set with so many clients at once.
    #[arg(long, value_name = "CLIENTS")]
    concurrent: Option<usize>,
    /// How long the clients ask, and how long spans are ingested.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Ingest into the same store at full speed while the clients ask.
    #[arg(long, requires = "concurrent")]
    with_ingest: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a benchmark command.
///
/// # Errors
/// [`Error`], also when an answer is wrong.
pub async fn run(command: Command) -> Result<(), Error> {
    let args = match command {
        Command::Queries(args) => args,
        Command::Other(command) => return spanlake_bench::run(command).await,
    };
    if let Some(path) = &args.write_golden {
        return write_golden(&args, path).await;
    }
    let report = measure(&args).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data"));
    } else {
        print!("{}", report.render());
    }
    match report.wrong_count() {
        0 => Ok(()),
        wrong => Err(Error::stage("check")(format!("{wrong} answers are wrong"))),
    }
}

/// The requests of the corpus, decompressed.
fn requests(args: &QueriesArgs) -> Result<Box<dyn Iterator<Item = Result<Bytes, Error>> + Send>, Error> {
    let Some(path) = args.corpus.clone() else {
        return Ok(Box::new(Corpus::new(&args.generate.spec()).map(|request| Ok(request.body.into()))));
    };
    let plain = move |message: Result<spanlake_bench::Message, Error>| {
        Ok(message?.into_plain().map_err(Error::file(&path))?.into())
    };
    let reader = Reader::open(args.corpus.as_deref().unwrap_or(std::path::Path::new("")))?;
    Ok(Box::new(reader.map(plain)))
}

/// Learns about the corpus; keeps its spans when the slow evaluator needs them.
async fn learn(args: &QueriesArgs, keep: bool) -> Result<Facts, Error> {
    let requests = requests(args)?;
    tokio::task::spawn_blocking(move || Facts::learn(requests, keep)).await?
}

async fn write_golden(args: &QueriesArgs, path: &std::path::Path) -> Result<(), Error> {
    let facts = learn(args, true).await?;
    let golden = tokio::task::spawn_blocking(move || Golden::compute(&facts)).await??;
    std::fs::write(path, golden.to_json()).map_err(Error::file(path))
}

async fn measure(args: &QueriesArgs) -> Result<Report, Error> {
    let facts = learn(args, args.check).await?;
    if args.check && facts.span_count > MAX_CHECKED_SPANS {
        let limit = "--check is for corpora of up to 200,000 spans: name answers with --golden, or write them";
        return Err(Error::Usage(format!("{limit} with --write-golden")));
    }
    let golden = golden(args)?;
    if let Some(golden) = golden.as_ref().filter(|golden| golden.span_count() != facts.span_count) {
        let (theirs, ours) = (golden.span_count(), facts.span_count);
        return Err(Error::Usage(format!("the answers are for a corpus of {theirs} spans, and this one has {ours}")));
    }
    let root = store::Root::open(args.dir.as_deref())?;
    let store: Store = root.store("corpus")?;
    let stored = store::fill(&store, args.layout, args.block_spans, requests(args)?).await?;

    let wanted = |name: &str| args.only.as_ref().is_none_or(|text| name.contains(text.as_str()));
    let questions: Vec<_> = questions::all(&facts).into_iter().filter(|question| wanted(question.name)).collect();
    let mut report = Report::new(args.layout, &facts, &stored);
    for question in &questions {
        report.warm.push(measure::warm(&store, question, args.runs).await?);
    }
    let facts = std::sync::Arc::new(facts);
    for (question, row) in questions.iter().zip(&mut report.warm) {
        let expect = match &golden {
            _ if args.check => {
                let (facts, question) = (std::sync::Arc::clone(&facts), question.clone());
                Some(tokio::task::spawn_blocking(move || golden::Expected::of(&facts, &question)).await??)
            }
            Some(golden) => golden.of(question),
            None => None,
        };
        row.judge(expect.as_ref());
    }
    drop(facts);
    if args.latency_ms > 0 {
        let delay = Duration::from_millis(args.latency_ms);
        report.latency_millis = args.latency_ms;
        for question in &questions {
            report.cold.push(slow::cold(&store, question, delay).await?);
        }
    }
    if let Some(clients) = args.concurrent {
        let plan = mixed::Plan { clients, duration: Duration::from_secs(args.seconds) };
        let feed = if args.with_ingest { Some(feed::Feed::new(requests(args)?)?) } else { None };
        report.mixed = Some(mixed::run(&root, &store, &questions, feed, &plan).await?);
    }
    Ok(report)
}

/// The answers to compare with, if there are any for this corpus.
fn golden(args: &QueriesArgs) -> Result<Option<Golden>, Error> {
    if let Some(path) = &args.golden {
        return Golden::read(path).map(Some);
    }
    let spec = args.generate.spec();
    let kind = spec.kind.to_possible_value().map(|kind| kind.get_name().to_owned()).unwrap_or_default();
    let path = PathBuf::from(format!("bench/golden/{kind}-{}-{}.json", spec.span_count, spec.seed));
    if args.corpus.is_none() && path.is_file() { Golden::read(&path).map(Some) } else { Ok(None) }
}
