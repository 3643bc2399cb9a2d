//! Spans that are much slower, or much more frequent, than their operation usually is.

use std::collections::BTreeMap;

use crate::call_paths::CallPaths;
use crate::critical_path::CriticalPath;
use crate::finding::{Confidence, Finding, Rule, readable_nanos, share};
use crate::histogram::{Histogram, Spread};
use crate::history::History;
use crate::settings::{Settings, part_of};
use crate::trace::Trace;
use crate::tree::NONE;

/// What is usual for one operation (service, name and kind).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    /// Durations in nanoseconds.
    pub duration: Histogram,
    /// Self times in nanoseconds.
    pub self_time: Histogram,
}

impl Baseline {
    /// Counts a span.
    pub fn record(&mut self, duration_nanos: u64, self_nanos: u64) {
        self.duration.record(duration_nanos);
        self.self_time.record(self_nanos);
    }

    /// The memory that it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.duration.heap_bytes() + self.self_time.heap_bytes()
    }

    /// Adds another's spans.
    pub fn merge(&mut self, other: &Self) {
        self.duration.merge(&other.duration);
        self.self_time.merge(&other.self_time);
    }
}

/// How one duration stands among those of its operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Share of the baseline that is shorter, 0 to 1.
    pub rank: f64,
    /// Robust deviations above the median, on logarithms.
    pub z: f64,
    /// The baseline's median in nanoseconds.
    pub median_nanos: u64,
    /// Nanoseconds above the median; 0 below it.
    pub excess_nanos: u64,
    /// Durations in the baseline.
    pub count: u64,
}

/// How a duration stands, or nothing when the baseline has too few durations to judge. `spread` is that of the durations.
pub fn standing(duration: u64, durations: &Histogram, spread: &Spread, settings: &Settings) -> Option<Standing> {
    (durations.count() >= settings.baseline_count.max(1)).then(|| Standing {
        rank: durations.rank(duration),
        z: spread.z(duration),
        median_nanos: spread.median,
        excess_nanos: duration.saturating_sub(spread.median),
        count: durations.count(),
    })
}

/// A percentile as people say it, from a rank: `p98`; what is above all is `p99.9`.
pub fn percentile(rank: f64) -> String {
    let tenths = ((rank * 1_000.0).floor() as u32).min(999);
    if tenths >= 990 && !tenths.is_multiple_of(10) {
        format!("p{}.{}", tenths / 10, tenths % 10)
    } else {
        format!("p{}", tenths / 10)
    }
}

/// Spans of the critical path that are outliers, each without what outliers below it explain.
pub(crate) fn slow_findings(
    trace: &Trace,
    path: &CriticalPath,
    history: &dyn History,
    settings: &Settings,
) -> Vec<Finding> {
    let skeleton = &trace.skeleton;
    let Some((root, whole)) = trace.root() else { return Vec::new() };
    let mut baselines: BTreeMap<_, Option<(&Baseline, Spread)>> = BTreeMap::new();
    let mut outliers: BTreeMap<u32, Standing> = BTreeMap::new();
    for visit in &path.visits {
        let span = visit.span;
        let look_up = || {
            let baseline = history.baseline(skeleton.service(span), skeleton.name(span), skeleton.kind(span))?;
            Some((baseline, baseline.duration.spread()))
        };
        let Some((baseline, spread)) = baselines.entry(skeleton.operation(span)).or_insert_with(look_up) else {
            continue;
        };
        let Some(standing) = standing(skeleton.duration(span), &baseline.duration, spread, settings) else { continue };
        let is_far = standing.rank >= settings.outlier_rank && standing.z >= settings.outlier_z;
        if is_far && standing.excess_nanos >= part_of(whole, settings.outlier_share).max(1) {
            outliers.insert(span, standing);
        }
    }
    // What an outlier's own outliers explain is told there.
    let mut explained: BTreeMap<u32, u64> = BTreeMap::new();
    for (span, standing) in &outliers {
        // Spans between the two may be unknown operations; a long way up is not worth the walk.
        let above = std::iter::successors(trace.tree.parent(*span), |span| trace.tree.parent(*span)).take(100);
        if let Some(above) = above.into_iter().find(|span| outliers.contains_key(span)) {
            let sum = explained.entry(above).or_default();
            *sum = sum.saturating_add(standing.excess_nanos);
        }
    }
    let root_excess = outliers.get(&root).map(|standing| standing.excess_nanos);
    let mut findings = Vec::new();
    for (span, standing) in &outliers {
        let own = standing.excess_nanos.saturating_sub(explained.get(span).copied().unwrap_or(0));
        if own < part_of(whole, settings.outlier_share).max(1) {
            continue;
        }
        let text = format!(
            "{}: {} took {}, usually {}; slower than {:.1} % of {} observed.",
            percentile(standing.rank),
            skeleton.label(*span),
            readable_nanos(skeleton.duration(*span)),
            readable_nanos(standing.median_nanos),
            (standing.rank * 1_000.0).floor() / 10.0,
            standing.count
        );
        let at_stake = own.min(path.nanos_within(*span));
        let mut finding = Finding::new(trace, Rule::SlowOperation, vec![*span], at_stake, Confidence::High, text)
            .nanos("duration", skeleton.duration(*span))
            .nanos("usual", standing.median_nanos)
            .nanos("own_excess", own)
            .ratio("rank", standing.rank)
            .ratio("z", standing.z)
            .count("observed", standing.count);
        if let Some(root_excess) = root_excess {
            finding = finding.ratio("share_of_excess", share(own.min(root_excess), root_excess));
        }
        findings.push(finding);
    }
    findings
}

/// Which part of the root's excess a call path explains.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// The call path, from the root.
    pub label: String,
    /// A span of it, the first on the critical path.
    pub span: u32,
    /// Spans of it on the critical path.
    pub span_count: u64,
    /// Spans of it in the trace.
    pub calls: u64,
    /// How many of them a trace of the entry point usually has, if that is known.
    pub usual_calls: Option<u64>,
    /// What its spans take of the path by themselves above what they usually take, in nanoseconds: of the call path in one
    /// trace where that is known, else of each of its operation's spans.
    pub excess_nanos: u64,
    /// The same as a share of the root's excess over its median.
    pub share: f64,
}

/// Call paths that an attribution lists at most.
const MAX_ATTRIBUTIONS: usize = 20;

/// A call path of the trace on its critical path.
struct OnPath {
    span: u32,
    span_count: u64,
    own_nanos: u64,
    /// The same without what a span of its operation usually takes by itself; none where that is not known.
    above_operation: Option<u64>,
}

/// Call paths by how much of the root's excess they explain, most first, at most twenty; empty when the root is not slower than usual or
/// its baseline too small. Called too often counts too: 37 calls, usually 2, are 35 calls' time.
pub fn attribute_excess(
    trace: &Trace,
    path: &CriticalPath,
    history: &dyn History,
    settings: &Settings,
) -> Vec<Attribution> {
    let skeleton = &trace.skeleton;
    let baseline = |span| history.baseline(skeleton.service(span), skeleton.name(span), skeleton.kind(span));
    let Some((root, whole)) = trace.root() else { return Vec::new() };
    let Some(excess) = baseline(root)
        .and_then(|baseline| standing(whole, &baseline.duration, &baseline.duration.spread(), settings))
        .map(|standing| standing.excess_nanos)
        .filter(|excess| *excess > 0)
    else {
        return Vec::new();
    };
    let mut paths = CallPaths::default();
    let numbers = paths.number(trace);
    let mut medians: BTreeMap<_, Option<u64>> = BTreeMap::new();
    let mut by_path: BTreeMap<u32, OnPath> = BTreeMap::new();
    for visit in path.visits.iter().filter(|visit| numbers[visit.span as usize] != NONE) {
        let look_up = || {
            let known = baseline(visit.span).filter(|known| known.self_time.count() >= settings.baseline_count)?;
            Some(known.self_time.median())
        };
        let usual = *medians.entry(skeleton.operation(visit.span)).or_insert_with(look_up);
        let first = OnPath { span: visit.span, span_count: 0, own_nanos: 0, above_operation: Some(0) };
        let of = by_path.entry(numbers[visit.span as usize]).or_insert(first);
        of.span_count += 1;
        of.own_nanos = of.own_nanos.saturating_add(visit.own_nanos);
        let above = usual.map(|usual| visit.own_nanos.saturating_sub(usual));
        of.above_operation = of.above_operation.zip(above).map(|(sum, above)| sum.saturating_add(above));
    }
    let mut found: Vec<(u32, Attribution)> = Vec::new();
    let spans: Vec<u32> = by_path.values().map(|of| of.span).collect();
    for ((number, of), usual) in by_path.into_iter().zip(history.usual_calls_of(trace, &spans)) {
        let usual = usual.filter(|usual| usual.traces >= settings.path_traces.max(1));
        let above = match usual {
            Some(usual) => Some(of.own_nanos.saturating_sub(usual.path_nanos)),
            None => of.above_operation,
        };
        let Some(excess_nanos) = above.filter(|above| *above > 0) else { continue };
        let usual_calls = usual.map(|usual| usual.median);
        let one = Attribution {
            label: String::new(),
            span: of.span,
            span_count: of.span_count,
            calls: 0,
            usual_calls,
            excess_nanos,
            share: share(excess_nanos, excess),
        };
        found.push((number, one));
    }
    found.sort_by(|a, b| b.1.excess_nanos.cmp(&a.1.excess_nanos).then(a.0.cmp(&b.0)));
    found.truncate(MAX_ATTRIBUTIONS);
    let mut calls: BTreeMap<u32, u64> = found.iter().map(|(number, _)| (*number, 0)).collect();
    numbers.iter().for_each(|number| {
        if let Some(calls) = calls.get_mut(number) {
            *calls += 1;
        }
    });
    let finish = |(number, one): (u32, Attribution)| Attribution {
        label: paths.label(number),
        calls: calls.get(&number).copied().unwrap_or(0),
        ..one
    };
    found.into_iter().map(finish).collect()
}

/// Call paths of which it is asked how often they usually occur: those with the most spans.
const MAX_COUNTED: usize = 200;

/// Call paths that occur much more often than they usually do.
pub(crate) fn count_findings(
    trace: &Trace,
    path: &CriticalPath,
    history: &dyn History,
    settings: &Settings,
) -> Vec<Finding> {
    let skeleton = &trace.skeleton;
    let mut paths = CallPaths::default();
    let numbers = paths.number(trace);
    let mut by_path: Vec<Vec<u32>> = vec![Vec::new(); paths.count() as usize];
    for span in (0..skeleton.span_count()).filter(|span| numbers[*span as usize] != NONE) {
        by_path[numbers[span as usize] as usize].push(span);
    }
    let counts: Vec<usize> = by_path.iter().map(Vec::len).collect();
    let many = usize::try_from(settings.more_calls).unwrap_or(usize::MAX).saturating_add(1);
    let mut findings = Vec::new();
    let mut candidates: Vec<(usize, Vec<u32>)> =
        by_path.into_iter().enumerate().filter(|(_, spans)| spans.len() >= many).collect();
    candidates.sort_by_key(|(number, spans)| (std::cmp::Reverse(spans.len()), *number));
    candidates.truncate(MAX_COUNTED);
    // Of each the first span and its parent.
    let pairs = candidates.iter().flat_map(|(_, spans)| [spans[0], trace.tree.parent(spans[0]).unwrap_or(spans[0])]);
    let known = history.usual_calls_of(trace, &pairs.collect::<Vec<u32>>());
    for ((number, spans), known) in candidates.into_iter().zip(known.chunks(2)) {
        // Ten calls of a parent that itself was called ten times too often are told there.
        let &[Some(usual), usual_of_parent] = known else { continue };
        let count = spans.len() as u64;
        let far = count as f64 >= usual.median.max(usual.p95) as f64 * settings.more_calls_factor;
        if usual.traces < settings.baseline_count || !far || count < usual.median.saturating_add(settings.more_calls) {
            continue;
        }
        if let Some(above) = paths.above(number as u32)
            && let Some(parents) = usual_of_parent
            && parents.median > 0
            && usual.median > 0
        {
            let per_parent = count as f64 / counts[above as usize].max(1) as f64;
            if per_parent < usual.median as f64 / parents.median as f64 * settings.more_calls_factor {
                continue;
            }
        }
        let on_path = spans.iter().map(|span| path.nanos_within(*span)).fold(0, u64::saturating_add);
        let extra = part_of(on_path, (count - usual.median) as f64 / count as f64);
        let whole = trace.root().map_or(0, |(_, nanos)| nanos);
        if extra < part_of(whole, settings.outlier_share).max(1) {
            continue;
        }
        let text = format!(
            "{count} calls of {} in this trace, usually {}: the extra ones take about {} of it.",
            skeleton.label(spans[0]),
            usual.median,
            readable_nanos(extra)
        );
        let finding = Finding::new(trace, Rule::MoreCallsThanUsual, spans, extra, Confidence::High, text)
            .count("calls", count)
            .count("usual_calls", usual.median)
            .count("usual_p95", usual.p95)
            .count("observed_traces", usual.traces);
        findings.push(finding);
    }
    findings
}
