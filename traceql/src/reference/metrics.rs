//! Series over time of the spans a pipeline gives, by the rules of "Metrics".

use std::cmp::Ordering;

use super::compare;
use super::expressions;
use super::fields::{label_value, one_value};
use super::operators::{double, first, holds, integer, label_order};
use super::spansets;
use super::trace::Trace;
use crate::ast::{Field, Metrics, MetricsFunction, Query, SecondStage};
use crate::value::Value;

/// The time a metrics query is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// As asked, in Unix nanoseconds.
    pub start_unix_nanos: u64,
    /// As asked.
    pub end_unix_nanos: u64,
    /// Width of a bucket, not zero; none: one bucket.
    pub step_nanos: Option<u64>,
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Milliseconds of each bucket's edge, and its value; ascending.
    pub samples: Vec<(i64, f64)>,
}

/// Names and values, in order.
pub type Labels = Vec<(String, Value)>;

/// Nanoseconds, exclusive and inclusive; wider than the wire's, so that nothing overflows.
pub(super) struct Bucket {
    after: i128,
    pub(super) edge: i128,
}

/// A span that counts, and its bucket.
pub(super) struct Counted<'a> {
    pub(super) trace: &'a Trace,
    pub(super) at: usize,
    pub(super) bucket: usize,
}

/// Values of one series, bucket by bucket.
struct Group<T> {
    labels: Labels,
    buckets: Vec<Vec<T>>,
}

/// The series of a query, in label order. Without a metrics part there are none.
pub(super) fn run(traces: &[Trace], query: &Query, interval: Interval) -> Vec<Series> {
    let Some(metrics) = &query.metrics else { return vec![] };
    let buckets = buckets(interval);
    let mut spans = Vec::new();
    for trace in traces {
        for at in spansets::run(trace, &query.pipeline).into_iter().flat_map(|set| set.spans) {
            let start = i128::from(trace.spans[at].span.start_time_unix_nano);
            if let Some(bucket) = buckets.iter().position(|bucket| bucket.after < start && start <= bucket.edge) {
                spans.push(Counted { trace, at, bucket });
            }
        }
    }
    let mut series = first_stage(&spans, metrics, &buckets, interval);
    for stage in &metrics.second {
        match stage {
            SecondStage::TopK(count) => keep_extremes(&mut series, *count, Ordering::Greater),
            SecondStage::BottomK(count) => keep_extremes(&mut series, *count, Ordering::Less),
            SecondStage::Filter { op, value } => {
                for one in &mut series {
                    one.samples.retain(|(_, sample)| holds(*op, sample.partial_cmp(value)));
                }
            }
        }
        series.retain(|one| !one.samples.is_empty());
    }
    series.sort_by(|a, b| label_order(&a.labels, &b.labels));
    series
}

fn buckets(interval: Interval) -> Vec<Bucket> {
    let (start, end) = (i128::from(interval.start_unix_nanos), i128::from(interval.end_unix_nanos));
    let Some(step) = interval.step_nanos.map(i128::from) else { return vec![Bucket { after: start, edge: end }] };
    let mut buckets = Vec::new();
    let mut edge = start / step * step;
    loop {
        buckets.push(Bucket { after: edge - step, edge });
        if edge >= end {
            return buckets;
        }
        edge += step;
    }
}

fn first_stage(spans: &[Counted<'_>], metrics: &Metrics, buckets: &[Bucket], interval: Interval) -> Vec<Series> {
    let step = interval.step_nanos.unwrap_or(interval.end_unix_nanos.saturating_sub(interval.start_unix_nanos));
    let seconds = step as f64 / 1e9;
    match &metrics.function {
        MetricsFunction::Rate => {
            let groups = group(spans, &metrics.by, "rate", buckets.len(), |_| Some(()));
            series(groups, buckets, |values| Some(values.len() as f64 / seconds))
        }
        MetricsFunction::CountOverTime => {
            let groups = group(spans, &metrics.by, "count_over_time", buckets.len(), |_| Some(()));
            series(groups, buckets, |values| Some(values.len() as f64))
        }
        MetricsFunction::MinOverTime(field) => {
            let groups = group(spans, &metrics.by, "min_over_time", buckets.len(), |span| number(span, field));
            series(groups, buckets, |values| values.iter().copied().reduce(f64::min))
        }
        MetricsFunction::MaxOverTime(field) => {
            let groups = group(spans, &metrics.by, "max_over_time", buckets.len(), |span| number(span, field));
            series(groups, buckets, |values| values.iter().copied().reduce(f64::max))
        }
        MetricsFunction::SumOverTime(field) => {
            let groups = group(spans, &metrics.by, "sum_over_time", buckets.len(), |span| number(span, field));
            series(groups, buckets, |values| values.iter().copied().reduce(|a, b| a + b))
        }
        MetricsFunction::AvgOverTime(field) => {
            let groups = group(spans, &metrics.by, "avg_over_time", buckets.len(), |span| number(span, field));
            series(groups, buckets, |values| Some(values.iter().copied().reduce(|a, b| a + b)? / values.len() as f64))
        }
        MetricsFunction::HistogramOverTime(field) => {
            let groups = group(spans, &metrics.by, "", buckets.len(), |span| exponent(span, field));
            histograms(groups, buckets)
        }
        MetricsFunction::QuantileOverTime { field, quantiles } => {
            let mut all = Vec::new();
            for q in quantiles {
                let mut groups = group(spans, &metrics.by, "", buckets.len(), |span| exponent(span, field));
                for group in &mut groups {
                    group.labels.push(("p".to_owned(), Value::Float(*q)));
                }
                all.extend(series(groups, buckets, |values| Some(quantile(*q, values))));
            }
            all
        }
        MetricsFunction::Compare { selection, top, range } => {
            let is_selected = |span: &Counted<'_>| {
                let start = i128::from(span.trace.spans[span.at].span.start_time_unix_nano);
                range.is_none_or(|(from, to)| i128::from(from) <= start && start <= i128::from(to))
                    && selection.as_ref().is_none_or(|condition| expressions::is_true(span.trace, span.at, condition))
            };
            compare::run(spans, is_selected, *top, buckets)
        }
    }
}

/// Puts what `value_of` gives of each span into the bucket of its series. Without `by` and with a name there is a
/// label for the name.
fn group<T>(
    spans: &[Counted<'_>],
    by: &[Field],
    name: &str,
    bucket_count: usize,
    value_of: impl Fn(&Counted<'_>) -> Option<T>,
) -> Vec<Group<T>> {
    let mut groups: Vec<Group<T>> = Vec::new();
    for span in spans {
        let Some(value) = value_of(span) else { continue };
        let labels = labels(span, by, name);
        let place = groups.iter().position(|group| label_order(&group.labels, &labels).is_eq());
        let place = place.unwrap_or_else(|| {
            groups.push(Group { labels, buckets: (0..bucket_count).map(|_| vec![]).collect() });
            groups.len() - 1
        });
        groups[place].buckets[span.bucket].push(value);
    }
    groups
}

fn labels(span: &Counted<'_>, by: &[Field], name: &str) -> Labels {
    if by.is_empty() {
        let name = (!name.is_empty()).then(|| ("__name__".to_owned(), Value::String(name.to_owned())));
        return name.into_iter().collect();
    }
    let mut labels: Labels =
        by.iter().map(|field| (field.to_string(), label_value(span.trace, span.at, field))).collect();
    if labels.iter().all(|(_, value)| *value == Value::Nil) {
        labels.truncate(1);
    } else {
        labels.retain(|(_, value)| *value != Value::Nil);
    }
    labels
}

fn series<T>(groups: Vec<Group<T>>, buckets: &[Bucket], sample: impl Fn(&[T]) -> Option<f64>) -> Vec<Series> {
    let of = |group: Group<T>| {
        let samples = buckets.iter().zip(&group.buckets);
        let samples = samples.filter_map(|(bucket, values)| Some((bucket.timestamp_ms(), sample(values)?))).collect();
        Series { labels: group.labels, samples }
    };
    groups.into_iter().map(of).collect()
}

impl Bucket {
    pub(super) fn timestamp_ms(&self) -> i64 {
        i64::try_from(self.edge / 1_000_000).unwrap_or(i64::MAX)
    }
}

fn number(span: &Counted<'_>, field: &Field) -> Option<f64> {
    match first(one_value(span.trace, span.at, field)) {
        Value::Duration(nanos) => Some(nanos as f64 / 1e9),
        value => double(&value),
    }
}

/// The exponent of the bucket of a value, and what the power is divided by.
type Exponent = (u32, f64);

fn exponent(span: &Counted<'_>, field: &Field) -> Option<Exponent> {
    let value = first(one_value(span.trace, span.at, field));
    let unit = if matches!(value, Value::Duration(_)) { 1e9 } else { 1.0 };
    let number = i128::from(integer(&value)?);
    if number < 2 {
        return None;
    }
    let exponent = (1..).find(|exponent| (1_i128 << exponent) >= number)?;
    Some((exponent, unit))
}

fn histograms(groups: Vec<Group<Exponent>>, buckets: &[Bucket]) -> Vec<Series> {
    let mut all = Vec::new();
    for group in groups {
        let mut exponents: Vec<Exponent> = group.buckets.iter().flatten().copied().collect();
        exponents.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        exponents.dedup();
        for exponent in exponents {
            let mut labels = group.labels.clone();
            labels.push(("__bucket".to_owned(), Value::Float(2_f64.powf(f64::from(exponent.0)) / exponent.1)));
            let count = |values: &[Exponent]| values.iter().filter(|value| **value == exponent).count() as f64;
            let samples = buckets.iter().zip(&group.buckets);
            let samples = samples.map(|(bucket, values)| (bucket.timestamp_ms(), count(values))).collect();
            all.push(Series { labels, samples });
        }
    }
    all
}

/// The value below which a share of the values lies.
fn quantile(q: f64, values: &[Exponent]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by_key(|value| value.0);
    let Some((last, unit)) = values.last().copied() else { return 0.0 };
    let rank = q * values.len() as f64;
    let up_to = |exponent: u32| values.iter().filter(|value| value.0 <= exponent).count() as f64;
    let exponent = values.iter().map(|value| value.0).find(|exponent| up_to(*exponent) >= rank).unwrap_or(last);
    let before = up_to(exponent - 1);
    let within = (rank - before) / (up_to(exponent) - before);
    2_f64.powf(f64::from(exponent) - 1.0 + within) / unit
}

/// Keeps, at each time, the samples of the first `count` series: by value, then in label order.
fn keep_extremes(series: &mut [Series], count: usize, first: Ordering) {
    series.sort_by(|a, b| label_order(&a.labels, &b.labels));
    let mut times: Vec<i64> = series.iter().flat_map(|one| one.samples.iter().map(|sample| sample.0)).collect();
    times.sort_unstable();
    times.dedup();
    for time in times {
        let sample_of = |one: &Series| one.samples.iter().find(|sample| sample.0 == time).map(|sample| sample.1);
        let mut ranked: Vec<(usize, f64)> =
            series.iter().enumerate().filter_map(|(place, one)| Some((place, sample_of(one)?))).collect();
        // Stable: of equal ones the first in label order stays first.
        ranked.sort_by(|a, b| {
            let order = a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal);
            if first == Ordering::Greater { order.reverse() } else { order }
        });
        for (place, _) in ranked.into_iter().skip(count) {
            series[place].samples.retain(|sample| sample.0 != time);
        }
    }
}
