//! What is usual: the durations of operations over a time, and how one duration stands among those of its operation.
//!
//! Blocks above level 0 tell of durations in their search index, in slots of five minutes; their rows are not read. The spans of
//! others, and of blocks with deleted traces, are counted one by one. So this is an estimate: slots that lie in the range in part count
//! whole, and of a span that two such blocks have, each counts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use spanlake_analysis::{Baseline, Histogram, Kind, percentile};
use spanlake_block::{Damage, NIL};
use spanlake_model::{Tenant, TimeRange};
use spanlake_traceql::{Intrinsic, Value};

use super::super::batch::Opened;
use super::super::pass::{Counter, Pass, SpanRows};
use super::super::scan::open;
use super::{every_span, intrinsic, partial, resource, spans_of_service};
use crate::error::Error;
use crate::fetch::Reads;

/// Fewer durations than this say nothing.
const LEAST_COUNT: u64 = 200;
/// Most operations that are told apart.
const MAX_OPERATIONS: usize = 20_000;
/// Memory of an operation's durations, about.
const HELD_BYTES: u64 = 2_048;

/// An operation: service, name and kind.
pub type OperationKey = (String, String, Kind);

/// What is usual for some operations.
#[derive(Debug, Clone, Default)]
pub struct Baselines {
    /// By operation. Self times are not known: the spans of a trace may lie in several blocks.
    pub by_operation: HashMap<OperationKey, Baseline>,
    /// Why not all spans are counted, as a sentence.
    pub partial: Option<String>,
}

/// Which operation is asked about.
#[derive(Debug, Clone)]
pub struct OperationBaselineRequest {
    /// Service, name and kind.
    pub operation: OperationKey,
    /// When its spans start.
    pub range: TimeRange,
    /// A duration to be placed among the others.
    pub duration_nanos: Option<u64>,
}

/// What is usual for one operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationBaseline {
    /// Spans of the operation.
    pub count: u64,
    /// Median duration in nanoseconds, within 5 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_nanos: Option<u64>,
    /// The duration that nine of ten do not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p90_nanos: Option<u64>,
    /// The duration that 99 of 100 do not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_nanos: Option<u64>,
    /// Greatest duration of each step that has any, ascending, and how many durations it has.
    pub histogram: Vec<(u64, u64)>,
    /// Share of the durations that are shorter than the one asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<f64>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Over how long.
    pub window_seconds: u64,
    /// Whether there are too few durations to say what is usual.
    pub too_few: bool,
    /// Why not all spans are counted, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

struct CountDurations {
    service: usize,
    name: usize,
    kind: usize,
    duration: usize,
    /// Operations that are looked at; all without.
    wanted: Option<Arc<HashSet<OperationKey>>>,
}

impl Counter for CountDurations {
    type Part = Vec<(OperationKey, Histogram)>;
    type Total = HashMap<OperationKey, Baseline>;

    fn count(&self, rows: &SpanRows<'_>) -> Self::Part {
        let [services, names] = [self.service, self.name].map(|place| rows.codes(place));
        let mut durations: HashMap<(u32, u32, i64), Option<Histogram>, RandomState> = HashMap::default();
        let text = |value: Value| if let Value::String(text) = value { text } else { String::new() };
        let key = |(service, name, kind): (u32, u32, i64)| {
            let service = if service == NIL { String::new() } else { text(services.label(service).0) };
            let name = if name == NIL { String::new() } else { text(names.label(name).0) };
            (service, name, Kind::from_otlp(kind as i32))
        };
        for row in rows.rows.iter().map(|row| *row as usize) {
            let code = (services.code(row), names.code(row), rows.number(self.kind, row));
            let is_wanted = || self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&key(code)));
            let of = durations.entry(code).or_insert_with(|| is_wanted().then(Histogram::default));
            if let Some(histogram) = of {
                histogram.record(rows.number(self.duration, row) as u64);
            }
        }
        let there = durations.into_iter().filter_map(|(code, durations)| Some((key(code), durations?)));
        let mut part: Self::Part = there.collect();
        part.sort_by(|a, b| a.0.cmp(&b.0));
        part
    }

    fn add(&self, total: &mut Self::Total, part: Self::Part) {
        put_together(total, part);
    }

    fn held_bytes(&self, total: &Self::Total) -> u64 {
        HELD_BYTES * total.len() as u64
    }
}

/// Counts the durations of operations: all of them, or those that are wanted. At most one ranged GET for each block that may have
/// spans of the range, none when the catalog holds its search index; one ranged read for each row group of those that do not tell of
/// durations.
///
/// # Errors
/// [`Error`]; past a bound on work there is what was counted until then, see [`Baselines::partial`].
pub(crate) async fn run(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    range: TimeRange,
    wanted: Option<HashSet<OperationKey>>,
) -> Result<Baselines, Error> {
    let opened: Vec<Opened> = stream::iter(reads.blocks(tenants, range).await?)
        .map(|at| async move { open(reads, &at).await })
        .buffered(reads.width())
        .try_collect()
        .await?;
    // A deleted trace cannot be taken out of what a block tells.
    let (telling, others): (Vec<Opened>, Vec<Opened>) =
        opened.into_iter().partition(|of| of.search.baseline_bytes().is_some() && of.hidden.is_empty());
    let wanted = wanted.map(Arc::new);
    let mut by_operation = HashMap::new();
    let mut left_out = 0_u64;
    let mut _held = None;
    for of in telling {
        let of_block = told(reads, of, range, wanted.clone()).await?;
        left_out = left_out.saturating_add(of_block.left_out);
        put_together(&mut by_operation, of_block.durations);
        _held = None;
        _held = Some(reads.hold(HELD_BYTES * by_operation.len() as u64)?);
    }
    let left_out = (left_out > 0)
        .then(|| format!("{left_out} spans are not counted: their blocks have more operations than are told apart."));
    if others.is_empty() {
        return Ok(Baselines { by_operation, partial: left_out });
    }

    let services: HashSet<&str> = wanted.iter().flat_map(|wanted| wanted.iter()).map(|of| of.0.as_str()).collect();
    let query = match services.iter().next() {
        Some(service) if services.len() == 1 && !service.is_empty() => spans_of_service(service),
        _ => every_span(),
    };
    let mut pass = Pass::of(reads, others.into_iter().map(Some).collect(), &query, range).await?;
    let counting = Arc::new(CountDurations {
        service: pass.look_at(&resource("service.name")),
        name: pass.look_at(&intrinsic(Intrinsic::Name)),
        kind: pass.look_at(&intrinsic(Intrinsic::Kind)),
        duration: pass.look_at(&intrinsic(Intrinsic::Duration)),
        wanted,
    });
    let not_all = pass.run(&counting, &mut by_operation).await?.told();
    Ok(Baselines { by_operation, partial: partial(not_all, left_out) })
}

/// What a block tells.
struct Told {
    durations: Vec<(OperationKey, Histogram)>,
    left_out: u64,
}

/// Reads what a block tells of wanted operations.
async fn told(
    reads: &Reads<'_>,
    of: Opened,
    range: TimeRange,
    wanted: Option<Arc<HashSet<OperationKey>>>,
) -> Result<Told, Error> {
    let key = Arc::clone(&of.at.key);
    // Two bytes become a pair of numbers.
    let _reading = reads.hold(8 * of.search.baseline_bytes().unwrap_or(0) as u64)?;
    let read = move || -> Result<Told, Damage> {
        let operation = |service: Option<&str>, name: &str, kind| {
            (service.unwrap_or_default().to_owned(), name.to_owned(), Kind::from_otlp(kind))
        };
        let told = of.search.baselines(range, |service, name, kind| {
            wanted.as_ref().is_none_or(|wanted| wanted.contains(&operation(service, name, kind)))
        })?;
        let told = told.unwrap_or_default();
        let durations = told.operations.iter().map(|one| {
            let mut durations = Histogram::default();
            for (nanos, count) in one.slots.iter().flat_map(|slot| &slot.counts) {
                durations.record_many(*nanos, *count);
            }
            (operation(one.service.as_deref(), &one.name, one.kind), durations)
        });
        Ok(Told { durations: durations.collect(), left_out: told.left_out })
    };
    reads.compute(read).await?.map_err(|damage| Error::damaged(&key, &damage))
}

/// Adds durations of operations to those of others.
fn put_together(total: &mut HashMap<OperationKey, Baseline>, durations: Vec<(OperationKey, Histogram)>) {
    for (operation, durations) in durations {
        if total.len() < MAX_OPERATIONS || total.contains_key(&operation) {
            total.entry(operation).or_default().duration.merge(&durations);
        }
    }
}

/// What is usual for one operation.
///
/// # Errors
/// As [`run`].
pub(crate) async fn of_operation(
    reads: &Reads<'_>,
    tenants: &[Tenant],
    request: &OperationBaselineRequest,
) -> Result<OperationBaseline, Error> {
    let range = request.range;
    let found = run(reads, tenants, range, Some(HashSet::from([request.operation.clone()]))).await?;
    let durations = found.by_operation.into_values().next().unwrap_or_default().duration;
    let too_few = durations.count() < LEAST_COUNT;
    let window_seconds = (range.end_unix_nanos - range.start_unix_nanos).div_ceil(1_000_000_000);
    let rank = request.duration_nanos.filter(|_| !too_few).map(|nanos| durations.rank(nanos));
    let text = rank.map(|rank| {
        let share = (rank * 1_000.0).floor() / 10.0;
        let (percentile, time) = (percentile(rank), readable_seconds(window_seconds));
        format!("{percentile}: slower than {share} % of this operation in the {time} before")
    });
    let quantile = |share| durations.quantile(share);
    Ok(OperationBaseline {
        count: durations.count(),
        p50_nanos: quantile(0.5),
        p90_nanos: quantile(0.9),
        p99_nanos: quantile(0.99),
        histogram: durations.steps().collect(),
        rank,
        text,
        window_seconds,
        too_few,
        partial: found.partial,
    })
}

/// A time in whole hours or minutes where it is one.
fn readable_seconds(seconds: u64) -> String {
    match seconds {
        hours if hours >= 3_600 && hours.is_multiple_of(3_600) => format!("{} h", hours / 3_600),
        minutes if minutes >= 60 && minutes.is_multiple_of(60) => format!("{} min", minutes / 60),
        seconds => format!("{seconds} s"),
    }
}
