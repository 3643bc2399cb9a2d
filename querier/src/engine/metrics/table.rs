//! What is counted: for each group of spans and each bucket a number, as much of it as later stages need. Pure.

use std::collections::BTreeMap;

use spanlake_traceql::{MetricsFunction, Value};

use super::super::answer::Series;
use super::super::scalar::{Label, Number};
use super::buckets::Buckets;

/// Labels of a group, in order of `by`.
pub(super) type Key = Vec<Label>;

/// How spans become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Count,
    Min,
    Max,
    Sum,
    Avg,
    /// Powers of two.
    Histogram,
}

/// What some numbers add up to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    /// Durations, added exactly: as seconds their sum would depend on the order.
    nanos: i128,
    other: f64,
    count: u64,
}

impl Sum {
    fn add(&mut self, number: Number) {
        match number {
            Number::Duration(nanos) => self.nanos += i128::from(nanos),
            number => self.other += number.as_f64(),
        }
        self.count += 1;
    }

    fn merge(&mut self, more: Self) {
        self.nanos += more.nanos;
        self.other += more.other;
        self.count += more.count;
    }

    fn value(&self) -> f64 {
        self.nanos as f64 / 1e9 + self.other
    }
}

/// The numbers of one group.
#[derive(Debug, Clone)]
pub(super) enum Cells {
    Counts(Vec<u64>),
    /// Not a number where there is none.
    Extremes(Vec<f64>),
    Sums(Vec<Sum>),
    /// By exponent; whether of durations.
    Histogram {
        counts: BTreeMap<u32, Vec<u64>>,
        durations: bool,
    },
}

impl Kind {
    pub(super) fn of(function: &MetricsFunction) -> Self {
        match function {
            MetricsFunction::Rate | MetricsFunction::CountOverTime | MetricsFunction::Compare { .. } => Self::Count,
            MetricsFunction::MinOverTime(_) => Self::Min,
            MetricsFunction::MaxOverTime(_) => Self::Max,
            MetricsFunction::SumOverTime(_) => Self::Sum,
            MetricsFunction::AvgOverTime(_) => Self::Avg,
            MetricsFunction::QuantileOverTime { .. } | MetricsFunction::HistogramOverTime(_) => Self::Histogram,
        }
    }

    /// Counts rows into the cells of so many groups; a cell is the group's number times the buckets, plus the bucket. `number`
    /// is asked for a row where the kind needs it.
    pub(super) fn count(
        self,
        cells: &[(u32, u32)],
        groups: usize,
        buckets: usize,
        number: impl Fn(usize) -> Option<Number>,
    ) -> Vec<Cells> {
        let count = groups * buckets;
        let numbers = cells.iter().filter_map(|(row, cell)| Some((*cell as usize, number(*row as usize)?)));
        match self {
            Self::Count => {
                let mut counts = vec![0_u64; count];
                cells.iter().for_each(|(_, cell)| counts[*cell as usize] += 1);
                counts.chunks(buckets).map(|counts| Cells::Counts(counts.to_vec())).collect()
            }
            Self::Min | Self::Max => {
                let mut extremes = vec![f64::NAN; count];
                for (cell, value) in numbers.map(|(cell, number)| (cell, measured(number))) {
                    let known = &mut extremes[cell];
                    // The first of several zeros or equal numbers stays.
                    if known.is_nan() || (self == Self::Min && value < *known) || (self == Self::Max && value > *known)
                    {
                        *known = value;
                    }
                }
                extremes.chunks(buckets).map(|extremes| Cells::Extremes(extremes.to_vec())).collect()
            }
            Self::Sum | Self::Avg => {
                let mut sums = vec![Sum::default(); count];
                numbers.for_each(|(cell, number)| sums[cell].add(number));
                sums.chunks(buckets).map(|sums| Cells::Sums(sums.to_vec())).collect()
            }
            Self::Histogram => {
                let mut by_exponent: Vec<Vec<u32>> = vec![Vec::new(); EXPONENTS];
                let mut durations = vec![false; groups];
                for (cell, number) in numbers {
                    let Some((exponent, is_duration)) = exponent(number) else { continue };
                    let counts = &mut by_exponent[exponent as usize];
                    if counts.is_empty() {
                        counts.resize(count, 0);
                    }
                    counts[cell] += 1;
                    durations[cell / buckets] |= is_duration;
                }
                let of_group = |group: usize| {
                    let range = group * buckets..(group + 1) * buckets;
                    let counts = by_exponent.iter().enumerate().filter(|(_, counts)| !counts.is_empty());
                    let counts = counts.map(|(exponent, counts)| (exponent as u32, &counts[range.clone()]));
                    let there = counts.filter(|(_, counts)| counts.iter().any(|count| *count > 0));
                    let counts = there
                        .map(|(exponent, counts)| (exponent, counts.iter().map(|count| u64::from(*count)).collect()));
                    Cells::Histogram { counts: counts.collect(), durations: durations[group] }
                };
                (0..groups).map(of_group).collect()
            }
        }
    }
}

/// One more than the largest exponent of a 64-bit number.
const EXPONENTS: usize = 65;

/// The number that a value counts as: durations in seconds.
pub(super) fn measured(number: Number) -> f64 {
    match number {
        Number::Duration(nanos) => nanos as f64 / 1e9,
        number => number.as_f64(),
    }
}

/// The exponent of the smallest power of two that is not below a value; none for what histograms do not take.
fn exponent(number: Number) -> Option<(u32, bool)> {
    let (value, is_duration) = match number {
        Number::Int(value) => (value, false),
        Number::Duration(value) => (value, true),
        Number::Float(_) => return None,
    };
    (value >= 2).then(|| (64 - (value as u64 - 1).leading_zeros(), is_duration))
}

impl Cells {
    /// Takes in what was counted elsewhere of the same group.
    fn merge(&mut self, kind: Kind, other: Self) {
        match (self, other) {
            (Self::Counts(counts), Self::Counts(more)) => {
                counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
            }
            (Self::Extremes(extremes), Self::Extremes(more)) => {
                for (known, value) in extremes.iter_mut().zip(more) {
                    let better = if kind == Kind::Min { value < *known } else { value > *known };
                    if known.is_nan() || better {
                        *known = value;
                    }
                }
            }
            (Self::Sums(sums), Self::Sums(more)) => {
                sums.iter_mut().zip(more).for_each(|(sum, more)| sum.merge(more));
            }
            (Self::Histogram { counts, durations }, Self::Histogram { counts: more, durations: more_durations }) => {
                *durations |= more_durations;
                for (exponent, more) in more {
                    match counts.entry(exponent) {
                        std::collections::btree_map::Entry::Vacant(entry) => {
                            entry.insert(more);
                        }
                        std::collections::btree_map::Entry::Occupied(mut entry) => {
                            entry.get_mut().iter_mut().zip(more).for_each(|(count, more)| *count += more);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        let bytes = match self {
            Self::Counts(counts) => 8 * counts.len(),
            Self::Extremes(extremes) => 8 * extremes.len(),
            Self::Sums(sums) => size_of_val(sums.as_slice()),
            Self::Histogram { counts, .. } => counts.values().map(|counts| 8 * counts.len() + 48).sum(),
        };
        bytes as u64 + 160
    }
}

/// All groups.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) kind: Kind,
    pub(super) groups: BTreeMap<Key, Cells>,
    max_groups: usize,
    /// Memory held, estimated.
    pub(super) held_bytes: u64,
    /// Whether spans were left out because there were too many groups.
    pub(super) overflowed: bool,
}

impl Table {
    pub(super) fn new(kind: Kind, max_groups: usize) -> Self {
        Self { kind, groups: BTreeMap::new(), max_groups, held_bytes: 0, overflowed: false }
    }

    /// Takes in a group. Groups come in a fixed order, so which are left out past the bound is always the same.
    pub(super) fn add(&mut self, key: Key, cells: Cells) {
        if let Some(known) = self.groups.get_mut(&key) {
            let before = known.memory_bytes();
            known.merge(self.kind, cells);
            self.held_bytes += known.memory_bytes() - before;
        } else if self.groups.len() < self.max_groups {
            self.held_bytes += cells.memory_bytes();
            self.groups.insert(key, cells);
        } else {
            self.overflowed = true;
        }
    }

    /// How many series there will be at most.
    pub(super) fn series_count(&self, function: &MetricsFunction) -> usize {
        let of = |cells: &Cells| match (cells, function) {
            (Cells::Histogram { .. }, MetricsFunction::QuantileOverTime { quantiles, .. }) => quantiles.len(),
            (Cells::Histogram { counts, .. }, _) => counts.len(),
            _ => 1,
        };
        self.groups.values().map(of).sum()
    }

    /// The series of all groups, by labels. `by` are the names of the labels.
    pub(super) fn into_series(self, function: &MetricsFunction, by: &[String], buckets: &Buckets) -> Vec<Series> {
        let sample = |bucket: usize, value: f64| (buckets.edge_ms(bucket), value);
        let mut series = Vec::new();
        for (key, cells) in self.groups {
            let labels = labels(&key, by);
            match cells {
                Cells::Counts(counts) => {
                    if counts.iter().all(|count| *count == 0) {
                        continue;
                    }
                    let scale = if *function == MetricsFunction::Rate { buckets.seconds } else { 1.0 };
                    let values = counts.iter().map(|count| *count as f64 / scale);
                    let samples = values.enumerate().map(|(bucket, value)| sample(bucket, value)).collect();
                    series.push(Series { labels: named(labels, function), samples, exemplars: Vec::new() });
                }
                Cells::Extremes(values) => {
                    let there = values.iter().enumerate().filter(|(_, value)| !value.is_nan());
                    let samples = there.map(|(bucket, value)| sample(bucket, *value)).collect();
                    series.push(Series { labels: named(labels, function), samples, exemplars: Vec::new() });
                }
                Cells::Sums(sums) => {
                    let there = sums.iter().enumerate().filter(|(_, sum)| sum.count > 0);
                    let value = |sum: &Sum| {
                        if self.kind == Kind::Avg { sum.value() / sum.count as f64 } else { sum.value() }
                    };
                    let samples = there.map(|(bucket, sum)| sample(bucket, value(sum))).collect();
                    series.push(Series { labels: named(labels, function), samples, exemplars: Vec::new() });
                }
                Cells::Histogram { counts, durations } => {
                    histogram(&mut series, function, &labels, &counts, durations, buckets);
                }
            }
        }
        series.retain(|series| !series.samples.is_empty());
        series
    }
}

fn histogram(
    series: &mut Vec<Series>,
    function: &MetricsFunction,
    labels: &[(String, Value)],
    counts: &BTreeMap<u32, Vec<u64>>,
    durations: bool,
    buckets: &Buckets,
) {
    let unit = if durations { 1e9 } else { 1.0 };
    let with = |name: &str, value: f64| {
        let mut labels = labels.to_vec();
        labels.push((name.to_owned(), Value::Float(value)));
        labels
    };
    if counts.is_empty() {
        return;
    }
    if let MetricsFunction::QuantileOverTime { quantiles, .. } = function {
        for quantile in quantiles {
            let values = (0..buckets.count).map(|bucket| {
                let of_bucket: Vec<(u32, u64)> =
                    counts.iter().map(|(exponent, counts)| (*exponent, counts[bucket])).collect();
                (buckets.edge_ms(bucket), interpolated(&of_bucket, *quantile) / unit)
            });
            let samples = values.collect();
            series.push(Series { labels: with("p", *quantile), samples, exemplars: Vec::new() });
        }
    } else {
        for (exponent, counts) in counts {
            let samples = counts.iter().enumerate().map(|(bucket, count)| (buckets.edge_ms(bucket), *count as f64));
            let edge = 2_f64.powi(*exponent as i32) / unit;
            series.push(Series { labels: with("__bucket", edge), samples: samples.collect(), exemplars: Vec::new() });
        }
    }
}

/// The quantile of counts by ascending exponent, on a logarithmic scale inside a bucket; zero of nothing.
fn interpolated(counts: &[(u32, u64)], quantile: f64) -> f64 {
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    if total == 0 {
        return 0.0;
    }
    let rank = quantile * total as f64;
    let mut before = 0_u64;
    let mut last = None;
    for (exponent, count) in counts.iter().filter(|(_, count)| *count > 0) {
        last = Some((*exponent, *count, before));
        if (before + count) as f64 >= rank {
            break;
        }
        before += count;
    }
    let Some((exponent, count, before)) = last else { return 0.0 };
    (f64::from(exponent) - 1.0 + (rank - before as f64) / count as f64).exp2()
}

/// Labels of a group: nil ones are left out, unless all are.
fn labels(key: &[Label], by: &[String]) -> Vec<(String, Value)> {
    let all = || by.iter().cloned().zip(key.iter().map(|Label(value)| value.clone()));
    let there: Vec<_> = all().filter(|(_, value)| *value != Value::Nil).collect();
    if there.is_empty() { all().take(1).collect() } else { there }
}

/// A series without labels is named for its function.
fn named(labels: Vec<(String, Value)>, function: &MetricsFunction) -> Vec<(String, Value)> {
    if !labels.is_empty() {
        return labels;
    }
    let name = match function {
        MetricsFunction::Rate => "rate",
        MetricsFunction::CountOverTime => "count_over_time",
        MetricsFunction::MinOverTime(_) => "min_over_time",
        MetricsFunction::MaxOverTime(_) => "max_over_time",
        MetricsFunction::SumOverTime(_) => "sum_over_time",
        MetricsFunction::AvgOverTime(_) => "avg_over_time",
        MetricsFunction::QuantileOverTime { .. } => "quantile_over_time",
        MetricsFunction::HistogramOverTime(_) => "histogram_over_time",
        MetricsFunction::Compare { .. } => "compare",
    };
    vec![("__name__".to_owned(), Value::String(name.to_owned()))]
}
