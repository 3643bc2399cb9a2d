//! The critical path over many traces of one entry point: which call paths take the time, how steadily, and what differs
//! when it is slow (CRISP, USENIX ATC 2022). Sums are whole numbers, so that profiles merge exactly.

use std::collections::BTreeMap;

use spanlake_model::TraceId;

use crate::call_paths::CallPaths;
use crate::critical_path::CriticalPath;
use crate::finding::share;
use crate::histogram::Histogram;
use crate::self_time::self_times;
use crate::trace::Trace;
use crate::tree::NONE;

/// Most example traces kept of one call path.
const EXEMPLARS: usize = 3;
/// Shares are summed in parts of this.
const WHOLE: u64 = 1_000_000_000;

/// What was counted of one call path. Values are per trace, sums over its spans there; traces without it are not in the histograms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathCounts {
    /// Spans.
    pub calls: Histogram,
    /// Sum of durations in nanoseconds.
    pub total: Histogram,
    /// Sum of self times in nanoseconds.
    pub self_time: Histogram,
    /// Own time on the critical path in nanoseconds, of traces where it is above 0.
    pub path: Histogram,
    /// Failed spans, over all traces.
    pub errors: u64,
    /// Sum of shares of the root's duration, in billionths.
    share_sum: u64,
    /// Traces in which it takes the most of the path, most first.
    exemplars: Vec<(u64, TraceId)>,
}

/// Call paths over many traces.
#[derive(Debug, Clone, Default)]
pub struct PathProfile {
    paths: CallPaths,
    counts: Vec<PathCounts>,
    roots: Histogram,
}

/// One call path of a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileLine {
    /// Service and name of each step, from the root.
    pub label: String,
    /// Its number in [`PathProfile::paths`].
    pub path: u32,
    /// Mean over all traces of its own share of the root's time, 0 to 1.
    pub mean_share: f64,
    /// The same with all call paths below it: the width of its box in a flame graph.
    pub inclusive_share: f64,
    /// Share of traces in which it is on the path.
    pub presence: f64,
    /// Median of its own time on the path in nanoseconds, where it is on it.
    pub p50_nanos: u64,
    /// 95th percentile of the same.
    pub p95_nanos: u64,
    /// Traces in which it takes the most, most first.
    pub exemplars: Vec<TraceId>,
}

/// How much more of the path a call path takes in one set of traces than in another.
#[derive(Debug, Clone, PartialEq)]
pub struct Contrast {
    /// Service and name of each step, from the root.
    pub label: String,
    /// Mean nanoseconds of the path in the first set.
    pub first_nanos: u64,
    /// And in the second.
    pub second_nanos: u64,
    /// Mean calls in a trace of the first set.
    pub first_calls: f64,
    /// And in the second.
    pub second_calls: f64,
}

impl Contrast {
    /// First minus second, in nanoseconds.
    pub fn delta_nanos(&self) -> i64 {
        let delta = i128::from(self.first_nanos) - i128::from(self.second_nanos);
        delta.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

impl PathProfile {
    /// Counts a trace: what is below the root that stands for it.
    pub fn add(&mut self, trace: &Trace) {
        self.add_numbered(trace);
    }

    /// The same, and says each span's call path.
    pub(crate) fn add_numbered(&mut self, trace: &Trace) -> Vec<u32> {
        let Some((root, whole)) = trace.root() else { return Vec::new() };
        let skeleton = &trace.skeleton;
        let path = CriticalPath::of(trace, root);
        let self_nanos = self_times(trace);
        let numbers = self.paths.number(trace);
        self.counts.resize_with(self.paths.count() as usize, PathCounts::default);
        self.roots.record(whole);
        #[derive(Default)]
        struct Sums {
            calls: u64,
            total: u64,
            self_time: u64,
            path: u64,
        }
        let mut sums: BTreeMap<u32, Sums> = BTreeMap::new();
        for span in trace.tree.subtree(root).iter().copied().filter(|span| numbers[*span as usize] != NONE) {
            let number = numbers[span as usize];
            let of = sums.entry(number).or_default();
            of.calls += 1;
            of.total = of.total.saturating_add(skeleton.duration(span));
            of.self_time = of.self_time.saturating_add(self_nanos[span as usize]);
            self.counts[number as usize].errors += u64::from(skeleton.is_error(span));
        }
        for visit in &path.visits {
            if let Some(of) = sums.get_mut(&numbers[visit.span as usize]) {
                of.path = of.path.saturating_add(visit.own_nanos);
            }
        }
        for (number, sums) in sums {
            let counts = &mut self.counts[number as usize];
            counts.calls.record(sums.calls);
            counts.total.record(sums.total);
            counts.self_time.record(sums.self_time);
            if sums.path > 0 {
                counts.path.record(sums.path);
                let billionths = u128::from(sums.path) * u128::from(WHOLE) / u128::from(whole.max(1));
                counts.share_sum = counts.share_sum.saturating_add(billionths as u64);
                counts.add_exemplar(sums.path, skeleton.trace_id());
            }
        }
        numbers
    }

    /// Adds another's traces.
    pub fn merge(&mut self, other: &Self) {
        let numbers = self.paths.adopt(&other.paths);
        self.counts.resize_with(self.paths.count() as usize, PathCounts::default);
        self.roots.merge(&other.roots);
        for (number, counts) in numbers.into_iter().zip(&other.counts).filter(|(number, _)| *number != NONE) {
            self.counts[number as usize].merge(counts);
        }
    }

    /// Traces counted.
    pub fn trace_count(&self) -> u64 {
        self.roots.count()
    }

    /// The memory that it takes, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        let counts: usize = self.counts.iter().map(PathCounts::memory_bytes).sum();
        self.paths.memory_bytes() + counts
    }

    /// Durations of the roots in nanoseconds.
    pub fn roots(&self) -> &Histogram {
        &self.roots
    }

    /// The call paths met.
    pub fn paths(&self) -> &CallPaths {
        &self.paths
    }

    /// What was counted of a call path.
    pub fn counts(&self, path: u32) -> Option<&PathCounts> {
        self.counts.get(path as usize)
    }

    /// Call paths by their share of the critical path, most first, ties by label; those never on it or above it are left out.
    pub fn lines(&self) -> Vec<ProfileLine> {
        let mut inclusive: Vec<u64> = self.counts.iter().map(|counts| counts.share_sum).collect();
        for path in (0..self.paths.count()).rev() {
            if let Some(above) = self.paths.above(path) {
                inclusive[above as usize] = inclusive[above as usize].saturating_add(inclusive[path as usize]);
            }
        }
        let traces = self.trace_count();
        let mean = |sum: u64| sum as f64 / WHOLE as f64 / traces.max(1) as f64;
        let line = |path: u32| {
            let counts = &self.counts[path as usize];
            ProfileLine {
                label: self.paths.label(path),
                path,
                mean_share: mean(counts.share_sum),
                inclusive_share: mean(inclusive[path as usize]),
                presence: share(counts.path.count(), traces),
                p50_nanos: counts.path.median(),
                p95_nanos: counts.path.quantile(0.95).unwrap_or(0),
                exemplars: counts.exemplars.iter().map(|(_, id)| *id).collect(),
            }
        };
        let on_path = (0..self.paths.count()).filter(|path| inclusive[*path as usize] > 0);
        let mut lines: Vec<ProfileLine> = on_path.map(line).collect();
        lines.sort_by(|a, b| b.mean_share.total_cmp(&a.mean_share).then_with(|| a.label.cmp(&b.label)));
        lines
    }

    /// What is different: mean time on the path here and in `other`, greatest difference first, ties by label.
    pub fn contrast(&self, other: &Self) -> Vec<Contrast> {
        let mut paths = self.paths.clone();
        let numbers = paths.adopt(&other.paths);
        let mean = |histogram: &Histogram, traces: u64| histogram.sum() / traces.max(1);
        let mut lines: Vec<Contrast> = (0..paths.count())
            .map(|path| Contrast {
                label: paths.label(path),
                first_nanos: 0,
                second_nanos: 0,
                first_calls: 0.0,
                second_calls: 0.0,
            })
            .collect();
        for (line, counts) in lines.iter_mut().zip(&self.counts) {
            line.first_nanos = mean(&counts.path, self.trace_count());
            line.first_calls = share(counts.calls.sum(), self.trace_count());
        }
        for (number, counts) in numbers.into_iter().zip(&other.counts).filter(|(number, _)| *number != NONE) {
            lines[number as usize].second_nanos = mean(&counts.path, other.trace_count());
            lines[number as usize].second_calls = share(counts.calls.sum(), other.trace_count());
        }
        lines.retain(|line| line.first_nanos != line.second_nanos);
        let size = |line: &Contrast| line.delta_nanos().unsigned_abs();
        lines.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.label.cmp(&b.label)));
        lines
    }
}

impl PathCounts {
    fn memory_bytes(&self) -> usize {
        let histograms = [&self.calls, &self.total, &self.self_time, &self.path];
        let heap: usize = histograms.into_iter().map(Histogram::heap_bytes).sum();
        size_of::<Self>() + heap + self.exemplars.capacity() * size_of::<(u64, TraceId)>()
    }

    fn add_exemplar(&mut self, nanos: u64, trace_id: TraceId) {
        self.exemplars.push((nanos, trace_id));
        self.exemplars.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        self.exemplars.dedup();
        self.exemplars.truncate(EXEMPLARS);
    }

    fn merge(&mut self, other: &Self) {
        self.calls.merge(&other.calls);
        self.total.merge(&other.total);
        self.self_time.merge(&other.self_time);
        self.path.merge(&other.path);
        self.errors = self.errors.saturating_add(other.errors);
        self.share_sum = self.share_sum.saturating_add(other.share_sum);
        other.exemplars.iter().for_each(|(nanos, id)| self.add_exemplar(*nanos, *id));
    }
}

/// Which of some traces, given by their durations, are slow (from the 95th percentile) and which are ordinary (40th to 60th): for
/// [`PathProfile::contrast`], which tells what is different when it is slow.
pub fn slow_and_ordinary(durations: &[u64]) -> (Vec<usize>, Vec<usize>) {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let at = |share: f64| {
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    };
    let (low, high, slow) = (at(0.4), at(0.6), at(0.95));
    let pick = |wanted: &dyn Fn(u64) -> bool| (0..durations.len()).filter(|at| wanted(durations[*at])).collect();
    (pick(&|nanos| nanos >= slow && nanos > high), pick(&|nanos| (low..=high).contains(&nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation;

    fn trace(pg_millis: u64) -> Trace {
        let end = 20 + pg_millis;
        notation::trace(&format!(
            "shop | GET / | server | 0..{end} |
               pg | SELECT | client | 10..{} |
               log | write | client | 10..12 |",
            end - 10
        ))
    }

    fn profile(traces: &[Trace]) -> PathProfile {
        let mut profile = PathProfile::default();
        traces.iter().for_each(|trace| profile.add(trace));
        profile
    }

    #[test]
    fn shares_presence_and_merging() {
        let traces = [trace(60), trace(80), trace(180)];
        let whole = profile(&traces);
        let lines = whole.lines();
        let told: Vec<_> = lines.iter().map(|line| (line.label.as_str(), (line.mean_share * 100.0).round())).collect();
        assert_eq!(told, [("shop GET / > pg SELECT", 82.0), ("shop GET /", 18.0)]);
        assert!((lines[1].inclusive_share - 1.0).abs() < 1e-6 && lines[0].presence == 1.0);
        let mut halves = profile(&traces[..1]);
        halves.merge(&profile(&traces[1..]));
        assert_eq!(halves.lines(), lines);
    }

    #[test]
    fn what_is_different_when_it_is_slow() {
        let durations: Vec<u64> = (1..=100).collect();
        let (slow, ordinary) = slow_and_ordinary(&durations);
        assert_eq!((slow.len(), ordinary.len()), (6, 21));
        assert_eq!(slow_and_ordinary(&[5; 10]).0, Vec::<usize>::new());
        let contrast = profile(&[trace(180)]).contrast(&profile(&[trace(60), trace(80)]));
        assert_eq!((contrast[0].label.as_str(), contrast[0].delta_nanos()), ("shop GET / > pg SELECT", 110_000_000));
        assert_eq!(contrast.len(), 1);
    }
}
