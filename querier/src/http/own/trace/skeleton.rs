//! `/api/v1/traces/{id}/skeleton`: a trace as columns without attributes, with what a picture of it needs: order, critical
//! path, self times, gaps, folds, missing parents, clocks.

use std::collections::BTreeMap;

use ::http::{HeaderMap, Uri};
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;
use spanlake_analysis::{
    Cause, Completeness, CriticalPath, FOLD_FROM, OtlpTrace, Settings, Shape, SkewCorrection, Trace, Verdict, folds,
    gaps, missing_parents, self_times, skew,
};
use spanlake_model::SpanId;

use super::load::{Asked, answered, json as as_json, load};
use super::{FAILURES, parameters};
use crate::http::own::describe::{Flag, HexSpan, HexTrace, Nanos, SpanNumber, UnixNanos, described};
use crate::http::own::openapi::{Document, integer, query};
use crate::http::refusal::Refusal;
use crate::http::request::Observed;
use crate::querier::Querier;

/// Spans of an answer when the request does not say, and most that it may ask for.
const DEFAULT_MAX_SPANS: usize = 200_000;
const MAX_MAX_SPANS: usize = 1_000_000;
/// About what a span takes in the answer.
const BYTES_PER_SPAN: usize = 96;

described! {
    /// A trace as columns, attributes left out. Span numbers are positions in the columns of `spans`.
    pub(crate) struct TraceSkeleton {
        /// Version of this form: 1.
        version: u32,
        /// The trace.
        trace_id: HexTrace,
        /// Earliest start.
        start_unix_nanos: UnixNanos,
        /// Nanoseconds from the earliest start to the latest end.
        duration_nanos: Nanos,
        /// Spans of the whole trace, whether they are here or not.
        span_count: u32,
        /// Exact copies that were left out.
        copy_count: u32,
        /// Failed spans of the whole trace.
        error_count: u32,
        /// The root that stands for the trace; -1 when there is none.
        root: SpanNumber,
        /// How the roots look.
        shape: Shape,
        /// Whether spans are left out: by `maxSpans`, or because the trace is larger than the server reads.
        truncated: bool,
        /// Texts that the columns name by position.
        strings: Vec<String>,
        /// The columns.
        spans: SpanColumns,
        /// All spans, parents before their children, whole subtrees together.
        preorder: Vec<u32>,
        /// Services, the one with the most of the critical path first.
        services: Vec<ServiceShare>,
        /// Spans whose parent is not in the trace.
        orphans: Vec<u32>,
        /// Parents that spans name and that are not in the trace.
        missing_parents: Vec<MissingParentSpan>,
        /// The critical path by time: disjoint, without gaps, as long as the root.
        critical_path: Vec<PathSegment>,
        /// Stretches of the critical path of which no span tells.
        gaps: Vec<PathGap>,
        /// Siblings of one operation that may be shown as one, at least five each.
        folds: Vec<SpanFold>,
        /// Clocks that disagree.
        clock: Vec<HostClock>,
        /// Times with clocks corrected; only when a clock is off by a known amount.
        adjusted: Option<AdjustedTimes>,
        /// By number of a span: how many spans below it are left out. Only when spans are.
        hidden_children: Option<BTreeMap<u32, u32>>,
    }

    /// Columns of spans, all of one length.
    pub(crate) struct SpanColumns {
        /// Span ids.
        id: Vec<HexSpan>,
        /// Numbers of parents, -1 for none.
        parent: Vec<SpanNumber>,
        /// Starts, in nanoseconds after `startUnixNanos`.
        start: Vec<Nanos>,
        /// Durations in nanoseconds.
        duration: Vec<Nanos>,
        /// Services, as positions in `strings`.
        service: Vec<u32>,
        /// Names, as positions in `strings`.
        name: Vec<u32>,
        /// Hosts that timed the spans, as positions in `strings`.
        host: Vec<u32>,
        /// Kinds as OTLP numbers them, 0 to 5.
        kind: Vec<u8>,
        /// 0 unset, 1 ok, 2 error.
        status: Vec<u8>,
        /// OTLP flags.
        flags: Vec<u32>,
        /// How many events each has.
        events: Vec<u32>,
        /// How many links each has.
        links: Vec<u32>,
        /// Self times in nanoseconds: without the children that the span waits for.
        own as "self": Vec<Nanos>,
        /// Nanoseconds of the critical path that are the span's own.
        path: Vec<Nanos>,
        /// Steps from the root.
        depth: Vec<u32>,
        /// 1 where the parent does not wait for the span.
        is_async as "async": Vec<Flag>,
    }

    /// What one service takes of a trace.
    pub(crate) struct ServiceShare {
        /// Its name; empty where spans name none.
        name: String,
        /// Its spans.
        spans: u32,
        /// Those that failed.
        errors: u32,
        /// Sum of their self times in nanoseconds.
        self_nanos: Nanos,
        /// Nanoseconds of the critical path.
        path_nanos: Nanos,
    }

    /// A parent that is not there.
    pub(crate) struct MissingParentSpan {
        /// Its id.
        id: HexSpan,
        /// Its children.
        children: Vec<u32>,
        /// Earliest start of a child, in nanoseconds after the trace's start.
        start_nanos: Nanos,
        /// Latest end of a child.
        end_nanos: Nanos,
        /// Why it is missing.
        cause: Cause,
        /// The same in words.
        text: &'static str,
    }

    /// A stretch of the critical path.
    pub(crate) struct PathSegment {
        /// The span whose own time it is.
        span: u32,
        /// Start in nanoseconds after the trace's.
        start: Nanos,
        /// End.
        end: Nanos,
        /// Whether the span worked alone: no child of it ran meanwhile.
        working: bool,
    }

    /// A stretch of which no span tells.
    pub(crate) struct PathGap {
        /// The span whose own time it is.
        span: u32,
        /// Start in nanoseconds after the trace's.
        start: Nanos,
        /// End.
        end: Nanos,
    }

    /// Siblings that are alike.
    pub(crate) struct SpanFold {
        /// Their parent; -1 for children of one missing parent.
        parent: SpanNumber,
        /// The siblings.
        spans: Vec<u32>,
    }

    /// A clock that disagrees with another.
    pub(crate) struct HostClock {
        /// Whose clock: a host, or a service where no host is known.
        host: String,
        /// The other host, where no one amount explains the calls between the two.
        against: Option<String>,
        /// How far it is ahead of the root's clock, in nanoseconds; negative behind.
        offset_nanos: Nanos,
        /// How much more it may be.
        uncertainty_nanos: Nanos,
        /// `skewed` by a known amount, or `inconsistent`.
        verdict: &'static str,
    }

    /// Times as the root's clock would have had them.
    pub(crate) struct AdjustedTimes {
        /// Starts, in nanoseconds after `startUnixNanos`; may be negative.
        start: Vec<Nanos>,
    }
}

/// `/api/v1/traces/{id}/skeleton`
pub(super) async fn skeleton(
    State(querier): State<Querier>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let observed = Observed::start(&querier, "trace_skeleton");
    let result = find(&querier, &id, &uri, &headers).await;
    observed.end(result)
}

/// Describes the endpoint.
pub(super) fn describe(document: &mut Document) {
    let text = json!({ "type": "string" });
    let max_spans = "Most spans; of a larger trace those further down, and later, are left out first.";
    let most = integer(1, MAX_MAX_SPANS as u64, DEFAULT_MAX_SPANS as u64);
    document
        .get("/api/v1/traces/{id}/skeleton", "traceSkeleton", "A trace as columns, with what a picture of it needs")
        .parameters(parameters())
        .parameters([
            query("maxSpans", max_spans, most),
            query("root", "Only the span with this id and what is below it.", text),
        ])
        .answers::<TraceSkeleton>("The columns.")
        .fails(FAILURES)
        .add();
}

async fn find(querier: &Querier, id: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Refusal> {
    let asked = Asked::read(querier, id, uri, headers)?;
    let max_spans = asked.params.number("maxSpans").map_err(Refusal::bad)?.unwrap_or(DEFAULT_MAX_SPANS);
    if !(1..=MAX_MAX_SPANS).contains(&max_spans) {
        return Err(Refusal::bad(format!("invalid maxSpans: {max_spans} is not from 1 to {MAX_MAX_SPANS}")));
    }
    let below = asked.params.get("root").map(SpanId::parse_hex).transpose();
    let below = below.map_err(|e| Refusal::bad(format!("invalid root: {e}")))?;
    let loaded = load(querier, &asked.tenants, asked.id, asked.hint).await?;
    let settings = querier.config().diagnosis.settings();
    answered(querier, loaded, move |loaded| {
        let found = loaded.trace()?;
        let part = Part { below, max_spans };
        let skeleton = TraceSkeleton::of(&found, part, &loaded.completeness, &settings)?;
        as_json(&skeleton, BYTES_PER_SPAN * skeleton.spans.id.len() + 4_096)
    })
    .await
}

/// Which part of a trace is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// Only the subtree of the span with this id.
    pub(super) below: Option<SpanId>,
    /// Most spans; those further down, and later, are left out first.
    pub(super) max_spans: usize,
}

impl Default for Part {
    fn default() -> Self {
        Self { below: None, max_spans: DEFAULT_MAX_SPANS }
    }
}

/// The spans of an answer, and their numbers there.
struct Shown {
    /// Numbers in the whole trace, in order.
    spans: Vec<u32>,
    /// Of each span of the whole trace its number in the answer.
    number: Vec<Option<u32>>,
    /// The root of the subtree that is answered; nothing for the whole trace.
    root: Option<u32>,
}

impl Shown {
    fn new(trace: &Trace, part: Part) -> Result<Self, Refusal> {
        let skeleton = &trace.skeleton;
        let all = 0..skeleton.span_count();
        let root = match part.below {
            None => None,
            Some(id) => {
                let absent = || Refusal::bad(format!("invalid root: the trace has no span {id}"));
                Some(all.clone().find(|span| skeleton.span_id(*span) == id).ok_or_else(absent)?)
            }
        };
        let mut spans: Vec<u32> = root.map_or_else(|| all.collect(), |root| trace.tree.subtree(root).to_vec());
        if spans.len() > part.max_spans {
            // Parents come before their children: what is cut off is cut off with all below it.
            spans.sort_unstable_by_key(|span| (trace.tree.depth(*span), *span));
            spans.truncate(part.max_spans);
        }
        spans.sort_unstable();
        let mut number = vec![None; skeleton.span_count() as usize];
        for (at, span) in spans.iter().enumerate() {
            number[*span as usize] = Some(at as u32);
        }
        Ok(Self { spans, number, root })
    }

    fn number(&self, span: u32) -> Option<u32> {
        self.number[span as usize]
    }

    /// The numbers of those that are shown.
    fn numbers(&self, spans: &[u32]) -> Vec<u32> {
        spans.iter().filter_map(|span| self.number(*span)).collect()
    }

    /// Of each span its own number, or that of the nearest above it that is shown.
    fn nearest(&self, trace: &Trace) -> Vec<Option<u32>> {
        let mut nearest = self.number.clone();
        for span in trace.tree.preorder().iter().copied() {
            let above = trace.tree.parent(span).and_then(|parent| nearest[parent as usize]);
            let own = &mut nearest[span as usize];
            *own = own.or(above);
        }
        nearest
    }

    /// By span that is shown how many below it are not, where there are any.
    fn hidden(&self, trace: &Trace) -> BTreeMap<u32, u32> {
        let mut hidden = BTreeMap::new();
        // Children before their parents, so that each count is of all below.
        let mut below = vec![0u32; self.number.len()];
        for span in trace.tree.preorder().iter().rev().copied() {
            let at = span as usize;
            if let Some(number) = self.number[at].filter(|_| below[at] > 0) {
                hidden.insert(number, below[at]);
            }
            if let Some(parent) = trace.tree.parent(span) {
                below[parent as usize] += below[at] + u32::from(self.number[at].is_none());
            }
        }
        hidden
    }
}

impl TraceSkeleton {
    /// The skeleton of a trace, or of a part of it.
    ///
    /// # Errors
    /// 400 when the part is below a span that the trace does not have.
    pub(super) fn of(
        found: &OtlpTrace<'_>,
        part: Part,
        completeness: &Completeness,
        settings: &Settings,
    ) -> Result<Self, Refusal> {
        let trace = &found.trace;
        let (skeleton, tree) = (&trace.skeleton, &trace.tree);
        let shown = Shown::new(trace, part)?;
        let root = shown.root.or(tree.main_root());
        let path = root.map(|root| CriticalPath::of(trace, root)).unwrap_or_default();
        let (start, end) = trace.bounds().unwrap_or_default();
        let after = |moment: u64| if moment == 0 { Nanos::from(0) } else { Nanos::between(start, moment) };
        let is_cut =
            shown.spans.len() < shown.root.map_or(skeleton.span_count() as usize, |root| tree.subtree(root).len());
        let missing = missing_parents(trace, completeness, settings);
        let missing_shown = missing.iter().filter_map(|one| {
            let children = shown.numbers(&one.children);
            (!children.is_empty()).then(|| MissingParentSpan {
                id: HexSpan(one.span_id),
                children,
                start_nanos: after(one.start),
                end_nanos: after(one.end),
                cause: one.cause,
                text: one.cause.words(),
            })
        });
        let folds = folds(trace, &missing).into_iter().filter_map(|fold| {
            let spans = shown.numbers(&fold.spans);
            let parent = SpanNumber(fold.parent.and_then(|parent| shown.number(parent)));
            (spans.len() >= FOLD_FROM).then_some(SpanFold { parent, spans })
        });
        let gaps = gaps(trace, &path, settings).into_iter().filter_map(|gap| {
            let span = shown.number(gap.span)?;
            Some(PathGap { span, start: after(gap.start), end: after(gap.end) })
        });
        let self_nanos = self_times(trace);
        let (clock, adjusted) = clocks(trace, &shown, start);
        Ok(Self {
            version: 1,
            trace_id: HexTrace(skeleton.trace_id()),
            start_unix_nanos: UnixNanos(start),
            duration_nanos: Nanos::between(start, end),
            span_count: skeleton.span_count(),
            copy_count: skeleton.copy_count(),
            error_count: error_count(trace),
            root: SpanNumber(root.and_then(|root| shown.number(root))),
            shape: if shown.root.is_some() { Shape::OneRoot } else { tree.shape() },
            truncated: is_cut || completeness.truncated,
            strings: skeleton.strings().to_vec(),
            spans: columns(found, &shown, &path, &self_nanos, start),
            preorder: shown.numbers(shown.root.map_or(tree.preorder(), |root| tree.subtree(root))),
            services: services(trace, &shown, &path, &self_nanos),
            orphans: shown.numbers(tree.orphans()),
            missing_parents: missing_shown.collect(),
            critical_path: segments(trace, &shown, &path, start),
            gaps: gaps.collect(),
            folds: folds.collect(),
            clock,
            adjusted,
            hidden_children: is_cut.then(|| shown.hidden(trace)),
        })
    }
}

/// Failed spans of a trace.
pub(super) fn error_count(trace: &Trace) -> u32 {
    (0..trace.skeleton.span_count()).filter(|span| trace.skeleton.is_error(*span)).count() as u32
}

fn columns(
    found: &OtlpTrace<'_>,
    shown: &Shown,
    path: &CriticalPath,
    self_nanos: &[u64],
    trace_start: u64,
) -> SpanColumns {
    let trace = &found.trace;
    let (skeleton, tree) = (&trace.skeleton, &trace.tree);
    let base_depth = shown.root.map_or(0, |root| tree.depth(root));
    fn column<T>(shown: &Shown, value: impl Fn(u32) -> T) -> Vec<T> {
        shown.spans.iter().map(|span| value(*span)).collect()
    }
    let parent = |span| tree.parent(span).filter(|_| Some(span) != shown.root);
    // A count past 32 bits does not fit a message.
    let sent = |span: u32| found.attributes.span(skeleton.row(span));
    SpanColumns {
        id: column(shown, |span| HexSpan(skeleton.span_id(span))),
        parent: column(shown, |span| SpanNumber(parent(span).and_then(|parent| shown.number(parent)))),
        start: column(shown, |span| Nanos::from(skeleton.start(span).saturating_sub(trace_start))),
        duration: column(shown, |span| Nanos::from(skeleton.duration(span))),
        service: column(shown, |span| skeleton.service_code(span)),
        name: column(shown, |span| skeleton.name_code(span)),
        host: column(shown, |span| skeleton.host_code(span)),
        kind: column(shown, |span| skeleton.kind(span) as u8),
        status: column(shown, |span| skeleton.status(span) as u8),
        flags: column(shown, |span| skeleton.flags(span)),
        events: column(shown, |span| sent(span).map_or(0, |span| span.events.len() as u32)),
        links: column(shown, |span| sent(span).map_or(0, |span| span.links.len() as u32)),
        own: column(shown, |span| Nanos::from(self_nanos[span as usize])),
        path: column(shown, |span| Nanos::from(path.visit(span).map_or(0, |visit| visit.own_nanos))),
        depth: column(shown, |span| tree.depth(span) - base_depth),
        is_async: column(shown, |span| Flag(parent(span).is_some_and(|parent| trace.is_async(parent, span)))),
    }
}

/// The path by spans that are shown: what lies in one that is not is told of the nearest above it.
fn segments(trace: &Trace, shown: &Shown, path: &CriticalPath, trace_start: u64) -> Vec<PathSegment> {
    let nearest = shown.nearest(trace);
    let mut segments: Vec<PathSegment> = Vec::with_capacity(path.segments.len());
    for segment in &path.segments {
        let is_shown = shown.number(segment.span).is_some();
        let Some(span) = nearest[segment.span as usize] else { continue };
        let working = is_shown && !segment.overlapped;
        let (start, end) = (Nanos::between(trace_start, segment.start), Nanos::between(trace_start, segment.end));
        match segments.last_mut() {
            Some(last) if last.span == span && last.working == working && !is_shown => last.end = end,
            _ => segments.push(PathSegment { span, start, end, working }),
        }
    }
    segments
}

fn services(trace: &Trace, shown: &Shown, path: &CriticalPath, self_nanos: &[u64]) -> Vec<ServiceShare> {
    #[derive(Default)]
    struct Sums {
        spans: u32,
        errors: u32,
        self_nanos: u64,
        path_nanos: u64,
    }
    let skeleton = &trace.skeleton;
    let mut sums: BTreeMap<u32, Sums> = BTreeMap::new();
    let mut add = |span: u32| {
        let of = sums.entry(skeleton.service_code(span)).or_default();
        of.spans += 1;
        of.errors += u32::from(skeleton.is_error(span));
        of.self_nanos = of.self_nanos.saturating_add(self_nanos[span as usize]);
    };
    match shown.root {
        Some(root) => trace.tree.subtree(root).iter().copied().for_each(&mut add),
        None => (0..skeleton.span_count()).for_each(&mut add),
    }
    for visit in &path.visits {
        let of = sums.entry(skeleton.service_code(visit.span)).or_default();
        of.path_nanos = of.path_nanos.saturating_add(visit.own_nanos);
    }
    let mut services: Vec<(u32, Sums)> = sums.into_iter().collect();
    services.sort_by(|(a_code, a), (b_code, b)| {
        (b.path_nanos, b.self_nanos).cmp(&(a.path_nanos, a.self_nanos)).then(a_code.cmp(b_code))
    });
    let share = |(code, sums): (u32, Sums)| ServiceShare {
        name: skeleton.strings()[code as usize].clone(),
        spans: sums.spans,
        errors: sums.errors,
        self_nanos: sums.self_nanos.into(),
        path_nanos: sums.path_nanos.into(),
    };
    services.into_iter().map(share).collect()
}

/// Clocks that disagree, and the times as the root's clock would have had them, if that is known.
fn clocks(trace: &Trace, shown: &Shown, trace_start: u64) -> (Vec<HostClock>, Option<AdjustedTimes>) {
    let skeleton = &trace.skeleton;
    let pairs = skew(trace);
    let correction = SkewCorrection::new(trace, &pairs);
    let name = |code: u32| skeleton.strings()[code as usize].clone();
    let uncertainty = |lower: i64, upper: i64| Nanos::signed(upper.saturating_sub(lower).saturating_abs());
    // Of each host what its best known pair says.
    let mut least: BTreeMap<u32, Nanos> = BTreeMap::new();
    for pair in pairs.iter().filter(|pair| pair.verdict != Verdict::Inconsistent) {
        let nanos = uncertainty(pair.lower_nanos, pair.upper_nanos);
        for host in [pair.first, pair.second] {
            least.entry(host).and_modify(|known| *known = nanos.min(*known)).or_insert(nanos);
        }
    }
    let mut clocks: Vec<HostClock> = Vec::new();
    for (host, offset) in correction.offsets() {
        clocks.push(HostClock {
            host: name(host),
            against: None,
            offset_nanos: Nanos::signed(offset),
            uncertainty_nanos: least.get(&host).copied().unwrap_or(Nanos::from(0)),
            verdict: "skewed",
        });
    }
    for pair in pairs.iter().filter(|pair| pair.verdict == Verdict::Inconsistent) {
        clocks.push(HostClock {
            host: name(pair.second),
            against: Some(name(pair.first)),
            offset_nanos: Nanos::from(0),
            uncertainty_nanos: uncertainty(pair.lower_nanos, pair.upper_nanos),
            verdict: "inconsistent",
        });
    }
    let adjust = |span: &u32| {
        let start = skeleton.start(*span);
        if start == 0 {
            return Nanos::from(0);
        }
        Nanos::between(
            trace_start,
            start.saturating_add_signed(correction.ahead_nanos(skeleton, *span).saturating_neg()),
        )
    };
    let adjusted = (!correction.is_empty()).then(|| AdjustedTimes { start: shown.spans.iter().map(adjust).collect() });
    (clocks, adjusted)
}
