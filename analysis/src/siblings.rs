//! Children of one parent that do the same: the ground of the rules about repeats and retries. And the rule about
//! siblings that run one after the other though they might run together.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::critical_path::CriticalPath;
use crate::finding::{Confidence, Finding, Rule, readable_nanos, share};
use crate::history::History;
use crate::settings::{Settings, part_of};
use crate::skeleton::{Kind, Operation};
use crate::trace::{Blocking, Trace};

/// A child, and the call that it stands for: itself, or the only call below a thin wrapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) child: u32,
    pub(crate) call: u32,
}

impl Member {
    fn of(trace: &Trace, child: u32) -> Self {
        let inner = match trace.skeleton.kind(child) {
            Kind::Client | Kind::Producer => None,
            _ => trace.inner_call(child).filter(|inner| trace.skeleton.kind(*inner) == Kind::Client),
        };
        Self { child, call: inner.unwrap_or(child) }
    }
}

/// Calls the visitor with each group of at least two children of one parent that stand for calls of one operation; members
/// are by start. Groups come by parent, then by operation.
pub(crate) fn sibling_groups(trace: &Trace, mut visit: impl FnMut(u32, &[Member])) {
    let mut keyed: Vec<(Operation, Member)> = Vec::new();
    let mut members: Vec<Member> = Vec::new();
    for parent in 0..trace.skeleton.span_count() {
        let children = trace.tree.children(parent);
        if children.len() < 2 {
            continue;
        }
        keyed.clear();
        keyed.extend(children.iter().map(|child| {
            let member = Member::of(trace, *child);
            (trace.skeleton.operation(member.call), member)
        }));
        keyed.sort_unstable_by_key(|(operation, member)| (*operation, member.child));
        for group in keyed.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
            members.clear();
            members.extend(group.iter().map(|(_, member)| *member));
            visit(parent, &members);
        }
    }
}

/// The middle of some durations; of an even number the higher.
pub(crate) fn median(mut nanos: Vec<u64>) -> u64 {
    if nanos.is_empty() {
        return 0;
    }
    let middle = nanos.len() / 2;
    *nanos.select_nth_unstable(middle).1
}

/// Most pairs of one run that the history is asked about.
const MAX_PAIRS: usize = 50;

/// Calls to different targets that run one after the other below a span of the critical path.
pub(crate) fn sequential_findings(
    trace: &Trace,
    path: &CriticalPath,
    history: &dyn History,
    settings: &Settings,
) -> Vec<Finding> {
    let Some((_, whole)) = trace.root() else { return Vec::new() };
    let least = settings.sequential_saving_nanos.max(part_of(whole, settings.sequential_saving_share));
    let mut findings = Vec::new();
    for visit in &path.visits {
        // What is shorter than the least saving cannot bring it.
        if visit.end - visit.start < least || trace.tree.children(visit.span).len() < 2 {
            continue;
        }
        let children: Vec<Blocking> = trace.blocking_children(visit.span).collect();
        let calls: Vec<Blocking> = children.iter().filter(|child| is_call(trace, child.span)).copied().collect();
        for run in runs(&calls, settings) {
            // Cheap, and true of every part of the run.
            if most_saved(&run, path) < least.max(1) {
                continue;
            }
            for (part, confidence) in parts(trace, &run, history, settings) {
                let saving = saving(part, &children).min(most_saved(part, path));
                if saving >= least.max(1) {
                    findings.push(finding(trace, visit.span, part, saving, confidence));
                }
            }
        }
    }
    findings
}

/// A call to somewhere else, or a span that makes one.
fn is_call(trace: &Trace, span: u32) -> bool {
    let kind = |span: u32| trace.skeleton.kind(span);
    kind(span) == Kind::Client
        || kind(span) != Kind::Producer && trace.tree.children(span).iter().any(|child| kind(*child) == Kind::Client)
}

/// Runs, by start, in which each begins when the one before has ended and soon after. A call goes on with the run that
/// ended last before it, so that others beside it do not hide a run.
fn runs(calls: &[Blocking], settings: &Settings) -> Vec<Vec<Blocking>> {
    let typical = median(calls.iter().map(|call| call.end - call.start).collect());
    let pause = settings.sequential_pause_nanos.max(part_of(typical, settings.sequential_pause_share));
    let follows = |a: &Blocking, b: &Blocking| {
        // Spans of one thread may overlap by what their clocks round.
        let overlap = settings.sequential_pause_nanos.min((a.end - a.start) / 10);
        b.start.saturating_add(overlap) >= a.end && b.start <= a.end.saturating_add(pause)
    };
    let mut runs: Vec<Vec<Blocking>> = Vec::new();
    // Each run by its end.
    let mut open: BTreeSet<(u64, usize)> = BTreeSet::new();
    for call in calls {
        let latest = |until: u64| open.range(..=(until, usize::MAX)).next_back().copied();
        let candidates = [latest(call.start.saturating_add(settings.sequential_pause_nanos)), latest(call.start)];
        let goes_on = |(_, run): &(u64, usize)| runs[*run].last().is_some_and(|last| follows(last, call));
        match candidates.into_iter().flatten().find(goes_on) {
            Some((end, run)) => {
                open.remove(&(end, run));
                open.insert((call.end, run));
                runs[run].push(*call);
            }
            None => {
                open.insert((call.end, runs.len()));
                runs.push(vec![*call]);
            }
        }
    }
    runs.retain(|run| run.len() > 1);
    runs
}

/// What of a run's part of the critical path would be gone if only its longest call were left: the most that can be saved.
/// Parts of the path do not overlap, so few runs can have much.
fn most_saved(run: &[Blocking], path: &CriticalPath) -> u64 {
    let on_path = run.iter().map(|call| path.nanos_within(call.span));
    let (sum, longest) = on_path.fold((0u64, 0u64), |(sum, most), nanos| (sum.saturating_add(nanos), most.max(nanos)));
    sum - longest
}

/// What the parent gains when all of a run start together: not beyond siblings that run beside it.
fn saving(run: &[Blocking], children: &[Blocking]) -> u64 {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return 0 };
    let longest = run.iter().map(|call| call.end - call.start).max().unwrap_or(0);
    let mut end = first.start.saturating_add(longest);
    let beside = children.iter().filter(|child| child.start < last.end && child.end > first.start);
    for other in beside.filter(|child| run.binary_search_by_key(&child.span, |call| call.span).is_err()) {
        end = end.max(other.end);
    }
    last.end.saturating_sub(end)
}

/// What is known of two calls of which the second begins when the first has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Other traces show that neither needs the other.
    Refuted,
    /// The second has always waited for the first.
    Proven,
    /// Nothing.
    Open,
}

/// The parts of a run that might run together, each with how sure that is. Where a call is known to wait for the one before, the
/// run is cut. Of what is left those stretches are taken of which it is known that no call waits, and all of it where there are none.
/// Calls to one target alone are no part.
fn parts<'r>(
    trace: &Trace,
    run: &'r [Blocking],
    history: &dyn History,
    settings: &Settings,
) -> Vec<(&'r [Blocking], Confidence)> {
    let differ = |pair: &[Blocking]| trace.operation(pair[0].span) != trace.operation(pair[1].span);
    let mut asked = 0;
    let wait = |pair: &[Blocking]| {
        if !differ(pair) {
            // Whether the same call can be made twice at once is for the pairs around it to say.
            return Wait::Refuted;
        }
        asked += 1;
        let order = if asked > MAX_PAIRS { None } else { history.order(trace, pair[0].span, pair[1].span) };
        match order {
            Some(order) if order.refuted > 0 => Wait::Refuted,
            Some(order) if order.traces >= settings.sequential_proof_traces && order.close == order.traces => {
                Wait::Proven
            }
            _ => Wait::Open,
        }
    };
    let waits: Vec<Wait> = run.windows(2).map(wait).collect();
    let has_targets = |part: &[Blocking]| part.windows(2).any(differ);
    let mut parts = Vec::new();
    for whole in stretches(&waits, |wait| wait != Wait::Proven) {
        let sure: Vec<_> = stretches(&waits[whole.start..whole.end - 1], |wait| wait == Wait::Refuted)
            .into_iter()
            .map(|part| (&run[whole.start + part.start..whole.start + part.end], Confidence::High))
            .filter(|(part, _)| has_targets(part))
            .collect();
        if sure.is_empty() && has_targets(&run[whole.clone()]) {
            parts.push((&run[whole], Confidence::Low));
        }
        parts.extend(sure);
    }
    parts
}

/// Stretches of at least two calls between all of which something holds; `waits` has one less than there are calls.
fn stretches(waits: &[Wait], holds: impl Fn(Wait) -> bool) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut found = Vec::new();
    for chunk in waits.chunk_by(|a, b| holds(*a) == holds(*b)) {
        if holds(chunk[0]) {
            found.push(start..start + chunk.len() + 1);
        }
        start += chunk.len();
    }
    found
}

fn finding(trace: &Trace, parent: u32, run: &[Blocking], saving: u64, confidence: Confidence) -> Finding {
    let skeleton = &trace.skeleton;
    let mut targets: Vec<String> = Vec::new();
    for call in run {
        let label = skeleton.label(call.span);
        if targets.len() < 4 && !targets.contains(&label) {
            targets.push(label);
        }
    }
    let sum = run.iter().map(|call| call.end - call.start).fold(0, u64::saturating_add);
    let longest = run.iter().map(|call| call.end - call.start).max().unwrap_or(0);
    let sure = match confidence {
        Confidence::High => "other traces show that they need not wait for each other",
        _ => "if none needs another's answer",
    };
    let text = format!(
        "{} makes {} calls one after the other ({}): together they would take {} instead of {}, {sure}.",
        skeleton.label(parent),
        run.len(),
        targets.join(", "),
        readable_nanos(sum.saturating_sub(saving)),
        readable_nanos(sum)
    );
    let spans = run.iter().map(|call| call.span).collect();
    Finding::new(trace, Rule::SequentialCalls, spans, saving, confidence, text)
        .count("calls", run.len() as u64)
        .nanos("sum", sum)
        .nanos("longest", longest)
        .ratio("saving_share_of_sum", share(saving, sum))
}
