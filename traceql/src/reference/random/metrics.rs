//! Random metrics queries. Ranks and thresholds are chosen so that no answer hangs on the last bit of a sum of doubles.

use rand::Rng as _;
use rand::rngs::StdRng;

use super::queries::{any_field, filter, number_field, pipeline};
use super::{EPOCH_UNIX_NANOS, one_of, percent};
use crate::ast::{Field, FieldOp, Metrics, MetricsFunction, Pipeline, Query, SecondStage, SpansetExpr, Stage};

/// A query with a metrics part.
pub fn metrics_query(rng: &mut StdRng) -> Query {
    let pipeline = if percent(rng, 60) {
        Pipeline { stages: vec![Stage::Spansets(SpansetExpr::Filter(filter(rng)))] }
    } else {
        pipeline(rng, true)
    };
    let function = function(rng);
    let (most_labels, by_chance) = match function {
        MetricsFunction::Compare { .. } => (0, 0),
        MetricsFunction::QuantileOverTime { .. } | MetricsFunction::HistogramOverTime(_) => (4, 60),
        _ => (5, 70),
    };
    let mut by: Vec<Field> = Vec::new();
    while by.len() < most_labels && percent(rng, by_chance / (by.len() as u32 + 1)) {
        let field = any_field(rng);
        if !by.contains(&field) {
            by.push(field);
        }
    }
    let second = second(rng, &function);
    Query { pipeline, metrics: Some(Metrics { function, by, second }), hints: vec![] }
}

fn function(rng: &mut StdRng) -> MetricsFunction {
    match rng.random_range(0..20) {
        0..3 => MetricsFunction::Rate,
        3..6 => MetricsFunction::CountOverTime,
        6..8 => MetricsFunction::MinOverTime(number_field(rng)),
        8..10 => MetricsFunction::MaxOverTime(number_field(rng)),
        10..12 => MetricsFunction::SumOverTime(small_number_field(rng)),
        12..14 => MetricsFunction::AvgOverTime(small_number_field(rng)),
        14..16 => MetricsFunction::QuantileOverTime {
            field: number_field(rng),
            quantiles: one_of(rng, &[vec![0.5], vec![0.0, 1.0], vec![0.9, 0.25, 0.99]]).clone(),
        },
        16..18 => MetricsFunction::HistogramOverTime(number_field(rng)),
        _ => {
            let from = EPOCH_UNIX_NANOS as i64 + rng.random_range(0..200) * 1_000_000_000;
            MetricsFunction::Compare {
                selection: filter(rng),
                top: *one_of(rng, &[1, 2, 3, 10]),
                range: percent(rng, 30).then_some((from, from + 60_000_000_000)),
            }
        }
    }
}

/// A number whose sums do not depend on their order.
fn small_number_field(rng: &mut StdRng) -> Field {
    loop {
        match number_field(rng) {
            Field::Attribute { key, .. } if key == "big" => {}
            field => return field,
        }
    }
}

fn second(rng: &mut StdRng, function: &MetricsFunction) -> Vec<SecondStage> {
    let is_sum = matches!(function, MetricsFunction::SumOverTime(_) | MetricsFunction::AvgOverTime(_));
    if matches!(function, MetricsFunction::Compare { .. }) {
        return vec![];
    }
    let mut stages = Vec::new();
    while percent(rng, 35) && stages.len() < 3 {
        stages.push(match rng.random_range(0..4) {
            0 if !is_sum => SecondStage::TopK(rng.random_range(1..4)),
            1 if !is_sum => SecondStage::BottomK(rng.random_range(1..4)),
            _ => {
                let ops = [FieldOp::Eq, FieldOp::Ne, FieldOp::Lt, FieldOp::Le, FieldOp::Gt, FieldOp::Ge];
                let value = match function {
                    _ if is_sum => *one_of(rng, &[0.00051, 0.50051, 2.00051]),
                    MetricsFunction::Rate => *one_of(rng, &[0.0, 0.15, 0.31]),
                    _ => *one_of(rng, &[0.0, 1.0, 2.0, 3.5]),
                };
                SecondStage::Filter { op: *one_of(rng, &ops), value }
            }
        });
    }
    stages
}
