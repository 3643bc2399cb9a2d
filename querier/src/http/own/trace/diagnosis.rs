//! `/api/v1/traces/{id}/diagnosis`: what made a trace slow or fail, and what can be done.

use std::collections::BTreeMap;

use ::http::{HeaderMap, Uri};
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};
use spanlake_analysis::{
    Attributes, Completeness, Confidence, Diagnosis, Finding, History, Label, OtlpTrace, Quantity, Settings, Trace,
    call_overheads, diagnose, error_type, operation_totals, percentile, standing,
};

use super::load::{Asked, answered, json as as_json, load};
use super::skeleton::error_count;
use super::spans::kind_word;
use super::usual::Usual;
use super::{FAILURES, parameters};
use crate::http::own::describe::{HexSpan, HexTrace, Nanos, UnixNanos, described};
use crate::http::own::openapi::Document;
use crate::http::refusal::Refusal;
use crate::http::request::Observed;
use crate::querier::Querier;

/// Findings that an answer lists: the weightiest.
const MAX_FINDINGS: usize = 500;
/// Operations that an answer lists.
const MAX_OPERATIONS: usize = 1_000;
/// Calls whose overhead is listed.
const MAX_OVERHEADS: usize = 10_000;
/// Spans whose standing among others of their operation is told.
const MAX_PERCENTILES: usize = 200;
/// Errors that are listed, of culprits and of edges each.
const MAX_ERRORS: usize = 1_000;
/// Most characters of an error's message.
const MAX_MESSAGE_CHARS: usize = 1_000;

described! {
    /// What made a trace slow or fail. Span numbers are those of its whole skeleton.
    pub(crate) struct TraceDiagnosis {
        /// Version of this form: 1.
        version: u32,
        /// The trace.
        trace_id: HexTrace,
        /// Earliest start.
        start_unix_nanos: UnixNanos,
        /// Nanoseconds from the earliest start to the latest end.
        duration_nanos: Nanos,
        /// Spans.
        span_count: u32,
        /// Failed spans.
        error_count: u32,
        /// How many of the findings to show at first.
        shown: usize,
        /// What was found, the weightiest first; at most 500.
        findings: Vec<TraceFinding>,
        /// Where the critical path is spent, most first.
        path_by_operation: Vec<OperationPath>,
        /// The table of operations, most self time first.
        operations: Vec<OperationSums>,
        /// What calls spent outside of who answered them: network, queues, proxies. Only where clocks agree.
        overheads: Vec<Overhead>,
        /// Call paths that explain why the trace took longer than usual, most first.
        excess: Vec<Excess>,
        /// By span number how spans stand among those of their operation, where enough of those are known.
        percentiles: BTreeMap<u32, SpanStanding>,
        /// What failed and what became of it.
        errors: TraceErrors,
        /// What "usual" means here; absent when nothing is known.
        baseline: Option<BaselineWindow>,
    }

    /// What a rule found.
    pub(crate) struct TraceFinding {
        /// The rule's stable id.
        rule: &'static str,
        /// What it found, in few words.
        title: &'static str,
        /// The spans concerned.
        spans: Vec<u32>,
        /// Their ids.
        span_ids: Vec<HexSpan>,
        /// The numbers behind it.
        evidence: Vec<FindingEvidence>,
        /// Nanoseconds that acting on it can save, or that it leaves unexplained.
        at_stake_nanos: Nanos,
        /// The same as a share of the root's duration.
        share_of_root: f64,
        /// How sure it is.
        confidence: Confidence,
        /// One sentence.
        text: String,
        /// Its page in the documentation.
        doc: String,
    }

    /// One piece of evidence.
    pub(crate) struct FindingEvidence {
        /// Its stable name.
        name: &'static str,
        /// `count`, `nanos`, `ratio` or `text`.
        unit: &'static str,
        /// A number, or a text.
        value: Value,
    }

    /// What an operation takes of the critical path.
    pub(crate) struct OperationPath {
        /// Service.
        service: String,
        /// Name.
        name: String,
        /// Nanoseconds.
        nanos: Nanos,
        /// The same as a share of the path.
        share: f64,
    }

    /// The sums of an operation.
    pub(crate) struct OperationSums {
        /// Service.
        service: String,
        /// Name.
        name: String,
        /// Kind.
        kind: &'static str,
        /// Spans.
        count: u64,
        /// Failed spans.
        errors: u64,
        /// Sum of durations.
        total_nanos: Nanos,
        /// Sum of self times.
        self_nanos: Nanos,
        /// Nanoseconds of the critical path.
        path_nanos: Nanos,
        /// Longest span.
        max_nanos: Nanos,
    }

    /// What a call spent outside of who answered it.
    pub(crate) struct Overhead {
        /// The client span.
        client: u32,
        /// The server span.
        server: u32,
        /// Before the server began.
        before_nanos: Nanos,
        /// After it ended.
        after_nanos: Nanos,
    }

    /// What a call path explains.
    pub(crate) struct Excess {
        /// Service and name of each step.
        label: String,
        /// Nanoseconds above the usual.
        excess_nanos: Nanos,
        /// The same as a share of what the root is above its median.
        share: f64,
        /// Spans of it in the trace.
        calls: u64,
        /// How many of them a trace of this entry point usually has; absent when too few are known.
        usual_calls: Option<u64>,
    }

    /// How a span stands among those of its operation.
    pub(crate) struct SpanStanding {
        /// Share of them that is shorter.
        rank: f64,
        /// The same as people say it.
        text: String,
        /// Their median.
        median_nanos: Nanos,
        /// How many are known.
        count: u64,
    }

    /// What failed.
    pub(crate) struct TraceErrors {
        /// Failed spans that made the root fail, the likeliest first.
        culprits: Vec<Culprit>,
        /// What became of each failure on its way up.
        edges: Vec<FailureEdge>,
    }

    /// A span that made the root fail.
    pub(crate) struct Culprit {
        /// The span.
        span: u32,
        /// Its id.
        span_id: HexSpan,
        /// Type of the error.
        error_type as "type": Option<String>,
        /// What the exception or the status says.
        message: Option<String>,
    }

    /// What became of a failure.
    pub(crate) struct FailureEdge {
        /// The failed span above; absent when the failure ends here.
        parent: Option<u32>,
        /// The failed span.
        child: u32,
        /// What happened; absent for a failed root.
        label: Option<Label>,
    }

    /// What "usual" means.
    pub(crate) struct BaselineWindow {
        /// Length of the time that was looked at.
        window_seconds: u64,
        /// Operations of the trace of which enough is known.
        operations: usize,
        /// Whole traces of the same entry point that were learned from: how often what is called, in which order, by whom.
        sampled_traces: u64,
        /// Length of the time that they are from: a day where two hours have few.
        sample_seconds: u64,
    }
}

/// `/api/v1/traces/{id}/diagnosis`
pub(super) async fn diagnosis(
    State(querier): State<Querier>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let observed = Observed::start(&querier, "trace_diagnosis");
    let result = find(&querier, &id, &uri, &headers).await;
    observed.end(result)
}

/// Describes the endpoint.
pub(super) fn describe(document: &mut Document) {
    document
        .get("/api/v1/traces/{id}/diagnosis", "traceDiagnosis", "What made a trace slow or fail, and what can be done")
        .parameters(parameters())
        .answers::<TraceDiagnosis>("What was found.")
        .fails(FAILURES)
        .add();
}

async fn find(querier: &Querier, id: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let asked = Asked::read(querier, id, uri, headers)?;
    let loaded = load(querier, &asked.tenants, asked.id, asked.hint).await?;
    let settings = querier.config().diagnosis.settings();
    let usual = Usual::of(querier, &asked.tenants, &loaded).await;
    answered(querier, loaded, move |loaded| {
        let window = usual.window(&settings);
        let diagnosis = TraceDiagnosis::of(&loaded.trace()?, &usual, &loaded.completeness, &settings, window);
        as_json(&diagnosis, 64 << 10)
    })
    .await
}

impl TraceDiagnosis {
    /// The diagnosis of a trace.
    pub(super) fn of(
        found: &OtlpTrace<'_>,
        history: &dyn History,
        completeness: &Completeness,
        settings: &Settings,
        baseline: Option<BaselineWindow>,
    ) -> Self {
        let OtlpTrace { trace, attributes } = found;
        let skeleton = &trace.skeleton;
        let diagnosis = diagnose(trace, attributes, history, completeness, settings);
        let (start, end) = trace.bounds().unwrap_or_default();
        let excess = diagnosis.excess.iter().map(|one| Excess {
            label: one.label.clone(),
            excess_nanos: one.excess_nanos.into(),
            share: one.share,
            calls: one.calls,
            usual_calls: one.usual_calls,
        });
        let overheads = call_overheads(trace, &diagnosis.host_pairs);
        let overheads = overheads.iter().take(MAX_OVERHEADS).map(|one| Overhead {
            client: one.client,
            server: one.server,
            before_nanos: one.before_nanos.into(),
            after_nanos: one.after_nanos.into(),
        });
        Self {
            version: 1,
            trace_id: HexTrace(skeleton.trace_id()),
            start_unix_nanos: UnixNanos(start),
            duration_nanos: Nanos::between(start, end),
            span_count: skeleton.span_count(),
            error_count: error_count(trace),
            shown: settings.shown_findings.min(diagnosis.findings.len()),
            findings: diagnosis.findings.iter().take(MAX_FINDINGS).map(|finding| told(trace, finding)).collect(),
            path_by_operation: path_by_operation(trace, &diagnosis),
            operations: operations(trace, &diagnosis),
            overheads: overheads.collect(),
            excess: excess.collect(),
            percentiles: percentiles(trace, &diagnosis, history, settings),
            errors: failures(trace, &diagnosis, attributes),
            baseline,
        }
    }
}

fn told(trace: &Trace, finding: &Finding) -> TraceFinding {
    let evidence = finding.evidence.iter().map(|one| {
        let (unit, value) = match &one.quantity {
            Quantity::Count(count) => ("count", json!(count)),
            Quantity::Nanos(nanos) => ("nanos", json!(Nanos::signed(*nanos))),
            Quantity::Ratio(ratio) => ("ratio", json!(ratio)),
            Quantity::Text(text) => ("text", json!(text)),
        };
        FindingEvidence { name: one.name, unit, value }
    });
    TraceFinding {
        rule: finding.rule.id(),
        title: finding.rule.title(),
        spans: finding.spans.clone(),
        span_ids: finding.spans.iter().map(|span| HexSpan(trace.skeleton.span_id(*span))).collect(),
        evidence: evidence.collect(),
        at_stake_nanos: finding.at_stake_nanos.into(),
        share_of_root: finding.share_of_root,
        confidence: finding.confidence,
        text: finding.text.clone(),
        doc: format!("docs/findings/{}.md", finding.rule),
    }
}

/// Where a critical path is spent.
pub(super) fn path_by_operation(trace: &Trace, diagnosis: &Diagnosis) -> Vec<OperationPath> {
    by_operation(trace, diagnosis.path.segments.iter().map(|segment| (segment.span, segment.duration())))
}

/// Nanoseconds of spans summed by service and name, most first.
pub(super) fn by_operation(trace: &Trace, spans: impl Iterator<Item = (u32, u64)>) -> Vec<OperationPath> {
    let skeleton = &trace.skeleton;
    let mut sums: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    let mut whole = 0u64;
    for (span, nanos) in spans {
        let of = sums.entry((skeleton.service_code(span), skeleton.name_code(span))).or_default();
        *of = of.saturating_add(nanos);
        whole = whole.saturating_add(nanos);
    }
    let mut sums: Vec<((u32, u32), u64)> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let text = |code: u32| skeleton.strings()[code as usize].clone();
    let line = |((service, name), nanos): ((u32, u32), u64)| OperationPath {
        service: text(service),
        name: text(name),
        nanos: nanos.into(),
        share: if whole == 0 { 0.0 } else { nanos as f64 / whole as f64 },
    };
    sums.into_iter().take(MAX_OPERATIONS).map(line).collect()
}

fn operations(trace: &Trace, diagnosis: &Diagnosis) -> Vec<OperationSums> {
    let text = |code: u32| trace.skeleton.strings()[code as usize].clone();
    let totals = operation_totals(trace, &diagnosis.self_nanos, &diagnosis.path);
    let line = |one: spanlake_analysis::OperationTotals| OperationSums {
        service: text(one.operation.service),
        name: text(one.operation.name),
        kind: kind_word(one.operation.kind),
        count: one.span_count,
        errors: one.error_count,
        total_nanos: one.total_nanos.into(),
        self_nanos: one.self_nanos.into(),
        path_nanos: one.path_nanos.into(),
        max_nanos: one.longest_nanos.into(),
    };
    totals.into_iter().take(MAX_OPERATIONS).map(line).collect()
}

/// The standings of roots, and of spans on the path by how much of it is their own.
fn percentiles(
    trace: &Trace,
    diagnosis: &Diagnosis,
    history: &dyn History,
    settings: &Settings,
) -> BTreeMap<u32, SpanStanding> {
    let skeleton = &trace.skeleton;
    let mut visits: Vec<(u64, u32)> = diagnosis.path.visits.iter().map(|visit| (visit.own_nanos, visit.span)).collect();
    visits.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let roots = trace.tree.roots().iter().copied().take(MAX_PERCENTILES / 2);
    let mut spread = BTreeMap::new();
    let mut found = BTreeMap::new();
    for span in roots.chain(visits.into_iter().map(|(_, span)| span)) {
        if found.len() >= MAX_PERCENTILES {
            break;
        }
        let known = history.baseline(skeleton.service(span), skeleton.name(span), skeleton.kind(span));
        let Some(known) = known else { continue };
        let spread = spread.entry(skeleton.operation(span)).or_insert_with(|| known.duration.spread());
        let Some(standing) = standing(skeleton.duration(span), &known.duration, spread, settings) else { continue };
        let standing = SpanStanding {
            rank: standing.rank,
            text: percentile(standing.rank),
            median_nanos: standing.median_nanos.into(),
            count: standing.count,
        };
        found.insert(span, standing);
    }
    found
}

fn failures(trace: &Trace, diagnosis: &Diagnosis, attributes: &dyn Attributes) -> TraceErrors {
    let skeleton = &trace.skeleton;
    let culprit = |span: &u32| {
        let row = skeleton.row(*span);
        let exception = attributes.exception(row).map(|exception| exception.message).filter(|text| !text.is_empty());
        let message = exception.or_else(|| attributes.status_message(row));
        Culprit {
            span: *span,
            span_id: HexSpan(skeleton.span_id(*span)),
            error_type: error_type(trace, *span, attributes),
            message: message.map(|text| text.chars().take(MAX_MESSAGE_CHARS).collect()),
        }
    };
    let edges = diagnosis.errors.edges.iter().take(MAX_ERRORS);
    TraceErrors {
        culprits: diagnosis.errors.culprits.iter().take(MAX_ERRORS).map(culprit).collect(),
        edges: edges.map(|edge| FailureEdge { parent: edge.into, child: edge.span, label: edge.label }).collect(),
    }
}
