//! Many clients with the mixed query set at once, while an ingester writes into the same store at full speed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use serde::Serialize;
use spanlake_bench::{Error, Latencies, Quantiles, peak_rss_bytes, reset_peak_rss};
use spanlake_catalog::Catalog;
use spanlake_ingester::Ingester;
use spanlake_model::Tenant;
use spanlake_storage::Store;

use super::feed::Feed;
use super::questions::Question;
use super::store::Root;
use super::world::World;

/// Requests to the ingester that are in flight at once.
const PUSHERS: usize = 8;
/// What a refused exporter waits before it repeats.
const PAUSE: Duration = Duration::from_millis(5);

/// What is to run at once.
pub(super) struct Plan {
    pub clients: usize,
    pub duration: Duration,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Mixed {
    clients: usize,
    seconds: f64,
    query_count: u64,
    error_count: u64,
    first_error: Option<String>,
    latency: Quantiles,
    /// Spans a second with nothing else running, then while queries run.
    ingest_alone: Option<f64>,
    ingest_together: Option<f64>,
    /// Requests that the ingester refused, which were repeated.
    refused_count: u64,
    /// Resident before, and at most meanwhile.
    rss_before_bytes: u64,
    peak_rss_bytes: u64,
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    latencies: Latencies,
    error_count: u64,
    first_error: Option<String>,
}

/// Spans that ingest has taken.
#[derive(Default)]
struct Taken {
    span_count: AtomicU64,
    refused_count: AtomicU64,
    is_over: AtomicBool,
}

/// Ingests alone into a store of its own, then asks and ingests together.
///
/// # Errors
/// [`Error::Stage`] if a store cannot be opened. Failed queries are counted.
pub(super) async fn run(
    root: &Root,
    store: &Store,
    questions: &[Question],
    feed: Option<Feed>,
    plan: &Plan,
) -> Result<Mixed, Error> {
    let feed = feed.map(Arc::new);
    let mut ingest_alone = None;
    if let Some(feed) = &feed {
        let catalog = Catalog::new(root.store("alone")?, spanlake_catalog::Config::default());
        let start = Instant::now();
        let ingest = Ingest::start(&catalog, feed);
        tokio::time::sleep(plan.duration).await;
        let taken = ingest.stop().await?;
        ingest_alone = Some(taken.span_count.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64());
    }
    // One catalog for both roles, as in one process.
    let catalog = Catalog::new(store.clone(), spanlake_catalog::Config::default());
    let world = World::over(catalog.clone());
    for question in questions {
        world.ask(question.request()).await?;
    }
    reset_peak_rss();
    let rss_before_bytes = peak_rss_bytes(None).unwrap_or(0);
    let start = Instant::now();
    let ingest = feed.as_ref().map(|feed| Ingest::start(&catalog, feed));
    let deadline = start + plan.duration;
    let questions: Arc<[Question]> = questions.into();
    let clients = (0..plan.clients).map(|number| {
        let (world, questions) = (world.clone(), Arc::clone(&questions));
        tokio::spawn(async move { client(&world, &questions, number, deadline).await })
    });
    let mut seen = Seen::default();
    for client in clients.collect::<Vec<_>>() {
        let one = client.await?;
        seen.latencies.merge(one.latencies);
        seen.error_count += one.error_count;
        seen.first_error = seen.first_error.or(one.first_error);
    }
    let seconds = start.elapsed().as_secs_f64();
    let (mut ingest_together, mut refused_count) = (None, 0);
    if let Some(ingest) = ingest {
        let taken = ingest.stop().await?;
        ingest_together = Some(taken.span_count.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64());
        refused_count = taken.refused_count.load(Ordering::Relaxed);
    }
    let latency = seen.latencies.quantiles();
    Ok(Mixed {
        clients: plan.clients,
        seconds,
        query_count: latency.count as u64,
        error_count: seen.error_count,
        first_error: seen.first_error,
        latency,
        ingest_alone,
        ingest_together,
        refused_count,
        rss_before_bytes,
        peak_rss_bytes: peak_rss_bytes(None).unwrap_or(0),
    })
}

/// Asks one query after the other until the time is up; each client begins at another one.
async fn client(world: &World, questions: &[Question], number: usize, deadline: Instant) -> Seen {
    let mut seen = Seen::default();
    for question in questions.iter().cycle().skip(number) {
        if Instant::now() >= deadline {
            break;
        }
        match world.ask(question.request()).await {
            Ok((_, elapsed)) => seen.latencies.add(elapsed),
            Err(error) => {
                seen.error_count += 1;
                seen.first_error.get_or_insert_with(|| format!("{}: {error}", question.name));
            }
        }
    }
    seen
}

/// An ingester under full load.
struct Ingest {
    ingester: Ingester,
    pushers: Vec<tokio::task::JoinHandle<()>>,
    taken: Arc<Taken>,
}

impl Ingest {
    fn start(catalog: &Catalog, feed: &Arc<Feed>) -> Self {
        let config = spanlake_ingester::Config::default();
        let ingester = Ingester::new(config, catalog.clone(), &mut Registry::default());
        let taken = Arc::new(Taken::default());
        let pushers = (0..PUSHERS)
            .map(|_| {
                let (ingester, feed, taken) = (ingester.clone(), Arc::clone(feed), Arc::clone(&taken));
                tokio::spawn(async move { push(&ingester, &feed, &taken).await })
            })
            .collect();
        Self { ingester, pushers, taken }
    }

    async fn stop(self) -> Result<Arc<Taken>, Error> {
        self.taken.is_over.store(true, Ordering::Relaxed);
        for pusher in self.pushers {
            pusher.await?;
        }
        self.ingester.shutdown().await;
        Ok(self.taken)
    }
}

async fn push(ingester: &Ingester, feed: &Feed, taken: &Taken) {
    while !taken.is_over.load(Ordering::Relaxed) {
        match ingester.push(Tenant::single(), feed.next()).await {
            Ok(accepted) => {
                taken.span_count.fetch_add(accepted.span_count, Ordering::Relaxed);
            }
            Err(_) => {
                taken.refused_count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Mixed {
    /// As lines of text.
    pub(super) fn render(&self) -> String {
        let mut text = format!(
            "{} clients for {:.1} s: {} queries ({:.1}/s), {} errors, {}\n",
            self.clients,
            self.seconds,
            self.query_count,
            self.query_count as f64 / self.seconds,
            self.error_count,
            self.latency
        );
        if let Some(error) = &self.first_error {
            text.push_str(&format!("first error: {error}\n"));
        }
        if let (Some(alone), Some(together)) = (self.ingest_alone, self.ingest_together) {
            text.push_str(&format!(
                "ingest: {alone:.0} spans/s alone, {together:.0} together ({:.0} %), {} requests refused\n",
                together / alone * 100.0,
                self.refused_count
            ));
        }
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let (before, peak) = (megabytes(self.rss_before_bytes), megabytes(self.peak_rss_bytes));
        text + &format!("RSS: {before:.1} MB before, {peak:.1} MB at most (the requests to ingest are part of both)\n")
    }
}
