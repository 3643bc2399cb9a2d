//! What is counted of many spans, against a slow count over the same spans.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use rand::Rng as _;
use rand::rngs::StdRng;
use spanlake_model::Tenant;
use spanlake_querier::{HeatmapRequest, OperationsRequest, ServicesRequest, Traffic, Window, every_span};
use spanlake_traceql::Query;
use spanlake_traceql::reference::random::{EPOCH_UNIX_NANOS, search_query};
use spanlake_traceql::reference::{self, StoredSpan};

use crate::world::{Layout, World};

const SECOND: u64 = 1_000_000_000;

/// Durations and failures of requests, by column.
type Counts = Vec<Vec<(u64, bool)>>;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Overview {
    window: Window,
    query: Query,
}

impl Overview {
    pub fn random(rng: &mut StdRng) -> Self {
        let start_unix_nanos = EPOCH_UNIX_NANOS + rng.random_range(0..100) * SECOND;
        let end_unix_nanos = start_unix_nanos + rng.random_range(1..300) * SECOND;
        // With more stages a span may be in several spansets, and the reference does not tell spans of one id apart.
        let query = (0..20).map(|_| search_query(rng)).find(|query| query.pipeline.stages.len() == 1);
        let query = query.unwrap_or_else(every_span);
        Self { window: Window { start_unix_nanos, end_unix_nanos, column_count: rng.random_range(1..20) }, query }
    }

    /// How an answer differs from the slow one.
    pub async fn difference(&self, world: &World, layout: &Layout) -> Result<(), String> {
        let spans = spans(layout);
        self.services(world, &spans).await?;
        self.operations(world, &spans).await?;
        self.heatmap(world, layout, &spans).await
    }

    fn column(&self, one: &StoredSpan) -> Option<usize> {
        let start = one.span.start_time_unix_nano;
        let Window { start_unix_nanos, end_unix_nanos, column_count } = self.window;
        let step = (end_unix_nanos - start_unix_nanos).div_ceil(column_count as u64);
        (start_unix_nanos..end_unix_nanos).contains(&start).then(|| ((start - start_unix_nanos) / step) as usize)
    }

    async fn services(&self, world: &World, spans: &[StoredSpan]) -> Result<(), String> {
        let mut expect: BTreeMap<String, (u64, Counts, BTreeSet<String>)> = BTreeMap::new();
        for one in spans {
            let Some(column) = self.column(one) else { continue };
            let name = resource(one, "service.name").unwrap_or_default();
            let known = expect.entry(name).or_insert_with(|| (0, self.nothing(), BTreeSet::new()));
            known.0 += 1;
            known.2.extend(resource(one, "service.version"));
            let parent = &one.span.parent_span_id;
            let is_root = parent.len() != 8 || parent.iter().all(|byte| *byte == 0);
            if matches!(one.span.kind, 2 | 5) || is_root {
                known.1[column].push((duration(one), is_error(one)));
            }
        }
        let request = ServicesRequest { query: every_span(), window: self.window };
        let answer = world.querier.services(&[Tenant::single()], &request).await.map_err(|e| e.to_string())?;
        let names: BTreeSet<&String> = answer.services.iter().map(|service| &service.name).collect();
        same("services", &names, &expect.keys().collect())?;
        for service in &answer.services {
            let (spans, counts, versions) = &expect[&service.name];
            same("spans", &service.spans, spans)?;
            same("versions", &service.versions.iter().collect(), &versions.iter().take(20).collect::<Vec<_>>())?;
            self.traffic(&service.name, &service.traffic, counts)?;
        }
        Ok(())
    }

    async fn operations(&self, world: &World, spans: &[StoredSpan]) -> Result<(), String> {
        let Some(name) = spans.iter().find_map(|one| resource(one, "service.name")) else { return Ok(()) };
        let mut expect: BTreeMap<(String, &str), Counts> = BTreeMap::new();
        for one in spans.iter().filter(|one| resource(one, "service.name").as_ref() == Some(&name)) {
            let Some(column) = self.column(one) else { continue };
            let kind = match one.span.kind {
                1 => "internal",
                2 => "server",
                3 => "client",
                4 => "producer",
                5 => "consumer",
                _ => "unspecified",
            };
            let counts = expect.entry((one.span.name.clone(), kind)).or_insert_with(|| self.nothing());
            counts[column].push((duration(one), is_error(one)));
        }
        let request = OperationsRequest { service: name, window: self.window };
        let answer = world.querier.operations(&[Tenant::single()], &request).await.map_err(|e| e.to_string())?;
        same("operations", &answer.operations.len(), &expect.len())?;
        for found in &answer.operations {
            let key = (found.operation.name.clone(), found.operation.kind);
            let counts = expect.get(&key).ok_or_else(|| format!("there is no operation {key:?}"))?;
            self.traffic(&format!("{key:?}"), &found.traffic, counts)?;
        }
        Ok(())
    }

    async fn heatmap(&self, world: &World, layout: &Layout, spans: &[StoredSpan]) -> Result<(), String> {
        let request = HeatmapRequest { query: every_span(), window: self.window, row_count: 7 };
        let answer = world.querier.heatmap(&[Tenant::single()], &request).await.map_err(|e| e.to_string())?;
        let mut expect: BTreeMap<(u32, u32), (u64, u64)> = BTreeMap::new();
        for one in spans {
            let Some(column) = self.column(one) else { continue };
            let row = answer.bounds.partition_point(|bound| *bound <= duration(one)) as u32;
            let row = row.checked_sub(1).filter(|row| (*row as usize) + 1 < answer.bounds.len());
            let row = row.ok_or_else(|| format!("{} lies outside {:?}", duration(one), answer.bounds))?;
            let cell = expect.entry((column as u32, row)).or_default();
            cell.0 += 1;
            cell.1 += u64::from(is_error(one));
        }
        let cells = answer.cells.iter().map(|cell| ((cell.column, cell.row), (cell.spans, cell.errors))).collect();
        same("cells", &cells, &expect)?;
        let sums = expect.values().fold((0, 0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
        same("sums", &(answer.total, answer.errors), &sums)?;
        let request = HeatmapRequest { query: self.query.clone(), ..request };
        let answer = world.querier.heatmap(&[Tenant::single()], &request).await.map_err(|e| e.to_string())?;
        let found = reference::search(&layout.stored(), &self.query, None, usize::MAX);
        let within = |start: u64| (self.window.start_unix_nanos..self.window.end_unix_nanos).contains(&start);
        let spans = found.iter().flat_map(|trace| &trace.span_sets).flat_map(|set| &set.spans);
        let total = spans.filter(|span| within(span.start_unix_nanos)).count() as u64;
        same(&format!("spans of {}", self.query), &answer.total, &total)
    }

    fn nothing(&self) -> Counts {
        vec![Vec::new(); self.window.column_count]
    }

    fn traffic(&self, of: &str, found: &Traffic, expect: &Counts) -> Result<(), String> {
        let by_column = |count: &dyn Fn(&(u64, bool)) -> bool| -> Vec<u64> {
            expect.iter().map(|passed| passed.iter().filter(|one| count(one)).count() as u64).collect()
        };
        same(&format!("requests of {of}"), &found.series.requests, &by_column(&|_| true))?;
        same(&format!("errors of {of}"), &found.series.errors, &by_column(&|(_, is_error)| *is_error))?;
        same(
            "sums",
            &(found.requests, found.errors),
            &(found.series.requests.iter().sum(), found.series.errors.iter().sum()),
        )?;
        let mut durations: Vec<u64> = expect.concat().into_iter().map(|(nanos, _)| nanos).collect();
        durations.sort_unstable();
        for (share, quantile) in [(0.5, found.p50_nanos), (0.9, found.p90_nanos), (0.99, found.p99_nanos)] {
            let rank = ((durations.len() as f64 * share).ceil() as usize).max(1);
            let exact = durations.get(rank - 1).copied();
            let is_close = match (exact, quantile) {
                (Some(exact), Some(found)) => exact.abs_diff(found) as f64 <= exact as f64 / 64.0,
                (exact, found) => exact == found,
            };
            if !is_close {
                return Err(format!("{share} of {of}: {quantile:?}, not {exact:?}"));
            }
        }
        Ok(())
    }
}

pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expect: &T) -> Result<(), String> {
    if found == expect { Ok(()) } else { Err(format!("{what}: {found:?}, not {expect:?}")) }
}

/// Each span once.
pub fn spans(layout: &Layout) -> Vec<StoredSpan> {
    each_once(layout.stored())
}

/// Each of some spans once.
pub fn each_once(mut all: Vec<StoredSpan>) -> Vec<StoredSpan> {
    let mut known = BTreeSet::new();
    all.retain(|one| {
        let span = &one.span;
        let times = (span.start_time_unix_nano, span.end_time_unix_nano);
        known.insert((span.trace_id.clone(), span.span_id.clone(), span.kind, times, span.name.clone()))
    });
    all
}

pub fn duration(one: &StoredSpan) -> u64 {
    one.span.end_time_unix_nano.saturating_sub(one.span.start_time_unix_nano)
}

pub fn is_error(one: &StoredSpan) -> bool {
    one.span.status.as_ref().is_some_and(|status| status.code == 2)
}

pub fn resource(one: &StoredSpan, key: &str) -> Option<String> {
    let found = one.resource.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}
