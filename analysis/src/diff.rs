//! What differs between two traces, or between a trace and a cohort of ordinary ones, call path by call path.

use std::collections::BTreeMap;

use crate::call_paths::CallPaths;
use crate::critical_path::CriticalPath;
use crate::histogram::Histogram;
use crate::profile::PathProfile;
use crate::self_time::self_times;
use crate::skeleton::Kind;
use crate::trace::Trace;
use crate::tree::NONE;

/// What one trace has of a call path; repeats are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Side {
    /// Spans.
    pub span_count: u64,
    /// Sum of durations in nanoseconds.
    pub total_nanos: u64,
    /// Sum of self times in nanoseconds.
    pub self_nanos: u64,
    /// Own time on the critical path in nanoseconds.
    pub path_nanos: u64,
    /// Failed spans.
    pub error_count: u64,
    /// Earliest start, in nanoseconds after the root's.
    pub offset_nanos: u64,
}

/// How a call path of one trace relates to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// In both, at the same place among its siblings.
    Same,
    /// In both, but its siblings come in another order.
    Moved,
    /// Only in the second.
    Added,
    /// Only in the first.
    Removed,
}

/// One call path of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffLine {
    /// Service.
    pub service: String,
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: Kind,
    /// Steps from the root.
    pub depth: u32,
    /// How it relates.
    pub change: Change,
    /// What the first trace has.
    pub first: Side,
    /// What the second has.
    pub second: Side,
}

impl DiffLine {
    /// Nanoseconds of all its spans in the second trace minus those in the first.
    pub fn delta_nanos(&self) -> i64 {
        delta(self.first.total_nanos, self.second.total_nanos)
    }

    /// The same of its own time on the critical path.
    pub fn path_delta_nanos(&self) -> i64 {
        delta(self.first.path_nanos, self.second.path_nanos)
    }
}

fn delta(first: u64, second: u64) -> i64 {
    (i128::from(second) - i128::from(first)).clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// Sums of one trace by call path, numbered in `paths`.
fn sides(trace: &Trace, paths: &mut CallPaths) -> BTreeMap<u32, Side> {
    let skeleton = &trace.skeleton;
    let path = CriticalPath::of_trace(trace);
    let self_nanos = self_times(trace);
    let numbers = paths.number(trace);
    let start = trace.root().map_or(0, |(root, _)| skeleton.start(root));
    let mut sides: BTreeMap<u32, Side> = BTreeMap::new();
    for span in (0..skeleton.span_count()).filter(|span| numbers[*span as usize] != NONE) {
        let offset_nanos = skeleton.start(span).saturating_sub(start);
        let side = sides.entry(numbers[span as usize]).or_insert(Side { offset_nanos, ..Side::default() });
        side.span_count += 1;
        side.total_nanos = side.total_nanos.saturating_add(skeleton.duration(span));
        side.self_nanos = side.self_nanos.saturating_add(self_nanos[span as usize]);
        side.error_count += u64::from(skeleton.is_error(span));
        side.offset_nanos = side.offset_nanos.min(offset_nanos);
    }
    for visit in &path.visits {
        if let Some(side) = sides.get_mut(&numbers[visit.span as usize]) {
            side.path_nanos = side.path_nanos.saturating_add(visit.own_nanos);
        }
    }
    sides
}

/// Compares two traces. Lines come parents first; siblings in the first trace's order, what only the second has after its
/// predecessor there. The longest sequence of siblings that both traces have in one order counts as unmoved. n log n in
/// spans.
pub fn diff(first: &Trace, second: &Trace) -> Vec<DiffLine> {
    let mut paths = CallPaths::default();
    let (first, second) = (sides(first, &mut paths), sides(second, &mut paths));
    // Siblings of each call path in either trace, by when they first start; NONE has the roots.
    let siblings = |sides: &BTreeMap<u32, Side>| {
        let mut below: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for number in sides.keys() {
            below.entry(paths.above(*number).unwrap_or(NONE)).or_default().push(*number);
        }
        for list in below.values_mut() {
            list.sort_by_key(|number| (sides[number].offset_nanos, *number));
        }
        below
    };
    let (below_first, below_second) = (siblings(&first), siblings(&second));
    let none = Vec::new();
    let mut lines = Vec::new();
    let mut pending: Vec<(u32, u32, Change)> = Vec::new();
    let open = |above: u32, depth: u32, pending: &mut Vec<(u32, u32, Change)>| {
        let (a, b) = (below_first.get(&above).unwrap_or(&none), below_second.get(&above).unwrap_or(&none));
        pending.extend(align(a, b).into_iter().rev().map(|(number, change)| (number, depth, change)));
    };
    open(NONE, 0, &mut pending);
    while let Some((number, depth, change)) = pending.pop() {
        let (service, name, kind) = paths.operation(number);
        let side = |sides: &BTreeMap<u32, Side>| sides.get(&number).copied().unwrap_or_default();
        lines.push(DiffLine {
            service: service.to_owned(),
            name: name.to_owned(),
            kind,
            depth,
            change,
            first: side(&first),
            second: side(&second),
        });
        open(number, depth + 1, &mut pending);
    }
    lines
}

/// Aligns two lists, each without repeats: of what both have, the longest common subsequence is unmoved.
fn align(first: &[u32], second: &[u32]) -> Vec<(u32, Change)> {
    let place: BTreeMap<u32, usize> = second.iter().enumerate().map(|(at, number)| (*number, at)).collect();
    let common: Vec<(u32, usize)> = first.iter().filter_map(|number| Some((*number, *place.get(number)?))).collect();
    // Without repeats the longest common subsequence is the longest increasing one of the places.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(common.len());
    for (at, (_, here)) in common.iter().enumerate() {
        let length = ends.partition_point(|end| common[*end].1 < *here);
        before.push(length.checked_sub(1).map(|length| ends[length]));
        if length == ends.len() { ends.push(at) } else { ends[length] = at }
    }
    let mut unmoved = vec![false; common.len()];
    let mut next = ends.last().copied();
    while let Some(at) = next {
        unmoved[at] = true;
        next = before[at];
    }
    let changes: BTreeMap<u32, Change> = common
        .iter()
        .zip(unmoved)
        .map(|((number, _), unmoved)| (*number, if unmoved { Change::Same } else { Change::Moved }))
        .collect();
    // What only the second has follows what comes before it there.
    let mut added: BTreeMap<Option<u32>, Vec<u32>> = BTreeMap::new();
    let mut last = None;
    for number in second {
        if changes.contains_key(number) {
            last = Some(*number);
        } else {
            added.entry(last).or_default().push(*number);
        }
    }
    let mut aligned = Vec::with_capacity(first.len() + second.len());
    let mut insert = |after: Option<u32>, aligned: &mut Vec<(u32, Change)>| {
        aligned.extend(added.remove(&after).into_iter().flatten().map(|number| (number, Change::Added)));
    };
    insert(None, &mut aligned);
    for number in first {
        aligned.push((*number, changes.get(number).copied().unwrap_or(Change::Removed)));
        insert(Some(*number), &mut aligned);
    }
    aligned
}

/// Where most of a cohort lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band {
    /// 10th percentile.
    pub p10: u64,
    /// Median.
    pub median: u64,
    /// 90th percentile.
    pub p90: u64,
}

impl Band {
    fn of(histogram: &Histogram, traces: u64) -> Self {
        let at = |share| histogram.quantile_with_zeros(share, traces);
        Self { p10: at(0.1), median: at(0.5), p90: at(0.9) }
    }

    /// Whether a value is within what is ordinary; percentiles are known to 1.6 %, so a little outside is within.
    pub fn holds(&self, value: u64) -> bool {
        let slack = |edge: u64| edge / 32;
        value >= self.p10 - slack(self.p10) && value <= self.p90.saturating_add(slack(self.p90))
    }
}

/// A call path of a trace beside a cohort of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CohortLine {
    /// Service and name of each step, from the root.
    pub label: String,
    /// Service of the last step.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Steps from the root.
    pub depth: u32,
    /// What the trace has; nothing but zeros where it lacks the path.
    pub side: Side,
    /// Spans in the cohort's traces.
    pub span_count: Band,
    /// Sum of durations in nanoseconds.
    pub total_nanos: Band,
    /// Sum of self times in nanoseconds.
    pub self_nanos: Band,
    /// Own time on the critical path in nanoseconds.
    pub path_nanos: Band,
}

impl CohortLine {
    /// Whether count or self time is outside of what is ordinary. (Durations of parents follow from their children's.)
    pub fn is_unusual(&self) -> bool {
        !self.span_count.holds(self.side.span_count) || !self.self_nanos.holds(self.side.self_nanos)
    }

    /// Own time on the critical path beyond the cohort's median, in nanoseconds; negative below it.
    pub fn path_excess_nanos(&self) -> i64 {
        delta(self.path_nanos.median, self.side.path_nanos)
    }
}

/// Compares a trace with a cohort: all call paths of either, those that explain most first.
pub fn diff_cohort(trace: &Trace, cohort: &PathProfile) -> Vec<CohortLine> {
    let mut paths = cohort.paths().clone();
    let sides = sides(trace, &mut paths);
    let traces = cohort.trace_count();
    let nothing = Default::default();
    let mut lines: Vec<CohortLine> = (0..paths.count())
        .map(|number| {
            let counts = cohort.counts(number).unwrap_or(&nothing);
            let (service, name, kind) = paths.operation(number);
            CohortLine {
                label: paths.label(number),
                service: service.to_owned(),
                name: name.to_owned(),
                kind,
                depth: paths.depth(number),
                side: sides.get(&number).copied().unwrap_or_default(),
                span_count: Band::of(&counts.calls, traces),
                total_nanos: Band::of(&counts.total, traces),
                self_nanos: Band::of(&counts.self_time, traces),
                path_nanos: Band::of(&counts.path, traces),
            }
        })
        .collect();
    let size = |line: &CohortLine| line.path_excess_nanos().unsigned_abs();
    lines.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.label.cmp(&b.label)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation;

    fn check(first: &str, second: &str, expect: &[&str]) {
        let lines = diff(&notation::trace(first), &notation::trace(second));
        let told: Vec<String> = lines
            .iter()
            .map(|line| {
                let counts = format!("{}/{}", line.first.span_count, line.second.span_count);
                format!("{} {} {:?} {counts} {}", line.depth, line.name, line.change, line.delta_nanos() / 1_000_000)
            })
            .collect();
        assert_eq!(told, expect);
    }

    #[test]
    fn added_removed_moved_and_repeated() {
        check(
            "s | root | server | 0..100 |
               s | a | client | 0..10 |
               s | b | client | 10..20 | x3 +10
               s | c | client | 50..60 |
               s | gone | client | 70..80 |",
            "s | root | server | 0..150 |
               s | c | client | 0..10 |
               s | a | client | 10..20 |
                 t | new | server | 11..19 |
               s | b | client | 20..30 | x5 +10
               s | late | client | 70..80 |",
            &[
                "0 root Same 1/1 50",
                "1 a Same 1/1 0",
                "2 new Added 0/1 8",
                "1 b Same 3/5 20",
                "1 late Added 0/1 10",
                "1 c Moved 1/1 0",
                "1 gone Removed 1/0 -10",
            ],
        );
    }

    #[test]
    fn the_same_trace_does_not_differ() {
        let text = "s | root | server | 0..100 |
                      s | a | client | 0..10 | x4 +12";
        check(text, text, &["0 root Same 1/1 0", "1 a Same 4/4 0"]);
        check(text, "", &["0 root Removed 1/0 -100", "1 a Removed 4/0 -40"]);
    }

    #[test]
    fn ordinary_variation_is_quiet() {
        let text = |millis: u64| {
            let end = millis + 60;
            notation::trace(&format!(
                "s | root | server | 0..{end} |
                   s | a | client | 0..{millis} |
                   s | b | client | {millis}..{} |",
                millis + 50
            ))
        };
        let mut cohort = PathProfile::default();
        (20..60).for_each(|millis| cohort.add(&text(millis)));
        let unusual = |millis| {
            let lines = diff_cohort(&text(millis), &cohort);
            lines.into_iter().filter(CohortLine::is_unusual).map(|line| line.label).collect::<Vec<_>>()
        };
        assert_eq!(unusual(40), Vec::<String>::new());
        assert_eq!(unusual(90), ["s root > s a"]);
    }
}
