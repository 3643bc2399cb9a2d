//! What happens to series after they are counted: the best of them at each time, and comparisons. Pure.

use std::cmp::Ordering;
use std::collections::HashMap;

use spanlake_traceql::{FieldOp, SecondStage, Value};

use super::super::answer::Series;
use super::super::scalar::{holds_float, label_order};

/// Orders series by their labels: key, type, value; a beginning comes first.
pub(super) fn by_labels(a: &[(String, Value)], b: &[(String, Value)]) -> Ordering {
    let pairs = a.iter().zip(b).map(|((a_key, a), (b_key, b))| a_key.cmp(b_key).then_with(|| label_order(a, b)));
    pairs.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// Applies the stages. Series come ordered by labels and stay so.
pub(super) fn apply(stages: &[SecondStage], series: &mut Vec<Series>) {
    for stage in stages {
        match stage {
            SecondStage::TopK(count) => best(series, *count, |a, b| b.total_cmp(&a)),
            SecondStage::BottomK(count) => best(series, *count, |a, b| a.total_cmp(&b)),
            SecondStage::Filter { op, value } => keep(series, *op, *value),
        }
        series.retain(|series| !series.samples.is_empty());
    }
}

fn keep(series: &mut [Series], op: FieldOp, value: f64) {
    for series in series {
        series.samples.retain(|(_, sample)| holds_float(op, *sample, value));
    }
}

/// At each time the first so many of the series by the order; of equal ones those first by labels.
fn best(series: &mut [Series], count: usize, order: impl Fn(f64, f64) -> Ordering) {
    let mut by_time: HashMap<i64, Vec<(f64, usize)>> = HashMap::new();
    for (at, series) in series.iter().enumerate() {
        for (time, value) in &series.samples {
            // Adding zero makes one zero of the two.
            by_time.entry(*time).or_default().push((value + 0.0, at));
        }
    }
    let mut kept: Vec<Vec<i64>> = vec![Vec::new(); series.len()];
    for (time, mut values) in by_time {
        values.sort_by(|a, b| order(a.0, b.0).then_with(|| a.1.cmp(&b.1)));
        values.iter().take(count).for_each(|(_, at)| kept[*at].push(time));
    }
    for (series, mut kept) in series.iter_mut().zip(kept) {
        kept.sort_unstable();
        series.samples.retain(|(time, _)| kept.binary_search(time).is_ok());
    }
}
