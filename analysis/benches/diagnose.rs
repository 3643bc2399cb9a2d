//! Milliseconds that each part of an analysis takes: `cargo bench -p spanlake-analysis`.
//!
//! The traces look like a shop's: requests that fan out into calls and queries, 5 % of spans failed, some repeats; and the
//! two extremes, a chain and one parent of all. Each figure is the least of five passes, in CPU time of this process,
//! which is single-threaded.

use std::fs;
use std::hint::black_box;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use spanlake_analysis::render::{Style, render};
use spanlake_analysis::{
    Attributes, Completeness, CriticalPath, Kind, NoHistory, Observed, Settings, Skeleton, SkeletonBuilder, SpanRow,
    Status, Trace, Value, diagnose, self_times, slack,
};
use spanlake_model::{SpanId, TraceId};

const PASSES: usize = 5;

fn main() {
    for (what, span_count, shape) in [
        ("shop", 10_000, shop as fn(u64) -> Vec<Row>),
        ("shop", 100_000, shop),
        ("shop", 1_000_000, shop),
        ("chain", 100_000, chain),
        ("one parent", 100_000, one_parent),
    ] {
        let rows = shape(span_count);
        println!("{what}, {span_count} spans");
        measure("build and sort columns", || build(&rows));
        let skeleton = build(&rows);
        measure("copy columns, find structure", || Trace::new(skeleton.clone()));
        let trace = Trace::new(skeleton);
        measure("self times", || self_times(&trace));
        measure("critical path", || CriticalPath::of_trace(&trace));
        measure("diagnose, all rules", || {
            diagnose(&trace, &Queries, &NoHistory, &Completeness::default(), &Settings::default())
        });
        let mut observed = Observed::default();
        (0..3).for_each(|_| observed.add(&trace));
        measure("diagnose, with history", || {
            diagnose(&trace, &Queries, &observed, &Completeness::default(), &Settings::default())
        });
        let diagnosis = diagnose(&trace, &Queries, &NoHistory, &Completeness::default(), &Settings::default());
        measure("draw the waterfall", || render(&trace, &diagnosis, &Style::default()));
        measure("slack", || slack(&trace, trace.tree.main_root().expect("a root")));
    }
}

struct Row {
    id: u64,
    parent: u64,
    start: u64,
    end: u64,
    kind: Kind,
    failed: bool,
    service: usize,
    name: usize,
}

/// Every span has the text of a query.
struct Queries;

impl Attributes for Queries {
    fn attribute(&self, row: u32, key: &str) -> Option<Value<'_>> {
        let text = || Value::Text(format!("SELECT * FROM things WHERE id = {row}").into());
        (key == "db.query.text").then(text)
    }
}

const SERVICES: [&str; 9] = ["edge", "shop", "cart", "pay", "bank", "stock", "mail", "search", "pg"];

fn build(rows: &[Row]) -> Skeleton {
    let names: Vec<String> = (0..60).map(|at| format!("GET /api/things/{at}")).collect();
    let mut builder = SkeletonBuilder::with_capacity(TraceId([1; 16]), rows.len());
    for row in rows {
        builder.push(SpanRow {
            span_id: SpanId(row.id.to_be_bytes()),
            parent_span_id: Some(SpanId(row.parent.to_be_bytes())),
            start_unix_nanos: row.start,
            end_unix_nanos: row.end,
            kind: row.kind,
            status: if row.failed { Status::Error } else { Status::Unset },
            service: SERVICES[row.service],
            name: &names[row.name],
            host: SERVICES[row.service],
            flags: 0x101,
        });
    }
    builder.finish()
}

const START: u64 = 1_760_000_000_000_000_000;

fn id(at: u64) -> u64 {
    // Spread like random ids, but the same each time.
    (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Eight children each, one after the other, some overlapping the next; every third a call to another service.
fn shop(span_count: u64) -> Vec<Row> {
    let mut dice = SmallRng::seed_from_u64(5);
    let mut rows = vec![Row {
        id: id(0),
        parent: 0,
        start: START,
        end: START + 60_000_000_000,
        kind: Kind::Server,
        failed: false,
        service: 0,
        name: 0,
    }];
    for at in 1..span_count {
        let parent = &rows[((at - 1) / 8) as usize];
        let slot = (parent.end - parent.start) / 8;
        let start = parent.start + slot * ((at - 1) % 8) + dice.random_range(0..=slot / 10);
        let kind = match parent.kind {
            Kind::Client => Kind::Server,
            _ if dice.random_ratio(1, 3) => Kind::Client,
            _ => Kind::Internal,
        };
        let service = if kind == Kind::Server { dice.random_range(0..SERVICES.len()) } else { parent.service };
        rows.push(Row {
            id: id(at),
            parent: parent.id,
            start,
            end: start + slot * dice.random_range(1..=11) / 10,
            kind,
            failed: dice.random_ratio(1, 20),
            service,
            name: if dice.random_ratio(1, 2) { 7 } else { dice.random_range(0..60) },
        });
    }
    rows
}

fn chain(span_count: u64) -> Vec<Row> {
    let row = |at: u64| Row {
        id: id(at),
        parent: if at == 0 { 0 } else { id(at - 1) },
        start: START + at,
        end: START + 3 * span_count - at,
        kind: Kind::Internal,
        failed: false,
        service: 1,
        name: 1,
    };
    (0..span_count).map(row).collect()
}

fn one_parent(span_count: u64) -> Vec<Row> {
    let row = |at: u64| Row {
        id: id(at),
        parent: if at == 0 { 0 } else { id(0) },
        start: START + at * 1_000,
        end: START + if at == 0 { span_count * 1_000 } else { at * 1_000 + 999 },
        kind: if at == 0 { Kind::Server } else { Kind::Client },
        failed: at % 20 == 3,
        service: 1,
        name: usize::from(at > 0),
    };
    (0..span_count).map(row).collect()
}

/// The scheduler counts in steps of some milliseconds, so short work is done many times in a pass.
const PASS_SECONDS: f64 = 0.1;

fn measure<T>(what: &str, mut work: impl FnMut() -> T) {
    let mut least = f64::INFINITY;
    for _ in 0..PASSES {
        let before = cpu_seconds();
        let mut times = 0;
        let mut spent = 0.0;
        while spent < PASS_SECONDS {
            black_box(work());
            times += 1;
            spent = cpu_seconds() - before;
        }
        least = least.min(spent / f64::from(times));
    }
    println!("  {what:28} {:8.2} ms", least * 1e3);
}

/// CPU seconds this process has used: nanoseconds from the scheduler, field 1 of `/proc/self/schedstat`.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/schedstat").expect("the benchmark runs on Linux");
    let nanos: f64 =
        stat.split(' ').next().and_then(|field| field.parse().ok()).expect("schedstat begins with a number");
    nanos / 1e9
}
