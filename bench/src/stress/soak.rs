//! `spanlake bench soak`: everything at once for a while, with what the server takes each second.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use spanlake_model::TraceId;

use super::plot::{Series, svg};
use super::readback::Account;
use super::sample::{Sample, slope};
use super::server::Server;
use super::traffic::{AGE_NANOS, Template, USUAL_TRACES};
use crate::latency::{Latencies, Quantiles};
use crate::{Error, table};

/// Connections that send, each a request at a time: enough for 10,000 spans a second while each waits for a group commit.
const SENDERS: u64 = 16;
/// Acknowledged requests whose traces are asked for; older ones are forgotten.
const REMEMBERED: u64 = 10_000;

/// Options of `bench soak`.
#[derive(Debug, Args)]
pub struct SoakArgs {
    /// How long.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Spans a second to send.
    #[arg(long, default_value_t = 5_000)]
    rate: u64,
    /// Pause of each asking connection between two queries, in milliseconds.
    #[arg(long, default_value_t = 100)]
    query_pause: u64,
    /// How many minutes spans are kept, in windows of an eighth of it; 0 is for ever. With it, the data stays as large as it
    /// is once, and so should all else.
    #[arg(long, default_value_t = 0)]
    retention_minutes: u32,
    /// File for a line each second, and beside it a picture (`.svg`) of them.
    #[arg(long, value_name = "FILE", default_value = "soak.csv")]
    csv: PathBuf,
    /// A setting of the server; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

/// What connections do, each with its name in the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Send,
    Lookup,
    Search,
    Metrics,
}

const WORKS: [(Work, &str); 4] =
    [(Work::Send, "acknowledge"), (Work::Lookup, "by id"), (Work::Search, "search"), (Work::Metrics, "metrics")];

/// What all connections of one kind saw since it was last looked at, and in all.
#[derive(Default)]
struct Seen {
    recent: Mutex<Latencies>,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

struct World {
    seen: [Seen; 4],
    template: Template,
    acknowledged: Mutex<Vec<u64>>,
    next: AtomicU64,
    is_over: AtomicBool,
    rate: f64,
    pause: Duration,
    /// Zero is for ever.
    retention: Duration,
    start: Instant,
}

/// One second.
struct Line {
    second: f64,
    sample: Sample,
    spans: u64,
    latencies: [Quantiles; 4],
}

/// Runs `bench soak`.
///
/// # Errors
/// [`Error::Server`] if the server does not start or stop; [`Error::File`] for the files.
pub(crate) async fn run(args: SoakArgs) -> Result<(), Error> {
    let directory = tempfile::tempdir().map_err(Error::file(std::path::Path::new("a temporary directory")))?;
    let retention = Duration::from_secs(u64::from(args.retention_minutes) * 60);
    let short_lived = short_lived(retention);
    let settings: Vec<&str> = short_lived.iter().chain(&args.set).map(String::as_str).collect();
    let server = Server::start(directory.path(), None, &settings).await?;
    let template = Template::new(11, "soak", USUAL_TRACES);
    let world = Arc::new(World {
        seen: Default::default(),
        rate: args.rate as f64 / template.ids().request_spans() as f64,
        template,
        acknowledged: Mutex::default(),
        next: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        pause: Duration::from_millis(args.query_pause),
        retention,
        start: Instant::now(),
    });
    let mut tasks = Vec::new();
    for (number, (work, _)) in WORKS.into_iter().enumerate() {
        for _ in 0..if work == Work::Send { SENDERS } else { 1 } {
            let client = if work == Work::Send { server.sender()? } else { server.asker()? };
            tasks.push(tokio::spawn(connection(Arc::clone(&world), number, client)));
        }
    }
    let lines = watch(&world, &server, Duration::from_secs_f64(args.minutes * 60.0)).await;
    world.is_over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await?;
    }
    let data = server.data();
    server.stop().await?;
    let mut acknowledged = std::mem::take(&mut *world.acknowledged.lock().unwrap_or_else(PoisonError::into_inner));
    let oldest = world.oldest(retention);
    acknowledged.retain(|turn| *turn >= oldest);
    let account = Account::of(&data, "single-tenant", world.template.ids(), &acknowledged).await?;
    std::fs::write(&args.csv, csv(&lines)).map_err(Error::file(&args.csv))?;
    let picture = args.csv.with_extension("svg");
    std::fs::write(&picture, plot(&lines)).map_err(Error::file(&picture))?;
    print!("{}", summary(&world, &lines, account));
    Ok(())
}

/// Settings under which data is merged, dropped and deleted within some minutes as it is within days otherwise.
fn short_lived(retention: Duration) -> Vec<String> {
    if retention.is_zero() {
        return Vec::new();
    }
    let seconds = |part: u32| (retention / part).as_secs().max(1);
    // `late_retention` is so short that nothing stays only because it was merged a while ago. What is deleted may be read for as long
    // as two queries take, and a minute.
    let grace = seconds(6).max(80);
    vec![
        "querier.query_timeout=10s".to_owned(),
        format!("compactor.retention={}s", seconds(1)),
        format!("compactor.late_retention={}s", seconds(16)),
        format!("compactor.window={}s", seconds(8)),
        format!("compactor.window_grace={}s", seconds(40)),
        format!("compactor.l0_delete_grace={grace}s"),
        format!("compactor.delete_grace={grace}s"),
        format!("compactor.manifest_min_age={grace}s"),
        format!("compactor.sweep_interval={}s", seconds(8)),
    ]
}

/// Looks at the server once a second.
async fn watch(world: &World, server: &Server, duration: Duration) -> Vec<Line> {
    let (mut lines, mut spans_before) = (Vec::new(), 0);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.tick().await;
    while world.start.elapsed() < duration {
        ticks.tick().await;
        let (pid, data) = (server.pid(), server.data());
        // A walk over many files does not belong on a thread that measures others.
        let sample = tokio::task::spawn_blocking(move || Sample::take(pid, &data)).await.unwrap_or_default();
        let count = world.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
        let spans = count * world.template.ids().request_spans();
        let latencies = [0, 1, 2, 3].map(|number| {
            let mut recent = world.seen[number].recent.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *recent).quantiles()
        });
        let second = world.start.elapsed().as_secs_f64();
        lines.push(Line { second, sample, spans: spans - spans_before, latencies });
        spans_before = spans;
    }
    lines
}

async fn connection(world: Arc<World>, number: usize, mut client: crate::client::Client) {
    let (work, _) = WORKS[number];
    let seen = &world.seen[number];
    let mut dice = crate::dice::Dice::new(number as u64);
    let mut headers = HeaderMap::new();
    if work == Work::Send {
        headers.insert("content-type", HeaderValue::from_static("application/x-protobuf"));
    }
    while !world.is_over.load(Ordering::Relaxed) {
        let mut turn = 0;
        let (method, path, body) = match work {
            Work::Send => {
                turn = world.next.fetch_add(1, Ordering::Relaxed);
                let due = world.start + Duration::from_secs_f64(turn as f64 / world.rate.max(0.001));
                tokio::time::sleep_until(due.into()).await;
                (Method::POST, "/v1/traces".to_owned(), world.template.request(turn))
            }
            _ => {
                tokio::time::sleep(world.pause).await;
                let Some(path) = world.question(work, &mut dice) else { continue };
                (Method::GET, path, Bytes::new())
            }
        };
        let sent = Instant::now();
        let outcome = client.call(method, &path, &headers, body).await;
        match outcome {
            Ok(answer) if answer.status == StatusCode::OK => {
                seen.recent.lock().unwrap_or_else(PoisonError::into_inner).add(sent.elapsed());
                if work == Work::Send {
                    world.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(turn);
                }
            }
            outcome => {
                seen.failed.fetch_add(1, Ordering::Relaxed);
                let text = match outcome {
                    Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
                    Err(error) => error.to_string(),
                };
                seen.first_failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
            }
        }
    }
}

impl World {
    /// The first request whose spans are all younger than an age. They end a little before it is sent, which is when it is due
    /// or later. Of age zero, which is none, the first of all.
    fn oldest(&self, age: Duration) -> u64 {
        if age.is_zero() {
            return 0;
        }
        let gone = (self.start.elapsed() + Duration::from_nanos(AGE_NANOS)).saturating_sub(age);
        (gone.as_secs_f64() * self.rate).ceil() as u64
    }

    /// The path of the next question, once there is something to ask for.
    fn question(&self, work: Work, dice: &mut crate::dice::Dice) -> Option<String> {
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let count = acknowledged.len() as u64;
        if count == 0 {
            return None;
        }
        let oldest = count.saturating_sub(REMEMBERED);
        let request = acknowledged[dice.between(oldest, count - 1) as usize];
        drop(acknowledged);
        // Well before it goes, so that it is there when it is looked for.
        if request < self.oldest(self.retention / 2) {
            return None;
        }
        let now = super::traffic::now_unix_nanos() / 1_000_000_000;
        Some(match work {
            Work::Lookup => format!("/api/traces/{}", TraceId(self.template.ids().trace_id(request, 0))),
            // { name = "step 3" && duration > 5ms }
            Work::Search => {
                "/api/search?q=%7B%20name%20%3D%20%22step%203%22%20%26%26%20duration%20%3E%205ms%20%7D&limit=20"
                    .to_owned()
            }
            // { } | rate() by (resource.service.name)
            _ => format!(
                "/api/metrics/query_range?q=%7B%20%7D%20%7C%20rate()%20by%20(resource.service.name)&start={}&end={now}&step=10s",
                now - 300
            ),
        })
    }
}

fn csv(lines: &[Line]) -> String {
    let mut text = "second,rss_bytes,open_files,objects,object_bytes,spans".to_owned();
    for (_, name) in WORKS {
        let name = name.replace(' ', "_");
        text.push_str(&format!(",{name}_p50_millis,{name}_p99_millis"));
    }
    text.push('\n');
    for Line { second, sample, spans, latencies } in lines {
        let Sample { rss_bytes, open_files, object_count, object_bytes } = sample;
        text.push_str(&format!("{second:.0},{rss_bytes},{open_files},{object_count},{object_bytes},{spans}"));
        latencies.iter().for_each(|q| text.push_str(&format!(",{:.2},{:.2}", q.p50_millis, q.p99_millis)));
        text.push('\n');
    }
    text
}

/// Each measured thing over time, with its name and unit.
fn series(lines: &[Line]) -> Vec<Series<'_>> {
    type Value = fn(&Line) -> f64;
    let values: [(&str, Value); 9] = [
        ("RSS, MB", |line| line.sample.rss_bytes as f64 / 1e6),
        ("open files", |line| line.sample.open_files as f64),
        ("objects", |line| line.sample.object_count as f64),
        ("object bytes, MB", |line| line.sample.object_bytes as f64 / 1e6),
        ("spans acknowledged a second", |line| line.spans as f64),
        ("acknowledge p99, ms", |line| line.latencies[0].p99_millis),
        ("by id p99, ms", |line| line.latencies[1].p99_millis),
        ("search p99, ms", |line| line.latencies[2].p99_millis),
        ("metrics p99, ms", |line| line.latencies[3].p99_millis),
    ];
    let of = |(name, value): (&'static str, Value)| Series {
        name,
        points: lines.iter().map(|line| (line.second, value(line))).collect(),
    };
    values.into_iter().map(of).collect()
}

fn plot(lines: &[Line]) -> String {
    svg("spanlake bench soak", &series(lines))
}

fn summary(world: &World, lines: &[Line], account: Account) -> String {
    let header = ["", "first", "median", "last", "most", "slope an hour, second half"];
    let mut rows = vec![header.map(str::to_owned)];
    for Series { name, points } in series(lines) {
        let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
        let (first, last) = (values.first().copied().unwrap_or(0.0), values.last().copied().unwrap_or(0.0));
        values.sort_by(f64::total_cmp);
        let median = values.get(values.len() / 2).copied().unwrap_or(0.0);
        let most = values.last().copied().unwrap_or(0.0);
        // The first half is the time in which caches fill.
        let hourly = slope(&points[points.len() / 2..]) * 3_600.0;
        let [first, median, last, most, hourly] =
            [first, median, last, most, hourly].map(|number| format!("{number:.1}"));
        rows.push([name.to_owned(), first, median, last, most, hourly]);
    }
    let mut text = table::render(&rows);
    for ((_, name), seen) in WORKS.iter().zip(&world.seen) {
        let failed = seen.failed.load(Ordering::Relaxed);
        let first = seen.first_failure.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
        text.push_str(&format!("{name}: {failed} failed {first}\n"));
    }
    let Account { acknowledged_spans, lost_spans, duplicated_spans } = account;
    text.push_str(&format!(
        "read back: {acknowledged_spans} spans acknowledged, {lost_spans} lost, {duplicated_spans} duplicated\n"
    ));
    text
}
