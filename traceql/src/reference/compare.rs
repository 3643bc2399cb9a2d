//! `compare()`: what the spans of a selection have, and what the others have.

use super::fields::{from_wire, one_value};
use super::metrics::{Bucket, Counted, Labels, Series};
use super::operators::value_order;
use crate::ast::{Field, Intrinsic, Scope};
use crate::value::Value;

const INTRINSICS: [(&str, Intrinsic); 6] = [
    ("name", Intrinsic::Name),
    ("kind", Intrinsic::Kind),
    ("status", Intrinsic::Status),
    ("statusMessage", Intrinsic::StatusMessage),
    ("rootName", Intrinsic::RootName),
    ("rootServiceName", Intrinsic::RootServiceName),
];

/// Spans of one class that have one value under one name.
struct Tally {
    is_selected: bool,
    name: String,
    value: Value,
    counts: Vec<f64>,
}

impl Tally {
    fn total(&self) -> f64 {
        self.counts.iter().sum()
    }
}

pub(super) fn run(
    spans: &[Counted<'_>],
    is_selected: impl Fn(&Counted<'_>) -> bool,
    top: usize,
    buckets: &[Bucket],
) -> Vec<Series> {
    let mut tallies: Vec<Tally> = Vec::new();
    for span in spans {
        let is_selected = is_selected(span);
        for (name, value) in what_it_has(span) {
            let place = tallies.iter().position(|tally| {
                tally.is_selected == is_selected && tally.name == name && value_order(&tally.value, &value).is_eq()
            });
            let place = place.unwrap_or_else(|| {
                tallies.push(Tally { is_selected, name, value, counts: vec![0.0; buckets.len()] });
                tallies.len() - 1
            });
            tallies[place].counts[span.bucket] += 1.0;
        }
    }
    let mut names: Vec<(bool, String)> = tallies.iter().map(|tally| (tally.is_selected, tally.name.clone())).collect();
    names.sort();
    names.dedup();
    let mut all = Vec::new();
    let mut add = |labels: Labels, counts: &[f64]| {
        let samples = buckets.iter().zip(counts).map(|(bucket, count)| (bucket.timestamp_ms(), *count)).collect();
        all.push(Series { labels, samples });
    };
    for (is_selected, name) in names {
        let class = if is_selected { "selection" } else { "baseline" };
        let label = |key: &str, value: &str| (key.to_owned(), Value::String(value.to_owned()));
        let mut of_name: Vec<&Tally> =
            tallies.iter().filter(|tally| tally.is_selected == is_selected && tally.name == name).collect();
        of_name.sort_by(|a, b| b.total().total_cmp(&a.total()).then_with(|| value_order(&a.value, &b.value)));
        for tally in of_name.iter().take(top) {
            add(vec![label("__meta_type", class), (name.clone(), tally.value.clone())], &tally.counts);
        }
        if of_name.len() > top {
            let error = label("__meta_error", "__too_many_values__");
            add(vec![label("__meta_type", class), error, (name.clone(), Value::Nil)], &vec![0.0; buckets.len()]);
        }
        let total = |bucket: usize| of_name.iter().map(|tally| tally.counts[bucket]).sum();
        let totals: Vec<f64> = (0..buckets.len()).map(total).collect();
        add(vec![label("__meta_type", &format!("{class}_total")), (name.clone(), Value::Nil)], &totals);
    }
    all
}

/// Names and scalars of a span and its resource, and the intrinsics that are compared.
fn what_it_has(span: &Counted<'_>) -> Vec<(String, Value)> {
    let Counted { trace, at, .. } = *span;
    let stored = &trace.spans[at];
    let mut found = Vec::new();
    for (word, scope, attributes) in
        [("span", Scope::Span, &stored.span.attributes), ("resource", Scope::Resource, &stored.resource.attributes)]
    {
        let mut keys: Vec<&str> = Vec::new();
        for attribute in attributes {
            if !keys.contains(&attribute.key.as_str()) && from_wire(attribute.value.as_ref()) != Value::Nil {
                keys.push(&attribute.key);
                let field = Field::Attribute { of_parent: false, scope, key: attribute.key.clone() };
                found.push((format!("{word}.{}", attribute.key), one_value(trace, at, &field)));
            }
        }
    }
    found.extend(
        INTRINSICS.map(|(name, intrinsic)| (name.to_owned(), one_value(trace, at, &Field::Intrinsic(intrinsic)))),
    );
    found.retain(|(name, value)| {
        let is_empty_message = name == "statusMessage" && *value == Value::String(String::new());
        !matches!(value, Value::Nil | Value::Array(_)) && !is_empty_message
    });
    found
}
