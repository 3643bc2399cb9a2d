//! `/api/v1/traces/compare`: what differs between two traces, or between a trace and a cohort of others, call path by call
//! path.

use std::sync::Arc;
use std::time::Instant;

use ::http::{HeaderMap, Uri};
use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use spanlake_analysis::diff::{Band, Change, CohortLine, DiffLine, Side, diff, diff_cohort};
use spanlake_analysis::{PathProfile, Trace};
use spanlake_model::{Tenant, TimeRange, TraceId};

use super::FAILURES;
use super::load::{Loaded, analysed, answered, json as as_json, load, trace_id};
use super::open::Summary;
use super::spans::kind_word;
use crate::http::own::describe::{Nanos, described};
use crate::http::own::openapi::{Document, integer, query, required, shared};
use crate::http::params::{Params, SearchAsked, traceql_search};
use crate::http::refusal::Refusal;
use crate::http::request::{Observed, now_unix_nanos, params, tenants};
use crate::querier::Querier;

/// Traces of a cohort when the request does not say, and most that it may ask for.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 200;
/// Spans that are read for a cohort; with so many it is closed, as it is after the time that a query may take.
const MAX_COHORT_SPANS: u64 = 1_000_000;
/// Lines of an answer.
const MAX_LINES: usize = 5_000;
/// Steps of a call path that are told: those nearest to the span.
const MAX_STEPS: usize = 32;

described! {
    /// What differs.
    pub(crate) struct Comparison {
        /// The first trace.
        a: Summary,
        /// The second trace.
        b: Option<Summary>,
        /// The cohort, instead of a second trace.
        cohort: Option<Cohort>,
        /// Call paths. Of two traces parents first, in the first one's order; of a cohort those that explain most first.
        lines: Vec<ComparedPath>,
        /// Whether there are more lines.
        truncated: bool,
    }

    /// A cohort.
    pub(crate) struct Cohort {
        /// Traces in it.
        traces: u64,
        /// The query that found them.
        query: String,
    }

    /// A call path.
    pub(crate) struct ComparedPath {
        /// Service and name of each step, from the root; of a long one the last steps.
        path: Vec<String>,
        /// Steps from the root.
        depth: u32,
        /// Service of the last step.
        service: String,
        /// Its name.
        name: String,
        /// Its kind.
        kind: &'static str,
        /// `same`, `moved` among its siblings, `added` (only in the second) or `removed` (only in the first).
        change: &'static str,
        /// What the first trace has of it.
        a: PathSums,
        /// What the second has, or what is ordinary in the cohort.
        b: serde_json::Value,
        /// Nanoseconds of its spans in the second trace, or the cohort's median, minus those in the first.
        delta_nanos: Nanos,
        /// The same of its own time on the critical path.
        path_delta_nanos: Nanos,
        /// Whether count or self time is outside of what is ordinary in the cohort.
        unusual: Option<bool>,
    }

    /// What a trace has of a call path.
    pub(crate) struct PathSums {
        /// Spans.
        count: u64,
        /// Sum of durations.
        total_nanos: Nanos,
        /// Sum of self times.
        self_nanos: Nanos,
        /// Own time on the critical path.
        path_nanos: Nanos,
        /// Failed spans.
        errors: u64,
    }
}

/// `/api/v1/traces/compare`
pub(super) async fn compare(State(querier): State<Querier>, uri: Uri, headers: HeaderMap) -> Response {
    let observed = Observed::start(&querier, "trace_compare");
    let result = compared(&querier, &uri, &headers).await;
    observed.end(result)
}

/// Describes the endpoint.
pub(super) fn describe(document: &mut Document) {
    let text = json!({ "type": "string" });
    let cohort = "TraceQL that finds the traces to compare with, instead of b; the first trace is left out of them.";
    document
        .get("/api/v1/traces/compare", "compareTraces", "What differs between two traces, or a trace and others")
        .text("`start` and `end` are the time of the cohort; with `b` the time in which both traces are looked for.")
        .parameters([
            shared("tenant"),
            required("a", "Id of the first trace.", text.clone()),
            query("b", "Id of the second trace.", text.clone()),
            query("cohort", cohort, text),
            shared("start"),
            shared("end"),
            query("limit", "Most traces of a cohort.", integer(1, MAX_LIMIT, DEFAULT_LIMIT)),
        ])
        .answers::<Comparison>("What differs.")
        .fails(FAILURES)
        .add();
}

async fn compared(querier: &Querier, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let tenants = tenants(querier, headers)?;
    let params = params(uri)?;
    let id = |name: &'static str| params.get(name).map(trace_id).transpose();
    let a = id("a")?.ok_or_else(|| Refusal::bad("parameter a with a trace id is needed"))?;
    match (id("b")?, params.get("cohort")) {
        (Some(b), None) => two(querier, &tenants, a, b, params.hint().map_err(Refusal::bad)?).await,
        (None, Some(text)) => cohort(querier, &tenants, a, text, &params).await,
        _ => Err(Refusal::bad("either parameter b with a trace id or cohort with a TraceQL query is needed")),
    }
}

async fn two(
    querier: &Querier,
    tenants: &[Tenant],
    a: TraceId,
    b: TraceId,
    hint: Option<TimeRange>,
) -> Result<Response, Refusal> {
    let (a, b) = (load(querier, tenants, a, hint).await?, load(querier, tenants, b, hint).await?);
    let a = a.beside(b.span_count);
    answered(querier, a, move |a| {
        let (a, b) = (a.trace()?.trace, b.trace()?.trace);
        let lines = diff(&a, &b);
        let truncated = lines.len() > MAX_LINES;
        let mut steps: Vec<String> = Vec::new();
        let lines = lines.into_iter().take(MAX_LINES).map(|line| of_two(line, &mut steps)).collect();
        as_json(&Comparison { a: Summary::of(&a), b: Some(Summary::of(&b)), cohort: None, lines, truncated }, 64 << 10)
    })
    .await
}

/// A line, with the steps to its parent in `steps`.
fn of_two(line: DiffLine, steps: &mut Vec<String>) -> ComparedPath {
    steps.truncate(line.depth as usize);
    steps.push(format!("{} {}", line.service, line.name).trim().to_owned());
    ComparedPath {
        path: steps[steps.len().saturating_sub(MAX_STEPS)..].to_vec(),
        depth: line.depth,
        kind: kind_word(line.kind),
        change: match line.change {
            Change::Same => "same",
            Change::Moved => "moved",
            Change::Added => "added",
            Change::Removed => "removed",
        },
        a: sums(&line.first),
        b: json!(sums(&line.second)),
        delta_nanos: Nanos::signed(line.delta_nanos()),
        path_delta_nanos: Nanos::signed(line.path_delta_nanos()),
        unusual: None,
        service: line.service,
        name: line.name,
    }
}

fn sums(side: &Side) -> PathSums {
    PathSums {
        count: side.span_count,
        total_nanos: side.total_nanos.into(),
        self_nanos: side.self_nanos.into(),
        path_nanos: side.path_nanos.into(),
        errors: side.error_count,
    }
}

async fn cohort(
    querier: &Querier,
    tenants: &[Tenant],
    a: TraceId,
    text: &str,
    params: &Params,
) -> Result<Response, Refusal> {
    let limit = params.number("limit").map_err(Refusal::bad)?.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Refusal::bad(format!("invalid limit: {limit} is not from 1 to {MAX_LIMIT}")));
    }
    let range = params.range(now_unix_nanos()).map_err(Refusal::bad)?;
    // One more, because the trace itself may be among them.
    let asks = SearchAsked { range, limit: Some(limit + 1), spans_per_span_set: Some(1) };
    let request = traceql_search(text, asks).map_err(Refusal::bad)?;
    let first = load(querier, tenants, a, None).await?;
    let found = querier.traceql_search(tenants, &request, None).await?;
    let others = found.traces.iter().map(|trace| trace.trace_id).filter(|id| *id != a);
    let mut profile = PathProfile::default();
    let mut read_spans = 0;
    let (begun, limit_of_time) = (Instant::now(), querier.config().query_timeout.get());
    for id in others.take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        let Some(loaded) = load_if_there(querier, tenants, id).await? else { continue };
        read_spans += loaded.span_count;
        profile = analysed(querier, loaded, move |loaded| {
            if let Ok(found) = loaded.trace() {
                profile.add(&found.trace);
            }
            profile
        })
        .await?;
        // Each trace may take as long as a query; all of them together not much longer.
        if read_spans >= MAX_COHORT_SPANS || begun.elapsed() >= limit_of_time {
            break;
        }
    }
    let (query, profile) = (text.to_owned(), Arc::new(profile));
    answered(querier, first.beside(read_spans), move |first| {
        let trace: Trace = first.trace()?.trace;
        let lines = diff_cohort(&trace, &profile);
        let truncated = lines.len() > MAX_LINES;
        let lines = lines.iter().take(MAX_LINES).map(of_cohort).collect();
        let cohort = Some(Cohort { traces: profile.trace_count(), query });
        as_json(&Comparison { a: Summary::of(&trace), b: None, cohort, lines, truncated }, 64 << 10)
    })
    .await
}

/// A trace of a cohort; nothing if it is gone meanwhile.
async fn load_if_there(querier: &Querier, tenants: &[Tenant], id: TraceId) -> Result<Option<Loaded>, Refusal> {
    match load(querier, tenants, id, None).await {
        Ok(loaded) => Ok(Some(loaded)),
        Err(Refusal(status, _)) if status == ::http::StatusCode::NOT_FOUND => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

fn of_cohort(line: &CohortLine) -> ComparedPath {
    let band = |band: &Band| json!({ "p10": Nanos::from(band.p10), "p50": Nanos::from(band.median), "p90": Nanos::from(band.p90) });
    let delta = |ordinary: u64, own: u64| Nanos::between(own, ordinary);
    let change = match (line.side.span_count, line.span_count.p90) {
        (0, _) => "added",
        (_, 0) => "removed",
        _ => "same",
    };
    ComparedPath {
        path: line.label.split(" > ").map(str::to_owned).collect(),
        depth: line.depth,
        service: line.service.clone(),
        name: line.name.clone(),
        kind: kind_word(line.kind),
        change,
        a: sums(&line.side),
        b: json!({
            "count": band(&line.span_count),
            "totalNanos": band(&line.total_nanos),
            "selfNanos": band(&line.self_nanos),
            "pathNanos": band(&line.path_nanos),
        }),
        delta_nanos: delta(line.total_nanos.median, line.side.total_nanos),
        path_delta_nanos: delta(line.path_nanos.median, line.side.path_nanos),
        unusual: Some(line.is_unusual()),
    }
}
