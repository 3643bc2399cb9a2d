//! Broken chains and other damage: missing parents with their cause, cycles, ids that repeat, impossible times, callees
//! without spans, and gaps on the critical path of which nothing tells.

use std::collections::BTreeMap;

use serde::Serialize;
use spanlake_model::SpanId;

use crate::critical_path::{CriticalPath, Segment};
use crate::finding::{Confidence, Finding, Rule, readable_nanos, readable_share, share};
use crate::history::{Completeness, History};
use crate::settings::{Settings, part_of};
use crate::skeleton::Kind;
use crate::trace::{Trace, covered};

/// OTLP flag: whether the parent was remote is known.
const KNOWS_REMOTE: u32 = 0x100;
/// OTLP flag: the parent was remote.
const IS_REMOTE: u32 = 0x200;
/// Nobody has spans of before 1971: a start there is a clock that was never set, or no start at all.
const YEAR_1971_UNIX_NANOS: u64 = 31_536_000_000_000_000;

/// Why a parent is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// We left spans out to stay inside a limit.
    Truncated,
    /// Spans may still be on their way.
    StillArriving,
    /// The parent is another service's span, and that service exports none here.
    CallerNotExporting,
    /// The parent is a span of the same service and was lost before or at its export.
    LostInService,
    /// The spans do not say whether the parent was local.
    Unknown,
}

impl Cause {
    /// Why a parent is missing, in few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Truncated => "left out at a limit",
            Self::StillArriving => "may still arrive",
            Self::CallerNotExporting => "caller sends none",
            Self::LostInService => "lost in this service",
            Self::Unknown => "cause unknown",
        }
    }
}

/// A parent that spans name and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingParent {
    /// Its id.
    pub span_id: SpanId,
    /// Its children, in span order.
    pub children: Vec<u32>,
    /// Earliest start of a child in Unix nanoseconds.
    pub start: u64,
    /// Latest end of a child.
    pub end: u64,
    /// Why it is missing.
    pub cause: Cause,
}

/// All missing parents, by their first child.
pub fn missing_parents(trace: &Trace, completeness: &Completeness, settings: &Settings) -> Vec<MissingParent> {
    let skeleton = &trace.skeleton;
    let mut by_parent: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for span in trace.tree.orphans() {
        by_parent.entry(skeleton.parent_id(*span)).or_default().push(*span);
    }
    let mut missing: Vec<MissingParent> = by_parent
        .into_iter()
        .map(|(id, children)| MissingParent {
            span_id: SpanId(id.to_be_bytes()),
            start: children.iter().map(|span| skeleton.start(*span)).min().unwrap_or(0),
            end: children.iter().map(|span| skeleton.end(*span)).max().unwrap_or(0),
            cause: cause(trace, &children, completeness, settings),
            children,
        })
        .collect();
    missing.sort_by_key(|one| one.children.first().copied());
    missing
}

fn cause(trace: &Trace, children: &[u32], completeness: &Completeness, settings: &Settings) -> Cause {
    let arriving = completeness.flush_interval_nanos.saturating_add(settings.arrival_nanos);
    if completeness.truncated {
        return Cause::Truncated;
    }
    if completeness.since_newest_ingest_nanos.is_some_and(|nanos| nanos < arriving) {
        return Cause::StillArriving;
    }
    let flags = |span: &u32| trace.skeleton.flags(*span);
    let mut known = children.iter().map(flags).filter(|flags| flags & KNOWS_REMOTE != 0);
    // A local child proves that the parent was this service's own, whatever a remote one says.
    match known.next() {
        None => Cause::Unknown,
        Some(first) if first & IS_REMOTE != 0 && known.all(|flags| flags & IS_REMOTE != 0) => Cause::CallerNotExporting,
        Some(_) => Cause::LostInService,
    }
}

/// One finding for each cause and service that misses parents.
pub(crate) fn missing_parent_findings(trace: &Trace, missing: &[MissingParent], history: &dyn History) -> Vec<Finding> {
    let skeleton = &trace.skeleton;
    let mut groups: BTreeMap<(Cause, u32), Vec<&MissingParent>> = BTreeMap::new();
    for one in missing {
        let Some(first) = one.children.first() else { continue };
        groups.entry((one.cause, skeleton.service_code(*first))).or_default().push(one);
    }
    let mut findings = Vec::new();
    for ((cause, _), group) in groups {
        let spans: Vec<u32> = group.iter().flat_map(|one| one.children.iter().copied()).collect();
        let mut times: Vec<(u64, u64)> = group.iter().map(|one| (one.start, one.end)).collect();
        times.sort_unstable();
        let nanos = covered(times.into_iter());
        let parents = counted(group.len(), "span");
        let first = spans[0];
        let caller = history.usual_caller(skeleton.service(first), skeleton.name(first));
        let service = match skeleton.service(first) {
            "" => "one service",
            service => service,
        };
        let below = counted(spans.len(), "span");
        let (confidence, text) = match cause {
            Cause::Truncated => (
                Confidence::High,
                format!("The trace was cut at a limit: {below} of {service} below {parents} that we left out."),
            ),
            Cause::StillArriving => {
                (Confidence::Medium, format!("{below} of {service} below {parents} that may still be arriving."))
            }
            Cause::CallerNotExporting => {
                let who = caller
                    .as_ref()
                    .map_or_else(|| "whoever calls it".to_owned(), |caller| format!("its usual caller {caller}"));
                let text = format!(
                    "{below} of {service} came from another service that sends no spans here: check that {who} exports its spans and samples as {service} does."
                );
                (Confidence::High, text)
            }
            Cause::LostInService => {
                let text = format!(
                    "{service} lost {parents} of its own before or at export, with {below} below: check its exporter's queue, drops and shutdown."
                );
                (Confidence::High, text)
            }
            Cause::Unknown => (
                Confidence::Low,
                format!(
                    "{below} of {service} below {parents} not in this trace; nothing says whether never sent or lost."
                ),
            ),
        };
        let name = match cause {
            Cause::Truncated => "truncated",
            Cause::StillArriving => "still_arriving",
            Cause::CallerNotExporting => "caller_not_exporting",
            Cause::LostInService => "lost_in_service",
            Cause::Unknown => "unknown",
        };
        let mut finding = Finding::new(trace, Rule::MissingParent, spans.clone(), nanos, confidence, text)
            .word("cause", name)
            .count("missing_parents", group.len() as u64)
            .count("children", spans.len() as u64);
        if let Some(caller) = caller {
            finding = finding.word("usual_caller", caller);
        }
        findings.push(finding);
    }
    findings
}

pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Cycles, ids that repeat, impossible times.
pub(crate) fn damage_findings(trace: &Trace) -> Vec<Finding> {
    let (skeleton, tree) = (&trace.skeleton, &trace.tree);
    let mut findings = Vec::new();
    if let Some(first) = tree.cycles().first() {
        let text = format!(
            "Spans are each other's ancestors ({}, {} first): each cycle was cut, and what follows from parents there is a guess.",
            counted(tree.cycles().len(), "cycle"),
            skeleton.label(*first)
        );
        let finding = Finding::new(trace, Rule::ParentCycle, tree.cycles().to_vec(), 0, Confidence::High, text);
        findings.push(finding.count("cycles", tree.cycles().len() as u64));
    }
    if let Some((first, _)) = tree.duplicates().first() {
        let spans = tree.duplicates().iter().flat_map(|(first, later)| [*first, *later]).collect();
        let text = format!(
            "Different spans have one id and kind ({}, {} first): children of that id are shown below the first one.",
            counted(tree.duplicates().len(), "repeat"),
            skeleton.label(*first)
        );
        let finding = Finding::new(trace, Rule::DuplicateSpanId, spans, 0, Confidence::High, text);
        findings.push(finding.count("duplicates", tree.duplicates().len() as u64));
    }
    let spans = || 0..skeleton.span_count();
    let backwards: Vec<u32> = spans().filter(|span| skeleton.end_as_sent(*span) < skeleton.start(*span)).collect();
    let unset: Vec<u32> = spans().filter(|span| skeleton.start(*span) < YEAR_1971_UNIX_NANOS).collect();
    let is_call = |span: &u32| matches!(skeleton.kind(*span), Kind::Client | Kind::Server);
    let instant: Vec<u32> =
        spans().filter(|span| skeleton.end_as_sent(*span) == skeleton.start(*span)).filter(is_call).collect();
    let mut all: Vec<u32> = backwards.iter().chain(&unset).chain(&instant).copied().collect();
    all.sort_unstable();
    all.dedup();
    if let Some(first) = all.first() {
        let parts = [
            (backwards.len(), "ending before the start"),
            (unset.len(), "starting in 1970"),
            (instant.len(), "calls that take no time"),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let text = format!("Some spans have impossible times: {}; {} first.", parts.join(", "), skeleton.label(*first));
        let confidence = if backwards.len() + unset.len() > 0 { Confidence::High } else { Confidence::Low };
        let finding = Finding::new(trace, Rule::ImpossibleTime, all, 0, confidence, text)
            .count("end_before_start", backwards.len() as u64)
            .count("start_in_1970", unset.len() as u64)
            .count("call_without_time", instant.len() as u64);
        findings.push(finding);
    }
    findings
}

/// Client spans without a server span where the edge nearly always has one.
pub(crate) fn untraced_callees(
    trace: &Trace,
    path: &CriticalPath,
    history: &dyn History,
    settings: &Settings,
) -> Vec<Finding> {
    let skeleton = &trace.skeleton;
    let mut edges: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    for span in (0..skeleton.span_count()).filter(|span| skeleton.kind(*span) == Kind::Client) {
        // A call that failed may never have reached the other side.
        let answered = trace.tree.children(span).iter().any(|child| skeleton.kind(*child) == Kind::Server);
        if !answered && !skeleton.is_error(span) {
            edges.entry((skeleton.service_code(span), skeleton.name_code(span))).or_default().push(span);
        }
    }
    let mut findings = Vec::new();
    for spans in edges.into_values() {
        let first = spans[0];
        let Some(usual) = history.edge(skeleton.service(first), skeleton.name(first)) else { continue };
        let answered = share(usual.answered, usual.calls);
        if usual.calls < settings.traced_callee_calls || answered < settings.traced_callee_share {
            continue;
        }
        let nanos = spans.iter().map(|span| path.nanos_within(*span)).fold(0, u64::saturating_add);
        let text = format!(
            "{} {} has no span of the side that answered, though {} of such calls have: it was not sampled, not exported or not yet stored.",
            counted(spans.len(), "call"),
            skeleton.label(first),
            readable_share(answered)
        );
        let confidence = if answered >= 0.99 { Confidence::High } else { Confidence::Medium };
        let finding = Finding::new(trace, Rule::CalleeNotTraced, spans.clone(), nanos, confidence, text)
            .count("calls", spans.len() as u64)
            .ratio("usually_answered_share", answered)
            .count("observed_calls", usual.calls);
        findings.push(finding);
    }
    findings
}

/// A stretch of the critical path of which no span tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The span whose own time it is.
    pub span: u32,
    /// Start in Unix nanoseconds.
    pub start: u64,
    /// End in Unix nanoseconds.
    pub end: u64,
}

/// Whether the stretch is the pause before a failed call is tried again.
fn is_back_off(trace: &Trace, segment: &Segment) -> bool {
    let skeleton = &trace.skeleton;
    let children = trace.tree.children(segment.span);
    let at = children.partition_point(|child| skeleton.start(*child) < segment.end);
    let (Some(before), Some(after)) = (at.checked_sub(1).map(|at| children[at]), children.get(at)) else {
        return false;
    };
    skeleton.is_error(before) && skeleton.operation(before) == skeleton.operation(*after)
}

/// The gaps on the path that are long enough to report, by time. The own time of a call, of a message sent and of an
/// internal span without children is none: their name says
/// what it is. Nor is the pause before a failed call is tried again.
pub fn gaps(trace: &Trace, path: &CriticalPath, settings: &Settings) -> Vec<Gap> {
    let Some((_, whole)) = trace.root() else { return Vec::new() };
    let least = settings.gap_nanos.max(part_of(whole, settings.gap_share));
    let tells = |span: u32| match trace.skeleton.kind(span) {
        Kind::Client | Kind::Producer => true,
        Kind::Server | Kind::Consumer => false,
        Kind::Internal | Kind::Unspecified => trace.tree.children(span).is_empty(),
    };
    let long = path.segments.iter().filter(|one| !one.overlapped && one.duration() >= least && !tells(one.span));
    long.filter(|one| !is_back_off(trace, one))
        .map(|one| Gap { span: one.span, start: one.start, end: one.end })
        .collect()
}

pub(crate) fn gap_findings(trace: &Trace, path: &CriticalPath, gaps: &[Gap]) -> Vec<Finding> {
    let skeleton = &trace.skeleton;
    let (root_start, whole) = trace.root().map_or((0, 0), |(root, nanos)| (skeleton.start(root), nanos));
    let finding = |gap: &Gap| {
        let at = path.segments.partition_point(|segment| segment.start < gap.start);
        let below = |segment: &&Segment| trace.tree.is_within(segment.span, gap.span) && segment.span != gap.span;
        let before =
            at.checked_sub(1).and_then(|at| path.segments.get(at)).filter(below).map(|one| skeleton.label(one.span));
        let after = path.segments.get(at + 1).filter(below).map(|one| skeleton.label(one.span));
        let place = match (&before, &after) {
            (Some(before), Some(after)) => format!("between {before} and {after}"),
            (Some(before), None) => format!("after {before}"),
            (None, Some(after)) => format!("before {after}"),
            (None, None) => "from start to end".to_owned(),
        };
        let nanos = gap.end - gap.start;
        let text = format!(
            "No span tells what {} did for {} ({} of the trace), {place}.",
            skeleton.label(gap.span),
            readable_nanos(nanos),
            readable_share(share(nanos, whole))
        );
        // Without any child it may simply have been busy.
        let confidence = if trace.tree.children(gap.span).is_empty() { Confidence::Low } else { Confidence::Medium };
        Finding::new(trace, Rule::UninstrumentedGap, vec![gap.span], nanos, confidence, text)
            .nanos("gap", nanos)
            .nanos("from_start", gap.start.saturating_sub(root_start))
    };
    gaps.iter().map(finding).collect()
}
