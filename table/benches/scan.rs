//! Measures queries over the span table: CPU time, rows, bytes fetched and row groups pruned, over the shop corpus in a
//! store in memory.
//!
//! `cargo bench -p spanlake-table`. `SPANLAKE_BENCH_SPANS` sets the size, 300,000 by default. Everything runs on one thread;
//! of five runs the cheapest counts, the first one is shown too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use datafusion::error::Result;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt as _;
use rustix::time::{ClockId, clock_gettime};
use spanlake_bench::{Corpus, Kind, Spec};
use spanlake_block::{AttributeColumn, Column, Condition, Field, Literal, Op, ValueType, WriteOptions, write_block};
use spanlake_catalog::{Catalog, Config, Snapshot};
use spanlake_model::{Tenant, TimeRange};
use spanlake_otlp::{Limits, index};
use spanlake_storage::Store;
use spanlake_table::{CatalogSource, Source, SpanTable, TraceRequest, attribute_columns, merge};

/// Requests of the corpus go to this many blocks, in the order they were sent.
const BLOCKS: usize = 4;

/// A key of the corpus with a value of its own on each span that has it.
const NEEDLE_KEY: &str = "app.order.id";

const RUNS: usize = 5;

fn cpu() -> Duration {
    let at = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0))
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure())
}

/// Blocks of the corpus, and how many spans they hold.
async fn fill(catalog: &Catalog, tenant: &Tenant, span_count: u64) -> u64 {
    let requests: Vec<_> = Corpus::new(&Spec::new(Kind::Shop, span_count, 1)).collect();
    let mut stored = 0;
    for part in requests.chunks(requests.len().div_ceil(BLOCKS)) {
        let batch = |body: &Vec<u8>| index(Bytes::from(body.clone()), &Limits::default()).expect("the corpus is sound");
        let batches: Vec<_> = part.iter().map(|request| batch(&request.body)).collect();
        let written = write_block(&batches, &WriteOptions::default()).expect("there are spans");
        stored += written.meta.span_count;
        catalog.publish_l0(tenant, written).await.expect("memory takes it");
    }
    stored
}

async fn measure() -> Result<()> {
    let spans = std::env::var("SPANLAKE_BENCH_SPANS").ok().and_then(|text| text.parse().ok()).unwrap_or(300_000);
    let catalog = Catalog::new(Store::memory(), Config::default());
    let tenant = Tenant::parse("bench").expect("a valid name");
    let stored = fill(&catalog, &tenant, spans).await;
    let snapshot = catalog.snapshot(&tenant).await.expect("memory lists");
    let source: Arc<dyn Source> = Arc::new(CatalogSource::new(catalog.clone()));
    let columns = attribute_columns(&source, &snapshot, 500).await?;
    let long_tail = long_tail(&source, &snapshot).await?;
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let table = SpanTable::new(Arc::clone(&source), Arc::clone(&snapshot), columns);
    session.register_table("spans", Arc::new(table))?;

    let bytes: u64 = snapshot.blocks.iter().map(|block| block.meta.object_bytes).sum();
    println!(
        "{stored} spans in {} blocks, {bytes} bytes; one thread, cheapest of {RUNS} runs\n",
        snapshot.blocks.len()
    );
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>12} {:>11} {:>9} {:>8}",
        "query", "rows", "first ms", "wall ms", "CPU ms", "Mspans/CPU s", "bytes", "groups", "pruned"
    );
    let needle = format!("\"span.{NEEDLE_KEY}\"");
    let sample = session
        .sql(&format!("SELECT {needle}, service_name FROM spans WHERE {needle} IS NOT NULL LIMIT 1"))
        .await?
        .collect()
        .await?;
    let sample = |column: usize| {
        let batch = sample.first().expect("the corpus has the key");
        datafusion::arrow::util::display::array_value_to_string(batch.column(column), 0).expect("a text")
    };
    let queries = [
        ("needle", format!("SELECT trace_id, name FROM spans WHERE {needle} = '{}'", sample(0))),
        (
            "absent needle",
            format!("SELECT trace_id FROM spans WHERE {needle} = '00000000-0000-4000-8000-000000000000'"),
        ),
        ("common value", "SELECT trace_id, span_id, name FROM spans WHERE \"span.rpc.system\" = 'grpc'".to_owned()),
        ("common value, count", "SELECT count(*) FROM spans WHERE \"span.rpc.system\" = 'grpc'".to_owned()),
        ("resource", format!("SELECT trace_id, name FROM spans WHERE service_name = '{}'", sample(1))),
        ("long-tail key", format!("SELECT trace_id, {long_tail} FROM spans WHERE {long_tail} IS NOT NULL")),
        ("duration", "SELECT trace_id, name FROM spans WHERE duration_nanos > 1000000000".to_owned()),
        ("substring of SQL", "SELECT trace_id FROM spans WHERE \"span.db.query.text\" LIKE '%stock%'".to_owned()),
        ("count by service", "SELECT service_name, count(*) FROM spans GROUP BY service_name".to_owned()),
        ("errors by service", "SELECT service_name, count(*) FROM spans WHERE status_code = 2 GROUP BY 1".to_owned()),
        ("count", "SELECT count(*) FROM spans".to_owned()),
        ("order by trace id", "SELECT trace_id, span_id FROM spans ORDER BY trace_id".to_owned()),
    ];
    for (what, sql) in queries {
        one_query(&session, what, &sql, stored).await?;
    }
    for (what, op) in [("merge: traces with an error", Op::Eq), ("merge: all traces", Op::Exists)] {
        one_merge(&source, &snapshot, what, op, stored, &catalog).await?;
    }
    Ok(())
}

/// The column of the key that most spans have of those that have no column in the first block.
async fn long_tail(source: &Arc<dyn Source>, snapshot: &Snapshot) -> Result<String> {
    let opened = source.open(&snapshot.blocks.newest(1)[0]).await?;
    let own = opened.block.attribute_columns();
    let residual = opened.search.keys().iter().filter(|(key, _)| own.iter().all(|column| column.key != key.key));
    let most = residual.max_by_key(|(_, count)| *count).map(|(column, _)| column.clone());
    let column = most.unwrap_or(AttributeColumn { key: "none".to_owned(), value_type: ValueType::String });
    Ok(format!("\"{}\"", Column::SpanAttribute(column).field().name()))
}

fn scan_of(plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    plan.children().first().map_or_else(|| Arc::clone(plan), |child| scan_of(child))
}

struct Line<'a> {
    what: &'a str,
    rows: usize,
    first: Duration,
    wall: Duration,
    cpu: Duration,
    bytes: usize,
    scanned: usize,
    pruned: usize,
}

fn print(line: &Line<'_>, stored: u64) {
    let rate = stored as f64 / line.cpu.as_secs_f64().max(1e-9) / 1e6;
    println!(
        "{:<34} {:>9} {:>9.2} {:>9.2} {:>9.2} {:>12.1} {:>11} {:>9} {:>8}",
        line.what,
        line.rows,
        line.first.as_secs_f64() * 1e3,
        line.wall.as_secs_f64() * 1e3,
        line.cpu.as_secs_f64() * 1e3,
        rate,
        line.bytes,
        line.scanned,
        line.pruned
    );
}

async fn one_query(session: &SessionContext, what: &str, sql: &str, stored: u64) -> Result<()> {
    let mut best: Option<Line<'_>> = None;
    let mut first = Duration::ZERO;
    for run in 0..RUNS {
        let (cpu_before, wall) = (cpu(), Instant::now());
        let plan = session.sql(sql).await?.create_physical_plan().await?;
        let rows = collect(Arc::clone(&plan), session.task_ctx()).await?;
        let (cpu, wall) = (cpu() - cpu_before, wall.elapsed());
        if run == 0 {
            first = wall;
        }
        let metrics = scan_of(&plan).metrics().unwrap_or_default();
        let count = |name: &str| metrics.sum_by_name(name).map_or(0, |value| value.as_usize());
        let line = Line {
            what,
            rows: rows.iter().map(|batch| batch.num_rows()).sum(),
            first,
            wall,
            cpu,
            bytes: count("bytes_fetched"),
            scanned: count("row_groups_scanned"),
            pruned: count("row_groups_pruned"),
        };
        if best.as_ref().is_none_or(|best| cpu < best.cpu) {
            best = Some(line);
        }
    }
    best.iter().for_each(|line| print(line, stored));
    Ok(())
}

async fn one_merge(
    source: &Arc<dyn Source>,
    snapshot: &Arc<Snapshot>,
    what: &str,
    op: Op,
    stored: u64,
    catalog: &Catalog,
) -> Result<()> {
    let conditions = match op {
        Op::Exists => Vec::new(),
        op => vec![Condition { field: Field::StatusCode, op, value: Literal::Int(2) }],
    };
    let columns = vec![Column::SpanId, Column::ParentSpanId, Column::Name, Column::ServiceName, Column::DurationNanos];
    let mut best: Option<Line<'_>> = None;
    let mut first = Duration::ZERO;
    for run in 0..RUNS {
        let request = TraceRequest {
            conditions: conditions.clone(),
            range: TimeRange::ALL,
            columns: columns.clone(),
            max_traces: 10_000_000,
        };
        let before = catalog.store().meter().counts();
        let (cpu_before, wall) = (cpu(), Instant::now());
        let count = async |sum: usize, trace: spanlake_table::TraceRows| Ok(sum + trace.rows.num_rows());
        let rows = merge(Arc::clone(source), Arc::clone(snapshot), request).try_fold(0, count).await?;
        let (cpu, wall) = (cpu() - cpu_before, wall.elapsed());
        if run == 0 {
            first = wall;
        }
        let bytes = catalog.store().meter().counts().since(&before).get_range.bytes as usize;
        if best.as_ref().is_none_or(|best| cpu < best.cpu) {
            best = Some(Line { what, rows, first, wall, cpu, bytes, scanned: 0, pruned: 0 });
        }
    }
    best.iter().for_each(|line| print(line, stored));
    Ok(())
}
