//! The cost of every stage by itself, on one thread, over a corpus held in memory.
//!
//! CPU time is that of the measuring thread alone. Nothing here goes over a network; only the last part, which counts
//! requests, touches an object store.

mod merge;
mod read;
mod report;
mod requests;
mod samples;
mod scan;
#[cfg(test)]
mod tests;
mod write;

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use spanlake_block::Written;
use spanlake_otlp::{Batch, Limits};

pub use report::StagesReport;

use samples::Samples;

use crate::cli::GenerateArgs;
use crate::corpus::{Corpus, Reader};
use crate::{Error, clock};

/// Options of `bench stages`.
#[derive(Debug, Args)]
pub struct StagesArgs {
    /// Corpus file to measure on; without it, one is generated. It is held in memory uncompressed.
    pub corpus: Option<PathBuf>,
    #[command(flatten)]
    generate: GenerateArgs,
    /// Spans of a block in the write stages, with commas between; the whole corpus as one block is always measured too.
    #[arg(long, value_delimiter = ',', default_values_t = [20_000, 64_000])]
    flush: Vec<usize>,
    /// Lookups of ordinary traces, and of ids that do not exist.
    #[arg(long, default_value_t = 500)]
    lookups: usize,
    /// Repetitions of each measurement; the fastest counts.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// Empty or absent directory for the object store whose requests are counted; in memory by default.
    #[arg(long, value_name = "DIRECTORY")]
    store: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a measured piece of work cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    cpu: Duration,
    /// Most memory resident beyond what was resident before.
    extra_bytes: u64,
}

impl Cost {
    fn per_million(&self, count: u64) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / count.max(1) as f64
    }
}

/// Does the work and says what it cost this thread.
fn measure<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<(T, Cost), Error> {
    clock::reset_peak_rss();
    let rss = clock::peak_rss_bytes(None).unwrap_or(0);
    let start = clock::thread_cpu();
    let value = work()?;
    let cpu = clock::thread_cpu() - start;
    let extra_bytes = clock::peak_rss_bytes(None).unwrap_or(0).saturating_sub(rss);
    Ok((value, Cost { cpu, extra_bytes }))
}

/// The cheapest of several measurements.
fn cheapest<T>(repeat: u32, mut work: impl FnMut() -> Result<T, Error>) -> Result<(T, Cost), Error> {
    let mut best = measure(&mut work)?;
    for _ in 1..repeat {
        let next = measure(&mut work)?;
        let extra_bytes = best.1.extra_bytes.max(next.1.extra_bytes);
        if next.1.cpu < best.1.cpu {
            best = next;
        }
        best.1.extra_bytes = extra_bytes;
    }
    Ok(best)
}

/// Runs `bench stages`.
///
/// # Errors
/// [`Error::Corpus`] and [`Error::File`] for the corpus; [`Error::Stage`] if a stage refuses it.
pub async fn run(args: StagesArgs) -> Result<(), Error> {
    let json = args.json;
    let report = stages(args).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report).expect("a report is plain data"));
    } else {
        print!("{}", report.render());
    }
    Ok(())
}

async fn stages(args: StagesArgs) -> Result<StagesReport, Error> {
    let store = args.store.clone();
    // A thread of its own: its CPU clock then counts nothing else.
    let (report, level_0, samples) = tokio::task::spawn_blocking(move || on_one_thread(&args)).await??;
    let requests = requests::count(store.as_deref(), level_0, &samples).await?;
    Ok(StagesReport { requests, ..report })
}

/// Everything that needs no object store; also the flushed blocks and what to search them for.
fn on_one_thread(args: &StagesArgs) -> Result<(StagesReport, Vec<Written>, Samples), Error> {
    let requests = load(args)?;
    let otlp_bytes: u64 = requests.iter().map(|request| request.len() as u64).sum();
    let (batches, cost) = cheapest(args.repeat, || index(&requests))?;
    let span_count: u64 = batches.iter().map(|batch| batch.spans.len() as u64).sum();
    let index = report::Stage::new("index a request", cost, span_count);
    drop(requests);

    let mut writes = Vec::new();
    let mut level_0 = None;
    for flush in &args.flush {
        let (blocks, write) = write::write(&batches, Some(*flush), args.repeat)?;
        writes.push(write);
        writes.push(merge::merge(&blocks, args.repeat)?);
        level_0 = Some(blocks);
    }
    let (whole, write) = write::write(&batches, None, args.repeat)?;
    writes.push(write);
    let samples = Samples::choose(&batches);
    drop(batches);

    let whole = whole.into_iter().next().expect("the whole corpus is one block");
    let level_0 = level_0.unwrap_or_else(|| vec![whole.clone()]);
    let (opened, reads) = read::read(&whole, &level_0, args.lookups, args.repeat)?;
    let scans = scan::scan(&opened, &whole, &samples, args.repeat)?;
    let report = StagesReport { span_count, otlp_bytes, index, writes, reads, scans, requests: Vec::new() };
    Ok((report, level_0, samples))
}

fn load(args: &StagesArgs) -> Result<Vec<Bytes>, Error> {
    let Some(path) = &args.corpus else {
        return Ok(Corpus::new(&args.generate.spec()).map(|request| request.body.into()).collect());
    };
    Reader::open(path)?.map(|message| Ok(message?.into_plain().map_err(Error::file(path))?.into())).collect()
}

fn index(requests: &[Bytes]) -> Result<Vec<Batch>, Error> {
    let limits = Limits::default();
    let index = |request: &Bytes| spanlake_otlp::index(request.clone(), &limits).map_err(Error::stage("index"));
    requests.iter().map(index).collect()
}
