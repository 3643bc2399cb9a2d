//! Pipelines over one trace, by the rules of "Spansets".

use std::cmp::Ordering;

use super::expressions::{is_true, one};
use super::operators::{arithmetic, compare, compare_numbers, double, first, float, integer, scalars, value_order};
use super::trace::Trace;
use crate::ast::{
    Aggregate, FieldExpr, Pipeline, Relation, ScalarExpr, ScalarFilter, SpansetExpr, SpansetOp, Stage, StructuralMode,
};
use crate::value::Value;

/// Spans that belong together, by place in the trace, ascending: that is span order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Set {
    pub(super) spans: Vec<usize>,
    pub(super) attributes: Vec<(String, Value)>,
}

/// The spansets of a trace.
pub(super) fn run(trace: &Trace, pipeline: &Pipeline) -> Vec<Set> {
    stages(trace, pipeline, Set { spans: (0..trace.spans.len()).collect(), attributes: vec![] })
}

fn stages(trace: &Trace, pipeline: &Pipeline, begin: Set) -> Vec<Set> {
    let mut sets = vec![begin];
    for stage in &pipeline.stages {
        sets = match stage {
            Stage::Spansets(expr) => sets.into_iter().flat_map(|set| choose(trace, expr, set)).collect(),
            Stage::Scalar(filter) => sets.into_iter().filter_map(|set| scalar_filter(trace, filter, set)).collect(),
            Stage::By(expr) => sets.into_iter().flat_map(|set| split(trace, expr, set)).collect(),
            Stage::Coalesce => vec![Set { spans: united(&sets), attributes: vec![] }],
            Stage::Select(_) => sets,
        };
        sets.retain(|set| !set.spans.is_empty());
    }
    sets
}

fn choose(trace: &Trace, expr: &SpansetExpr, set: Set) -> Vec<Set> {
    match expr {
        SpansetExpr::Filter(None) => vec![set],
        SpansetExpr::Filter(Some(condition)) => {
            let spans = set.spans.iter().copied().filter(|at| is_true(trace, *at, condition)).collect();
            vec![Set { spans, attributes: set.attributes }]
        }
        SpansetExpr::Pipeline(pipeline) => stages(trace, pipeline, set),
        SpansetExpr::Binary { op, left, right } => {
            let left = united(&choose(trace, left, set.clone()));
            let right = united(&choose(trace, right, set.clone()));
            let spans = match op {
                SpansetOp::And if left.is_empty() || right.is_empty() => vec![],
                SpansetOp::And | SpansetOp::Or => sorted([left, right].concat()),
                SpansetOp::Structural { relation, mode } => structural(trace, *relation, *mode, &left, &right),
            };
            vec![Set { spans, attributes: set.attributes }]
        }
    }
}

fn structural(trace: &Trace, relation: Relation, mode: StructuralMode, left: &[usize], right: &[usize]) -> Vec<usize> {
    let mut related_left = Vec::new();
    let mut related_right = Vec::new();
    for l in left {
        for r in right {
            if is_related(trace, relation, *l, *r) {
                related_left.push(*l);
                related_right.push(*r);
            }
        }
    }
    match mode {
        StructuralMode::Plain => sorted(related_right),
        StructuralMode::Not => right.iter().copied().filter(|r| !related_right.contains(r)).collect(),
        StructuralMode::Union => sorted([related_left, related_right].concat()),
    }
}

fn is_related(trace: &Trace, relation: Relation, left: usize, right: usize) -> bool {
    match relation {
        Relation::Child => trace.parents[right] == Some(left),
        Relation::Parent => trace.parents[left] == Some(right),
        Relation::Descendant => trace.is_descendant(right, left),
        Relation::Ancestor => trace.is_descendant(left, right),
        Relation::Sibling => {
            left != right && trace.parents[left].is_some() && trace.parents[left] == trace.parents[right]
        }
    }
}

fn split(trace: &Trace, expr: &FieldExpr, set: Set) -> Vec<Set> {
    let mut groups: Vec<(Value, Vec<usize>)> = Vec::new();
    for at in set.spans {
        let value = one(trace, at, expr);
        match groups.iter_mut().find(|(other, _)| value_order(other, &value).is_eq()) {
            Some((_, spans)) => spans.push(at),
            None => groups.push((value, vec![at])),
        }
    }
    let key = format!("by({})", expr);
    let with = |value| {
        let mut attributes = set.attributes.clone();
        add(&mut attributes, key.clone(), value);
        attributes
    };
    groups.into_iter().map(|(value, spans)| Set { spans, attributes: with(value) }).collect()
}

fn scalar_filter(trace: &Trace, filter: &ScalarFilter, mut set: Set) -> Option<Set> {
    let spans = set.spans.clone();
    let left = scalar(trace, &filter.left, &spans, &mut set.attributes);
    let right = scalar(trace, &filter.right, &spans, &mut set.attributes);
    compare(filter.op, &scalars(left), &scalars(right)).then_some(set)
}

/// The number; every aggregate on the way is added to the attributes.
fn scalar(trace: &Trace, expr: &ScalarExpr, spans: &[usize], attributes: &mut Vec<(String, Value)>) -> Value {
    match expr {
        ScalarExpr::Literal(value) => value.clone(),
        ScalarExpr::Binary { op, left, right } => {
            let left = scalar(trace, left, spans, attributes);
            let right = scalar(trace, right, spans, attributes);
            arithmetic(*op, &left, &right)
        }
        ScalarExpr::Aggregate { function, argument } => {
            let value = match argument {
                None => Value::Int(spans.len() as i64),
                Some(argument) => {
                    let values = spans.iter().map(|at| first(one(trace, *at, argument)));
                    aggregate(*function, &values.filter(|value| double(value).is_some()).collect::<Vec<_>>())
                }
            };
            add(attributes, expr.to_string(), value.clone());
            value
        }
    }
}

/// Over numbers.
fn aggregate(function: Aggregate, numbers: &[Value]) -> Value {
    if numbers.is_empty() {
        return Value::Nil;
    }
    let some_double = numbers.iter().any(|number| matches!(number, Value::Float(_)));
    let some_duration = numbers.iter().any(|number| matches!(number, Value::Duration(_)));
    let count = numbers.len();
    let exact: i128 = numbers.iter().filter_map(integer).map(i128::from).sum();
    let in_doubles: f64 = if some_double { numbers.iter().filter_map(double).sum() } else { exact as f64 };
    match function {
        Aggregate::Count => Value::Int(count as i64),
        Aggregate::Min => extreme(numbers, Ordering::Less),
        Aggregate::Max => extreme(numbers, Ordering::Greater),
        Aggregate::Sum => match i64::try_from(exact) {
            Ok(sum) if !some_double && some_duration => Value::Duration(sum),
            Ok(sum) if !some_double => Value::Int(sum),
            _ => float(in_doubles),
        },
        Aggregate::Avg => match i64::try_from(exact / count as i128) {
            Ok(average) if !some_double && some_duration => Value::Duration(average),
            _ => float(in_doubles / count as f64),
        },
    }
}

fn extreme(numbers: &[Value], wanted: Ordering) -> Value {
    let mut best = &numbers[0];
    for number in numbers {
        if compare_numbers(number, best) == Some(Some(wanted)) {
            best = number;
        }
    }
    best.clone()
}

fn add(attributes: &mut Vec<(String, Value)>, key: String, value: Value) {
    match attributes.iter_mut().find(|(other, _)| *other == key) {
        Some((_, old)) => *old = value,
        None => attributes.push((key, value)),
    }
}

fn united(sets: &[Set]) -> Vec<usize> {
    sorted(sets.iter().flat_map(|set| set.spans.clone()).collect())
}

fn sorted(mut spans: Vec<usize>) -> Vec<usize> {
    spans.sort_unstable();
    spans.dedup();
    spans
}
